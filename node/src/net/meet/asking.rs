//! Members that are looked for: relays are asked to connect this node with them.
//!
//! Promise: at most three questions are open for one member, and every session that a relay opened for it is used or ended.

use std::collections::BTreeMap;

use fsdfs_proto::ids::{NodeId, SessionToken};
use fsdfs_proto::message::meeting::{Candidate, MeetOutcome, MeetReply, MeetRequest, RelaySession};
use fsdfs_proto::message::{Message, RequestId};

use super::context::MeetContext;
use super::ends::SessionEnds;
use super::limits::{
    ASK_AFTER, ASK_EVERY, ASK_TIMEOUT, ASKS_MAX, ASKS_OPEN_MAX, CHOOSE_AFTER, EXCLUDED_ALONE_FOR, EXCLUDED_FOR,
    LOSSY_FOR, SEARCH_MAX, SECOND_DIALS_AFTER,
};
use super::seam::MeetOutput;

/// A member comes into reach, or its card is seen, without anybody saying so here.
const LOOK_EVERY: u64 = 500;

/// See the module.
#[derive(Default)]
pub(super) struct Asking {
    searches: BTreeMap<NodeId, Search>,
    /// When a relay failed for a member.
    failed: BTreeMap<(NodeId, NodeId), u64>,
    last_request: RequestId,
}

/// For one member.
struct Search {
    until: u64,
    /// When it is looked next whether somebody can be asked.
    ask_at: u64,
    /// Everybody who was asked, with the question that is open.
    asked: BTreeMap<NodeId, Option<OpenAsk>>,
    offers: Vec<Offer>,
    choose_at: Option<u64>,
    /// The session over which it is dialled, and when that begins.
    dialling: Option<(SessionToken, Option<u64>)>,
    /// It waited for a dial of the peer once already.
    has_waited: bool,
}

struct OpenAsk {
    request: RequestId,
    /// Where this node may be, as the relay was told.
    said: Vec<Candidate>,
    until: u64,
}

/// A relay that can help.
struct Offer {
    relay: NodeId,
    session: RelaySession,
    /// As in the question.
    said: Vec<Candidate>,
    /// There and back over the relay.
    rtt_ms: u32,
}

impl Asking {
    /// It is looked for from now on, or longer.
    pub fn want(&mut self, now: u64, node: NodeId) {
        let until = now + SEARCH_MAX;
        let begun = Search {
            until,
            ask_at: now + ASK_AFTER,
            asked: BTreeMap::new(),
            offers: Vec::new(),
            choose_at: None,
            dialling: None,
            has_waited: false,
        };
        self.searches.entry(node).or_insert(begun).until = until;
    }

    /// Its connection was over a relay, and is no more: it is not asked for by others first.
    pub fn want_at_once(&mut self, now: u64, node: NodeId) {
        self.want(now, node);
        if let Some(search) = self.searches.get_mut(&node) {
            search.ask_at = now;
        }
    }

    /// Whether something is under way that may lead to it.
    pub fn is_trying(&self, now: u64, node: NodeId) -> bool {
        self.searches.get(&node).is_some_and(|search| {
            let begins = search.asked.is_empty() && search.until.saturating_sub(SEARCH_MAX) + ASK_AFTER >= now;
            begins || search.dialling.is_some() || !search.offers.is_empty() || search.open_asks() > 0
        })
    }

    /// A relay did not lead to a member: another one is better for a while.
    pub fn note_failed(&mut self, now: u64, node: NodeId, relay: NodeId) {
        self.failed.insert((node, relay), now);
    }

    /// Somebody came into reach who may help.
    pub fn on_relay(&mut self, now: u64) {
        for search in self.searches.values_mut().filter(|search| search.begun_by(now)) {
            search.ask_at = search.ask_at.min(now);
        }
    }

