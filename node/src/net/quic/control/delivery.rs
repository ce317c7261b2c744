//! At which rate data arrive.
//!
//! A sample spans the time from a packet's sending to its acknowledgement: what was acknowledged in it, divided by the longer
//! of the times that the sending and the acknowledging of these bytes took. So neither a burst of packets nor one of
//! acknowledgements looks like a fast line (as in draft-cheng-iccrg-delivery-rate-estimation).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::windowed_max::WindowedMax;

/// Sendings that are remembered at most, some 10 packets each: those of a second at 2 Gbit/s. Packets of forgotten ones give no
/// sample.
const MARKS_MAX: usize = 16_384;

/// What was so when some packets were sent.
#[derive(Clone, Copy)]
struct SendMark {
    at: Instant,
    delivered: u64,
    delivered_at: Instant,
    /// When the packet was sent that was acknowledged last.
    first_sent: Instant,
    /// Too little was sent to fill the line.
    limited: bool,
}

/// What an acknowledgement tells.
pub(super) struct DeliverySample {
    /// Bytes per second; none if the sample is too short to tell.
    pub rate: Option<f64>,
    /// The rate is that of who had little to send.
    pub limited: bool,
    /// What was sent since the last round ended has begun to arrive.
    pub ends_round: bool,
}

#[derive(Clone)]
pub(super) struct DeliveryRate {
    /// By time; one for all packets of an instant.
    marks: VecDeque<SendMark>,
    /// Bytes acknowledged so far.
    delivered: u64,
    delivered_at: Instant,
    first_sent: Instant,
    in_flight: u64,
    /// Until so much is delivered, what was under way was less than allowed.
    limited_until: u64,
    round: u64,
    round_end: u64,
    round_limited: bool,
}

impl DeliveryRate {
    pub fn new(now: Instant) -> Self {
        Self {
            marks: VecDeque::new(),
            delivered: 0,
            delivered_at: now,
            first_sent: now,
            in_flight: 0,
            limited_until: 0,
            round: 0,
            round_end: 0,
            round_limited: false,
        }
    }

    /// Counts round trips.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// For how long nothing was under way.
    pub fn pause(&self, now: Instant) -> Option<Duration> {
        (self.in_flight == 0).then(|| now.saturating_duration_since(self.delivered_at))
    }

    pub fn on_sent(&mut self, now: Instant) {
        if self.in_flight == 0 {
            self.first_sent = now;
            self.delivered_at = now;
        }
        // How much, the next acknowledgement tells.
        self.in_flight = self.in_flight.max(1);
        if self.marks.back().is_some_and(|last| last.at >= now) {
            return;
        }
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_front();
        }
        let limited = self.delivered < self.limited_until;
        let (delivered, delivered_at, first_sent) = (self.delivered, self.delivered_at, self.first_sent);
        self.marks.push_back(SendMark { at: now, delivered, delivered_at, first_sent, limited });
    }

    /// `shortest`: the distance. A sample that spans less is one of packets that a queue has pushed together.
    pub fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, shortest: Duration) -> DeliverySample {
        self.delivered += bytes;
        self.delivered_at = now;
        let Ok(index) = self.marks.binary_search_by(|mark| mark.at.cmp(&sent)) else {
            return DeliverySample { rate: None, limited: true, ends_round: false };
        };
        let mark = self.marks[index];
        self.forget(sent, now.saturating_duration_since(sent));
        self.first_sent = mark.at;
        let span = (mark.at - mark.first_sent).max(now.saturating_duration_since(mark.delivered_at));
        let rate = (span >= shortest && !span.is_zero())
            .then(|| (self.delivered - mark.delivered) as f64 / span.as_secs_f64());
        self.round_limited |= mark.limited;
        let ends_round = mark.delivered >= self.round_end;
        if ends_round {
            self.round += 1;
            self.round_end = self.delivered;
        }
        DeliverySample { rate, limited: mark.limited, ends_round }
    }

    /// What was sent more than a round trip before an acknowledged packet counts as lost by now.
    fn forget(&mut self, sent: Instant, rtt: Duration) {
        while self.marks.front().is_some_and(|mark| mark.at + rtt * 2 < sent) {
            self.marks.pop_front();
        }
    }

    /// Whether there was too little to send in the round that ended.
    pub fn end_round(&mut self) -> bool {
        std::mem::take(&mut self.round_limited)
    }

    pub fn on_in_flight(&mut self, in_flight: u64, app_limited: bool) {
        self.in_flight = in_flight;
        if app_limited {
            self.limited_until = self.delivered + in_flight.max(1);
        }
    }
}

/// Acknowledgements that come in heaps: by how much what arrived ran ahead of the rate. Wi-Fi keeps packets back and lets
/// them go together; who sends no more meanwhile than fits on the line is idle when the heap has come.
#[derive(Clone)]
pub(super) struct AckAggregation {
    since: Instant,
    /// Acknowledged since then.
    bytes: u64,
    extra: WindowedMax<u64>,
}

impl AckAggregation {
    pub fn new(now: Instant, rounds: u64) -> Self {
        Self { since: now, bytes: 0, extra: WindowedMax::new(rounds) }
    }

    /// `rate`: bytes per second.
    pub fn on_ack(&mut self, now: Instant, bytes: u64, rate: f64, round: u64) {
        let expected = |since: Instant| (rate * now.saturating_duration_since(since).as_secs_f64()) as u64;
        if self.bytes <= expected(self.since) {
            self.since = now;
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.extra.insert(round, self.bytes.saturating_sub(expected(self.since)));
    }

    /// Bytes that may be under way beside those that fit on the line; at most as many as these.
    pub fn extra(&self, line_bytes: f64) -> f64 {
        (self.extra.max().unwrap_or(0) as f64).min(line_bytes)
    }
}
