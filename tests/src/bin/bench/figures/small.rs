//! Many small files from several callers: each is acknowledged when it is durable on all nodes.

use std::time::Instant;

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::floor::FloorTable;
use crate::percentile::percentile;
use crate::pool::Pool;
use crate::report::{FigureGoal, Row};
use crate::scale::{BenchScale, CALLERS};
use crate::source::DataSource;
use crate::usage::Work;

const FILE_BYTES: u64 = 4 << 10;

pub fn measure(floors: &FloorTable, scale: BenchScale, row: &mut dyn FnMut(Row)) -> Result<()> {
    let (pool, source) = (Pool::start(3, false, 1 << 30)?, DataSource::new(fastrand::u64(..)));
    let source = |number: usize| source.variant(number as u64);
    let name = |number: usize| format!("/folder {}/file {number}", number % CALLERS);
    let files = scale.files as f64;

    let put = async |number: usize| pool.put(0, &name(number), &source(number), FILE_BYTES).await;
    let (s, mut took_ms, work) = by_callers(&pool, scale.files, put)?;
    // A machine that syncs slower puts slower: what 800 are of 5,000.
    row(Row::new("put of 4 KiB, 8 callers", files / s, "per s")
        .floor("appends + fdatasync", floors.syncs_per_s()?)
        .goal(FigureGoal::RatioAtLeast(0.16)));
    row(Row::new("put of 4 KiB, p50", percentile(&mut took_ms, 50), "ms"));
    row(Row::new("put of 4 KiB, p99", percentile(&mut took_ms, 99), "ms"));
    row(Row::new("put of 4 KiB, CPU of all daemons", work.cpu_s / files * 1e3, "ms each"));
    row(Row::new("put of 4 KiB, syncs of all daemons", work.syncs / files, "each"));
    row(Row::new("put of 4 KiB, appended by all daemons", work.appended_mib * 1024.0 / files, "KiB each")
        .goal(FigureGoal::AtMost(60.0)));
    row(Row::new("put of 4 KiB, bytes on the wire", work.wire_mib * 1024.0 / files, "KiB each"));

    let get = async |number: usize| pool.get(0, &name(number), &source(number), FILE_BYTES).await;
    let (s, mut took_ms, work) = by_callers(&pool, scale.files, get)?;
    row(Row::new("get of 4 KiB, 8 callers", files / s, "per s")
        .floor("small HTTP requests", floors.requests()?.per_s)
        .goal(FigureGoal::AtLeast(3_000.0)));
    row(Row::new("get of 4 KiB, p50", percentile(&mut took_ms, 50), "ms"));
    row(Row::new("get of 4 KiB, CPU of all daemons", work.cpu_s / files * 1e3, "ms each"));
    row(Row::new("get of 4 KiB, messages between nodes", work.messages_mib * 1024.0 * 1024.0 / files, "B each"));
    Ok(())
}

/// How long all took, how long each did, and what it cost.
fn by_callers(pool: &Pool, files: usize, one: impl AsyncFn(usize) -> Result<()>) -> Result<(f64, Vec<f64>, Work)> {
    let mut took_ms = Vec::new();
    let timed = async |number| {
        let begun = Instant::now();
        one(number).await?;
        anyhow::Ok(begun.elapsed().as_secs_f64() * 1e3)
    };
    let all = async {
        took_ms = futures::stream::iter(0..files).map(&timed).buffer_unordered(CALLERS).try_collect().await?;
        Ok(())
    };
    let (s, work) = pool.measured(all)?;
    Ok((s, took_ms, work))
}
