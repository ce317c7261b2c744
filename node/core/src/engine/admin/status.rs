//! State of node and pool, and what needs the owner's attention.

use std::collections::BTreeMap;

use fsdfs_proto::identity::card_flag;
use fsdfs_proto::ids::{BlockId, NodeId};

use crate::engine::blocks::{Audits, Holdings, Relays, Repair, ReplicationLog};
use crate::engine::context::Context;
use crate::engine::facts::{Gossip, KeyRing, Liveness, OwnCard, PresenceWatch};
use crate::engine::space::Collector;
use crate::engine::volume::LocalHeads;
use crate::facts::{MemberInfo, MemberStatus};
use crate::limits::{CLOCK_OFF_MS_MAX, KEY_AWAITED_MS_MAX, NEARLY_FULL_PERCENT};
use crate::placement::{ClusterMap, MapServer, room_left};
use crate::report::{Attention, AwayReason, MapReport, Presence, StatusReport, full_percent};
use crate::seam::{DiskCondition, DiskState};

use super::drain::is_drained;
use super::presence_of;

/// The machines whose state is reported.
pub(in crate::engine) struct StatusParts<'a> {
    /// Facts, connections, clocks, disks.
    pub cx: &'a Context,
    /// Who is away.
    pub liveness: &'a Liveness,
    /// For how long, and why.
    pub presence: &'a PresenceWatch,
    /// Changes that only this node knows of.
    pub heads: &'a LocalHeads,
    /// What is still to be copied.
    pub repair: &'a Repair,
    /// Copies that are known to be missing.
    pub replication: &'a ReplicationLog,
    /// Who proved what it says.
    pub audits: &'a Audits,
    /// The log in the home folder.
    pub gossip: &'a Gossip,
    /// Keys that are still on their way.
    pub keys: &'a KeyRing,
    /// What was passed on for others.
    pub relays: &'a Relays,
    /// What lies on the disks.
    pub holdings: &'a Holdings,
    /// What the others are told of them.
    pub card: &'a OwnCard,
    /// What they are for.
    pub collector: &'a Collector,
}

/// What placement reads now, with the digest by which two nodes see whether they agree.
pub(in crate::engine) fn cluster_map(cx: &Context) -> MapReport {
    MapReport { digest: cx.map_digest, copies: cx.copies(), view: cx.map.clone() }
}

/// Counts are of others: this node is neither connected to itself nor one of the members it tells of.
pub(in crate::engine) fn status(parts: &StatusParts<'_>) -> StatusReport {
    let StatusParts { cx, repair, replication, audits, .. } = parts;
    let unproven = audits.unproven(cx);
    let counts = |member: &&MemberInfo| matches!(member.status, MemberStatus::Member | MemberStatus::Guest);
    StatusReport {
        pool: cx.pool,
        node: cx.me,
        copies: cx.copies(),
        member_bytes_max: cx.facts.rules().member_bytes_max,
        ready: cx.ready(),
        has_key: cx.has_current_key(cx.pool.volume()),
        connected: cx.peers.up().into_iter().filter(|node| cx.responsive(*node)).count(),
        members: cx.facts.members().values().filter(counts).count().saturating_sub(1),
        disks: cx.disks.clone(),
        absent: parts.card.absent(cx),
        repair_pending: repair.pending(replication),
        repair_sent: repair.sent(),
        repair_received: repair.pulled(),
        repair_running: repair.is_running(cx, parts.holdings),
        passed_on_bytes: parts.relays.passed_on().values().sum(),
        charged: parts.holdings.counted(),
        replication_margin: replication.margin().map(|margin| proven_margin(margin, unproven.len(), cx.copies())),
        unverified: unproven.into_iter().map(|node| cx.name_of(node)).collect(),
        clock_off_min: cx.clock_off_ms() / 60_000,
        space: parts.collector.report().cloned(),
        attention: attention(parts),
    }
}

