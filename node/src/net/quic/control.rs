//! Congestion control for the lines of homes: how many bytes of a connection may be on their way.
//!
//! Promise: a line is filled whatever share of its packets gets lost by chance, its queue stays short enough for others on the
//! line and for small messages, and a flow that fills queues gets its half and leaves the other.
//!
//! It keeps a model of the path, the rate at which data arrive (`delivery`) and the time that a packet takes there and back
//! over empty queues (`distance`), and lets as much be under way as fits on the path. Loss is no sign by itself: only what is
//! lost while the queue is long, beyond what is lost while it is short, is taken for a full queue (`loss`).
//! Everything is steered by the window; quinn's pacer spreads it over the time of a round trip.
//!
//! The transport makes one [`DrainClock`] and gives [`Factory::new`] of it to
//! `quinn::TransportConfig::congestion_controller_factory`. Why it is our own, and what it was measured against: decision 40.

mod delivery;
mod distance;
mod loss;
mod phase;
#[cfg(test)]
mod tests;
mod windowed_max;

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn_proto::RttEstimator;
use quinn_proto::congestion::{Controller, ControllerFactory};

use delivery::{AckAggregation, DeliveryRate};
use distance::Distance;
pub(in crate::net) use distance::DrainClock;
use loss::{LossRounds, RoundEnd};
use phase::{ControlPhase, next_phase};
use windowed_max::WindowedMax;

/// Packets that may be on their way before anything is known, and after a pause: those of quinn are 10, other
/// implementations send up to 32 at once, spread over a round trip.
const INITIAL_PACKETS: u64 = 32;
/// As few as still bring an answer each round trip if some of them are lost.
const LEAST_PACKETS: u64 = 8;
/// For how many round trips the fastest delivery counts: longer than a cycle of eight, which has one round that looks for more.
const RATE_ROUNDS: u64 = 10;
/// In machine rooms and homes the ends answer later than the line: below that, what fits on the line is too little.
const SHORTEST_DISTANCE: Duration = Duration::from_millis(2);
/// After such a pause the line may have become another one.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes the controllers of a node's connections.
pub(in crate::net) struct Factory {
    clock: Arc<DrainClock>,
}

impl Factory {
    /// All connections of a node share one clock, as they may share its line.
    pub(in crate::net) fn new(clock: Arc<DrainClock>) -> Self {
        Self { clock }
    }
}

impl ControllerFactory for Factory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(PathController::new(Arc::clone(&self.clock), now, current_mtu.into()))
    }
}

/// Bytes that a connection should take from its streams before they are acknowledged, if so many may be under way.
///
/// Four windows: what is lost stays in the way of what was sent after it for a round trip, and for a second one if it is lost
/// again. More would only keep what can no longer be cancelled, and make small messages wait behind it. To be set ten times a
/// second, or a connection's first second is spent in the smallest of them. What both are worth was measured: decision 40.
pub(in crate::net) fn send_window(window: u64) -> u64 {
    (4 * window).clamp(512 << 10, 16 << 20)
}

/// The controller of one path.
#[derive(Clone)]
struct PathController {
    clock: Arc<DrainClock>,
    mtu: u64,
    phase: ControlPhase,
    delivery: DeliveryRate,
    /// In bytes per second.
    bandwidth: WindowedMax<f64>,
    aggregation: AckAggregation,
    distance: Distance,
    loss: LossRounds,
    /// After a pause: the window grows from here by what arrives, until it reaches the model's.
    restart: Option<u64>,
    window: u64,
}

impl PathController {
    fn new(clock: Arc<DrainClock>, now: Instant, mtu: u64) -> Self {
        let distance = Distance::new(&clock, now);
        Self {
            clock,
            mtu,
            phase: ControlPhase::Startup { best: 0.0, flat_rounds: 0 },
            delivery: DeliveryRate::new(now),
            bandwidth: WindowedMax::new(RATE_ROUNDS),
            aggregation: AckAggregation::new(now, RATE_ROUNDS),
            distance,
            loss: LossRounds::default(),
            restart: None,
            window: INITIAL_PACKETS * mtu,
        }
    }

    fn rate(&self) -> f64 {
        self.bandwidth.max().unwrap_or(0.0)
    }

    /// The bytes that fit on the line without a queue; 0 as long as nothing has come back.
    fn line_bytes(&self) -> f64 {
        let distance = self.distance.shortest().map_or(Duration::ZERO, |rtt| rtt.max(SHORTEST_DISTANCE));
        self.rate() * distance.as_secs_f64()
    }

