//! Resident memory of the daemons while much more than it goes through them.

use std::time::Duration;

use anyhow::Result;

use super::Scale;
use crate::floor::Floors;
use crate::pool::Pool;
use crate::report::{Goal, Row};
use crate::source::Source;

const GUEST: usize = 3;
/// Rest before a daemon counts as idle.
const REST: Duration = Duration::from_secs(10);

pub fn measure(_: &Floors, scale: Scale, row: &mut dyn FnMut(Row)) -> Result<()> {
    let (pool, source) = (Pool::start(3, true, scale.memory_bytes)?, Source::new(fastrand::u64(..)));
    let bytes = scale.memory_bytes;
    let mut watch = |peak: &'static str, after: &'static str, work: &mut dyn FnMut() -> Result<()>| {
        pool.forget_peaks()?;
        work()?;
        row(Row::new(peak, pool.memory()?.peak, "MiB").goal(Goal::AtMost(200.0)));
        std::thread::sleep(REST);
        row(Row::new(after, pool.memory()?.now, "MiB").goal(Goal::AtMost(80.0)));
        anyhow::Ok(())
    };
    watch("memory, peak while 5 GiB are put", "memory, idle after it", &mut || {
        pool.runtime.block_on(pool.put(0, "/large", &source, bytes))
    })?;
    watch("memory, peak while 5 GiB are read, own copy", "memory, idle after it", &mut || {
        pool.runtime.block_on(pool.get(0, "/large", &source, bytes))
    })?;
    watch("memory, peak while 5 GiB are read, no copy", "memory, idle after it", &mut || {
        pool.runtime.block_on(pool.get(GUEST, "/large", &source, bytes))
    })
}