/// A copy counts when its holder has proved what it says, and this node's own does; so the block with the fewest may have as many fewer
/// as there are members that have proved nothing.
fn proven_margin((min, max): (i64, i64), unproven: usize, copies: u8) -> (i64, i64) {
    let own_only = 1 - i64::from(copies);
    let proven = min.saturating_sub(i64::try_from(unproven).unwrap_or(i64::MAX));
    (proven.max(own_only.min(min)), max)
}

/// What the owner should do something about, the most important first.
fn attention(parts: &StatusParts<'_>) -> Vec<Attention> {
    let StatusParts { cx, liveness, heads, gossip, keys, .. } = parts;
    let mut said = Vec::new();
    if cx.duplicate_identity {
        said.push(Attention::DuplicateIdentity);
    }
    said.extend(match cx.facts.members().get(&cx.me).map(|me| me.status) {
        Some(MemberStatus::Revoked) => Some(Attention::Revoked),
        Some(MemberStatus::Removed) => Some(Attention::Removed),
        Some(MemberStatus::Guest) => Some(Attention::Guest),
        _ if is_drained(cx) => Some(Attention::Draining),
        _ => None,
    });
    // Most keys come within a second.
    let awaited = keys.awaited(cx, liveness).filter(|wait| cx.now.mono >= wait.since + KEY_AWAITED_MS_MAX);
    said.extend(awaited.map(|wait| Attention::AwaitsKey {
        seconds: (cx.now.mono - wait.since) / 1000,
        away: wait.away.into_iter().map(|node| cx.name_of(node)).collect(),
    }));
    if cx.facts.is_root_key_contradicted() {
        said.push(Attention::RootKeyCopied { number: cx.facts.root_facts().current() });
    }
    // The same bound that makes invitations and stamps refuse.
    let off = cx.clock_off_ms();
    if off.unsigned_abs() > CLOCK_OFF_MS_MAX {
        said.push(Attention::ClockOff { minutes: off / 60_000 });
    }
    if gossip.log_behind {
        said.push(Attention::HomeFailed);
    }
    if !heads.is_empty() {
        said.push(Attention::Unpublished);
    }
    let quarantined = heads.quarantine.reported(cx);
    said.extend(quarantined.map(|(_, bad)| Attention::QuarantinedHead {
        author: cx.name_of(bad.head.value().author),
        commit: BlockId::of(&bad.head.value().commit),
        fault: bad.fault.clone(),
    }));
    said.extend(cx.disks.iter().filter_map(disk_attention));
    said.extend(absences(parts));
    let copies = cx.copies();
    let short = cx.map.capacity(copies).copies_short;
    debug_assert!(short <= copies, "no more copies can be missing than are wanted");
    if short > 0 {
        said.push(Attention::TooFewServers { possible: copies - short, copies });
    }
    said.extend(pool_attention(&rooms(cx), copies - short));
    said.extend(offers_capped(cx));
    said.extend(branch_bound(cx));
    for (node, _) in cx.peers.iter().filter(|(_, peer)| peer.distrusted) {
        said.push(Attention::FailsAudits { name: cx.name_of(node) });
    }
    for (node, peer) in cx.peers.iter().filter(|(_, peer)| peer.wrong_blocks > 0) {
        said.push(Attention::WrongBlocks { name: cx.name_of(node), blocks: peer.wrong_blocks });
    }
    said
}

/// Departed, removed and revoked members are known to be gone, and who said when it comes back, or is usually away at this
/// time, is not missed; the others may need help.
fn absences(parts: &StatusParts<'_>) -> Vec<Attention> {
    let StatusParts { cx, liveness, presence, .. } = parts;
    let members = cx.facts.members().iter();
    let away = members.filter(|(node, info)| presence_of(cx, liveness, **node, info.status) == Presence::Away);
    let (mut names, mut together) = (Vec::new(), Vec::new());
    for (node, _) in away {
        match presence.report(cx, liveness, *node).away {
            Some(AwayReason::Outage) => together.push(cx.name_of(*node)),
            Some(AwayReason::Unexplained) | None => names.push(cx.name_of(*node)),
            Some(AwayReason::Announced { .. } | AwayReason::UsualHours { .. }) => {}
        }
    }
    let outage = (!together.is_empty()).then_some(Attention::Outage { names: together });
    outage.into_iter().chain((!names.is_empty()).then_some(Attention::Away { names })).collect()
}

