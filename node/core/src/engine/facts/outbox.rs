//! Facts that wait until a peer has taken in those sent before.
//!
//! Promise: what was sent to a peer and may not have arrived is at most [`FACT_MESSAGES_UNDER_WAY_MAX`] messages, however much
//! there is to tell and however slow the peer is. What is beyond waits by its id, each fact once: it is looked up when its turn
//! comes, so what was superseded meanwhile is never sent, and what waits is never more than the facts themselves.
//!
//! Nobody acknowledges facts that are passed on. A ping behind them does: the stream keeps its order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fsdfs_proto::identity::{Fact, RawFact};
use fsdfs_proto::ids::{FactId, NodeId};
use fsdfs_proto::message::{FactBatch, Message, fact_parts};

use crate::engine::context::Context;
use crate::limits::FACT_MESSAGES_UNDER_WAY_MAX;

/// Of each peer that was told anything on its present connection.
#[derive(Default)]
pub(super) struct FactOutbox {
    peers: BTreeMap<NodeId, PeerFacts>,
    /// Of pings that ask whether facts have arrived: from above, those of connections being random.
    pings: u64,
}

#[derive(Default)]
struct PeerFacts {
    /// Facts it is to be told as soon as there is room.
    waiting: BTreeSet<FactId>,
    /// Said when no fact waits any more.
    then: VecDeque<Message>,
    /// Messages sent that no pong has confirmed.
    under_way: usize,
    /// The ping that is under way, and how many messages went before it.
    asked: Option<(u64, usize)>,
}

impl FactOutbox {
    /// Tells a peer these facts, at once if it takes them in as they come.
    pub fn tell(&mut self, cx: &mut Context, to: NodeId, facts: &[RawFact]) {
        let peer = self.peers.entry(to).or_default();
        let parts = fact_parts(facts);
        if !peer.waiting.is_empty() || peer.under_way + parts.len() > FACT_MESSAGES_UNDER_WAY_MAX {
            peer.waiting.extend(facts.iter().map(|fact| fact.id(cx.pool)));
            return self.send_waiting(cx, to);
        }
        for facts in parts {
            peer.send(cx, to, facts);
        }
        self.ask(cx, to);
    }

    /// Tells a peer facts that are in the set.
    pub fn tell_by_id(&mut self, cx: &mut Context, to: NodeId, ids: &[FactId]) {
        self.peers.entry(to).or_default().waiting.extend(ids);
        self.send_waiting(cx, to);
    }

    /// Said to the peer behind all facts that wait for it now.
    pub fn then(&mut self, cx: &mut Context, to: NodeId, message: Message) {
        match self.peers.get_mut(&to).filter(|peer| !peer.waiting.is_empty()) {
            Some(peer) => peer.then.push_back(message),
            None => cx.send(to, message),
        }
    }

    /// The peer has taken in all that was sent before this ping.
    pub fn on_pong(&mut self, cx: &mut Context, from: NodeId, number: u64) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if let Some((_, before)) = peer.asked.take_if(|(asked, _)| *asked == number) {
            debug_assert!(before <= peer.under_way, "what arrived was sent");
            peer.under_way -= before;
            self.send_waiting(cx, from);
        }
    }

    /// Its connection is gone, or a new one begins: what waited is found by comparing.
    pub fn clear(&mut self, node: NodeId) {
        self.peers.remove(&node);
    }

    /// As much of what waits as there is room for.
    fn send_waiting(&mut self, cx: &mut Context, to: NodeId) {
        let Some(peer) = self.peers.get_mut(&to) else { return };
        let room = FACT_MESSAGES_UNDER_WAY_MAX - peer.under_way;
        if room > 0 && !peer.waiting.is_empty() {
            // Parents first, as the set gives them.
            let known = cx.facts.all().filter(|fact| peer.waiting.contains(&fact.id())).map(Fact::raw);
            let mut parts = fact_parts(&known.collect::<Vec<RawFact>>());
            let rest = parts.split_off(room.min(parts.len()));
            peer.waiting = rest.iter().flatten().map(|fact| fact.id(cx.pool)).collect();
            for facts in parts {
                peer.send(cx, to, facts);
            }
        }
        if peer.waiting.is_empty() {
            peer.then.drain(..).for_each(|message| cx.send(to, message));
        }
        self.ask(cx, to);
    }

    /// Half of what may be under way is: whether it has arrived is known in time for the other half.
    fn ask(&mut self, cx: &mut Context, to: NodeId) {
        let Some(peer) = self.peers.get_mut(&to) else { return };
        debug_assert!(peer.under_way <= FACT_MESSAGES_UNDER_WAY_MAX, "facts under way are bounded");
        if peer.asked.is_none() && peer.under_way * 2 >= FACT_MESSAGES_UNDER_WAY_MAX {
            let number = u64::MAX - self.pings;
            self.pings += 1;
            peer.asked = Some((number, peer.under_way));
            cx.send(to, Message::Ping(number));
        }
    }
}

