//! What a run is like.

use crate::world::queue::{Micros, S};
use crate::world::{HostileWay, SeededBug};

/// The first members connect before anything happens.
pub(super) const WARM_UP: Micros = 20 * S;
/// Minutes of a run in which all breaks at once.
const CROWDED_MINUTES: u64 = 10;
/// Minutes of a run of homes: each has a night in it, or most of one.
const HOUSEHOLD_MINUTES: u64 = 20 * 60;

/// What befalls a pool in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunKind {
    /// Something breaks every few seconds, for minutes.
    #[default]
    Crowded,
    /// Homes whose machines sleep, are away for hours, burn, and come back, for days.
    Household,
}

/// What a run is like.
#[derive(Clone, Copy, Debug)]
pub struct RunShape {
    /// Decides everything else.
    pub seed: u64,
    /// What befalls the pool.
    pub kind: RunKind,
    /// Machines, including those that join late; homes, at most.
    pub nodes: usize,
    /// Simulated minutes with faults.
    pub minutes: u64,
    /// Members that begin to lie.
    pub hostile: usize,
    /// How all of them lie; none: each as it is drawn.
    pub way: Option<HostileWay>,
    /// Nodes of homes delete what no state needs; those of a crowd do so always.
    pub collects: bool,
    /// A bug that all nodes have.
    pub bug: Option<SeededBug>,
}

impl RunShape {
    /// As seeds are run by default.
    pub fn of(seed: u64) -> Self {
        let (kind, minutes, collects) = (RunKind::Crowded, CROWDED_MINUTES, true);
        Self { seed, kind, nodes: 10, minutes, hostile: 0, way: None, collects, bug: None }
    }

    /// As seeds of homes are run by default.
    pub fn household(seed: u64) -> Self {
        let (kind, minutes, collects) = (RunKind::Household, HOUSEHOLD_MINUTES, false);
        Self { kind, nodes: 8, minutes, collects, ..Self::of(seed) }
    }

    /// When faults end.
    pub fn end(&self) -> Micros {
        WARM_UP + self.minutes * 60 * S
    }
}
