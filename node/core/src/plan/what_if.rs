//! What one change of the pool would move.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::NodeId;

use super::advice::PlanAdvice;
use super::change::{PlanError, PlannedChange};
use super::pool::{PoolCapacity, PoolSnapshot, weights};
use super::sole_copies::only_on;
use crate::placement::{self, COPIES_MAX, ClusterMap, DataMovement, MapServer, PlacementRule, ServerFlow};

/// A newcomer is imagined again, with another id, until this many blocks were placed, at most [`NEWCOMERS_MAX`] times: what it
/// would get by luck evens out.
const PLACED_MIN: usize = 1 << 16;
const NEWCOMERS_MAX: usize = 64;
/// Outcomes that tell how far others may lie from them.
const OUTCOMES_MIN: usize = 8;

/// What a change means. Bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhatIf {
    /// What fits now.
    pub now: PoolCapacity,
    /// What fits then.
    pub then: PoolCapacity,
    /// By member, those with storage now or then.
    pub members: BTreeMap<NodeId, MemberChange>,
    /// The newcomer.
    pub newcomer: Option<MemberChange>,
    /// To be copied from server to server.
    pub copied: u64,
    /// Of blocks that would be gone: no copy was seen elsewhere.
    pub lost: u64,
    /// Until all is copied, at the members' uplinks.
    pub seconds: u64,
    /// Two standard deviations of `copied`, in thousandths; 0 = exact.
    pub error_permille: u64,
    /// What to do.
    pub advice: PlanAdvice,
}

/// What it means for one member. Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberChange {
    /// What it should hold now.
    pub holds: u64,
    /// What it should hold then.
    pub holds_then: u64,
    /// What moves.
    pub flow: ServerFlow,
    /// How long it sends.
    pub seconds: u64,
}

/// Answers "what if".
pub fn what_if(pool: &PoolSnapshot, change: &PlannedChange) -> Result<WhatIf, PlanError> {
    let ChangeOutcomes { views, copies, newcomers } = outcomes(pool, change)?;
    let then = PlacementRule { view: views.first().expect("there is always an outcome"), copies };
    let (moves, spread) = mean_moves(pool, &views, copies, &newcomers);
    let shares = pool.blocks.shares(pool.rule());
    let member = |node: &NodeId| {
        let flow = moves.servers.get(node).copied().unwrap_or_default();
        let holds = shares.get(node).copied().unwrap_or_default();
        let seconds = flow.uploads.div_ceil(pool.uplink(*node).0);
        MemberChange {
            holds,
            holds_then: holds.saturating_add(flow.receives).saturating_sub(flow.frees),
            flow,
            seconds,
        }
    };
    let room = pool.room(then);
    Ok(WhatIf {
        now: pool.room(pool.rule()),
        members: storing(pool, then.view).iter().map(|node| (*node, member(node))).collect(),
        newcomer: newcomers.first().map(member),
        copied: moves.copied,
        lost: if let PlannedChange::Remove(node) = change { only_on(pool, *node) } else { 0 },
        seconds: pool.seconds(&moves, |bytes| bytes),
        error_permille: error(pool, change, moves.copied, spread),
        advice: PlanAdvice::of_change(pool, change, then, &room),
        then: room,
    })
}

/// Maps that may come of a change, all equally likely, and who is new in each.
struct ChangeOutcomes {
    views: Vec<ClusterMap>,
    copies: u8,
    newcomers: Vec<NodeId>,
}

fn outcomes(pool: &PoolSnapshot, change: &PlannedChange) -> Result<ChangeOutcomes, PlanError> {
    let view = &pool.inventory.view;
    let one =
        |view: ClusterMap| ChangeOutcomes { views: vec![view], copies: pool.inventory.copies, newcomers: Vec::new() };
    // Who has no card is not in the map: nothing changes by its leaving.
    let without = |change| one(view.with(change).unwrap_or_else(|_| view.clone()));
    match change {
        PlannedChange::Remove(node) => Ok(without(placement::MapChange::Leave(*node))),
        PlannedChange::Drain(node) => Ok(without(placement::MapChange::Drain(*node))),
        PlannedChange::Copies(copies) if (1..=COPIES_MAX).contains(copies) => {
            Ok(ChangeOutcomes { copies: *copies, ..one(view.clone()) })
        }
        PlannedChange::Copies(_) => Err(PlanError::Copies),
        PlannedChange::Add { bytes, site, to } => Ok(additions(pool, weight(pool, *bytes, *to)?, site.as_deref(), *to)),
    }
}

