//! State of node and pool, and what needs the owner's attention.

use crate::engine::blocks::{Repair, ReplicationLog};
use crate::engine::context::Context;
use crate::engine::facts::Liveness;
use crate::engine::volume::LocalHeads;
use crate::facts::{MemberInfo, MemberStatus};
use crate::limits::CLOCK_OFF_MS_MAX;
use crate::report::{Attention, MapReport, Presence, StatusReport};

use super::presence_of;

/// The machines whose state is reported.
pub(in crate::engine) struct StatusParts<'a> {
    /// Facts, connections, clocks, disks.
    pub cx: &'a Context,
    /// Who is away.
    pub liveness: &'a Liveness,
    /// Changes that only this node knows of.
    pub heads: &'a LocalHeads,
    /// What is still to be copied.
    pub repair: &'a Repair,
    /// Copies that are known to be missing.
    pub replication: &'a ReplicationLog,
}

/// What placement reads now, with the digest by which two nodes see whether they agree.
pub(in crate::engine) fn cluster_map(cx: &Context) -> MapReport {
    MapReport { digest: cx.map_digest, copies: cx.copies(), view: cx.map.clone() }
}

/// Counts are of others: this node is neither connected to itself nor one of the members it tells of.
pub(in crate::engine) fn status(parts: &StatusParts<'_>) -> StatusReport {
    let StatusParts { cx, repair, replication, .. } = parts;
    let counts = |member: &&MemberInfo| matches!(member.status, MemberStatus::Member | MemberStatus::Guest);
    StatusReport {
        pool: cx.pool,
        node: cx.me,
        copies: cx.copies(),
        ready: cx.ready(),
        has_key: cx.keys.contains_key(&cx.pool.volume()),
        connected: cx.peers.up().into_iter().filter(|node| cx.responsive(*node)).count(),
        members: cx.facts.members().values().filter(counts).count().saturating_sub(1),
        disks: cx.disks.clone(),
        repair_pending: repair.pending(replication),
        repair_sent: repair.sent(),
        repair_running: repair.is_running(),
        replication_margin: replication.margin(),
        clock_off_min: cx.clock_off_ms() / 60_000,
        attention: attention(parts),
    }
}

/// What the owner should do something about, the most important first.
fn attention(parts: &StatusParts<'_>) -> Vec<Attention> {
    let StatusParts { cx, liveness, heads, .. } = parts;
    let mut said = Vec::new();
    if cx.duplicate_identity {
        said.push(Attention::DuplicateIdentity);
    }
    said.extend(match cx.facts.members().get(&cx.me).map(|me| me.status) {
        Some(MemberStatus::Revoked) => Some(Attention::Revoked),
        Some(MemberStatus::Removed) => Some(Attention::Removed),
        Some(MemberStatus::Guest) => Some(Attention::Guest),
        _ => None,
    });
    // The same bound that makes invitations and stamps refuse.
    let off = cx.clock_off_ms();
    if off.unsigned_abs() > CLOCK_OFF_MS_MAX {
        said.push(Attention::ClockOff { minutes: off / 60_000 });
    }
    if !heads.is_empty() {
        said.push(Attention::Unpublished);
    }
    if cx.disks.iter().any(|disk| disk.read_only) {
        said.push(Attention::DiskReadOnly);
    }
    // Departed, removed and revoked members are known to be gone; whoever is away may come back, or need help.
    let members = cx.facts.members().iter();
    let away = members.filter(|(node, info)| presence_of(cx, liveness, **node, info.status) == Presence::Away);
    let names: Vec<String> = away.map(|(node, _)| cx.name_of(*node)).collect();
    if !names.is_empty() {
        said.push(Attention::Away { names });
    }
    let copies = cx.copies();
    let short = cx.map.capacity(copies).copies_short;
    debug_assert!(short <= copies, "no more copies can be missing than are wanted");
    if short > 0 {
        said.push(Attention::TooFewServers { possible: copies - short, copies });
    }
    for (node, peer) in cx.peers.iter().filter(|(_, peer)| peer.wrong_blocks > 0) {
        said.push(Attention::WrongBlocks { name: cx.name_of(node), blocks: peer.wrong_blocks });
    }
    said
}

#[cfg(test)]
mod tests;
