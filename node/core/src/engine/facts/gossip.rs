//! Facts as they come: checked, logged, passed on.
//!
//! Promise: a fact that became valid here is in the log's queue and on its way to those who may not know it, before anybody
//! acts on it. What was missed is found by comparing (see [`super::FactSync`]).

use std::collections::BTreeMap;

use fsdfs_proto::codec::FormatError;
use fsdfs_proto::identity::{Fact, RawFact};
use fsdfs_proto::ids::{FactId, NodeId};
use fsdfs_proto::message::{FactsAck, Message, RequestId};
use fsdfs_proto::record::LogEntry;

use super::beats::is_mine_to_tell;
use super::card_pace::{CardPace, moves_blocks};
use super::log_pace::{LogPace, worth_logging};
use super::outbox::FactOutbox;
use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::net;
use crate::facts::InsertOutcome;
use crate::limits::{HEARTBEAT_APART_MS, HEARTBEAT_FAN_OUT, HEARTBEAT_RELAYS_MAX};
use crate::report::Notice;
use crate::seam::{DiskRequest, GossipToken, Waiter};

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct Gossip {
    /// A write of the log failed, so something that is known here may not be durable: nothing is confirmed until all is
    /// written again.
    pub log_behind: bool,
    outbox: FactOutbox,
    pace: LogPace,
    /// Of each other member: from when on, in monotonic milliseconds, its heartbeats keep their distance again.
    beats: BTreeMap<NodeId, u64>,
    cards: CardPace,
}

/// So many heartbeats of a member may come at once: it starts again, or several members pass on what they heard.
const HEARTBEATS_AT_ONCE: u64 = 8;

impl Gossip {
    /// Inserts facts; what is new is logged and told to those who may not know it. Returns what became of each: whoever
    /// answers a person with a statement of its own has to look whether it is kept ([`InsertOutcome::is_kept`]), for one that
    /// is refused or finds no room has no effect anywhere.
    pub fn insert_facts(&mut self, cx: &mut Context, facts: Vec<Fact>, from: Option<NodeId>) -> Vec<InsertOutcome> {
        let outcomes: Vec<InsertOutcome> = facts.into_iter().map(|fact| self.insert(cx, fact)).collect();
        if outcomes.contains(&InsertOutcome::New) {
            self.apply_new_facts(cx, from, GossipToken::Log);
        }
        outcomes
    }

