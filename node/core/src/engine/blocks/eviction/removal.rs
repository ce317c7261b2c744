//! One removal: the copies of a segment, and the word of all that are assigned their blocks.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, DiskId, NodeId};
use fsdfs_proto::message::{IDS_MAX, Message, ProveReply, ProveRequest, Redundancy};

use crate::engine::context::Context;
use crate::engine::timers::Timer;
use crate::limits::EVICT_PROOFS_MS_MAX;
use crate::seam::{EvictToken, PlacedCopy, Waiter};

/// See the module.
pub(super) struct OpenRemoval {
    number: u64,
    disk: DiskId,
    /// Each as it was when it was listed.
    copies: Vec<(BlockId, u64)>,
    pub bytes: u64,
    /// When the first was asked, in monotonic milliseconds.
    pub since: u64,
    /// How often the map had changed then.
    map_changes: u64,
    asked: BTreeSet<NodeId>,
    /// Questions without an answer.
    open: usize,
}

/// What comes of an answer.
pub(super) enum RemovalStep {
    Waits,
    Fails,
    /// These may go.
    Proven(DiskId, Vec<(BlockId, u64)>),
}

impl OpenRemoval {
    /// Asks all holders; none if one of them cannot be asked, or is not believed.
    pub fn begin(cx: &mut Context, number: u64, copies: &[(PlacedCopy, bool)]) -> Option<Self> {
        let mut questions = BTreeMap::<(NodeId, u8), Vec<BlockId>>::new();
        for (copy, _) in copies {
            let info = &copy.copy.info;
            let [Redundancy::Replicas(wanted)] = info.redundancies[..] else { return None };
            let holders = cx.map.holders(info.id, wanted);
            debug_assert!(holders.iter().all(|holder| holder.node != cx.me), "it is surplus here");
            for holder in holders {
                questions.entry((holder.node, wanted)).or_default().push(info.id);
            }
        }
        let asked: BTreeSet<NodeId> = questions.keys().map(|(node, _)| *node).collect();
        let can_say = |node: &NodeId| cx.responsive(*node) && cx.peers.is_believed(*node);
        let disk = copies.first()?.0.disk;
        if asked.is_empty() || !asked.iter().all(can_say) {
            return None;
        }
        let (map, map_changes, mut open) = (cx.map_digest, cx.map_changes, 0);
        for ((node, copies), ids) in questions {
            for ids in ids.chunks(IDS_MAX) {
                let (ids, count) = (ids.to_vec(), ids.len());
                let waiter = Waiter::Evict(EvictToken::Proof { number, node, copies, count });
                cx.ask(node, waiter, |request| Message::Prove(ProveRequest { request, map, copies, ids }));
                open += 1;
            }
        }
        let since = cx.now.mono;
        cx.wake_in(EVICT_PROOFS_MS_MAX + 1, Timer::Evict);
        let bytes = copies.iter().map(|(copy, _)| u64::from(copy.copy.info.len)).sum();
        let copies = copies.iter().map(|(copy, _)| (copy.copy.info.id, copy.sequence)).collect();
        Some(Self { number, disk, copies, bytes, since, map_changes, asked, open })
    }

    /// Whether this member is to prove something.
    pub fn is_asked(&self, node: NodeId) -> bool {
        self.asked.contains(&node)
    }

    /// Whether one of these is to go.
    pub fn has(&self, ids: &BTreeSet<BlockId>) -> bool {
        self.copies.iter().any(|(id, _)| ids.contains(id))
    }

    /// A member answered. All have to say of all that they have it, under the map that has not changed since, in time.
    pub fn on_proof(&mut self, cx: &Context, token: &EvictToken, reply: &ProveReply) -> RemovalStep {
        let EvictToken::Proof { number, node, copies, count } = *token else { return RemovalStep::Waits };
        if number != self.number {
            return RemovalStep::Waits;
        }
        let is_now = self.map_changes == cx.map_changes && cx.now.mono <= self.since + EVICT_PROOFS_MS_MAX;
        let is_same = reply.map == cx.map_digest && reply.copies == copies && reply.held.len() == count;
        if !is_now || !is_same || !reply.held.iter().all(|held| *held) || cx.duplicate_identity {
            return RemovalStep::Fails;
        }
        debug_assert!(self.open > 0 && self.asked.contains(&node), "each question is answered once, by who was asked");
        self.open -= 1;
        match self.open {
            0 => RemovalStep::Proven(self.disk, std::mem::take(&mut self.copies)),
            _ => RemovalStep::Waits,
        }
    }
}
