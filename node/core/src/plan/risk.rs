//! What may be lost, and how long it takes until all copies are there again.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::NodeId;

use super::advice::PlanAdvice;
use super::blocks::BlockSample;
use super::pool::{PoolCapacity, PoolSnapshot, weights};
use super::sole_copies::{SoleCopies, site};
use crate::placement::{DataMovement, MapChange, PlacementRule};

/// Blocks placed for all losses together at most, and for one of them at least: a second of work.
const PLACED_MAX: usize = 300_000;
const PLACED_MIN: usize = 2_000;

/// The pool as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RiskReport {
    /// What fits.
    pub room: PoolCapacity,
    /// What each server should hold, bytes.
    pub shares: BTreeMap<NodeId, u64>,
    /// If this server fails.
    pub servers: BTreeMap<NodeId, LossReport>,
    /// If this site fails.
    pub sites: BTreeMap<String, LossReport>,
    /// Bytes that are gone only if both of these sites fail; pairs that lose nothing more than each alone are left out.
    pub pairs: BTreeMap<(String, String), u64>,
    /// What to do.
    pub advice: PlanAdvice,
}

/// Servers that fail for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossReport {
    /// Bytes of blocks of which no copy was seen elsewhere.
    pub lost: u64,
    /// They all said what they hold.
    pub complete: bool,
    /// Bytes to copy until every block has its copies again.
    pub copied: u64,
    /// How long that takes at the others' uplinks.
    pub seconds: u64,
    /// What fits without them.
    pub usable: u64,
    /// Copies that are possible without them.
    pub copies: u8,
}

/// What the pool holds and what it can lose.
pub fn risk_report(pool: &PoolSnapshot) -> RiskReport {
    let (rule, room) = (pool.rule(), pool.room(pool.rule()));
    let only = SoleCopies::of(pool);
    let live: Vec<NodeId> = weights(rule.view).filter(|(_, weight)| *weight > 0).map(|(node, _)| node).collect();
    let sites: BTreeSet<&str> = live.iter().filter_map(|node| site(pool, *node)).collect();
    let few = pool.blocks.first((PLACED_MAX / (live.len() + sites.len()).max(1)).max(PLACED_MIN));
    let silent = &pool.inventory.silent;
    let complete = |at: &str| silent.iter().all(|node| site(pool, *node) != Some(at));
    let loss = |change, lost: Option<&u64>, complete| loss(pool, &few, change, lost.copied().unwrap_or(0), complete);
    let server_loss = |node: &NodeId| loss(MapChange::Leave(*node), only.members.get(node), !silent.contains(node));
    let site_loss = |site: &str| loss(MapChange::FailSite(site.into()), only.sites.get(site), complete(site));
    RiskReport {
        shares: pool.blocks.shares(rule),
        servers: live.iter().map(|node| (*node, server_loss(node))).collect(),
        sites: sites.iter().map(|site| ((*site).into(), site_loss(site))).collect(),
        pairs: only.pairs.iter().map(|((one, other), bytes)| (((*one).into(), (*other).into()), *bytes)).collect(),
        advice: PlanAdvice::of(pool, rule, &room),
        room,
    }
}

fn loss(pool: &PoolSnapshot, blocks: &BlockSample, change: MapChange, lost: u64, complete: bool) -> LossReport {
    let view = pool.inventory.view.with(change).expect("the servers and sites of the map itself");
    let then = PlacementRule { view: &view, ..pool.rule() };
    let moves = DataMovement::between(pool.rule(), then, blocks.sizes());
    let whole = |bytes| blocks.whole(bytes);
    let PoolCapacity { usable, copies, copies_short, .. } = pool.room(then);
    let (copied, seconds) = (whole(moves.copied), pool.seconds(&moves, whole));
    LossReport { lost, complete, copied, seconds, usable, copies: copies - copies_short }
}
