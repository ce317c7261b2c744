//! Listing a large folder.

use std::time::Instant;

use anyhow::{Result, ensure};
use fsdfs_proto::control::{EditRequest, EditsRequest, EntryAttributes, POOL_VOLUME};

use crate::floor::FloorTable;
use crate::percentile::median;
use crate::pool::Pool;
use crate::report::Row;
use crate::scale::BenchScale;

const LISTINGS: usize = 20;

pub fn measure(floors: &FloorTable, scale: BenchScale, row: &mut dyn FnMut(Row)) -> Result<()> {
    let pool = Pool::start(3, false, 1 << 30)?;
    let begun = Instant::now();
    let attrs = Some(EntryAttributes { mode: 0o755, mtime_ns: 0 });
    let edit = |number: usize| {
        let path = format!("/folder/a name of usual length {number}");
        EditRequest::Folder { path: path.as_str().into(), attrs, xattrs: Vec::new(), fresh: false }
    };
    let edits = EditsRequest { volume: POOL_VOLUME.into(), edits: (0..scale.names).map(edit).collect(), work: None };
    let edited = pool.runtime.block_on(pool.clients[0].edit(&edits))?;
    ensure!(edited.edits.len() == scale.names, "{} edits were answered", edited.edits.len());
    row(Row::new("10,000 new names in one request", begun.elapsed().as_secs_f64() * 1e3, "ms"));

    row(Row::new("listing 10,000 names, first time elsewhere", list_ms(&pool, 1, scale.names)?, "ms"));
    let mut again = (0..LISTINGS).map(|_| list_ms(&pool, 0, scale.names)).collect::<Result<Vec<f64>>>()?;
    row(Row::new("listing 10,000 names, p50", median(&mut again), "ms")
        .floor("small HTTP request", floors.requests()?.median_ms));
    Ok(())
}

fn list_ms(pool: &Pool, node: usize, names: usize) -> Result<f64> {
    let begun = Instant::now();
    let page = pool.runtime.block_on(pool.clients[node].list(POOL_VOLUME, b"/folder", None, names))?;
    ensure!(page.entries.len() == names, "{} names are listed", page.entries.len());
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}
