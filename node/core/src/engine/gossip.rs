//! Facts: what every member keeps. Learned at the gate, told by whoever makes them; what was missed is found by comparing
//! (see [`super::exchange`]).

use fsdfs_proto::identity::{Cert, Fact, RawFact, card_flag};
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::{FactBatch, Message, RequestId, fact_parts};
use fsdfs_proto::record::LogEntry;
use fsdfs_proto::signed::Signed;

use super::timers::Timer;
use super::{Engine, Reason, disk};
use crate::facts::InsertOutcome;
use crate::limits::{GOSSIP_MS, HEARTBEAT_FAN_OUT, HEARTBEAT_MS};
use crate::placement::ClusterMap;
use crate::report::Notice;
use crate::seam::{DiskRequest, Effect};

impl Engine {
    /// Takes in what the logs kept, then begins to speak.
    pub(super) fn recall(
        &mut self,
        entries: Vec<LogEntry>,
        chain: Vec<Signed<Cert>>,
        may_be_restored_copy: bool,
        out: &mut Vec<Effect>,
    ) {
        let mut facts: Vec<Fact> = chain.into_iter().map(Fact::from).collect();
        let mut unpublished = Vec::new();
        for entry in entries {
            match entry {
                LogEntry::Fact(raw) => facts.extend(raw.open(self.pool).ok()),
                LogEntry::Own(own) => self.recall_writer(own),
                LogEntry::Capability(entry) => self.take_capability(entry.volume, &entry.text),
                LogEntry::Unpublished(entry) => unpublished.push(entry),
                LogEntry::Unknown(_) => {}
            }
        }
        for fact in facts {
            self.facts.insert(fact);
        }
        self.recall_unpublished(unpublished);
        self.facts.drain_new();
        self.writer_starts(may_be_restored_copy);
        self.capabilities_meet_epochs();
        self.map_may_have_changed();
        self.begin_boot();
        self.speak_as_member(out);
        self.timers.set(self.now.mono + HEARTBEAT_MS, Timer::Heartbeat);
        self.dial_members();
        self.timers.set(self.now.mono + GOSSIP_MS, Timer::Gossip);
        self.topup_all();
        self.begin_volumes();
    }

    /// Inserts facts; what is new is remembered and told to those who may not know it.
    pub(super) fn insert_facts(&mut self, facts: Vec<Fact>, from: Option<NodeId>, out: &mut Vec<Effect>) {
        let mut any = false;
        for fact in facts {
            any |= self.insert(fact) == InsertOutcome::New;
        }
        if any {
            self.digest_news(from, Reason::Remember, out);
        }
    }

    fn insert(&mut self, fact: Fact) -> InsertOutcome {
        let inserted = self.facts.insert(fact);
        if inserted == InsertOutcome::New {
            self.facts_version += 1;
        }
        inserted
    }

    /// Acts on facts that became valid: log, pass on, look at what they change.
    fn digest_news(&mut self, from: Option<NodeId>, why: Reason, out: &mut Vec<Effect>) {
        let news = self.facts.drain_new();
        let entries: Vec<LogEntry> =
            news.iter().filter(|fact| worth_logging(fact)).map(|fact| LogEntry::Fact(fact.raw())).collect();
        if !entries.is_empty() || why != Reason::Remember {
            out.push(disk(DiskRequest::Log { entries }, why));
        }
        if news.is_empty() {
            return;
        }
        self.facts_version += 1;
        self.pass_on(&news, from, out);
        for fact in &news {
            self.react(fact, out);
        }
        if news.iter().any(|fact| !matches!(fact, Fact::Head(_) | Fact::Heartbeat(_))) {
            self.map_may_have_changed();
            self.drop_expelled(out);
            self.take_up_keys(out);
            self.speak_as_member(out);
            self.dial_members();
        }
    }

    pub(super) fn logged(&mut self, durable: bool, out: &mut Vec<Effect>) {
        if !durable && !std::mem::replace(&mut self.log_behind, true) {
            out.push(Effect::Notice(Notice::LogFailed));
        }
    }

