//! When the engine wants to be woken, and for what.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, NodeId, VolumeId};

use crate::seam::OpId;

/// What is due. A timer whose cause is gone does nothing when it fires, so none is ever cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Peer(NodeId),
    Dial(NodeId),
    Gossip,
    Heartbeat,
    Get(BlockId),
    Heal(BlockId),
    Commit(VolumeId),
    Merge(VolumeId),
    TopUp,
    Survey(OpId),
}

#[derive(Default)]
pub(super) struct Timers {
    order: BTreeSet<(u64, Timer)>,
    at: BTreeMap<Timer, u64>,
}

impl Timers {
    /// Wakes for `timer` at `at`, or earlier if that was asked before. One wake-up answers both.
    pub fn set(&mut self, at: u64, timer: Timer) {
        if self.at.get(&timer).is_some_and(|before| *before <= at) {
            return;
        }
        if let Some(before) = self.at.insert(timer, at) {
            self.order.remove(&(before, timer));
        }
        self.order.insert((at, timer));
    }

    pub fn next(&self) -> Option<u64> {
        self.order.first().map(|(at, _)| *at)
    }

    pub fn due(&mut self, now: u64) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.order.pop_first()?;
        self.at.remove(&timer);
        Some(timer)
    }
}
