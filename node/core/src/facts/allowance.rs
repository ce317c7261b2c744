//! How fast facts go from one member to another.
//!
//! Promise: over any longer time no more than [`FACTS_PER_S`] facts and [`FACT_BYTES_PER_S`] bytes a second, however they are
//! cut into messages. At once goes what a newcomer needs: a whole pool of 20,000 facts.

use crate::limits::{FACT_BYTES_AT_ONCE, FACT_BYTES_PER_S, FACTS_AT_ONCE, FACTS_PER_MESSAGE_COST, FACTS_PER_S};

/// What one member may send, or may be sent, before it has to wait. Times are monotonic milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct FactAllowance {
    facts: RateCredit,
    bytes: RateCredit,
}

impl FactAllowance {
    /// All of it.
    pub fn full(now: u64) -> Self {
        Self {
            facts: RateCredit::full(FACTS_AT_ONCE, FACTS_PER_S, now),
            bytes: RateCredit::full(FACT_BYTES_AT_ONCE, FACT_BYTES_PER_S, now),
        }
    }

    /// A message with so many facts of so many bytes. How long to wait before the next one, in milliseconds.
    pub fn spend(&mut self, now: u64, facts: usize, bytes: usize) -> u64 {
        let facts = i64::try_from(facts).unwrap_or(i64::MAX).saturating_add(FACTS_PER_MESSAGE_COST);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.facts.spend(now, facts).max(self.bytes.spend(now, bytes))
    }

    /// How long to wait before the next message; 0 if it may go.
    pub fn wait_ms(&mut self, now: u64) -> u64 {
        self.facts.spend(now, 0).max(self.bytes.spend(now, 0))
    }
}

/// One kind of credit, in thousandths, so that every millisecond earns its share. It may be overdrawn by one message, which
/// then has to be waited for.
#[derive(Clone, Copy, Debug)]
struct RateCredit {
    /// At most `most`.
    left: i64,
    most: i64,
    per_s: i64,
    at: u64,
}

impl RateCredit {
    fn full(most: i64, per_s: i64, now: u64) -> Self {
        Self { left: most * 1000, most: most * 1000, per_s, at: now }
    }

    fn spend(&mut self, now: u64, amount: i64) -> u64 {
        let passed = i64::try_from(now.saturating_sub(self.at)).unwrap_or(i64::MAX);
        self.at = self.at.max(now);
        let earned = passed.saturating_mul(self.per_s);
        self.left = self.left.saturating_add(earned).min(self.most).saturating_sub(amount.saturating_mul(1000));
        let debt = u64::try_from(self.left.saturating_neg()).unwrap_or(0);
        debt.div_ceil(u64::try_from(self.per_s).unwrap_or(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Facts of this size, in messages of so many, for so long: how many were let through by then.
    fn let_through(seconds: u64, in_message: usize, bytes: usize) -> usize {
        let (mut allowance, mut now, mut facts) = (FactAllowance::full(0), 0, 0);
        while now < seconds * 1000 {
            facts += in_message;
            // Nothing is faster than this, and the clock goes on.
            now += allowance.spend(now, in_message, in_message * bytes).max(1);
        }
        facts
    }

    #[test]
    fn a_newcomer_gets_a_whole_pool_at_once() {
        let mut allowance = FactAllowance::full(0);
        let waits: u64 = (0..20_000 / 256 + 1).map(|_| allowance.spend(0, 256, 256 * 350)).sum();
        assert_eq!(waits, 0, "20,000 facts");
    }

    #[test]
    fn a_flood_is_slowed_down_in_count_and_bytes() {
        let per_s = usize::try_from(FACTS_PER_S).expect("small");
        let at_once = usize::try_from(FACTS_AT_ONCE).expect("small");
        let many = let_through(60, 256, 10);
        assert!((59 * per_s..=61 * per_s + at_once + 256).contains(&many), "{many} small facts in a minute");
        let single = let_through(60, 1, 10);
        assert!(single < many / 2, "messages cost something, too: {single}");
        let large = let_through(60, 4, 64 << 10) * (64 << 10);
        let most = usize::try_from(61 * FACT_BYTES_PER_S + FACT_BYTES_AT_ONCE).expect("fits") + (1 << 20);
        assert!(large <= most, "{large} bytes in a minute");
    }

    #[test]
    fn a_writer_that_commits_two_hundred_times_a_second_is_not_slowed_down() {
        let mut allowance = FactAllowance::full(0);
        let waits: u64 = (0..60 * 200).map(|commit| allowance.spend(commit * 5, 1, 3 << 10)).sum();
        assert_eq!(waits, 0);
    }

    #[test]
    fn a_clock_that_stands_or_runs_fast_earns_no_more_than_all() {
        let mut allowance = FactAllowance::full(1_000);
        assert_eq!(allowance.wait_ms(0), 0);
        assert_eq!(allowance.wait_ms(u64::MAX), 0);
        assert!(allowance.spend(u64::MAX, usize::MAX, usize::MAX) > 0, "and nothing overflows");
    }
}
