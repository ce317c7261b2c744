//! Resident memory of the daemons while much more than it goes through them.

use std::time::Duration;

use anyhow::Result;

use crate::floor::FloorTable;
use crate::pool::Pool;
use crate::report::{FigureGoal, Row};
use crate::scale::BenchScale;
use crate::source::DataSource;

const GUEST: usize = 3;
/// Rest before a daemon counts as idle.
const REST: Duration = Duration::from_secs(10);

pub fn measure(_: &FloorTable, scale: BenchScale, row: &mut dyn FnMut(Row)) -> Result<()> {
    let (pool, source) = (Pool::start(3, true, scale.memory_bytes)?, DataSource::new(fastrand::u64(..)));
    let bytes = scale.memory_bytes;
    let mut watch = |peak: &'static str, after: &'static str, work: &mut dyn FnMut() -> Result<()>| {
        pool.forget_peaks()?;
        work()?;
        row(Row::new(peak, pool.memory()?.peak, "MiB").goal(FigureGoal::AtMost(200.0)));
        std::thread::sleep(REST);
        row(Row::new(after, pool.memory()?.now, "MiB").goal(FigureGoal::AtMost(80.0)));
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