    /// Statements go to everyone: they are rare and must arrive. Heartbeats go on to a few. Heads and cards were sent to
    /// everyone by their maker; whoever had no link to it finds them by digests.
    fn pass_on(&mut self, news: &[Fact], from: Option<NodeId>, out: &mut Vec<Effect>) {
        let peers: Vec<NodeId> = self.up_peers().into_iter().filter(|node| Some(*node) != from).collect();
        let statements: Vec<RawFact> = news.iter().filter(|fact| is_statement(fact)).map(Fact::raw).collect();
        for to in &peers {
            self.send_facts(*to, &statements, out);
        }
        let beats: Vec<RawFact> =
            news.iter().filter(|fact| matches!(fact, Fact::Heartbeat(_))).map(Fact::raw).collect();
        if from.is_some() && !beats.is_empty() {
            for to in self.some_of(peers, HEARTBEAT_FAN_OUT) {
                self.send_facts(to, &beats, out);
            }
        }
    }

    pub(super) fn some_of(&mut self, mut peers: Vec<NodeId>, count: usize) -> Vec<NodeId> {
        self.rng.shuffle(&mut peers);
        peers.truncate(count);
        peers
    }

    pub(super) fn send_facts(&self, to: NodeId, facts: &[RawFact], out: &mut Vec<Effect>) {
        for facts in fact_parts(facts) {
            let message = Message::Facts(FactBatch { request: 0, facts });
            out.push(Effect::Send { to, message, block: None });
        }
    }

    /// A fact of this node's own goes to all who listen.
    pub(super) fn announce(&mut self, fact: &Fact, out: &mut Vec<Effect>) {
        let raw = [fact.raw()];
        for to in self.up_peers() {
            self.send_facts(to, &raw, out);
        }
    }

    fn react(&mut self, fact: &Fact, out: &mut Vec<Effect>) {
        match fact {
            Fact::Card(card) if card.value().node == self.me => self.issue_card(out),
            Fact::Card(card) => {
                let card = card.value();
                self.dial_soon(card.node);
                // It may have taken nothing until now.
                if card.flags & card_flag::READ_ONLY == 0 {
                    self.topup_for(card.node);
                }
            }
            Fact::Heartbeat(beat) => self.heard_heartbeat(beat.value(), out),
            Fact::Head(head) => self.head_came(head),
            _ => {}
        }
    }

    pub(super) fn facts_came(&mut self, from: NodeId, request: RequestId, raws: &[RawFact], out: &mut Vec<Effect>) {
        let mut fine = true;
        for raw in raws {
            if self.facts.knows(raw) {
                continue;
            }
            match raw.open(self.pool).map(|fact| self.insert(fact)) {
                Ok(InsertOutcome::New | InsertOutcome::Known | InsertOutcome::Stale) => {}
                Ok(InsertOutcome::Waiting | InsertOutcome::Invalid(_)) | Err(_) => fine = false,
            }
        }
        // Logs are written in order: what was logged before is durable when this, perhaps empty, request is.
        let why = if request == 0 { Reason::Remember } else { Reason::AckFacts { to: from, request, fine } };
        self.digest_news(Some(from), why, out);
    }

    pub(super) fn map_may_have_changed(&mut self) {
        let digest = self.facts.map_digest();
        if digest == self.map_digest {
            return;
        }
        self.map_digest = digest;
        self.view = ClusterMap::new(self.facts.servers());
        self.topup_all();
    }

    fn drop_expelled(&mut self, out: &mut Vec<Effect>) {
        for node in self.up_peers() {
            if self.expelled(node) {
                out.push(Effect::Disconnect { node, reason: "revoked" });
            }
        }
    }
}

fn is_statement(fact: &Fact) -> bool {
    !matches!(fact, Fact::Heartbeat(_) | Fact::Head(_) | Fact::Card(_))
}

/// Heartbeats are worth keeping for one reason: a node's own last boot number. Others' are heard again.
pub(super) fn worth_logging(fact: &Fact) -> bool {
    match fact {
        Fact::Heartbeat(beat) => beat.value().counter == 1,
        _ => true,
    }
}
