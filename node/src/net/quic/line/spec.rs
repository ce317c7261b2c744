//! What a line is like, and what is on it.

use std::sync::Arc;
use std::time::Duration;

use quinn_proto::congestion::{BbrConfig, ControllerFactory, CubicConfig};

use super::super::control::{DrainClock, Factory};

/// A line, the same both ways.
#[derive(Clone)]
pub(super) struct LineSpec {
    /// Bits per second.
    pub rate: f64,
    /// One way.
    pub delay: Duration,
    /// What the queue holds, in time.
    pub queue: Duration,
    /// Share of packets that are lost by chance, in bursts of so many on average.
    pub loss: f64,
    pub burst: f64,
    /// Wi-Fi keeps everything back for up to so long, about 20 times a second.
    pub pauses: Duration,
    /// What changes on the way of the data, and when.
    pub changes: Vec<(Duration, LineChange)>,
}

#[derive(Clone, Copy)]
pub(super) enum LineChange {
    /// Bits per second.
    Rate(f64),
    /// One way.
    Delay(Duration),
    /// Share of packets.
    Loss(f64),
}

impl LineSpec {
    /// `mbit` per second, and a round trip of so many milliseconds.
    pub fn new(mbit: f64, round_trip_ms: u64, queue_ms: u64) -> Self {
        Self {
            rate: mbit * 1e6,
            delay: Duration::from_millis(round_trip_ms) / 2,
            queue: Duration::from_millis(queue_ms),
            loss: 0.0,
            burst: 1.0,
            pauses: Duration::ZERO,
            changes: Vec::new(),
        }
    }

    pub fn loses(mut self, share: f64) -> Self {
        self.loss = share;
        self
    }

    pub fn in_bursts_of(mut self, packets: f64) -> Self {
        self.burst = packets;
        self
    }

    pub fn pauses(mut self, up_to_ms: u64) -> Self {
        self.pauses = Duration::from_millis(up_to_ms);
        self
    }

    pub fn then(mut self, at_ms: u64, change: LineChange) -> Self {
        self.changes.push((Duration::from_millis(at_ms), change));
        self
    }
}

#[derive(Clone, Copy)]
pub(super) enum LineController {
    Ours,
    /// The rival that is most frequent.
    Cubic,
    /// As quinn has it, of 2019.
    Bbr,
}

impl LineController {
    /// `clock`: that of the node.
    pub fn factory(self, clock: &Arc<DrainClock>) -> Arc<dyn ControllerFactory + Send + Sync> {
        match self {
            Self::Ours => Arc::new(Factory::new(Arc::clone(clock))),
            Self::Cubic => Arc::new(CubicConfig::default()),
            Self::Bbr => Arc::new(BbrConfig::default()),
        }
    }
}

/// What a connection has to carry.
#[derive(Clone, Copy)]
pub(super) struct FlowSpec {
    pub controller: LineController,
    pub start: Duration,
    /// It is of a node of its own, whose time of day is so much ahead; otherwise all are of one.
    pub own_node: Option<Duration>,
    /// From and until then only so many bits per second are offered; otherwise as much as the connection takes.
    pub trickle: Option<(Duration, Duration, f64)>,
}
