//! Members that are kept out for a while, although the facts let them in.
//!
//! Promise: whoever broke the protocol is not back at once, and whoever comes again and again is let in only so often: each
//! connection has this node compare facts and blocks with it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fsdfs_proto::ids::NodeId;

/// Connections of one member that are let in at once: two for a start at which both dial, some for a program that is restarted
/// again and again by hand.
const VISITS_AT_ONCE: u32 = 8;
/// Beyond these, one in so long. A line that breaks is dialled again after half a second, then later and later.
const VISIT_EVERY: Duration = Duration::from_secs(2);
/// Members that are kept in mind before those are forgotten that may come as they like. A pool has some hundred.
const MEMBERS_MAX: usize = 1_024;

/// See the module.
#[derive(Default)]
pub(super) struct GatePauses(BTreeMap<NodeId, MemberVisits>);

#[derive(Clone, Copy)]
struct MemberVisits {
    /// Not before this time.
    until: Instant,
    /// When all of [`VISITS_AT_ONCE`] may be used again.
    full_at: Instant,
}

impl GatePauses {
    /// It is kept out until then; never shorter than was said before.
    pub fn pause(&mut self, peer: NodeId, until: Instant) {
        let visits = self.0.entry(peer).or_insert(MemberVisits { until, full_at: until });
        visits.until = visits.until.max(until);
    }

    /// Whether it may come in now; then that is one of its visits.
    pub fn may_come(&mut self, peer: NodeId, now: Instant) -> bool {
        if self.0.len() >= MEMBERS_MAX {
            self.0.retain(|_, visits| visits.until > now || visits.full_at > now);
        }
        let visits = self.0.entry(peer).or_insert(MemberVisits { until: now, full_at: now });
        let full_at = visits.full_at.max(now) + VISIT_EVERY;
        let may_come = now >= visits.until && full_at <= now + VISIT_EVERY * VISITS_AT_ONCE;
        if may_come {
            visits.full_at = full_at;
        }
        may_come
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: NodeId = NodeId([1; 32]);
    const BOB: NodeId = NodeId([2; 32]);

    #[test]
    fn whoever_is_paused_stays_out_until_that_is_over_and_nobody_else_does() {
        let (mut pauses, now) = (GatePauses::default(), Instant::now());
        let minute = Duration::from_secs(60);
        pauses.pause(ALICE, now + minute);
        pauses.pause(ALICE, now + minute / 2);
        assert!(!pauses.may_come(ALICE, now) && pauses.may_come(BOB, now));
        assert!(!pauses.may_come(ALICE, now + minute - Duration::from_millis(1)));
        assert!(pauses.may_come(ALICE, now + minute));
    }

    #[test]
    fn whoever_comes_again_and_again_is_let_in_every_other_second() {
        let (mut pauses, now) = (GatePauses::default(), Instant::now());
        assert!((0..VISITS_AT_ONCE).all(|_| pauses.may_come(ALICE, now)));
        let half = VISIT_EVERY / 2;
        let come = (0..100).filter(|step| pauses.may_come(ALICE, now + half * *step)).count();
        assert_eq!(come, 49, "one in two seconds");
        assert!(pauses.may_come(BOB, now));
        let later = now + VISIT_EVERY * 1_000;
        assert!((0..VISITS_AT_ONCE).all(|_| pauses.may_come(ALICE, later)) && !pauses.may_come(ALICE, later));
    }
}
