//! What repair may send, so that it stays out of the way: decided by how long packets wait in queues.
//!
//! A line that is full shows it by a queue: the round trip grows beyond what it is without one. Repair gets less as long as it is,
//! and more while it is not, as LEDBAT (RFC 6817) does, but for blocks and not for packets; QUIC keeps the pace below. It is the
//! only thing that yields: who waits for a user's bytes does not know of it. No clock, no I/O.

use std::collections::{BTreeMap, VecDeque};

use fsdfs_core::limits::REPAIR_BYTES_PER_S_MAX;
use fsdfs_proto::ids::NodeId;

/// Queueing above which repair takes less: what a call or a game bears.
const DELAY_MS_MAX: u32 = 25;
/// And below which it takes more.
const DELAY_MS_MIN: u32 = 10;
/// Of 256: how much is left when a queue stands, and how much comes when none does.
const LESS_OF_256: u64 = 179;
const MORE_OF_256: u64 = 269;
/// Bytes per second that are left to repair while nobody else uses the line: a block in half a minute.
const RATE_MIN: u64 = 32 << 10;
/// Lines that carry less are thin: a block takes more than a second, as long as a user should wait. On these repair pauses
/// altogether while a user moves bytes.
const THIN_LINE: u64 = 1 << 20;
/// After so long without one a user's transfer is over.
const USER_QUIET_MS: u64 = 2_000;
/// A link says something about its line when so much went through since it was looked at last, or an eighth of a second of what
/// repair may send.
const LOAD_BYTES: u64 = 64 << 10;
/// A round trip of less is one of a local network: there is no uplink in between, and what it varies by is this machine's doing.
const LOCAL_RTT_MS: u32 = 5;
/// What a link is without a queue is the least of ten minutes, in which queues come and go (RFC 6817 has the same).
const BASE_MINUTES: usize = 10;
const MINUTE_MS: u64 = 60_000;

/// What was seen since the last time.
#[derive(Clone, Debug, Default)]
pub(super) struct LineReport {
    /// Bytes per second that repair may have at most, by its share of the line.
    pub ceiling: u64,
    /// What the line carries upwards, if somebody said.
    pub line: Option<u64>,
    /// Bytes of blocks that moved for users, either way.
    pub user_bytes: u64,
    /// Of the links in use.
    pub links: Vec<LinkReport>,
}

/// What was seen of one link.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkReport {
    pub node: NodeId,
    /// Of the last packet or question that came back; none if nothing did lately.
    pub rtt_ms: Option<u32>,
    /// Bytes of blocks that were sent.
    pub sent: u64,
}

/// What repair may do until the next report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RepairBudget {
    pub bytes_per_s: u64,
    /// The queueing that it was decided by; none if it was not measured.
    pub delay_ms: Option<u32>,
}

/// See the module. Times are milliseconds on the monotonic clock.
pub(super) struct Governor {
    /// What queueing leaves, whatever repair's share is just now: that need not be found out again when the share grows.
    rate: u64,
    /// When it was decided by a measurement last.
    measured_at: u64,
    bases: BTreeMap<NodeId, BaseDelay>,
    /// When a user's bytes moved last.
    user_at: Option<u64>,
}

impl Default for Governor {
    fn default() -> Self {
        Self { rate: REPAIR_BYTES_PER_S_MAX, measured_at: 0, bases: BTreeMap::new(), user_at: None }
    }
}

impl Governor {
    /// Decides anew; to be called some times a second while blocks move.
    pub fn handle(&mut self, now: u64, seen: &LineReport) -> RepairBudget {
        let delay_ms = self.delay(now, seen);
        let rate = match delay_ms {
            Some(delay) if delay > DELAY_MS_MAX => self.rate.min(seen.ceiling).saturating_mul(LESS_OF_256) / 256,
            Some(delay) if delay < DELAY_MS_MIN => self.rate.saturating_mul(MORE_OF_256) / 256 + 1,
            // What was found out about the line is forgotten with what its links are without a queue.
            None if now.saturating_sub(self.measured_at) > BASE_MINUTES as u64 * MINUTE_MS => REPAIR_BYTES_PER_S_MAX,
            _ => self.rate,
        };
        self.measured_at = if delay_ms.is_some() { now } else { self.measured_at };
        self.rate = rate.clamp(RATE_MIN, REPAIR_BYTES_PER_S_MAX);
        self.user_at = if seen.user_bytes > 0 { Some(now) } else { self.user_at };
        let user_moves = self.user_at.is_some_and(|at| now.saturating_sub(at) < USER_QUIET_MS);
        let is_thin = seen.line.is_some_and(|line| line < THIN_LINE) || self.rate == RATE_MIN;
        let bytes_per_s = if user_moves && is_thin { 0 } else { self.rate.min(seen.ceiling) };
        RepairBudget { bytes_per_s, delay_ms }
    }

