//! What fsdfs does, figure by figure. Each group has a pool of its own.

mod idle;
mod large;
mod list;
mod memory;
mod range;
mod small;
mod start;

use anyhow::Result;

use crate::floor::FloorTable;
use crate::report::Row;

/// Who asks for small files at once.
pub const CALLERS: usize = 8;

/// What was asked for on the command line.
#[derive(Clone, Copy, Debug)]
pub struct BenchScale {
    /// Of a large file.
    pub bytes: u64,
    /// Small files.
    pub files: usize,
    /// Names in a folder.
    pub names: usize,
    /// Through the nodes in each direction, while memory is watched.
    pub memory_bytes: u64,
    /// Of rest.
    pub idle_s: u64,
}

/// A group of figures that share a pool.
pub type Group = fn(&FloorTable, BenchScale, &mut dyn FnMut(Row)) -> Result<()>;

/// All groups by name, in the order of the table.
pub const ALL: [(&str, Group); 7] = [
    ("large", large::measure),
    ("range", range::measure),
    ("small", small::measure),
    ("list", list::measure),
    ("start", start::measure),
    ("memory", memory::measure),
    ("idle", idle::measure),
];

/// The middle one.
pub fn median(values: &mut [f64]) -> f64 {
    percentile(values, 50)
}

/// The one that so many percent do not exceed.
pub fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(place).copied().unwrap_or(f64::NAN)
}
