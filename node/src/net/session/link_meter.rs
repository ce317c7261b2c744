//! What goes over one connection, and how long it takes there and back.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fsdfs_core::seam::TrafficClass;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Message;

use crate::net::governor::LinkReport;

/// What came back so long ago says nothing of now.
const RECENT: Duration = Duration::from_secs(2);

/// How long something takes to a peer and back. A transport that knows can take the place of the pings that are sent here.
pub(super) trait RoundTrip: Send + Sync {
    /// Milliseconds, of what came back lately; more if something is under way for longer already.
    fn rtt_ms(&self, now: Instant) -> Option<u32>;

    /// What is to be asked of the peer so that it is known; nothing if it is known without, or asked already.
    fn question(&self) -> Option<Message>;

    /// A message left.
    fn on_sent(&self, message: &Message);

    /// A message came. Whether it answers [`RoundTrip::question`], and is nobody else's.
    fn takes(&self, message: &Message) -> bool;
}

/// Of one connection.
pub(super) struct LinkMeter {
    /// Bytes of blocks since they were looked at last.
    sent: AtomicU64,
    /// Of these, bytes of repair.
    repair: AtomicU64,
    round_trip: Box<dyn RoundTrip>,
}

impl LinkMeter {
    /// Of a transport that does not say how long packets take.
    pub fn with_pings() -> Self {
        let round_trip = Box::new(PingedRoundTrip::default());
        Self { sent: AtomicU64::new(0), repair: AtomicU64::new(0), round_trip }
    }

    pub fn add(&self, class: TrafficClass, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
        if class == TrafficClass::Repair {
            self.repair.fetch_add(bytes as u64, Relaxed);
        }
    }

    /// See [`RoundTrip::on_sent`].
    pub fn on_sent(&self, message: &Message) {
        self.round_trip.on_sent(message);
    }

    /// See [`RoundTrip::takes`].
    pub fn takes(&self, message: &Message) -> bool {
        self.round_trip.takes(message)
    }

    /// Since the last time; and what is to be asked of the peer, if it matters how full the line is: repair moves, or is held back.
    pub fn report(&self, node: NodeId, is_held: bool) -> (LinkReport, Option<Message>) {
        let (sent, repair) = (self.sent.swap(0, Relaxed), self.repair.swap(0, Relaxed));
        let report = LinkReport { node, rtt_ms: self.round_trip.rtt_ms(Instant::now()), sent };
        let matters = repair > 0 || (is_held && sent > 0);
        (report, matters.then(|| self.round_trip.question()).flatten())
    }
}

/// By pings: those that the engine sends now and then, and own ones while it matters.
#[derive(Default)]
struct PingedRoundTrip(Mutex<PingState>);

#[derive(Default)]
struct PingState {
    /// Number of an own ping that was not answered.
    own: Option<u64>,
    /// The last ping that left and was not answered, and when.
    out: Option<(u64, Instant)>,
    /// The last round trip, and when it was over.
    last: Option<(Duration, Instant)>,
}

impl PingedRoundTrip {
    fn lock(&self) -> MutexGuard<'_, PingState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RoundTrip for PingedRoundTrip {
    fn rtt_ms(&self, now: Instant) -> Option<u32> {
        let state = self.lock();
        let last = state.last.filter(|(_, at)| now.duration_since(*at) < RECENT).map(|(rtt, _)| rtt);
        let least = state.out.map(|(_, at)| now.duration_since(at));
        // What is under way tells only that it takes longer than that.
        let rtt = if least.is_some_and(|least| least > RECENT / 4) { least.max(last) } else { last };
        rtt.map(|rtt| u32::try_from(rtt.as_millis()).unwrap_or(u32::MAX))
    }

    fn question(&self) -> Option<Message> {
        let mut state = self.lock();
        if state.own.is_some() {
            return None;
        }
        let number = fastrand::u64(..);
        state.own = Some(number);
        Some(Message::Ping(number))
    }

    fn on_sent(&self, message: &Message) {
        if let Message::Ping(number) = message {
            self.lock().out = Some((*number, Instant::now()));
        }
    }

    fn takes(&self, message: &Message) -> bool {
        let Message::Pong(number) = message else { return false };
        let mut state = self.lock();
        if let Some((_, at)) = state.out.take_if(|(out, _)| out == number) {
            let now = Instant::now();
            state.last = Some((now.duration_since(at), now));
        }
        state.own.take_if(|own| own == number).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOB: NodeId = NodeId([2; 32]);

    fn own_ping(meter: &LinkMeter) -> Option<u64> {
        match meter.report(BOB, false).1 {
            Some(Message::Ping(number)) => Some(number),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pings_go_out_while_repair_moves_and_one_at_a_time() {
        let meter = LinkMeter::with_pings();
        meter.add(TrafficClass::User, 7);
        assert_eq!(own_ping(&meter), None, "it is of no matter");
        meter.add(TrafficClass::User, 7);
        meter.add(TrafficClass::Repair, 5);
        let (report, asked) = meter.report(BOB, false);
        assert_eq!((report.sent, report.rtt_ms), (12, None));
        let Some(Message::Ping(number)) = asked else { panic!("{asked:?}") };
        meter.add(TrafficClass::Repair, 5);
        assert_eq!(own_ping(&meter), None);
        meter.on_sent(&Message::Ping(number));
        assert!(!meter.takes(&Message::Pong(number + 1)) && meter.takes(&Message::Pong(number)));
        assert!(!meter.takes(&Message::Pong(number)), "once");
        assert!(meter.report(BOB, false).0.rtt_ms.is_some());
        meter.add(TrafficClass::User, 5);
        assert!(meter.report(BOB, true).1.is_some(), "repair is held back, and waits for its line");
    }

    #[test]
    fn pings_of_the_engine_are_measured_and_stay_its_own() {
        let meter = LinkMeter::with_pings();
        meter.on_sent(&Message::Ping(9));
        assert!(!meter.takes(&Message::Pong(9)));
        assert!(meter.report(BOB, false).0.rtt_ms.is_some());
        assert!(!meter.takes(&Message::Ping(9)));
    }

    #[test]
    fn what_is_under_way_for_long_counts_before_it_comes_back_and_what_is_old_does_not() {
        let ping = PingedRoundTrip::default();
        ping.on_sent(&Message::Ping(1));
        let now = Instant::now();
        assert_eq!(ping.rtt_ms(now + RECENT / 8), None);
        assert!(ping.rtt_ms(now + RECENT / 2).is_some_and(|rtt| rtt >= 1_000));
        ping.takes(&Message::Pong(1));
        assert!(ping.rtt_ms(now + RECENT / 2).is_some_and(|rtt| rtt < 1_000));
        assert_eq!(ping.rtt_ms(now + 2 * RECENT), None);
    }
}
