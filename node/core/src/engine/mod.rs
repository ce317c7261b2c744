//! The engine: the only place where state changes.
//!
//! [`Engine::handle`] takes one input and appends what is to be done; [`Engine::deadline`] says when it wants to be called
//! with [`Input::Timeout`]. It waits for nothing, reads no clock and draws only from its own seeded generator, so a run
//! is a function of its inputs.
//!
//! It is a router over *machines*: structs with fields of their own that promise one thing each. They stand on floors,
//! `net` < `facts` < `blocks` < `volume` < `space` < `admin`. A machine may call machines of its own or lower floors that are
//! handed to it; to those above it raises an event. Nothing but this file knows all of them.

mod admin;
mod answers;
mod blocks;
mod commands;
mod context;
mod event;
mod facts;
mod machines;
mod net;
mod receipts;
mod space;
mod start;
#[cfg(test)]
mod test_kit;
mod timers;
mod unneeded;
mod volume;

use fsdfs_proto::identity::{Cert, Fact};
use fsdfs_proto::ids::{DiskId, NodeId, VolumeId};
use fsdfs_proto::message::Message;
use fsdfs_proto::record::LogEntry;
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::VolumeKeys;

use self::admin::Proofs;
use self::blocks::{Eviction, Repair};
use self::event::{Event, HeardHeads};
use self::space::Collector;
use self::timers::Timer;
use self::volume::{ReadBasis, StateFloor};
use crate::facts::{FactSet, open_logged};
use crate::limits::{GOSSIP_MS, HEARTBEAT_MS};
use crate::seam::{
    BlockPayload, DiskDone, DiskRequest, Effect, GetToken, GossipToken, Input, Now, PeerEvent, QueryToken, Refusal,
    RepairToken, Token, Waiter, WriteDone,
};

pub use self::machines::Engine;
pub use self::start::{Patience, Profile, Start};

/// What a node remembers, and what it misses.
struct Past {
    entries: Vec<LogEntry>,
    chain: Vec<Signed<Cert>>,
    missing: Vec<DiskId>,
    may_be_restored_copy: bool,
}

impl Engine {
    /// Starts a node. The effects begin its connections.
    pub fn new(now: Now, mut start: Start, out: &mut Vec<Effect>) -> Self {
        let past = Past {
            entries: std::mem::take(&mut start.entries),
            chain: std::mem::take(&mut start.chain),
            missing: std::mem::take(&mut start.missing),
            may_be_restored_copy: start.may_be_restored_copy,
        };
        let mut engine = Self::without_past(now, start);
        engine.cx.swap_effects(out);
        engine.replay(past);
        engine.cx.swap_effects(out);
        engine
    }