    /// The peer asked to be connected with this node: it dials, and one dial is enough. But only once, or a relay could keep
    /// this node waiting for ever.
    pub fn on_introduced(&mut self, now: u64, node: NodeId) {
        if let Some(search) = self.searches.get_mut(&node).filter(|search| !search.has_waited) {
            search.has_waited = true;
            search.ask_at = search.ask_at.max(now + SECOND_DIALS_AFTER);
        }
    }

    /// It is connected, or not looked for any more.
    pub fn end(&mut self, cx: &mut MeetContext, node: NodeId) {
        if let Some(mut search) = self.searches.remove(&node) {
            search.refuse_others(cx);
        }
    }

    /// A relay is not connected directly any more: it answers nothing, and its sessions are over.
    pub fn on_relay_gone(&mut self, relay: NodeId) {
        for search in self.searches.values_mut() {
            search.asked.remove(&relay);
            search.offers.retain(|offer| offer.relay != relay);
        }
    }

    /// The session is over. Whoever was dialled over it is asked for again.
    pub fn on_session_over(&mut self, now: u64, token: SessionToken) {
        for search in self.searches.values_mut() {
            if search.dialling.is_some_and(|(dialled, _)| dialled == token) {
                search.dialling = None;
                search.asked.clear();
                search.ask_at = now;
            }
        }
    }

    /// A relay has answered. What nobody waits for is refused: the relay would keep it for a minute.
    pub fn on_reply(&mut self, cx: &mut MeetContext, from: NodeId, reply: MeetReply) {
        let waits = |search: &&mut Search| search.is_open(from, reply.request);
        let search = self.searches.values_mut().find(waits);
        let Some(search) = search else {
            if let Some(session) = reply.session {
                cx.send(from, Message::SessionEnded(session.token));
            }
            return;
        };
        let said = search.asked.insert(from, None).flatten().map(|ask| ask.said).unwrap_or_default();
        if let (MeetOutcome::Met, Some(session)) = (reply.outcome, reply.session) {
            let rtt_ms = cx.links.rtt_ms(from).saturating_add(reply.rtt_ms);
            search.offers.push(Offer { relay: from, session, said, rtt_ms });
            search.choose_at.get_or_insert(cx.now + CHOOSE_AFTER);
        } else {
            search.ask_at = search.ask_at.min(cx.now + ASK_EVERY);
        }
    }

    /// Asks, chooses, dials, as far as it is time.
    pub fn step(&mut self, cx: &mut MeetContext, ends: &mut SessionEnds) {
        self.failed.retain(|_, at| *at + EXCLUDED_FOR > cx.now);
        let nodes: Vec<NodeId> = self.searches.keys().copied().collect();
        for node in nodes {
            self.step_one(cx, ends, node);
        }
    }

    fn step_one(&mut self, cx: &mut MeetContext, ends: &mut SessionEnds, node: NodeId) {
        let Some(search) = self.searches.get_mut(&node) else { return };
        search.give_up_asks(cx.now);
        // Without another question that is open there is nothing to wait for.
        if search.choose_at.is_some_and(|at| at <= cx.now || search.open_asks() == 0) {
            search.choose(cx, ends, node);
        }
        search.dial_when_due(cx, node);
        if search.until <= cx.now && search.dialling.is_none() {
            return self.end(cx, node);
        }
        if search.may_ask() && search.ask_at <= cx.now {
            self.ask(cx, ends, node);
        }
    }

