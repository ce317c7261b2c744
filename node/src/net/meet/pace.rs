//! How many messages about meetings are heard of a member.

use std::collections::BTreeMap;

use fsdfs_proto::ids::NodeId;

use super::limits::{MESSAGES_BURST, MESSAGES_PER_S};

/// What each connected member has left. Beyond it, it is not heard: an answer would be work, too.
#[derive(Default)]
pub(super) struct MessagePace(BTreeMap<NodeId, Allowance>);

/// Thousandths of messages.
struct Allowance {
    left: u64,
    at: u64,
}

impl MessagePace {
    /// Whether one more is heard now.
    pub fn takes(&mut self, now: u64, from: NodeId) -> bool {
        const FULL: u64 = MESSAGES_BURST * 1_000;
        let allowance = self.0.entry(from).or_insert(Allowance { left: FULL, at: now });
        let earned = now.saturating_sub(allowance.at).saturating_mul(MESSAGES_PER_S);
        *allowance = Allowance { left: allowance.left.saturating_add(earned).min(FULL), at: now };
        let takes = allowance.left >= 1_000;
        if takes {
            allowance.left -= 1_000;
        }
        takes
    }

    /// Who has all of it again is like one that never asked.
    pub fn tidy(&mut self, now: u64) {
        const ALL: u64 = MESSAGES_BURST * 1_000 / MESSAGES_PER_S;
        self.0.retain(|_, allowance| now.saturating_sub(allowance.at) < ALL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_heard_and_a_flood_is_not() {
        let (mut pace, node) = (MessagePace::default(), NodeId([1; 32]));
        let heard = (0..1_000).filter(|_| pace.takes(5, node)).count();
        assert_eq!(heard, 256);
        let heard = (0..10_000).filter(|ms| pace.takes(6 + ms, node)).count();
        assert!((159..=160).contains(&heard), "{heard}");
        assert!(pace.takes(5, NodeId([2; 32])), "each for itself");
        pace.tidy(1_000_000);
        assert!(pace.0.is_empty());
    }
}