    /// Takes in one input and appends what is to be done.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Effect>) {
        debug_assert!(now.mono >= self.cx.now.mono, "the monotonic clock ran backwards");
        self.cx.now = now;
        self.cx.swap_effects(out);
        match input {
            Input::Command { op, command } => self.on_command(op, command),
            Input::Message { from, message, payload } => self.on_message(from, message, payload),
            Input::Peer { node, event } => self.on_peer(node, event),
            Input::Disk { token: Token(Waiter::Nobody), done: DiskDone::Disks(disks) } => {
                answers::on_disks(self, disks);
                self.issue_card();
            }
            // The disk that takes its place comes right behind, so one card says both.
            Input::Disk { token: Token(Waiter::Nobody), done: DiskDone::GivenUp(disks) } => {
                self.card.give_up(&self.cx, &disks);
                admin::end_drain_of(&mut self.cx, &mut self.gossip, &disks);
                self.heartbeat();
            }
            Input::Disk { token: Token(Waiter::Nobody), done: DiskDone::Changed(changes) } => {
                answers::on_copies(self, &changes);
            }
            Input::Disk { token: Token(Waiter::Nobody), done: DiskDone::LogCopy(entries) } => {
                self.gossip.on_log_copy(&mut self.cx, entries);
            }
            Input::Disk { token, done } => {
                let is_full = done == DiskDone::Written(WriteDone::Full);
                let is_eviction = matches!(token.0, Waiter::Evict(_));
                answers::on_disk_done(self, token.0, done);
                if is_full {
                    self.evict(Eviction::look);
                }
                if is_eviction {
                    // What can give way makes room, as the card has it.
                    self.issue_card();
                }
            }
            Input::Work { token, job, done } => answers::on_job_done(self, &token.0, job, done),
            Input::Addresses(addrs) => {
                self.card.readdress(addrs);
                self.introduce();
                self.issue_card();
            }
            Input::Relays(relays) => {
                self.card.set_relays(relays);
                self.issue_card();
            }
            Input::Moved => self.connections.dial_anew(&mut self.cx),
            Input::RepairBudget(bytes_per_s) => {
                self.repair(|repair, parts| repair.on_budget(parts, bytes_per_s));
            }
            Input::Timeout => {}
        }
        self.drain();
        while let Some(timer) = self.cx.timers.due(now.mono) {
            self.on_timer(timer);
            self.drain();
        }
        self.unpublished.tell_changes(&mut self.cx, &self.heads);
        self.cx.swap_effects(out);
    }

    /// Monotonic milliseconds at which [`Engine::handle`] wants [`Input::Timeout`] at the latest.
    pub fn deadline(&self) -> Option<u64> {
        self.cx.timers.next()
    }

    /// The facts this node knows.
    pub fn facts(&self) -> &FactSet {
        &self.cx.facts
    }

    /// Grows whenever facts change by which the gate judges, so that the copy handed to it can be renewed. Heads and heartbeats
    /// do not count: they come by the second.
    pub fn gate_version(&self) -> u64 {
        self.cx.gate_version
    }

    /// Everything the logs have to hold: what a start may replace them by.
    pub fn log_entries(&self) -> Vec<LogEntry> {
        let facts = self.cx.facts.all().filter(|fact| facts::worth_logging(fact));
        let facts = facts.map(|fact| LogEntry::Fact(fact.raw()));
        let facts = facts.chain(self.presence.entry()).chain(self.floor.entries());
        facts.chain(self.writer.entry()).chain(self.heads.entries(&self.cx)).chain(self.key_ring.entries()).collect()
    }

    /// Volumes with changes that only this node knows of yet.
    pub fn unpublished(&self) -> impl Iterator<Item = VolumeId> {
        self.heads.volumes()
    }

    /// This node's keys of a volume, if it has any.
    pub fn keys(&self, volume: VolumeId) -> Option<&VolumeKeys> {
        self.cx.keys.get(&volume)
    }

    /// Why this node cannot write to the shared volume, if it has no key to do so.
    pub fn lacks_write_key(&self) -> Refusal {
        self.cx.lacks_write_key()
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.cx.me
    }

    /// Takes in what the logs kept, then begins to speak.
    fn replay(&mut self, past: Past) {
        let Past { entries, chain, missing, may_be_restored_copy } = past;
        let mut facts: Vec<Fact> = chain.into_iter().map(Fact::from).collect();
        let (mut unpublished, mut logged) = (Vec::new(), Vec::new());
        for entry in entries {
            match entry {
                LogEntry::Fact(raw) => logged.push(raw),
                LogEntry::Own(own) => self.writer.replay(own),
                LogEntry::Capability(entry) => self.key_ring.add(entry.volume, &entry.text),
                LogEntry::Unpublished(entry) => unpublished.push(entry),
                LogEntry::Observed(seen) => self.presence.replay(&self.cx, seen),
                LogEntry::Stood(stood) => self.floor.replay(&stood),
                LogEntry::Unknown(_) => {}
            }
        }
        facts.extend(open_logged(self.cx.pool, &logged));
        for fact in &facts {
            if let Fact::Head(head) = fact {
                self.heads.quarantine.remember(head);
            }
        }
        self.cx.facts.restore(facts);
        self.heads.replay(&mut self.cx, unpublished);
        self.cx.facts.drain_new();
        self.writer.on_start(may_be_restored_copy);
        for volume in self.cx.facts.volumes() {
            self.heads.note_published(&self.cx, volume);
        }
        self.key_ring.confirm(&mut self.cx);
        self.refresh_map();
        self.card.begin_boot(&self.cx);
        self.card.note_missing(&mut self.cx, &missing);
        self.introduce();
        self.cx.wake_in(HEARTBEAT_MS, Timer::Heartbeat);
        self.presence.begin(&mut self.cx);
        self.connections.dial_members(&mut self.cx);
        self.cx.wake_in(GOSSIP_MS, Timer::Gossip);
        StateFloor::begin(&mut self.cx);
        self.collector.begin(&mut self.cx);
        self.repair.begin(&mut self.cx);
        self.commits.begin_volumes(&mut self.cx, &self.heads);
        self.commits.recommit_soon(&mut self.cx, &self.heads);
        self.rotation.check(&mut self.cx);
    }

    /// Hands on what was raised: each event with all that follows from it, before the next one.
    fn drain(&mut self) {
        for event in self.cx.take_events() {
            self.on_event(event);
            self.drain();
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::PeerSilent { node, waiter } => answers::on_silent(self, node, &waiter),
            Event::RequestLost { node, waiter } => answers::on_lost(self, node, waiter),
            Event::FactsInserted(facts) => self.on_facts_inserted(&facts),
            Event::FactMade(fact) => self.gossip.announce(&mut self.cx, &fact, &[]),
            Event::FactsExchanged { node, began } => {
                self.presence.on_exchange(&self.cx, (node, began), self.unpublished.was_kept_by(node, began));
            }
            Event::SyncEnded => {
                self.commits.begin_volumes(&mut self.cx, &self.heads);
                self.commits.go_on(&mut self.cx);
            }
            Event::KeysArrived => {
                self.commits.begin_volumes(&mut self.cx, &self.heads);
                self.commits.recommit_soon(&mut self.cx, &self.heads);
                self.rotation.check(&mut self.cx);
                self.go_on_with_queries();
            }
            Event::PutEnded(report) => {
                answers::note_put(self, &report);
                self.drain();
                answers::answer_put(self, report);
            }
            Event::GetEnded { waiter, id, outcome } => answers::on_get_ended(self, &waiter, id, outcome),
            Event::HeadsHeard { waiter, volume, heard } => match waiter {
                Waiter::Commit(_) => self.commit(|commits, parts| commits.run(parts, volume).on_heads(heard)),
                Waiter::Query(QueryToken::Heads(query)) => self.begin_query((query, volume), heard),
                _ => debug_assert!(false, "heads are asked for by commits and queries"),
            },
            Event::CopyJudged { info, need } => self.repair(|repair, parts| repair.on_judged(parts, &info, need)),
            Event::DrainChanged { op } => {
                let report = admin::drain(&self.drain_parts(), op);
                self.cx.raise(report);
            }
            Event::Reply { op, reply } => self.cx.reply(op, reply),
        }
    }

    /// A query knows which heads stand.
    fn begin_query(&mut self, (query, volume): (u64, VolumeId), heard: HeardHeads) {
        if self.tree_queries.waits_for_key(&mut self.cx, &self.heads, (query, volume), heard) {
            return;
        }
        let recent = self.commits.recent(volume);
        let all = self.heads.current(&self.cx, volume);
        let withheld_by = self.unpublished.withheld_by(volume, &all);
        // What was written in an epoch of which the key is still on its way is not shown, and that is said.
        let is_whole = !self.heads.lacks_key(&self.cx, volume);
        let heads = self.heads.readable(&self.cx, volume);
        let is_whole = is_whole && heads.len() == all.len();
        let heard = HeardHeads { majority: heard.majority && is_whole, ..heard };
        let remembered = self.floor.states(volume);
        let basis = ReadBasis { heads, heard, withheld_by, recent, remembered };
        self.tree_queries.on_heads(&mut self.cx, &mut self.heads, (query, volume), basis);
    }

    /// Queries that waited for a key, which came, or will not come soon.
    fn go_on_with_queries(&mut self) {
        for (query, volume, heard) in self.tree_queries.take_waiting() {
            self.begin_query((query, volume), heard);
        }
    }

    fn on_message(&mut self, from: NodeId, message: Message, payload: BlockPayload) {
        let shunned = self.cx.peers.shunned_until(from, self.cx.now.mono).is_some();
        if shunned || self.cx.revoked(from) || !self.cx.peers.is_up(from) {
            return;
        }
        if payload != BlockPayload::None {
            self.cx.peers.note_moved(from, self.cx.now.mono);
        }
        self.on_alive(from);
        let cx = &mut self.cx;
        if matches!(message, Message::Fetch(_) | Message::Store(_) | Message::RelayedStore(_)) {
            cx.note_users();
        }
        match message {
            Message::Ping(number) => cx.send(from, Message::Pong(number)),
            Message::Pong(number) => {
                if let Some(at) = cx.peers.ponged(from, number, cx.now.mono) {
                    self.connections.on_pong(cx, from, at);
                }
                self.gossip.on_pong(cx, from, number);
                self.sync.on_pong(cx, from, number);
            }
            Message::Digests(digests) => self.sync.on_digests(cx, from, &digests),
            Message::Summary(summary) => self.sync.on_summary(cx, &mut self.gossip, from, &summary),
            Message::Want(want) => self.sync.on_want(cx, &mut self.gossip, from, &want.ids),
            Message::Facts(facts) => self.gossip.on_facts(cx, from, facts.request, &facts.facts),
            Message::Have(have) => {
                self.sync.compare_maps(cx, from, have.map);
                self.server.on_have(cx, from, have);
            }
            Message::Store(store) => {
                self.sync.compare_maps(cx, from, store.map);
                self.server.on_store(cx, &self.holdings, (from, &store), payload);
            }
            Message::RelayedStore(store) => {
                self.sync.compare_maps(cx, store.origin, store.map);
                self.relays.on_store(cx, &self.holdings, (from, store), payload);
            }
            Message::NotRelayed(not) => self.puts.on_not_relayed(cx, from, &not.requests),
            Message::Fetch(fetch) => self.server.on_fetch(cx, from, &fetch),
            Message::Audit(audit) => self.audits.on_audit(cx, from, &audit),
            Message::Assure(assure) => {
                self.sync.compare_maps(cx, from, assure.map);
                self.server.on_assure(cx, from, assure);
            }
            Message::Prove(asked) => {
                self.sync.compare_maps(cx, from, asked.map);
                self.evict(|eviction, parts| eviction.on_prove(parts, from, asked));
            }
            Message::ListBlocks(list) => self.server.on_list_blocks(cx, from, &list),
            Message::Prints(_) | Message::Holdings(_) | Message::Offer(_) | Message::Pull(_) => {
                answers::on_repair_asked(self, from, message);
            }
            Message::Heads(heads) => self.queries.serve(cx, from, &heads),
            Message::Heard(said) => self.presence.on_heard(cx, from, &said),
            Message::Unpublished(said) => self.unpublished.on_told(cx, from, said),
            Message::Capability(request) => self.key_ring.serve(cx, &self.liveness, from, &request),
            Message::Entitled(request) => self.key_ring.serve_entitled(cx, from, &request),
            Message::FactsAck(_)
            | Message::HaveReply(_)
            | Message::StoreReply(_)
            | Message::RelayedStoreReply(_)
            | Message::FetchReply(_)
            | Message::HeadsReply(_)
            | Message::CapabilityReply(_)
            | Message::EntitledReply(_)
            | Message::ListBlocksReply(_)
            | Message::AuditReply(_)
            | Message::ProveReply(_)
            | Message::PrintsReply(_)
            | Message::HoldingsReply(_)
            | Message::OfferReply(_)
            | Message::PullReply(_)
            | Message::AssureReply(_) => {
                if let Message::HeadsReply(reply) = &message {
                    self.gossip.on_facts(&mut self.cx, from, 0, &reply.facts);
                    self.drain();
                }
                answers::on_reply(self, from, message, payload);
            }
            // Between the networks of two nodes: which addresses are open decides nothing here.
            Message::Probe(_) | Message::ProbeReply(_) => {}
            other => debug_assert!(other.is_of_later_programs(), "every other message has its machine"),
        }
    }

    fn on_peer(&mut self, node: NodeId, event: PeerEvent) {
        match event {
            PeerEvent::Up { .. } if self.cx.peers.shunned_until(node, self.cx.now.mono).is_some() => {
                net::refuse_shunned(&mut self.cx, node, "it sent a fact whose signature is wrong a short time ago");
            }
            PeerEvent::Up { facts } => {
                self.relays.forget(node);
                self.connections.on_up(&mut self.cx, node);
                self.presence.on_peers(&self.cx);
                self.gossip.forget(node);
                self.drain();
                self.gossip.insert_facts(&mut self.cx, facts, Some(node));
                self.drain();
                if self.cx.revoked(node) {
                    return self.cx.push(Effect::Disconnect { node, reason: "revoked", pause_ms: 0 });
                }
                // First: equal digests say "here is all that I have".
                self.unpublished.on_up(&mut self.cx, node);
                self.sync.send_digests(&mut self.cx, node);
                self.connections.ping(&mut self.cx, node);
                self.sync.show_heartbeats(&mut self.cx, &mut self.gossip, node);
                self.key_ring.request(&mut self.cx, node);
                self.on_back(node);
            }
            PeerEvent::Path(path) => self.cx.peers.set_path(node, path),
            PeerEvent::Relayed { member, bytes } => self.relays.on_left(node, member, bytes),
            PeerEvent::Down => {
                self.relays.forget(node);
                self.gossip.forget(node);
                self.unpublished.on_down(node);
                self.evict(|eviction, parts| eviction.on_peer_lost(parts, node));
                if self.connections.on_down(&mut self.cx, node) {
                    self.drain();
                    self.connections.dial_later(&mut self.cx, node);
                }
                self.presence.on_peers(&self.cx);
            }
            PeerEvent::Misbehaved => net::shun(&mut self.cx, node),
            PeerEvent::Progress => {
                self.cx.peers.note_moved(node, self.cx.now.mono);
                self.on_alive(node);
            }
            PeerEvent::Unreachable => self.connections.on_unreachable(&mut self.cx, node),
        }
    }

    /// Something came from the peer, so it is there.
    fn on_alive(&mut self, node: NodeId) {
        if self.cx.peers.note_alive(node, self.cx.now.mono) {
            self.on_back(node);
        }
    }

    /// A peer came up, or speaks again: what waited for it goes on.
    fn on_back(&mut self, node: NodeId) {
        self.repair(|repair, parts| repair.check_holder(parts, node));
        for id in self.gets.ids() {
            self.gets.ask_next(&mut self.cx, &mut self.replication, id);
            self.drain();
        }
        self.audits.on_back(&mut self.cx);
        self.drain();
        self.heads.quarantine.try_again();
        self.heads.history.try_again();
        self.heads.publish_soon(&mut self.cx);
    }

    fn on_facts_inserted(&mut self, facts: &[Fact]) {
        for fact in facts {
            self.on_fact(fact);
            self.drain();
        }
        if facts.iter().any(|fact| !matches!(fact, Fact::Head(_) | Fact::Heartbeat(_) | Fact::Absence(_))) {
            self.refresh_map();
            self.connections.disconnect_revoked(&mut self.cx);
            self.audits.forget_revoked(&self.cx);
            self.key_ring.take_up(&mut self.cx);
            self.drain();
            self.rotation.check(&mut self.cx);
            if facts.iter().any(|fact| matches!(fact, Fact::VolEpoch(_))) {
                self.commits.recommit_soon(&mut self.cx, &self.heads);
            }
            self.introduce();
            self.connections.dial_members(&mut self.cx);
        }
    }

    fn on_fact(&mut self, fact: &Fact) {
        match fact {
            Fact::Card(card) if card.value().node == self.cx.me => self.issue_card(),
            // What it empties it offers no more.
            Fact::Absence(absence) if absence.value().node == self.cx.me => self.issue_card(),
            Fact::Card(card) => {
                let card = card.value();
                self.connections.dial_soon(&mut self.cx, card.node);
                self.repair(|repair, parts| repair.on_card(parts, card));
            }
            Fact::Heartbeat(beat) if beat.value().node == self.cx.me => {
                let must_answer = self.card.on_own_heartbeat(&mut self.cx, beat.value());
                if must_answer {
                    self.heartbeat();
                }
            }
            Fact::Heartbeat(beat) => {
                if self.liveness.note(&self.cx, beat.value()) {
                    self.repair(|repair, parts| repair.on_restarted(parts, beat.value().node));
                }
                self.connections.dial_soon(&mut self.cx, beat.value().node);
            }
            Fact::Head(head) => self.commits.on_head(&mut self.cx, &mut self.heads, &mut self.writer, head),
            _ => {}
        }
    }

    fn refresh_map(&mut self) {
        if self.cx.refresh_map() {
            self.repair(Repair::on_map_changed);
            self.eviction.on_map_changed(&mut self.cx);
        }
    }

    /// A newcomer that learnt of its admission speaks.
    fn introduce(&mut self) {
        if self.card.is_to_introduce_itself(&self.cx) {
            self.heartbeat();
            self.issue_card();
        }
    }

    fn issue_card(&mut self) {
        self.card.issue(&mut self.cx, &mut self.gossip);
        self.drain();
    }

    fn heartbeat(&mut self) {
        self.heartbeat_but(&[]);
    }

    fn heartbeat_but(&mut self, but: &[NodeId]) {
        if self.gossip.log_behind {
            let entries = self.log_entries();
            self.cx.disk(DiskRequest::Log { entries }, Waiter::Gossip(GossipToken::Relog));
        }
        self.card.heartbeat(&mut self.cx, &mut self.gossip, but);
        self.drain();
    }

    fn on_timer(&mut self, timer: Timer) {
        let (cx, log) = (&mut self.cx, &mut self.replication);
        match timer {
            Timer::Peer(node) => {
                let puts = &self.puts;
                self.connections.on_peer_due(cx, node, |waiter| match waiter {
                    Waiter::Get(GetToken::Fetch(_)) | Waiter::Repair(RepairToken::Pull(_)) => true,
                    Waiter::Put(token) => puts.moves_block(*token),
                    _ => false,
                });
            }
            Timer::Dial(node) => self.connections.on_dial_due(cx, node),
            // The end of the input tells what is new.
            Timer::Unpublished => {}
            Timer::Gossip => {
                // The gate's copy holds on to it, too.
                cx.gate_version += u64::from(cx.facts.age_waiting());
                if let Some(node) = self.sync.on_gossip_due(cx) {
                    // Whoever was asked before may have been frozen, or lied.
                    self.key_ring.request(cx, node);
                }
            }
            Timer::Heartbeat => {
                self.presence.on_heartbeat(cx, !self.heads.is_empty());
                let due = self.card.heartbeat_due(cx, &self.liveness);
                if let Some(but) = due.or_else(|| self.gossip.log_behind.then(Vec::new)) {
                    self.heartbeat_but(&but);
                }
            }
            Timer::Card => {
                self.card.forget_absent(cx);
                self.issue_card();
            }
            Timer::Presence => {
                self.presence.on_due(cx, &self.liveness, &mut self.gossip);
                self.repair(Repair::on_presence);
            }
            Timer::Keys => self.key_ring.request_of_any(cx),
            Timer::Floor => self.floor.on_hour(cx, &self.heads, &self.presence),
            Timer::Queries => self.go_on_with_queries(),
            Timer::Rotate => self.rotation.on_due(cx),
            Timer::Facts(node) => self.gossip.go_on(cx, node),
            Timer::LogOthers => self.gossip.log_others(cx),
            Timer::Cards => self.gossip.on_cards_due(cx),
            Timer::Get(id) => self.gets.on_due(cx, log, id),
            Timer::ReadRepair(id) => self.gets.read_repair(cx, log, id),
            Timer::Commit(volume) => self.commit(|commits, parts| commits.begin(parts, volume)),
            Timer::Merge(volume) => {
                if self.commit(|commits, parts| commits.on_merge_due(parts, volume)) {
                    self.drain();
                    self.commits.merge_again(&mut self.cx, volume);
                }
            }
            Timer::Relays => self.puts.on_relays_due(cx),
            Timer::Repair => self.repair(Repair::on_due),
            Timer::Audit => self.audits.on_due(cx),
            Timer::Proofs => self.proof(Proofs::on_due),
            Timer::Evict => self.evict(Eviction::on_due),
            Timer::Collect => self.collecting(Collector::on_due),
            Timer::Inventory(op) => self.inventories.on_due(cx, op),
        }
    }
}
