//! Asking the holders of a volume's heads which heads stand.
//!
//! Asked are the first N servers in the placement order of the volume's id that can be reached, which are those that a
//! writer connected to the same servers makes its head durable on; all their answers are waited for, unless they fall
//! silent or left such a question unanswered lately. Fewer than a majority of the assigned holders heard = "maybe stale": fallback holders of one part of a cut pool
//! know nothing of what the holders in the other part were told.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, FactId, NodeId, VolumeId};
use fsdfs_proto::message::{FACTS_MAX, HeadsReply, HeadsRequest, Message, fact_parts};
use fsdfs_proto::signed::Signed;

use crate::engine::context::Context;
use crate::engine::event::{Event, HeardHeads};
use crate::limits::HEAD_QUERIES_UNDER_WAY_MAX;
use crate::seam::Waiter;

/// Questions under way, and answers to others' questions.
#[derive(Default)]
pub(in crate::engine) struct HeadQueries {
    /// By number. Each ends in exactly one [`Event::HeadsHeard`] for each of those who wait for it.
    open: BTreeMap<u64, OpenQuery>,
    /// Those who asked while [`HEAD_QUERIES_UNDER_WAY_MAX`] were under way share the next one. They cannot share one that has
    /// begun: a holder may have answered it before that was acknowledged which they have to see.
    next: BTreeMap<VolumeId, Vec<Waiter>>,
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
    /// At least one.
    waiters: Vec<Waiter>,
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
        let under_way = self.open.values().filter(|open| open.volume == volume).count();
        if under_way < HEAD_QUERIES_UNDER_WAY_MAX {
            self.ask(cx, volume, vec![waiter]);
        } else {
            self.next.entry(volume).or_default().push(waiter);
        }
    }

    fn ask(&mut self, cx: &mut Context, volume: VolumeId, waiters: Vec<Waiter>) {
        let copies = cx.copies();
        let order: Vec<NodeId> = cx.map.order(BlockId(volume.0), copies).iter().map(|holder| holder.node).collect();
        let target = usize::from(copies).min(order.len());
        // In placement order, as a writer asks them: both meet in a holder.
        let live = order.iter().filter(|node| cx.is_prompt(**node)).take(target);
        let mut waiting: BTreeSet<NodeId> = live.filter(|node| **node != cx.me).copied().collect();
        // A newcomer that knows no map yet, or whose holders are all away, asks whoever is there.
        if waiting.is_empty() && !order.contains(&cx.me) {
            waiting.extend(cx.peers.up().into_iter().filter(|node| cx.responsive(*node)).take(target.max(1)));
        }
        let mut holders: BTreeSet<NodeId> = order.iter().take(target).copied().collect();
        let mine = holders.remove(&cx.me);
        self.last += 1;
        let query = self.last;
        self.open.insert(query, OpenQuery { volume, waiting: waiting.clone(), holders, mine, heard: 0, waiters });
        let mut known: Vec<FactId> = cx.facts.heads(volume).iter().map(Signed::id).collect();
        known.sort_unstable();
        known.truncate(FACTS_MAX);
        for node in waiting {
            let known = known.clone();
            let ask = |request| Message::Heads(HeadsRequest { request, volume, known });
            cx.ask(node, Waiter::Heads(query), ask);
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
        for waiter in open.waiters {
            cx.raise(Event::HeadsHeard { waiter, volume: open.volume, heard });
        }
        if let Some(waiters) = self.next.remove(&open.volume) {
            self.ask(cx, open.volume, waiters);
        }
    }

    /// Another node asks.
    pub fn serve(&self, cx: &mut Context, from: NodeId, heads: &HeadsRequest) {
        let current = cx.facts.heads(heads.volume);
        let unknown = current.iter().filter(|head| heads.known.binary_search(&head.id()).is_err());
        let facts: Vec<_> = unknown.map(|head| fsdfs_proto::identity::Fact::from(head.clone()).raw()).collect();
        // More than one message holds is left to the comparison of facts, and is not all that is known here.
        let mut parts = fact_parts(&facts).into_iter();
        let (facts, more) = (parts.next().unwrap_or_default(), parts.next().is_some());
        let reply = HeadsReply { request: heads.request, finished: cx.ready() && !more, facts };
        cx.send(from, Message::HeadsReply(reply));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_kit::{connect, context, events, pool, sent};

    /// What is heard when `heard` of `holders` other holders answered.
    fn heard(holders: u8, mine: bool, heard: usize, ready: bool) -> (bool, bool) {
        let query = OpenQuery {
            volume: VolumeId([0; 32]),
            waiting: BTreeSet::new(),
            holders: (1..=holders).map(|number| NodeId([number; 32])).collect(),
            mine,
            heard,
            waiters: vec![Waiter::Nobody],
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
    fn whoever_asks_meanwhile_shares_the_next_question_and_none_that_has_begun() {
        let (mut cx, mut queries) = (context(0, 3), HeadQueries::default());
        let volume = cx.pool.volume();
        (1..3).for_each(|number| {
            connect(&mut cx, number);
        });
        (0..100).for_each(|op| queries.start(&mut cx, volume, Waiter::Client(op)));
        let asked = sent(&mut cx);
        assert_eq!(asked.len(), 2 * HEAD_QUERIES_UNDER_WAY_MAX);
        let answer = |queries: &mut HeadQueries, cx: &mut Context, query| {
            (1..3).for_each(|number| queries.on_reply(cx, query, pool::node(number), true));
            events(cx).len()
        };
        assert_eq!(answer(&mut queries, &mut cx, 1), 1);
        assert_eq!(sent(&mut cx).len(), 2, "all others share one");
        queries.start(&mut cx, volume, Waiter::Client(100));
        assert_eq!(answer(&mut queries, &mut cx, 3), 100 - HEAD_QUERIES_UNDER_WAY_MAX);
        assert_eq!(answer(&mut queries, &mut cx, 2), 1);
        assert_eq!(answer(&mut queries, &mut cx, 4), 1, "who came later was not answered with what was asked before");
        assert!(queries.open.is_empty() && queries.next.is_empty());
    }

    #[test]
    fn whoever_left_a_question_unanswered_is_not_asked_and_another_one_is() {
        let (mut cx, mut queries) = (context(0, 6), HeadQueries::default());
        (1..6).for_each(|number| {
            connect(&mut cx, number);
        });
        let volume = cx.pool.volume();
        queries.start(&mut cx, volume, Waiter::Client(1));
        let asked: Vec<NodeId> = sent(&mut cx).into_iter().map(|(to, _)| to).collect();
        cx.peers.note_evaded(asked[0], cx.now.mono);
        queries.start(&mut cx, volume, Waiter::Client(2));
        let instead: Vec<NodeId> = sent(&mut cx).into_iter().map(|(to, _)| to).collect();
        assert!(!instead.contains(&asked[0]) && instead.len() == asked.len(), "{asked:?} {instead:?}");
    }

    #[test]
    fn the_only_holder_has_heard_everything() {
        assert_eq!(heard(0, true, 0, true), (true, true));
        assert_eq!(heard(0, true, 0, false), (false, true));
    }
}
