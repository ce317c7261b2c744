//! What this node says to those who would delete a copy.

use std::collections::BTreeSet;

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::repair::{AssuredCopy, AssuredState};
use fsdfs_proto::message::{Message, ProveReply, ProveRequest};

use super::parts::EvictionParts;
use super::{Eviction, EvictionStep};
use crate::engine::context::Context;
use crate::seam::{DiskRequest, EvictToken, Waiter};

impl Eviction {
    /// A member wants to delete its copies of these. Under another map this node proves nothing; what it says that it has it does not
    /// delete itself for what it heard before.
    pub fn on_prove(&mut self, parts: &mut EvictionParts<'_>, from: NodeId, asked: ProveRequest) {
        let cx = &mut *parts.cx;
        let provable: BTreeSet<BlockId> =
            asked.ids.iter().copied().filter(|id| self.is_kept(cx, &asked, *id)).collect();
        if provable.is_empty() {
            return say(cx, from, &asked, |_| false);
        }
        if matches!(&self.step, EvictionStep::Proving(removal) if removal.has(&provable)) {
            self.next(parts);
        }
        let cx = &mut *parts.cx;
        let (ids, map_changes) = (asked.ids.clone(), cx.map_changes);
        let token = EvictToken::Answer { to: from, asked: Box::new(asked), map_changes };
        cx.disk(DiskRequest::Assure { ids }, Waiter::Evict(token));
    }

    /// Whether this node has the same map, is to have the block by it, and does not delete it.
    fn is_kept(&self, cx: &Context, asked: &ProveRequest, id: BlockId) -> bool {
        let is_assigned = || cx.map.holders(id, asked.copies).iter().any(|holder| holder.node == cx.me);
        asked.map == cx.map_digest
            && cx.ready()
            && !cx.duplicate_identity
            && !self.deleting.contains(&id)
            && is_assigned()
    }

    /// The store said what is here. What was so when it was asked has to be so still.
    pub fn on_assured(
        &self,
        cx: &mut Context,
        (to, map_changes): (NodeId, u64),
        asked: &ProveRequest,
        copies: &[AssuredCopy],
    ) {
        debug_assert_eq!(asked.ids.len(), copies.len(), "the store answers for each id");
        let held: BTreeSet<BlockId> = (asked.ids.iter().zip(copies))
            .filter(|(id, copy)| copy.state == AssuredState::Held && self.is_kept(cx, asked, **id))
            .filter(|_| map_changes == cx.map_changes)
            .map(|(id, _)| *id)
            .collect();
        say(cx, to, asked, |id| held.contains(&id));
    }
}

fn say(cx: &mut Context, to: NodeId, asked: &ProveRequest, held: impl Fn(BlockId) -> bool) {
    let held = asked.ids.iter().map(|id| held(*id)).collect();
    let (request, map, copies) = (asked.request, cx.map_digest, asked.copies);
    cx.send(to, Message::ProveReply(ProveReply { request, map, copies, held }));
}
