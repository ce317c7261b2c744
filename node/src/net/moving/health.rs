//! Whether a way over a relay is of use: the relay may lose what it is to forward, or change it, while everything else that it does
//! looks well.
//!
//! A direct way is not judged so: there is mostly no other one, and packets that are lost say that it is full.

use std::time::Duration;

use crate::net::session::streams::PathPackets;

/// Nothing comes for so long although the peer was asked to answer. Lines of homes pause for a second and less.
const UNANSWERED: Duration = Duration::from_secs(2);
/// So many packets make sure that it was: QUIC repeats what is not acknowledged, later and later.
const UNANSWERED_MIN: u64 = 3;
/// Of a second with fewer packets nothing is learnt about losses.
const LOSSES_AMONG_MIN: u64 = 20;
/// More is lost: a queue that is full loses a tenth of that, once senders have found out how much fits.
const LOST_MAX_PERCENT: u64 = 30;
/// In so many seconds one after the other: in the first one senders find out.
const LOSSY_SECONDS: u8 = 2;

/// Why another way is to be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RelayFault {
    /// Nothing comes.
    Silent,
    /// Something comes, and too much does not.
    Lossy,
}

/// See the module. To be told once a second.
#[derive(Clone, Debug)]
pub(super) struct RelayedHealth {
    before: PathPackets,
    /// When the last packet had come, and what had been sent by then.
    heard: (Duration, u64),
    lossy_seconds: u8,
}

impl RelayedHealth {
    pub fn new(now: Duration, packets: PathPackets) -> Self {
        Self { before: packets, heard: (now, packets.sent), lossy_seconds: 0 }
    }

    /// What is wrong with it.
    pub fn fault(&mut self, now: Duration, packets: PathPackets) -> Option<RelayFault> {
        let before = std::mem::replace(&mut self.before, packets);
        if packets.sent < before.sent {
            // Another connection.
            *self = Self::new(now, packets);
            return None;
        }
        if packets.came != before.came {
            self.heard = (now, packets.sent);
        }
        let (sent, lost) = (packets.sent - before.sent, packets.lost.saturating_sub(before.lost));
        if sent >= LOSSES_AMONG_MIN {
            let is_lossy = lost * 100 >= sent * LOST_MAX_PERCENT;
            self.lossy_seconds = if is_lossy { self.lossy_seconds.saturating_add(1) } else { 0 };
        }
        let (heard_at, sent_by_then) = self.heard;
        let unanswered = now.saturating_sub(heard_at) >= UNANSWERED && packets.sent - sent_by_then >= UNANSWERED_MIN;
        let is_lossy = self.lossy_seconds >= LOSSY_SECONDS;
        unanswered.then_some(RelayFault::Silent).or(is_lossy.then_some(RelayFault::Lossy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many seconds something is wrong, of ten; in each of which so many packets come, are sent, and are lost.
    fn bad_after(each: impl Fn(u64) -> [u64; 3]) -> Option<(u64, RelayFault)> {
        let mut packets = PathPackets { came: 7, sent: 7, lost: 0 };
        let mut health = RelayedHealth::new(Duration::ZERO, packets);
        (1..=10).find_map(|second| {
            let [came, sent, lost] = each(second);
            packets = PathPackets { came: packets.came + came, sent: packets.sent + sent, lost: packets.lost + lost };
            health.fault(Duration::from_secs(second), packets).map(|fault| (second, fault))
        })
    }

    #[test]
    fn one_that_carries_something_now_and_then_is_well() {
        assert_eq!(bad_after(|_| [900, 1_000, 50]), None, "a line that is full");
        assert_eq!(
            bad_after(|second| [900, 1_000, if second == 1 { 500 } else { 50 }]),
            None,
            "how full, is found out"
        );
        assert_eq!(bad_after(|second| [u64::from(second % 3 == 0), u64::from(second % 3 == 0), 0]), None, "idle");
        assert_eq!(bad_after(|second| [second % 2, 40, 0]), None, "a pause of a second");
        assert_eq!(bad_after(|_| [1, 10, 9]), None, "too few to tell");
    }

    #[test]
    fn what_is_not_answered_is_lost() {
        assert_eq!(
            bad_after(|second| if second < 3 { [500, 500, 0] } else { [0, 3, 0] }),
            Some((4, RelayFault::Silent))
        );
        assert_eq!(
            bad_after(|second| if second < 3 { [1, 0, 0] } else { [0, 1, 0] }),
            Some((5, RelayFault::Silent)),
            "not at once"
        );
        assert_eq!(bad_after(|_| [0, 0, 0]), None, "nothing was asked");
    }

    #[test]
    fn one_that_loses_a_third_is_bad() {
        assert_eq!(bad_after(|_| [200, 300, 100]), Some((2, RelayFault::Lossy)));
        assert_eq!(bad_after(|second| [200, 300, if second % 2 == 0 { 250 } else { 10 }]), None, "bursts");
        assert_eq!(
            bad_after(|second| if second % 2 == 0 { [1, 2, 2] } else { [200, 300, 100] }),
            Some((3, RelayFault::Lossy))
        );
    }

    #[test]
    fn another_connection_is_judged_by_itself() {
        let mut health = RelayedHealth::new(Duration::ZERO, PathPackets { came: 900, sent: 900, lost: 0 });
        assert_eq!(health.fault(Duration::from_secs(1), PathPackets { came: 900, sent: 1_000, lost: 90 }), None);
        for second in 2..20 {
            let packets = PathPackets { came: second, sent: second * 10, lost: 0 };
            assert_eq!(health.fault(Duration::from_secs(second), packets), None);
        }
    }
}
