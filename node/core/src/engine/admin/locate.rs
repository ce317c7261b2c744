//! Where blocks are: every member that answers is asked.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{HaveRequest, IDS_MAX, Message, Possession, Redundancy};

use crate::engine::context::Context;
use crate::report::{BlockLocation, HeldState};
use crate::seam::{DiskRequest, LocateToken, OpId, Reply, Waiter};

/// Questions under way.
#[derive(Default)]
pub(in crate::engine) struct Locates(BTreeMap<OpId, OpenLocate>);

/// A question to several servers about where blocks are.
struct OpenLocate {
    /// Ascending.
    ids: Vec<BlockId>,
    /// Those that have not answered; this node's own store, too.
    waiting: BTreeSet<NodeId>,
    /// What was said until now; of whoever said nothing there is no entry.
    said: Holdings,
}

/// Whether a node has a block, by its own word.
type Holdings = BTreeMap<(BlockId, NodeId), HeldState>;

impl Locates {
    /// Asks every responsive peer and the own store. Whoever is silent already is not waited for.
    pub fn start(&mut self, cx: &mut Context, op: OpId, mut ids: Vec<BlockId>) {
        ids.sort_unstable();
        ids.dedup();
        ids.truncate(IDS_MAX);
        let peers: Vec<NodeId> = cx.peers.up().into_iter().filter(|node| cx.responsive(*node)).collect();
        let waiting = peers.iter().copied().chain([cx.me]).collect();
        self.0.insert(op, OpenLocate { ids: ids.clone(), waiting, said: Holdings::new() });
        cx.disk(DiskRequest::Have { ids: ids.clone(), renew: None }, Waiter::Locate(LocateToken::Own(op)));
        let (map, redundancy) = (cx.map_digest, Redundancy::Replicas(cx.copies()));
        for node in peers {
            let ids = ids.clone();
            let waiter = Waiter::Locate(LocateToken::Peer { op, ids: ids.clone() });
            let have = |request| Message::Have(HaveRequest { request, renew: false, map, redundancy, ids });
            cx.ask(node, waiter, have);
        }
    }

    /// Nobody waits any more; answers that are still on their way find no entry.
    pub fn cancel(&mut self, op: OpId) {
        self.0.remove(&op);
    }

    /// The own store answers for all ids, in their order.
    pub fn on_own_have(&mut self, cx: &mut Context, op: OpId, answers: &[Possession]) {
        let Some(open) = self.0.get(&op) else { return };
        let ids = open.ids.clone();
        self.on_have(cx, op, cx.me, &ids, answers);
    }

    /// A member said which of these it has; or nothing, if it is silent.
    pub fn on_have(&mut self, cx: &mut Context, op: OpId, from: NodeId, ids: &[BlockId], answers: &[Possession]) {
        let Some(open) = self.0.get_mut(&op) else { return };
        // A peer that answers for fewer ids has said nothing of the rest; answers for more are answers to nothing.
        for (id, answer) in ids.iter().zip(answers) {
            let held = match answer {
                Possession::Yes if cx.peers.is_believed(from) => HeldState::Yes,
                // Nor is it held where audits found that a yes means nothing.
                Possession::Yes | Possession::No => HeldState::No,
                Possession::NotYet => HeldState::Unknown,
            };
            open.said.insert((*id, from), held);
        }
        open.waiting.remove(&from);
        if open.waiting.is_empty()
            && let Some(open) = self.0.remove(&op)
        {
            let found = open.ids.iter().map(|id| location(cx, *id, &open.said)).collect();
            cx.reply(op, Reply::Locate(found));
        }
    }
}

/// Where a block should be, best holder first, and where else it is. A holder that said nothing is not known to lack it.
fn location(cx: &Context, id: BlockId, said: &Holdings) -> BlockLocation {
    let holders = cx.map.holders(id, cx.copies());
    let of = |node: NodeId| said.get(&(id, node)).copied().unwrap_or(HeldState::Unknown);
    let assigned: Vec<(NodeId, HeldState)> = holders.iter().map(|holder| (holder.node, of(holder.node))).collect();
    // They got it under an earlier map, or by reading it: good copies, where placement does not look first.
    let holds =
        said.iter().filter(|((block, _), held)| *block == id && **held == HeldState::Yes).map(|((_, node), _)| *node);
    let others = holds.filter(|node| holders.iter().all(|holder| holder.node != *node)).collect();
    BlockLocation { id, assigned, others }
}

#[cfg(test)]
mod tests;
