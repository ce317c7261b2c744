//! How many addresses of a member are tried at a time, when trying has led nowhere for long.
//!
//! Each address that nobody answers at costs some kilobytes, whoever is off, for as long as the node runs. Promise: a member that can
//! be reached at one of its addresses is tried there again and again. How often one address is dialled, and that a node which reaches
//! nobody sends less than 200 bytes a second, is decided where all dials pass (`quic/patience`).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fsdfs_proto::ids::NodeId;

/// Searches in vain, one after the other, before a member counts as off: the third begins some four seconds after the first.
const PATIENT_SEARCHES: u32 = 4;
/// Addresses of such a member that are tried in one search, in turns.
const AT_ONCE: usize = 2;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct DialBudget {
    members: BTreeMap<NodeId, SearchHistory>,
}

#[derive(Debug, Default)]
struct SearchHistory {
    /// In vain, one after the other.
    failed: u32,
    /// Whose turn it is, of its addresses.
    turn: usize,
}

impl DialBudget {
    /// Those of its addresses that are to be tried now, of those that may be.
    pub(crate) fn choose(&mut self, node: NodeId, mut addrs: Vec<SocketAddr>, is_alone: bool) -> Vec<SocketAddr> {
        let history = self.members.get_mut(&node).filter(|history| history.failed >= PATIENT_SEARCHES);
        let Some(history) = history.filter(|_| !addrs.is_empty()) else { return addrs };
        let count = if is_alone { 1 } else { AT_ONCE.min(addrs.len()) };
        let turn = history.turn % addrs.len();
        addrs.rotate_left(turn);
        addrs.truncate(count);
        history.turn = turn + count;
        addrs
    }

    /// A search for it ended in vain.
    pub(crate) fn failed(&mut self, node: NodeId) {
        let history = self.members.entry(node).or_default();
        history.failed = history.failed.saturating_add(1);
    }

    /// It is connected, or there is news of where it is.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.members.remove(&node);
    }

    /// This machine is somewhere else.
    pub(crate) fn forget_all(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn node(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    fn addrs(count: u16) -> Vec<SocketAddr> {
        (1..=count).map(|port| SocketAddr::from(([192, 0, 2, 1], port))).collect()
    }

    fn off(budget: &mut DialBudget, number: u8) {
        (0..PATIENT_SEARCHES).for_each(|_| budget.failed(node(number)));
    }

    #[test]
    fn all_addresses_are_tried_until_a_member_counts_as_off() {
        let mut budget = DialBudget::default();
        for _ in 0..PATIENT_SEARCHES {
            assert_eq!(budget.choose(node(1), addrs(5), true), addrs(5));
            budget.failed(node(1));
        }
        assert_eq!(budget.choose(node(1), addrs(5), false).len(), AT_ONCE);
        assert_eq!(budget.choose(node(2), addrs(5), false), addrs(5), "this one is another");
        budget.forget(node(1));
        assert_eq!(budget.choose(node(1), addrs(5), false), addrs(5), "it was connected");
        off(&mut budget, 1);
        budget.forget_all();
        assert_eq!(budget.choose(node(1), addrs(5), true), addrs(5), "this machine moved");
        assert_eq!(budget.choose(node(1), Vec::new(), true), []);
    }

    #[test]
    fn every_address_of_one_that_is_off_has_its_turn() {
        let mut budget = DialBudget::default();
        off(&mut budget, 1);
        let tried: BTreeSet<SocketAddr> = (0..3).flat_map(|_| budget.choose(node(1), addrs(5), false)).collect();
        assert_eq!(tried, addrs(5).into_iter().collect());
        assert_eq!(budget.choose(node(1), addrs(1), false), addrs(1));
        let alone = |budget: &mut DialBudget| budget.choose(node(1), addrs(5), true);
        let (one, next) = (alone(&mut budget), alone(&mut budget));
        assert!(one.len() == 1 && next.len() == 1 && one != next, "{one:?}, {next:?}");
    }
}