impl PeerFacts {
    fn send(&mut self, cx: &mut Context, to: NodeId, facts: Vec<RawFact>) {
        self.under_way += 1;
        cx.send(to, Message::Facts(FactBatch { request: 0, facts }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_kit::pool::{card, node};
    use crate::engine::test_kit::{connect, context, sent};

    /// Node 1 is told of node 2's card again and again.
    fn told(count: u64) -> (Context, FactOutbox) {
        let (mut cx, mut outbox) = (context(0, 3), FactOutbox::default());
        connect(&mut cx, 1);
        for seq in 2..2 + count {
            let fact = Fact::from(card(2, seq, &[(2, 100)], 0));
            cx.facts.insert(fact.clone());
            outbox.tell(&mut cx, node(1), &[fact.raw()]);
        }
        (cx, outbox)
    }

    /// Messages since the last call: of facts, and the numbers of pings.
    fn said(cx: &mut Context) -> (usize, Vec<u64>) {
        let messages = sent(cx);
        let facts = messages.iter().filter(|(_, message)| matches!(message, Message::Facts(_))).count();
        let ping = |(_, message)| if let Message::Ping(number) = message { Some(number) } else { None };
        (facts, messages.into_iter().filter_map(ping).collect())
    }

    #[test]
    fn a_peer_that_takes_in_nothing_is_told_no_more_than_the_bound() {
        let (mut cx, mut outbox) = told(5_000);
        let (facts, pings) = said(&mut cx);
        assert_eq!((facts, pings.len()), (FACT_MESSAGES_UNDER_WAY_MAX, 1));
        assert_eq!(outbox.peers[&node(1)].waiting.len(), 5_000 - FACT_MESSAGES_UNDER_WAY_MAX);
        outbox.on_pong(&mut cx, node(1), 7);
        assert_eq!(said(&mut cx).0, 0, "another ping's");
        outbox.on_pong(&mut cx, node(1), pings[0]);
        assert_eq!(said(&mut cx).0, 1, "of all cards but the last every one was superseded");
        assert!(outbox.peers[&node(1)].waiting.is_empty());
    }

    #[test]
    fn what_comes_after_facts_waits_for_them() {
        let (mut cx, mut outbox) = told(FACT_MESSAGES_UNDER_WAY_MAX as u64 + 1);
        let (_, pings) = said(&mut cx);
        outbox.then(&mut cx, node(1), Message::Pong(3));
        assert!(sent(&mut cx).is_empty());
        outbox.on_pong(&mut cx, node(1), pings[0]);
        let messages: Vec<Message> = sent(&mut cx).into_iter().map(|(_, message)| message).collect();
        assert!(matches!(messages[..], [Message::Facts(_), Message::Pong(3), Message::Ping(_)]), "{messages:?}");
        outbox.then(&mut cx, node(1), Message::Pong(4));
        assert_eq!(sent(&mut cx).len(), 1, "nothing waits");
    }

    #[test]
    fn a_new_connection_begins_without_what_waited() {
        let (mut cx, mut outbox) = told(100);
        said(&mut cx);
        outbox.clear(node(1));
        let fact = Fact::from(card(2, 500, &[(2, 100)], 0));
        outbox.tell(&mut cx, node(1), &[fact.raw()]);
        assert_eq!(said(&mut cx), (1, vec![]));
    }
}
