//! Which members cannot reach each other, as far as their addresses tell.

use fsdfs_core::report::{MemberReport, Presence};
use fsdfs_proto::control::{AddressScope, AttentionItem, AttentionReason};

use crate::gateway::words::attention;

/// Whether other sites can try to reach any of these.
pub(super) fn is_reachable_from_outside(addresses: &[String]) -> bool {
    addresses.iter().any(|address| matches!(AddressScope::of(address), AddressScope::Public | AddressScope::Name))
}

/// Why no other site can reach a member with these addresses.
pub(super) fn closed_in(name: &str, addresses: &[String]) -> AttentionReason {
    let name = name.to_owned();
    match addresses.first().cloned() {
        None => AttentionReason::NoAddress { name },
        Some(address) if addresses.iter().all(|address| AddressScope::of(address) == AddressScope::Loopback) => {
            AttentionReason::LoopbackAddressOnly { name, address }
        }
        Some(address) => AttentionReason::PrivateAddressOnly { name, address },
    }
}

/// Members that others cannot reach. Members at one site count as one network.
pub(super) fn warnings(members: &[MemberReport]) -> Vec<AttentionItem> {
    if is_on_one_machine(members) {
        return Vec::new();
    }
    let here = members.iter().filter(|member| matches!(member.presence, Presence::Up | Presence::Away));
    let closed: Vec<&MemberReport> = here.filter(|member| !is_reachable_from_outside(&member.addrs)).collect();
    let has_others = |one: &MemberReport| members.iter().any(|other| other.site != one.site);
    let of_members =
        closed.iter().filter(|member| has_others(member)).map(|member| closed_in(&member.label, &member.addrs));
    of_members.chain(cannot_meet(&closed)).map(attention::item).collect()
}

/// A pool for trying things out: all members publish loopback addresses only, and all of them can be reached.
fn is_on_one_machine(members: &[MemberReport]) -> bool {
    members.iter().flat_map(|member| &member.addrs).all(|address| AddressScope::of(address) == AddressScope::Loopback)
}

fn cannot_meet(closed: &[&MemberReport]) -> Option<AttentionReason> {
    let are_apart = closed.iter().any(|one| closed.iter().any(|other| one.site != other.site));
    let names = closed.iter().map(|member| member.label.clone()).collect();
    are_apart.then_some(AttentionReason::MembersUnreachable { names })
}