/// Units that count, under the pool's cap for a server.
fn weight(pool: &PoolSnapshot, bytes: u64, to: Option<NodeId>) -> Result<u32, PlanError> {
    let units = u32::try_from(bytes / pool.unit_bytes)
        .map_err(|_| PlanError::TooLarge(pool.unit_bytes.saturating_mul(u32::MAX.into())))?;
    match pool.inventory.weight_max {
        _ if units == 0 => Err(PlanError::TooSmall(pool.unit_bytes)),
        0 => Ok(units),
        most => {
            let counts = to.and_then(|node| pool.inventory.view.server(node)).map_or(0, MapServer::weight);
            Ok(units.min(most.saturating_sub(u32::try_from(counts).unwrap_or(u32::MAX))))
        }
    }
}

fn additions(pool: &PoolSnapshot, weight: u32, site: Option<&str>, to: Option<NodeId>) -> ChangeOutcomes {
    let times = (PLACED_MIN / pool.blocks.listed().len().max(1)).clamp(1, NEWCOMERS_MAX);
    let mut outcomes = ChangeOutcomes { views: Vec::new(), copies: pool.inventory.copies, newcomers: Vec::new() };
    for time in 0..times {
        // A member who knows how ids are imagined may have taken one, but not all of them.
        let mut others =
            (time..).step_by(NEWCOMERS_MAX).map(|name| newcomer(&format!("newcomer {name}"), site, weight));
        let fits = |server: MapServer| {
            let (id, disk) = (server.id, server.disks[0]);
            let change =
                to.map_or(placement::MapChange::Join(server), |member| placement::MapChange::Mount(member, disk));
            Some((id, pool.inventory.view.with(change).ok()?))
        };
        let (id, view) = others.find_map(fits).expect("more names than members have disks, and the member is there");
        outcomes.newcomers.extend(to.is_none().then_some(id));
        outcomes.views.push(view);
    }
    outcomes
}

fn newcomer(name: &str, site: Option<&str>, weight: u32) -> MapServer {
    let server = MapServer::imagined(name, site.unwrap_or_default(), weight);
    // As a node without a site of its owner's choice is at one of its own.
    if site.is_none() { MapServer { site: server.id.to_string(), ..server } } else { server }
}

/// What moves in the mean, for the whole pool, and how far the outcomes lie apart. All newcomers are the first one here.
fn mean_moves(
    pool: &PoolSnapshot,
    views: &[ClusterMap],
    copies: u8,
    newcomers: &[NodeId],
) -> (DataMovement, Option<u64>) {
    let (mut sum, mut copied) = (DataMovement::default(), Vec::new());
    for view in views {
        let moves = DataMovement::between(pool.rule(), PlacementRule { view, copies }, pool.blocks.sizes());
        copied.push(moves.copied);
        for (node, flow) in moves.servers {
            let is_new = newcomers.contains(&node);
            add(sum.servers.entry(if is_new { newcomers[0] } else { node }).or_default(), flow);
        }
    }
    sum.copied = copied.iter().sum();
    let mean = |bytes: &mut u64| *bytes = pool.blocks.whole(*bytes / views.len() as u64);
    mean(&mut sum.copied);
    let flows = sum.servers.values_mut();
    flows.flat_map(|flow| [&mut flow.receives, &mut flow.uploads, &mut flow.frees, &mut flow.shifts]).for_each(mean);
    (sum, spread_permille(&copied))
}

/// Two standard deviations of these outcomes, in thousandths of their mean; none if they are too few to tell.
fn spread_permille(outcomes: &[u64]) -> Option<u64> {
    let count = outcomes.len() as u128;
    let mean = outcomes.iter().map(|bytes| u128::from(*bytes)).sum::<u128>().checked_div(count)?;
    let squares: u128 = outcomes.iter().map(|bytes| u128::from(*bytes).abs_diff(mean).pow(2)).sum();
    let spread = (2000 * (squares / count).isqrt()).checked_div(mean).unwrap_or(0);
    (outcomes.len() >= OUTCOMES_MIN).then(|| u64::try_from(spread).unwrap_or(u64::MAX))
}

fn add(sum: &mut ServerFlow, flow: ServerFlow) {
    sum.receives += flow.receives;
    sum.uploads += flow.uploads;
    sum.frees += flow.frees;
    sum.shifts += flow.shifts;
}

/// Members that store now or then; newcomers are none.
fn storing(pool: &PoolSnapshot, then: &ClusterMap) -> BTreeSet<NodeId> {
    let now = &pool.inventory.view;
    let live = weights(now).chain(weights(then)).filter(|(_, weight)| *weight > 0);
    live.map(|(node, _)| node).filter(|node| now.server(*node).is_some()).collect()
}

/// Chance plays a part where not all blocks were listed, and in a newcomer's id.
fn error(pool: &PoolSnapshot, change: &PlannedChange, copied: u64, spread: Option<u64>) -> u64 {
    let is_new = matches!(change, PlannedChange::Add { .. });
    match (pool.blocks.is_whole(), spread) {
        (true, _) if !is_new => 0,
        (true, Some(spread)) => spread,
        _ => pool.blocks.error_permille(copied).unwrap_or(0),
    }
}
