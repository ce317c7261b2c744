//! When the engine wants to be woken, and for what.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, NodeId, VolumeId};

use crate::seam::OpId;

/// What is due. A timer whose cause is gone does nothing when it fires, so none is ever cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A peer owes answers, or is silent.
    Peer(NodeId),
    /// A member is to be connected to.
    Dial(NodeId),
    /// Digests go to a random peer.
    Gossip,
    Heartbeat,
    /// Everybody is looked at: who is up, away, gone.
    Presence,
    /// An hour of history ended.
    Floor,
    /// Somebody is out who has the key of the shared volume.
    Rotate,
    /// Keys are lacking still.
    Keys,
    /// Facts wait for a peer until it may be sent more.
    Facts(NodeId),
    /// Cards of others that came too soon are logged.
    LogOthers,
    /// A disk of this node has been out of sight for too long.
    Card,
    /// A card of another member that came too soon is taken in.
    Cards,
    /// A read may need another holder.
    Get(BlockId),
    /// This node's damaged copy is to be replaced.
    ReadRepair(BlockId),
    /// Queued edits become a commit.
    Commit(VolumeId),
    /// Queries that wait for a key wait no longer.
    Queries,
    /// Several heads stand, or one is not published.
    Merge(VolumeId),
    /// What is not published is told again.
    Unpublished,
    /// Puts whose blocks are passed on by others, or wait for the word of some, are looked at.
    Relays,
    /// A repair scan is due, or may go on.
    Repair,
    /// An inventory ends with what it has.
    Inventory(OpId),
    /// A holder is to be audited.
    Audit,
    /// It is looked whether there is room, or a proof came too late.
    Evict,
    /// A mark is due, or may go on.
    Collect,
    /// A proof may be asked for, or will not come.
    Proofs,
}

/// At most one entry for each timer, so its size is bounded by what the machines hold.
#[derive(Default)]
pub(super) struct Timers {
    order: BTreeSet<(u64, Timer)>,
    /// The same entries by timer.
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
        debug_assert_eq!(self.order.len(), self.at.len(), "one entry a timer");
    }

    pub fn next(&self) -> Option<u64> {
        self.order.first().map(|(at, _)| *at)
    }

    /// A timer that is due at `now`, taken out.
    pub fn due(&mut self, now: u64) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (at, timer) = self.order.pop_first()?;
        let removed = self.at.remove(&timer);
        debug_assert_eq!(removed, Some(at), "both sides hold the same entries");
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_of_two_times_counts() {
        let mut timers = Timers::default();
        timers.set(20, Timer::Gossip);
        timers.set(10, Timer::Gossip);
        timers.set(30, Timer::Gossip);
        assert_eq!(timers.next(), Some(10));
        assert_eq!((timers.due(9), timers.due(10), timers.due(100)), (None, Some(Timer::Gossip), None));
    }

    #[test]
    fn what_is_due_at_once_comes_in_the_order_of_the_kinds() {
        let mut timers = Timers::default();
        timers.set(5, Timer::Repair);
        timers.set(5, Timer::Heartbeat);
        timers.set(4, Timer::Commit(VolumeId([1; 32])));
        let due: Vec<Timer> = std::iter::from_fn(|| timers.due(5)).collect();
        assert_eq!(due, [Timer::Commit(VolumeId([1; 32])), Timer::Heartbeat, Timer::Repair]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_timer_can_be_set_again_after_it_fired() {
        let mut timers = Timers::default();
        timers.set(1, Timer::Gossip);
        assert_eq!(timers.due(1), Some(Timer::Gossip));
        timers.set(7, Timer::Gossip);
        assert_eq!(timers.next(), Some(7));
    }
}
