//! Asking the holders of a volume's heads which heads stand.
//!
//! Asked are the first N servers in the placement order of the volume's id that can be reached, which are those that a
//! writer connected to the same servers makes its head durable on; all their answers are waited for, unless they fall
//! silent. Fewer than a majority of the assigned holders heard = "maybe stale": fallback holders of one part of a cut pool
//! know nothing of what the holders in the other part were told.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, FactId, NodeId, VolumeId};
use fsdfs_proto::message::{FACTS_MAX, HeadsReply, HeadsRequest, Message, fact_parts};
use fsdfs_proto::signed::Signed;

use crate::engine::context::Context;
use crate::engine::event::{Event, HeardHeads};
use crate::seam::Waiter;

/// Questions under way, and answers to others' questions.
#[derive(Default)]
pub(in crate::engine) struct HeadQueries {
    /// By number. Each ends in exactly one [`Event::HeadsHeard`].
    open: BTreeMap<u64, OpenQuery>,
    /// Numbers are never used twice, so a late answer cannot meet another question.
    last: u64,
}

/// A question about heads to several holders.
struct OpenQuery {
    volume: VolumeId,
    /// Asked and not answered; empty only at the end. Fallback holders are among them, but are not counted as heard.
    waiting: BTreeSet<NodeId>,
    /// Assigned holders other than this node.
    holders: BTreeSet<NodeId>,
    /// This node is one, too.
    mine: bool,
    /// Of the others, how many told all they know. At most `holders`.
    heard: usize,
    waiter: Waiter,
}

impl OpenQuery {
    /// The one place where answers are counted. `ready`: this node itself knows what it is asked for.
    fn heard(&self, ready: bool) -> HeardHeads {
        debug_assert!(self.heard <= self.holders.len(), "each holder is heard once");
        let target = self.holders.len() + usize::from(self.mine);
        // A quorum is target / 2 + 1. This node's own copy in it proves nothing: its disk may be an old image.
        let others_in_quorum = target / 2 + usize::from(!self.mine);
        HeardHeads {
            majority: self.heard + usize::from(self.mine && ready) > target / 2,
            own_past: others_in_quorum == 0 || self.heard + others_in_quorum > self.holders.len(),
        }
    }
}

impl HeadQueries {
    /// Ends in one [`Event::HeadsHeard`]; the heads themselves are in the facts by then.
    pub fn start(&mut self, cx: &mut Context, volume: VolumeId, waiter: Waiter) {
        let copies = cx.copies();
        let order: Vec<NodeId> = cx.map.order(BlockId(volume.0), copies).iter().map(|holder| holder.node).collect();
        let target = usize::from(copies).min(order.len());
        // In placement order, as a writer asks them: both meet in a holder.
        let live = order.iter().filter(|node| cx.responsive(**node)).take(target);
        let mut waiting: BTreeSet<NodeId> = live.filter(|node| **node != cx.me).copied().collect();
        // A newcomer that knows no map yet, or whose holders are all away, asks whoever is there.
        if waiting.is_empty() && !order.contains(&cx.me) {
            waiting.extend(cx.peers.up().into_iter().filter(|node| cx.responsive(*node)).take(target.max(1)));
        }
        let mut holders: BTreeSet<NodeId> = order.iter().take(target).copied().collect();
        let mine = holders.remove(&cx.me);
        self.last += 1;
        let query = self.last;
        self.open.insert(query, OpenQuery { volume, waiting: waiting.clone(), holders, mine, heard: 0, waiter });
        let mut known: Vec<FactId> = cx.facts.heads(volume).iter().map(Signed::id).collect();
        known.sort_unstable();
        known.truncate(FACTS_MAX);
        for node in waiting {
            let known = known.clone();
            let ask = |request| Message::Heads(HeadsRequest { request, volume, known });
            cx.ask(node, Waiter::Heads(query), ask, None);
        }
        self.end_if_heard(cx, query);
    }

    /// A holder answered; its heads are in the facts.
    pub fn on_reply(&mut self, cx: &mut Context, query: u64, from: NodeId, finished: bool) {
        if let Some(open) = self.open.get_mut(&query)
            && open.waiting.remove(&from)
        {
            open.heard += usize::from(finished && open.holders.contains(&from));
        }
        self.end_if_heard(cx, query);
    }

    /// It is silent, or no answer will come.
    pub fn on_silent(&mut self, cx: &mut Context, query: u64, node: NodeId) {
        if let Some(open) = self.open.get_mut(&query) {
            open.waiting.remove(&node);
        }
        self.end_if_heard(cx, query);
    }

    /// Also when nobody could be asked at all.
    fn end_if_heard(&mut self, cx: &mut Context, query: u64) {
        if self.open.get(&query).is_none_or(|open| !open.waiting.is_empty()) {
            return;
        }
        let open = self.open.remove(&query).expect("looked up above");
        debug_assert!(!open.holders.contains(&cx.me), "this node does not ask itself");
        let heard = open.heard(cx.ready());
        cx.raise(Event::HeadsHeard { waiter: open.waiter, volume: open.volume, heard });
    }

    /// Another node asks.
    pub fn serve(&self, cx: &mut Context, from: NodeId, heads: &HeadsRequest) {
        let current = cx.facts.heads(heads.volume);
        let unknown = current.iter().filter(|head| heads.known.binary_search(&head.id()).is_err());
        let facts: Vec<_> = unknown.map(|head| fsdfs_proto::identity::Fact::from(head.clone()).raw()).collect();
        // More than one message holds is left to the comparison of facts.
        let facts = fact_parts(&facts).into_iter().next().unwrap_or_default();
        let reply = HeadsReply { request: heads.request, finished: cx.ready(), facts };
        cx.send(from, Message::HeadsReply(reply));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is heard when `heard` of `holders` other holders answered.
    fn heard(holders: u8, mine: bool, heard: usize, ready: bool) -> (bool, bool) {
        let query = OpenQuery {
            volume: VolumeId([0; 32]),
            waiting: BTreeSet::new(),
            holders: (1..=holders).map(|number| NodeId([number; 32])).collect(),
            mine,
            heard,
            waiter: Waiter::Nobody,
        };
        let HeardHeads { majority, own_past } = query.heard(ready);
        (majority, own_past)
    }

    #[test]
    fn a_majority_of_three_with_this_node() {
        assert_eq!(heard(2, true, 0, true), (false, false));
        assert_eq!(heard(2, true, 1, true), (true, false), "the other quorum may have been with the other holder");
        assert_eq!(heard(2, true, 1, false), (false, false), "a node that just started knows nothing");
        assert_eq!(heard(2, true, 2, false), (true, true));
    }

    #[test]
    fn a_majority_of_three_without_this_node() {
        assert_eq!(heard(3, false, 1, true), (false, false));
        assert_eq!(heard(3, false, 2, true), (true, true), "two quorums of two of three share a holder");
    }

    #[test]
    fn the_only_holder_has_heard_everything() {
        assert_eq!(heard(0, true, 0, true), (true, true));
        assert_eq!(heard(0, true, 0, false), (false, true));
    }
}
