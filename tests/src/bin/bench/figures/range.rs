//! The first byte of a range in the middle of a large file.

use anyhow::Result;

use crate::floor::FloorTable;
use crate::percentile::percentile;
use crate::pool::Pool;
use crate::report::{FigureGoal, Row};
use crate::scale::BenchScale;
use crate::source::DataSource;

const NAME: &str = "/large";
const RANGE_BYTES: u64 = 64 << 10;
const READS: usize = 200;
const GUEST: usize = 3;

pub fn measure(floors: &FloorTable, scale: BenchScale, row: &mut dyn FnMut(Row)) -> Result<()> {
    let (pool, source) = (Pool::start(3, true, scale.bytes)?, DataSource::new(fastrand::u64(..)));
    pool.runtime.block_on(pool.put(0, NAME, &source, scale.bytes))?;

    let mut own = first_bytes(&pool, 0, &source, scale.bytes)?;
    let request_ms = floors.requests()?.median_ms;
    row(Row::new("first byte of a range, own copy, p50", percentile(&mut own, 50), "ms")
        .floor("small HTTP request", request_ms)
        .goal(FigureGoal::AtMost(2.0)));
    row(Row::new("first byte of a range, own copy, p99", percentile(&mut own, 99), "ms"));

    let mut remote = first_bytes(&pool, GUEST, &source, scale.bytes)?;
    row(Row::new("first byte of a range, no own copy, p50", percentile(&mut remote, 50), "ms")
        .floor("HTTP + 1 MiB by raw QUIC", request_ms + floors.fetch_ms()?)
        .goal(FigureGoal::AtMost(5.0)));
    row(Row::new("first byte of a range, no own copy, p99", percentile(&mut remote, 99), "ms"));
    Ok(())
}

/// Anywhere in the middle half, so that no cache of a block helps.
fn first_bytes(pool: &Pool, node: usize, source: &DataSource, bytes: u64) -> Result<Vec<f64>> {
    let mut took_ms = Vec::new();
    for _ in 0..READS {
        let from = fastrand::u64(bytes / 4..bytes / 4 * 3 - RANGE_BYTES);
        took_ms.push(pool.runtime.block_on(pool.first_byte_ms(node, NAME, source, from, RANGE_BYTES))?);
    }
    Ok(took_ms)
}
