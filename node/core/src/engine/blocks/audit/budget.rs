//! How many audits of one peer this node answers.

use std::collections::BTreeMap;

use fsdfs_proto::ids::NodeId;

use crate::engine::context::Context;
use crate::limits::{AUDIT_ANSWER_MS, AUDIT_ANSWERS_MAX, AUDIT_SHARED_BUSY_MS, AUDIT_SHARED_MAX, AUDIT_SHARED_MS};

/// An audit of a hundred bytes makes a disk read a megabyte and this node hash it. Honest members ask a few times an hour, and each
/// has so many for itself, whatever the others do. Whoever proves all copies of a path asks for a thousand: beyond its own it gets
/// of what all share, which is little while users move bytes.
#[derive(Default)]
pub(super) struct AuditBudgets {
    peers: BTreeMap<NodeId, AnswerBudget>,
    shared: Option<AnswerBudget>,
}

impl AuditBudgets {
    /// Whether one more of this peer is answered.
    pub fn take(&mut self, cx: &Context, from: NodeId) -> bool {
        let now = cx.now.mono;
        let own = self.peers.entry(from).or_insert_with(|| AnswerBudget::new(now, AUDIT_ANSWERS_MAX));
        let shared = self.shared.get_or_insert_with(|| AnswerBudget::new(now, AUDIT_SHARED_MAX));
        let each_ms = if cx.users_are_busy() { AUDIT_SHARED_BUSY_MS } else { AUDIT_SHARED_MS };
        own.take(now, AUDIT_ANSWER_MS) || shared.take(now, each_ms)
    }

    /// Of these only.
    pub fn retain(&mut self, keep: impl Fn(NodeId) -> bool) {
        self.peers.retain(|node, _| keep(*node));
    }
}

/// So many at once, and then one in a time.
#[derive(Clone, Copy, Debug)]
struct AnswerBudget {
    left: u64,
    most: u64,
    /// Monotonic milliseconds when it was last refilled.
    at: u64,
}

impl AnswerBudget {
    fn new(now: u64, most: u64) -> Self {
        Self { left: most, most, at: now }
    }

    /// Whether one more is answered.
    fn take(&mut self, now: u64, each_ms: u64) -> bool {
        let earned = now.saturating_sub(self.at) / each_ms;
        self.left = (self.left + earned).min(self.most);
        self.at += earned * each_ms;
        debug_assert!(self.left <= self.most, "no more at once than may be");
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_kit::pool::node;
    use crate::engine::test_kit::{context, pass};

    #[test]
    fn so_many_at_once_and_then_one_at_a_time() {
        let mut budget = AnswerBudget::new(100, 16);
        assert!((0..16).all(|_| budget.take(100, 50)) && !budget.take(100, 50));
        assert!(!budget.take(149, 50) && budget.take(150, 50) && !budget.take(150, 50));
        assert!((0..16).all(|_| budget.take(50_100, 50)) && !budget.take(50_100, 50));
    }

    #[test]
    fn what_one_takes_of_what_all_share_leaves_the_others_their_own() {
        let (mut cx, mut budgets) = (context(0, 3), AuditBudgets::default());
        let mut answered =
            |cx: &Context, number: u8| (0..1_000).filter(|_| budgets.take(cx, node(number))).count() as u64;
        assert_eq!(answered(&cx, 1), AUDIT_ANSWERS_MAX + AUDIT_SHARED_MAX);
        assert_eq!(answered(&cx, 2), AUDIT_ANSWERS_MAX);
        pass(&mut cx, 900);
        assert_eq!(answered(&cx, 1), 900 / AUDIT_SHARED_MS);
        cx.note_users();
        pass(&mut cx, 900);
        let earned = 900 / AUDIT_SHARED_BUSY_MS;
        assert!((earned + 1..=earned + 2).contains(&answered(&cx, 1)), "and one of its own");
    }
}
