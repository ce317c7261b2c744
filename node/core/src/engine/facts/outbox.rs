//! Facts that wait until a peer has taken in those sent before.
//!
//! Promise: what was sent to a peer and may not have arrived is at most [`FACT_MESSAGES_UNDER_WAY_MAX`] messages, however much
//! there is to tell and however slow the peer is. What is beyond waits by its id, each fact once: it is looked up when its turn
//! comes, so what was superseded meanwhile is never sent, and what waits is never more than the facts themselves.
//!
//! What was sent is bounded over time, too (see [`FactAllowance`]): a peer that asks for everything again and again gets it no
//! faster than that, however often it connects.
//!
//! Nobody acknowledges facts that are passed on. A ping behind them does: the stream keeps its order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fsdfs_proto::identity::{Fact, RawFact};
use fsdfs_proto::ids::{FactId, NodeId};
use fsdfs_proto::message::{FactBatch, Message, fact_parts};

use crate::engine::context::Context;
use crate::engine::timers::Timer;
use crate::facts::FactAllowance;
use crate::limits::{FACT_MESSAGES_PER_TURN_MAX, FACT_MESSAGES_UNDER_WAY_MAX, WANTS_WAITING_MAX};

/// Of each peer that was told anything on its present connection.
#[derive(Default)]
pub(super) struct FactOutbox {
    peers: BTreeMap<NodeId, PeerFacts>,
    /// What each may be sent; a new connection changes nothing.
    allowances: BTreeMap<NodeId, FactAllowance>,
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
        let has_to_wait = self.wait_ms(cx, to) > 0;
        let peer = self.peers.entry(to).or_default();
        let parts = fact_parts(facts);
        if has_to_wait || !peer.waiting.is_empty() || peer.under_way + parts.len() > FACT_MESSAGES_UNDER_WAY_MAX {
            peer.waiting.extend(facts.iter().map(|fact| fact.id(cx.pool)));
            return self.send_waiting(cx, to);
        }
        self.send(cx, to, parts);
        self.ask(cx, to);
    }

    /// Tells a peer facts that are in the set.
    pub fn tell_by_id(&mut self, cx: &mut Context, to: NodeId, ids: &[FactId]) {
        // What is not there would wait for ever.
        let known = ids.iter().filter(|id| cx.facts.get(id).is_some());
        self.peers.entry(to).or_default().waiting.extend(known);
        self.send_waiting(cx, to);
    }

    /// Said to the peer behind all facts that wait for it now.
    pub fn then(&mut self, cx: &mut Context, to: NodeId, message: Message) {
        match self.peers.get_mut(&to).filter(|peer| !peer.waiting.is_empty()) {
            // Beyond that it is no comparison any more, and ends with the connection.
            Some(peer) if peer.then.len() >= WANTS_WAITING_MAX => {}
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

    /// The time has come at which more may go.
    pub fn go_on(&mut self, cx: &mut Context, to: NodeId) {
        self.send_waiting(cx, to);
    }

    /// As much of what waits as there is room for.
    fn send_waiting(&mut self, cx: &mut Context, to: NodeId) {
        let wait_ms = self.wait_ms(cx, to);
        let Some(peer) = self.peers.get_mut(&to) else { return };
        if wait_ms > 0 && !peer.waiting.is_empty() {
            return cx.wake_in(wait_ms, Timer::Facts(to));
        }
        let room = (FACT_MESSAGES_UNDER_WAY_MAX - peer.under_way).min(FACT_MESSAGES_PER_TURN_MAX);
        if room > 0 && !peer.waiting.is_empty() {
            // Parents first, as the set gives them.
            let known = cx.facts.all().filter(|fact| peer.waiting.contains(&fact.id())).map(Fact::raw);
            let mut parts = fact_parts(&known.collect::<Vec<RawFact>>());
            let rest = parts.split_off(room.min(parts.len()));
            peer.waiting = rest.iter().flatten().map(|fact| fact.id(cx.pool)).collect();
            if room == FACT_MESSAGES_PER_TURN_MAX && !peer.waiting.is_empty() {
                // Others' turn first.
                cx.wake_in(1, Timer::Facts(to));
            }
            self.send(cx, to, parts);
        }
        let Some(peer) = self.peers.get_mut(&to) else { return };
        if peer.waiting.is_empty() {
            peer.then.drain(..).for_each(|message| cx.send(to, message));
        }
        self.ask(cx, to);
    }

    fn wait_ms(&mut self, cx: &Context, to: NodeId) -> u64 {
        self.allowances.get_mut(&to).map_or(0, |allowance| allowance.wait_ms(cx.now.mono))
    }

    fn send(&mut self, cx: &mut Context, to: NodeId, parts: Vec<Vec<RawFact>>) {
        let now = cx.now.mono;
        let allowance = self.allowances.entry(to).or_insert_with(|| FactAllowance::full(now));
        let Some(peer) = self.peers.get_mut(&to) else { return };
        for facts in parts {
            allowance.spend(now, facts.len(), facts.iter().map(RawFact::payload_len).sum());
            peer.under_way += 1;
            cx.send(to, Message::Facts(FactBatch { request: 0, facts }));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_kit::pool::{card, node};
    use crate::engine::test_kit::{connect, context, pass, sent};
    use crate::limits::FACTS_AT_ONCE;

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
    fn a_peer_that_asks_for_everything_again_and_again_gets_it_only_so_fast() {
        let (mut cx, mut outbox) = (context(0, 3), FactOutbox::default());
        connect(&mut cx, 1);
        let all = cx.facts.ids_in(FactId([0; 32]), FactId([255; 32]));
        let (mut asked, mut told) = (0, 0);
        while asked < 8_000 {
            asked += 1;
            outbox.clear(node(1));
            outbox.tell_by_id(&mut cx, node(1), &all);
            told += said(&mut cx).0;
        }
        let most = usize::try_from(FACTS_AT_ONCE).expect("small") / all.len() + 1;
        assert!((1..=most).contains(&told), "{told} times all {} facts, at most {most}", all.len());
        assert!(cx.timers.next().is_some_and(|at| at > cx.now.mono), "the rest when its time comes");
        pass(&mut cx, 60_000);
        outbox.go_on(&mut cx, node(1));
        assert_eq!((said(&mut cx).0, outbox.peers[&node(1)].waiting.len()), (1, 0));
    }

    #[test]
    fn questions_for_what_is_not_there_fill_no_memory() {
        let (mut cx, mut outbox) = told(FACT_MESSAGES_UNDER_WAY_MAX as u64 + 1);
        for number in 0..1_000_u32 {
            let id = FactId(fsdfs_proto::ids::Digest::of("test", &number.to_be_bytes()).0);
            outbox.tell_by_id(&mut cx, node(1), &[id]);
            outbox.then(&mut cx, node(1), Message::Pong(number.into()));
        }
        let peer = &outbox.peers[&node(1)];
        assert_eq!((peer.waiting.len(), peer.then.len()), (1, WANTS_WAITING_MAX));
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
