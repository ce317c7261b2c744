//! Bytes that crossed the lanes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counted since the start. QUIC's own overhead (headers, retransmissions) is not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages without their blocks.
    pub message_bytes_in: u64,
    /// Messages without their blocks.
    pub message_bytes_out: u64,
    /// Blocks.
    pub block_bytes_in: u64,
    /// Blocks.
    pub block_bytes_out: u64,
}

/// Reads the counters of a network.
#[derive(Clone)]
pub struct TrafficMeter(Arc<Counters>);

impl TrafficMeter {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self(counters)
    }

    /// Bytes since the start.
    pub fn read(&self) -> Traffic {
        self.0.traffic()
    }
}

#[derive(Default)]
pub(super) struct Counters {
    pub message_in: Counter,
    pub message_out: Counter,
    pub block_in: Counter,
    pub block_out: Counter,
}

#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counters {
    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            message_bytes_in: self.message_in.get(),
            message_bytes_out: self.message_out.get(),
            block_bytes_in: self.block_in.get(),
            block_bytes_out: self.block_out.get(),
        }
    }
}
