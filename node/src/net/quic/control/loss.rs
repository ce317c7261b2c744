//! What a loss means: a queue that is full, or a line that loses.
//!
//! Rounds in which the queue is short teach how much is lost anyway. What is lost beyond that while the queue is long is lost
//! in the queue, and caps the window. Who came when the queue was full knows no other: it takes many lost packets, for some
//! rounds, for a full queue, too.

use std::time::Duration;

/// What is lost with a short queue, at most: a line that loses more is no use to others either.
const BASE_LOSS_MAX: f64 = 0.05;
/// What may be lost beyond it. Queues that hold no more than some milliseconds always lose something.
const MORE_LOSS: f64 = 0.02;

/// Beyond the usual loss, in so many rounds one after the other: that is a queue, even if it never was shorter. Bursts of Wi-Fi
/// pass sooner.
const HEAVY_LOSS: f64 = 0.1;
const HEAVY_ROUNDS: u8 = 4;

/// What is known at the end of a round trip.
pub(super) struct RoundEnd {
    pub shortest: Option<Duration>,
    /// Bytes that fit on the line.
    pub line_bytes: f64,
    /// The largest window of a cycle without a cap.
    pub uncapped: f64,
    pub mtu: u64,
    /// This round tells what the line loses by itself.
    pub learns: bool,
}

#[derive(Clone, Default)]
pub(super) struct LossRounds {
    acked: u64,
    lost: u64,
    marked: bool,
    /// Of this round.
    shortest: Option<Duration>,
    in_flight_max: u64,
    heavy_rounds: u8,
    /// The part that is lost although there is no queue.
    base_loss: f64,
    cap: Option<f64>,
}

impl LossRounds {
    /// The window may not be larger.
    pub fn cap(&self) -> Option<f64> {
        self.cap
    }

    pub fn on_ack(&mut self, bytes: u64, rtt: Duration) {
        self.acked += bytes;
        self.shortest = Some(self.shortest.map_or(rtt, |shortest| shortest.min(rtt)));
    }

    pub fn on_in_flight(&mut self, bytes: u64) {
        self.in_flight_max = self.in_flight_max.max(bytes);
    }

    pub fn on_loss(&mut self, bytes: u64) {
        self.lost += bytes;
    }

    /// The line says itself that its queue is long (ECN).
    pub fn on_mark(&mut self) {
        self.marked = true;
    }

    /// Whether the queue was full.
    pub fn end_round(&mut self, end: &RoundEnd) -> bool {
        let loss = self.lost as f64 / ((self.lost + self.acked) as f64).max(1.0);
        let calm = self.is_calm(end.shortest);
        if calm && end.learns {
            self.base_loss += (loss.min(0.1) - self.base_loss) / 8.0;
        }
        let usual = self.base_loss.min(BASE_LOSS_MAX);
        let too_much = loss > 1.25 * usual + MORE_LOSS && self.lost > 2 * end.mtu;
        let heavy = loss > usual + HEAVY_LOSS && self.lost > 4 * end.mtu;
        self.heavy_rounds = if heavy { self.heavy_rounds + 1 } else { 0 };
        let congested = self.marked || (too_much && !calm) || self.heavy_rounds == HEAVY_ROUNDS;
        if congested {
            self.lower_cap(end);
        } else {
            self.raise_cap(end);
        }
        let heavy_rounds = if congested { 0 } else { self.heavy_rounds };
        let (base_loss, cap) = (self.base_loss, self.cap);
        *self = Self { base_loss, cap, heavy_rounds, ..Self::default() };
        congested
    }

    /// There was hardly a queue in this round.
    fn is_calm(&self, shortest: Option<Duration>) -> bool {
        let (Some(here), Some(shortest)) = (self.shortest, shortest) else { return true };
        here.saturating_sub(shortest) < (shortest / 16).max(Duration::from_millis(1))
    }

    fn lower_cap(&mut self, end: &RoundEnd) {
        let in_flight = self.in_flight_max as f64;
        let reached = self.cap.map_or(in_flight, |cap| cap.min(in_flight));
        self.cap = Some((0.85 * reached).max(0.5 * end.line_bytes));
    }

    fn raise_cap(&mut self, end: &RoundEnd) {
        let Some(cap) = self.cap else { return };
        let raised = cap + (0.005 * cap).max(0.2 * end.mtu as f64);
        self.cap = Some(raised).filter(|cap| *cap <= 1.5 * end.uncapped);
    }
}
