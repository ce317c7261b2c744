//! How often a block was sent to the same peer.
//!
//! Promise: a peer that confirms a block and denies it later gets it again once, as after the loss of a disk, and then no
//! more for a day. Otherwise whoever says "no" often enough has everybody send without end.

use std::collections::BTreeMap;

use fsdfs_proto::ids::{BlockId, NodeId};

/// A block is sent to one peer so often at most, in [`FORGET_MS`].
const SENDS_MAX: u8 = 2;
/// A day: who lost two disks within one can wait until the next.
const FORGET_MS: u64 = 24 * 3_600_000;
/// Blocks that are remembered, some 6 MB. A peer that is filled for the first time may push others out, which costs no more than
/// that they are sent again.
const REMEMBERED_MAX: usize = 65_536;

/// See the module.
#[derive(Default)]
pub(super) struct ResentCopies(BTreeMap<(NodeId, BlockId), SentCount>);

#[derive(Clone, Copy)]
struct SentCount {
    times: u8,
    /// When it was sent last.
    at: u64,
}

impl ResentCopies {
    /// A peer confirmed a block that was sent to it.
    pub fn note(&mut self, node: NodeId, id: BlockId, now: u64) {
        if self.0.len() >= REMEMBERED_MAX && !self.0.contains_key(&(node, id)) {
            self.0.retain(|_, sent| now < sent.at + FORGET_MS);
            if self.0.len() >= REMEMBERED_MAX {
                self.0.pop_first();
            }
        }
        let sent = self.0.entry((node, id)).or_insert(SentCount { times: 0, at: now });
        let times = if now < sent.at + FORGET_MS { sent.times.saturating_add(1) } else { 1 };
        *sent = SentCount { times, at: now };
        debug_assert!(self.0.len() <= REMEMBERED_MAX, "what is remembered is bounded");
    }

    /// Whether the peer had it often enough.
    pub fn is_enough(&self, node: NodeId, id: BlockId, now: u64) -> bool {
        self.0.get(&(node, id)).is_some_and(|sent| sent.times >= SENDS_MAX && now < sent.at + FORGET_MS)
    }
}