fn disk_attention(disk: &DiskState) -> Option<Attention> {
    let (percent, condition, disk) = (disk.full_percent(), disk.condition, disk.id);
    if condition != DiskCondition::Good {
        return Some(Attention::DiskTakesNothing { disk, condition });
    }
    (percent >= NEARLY_FULL_PERCENT).then_some(Attention::DiskNearlyFull { disk, percent })
}

/// Members whose offer is not believed whole.
fn offers_capped(cx: &Context) -> Option<Attention> {
    let is_capped = |node: &NodeId| cx.facts.weights_of(*node).is_some_and(|(offered, believed)| believed < offered);
    let servers = cx.map.servers().iter().map(|server| server.id);
    let names: Vec<String> = servers.filter(is_capped).map(|node| cx.name_of(node)).collect();
    (!names.is_empty()).then_some(Attention::OfferCapped { names })
}

/// The branch that is bound, if that costs something worth a word.
fn branch_bound(cx: &Context) -> Option<Attention> {
    let copies = cx.copies();
    let free = cx.map.servers().iter().map(|server| MapServer { branch: None, ..server.clone() });
    let (bound, free) = (cx.map.capacity(copies).usable, ClusterMap::new(free.collect()).capacity(copies).usable);
    let percent = (u128::from(free.saturating_sub(bound)) * 100).checked_div(free.into())?;
    let percent = u8::try_from(percent).unwrap_or(100);
    // At most one branch can have more than all copies but one.
    let mut weights = BTreeMap::<NodeId, u64>::new();
    for server in cx.map.servers() {
        if let Some(branch) = server.branch {
            *weights.entry(branch).or_default() += server.weight();
        }
    }
    let (branch, _) = weights.into_iter().max_by_key(|(_, weight)| *weight)?;
    let members = cx.map.servers().iter().filter(|server| server.branch == Some(branch) && server.id != branch);
    let names: Vec<String> = members.map(|server| cx.name_of(server.id)).collect();
    (percent > 0 && !names.is_empty()).then_some(Attention::BranchBound { names, percent })
}

/// What each server gives, and what it has left of it, both in hundredths of a unit of weight. As the cards say; this node
/// knows its own disks better.
fn rooms(cx: &Context) -> Vec<(u64, u64)> {
    let room = |server: &MapServer| {
        let weight: u64 = server.disks.iter().map(|disk| u64::from(disk.weight)).sum();
        let card = cx.facts.members().get(&server.id).and_then(|member| member.card.as_ref());
        let full = match card {
            _ if server.id == cx.me => full_percent(cx.disks.iter().copied()),
            Some(card) => card_flag::full_percent(card.value().flags),
            None => 0,
        };
        (weight * 100, weight * u64::from(100 - full))
    };
    cx.map.servers().iter().map(room).collect()
}

/// Whether new files find room for all the copies that are possible, and how much of the pool is used up.
fn pool_attention(rooms: &[(u64, u64)], copies: u8) -> Option<Attention> {
    let with_room = rooms.iter().filter(|(_, left)| *left > 0).count();
    if with_room < copies.into() {
        return Some(Attention::PoolFull { with_room, copies });
    }
    let whole = room_left(rooms.iter().map(|(given, _)| *given), copies);
    let left = room_left(rooms.iter().map(|(_, left)| *left), copies);
    let free_percent = (u128::from(left) * 100).checked_div(whole.into())?;
    let percent = 100u8.saturating_sub(u8::try_from(free_percent).unwrap_or(100));
    (percent >= NEARLY_FULL_PERCENT).then_some(Attention::PoolNearlyFull { percent })
}

#[cfg(test)]
mod tests;
