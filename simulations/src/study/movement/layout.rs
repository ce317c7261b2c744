//! The pools that are changed.

use crate::study::family::PlacementKind;

/// Random pools of each kind.
pub const DRAWN: u64 = 3;

/// The pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolLayout {
    /// Random servers, sites.
    Random(usize, usize),
    /// Eight batches of five equal servers: the world of the RUSH papers.
    Batches,
}

pub const POOLS: [PoolLayout; 4] =
    [PoolLayout::Random(10, 10), PoolLayout::Random(30, 30), PoolLayout::Random(30, 12), PoolLayout::Batches];

impl PoolLayout {
    /// Only ours knows of sites.
    pub fn functions(self) -> &'static [PlacementKind] {
        match self {
            Self::Random(servers, sites) if sites < servers => &[PlacementKind::Ours],
            _ => &PlacementKind::ALL,
        }
    }

    pub fn name(self) -> String {
        match self {
            Self::Random(servers, sites) if servers == sites => format!("{servers} servers, each at its own site"),
            Self::Random(servers, sites) => format!("{servers} servers at {sites} sites"),
            Self::Batches => "eight batches of five equal servers".into(),
        }
    }
}
