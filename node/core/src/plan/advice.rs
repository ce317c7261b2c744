//! The one thing to do next.

use std::collections::BTreeMap;

use fsdfs_proto::ids::NodeId;

use super::change::PlannedChange;
use super::pool::{PoolCapacity, PoolSnapshot, weights};
use super::sole_copies::only_on;
use crate::limits::NEARLY_FULL_PERCENT;
use crate::placement::{ClusterMap, PlacementRule};

/// What follows from a plan; of several things the most pressing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanAdvice {
    /// The member has the only copies of blocks: first let the others copy them, if there are any.
    HandOver {
        /// There are others, and the target is more than one copy.
        to_others: bool,
    },
    /// The member did not list what it holds.
    NotListed,
    /// The member gives no storage, so nothing moves.
    NoStorage,
    /// No server with storage is left.
    NoServer,
    /// What is stored does not fit: this many bytes more are needed.
    TooFull(u64),
    /// The copies need this many more servers.
    MoreServers(u8),
    /// Blocks are under-replicated, by up to this many copies.
    Missing(u8),
    /// The same, without those of members that did not answer.
    Absent(u8),
    /// The copies need this many more sites, or one site failure takes several of them.
    MoreSites(u8),
    /// There is one copy only: each failure loses data.
    OneCopy,
    /// A site is larger than the others can match.
    Match {
        /// The server there with the most bytes stranded.
        node: NodeId,
        /// Bytes of all servers that are stranded.
        stranded: u64,
        /// Bytes that other sites would have to give beside it, so that all of it is of use.
        missing: u64,
    },
    /// This many percent are used.
    NearlyFull(u64),
    /// Nothing.
    Nothing,
}

/// Space stranded that is not worth a word: one part in this many.
const STRANDED_PART: u64 = 100;

impl PlanAdvice {
    /// What a change calls for.
    pub(super) fn of_change(
        pool: &PoolSnapshot,
        change: &PlannedChange,
        then: PlacementRule<'_>,
        room: &PoolCapacity,
    ) -> Self {
        let gives = |node: &NodeId| weights(&pool.inventory.view).any(|(other, weight)| other == *node && weight > 0);
        match change {
            PlannedChange::Remove(node) if only_on(pool, *node) > 0 => {
                Self::HandOver { to_others: then.copies > 1 && room.given > 0 }
            }
            PlannedChange::Remove(node) if pool.inventory.silent.contains(node) => Self::NotListed,
            PlannedChange::Remove(node) | PlannedChange::Drain(node) if !gives(node) => Self::NoStorage,
            // What is missing now is another matter than the change.
            _ => Self::of_map(pool, then, room),
        }
    }

    /// What the pool as it is calls for.
    pub(super) fn of(pool: &PoolSnapshot, rule: PlacementRule<'_>, room: &PoolCapacity) -> Self {
        let there = usize::from(room.copies - room.copies_short);
        let missing = pool.blocks.copies().map_or(0, |(least, _)| there.saturating_sub(least));
        match (Self::of_map(pool, rule, room), u8::try_from(missing).unwrap_or(u8::MAX)) {
            (advice @ (Self::NoServer | Self::TooFull(_) | Self::MoreServers(_)), _) | (advice, 0) => advice,
            (_, missing) if pool.inventory.silent.is_empty() => Self::Missing(missing),
            (_, missing) => Self::Absent(missing),
        }
    }

    fn of_map(pool: &PoolSnapshot, rule: PlacementRule<'_>, room: &PoolCapacity) -> Self {
        let stored = pool.blocks.bytes();
        let filled = stored.saturating_mul(100).checked_div(room.usable).unwrap_or(0);
        let stranded = room.stranded.values().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
        let worst = room.stranded.iter().max_by_key(|(_, bytes)| **bytes);
        match worst {
            _ if room.given == 0 => Self::NoServer,
            _ if stored > room.usable => Self::TooFull(stored - room.usable),
            _ if room.copies_short > 0 => Self::MoreServers(room.copies_short),
            _ if room.sites_short > 0 => Self::MoreSites(room.sites_short),
            _ if room.copies == 1 => Self::OneCopy,
            _ if filled >= NEARLY_FULL_PERCENT.into() => Self::NearlyFull(filled),
            Some((node, _)) if stranded > room.given / STRANDED_PART && missing(rule) > 0 => {
                Self::Match { node: *node, stranded, missing: missing(rule).saturating_mul(pool.unit_bytes) }
            }
            _ => Self::Nothing,
        }
    }
}

/// Units that sites besides the largest lack, so that each of its units finds N - 1 others.
fn missing(PlacementRule { view, copies }: PlacementRule<'_>) -> u64 {
    let sites = sites(view);
    let largest = sites.values().copied().max().unwrap_or(0);
    let all: u64 = sites.values().sum();
    largest.saturating_mul(copies.into()).saturating_sub(all)
}

fn sites(view: &ClusterMap) -> BTreeMap<&str, u64> {
    let mut sites: BTreeMap<&str, u64> = BTreeMap::new();
    for (server, (_, weight)) in view.servers().iter().zip(weights(view)) {
        *sites.entry(&server.site).or_default() += weight;
    }
    sites
}