    /// The median queueing of the links that were loaded.
    fn delay(&mut self, now: u64, seen: &LineReport) -> Option<u32> {
        self.bases.retain(|_, base| base.is_recent(now));
        let mut delays = Vec::new();
        for link in &seen.links {
            let Some(rtt) = link.rtt_ms else { continue };
            let base = self.bases.entry(link.node).or_default().note(now, rtt);
            if base >= LOCAL_RTT_MS && link.sent > 0 && link.sent >= LOAD_BYTES.min(self.rate / 8) {
                delays.push(rtt - base);
            }
        }
        delays.sort_unstable();
        delays.get(delays.len() / 2).copied()
    }
}

/// The least round trip of each of the last minutes, oldest first.
#[derive(Default)]
struct BaseDelay(VecDeque<(u64, u32)>);

impl BaseDelay {
    /// One more round trip; the least of all.
    fn note(&mut self, now: u64, rtt_ms: u32) -> u32 {
        let minute = now / MINUTE_MS;
        match self.0.back_mut().filter(|(at, _)| *at == minute) {
            Some((_, least)) => *least = rtt_ms.min(*least),
            None => self.0.push_back((minute, rtt_ms)),
        }
        while self.0.len() > BASE_MINUTES {
            self.0.pop_front();
        }
        self.0.iter().map(|(_, least)| *least).min().unwrap_or(rtt_ms)
    }