    /// Statements that this node signs for its owner. Why one of them counts nowhere, if that is so: the owner must not be
    /// told that something was done which nobody will keep.
    pub fn insert_own(&mut self, cx: &mut Context, facts: Vec<Fact>) -> Result<(), &'static str> {
        let mut kept = Ok(());
        for fact in facts {
            match self.insert(cx, fact) {
                InsertOutcome::New | InsertOutcome::Known => {}
                InsertOutcome::Stale => kept = Err("a key of higher rank says otherwise"),
                InsertOutcome::Waiting => kept = Err("what it hangs on is not known here"),
                InsertOutcome::Crowded => {
                    kept = Err("this node, or its branch, made the others keep as much as it may");
                }
                InsertOutcome::Invalid(why) => kept = Err(why),
            }
        }
        self.apply_new_facts(cx, None, GossipToken::Log);
        kept
    }

    /// Facts of a peer, which wants to know when they are durable unless `request` is 0.
    pub fn on_facts(&mut self, cx: &mut Context, from: NodeId, request: RequestId, raws: &[RawFact]) {
        let (mut valid, mut waiting) = (true, Vec::new());
        for raw in raws {
            if cx.facts.knows(raw) {
                valid &= request == 0 || !self.is_held_back(cx, raw);
                continue;
            }
            match raw.open(cx.pool).map(|fact| self.insert(cx, fact)) {
                // A stale fact is one that a later one superseded: what the later one says is durable here.
                Ok(InsertOutcome::New | InsertOutcome::Known | InsertOutcome::Stale) => {}
                Ok(InsertOutcome::Waiting) => waiting.push(raw.id(cx.pool)),
                Ok(InsertOutcome::Crowded | InsertOutcome::Invalid(_)) => valid = false,
                // Whoever reads the connection has noticed before; this is what stands behind it.
                Err(FormatError::BadSignature { .. }) => {
                    net::shun(cx, from);
                    valid = false;
                    break;
                }
                Err(_) => valid = false,
            }
        }
        // One that still waits may become valid, but it is not in the log: the sender must not count on it.
        valid &= waiting.iter().all(|id| cx.facts.get(id).is_some());
        // Logs are written in order: what was logged before is durable when this, perhaps empty, request is.
        let token = if request == 0 { GossipToken::Log } else { GossipToken::Ack { to: from, request, valid } };
        self.apply_new_facts(cx, Some(from), token);
    }

    /// The copy of the log on a disk that came late. The log in the home folder has all of it, unless that was lost or damaged: then
    /// others may need these statements, too. What the node says of itself does not count any more, for it began to write
    /// under a new incarnation when it missed a part of its log.
    pub fn on_log_copy(&mut self, cx: &mut Context, entries: Vec<LogEntry>) {
        let raws = entries.into_iter().filter_map(|entry| match entry {
            LogEntry::Fact(raw) => Some(raw),
            _ => None,
        });
        // Signatures are checked of what is not known, which is little or nothing.
        let unknown: Vec<RawFact> = raws.filter(|raw| !cx.facts.knows(raw)).collect();
        let facts = unknown.iter().filter_map(|raw| raw.open(cx.pool).ok()).collect();
        self.insert_facts(cx, facts, None);
    }

    /// Facts that became valid: log, pass on, tell the other machines.
    fn apply_new_facts(&mut self, cx: &mut Context, from: Option<NodeId>, mut token: GossipToken) {
        let news = cx.facts.drain_new();
        let mut entries = Vec::new();
        for fact in &news {
            if self.pace.is_due(cx, fact) {
                entries.push(LogEntry::Fact(fact.raw()));
            } else if worth_logging(fact)
                && let GossipToken::Ack { valid, .. } = &mut token
            {
                // Logged later: the sender must not count on it yet.
                *valid = false;
            }
        }
        if !entries.is_empty() || token != GossipToken::Log {
            cx.disk(DiskRequest::Log { entries }, Waiter::Gossip(token));
        }
        if news.is_empty() {
            return;
        }
        cx.facts_version += 1;
        cx.gate_version += u64::from(news.iter().any(is_for_gate));
        self.pass_on(cx, &news, from);
        cx.raise(Event::FactsInserted(news));
    }

    /// Statements go to everyone: they are rare and must arrive. Heartbeats go on to a few. Heads and cards were sent to
    /// everyone by their maker; whoever had no link to it finds them by digests.
    fn pass_on(&mut self, cx: &mut Context, news: &[Fact], from: Option<NodeId>) {
        let peers: Vec<NodeId> = cx.peers.up().into_iter().filter(|node| Some(*node) != from).collect();
        let statements: Vec<RawFact> = news.iter().filter(|fact| is_statement(fact)).map(Fact::raw).collect();
        for to in &peers {
            self.send(cx, *to, &statements);
        }
        // Of this node's own heartbeat everybody hears directly, by the announcement.
        if from.is_some() {
            self.pass_on_beats(cx, news, &peers);
        }
    }

    /// To those who do not hear the node themselves; without a direct line they depend on it. The node itself is one of them if
    /// this came another way: should it be news for it, there are two of it.
    fn pass_on_beats(&mut self, cx: &mut Context, news: &[Fact], peers: &[NodeId]) {
        let mut parts = BTreeMap::<NodeId, Vec<RawFact>>::new();
        for fact in news {
            let Fact::Heartbeat(beat) = fact else { continue };
            let node = beat.value().node;
            let (hearing, needy): (Vec<NodeId>, Vec<NodeId>) =
                peers.iter().copied().partition(|peer| cx.peers.hears(*peer, node));
            let to = match needy.is_empty() {
                true => some_of(cx, hearing, HEARTBEAT_FAN_OUT),
                false => {
                    let mine =
                        needy.into_iter().filter(|peer| is_mine_to_tell(cx, beat.value(), *peer, &hearing)).collect();
                    some_of(cx, mine, HEARTBEAT_RELAYS_MAX)
                }
            };
            for peer in to {
                parts.entry(peer).or_default().push(fact.raw());
            }
        }
        for (to, beats) in parts {
            self.send(cx, to, &beats);
        }
    }

    /// Facts that nobody has to acknowledge.
    pub fn send(&mut self, cx: &mut Context, to: NodeId, facts: &[RawFact]) {
        if !facts.is_empty() {
            self.outbox.tell(cx, to, facts);
        }
    }

    /// Facts of the set, and behind them what is said about them.
    pub fn send_by_id(&mut self, cx: &mut Context, to: NodeId, ids: &[FactId], then: Option<Message>) {
        if !ids.is_empty() {
            self.outbox.tell_by_id(cx, to, ids);
        }
        if let Some(message) = then {
            self.outbox.then(cx, to, message);
        }
    }

    /// Facts that wait for a peer may go on.
    pub fn go_on(&mut self, cx: &mut Context, to: NodeId) {
        self.outbox.go_on(cx, to);
    }

    /// Cards of others that came too soon are logged now.
    pub fn log_others(&mut self, cx: &mut Context) {
        let entries = self.pace.due(cx);
        if !entries.is_empty() {
            cx.disk(DiskRequest::Log { entries }, Waiter::Gossip(GossipToken::Log));
        }
    }

    /// What was sent before a ping has arrived.
    pub fn on_pong(&mut self, cx: &mut Context, from: NodeId, number: u64) {
        self.outbox.on_pong(cx, from, number);
    }

    /// A connection begins or ends.
    pub fn forget(&mut self, node: NodeId) {
        self.outbox.clear(node);
    }

    /// A fact of this node's own goes to all who listen, but for those who got it already.
    pub fn announce(&mut self, cx: &mut Context, fact: &Fact, but: &[NodeId]) {
        let raw = [fact.raw()];
        for to in cx.peers.up().into_iter().filter(|node| !but.contains(node)) {
            self.send(cx, to, &raw);
        }
    }

    /// A write of the log ended, and with it what a peer waits for.
    pub fn on_logged(&mut self, cx: &mut Context, token: &GossipToken, durable: bool) {
        match *token {
            GossipToken::Relog => self.log_behind = !durable,
            GossipToken::Log => self.note_logged(cx, durable),
            GossipToken::Ack { to, request, valid } => {
                self.note_logged(cx, durable);
                let durable = valid && durable && !self.log_behind && !cx.duplicate_identity;
                cx.send(to, Message::FactsAck(FactsAck { request, durable }));
            }
        }
    }

    /// Cards that came too soon and have waited long enough.
    pub fn on_cards_due(&mut self, cx: &mut Context) {
        let due = self.cards.due(cx);
        self.insert_facts(cx, due, None);
    }

    /// The only way into the fact set while running, so that its version never lags behind.
    fn insert(&mut self, cx: &mut Context, fact: Fact) -> InsertOutcome {
        let moves = moves_blocks(cx, &fact);
        if moves.is_some_and(|node| self.cards.holds_back(cx, node, &fact)) {
            return InsertOutcome::Waiting;
        }
        let beats = match &fact {
            Fact::Heartbeat(beat) if beat.value().node != cx.me => Some(beat.value().node),
            _ => None,
        };
        if beats.is_some_and(|node| self.beats_too_fast(cx, node)) {
            // Its next one says the same and more.
            return InsertOutcome::Stale;
        }
        let inserted = cx.facts.insert(fact);
        if inserted == InsertOutcome::New {
            cx.facts_version += 1;
            moves.into_iter().for_each(|node| self.cards.note(cx, node));
            if let Some(node) = beats {
                if self.beats.len() > cx.facts.members().len() {
                    self.beats.retain(|node, _| cx.facts.members().contains_key(node));
                }
                let from = self.beats.entry(node).or_default();
                *from = (*from).max(cx.now.mono) + HEARTBEAT_APART_MS;
            }
        }
        inserted
    }

    fn beats_too_fast(&self, cx: &Context, node: NodeId) -> bool {
        self.beats.get(&node).is_some_and(|from| *from >= cx.now.mono + HEARTBEATS_AT_ONCE * HEARTBEAT_APART_MS)
    }

    /// Known, but not in the log's queue yet.
    fn is_held_back(&self, cx: &Context, raw: &RawFact) -> bool {
        match cx.facts.get(&raw.id(cx.pool)) {
            Some(Fact::Card(card)) => self.pace.holds_back(card.value().node),
            _ => false,
        }
    }

    /// Whether a write of the log became durable. Said once.
    pub fn note_logged(&mut self, cx: &mut Context, durable: bool) {
        if !durable && !std::mem::replace(&mut self.log_behind, true) {
            cx.notice(Notice::LogFailed);
        }
        debug_assert!(durable || self.log_behind, "a failed write is remembered until all is written again");
    }
}

/// By these the gate judges. Heads and heartbeats come by the second, and change nothing for it.
fn is_for_gate(fact: &Fact) -> bool {
    !matches!(fact, Fact::Head(_) | Fact::Heartbeat(_) | Fact::Absence(_))
}

/// As many of these peers, drawn at random.
pub(super) fn some_of(cx: &mut Context, mut peers: Vec<NodeId>, count: usize) -> Vec<NodeId> {
    cx.rng.shuffle(&mut peers);
    peers.truncate(count);
    peers
}

/// Rare and of lasting effect, unlike what a member says again and again.
fn is_statement(fact: &Fact) -> bool {
    !matches!(fact, Fact::Heartbeat(_) | Fact::Head(_) | Fact::Card(_) | Fact::Absence(_))
}

#[cfg(test)]
mod tests;
