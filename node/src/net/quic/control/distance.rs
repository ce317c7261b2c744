//! How long a packet takes there and back if no queue is on the way.
//!
//! Who shares an uplink with others sees their queue as distance, lets more be under way for it, and so do they. Therefore all
//! connections get out of the way at the same moments, and look then. Those of a node: every five seconds, and when one of them
//! has found out how fast its line is, which it did beside the others. Those of several nodes, as when holders send to one home:
//! the five seconds are those of the time of day, which most machines know to some hundredths of a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two moments at which all look.
const DRAIN_EVERY: Duration = Duration::from_secs(5);
/// Between two moments that connections wish for: many may begin at once.
const WISH_EVERY: Duration = Duration::from_secs(1);
/// At most. As long as the longest round trip on a line that is worth filling, or a queue of homes' routers takes to run dry.
const DRAIN_FOR: Duration = Duration::from_millis(200);
/// After that long without anything as short, the line has become longer.
const KEPT: Duration = Duration::from_secs(20);

/// The moments at which all connections look at their lines with almost nothing under way.
pub(in crate::net) struct DrainClock {
    start: Instant,
    /// Since the last regular moment before the start, in milliseconds.
    phase_ms: u64,
    /// How many moments there were beside the regular ones, and when the last one was, in milliseconds since the start.
    wished: AtomicU64,
    wished_at_ms: AtomicU64,
}

impl DrainClock {
    /// `since_epoch`: the time of day, now. If it is wrong, only other nodes' moments are others; it is not looked at again.
    pub(in crate::net) fn new(now: Instant, since_epoch: Duration) -> Self {
        let phase_ms = (since_epoch.as_millis() % DRAIN_EVERY.as_millis()) as u64;
        Self { start: now, phase_ms, wished: AtomicU64::new(0), wished_at_ms: AtomicU64::new(0) }
    }

    /// Makes now such a moment, at most once a second.
    pub(super) fn wish(&self, now: Instant) {
        let now_ms = self.elapsed_ms(now);
        let last_ms = self.wished_at_ms.load(Ordering::Relaxed);
        let is_due = now_ms >= last_ms + WISH_EVERY.as_millis() as u64;
        // If another one was faster, its moment serves as well.
        if is_due && self.wished_at_ms.compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.wished.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts these moments.
    fn moment(&self, now: Instant) -> u64 {
        (self.phase_ms + self.elapsed_ms(now)) / DRAIN_EVERY.as_millis() as u64 + self.wished.load(Ordering::Relaxed)
    }

    fn elapsed_ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64
    }
}

#[derive(Clone, Copy)]
struct DrainTurn {
    /// What was under way at the beginning has arrived by then.
    begins: Instant,
    ends: Instant,
    shortest: Duration,
    /// When the round trips became shorter the last time.
    shortened: Instant,
}

impl DrainTurn {
    fn new(now: Instant, rtt: Duration, shortest: Duration) -> Self {
        Self { begins: now + rtt, ends: now + DRAIN_FOR.max(rtt + shortest), shortest: rtt, shortened: now }
    }

    /// Whether the queue is as short as it gets: no round trip has become shorter for as long as one takes.
    fn on_ack(&mut self, now: Instant, rtt: Duration) -> bool {
        if rtt < self.shortest {
            if rtt + Duration::from_millis(1) < self.shortest {
                self.shortened = now;
            }
            self.shortest = rtt;
        }
        now >= self.ends || now >= self.begins.max(self.shortened) + self.shortest
    }
}

#[derive(Clone)]
pub(super) struct Distance {
    shortest: Option<Duration>,
    seen_at: Instant,
    drain: Option<DrainTurn>,
    moment: u64,
}

impl Distance {
    pub fn new(clock: &DrainClock, now: Instant) -> Self {
        Self { shortest: None, seen_at: now, drain: None, moment: clock.moment(now) }
    }

    /// None before the first acknowledgement.
    pub fn shortest(&self) -> Option<Duration> {
        self.shortest
    }

    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// `may_drain`: this connection fills the line, so it may be its queue that is seen.
    pub fn on_ack(&mut self, clock: &DrainClock, now: Instant, rtt: Duration, may_drain: bool) {
        let shortest = *self.shortest.get_or_insert(rtt);
        if rtt <= shortest || now.saturating_duration_since(self.seen_at) > KEPT {
            self.set(now, rtt);
        }
        let moment = clock.moment(now);
        let there_is_a_queue = rtt > shortest + (shortest / 8).max(Duration::from_millis(2));
        if moment != self.moment && may_drain && there_is_a_queue {
            self.drain = Some(DrainTurn::new(now, rtt, shortest));
        }
        self.moment = moment;
        if let Some(turn) = &mut self.drain
            && turn.on_ack(now, rtt)
        {
            let seen = turn.shortest;
            self.drain = None;
            self.set(now, seen);
        }
    }

    fn set(&mut self, now: Instant, shortest: Duration) {
        self.shortest = Some(shortest);
        self.seen_at = now;
    }
}
