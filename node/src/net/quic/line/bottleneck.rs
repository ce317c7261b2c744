//! One direction of a line: a queue in front of a sender of a certain rate, then the way to the other end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::spec::LineSpec;

/// IPv4 and UDP headers.
const HEADER_BYTES: usize = 28;
/// Wi-Fi pauses come so long after each other, in seconds: at least, and more on average.
const PAUSE_GAP: (f64, f64) = (0.005, 0.045);

/// Whatever makes a burst of losses has passed when nothing was sent for so long. Else one that took everything under way would
/// wait for the next attempt, and for the one after it.
const BURST_GAP: Duration = Duration::from_millis(10);

/// What one bottleneck saw of packets.
#[derive(Default)]
pub(super) struct BottleneckRecord {
    pub offered: u64,
    /// The queue was full.
    pub dropped: u64,
    /// How long each packet stood in the queue, with when it came. Both in milliseconds, the latter since the start.
    pub waits: Vec<(f32, f32)>,
}

pub(super) struct Bottleneck {
    start: Instant,
    /// Bits per second.
    pub rate: f64,
    pub delay: Duration,
    pub loss: f64,
    burst: f64,
    queue: Duration,
    pauses: Duration,
    chance: fastrand::Rng,
    /// In a burst of losses.
    losing: bool,
    last_offered: Instant,
    /// Until then it sends what it has.
    busy: Instant,
    next_pause: Instant,
    last_arrival: Instant,
    /// By arrival, with the flow.
    on_the_way: VecDeque<(Instant, usize, BytesMut)>,
    pub record: BottleneckRecord,
}

impl Bottleneck {
    pub fn new(spec: &LineSpec, start: Instant, seed: u64) -> Self {
        Self {
            start,
            rate: spec.rate,
            delay: spec.delay,
            loss: spec.loss,
            burst: spec.burst,
            queue: spec.queue,
            pauses: spec.pauses,
            chance: fastrand::Rng::with_seed(seed),
            losing: false,
            last_offered: start,
            busy: start,
            next_pause: start,
            last_arrival: start,
            on_the_way: VecDeque::new(),
            record: BottleneckRecord::default(),
        }
    }

    pub fn next_arrival(&self) -> Option<Instant> {
        self.on_the_way.front().map(|(at, ..)| *at)
    }

    pub fn pop(&mut self, now: Instant) -> Option<(usize, BytesMut)> {
        if self.next_arrival()? > now {
            return None;
        }
        self.on_the_way.pop_front().map(|(_, flow, datagram)| (flow, datagram))
    }

    pub fn push(&mut self, now: Instant, flow: usize, datagram: BytesMut) {
        self.record.offered += 1;
        if self.is_lost(now) {
            return;
        }
        self.pause(now);
        let begin = self.busy.max(now);
        let wait = begin - now;
        if wait > self.queue {
            self.record.dropped += 1;
            return;
        }
        self.record.waits.push((millis(now - self.start), millis(wait)));
        let bits = 8 * (datagram.len() + HEADER_BYTES);
        self.busy = begin + Duration::from_secs_f64(bits as f64 / self.rate);
        // Nothing overtakes, also when the way gets shorter.
        self.last_arrival = self.last_arrival.max(self.busy + self.delay);
        self.on_the_way.push_back((self.last_arrival, flow, datagram));
    }

    /// By chance; in bursts of `burst` packets on average, of which there are fewer.
    fn is_lost(&mut self, now: Instant) -> bool {
        let draw = self.chance.f64();
        self.losing &= now <= self.last_offered + BURST_GAP;
        self.last_offered = now;
        self.losing = if self.burst <= 1.0 {
            draw < self.loss
        } else if self.losing {
            draw >= 1.0 / self.burst
        } else {
            draw < self.loss / self.burst / (1.0 - self.loss)
        };
        self.losing
    }

    /// The pauses that have begun by now keep the sender busy.
    fn pause(&mut self, now: Instant) {
        if self.pauses.is_zero() {
            return;
        }
        while self.next_pause <= now {
            self.busy = self.busy.max(self.next_pause) + self.pauses.mul_f64(self.chance.f64());
            let (least, mean) = PAUSE_GAP;
            self.next_pause += Duration::from_secs_f64(least - mean * self.chance.f64().max(1e-9).ln());
        }
    }
}

pub(super) fn millis(time: Duration) -> f32 {
    time.as_secs_f32() * 1e3
}
