//! Whose facts this node knows, and as of when, directly or through others.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::repair::{HEARD_MAX, HeardMember, HeardMembers};

/// Tellers of one member that are remembered: two are wanted, and one may fall out.
const TELLERS_MAX: usize = 3;
/// In a pool of so many members two have to say the same: one alone may lie.
const BY_TWO_FROM: usize = 4;

/// Monotonic milliseconds throughout; it begins anew with each start.
#[derive(Default)]
pub(super) struct HearingTable {
    /// When facts were exchanged with a member last while it kept none to itself.
    exchanged: BTreeMap<NodeId, u64>,
    /// Who said last of a member that it exchanged facts with it so, and as of when; the latest first.
    through: BTreeMap<NodeId, Vec<(NodeId, u64)>>,
}

impl HearingTable {
    /// Facts were exchanged with a member, which has nothing that it tells nobody.
    pub fn on_exchange(&mut self, node: NodeId, mono: u64) {
        self.exchanged.insert(node, mono);
    }

    /// What is said to the others. `connected`: members this node is connected to; `unpublished`: it keeps heads to itself.
    pub fn told(&self, mono: u64, connected: &BTreeSet<NodeId>, unpublished: bool) -> HeardMembers {
        let named: BTreeSet<NodeId> = self.exchanged.keys().chain(connected).copied().collect();
        let member = |node: NodeId| HeardMember {
            node,
            age_ms: self.exchanged.get(&node).map(|at| mono.saturating_sub(*at)),
            connected: connected.contains(&node),
        };
        HeardMembers { unpublished, members: named.into_iter().take(HEARD_MAX).map(member).collect() }
    }

    /// What another member says. Of those whom it names this node knows everything, once it has exchanged facts with the
    /// teller after that; so only what is older than the last exchange with it counts.
    pub fn on_told(&mut self, from: NodeId, said: &HeardMembers, mono: u64, is_member: impl Fn(NodeId) -> bool) {
        if said.unpublished {
            self.exchanged.remove(&from);
        }
        let Some(exchanged) = self.exchanged.get(&from).copied() else { return };
        let members = said.members.iter().filter(|heard| heard.node != from && is_member(heard.node));
        for (node, age_ms) in members.filter_map(|heard| Some((heard.node, heard.age_ms?))) {
            let at = mono.saturating_sub(age_ms).min(exchanged);
            let tellers = self.through.entry(node).or_default();
            tellers.retain(|(teller, _)| *teller != from);
            tellers.push((from, at));
            tellers.sort_by_key(|(teller, at)| (std::cmp::Reverse(*at), *teller));
            tellers.truncate(TELLERS_MAX);
        }
    }

    /// As of when this node knows all that a member had told, in a pool of so many.
    pub fn known_as_of(&self, node: NodeId, members: usize) -> Option<u64> {
        let wanted = if members >= BY_TWO_FROM { 2 } else { 1 };
        let through = self.through.get(&node).and_then(|tellers| tellers.get(wanted - 1)).map(|(_, at)| *at);
        self.exchanged.get(&node).copied().max(through)
    }

    /// Those who are no members any more matter to nobody.
    pub fn forget_others(&mut self, is_member: impl Fn(NodeId) -> bool) {
        self.exchanged.retain(|node, _| is_member(*node));
        self.through.retain(|node, _| is_member(*node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    fn said(unpublished: bool, members: &[(u8, u64)]) -> HeardMembers {
        let member =
            |(number, age_ms): &(u8, u64)| HeardMember { node: id(*number), age_ms: Some(*age_ms), connected: false };
        HeardMembers { unpublished, members: members.iter().map(member).collect() }
    }

    #[test]
    fn what_was_told_counts_from_the_exchange_with_the_teller_on() {
        let mut hearing = HearingTable::default();
        hearing.on_told(id(1), &said(false, &[(3, 10)]), 1_000, |_| true);
        assert_eq!(hearing.known_as_of(id(3), 3), None, "nothing was exchanged with the teller");
        hearing.on_exchange(id(1), 900);
        hearing.on_told(id(1), &said(false, &[(3, 10)]), 1_000, |_| true);
        assert_eq!(hearing.known_as_of(id(3), 3), Some(900), "later news of it may not have come here");
        hearing.on_told(id(1), &said(false, &[(3, 500)]), 1_000, |_| true);
        assert_eq!(hearing.known_as_of(id(3), 3), Some(500));
    }

    #[test]
    fn in_a_pool_of_four_one_teller_is_not_believed() {
        let mut hearing = HearingTable::default();
        for (teller, age) in [(1, 100), (2, 400)] {
            hearing.on_exchange(id(teller), 1_000);
            hearing.on_told(id(teller), &said(false, &[(9, age)]), 1_000, |_| true);
        }
        assert_eq!((hearing.known_as_of(id(9), 4), hearing.known_as_of(id(9), 3)), (Some(600), Some(900)));
        assert_eq!(hearing.known_as_of(id(1), 4), Some(1_000), "this node was there");
        hearing.on_told(id(1), &said(false, &[(7, 1)]), 1_000, |_| false);
        assert_eq!(hearing.known_as_of(id(7), 3), None, "no member");
    }

    #[test]
    fn who_keeps_heads_to_itself_was_not_heard_whole() {
        let mut hearing = HearingTable::default();
        hearing.on_exchange(id(1), 500);
        hearing.on_told(id(1), &said(true, &[(2, 1)]), 1_000, |_| true);
        assert_eq!((hearing.known_as_of(id(1), 2), hearing.known_as_of(id(2), 2)), (None, None));
        let told = hearing.told(1_000, &BTreeSet::from([id(4)]), true);
        let connected = HeardMember { node: id(4), age_ms: None, connected: true };
        assert_eq!(told, HeardMembers { unpublished: true, members: vec![connected] });
    }
}
