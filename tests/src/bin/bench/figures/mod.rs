//! What fsdfs does, figure by figure. Each group has a pool of its own.

mod idle;
mod large;
mod list;
mod many;
mod memory;
mod range;
mod repair;
mod small;
mod start;

use anyhow::Result;

use crate::floor::FloorTable;
use crate::report::Row;
use crate::scale::BenchScale;

/// A group of figures that share a pool.
pub type Group = fn(&FloorTable, BenchScale, &mut dyn FnMut(Row)) -> Result<()>;

/// All groups by name, in the order of the table.
pub const ALL: [(&str, Group); 10] = [
    ("large", large::measure),
    ("range", range::measure),
    ("small", small::measure),
    ("many", many::measure),
    ("tree", many::measure_tree),
    ("list", list::measure),
    ("start", start::measure),
    ("memory", memory::measure),
    ("idle", idle::measure),
    ("repair", repair::measure),
];
