//! Everyone the facts know, as this node sees them now.

use fsdfs_proto::identity::card_flag;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::signed::Signed;

use crate::engine::blocks::Relays;
use crate::engine::context::Context;
use crate::engine::facts::{Liveness, PresenceWatch};
use crate::facts::{MemberInfo, MemberStatus};
use crate::report::{MemberList, MemberReport, Presence};

/// The machines that know something of members.
pub(in crate::engine) struct MemberParts<'a> {
    /// Facts and connections.
    pub cx: &'a Context,
    /// Who is there now.
    pub liveness: &'a Liveness,
    /// Who has been away for how long.
    pub presence: &'a PresenceWatch,
    /// What was passed on for others.
    pub relays: &'a Relays,
}

/// In the order of their names, and of their ids where two have the same name.
pub(in crate::engine) fn members(parts: &MemberParts<'_>) -> MemberList {
    let cx = parts.cx;
    let mut members: Vec<MemberReport> =
        cx.facts.members().iter().map(|(node, info)| member(parts, *node, info)).collect();
    members.sort_by(|one, other| (&one.name, one.node).cmp(&(&other.name, other.node)));
    debug_assert!(members.iter().filter(|member| member.me).count() <= 1, "a node is a member once");
    let admins = cx.facts.admin_list().map(|list| list.value().admins.clone()).unwrap_or_default();
    let member_bytes_max = cx.facts.rules().member_bytes_max;
    MemberList { members, tickets: cx.facts.tickets(), admins, member_bytes_max }
}

/// A member as the facts and this node's own connections show it. Before its card is heard, it has an id and a role alone.
fn member(parts: &MemberParts<'_>, node: NodeId, info: &MemberInfo) -> MemberReport {
    let MemberParts { cx, liveness, presence, relays } = *parts;
    let card = info.card.as_ref().map(Signed::value);
    let peer = cx.peers.get(node);
    MemberReport {
        node,
        name: cx.chosen_name_of(node),
        label: cx.name_of(node),
        site: card.map(|card| card.site.clone()).unwrap_or_default(),
        addrs: card.map(|card| card.addrs.clone()).unwrap_or_default(),
        full_percent: card.map_or(0, |card| card_flag::full_percent(card.flags)),
        disks: card
            .map(|card| card.disks.iter().map(|disk| (card.disk_id(disk), disk.gib)).collect())
            .unwrap_or_default(),
        believed: cx.facts.weights_of(node).map_or(0, |(_, believed)| believed),
        role: info.role,
        presence: presence_of(cx, liveness, node, info.status),
        seen: presence.report(cx, liveness, node),
        connected: cx.responsive(node),
        uplink_kib: card.and_then(|card| card.uplink),
        rtt_ms: peer.filter(|peer| peer.up).and_then(|peer| peer.rtt_ms),
        heard_s: liveness.quiet_ms(cx, node).map(|ms| ms / 1000),
        invited_by: info.invited_by,
        passed_on_bytes: relays.passed_on().get(&node).copied().unwrap_or_default(),
        me: node == cx.me,
    }
}

/// The pool's word where it has one, else this node's opinion.
pub(in crate::engine) fn presence_of(
    cx: &Context,
    liveness: &Liveness,
    node: NodeId,
    status: MemberStatus,
) -> Presence {
    match status {
        MemberStatus::Member | MemberStatus::Guest if liveness.is_present(cx, node) => Presence::Up,
        MemberStatus::Member | MemberStatus::Guest => Presence::Away,
        MemberStatus::Departed => Presence::Departed,
        MemberStatus::Removed => Presence::Removed,
        MemberStatus::Revoked => Presence::Revoked,
    }
}

#[cfg(test)]
mod tests;
