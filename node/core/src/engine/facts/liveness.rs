//! Who else is there: when each member's heartbeat was last seen to move.
//!
//! A local opinion. Nothing that all members have to agree on depends on it.

use std::collections::BTreeMap;

use fsdfs_proto::identity::Heartbeat;
use fsdfs_proto::ids::NodeId;

use crate::engine::context::Context;
use crate::limits::AWAY_MS;

/// A member's last heartbeat that was new here.
struct LastBeat {
    boot: u64,
    counter: u64,
    /// Monotonic milliseconds.
    seen_at: u64,
}

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct Liveness(BTreeMap<NodeId, LastBeat>);

impl Liveness {
    /// Another member's heartbeat that was not known here. Whether it was started again since the one before.
    pub fn note(&mut self, cx: &Context, beat: &Heartbeat) -> bool {
        let last = LastBeat { boot: beat.boot, counter: beat.counter, seen_at: cx.now.mono };
        let before = self.0.insert(beat.node, last);
        debug_assert!(
            before.as_ref().is_none_or(|before| (before.boot, before.counter) < (beat.boot, beat.counter)),
            "the fact set takes in later heartbeats only"
        );
        before.is_some_and(|before| before.boot != beat.boot)
    }

    /// Whether it is connected, or was heard of within the last minute, by itself or through others.
    pub fn is_present(&self, cx: &Context, node: NodeId) -> bool {
        node == cx.me || cx.peers.is_up(node) || self.quiet_ms(cx, node).is_some_and(|quiet| quiet < AWAY_MS)
    }

    /// Milliseconds since anything was heard of a member; none if nothing was since the start.
    pub fn quiet_ms(&self, cx: &Context, node: NodeId) -> Option<u64> {
        let beat = self.0.get(&node).map(|beat| beat.seen_at);
        beat.max(cx.peers.heard_at(node)).map(|at| cx.now.mono.saturating_sub(at))
    }
}

#[cfg(test)]
mod tests;
