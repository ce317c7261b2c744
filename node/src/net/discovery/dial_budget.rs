//! How many addresses of a member are tried at a time, when trying has led nowhere for long.
//!
//! Each address that nobody answers at costs some kilobytes, whoever is off or wherever UDP is blocked, for as long as the node
//! runs. Promise: a member that can be reached at one of its addresses is tried there again and again, and a node that reaches
//! nobody sends less than 200 bytes a second, however many members there are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use fsdfs_proto::ids::NodeId;

/// Searches in vain, one after the other, before a member counts as off: the third begins some four seconds after the first.
const PATIENT_SEARCHES: u32 = 4;
/// Addresses of such a member that are tried in one search, in turns.
const AT_ONCE: usize = 2;
/// One address in this time, if nobody at all is connected: of 2.4 KB, see `quic/patience`.
const ALONE_PERIOD: Duration = Duration::from_secs(15);
/// Addresses that a node which has just lost its last peer may try at once.
const ALONE_BURST: u32 = 8;

/// See the module. Times are those of any clock that does not go backwards.
#[derive(Debug, Default)]
pub(crate) struct DialBudget {
    members: BTreeMap<NodeId, SearchHistory>,
    /// Up to when all that may be tried alone has been.
    spent_until: Duration,
}

#[derive(Debug, Default)]
struct SearchHistory {
    /// In vain, one after the other.
    failed: u32,
    /// Whose turn it is, of its addresses.
    turn: usize,
}

impl DialBudget {
    /// Those of its addresses that are to be tried now.
    pub(crate) fn choose(
        &mut self,
        now: Duration,
        node: NodeId,
        mut addrs: Vec<SocketAddr>,
        is_alone: bool,
    ) -> Vec<SocketAddr> {
        let Some(history) = self.members.get_mut(&node).filter(|history| history.failed >= PATIENT_SEARCHES) else {
            return addrs;
        };
        if addrs.is_empty() {
            return addrs;
        }
        let count = if is_alone { 1 } else { AT_ONCE.min(addrs.len()) };
        if is_alone {
            let earliest = now.saturating_sub(ALONE_PERIOD * ALONE_BURST);
            let spent = self.spent_until.max(earliest) + ALONE_PERIOD;
            if spent > now {
                return Vec::new();
            }
            self.spent_until = spent;
        }
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
        let (mut budget, now) = (DialBudget::default(), Duration::from_secs(500));
        for _ in 0..PATIENT_SEARCHES {
            assert_eq!(budget.choose(now, node(1), addrs(5), true), addrs(5));
            budget.failed(node(1));
        }
        assert_eq!(budget.choose(now, node(1), addrs(5), false).len(), AT_ONCE);
        assert_eq!(budget.choose(now, node(2), addrs(5), false), addrs(5), "this one is another");
        budget.forget(node(1));
        assert_eq!(budget.choose(now, node(1), addrs(5), false), addrs(5), "it was connected");
        off(&mut budget, 1);
        budget.forget_all();
        assert_eq!(budget.choose(now, node(1), addrs(5), true), addrs(5), "this machine moved");
        assert_eq!(budget.choose(now, node(1), Vec::new(), true), []);
    }

    #[test]
    fn every_address_of_one_that_is_off_has_its_turn() {
        let (mut budget, now) = (DialBudget::default(), Duration::from_secs(500));
        off(&mut budget, 1);
        let tried: BTreeSet<SocketAddr> = (0..3).flat_map(|_| budget.choose(now, node(1), addrs(5), false)).collect();
        assert_eq!(tried, addrs(5).into_iter().collect());
        assert_eq!(budget.choose(now, node(1), addrs(1), false), addrs(1));
    }

    #[test]
    fn a_node_that_reaches_nobody_tries_one_address_in_fifteen_seconds_whoever_asks() {
        let mut budget = DialBudget::default();
        (1..=20).for_each(|number| off(&mut budget, number));
        let (mut tried, mut late) = (0, 0);
        for second in 1_000..4_600 {
            let now = Duration::from_secs(second);
            let number = u8::try_from(second % 20 + 1).expect("small");
            let count = budget.choose(now, node(number), addrs(5), true).len();
            assert!(count <= 1);
            tried += count;
            late += if second >= 2_000 { count } else { 0 };
        }
        assert!(tried <= 3_600 / 15 + 8, "{tried}");
        assert!((2_600 / 15 - 2..=2_600 / 15 + 2).contains(&late), "{late}");
    }
}
