//! What moved.

use std::collections::BTreeMap;

use super::change::PoolChange;
use super::layout::PoolLayout;
use crate::study::family::PlacementKind;

/// Blocks in each pool.
pub const BLOCKS: u64 = 50_000;
/// Changes in a row.
pub const ROW: u64 = 200;

/// Copies, in blocks: those that were made, and the least possible.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockMoves {
    pub made: f64,
    pub least: f64,
}

/// What moved, by pool, function and change.
pub struct MovementMeasure {
    pub moves: BTreeMap<(PoolLayout, PlacementKind, PoolChange), BlockMoves>,
    /// The single server whose removal moved most for what it had to.
    pub worst: BTreeMap<(PoolLayout, PlacementKind), f64>,
    /// All changes in a row.
    pub row: BTreeMap<PlacementKind, BlockMoves>,
}

impl BlockMoves {
    pub fn add(&mut self, other: Self) {
        self.made += other.made;
        self.least += other.least;
    }

    /// How many times the least.
    pub fn ratio(self) -> f64 {
        self.made / self.least
    }
}
