//! How many audits of one peer this node answers.

use crate::limits::{AUDIT_ANSWER_MS, AUDIT_ANSWERS_MAX};

/// An audit of a hundred bytes makes a disk read a megabyte and this node hash it. Honest members ask a few times an hour.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerBudget {
    left: u64,
    /// Monotonic milliseconds when it was last refilled.
    at: u64,
}

impl AnswerBudget {
    pub fn new(now: u64) -> Self {
        Self { left: AUDIT_ANSWERS_MAX, at: now }
    }

    /// Whether one more is answered.
    pub fn take(&mut self, now: u64) -> bool {
        let earned = now.saturating_sub(self.at) / AUDIT_ANSWER_MS;
        self.left = (self.left + earned).min(AUDIT_ANSWERS_MAX);
        self.at += earned * AUDIT_ANSWER_MS;
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_one_at_a_time() {
        let mut budget = AnswerBudget::new(100);
        assert!((0..AUDIT_ANSWERS_MAX).all(|_| budget.take(100)) && !budget.take(100));
        assert!(!budget.take(99 + AUDIT_ANSWER_MS) && budget.take(100 + AUDIT_ANSWER_MS));
        assert!(!budget.take(100 + AUDIT_ANSWER_MS));
        let later = 100 + 1_000 * AUDIT_ANSWER_MS;
        assert!((0..AUDIT_ANSWERS_MAX).all(|_| budget.take(later)) && !budget.take(later));
    }
}
