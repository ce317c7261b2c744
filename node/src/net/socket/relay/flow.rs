//! What waits in one direction of a session.

use std::collections::VecDeque;

use bytes::Bytes;
use quinn::udp::EcnCodepoint;

/// Packets that may always wait: what a connection sends at its beginning.
const PACKETS_MIN: usize = 32;
/// A queue is as long as what left it in this time, in milliseconds: longer ones only make everything late.
const QUEUE_MS: u64 = 100;
/// Bytes that may wait at first: one batch of the system's.
const ALLOWANCE_BYTES_FIRST: usize = 64 << 10;
/// And at most, however fast they leave.
pub(super) const ALLOWANCE_BYTES_MAX: usize = 256 << 10;

/// Packets of one length, but the last, which may be shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::net::socket) struct PacketBatch {
    pub bytes: Bytes,
    pub stride: usize,
    /// As they came: congestion is seen from end to end.
    pub ecn: Option<EcnCodepoint>,
}

impl PacketBatch {
    pub fn packets(&self) -> usize {
        self.bytes.len().div_ceil(self.stride.max(1))
    }

    /// Takes the first packets off: one, and as many more as these bytes hold.
    fn split(&mut self, bytes: usize) -> Self {
        let packets = (bytes / self.stride.max(1)).max(1);
        let end = (packets * self.stride).min(self.bytes.len());
        Self { bytes: self.bytes.split_to(end), ..*self }
    }
}

/// A queue that drops at its end. Times are milliseconds on the monotonic clock.
pub(super) struct FlowQueue {
    waiting: VecDeque<PacketBatch>,
    packets: usize,
    bytes: usize,
    /// Bytes that may wait.
    allowance: usize,
    /// Since when something waits, or since it was looked at how fast it leaves.
    since: u64,
    /// What left since then.
    left: usize,
}

impl Default for FlowQueue {
    fn default() -> Self {
        let waiting = VecDeque::new();
        Self { waiting, packets: 0, bytes: 0, allowance: ALLOWANCE_BYTES_FIRST, since: 0, left: 0 }
    }
}

impl FlowQueue {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What does not fit is dropped: how many packets. Only what fits is copied.
    pub fn push(&mut self, now: u64, batch: &[u8], stride: usize, ecn: Option<EcnCodepoint>) -> usize {
        if self.is_empty() {
            (self.since, self.left) = (now, 0);
        }
        let packets = batch.len().div_ceil(stride.max(1));
        let free = self.allowance.saturating_sub(self.bytes) / stride.max(1);
        let fitting = packets.min(free.max(PACKETS_MIN.saturating_sub(self.packets)));
        if fitting > 0 {
            let kept = &batch[..batch.len().min(fitting * stride)];
            self.packets += fitting;
            self.bytes += kept.len();
            self.waiting.push_back(PacketBatch { bytes: Bytes::copy_from_slice(kept), stride, ecn });
        }
        packets - fitting
    }

    /// The next packets: one, and as many more of its batch as these bytes hold.
    pub fn pop(&mut self, now: u64, bytes: usize) -> Option<PacketBatch> {
        let first = self.waiting.front_mut()?;
        let taken = first.split(bytes);
        if first.bytes.is_empty() {
            self.waiting.pop_front();
        }
        self.packets -= taken.packets();
        self.bytes -= taken.bytes.len();
        self.left += taken.bytes.len();
        self.fit_allowance(now);
        Some(taken)
    }

    /// A queue that stands is cut to what leaves it in its time. One that is empty again was none: it may grow.
    fn fit_allowance(&mut self, now: u64) {
        let elapsed = now.saturating_sub(self.since);
        if elapsed >= QUEUE_MS {
            let leaving = self.left as u64 * QUEUE_MS / elapsed;
            self.allowance = usize::try_from(leaving).unwrap_or(usize::MAX).min(ALLOWANCE_BYTES_MAX);
            (self.since, self.left) = (now, 0);
        } else if self.is_empty() {
            self.allowance = (self.allowance + self.left).min(ALLOWANCE_BYTES_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(flow: &mut FlowQueue, now: u64, stride: usize, len: usize) -> usize {
        flow.push(now, &vec![7; len], stride, None)
    }

    #[test]
    fn what_went_in_comes_out_in_order_and_in_the_same_packets() {
        let mut flow = FlowQueue::default();
        let bytes: Vec<u8> = (0..250).collect();
        assert_eq!(flow.push(0, &bytes, 60, Some(EcnCodepoint::Ce)), 0);
        let mut popped = Vec::new();
        for (most, len) in [(0, 60), (119, 60), (125, 120), (9_999, 10)] {
            let taken = flow.pop(0, most).expect("more");
            assert_eq!((taken.bytes.len(), taken.stride, taken.ecn), (len, 60, Some(EcnCodepoint::Ce)));
            popped.extend_from_slice(&taken.bytes);
        }
        assert_eq!(popped, bytes);
        assert!(flow.is_empty() && flow.pop(0, 1).is_none());
        assert_eq!((flow.packets, flow.bytes), (0, 0));
    }

    #[test]
    fn a_queue_that_stands_holds_a_tenth_of_a_second_or_a_few_packets() {
        let (mut flow, mut dropped) = (FlowQueue::default(), 0);
        // 1,000 bytes leave in a millisecond, and more than that comes.
        for now in 0..2_000 {
            dropped = push(&mut flow, now, 1_000, 3_000);
            flow.pop(now, 1_000);
            assert!(flow.bytes <= 101_000, "{} at {now}", flow.bytes);
        }
        assert_eq!(dropped, 2, "what leaves is replaced, the rest is dropped");
        assert!(flow.bytes >= 90_000, "{}", flow.bytes);
        // Nothing leaves for long: a few packets wait.
        while flow.packets > 1 {
            flow.pop(9_000, 1_000);
        }
        assert_eq!(push(&mut flow, 9_000, 1_000, 40_000), 40 - (PACKETS_MIN - 1));
    }

    #[test]
    fn one_that_empties_may_grow_to_its_bound() {
        let mut flow = FlowQueue::default();
        assert_eq!(push(&mut flow, 0, 1_024, 1 << 20), 1024 - 64, "one batch at first");
        while flow.pop(1, 1 << 20).is_some() {}
        assert_eq!(push(&mut flow, 1, 1_024, 1 << 20), 1024 - 128);
        for _ in 0..9 {
            while flow.pop(1, 1 << 20).is_some() {}
            push(&mut flow, 1, 1_024, 1 << 20);
        }
        assert_eq!(flow.bytes, ALLOWANCE_BYTES_MAX);
    }
}