    fn is_starting(&self) -> bool {
        matches!(self.phase, ControlPhase::Startup { .. })
    }

    fn update_window(&mut self, acked: u64) {
        let wanted = if self.is_starting() { self.startup_window(acked) } else { self.model_window() };
        let mut window = wanted.max(LEAST_PACKETS * self.mtu);
        if let Some(restart) = &mut self.restart {
            *restart += acked;
            window = window.min(*restart);
            self.restart = self.restart.filter(|restart| *restart < wanted);
        }
        self.window = window;
    }

    /// No more than 2.9 times what fits: doubling needs 2, and 2.9 (2 / ln 2) while the rate is a round old.
    fn startup_window(&self, acked: u64) -> u64 {
        let most = 2.9 * self.line_bytes() + (INITIAL_PACKETS * self.mtu) as f64;
        (self.window + acked).min(most as u64)
    }

    fn model_window(&self) -> u64 {
        let line = self.line_bytes();
        // A little queue is what keeps a line busy while answers come unevenly.
        let (gain, share_of_cap) = match self.phase {
            ControlPhase::Probe { .. } => (1.25, 1.0),
            ControlPhase::Yield { .. } => (0.85, 0.85),
            ControlPhase::Cruise(_) | ControlPhase::Startup { .. } => (1.08, 1.0),
        };
        let mut window = gain * line + self.aggregation.extra(line) + 3.0 * self.mtu as f64;
        if let Some(cap) = self.loss.cap() {
            window = window.min(cap * share_of_cap);
        }
        if self.distance.is_draining() {
            window = window.min(0.25 * line);
        }
        window as u64
    }

    fn end_round(&mut self, now: Instant) {
        let end = RoundEnd {
            shortest: self.distance.shortest(),
            line_bytes: self.line_bytes(),
            uncapped: 1.25 * self.line_bytes() + self.aggregation.extra(self.line_bytes()),
            mtu: self.mtu,
            learns: !self.is_starting(),
        };
        let congested = self.loss.end_round(&end);
        if congested {
            self.bandwidth.scale(0.92);
        }
        let limited = self.delivery.end_round();
        let was_starting = self.is_starting();
        self.phase = next_phase(self.phase, self.rate(), congested, limited);
        if was_starting && !self.is_starting() {
            // Whatever queue there was, it has seen no other.
            self.clock.wish(now);
        }
    }

    /// All that was sent for some round trips is lost: another line, or none. Only the distance may still be right.
    fn start_again(&mut self, now: Instant) {
        let mut fresh = Self::new(Arc::clone(&self.clock), now, self.mtu);
        fresh.distance = self.distance.clone();
        fresh.delivery = self.delivery.clone();
        fresh.window = LEAST_PACKETS * self.mtu;
        *self = fresh;
    }
}

impl Controller for PathController {
    fn on_sent(&mut self, now: Instant, _bytes: u64, _last_packet_number: u64) {
        if self.delivery.pause(now).is_some_and(|pause| pause > PAUSE) {
            let restart = (self.window / 2).max(INITIAL_PACKETS * self.mtu);
            self.window = self.window.min(restart);
            self.restart = Some(restart);
        }
        self.delivery.on_sent(now);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, _rtt: &RttEstimator) {
        let rtt = now.saturating_duration_since(sent);
        let may_drain = !app_limited && !self.is_starting();
        self.distance.on_ack(&self.clock, now, rtt, may_drain);
        self.loss.on_ack(bytes, rtt);
        self.aggregation.on_ack(now, bytes, self.rate(), self.delivery.round());
        let sample = self.delivery.on_ack(now, sent, bytes, self.distance.shortest().unwrap_or(rtt));
        if let Some(rate) = sample.rate
            && (!(app_limited || sample.limited) || rate > self.rate())
        {
            self.bandwidth.insert(self.delivery.round(), rate);
        }
        if sample.ends_round {
            self.end_round(now);
        }
        self.update_window(bytes);
    }

    fn on_end_acks(&mut self, _now: Instant, in_flight: u64, app_limited: bool, _largest: Option<u64>) {
        self.loss.on_in_flight(in_flight);
        self.delivery.on_in_flight(in_flight, app_limited);
    }

    fn on_congestion_event(&mut self, now: Instant, _sent: Instant, is_persistent_congestion: bool, lost_bytes: u64) {
        if is_persistent_congestion {
            self.start_again(now);
        } else if lost_bytes == 0 {
            self.loss.on_mark();
        } else {
            self.loss.on_loss(lost_bytes);
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = new_mtu.into();
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        INITIAL_PACKETS * self.mtu
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