    /// The closest one that was not asked; one that failed a while ago only if nobody else can help.
    fn ask(&mut self, cx: &mut MeetContext, ends: &SessionEnds, node: NodeId) {
        let Some(search) = self.searches.get_mut(&node) else { return };
        // What is connected already is to get something better, or nothing.
        let is_sound = cx.links.is_sound(node);
        let in_use = cx.links.token(node).and_then(|token| ends.get(token)).map(|end| end.relay).filter(|_| is_sound);
        let relays = cx.links.relays(cx.cards).into_iter();
        let relays = relays.filter(|relay| *relay != node && Some(*relay) != in_use);
        let rest: Vec<NodeId> = relays.filter(|relay| !search.asked.contains_key(relay)).collect();
        let failed_at = |relay: &NodeId| self.failed.get(&(node, *relay)).copied();
        let fresh = rest.iter().copied().find(|relay| failed_at(relay).is_none());
        let is_alone = search.open_asks() == 0 && search.offers.is_empty();
        let pause = if is_sound { LOSSY_FOR } else { EXCLUDED_ALONE_FOR };
        let is_over = |relay: &NodeId| failed_at(relay).is_some_and(|at| at + pause <= cx.now);
        let again = || rest.iter().copied().find(is_over).filter(|_| is_alone);
        let Some(relay) = fresh.or_else(again) else {
            search.ask_at = cx.now + LOOK_EVERY;
            return;
        };
        self.last_request += 1;
        let request = self.last_request;
        let (said, until) = (cx.own.to_vec(), cx.now + ASK_TIMEOUT);
        search.asked.insert(relay, Some(OpenAsk { request, said: said.clone(), until }));
        search.ask_at = cx.now + ASK_EVERY;
        cx.send(relay, Message::Meet(MeetRequest { request, node, candidates: said }));
    }

    /// When there is something to do even if nothing happens.
    pub fn deadline(&self) -> Option<u64> {
        self.searches.values().map(Search::deadline).min()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.searches.len() + self.failed.len()
    }
}

impl Search {
    fn begun_by(&self, now: u64) -> bool {
        self.until.saturating_sub(SEARCH_MAX) + ASK_AFTER <= now
    }

    fn is_open(&self, relay: NodeId, request: RequestId) -> bool {
        self.asked.get(&relay).and_then(Option::as_ref).is_some_and(|ask| ask.request == request)
    }

    fn open_asks(&self) -> usize {
        self.asked.values().flatten().count()
    }

    fn may_ask(&self) -> bool {
        let is_decided = self.choose_at.is_some() || self.dialling.is_some();
        !is_decided && self.open_asks() < ASKS_OPEN_MAX && self.asked.len() < ASKS_MAX
    }

    fn give_up_asks(&mut self, now: u64) {
        for ask in self.asked.values_mut() {
            ask.take_if(|ask| ask.until <= now);
        }
    }

    /// The offer that is closest is taken, the others are refused.
    fn choose(&mut self, cx: &mut MeetContext, ends: &mut SessionEnds, node: NodeId) {
        self.choose_at = None;
        self.offers.sort_by_key(|offer| (offer.rtt_ms, offer.relay));
        while !self.offers.is_empty() {
            let Offer { relay, session, said, .. } = self.offers.remove(0);
            let token = session.token;
            if ends.accept(cx, (relay, node), session, said) {
                // Whoever was introduced has a peer that is about to dial.
                let waits = ends.get(token).is_some_and(|end| end.introduced);
                self.dialling = Some((token, Some(cx.now + if waits { SECOND_DIALS_AFTER } else { 0 })));
                break;
            }
        }
        self.refuse_others(cx);
    }

    fn refuse_others(&mut self, cx: &mut MeetContext) {
        for offer in self.offers.drain(..) {
            cx.send(offer.relay, Message::SessionEnded(offer.session.token));
        }
        // Their answers are not waited for, and refused when they come.
        self.asked.values_mut().for_each(|ask| *ask = None);
    }

    fn dial_when_due(&mut self, cx: &mut MeetContext, node: NodeId) {
        if let Some((token, at)) = &mut self.dialling
            && at.is_some_and(|at| at <= cx.now)
        {
            *at = None;
            cx.push(MeetOutput::DialOver { node, token: *token });
        }
    }

    fn deadline(&self) -> u64 {
        let asks = self.asked.values().flatten().map(|ask| ask.until);
        let dial = self.dialling.and_then(|(_, at)| at);
        let ask = self.may_ask().then_some(self.ask_at);
        // A dial ends the search or the session.
        let until = self.dialling.is_none().then_some(self.until);
        asks.chain(dial).chain(ask).chain(self.choose_at).chain(until).min().unwrap_or(u64::MAX)
    }
}