    fn is_recent(&self, now: u64) -> bool {
        self.0.back().is_some_and(|(at, _)| now / MINUTE_MS <= at + BASE_MINUTES as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILING: u64 = 64 << 20;
    const ALICE: NodeId = NodeId([1; 32]);
    const BOB: NodeId = NodeId([2; 32]);
    const TICK_MS: u64 = 250;

    struct Case {
        governor: Governor,
        now: u64,
        seen: LineReport,
    }

    impl Case {
        /// Alice is 30 ms away, and nothing moves.
        fn new() -> Self {
            let seen = LineReport { ceiling: CEILING, ..LineReport::default() };
            let mut case = Self { governor: Governor::default(), now: 7_000, seen };
            case.seen.links = vec![LinkReport { node: ALICE, rtt_ms: Some(30), sent: 0 }];
            case.ticks(1);
            case
        }

        fn ticks(&mut self, count: u64) -> RepairBudget {
            let mut budget = RepairBudget::default();
            for _ in 0..count {
                self.now += TICK_MS;
                budget = self.governor.handle(self.now, &self.seen);
            }
            budget
        }

        fn link(&mut self, rtt_ms: u32, sent: u64) {
            self.seen.links[0] = LinkReport { node: ALICE, rtt_ms: Some(rtt_ms), sent };
        }
    }

    #[test]
    fn repair_has_its_ceiling_until_a_queue_is_seen() {
        let mut case = Case::new();
        assert_eq!(case.ticks(1), RepairBudget { bytes_per_s: CEILING, delay_ms: None });
        case.link(400, 0);
        assert_eq!(case.ticks(1).bytes_per_s, CEILING, "it is not what this node sends");
        case.link(400, 1 << 20);
        let budget = case.ticks(1);
        assert_eq!(budget.delay_ms, Some(370));
        assert!((CEILING * 69 / 100..CEILING * 71 / 100).contains(&budget.bytes_per_s), "{budget:?}");
    }

    #[test]
    fn it_yields_within_seconds_and_comes_back_more_slowly() {
        let mut case = Case::new();
        case.link(100, 1 << 20);
        assert_eq!(case.ticks(22).bytes_per_s, RATE_MIN);
        case.link(50, RATE_MIN / 4);
        assert_eq!(case.ticks(40).bytes_per_s, RATE_MIN, "between the bounds it stays");
        case.link(35, 1 << 20);
        let soon = case.ticks(4 * 4).bytes_per_s;
        assert!((2 * RATE_MIN..3 * RATE_MIN).contains(&soon), "about twice as much in four seconds: {soon}");
        assert_eq!(case.ticks(60 * 4).bytes_per_s, CEILING);
    }

    /// A line that carries 2 MiB/s: what is sent beyond that stands in a queue of half a second at most.
    #[test]
    fn on_a_line_of_its_own_it_settles_at_what_the_line_carries() {
        let mut case = Case::new();
        let (line, mut queue, mut carried, mut slow) = (2 << 20, 0, 0, 0);
        for tick in 0..4 * 120 {
            let sent = case.ticks(1).bytes_per_s / 4;
            queue = (queue + sent).saturating_sub(line / 4).min(line / 2);
            let rtt = 30 + u32::try_from(queue * 1000 / line).expect("short");
            case.link(rtt, sent);
            if tick > 4 * 20 {
                carried += sent.min(line / 4);
                slow += u64::from(rtt > 30 + 100);
            }
        }
        assert!(carried > line * 100 * 7 / 10, "{carried}");
        assert!(slow < 4 * 5, "{slow} quarters of a second with a long queue");
    }

    #[test]
    fn links_of_a_local_network_and_single_bad_ones_say_nothing() {
        let mut case = Case::new();
        case.seen.links = vec![LinkReport { node: BOB, rtt_ms: Some(2), sent: 0 }];
        case.ticks(1);
        case.seen.links[0] = LinkReport { node: BOB, rtt_ms: Some(200), sent: 1 << 20 };
        assert_eq!(case.ticks(10).bytes_per_s, CEILING, "a busy machine");
        let link = |number, rtt_ms| LinkReport { node: NodeId([number; 32]), rtt_ms: Some(rtt_ms), sent: 1 << 20 };
        case.seen.links = vec![link(5, 30), link(6, 30), link(7, 30)];
        case.ticks(1);
        case.seen.links = vec![link(5, 30), link(6, 30), link(7, 900)];
        assert_eq!(case.ticks(10).bytes_per_s, CEILING, "that line is somebody else's");
    }

    #[test]
    fn a_base_follows_a_way_that_became_longer_within_ten_minutes() {
        let mut case = Case::new();
        case.link(90, 1 << 20);
        assert_eq!(case.ticks(60 * 4).bytes_per_s, RATE_MIN);
        assert_eq!(case.ticks(8 * 60 * 4).bytes_per_s, RATE_MIN);
        assert!(case.ticks(2 * 60 * 4).bytes_per_s > RATE_MIN, "it is no queue that stands so long");
    }

    #[test]
    fn what_was_found_out_is_forgotten_with_the_bases() {
        let mut case = Case::new();
        case.link(300, 1 << 20);
        assert_eq!(case.ticks(60).bytes_per_s, RATE_MIN);
        case.seen.links.clear();
        assert_eq!(case.ticks(9 * 60 * 4).bytes_per_s, RATE_MIN);
        assert_eq!(case.ticks(2 * 60 * 4).bytes_per_s, CEILING);
        assert!(case.governor.bases.is_empty(), "links that are gone are forgotten");
    }

    #[test]
    fn on_a_thin_line_repair_pauses_while_a_user_moves_bytes() {
        let mut case = Case::new();
        (case.seen.line, case.seen.ceiling) = (Some(625_000), 125_000);
        assert_eq!(case.ticks(1).bytes_per_s, 125_000);
        case.seen.user_bytes = 1;
        assert_eq!(case.ticks(1).bytes_per_s, 0);
        case.seen.user_bytes = 0;
        assert_eq!(case.ticks(7).bytes_per_s, 0);
        assert_eq!(case.ticks(1).bytes_per_s, 125_000, "two seconds later");
        (case.seen.line, case.seen.user_bytes) = (Some(THIN_LINE), 1);
        assert_eq!(case.ticks(1).bytes_per_s, 125_000);
    }

    #[test]
    fn a_line_that_nobody_knows_is_thin_when_its_queue_stands_whatever_repair_does() {
        let mut case = Case::new();
        case.seen.user_bytes = 1 << 20;
        case.link(300, 1 << 20);
        assert!(case.ticks(4).bytes_per_s > 0);
        assert_eq!(case.ticks(4 * 10).bytes_per_s, 0);
        case.seen.user_bytes = 0;
        assert_eq!(case.ticks(8).bytes_per_s, RATE_MIN);
    }

    #[test]
    fn a_share_of_nothing_is_nothing_and_what_was_known_before_is_known_after() {
        let mut case = Case::new();
        case.seen.ceiling = 0;
        assert_eq!(case.ticks(40).bytes_per_s, 0);
        case.seen.ceiling = 1_000;
        assert_eq!(case.ticks(1).bytes_per_s, 1_000);
        case.seen.ceiling = CEILING;
        assert_eq!(case.ticks(1).bytes_per_s, CEILING);
    }
}
