//! Facts: what every member keeps. Learned at the gate, told by whoever makes them, compared by digests.
//!
//! Two members with unequal digests exchange ids and then what the other lacks. The smaller id asks, so that it happens
//! once: summary (in parts) → facts and [`Message::Want`] for each part → the facts wanted → an empty `Want`. An exchange
//! has ended for the asker with the last part's `Want`, for the other with the empty one; from then on a node may say "none"
//! instead of "not yet".

use std::collections::BTreeMap;

use fsdfs_proto::identity::{
    Capability as Cap, Card, CardDisk, Cert, Fact, Heartbeat, Level, RawFact, Role, VolEpoch, card_flag,
};
use fsdfs_proto::ids::{Digest, FactId, NodeId, VolumeId};
use fsdfs_proto::message::{
    Capability, CapabilityReply, Digests, Facts, Message, RequestId, SUMMARY_IDS_MAX, Summary, Want, fact_parts,
};
use fsdfs_proto::record::{CapabilityEntry, LogEntry};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::VolumeKeys;

use super::peers::Purpose;
use super::timers::Timer;
use super::{Engine, Profile, Reason, disk};
use crate::facts::{Inserted, Standing};
use crate::limits::{AWAY_MS, GOSSIP_MS, HEARTBEAT_FAN_OUT, HEARTBEAT_MS};
use crate::placement::View;
use crate::seam::{DiskRequest, DiskState, Effect};

/// Features this version supports.
const FEATURES: u32 = fsdfs_proto::message::FEATURES_RECORDS;

/// When each member's heartbeat was last seen to move, on this node's monotonic clock.
#[derive(Default)]
pub(super) struct Presences(BTreeMap<NodeId, ((u64, u64), u64)>);

/// This start of this node.
#[derive(Default)]
pub(super) struct Boot {
    number: u64,
    counter: u64,
    /// How often another heartbeat of this identity was ahead of ours.
    overtaken: u32,
    /// Another live node has this identity.
    pub twin: bool,
}

impl Engine {
    /// Takes in what the logs kept, then begins to speak.
    pub(super) fn recall(
        &mut self,
        entries: Vec<LogEntry>,
        chain: Vec<Signed<Cert>>,
        doubtful: bool,
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
        self.facts.take_news();
        self.writer_starts(doubtful);
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
    pub(super) fn learn(&mut self, facts: Vec<Fact>, from: Option<NodeId>, out: &mut Vec<Effect>) {
        let mut any = false;
        for fact in facts {
            any |= self.insert(fact) == Inserted::New;
        }
        if any {
            self.digest_news(from, Reason::Remember, out);
        }
    }

    fn insert(&mut self, fact: Fact) -> Inserted {
        let inserted = self.facts.insert(fact);
        if inserted == Inserted::New {
            self.facts_version += 1;
        }
        inserted
    }

    /// Acts on facts that became valid: log, pass on, look at what they change.
    fn digest_news(&mut self, from: Option<NodeId>, why: Reason, out: &mut Vec<Effect>) {
        let news = self.facts.take_news();
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
        if !durable && !std::mem::replace(&mut self.log_lags, true) {
            out.push(Effect::Notice(
                "the log in the home folder cannot be written (disk full?); this node confirms nothing until it can"
                    .into(),
            ));
        }
    }

    /// A newcomer is a member from the moment it learns of its admission; then it shows its card.
    fn speak_as_member(&mut self, out: &mut Vec<Effect>) {
        if self.boot.counter == 0 && self.facts.members().contains_key(&self.me) {
            self.heartbeat(out);
            self.issue_card(out);
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

    fn some_of(&mut self, mut peers: Vec<NodeId>, count: usize) -> Vec<NodeId> {
        self.rng.shuffle(&mut peers);
        peers.truncate(count);
        peers
    }

    pub(super) fn send_facts(&self, to: NodeId, facts: &[RawFact], out: &mut Vec<Effect>) {
        for facts in fact_parts(facts) {
            let message = Message::Facts(Facts { request: 0, facts });
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
            Fact::Heartbeat(beat) if beat.value().node == self.me => self.heard_own_heartbeat(beat.value(), out),
            Fact::Heartbeat(beat) => {
                let beat = beat.value();
                self.presence.0.insert(beat.node, ((beat.boot, beat.counter), self.now.mono));
                self.dial_soon(beat.node);
            }
            Fact::Head(head) => self.head_came(head),
            _ => {}
        }
    }

    /// Whether a heartbeat moved within the last minute, as far as this node saw.
    pub(super) fn is_present(&self, node: NodeId) -> bool {
        node == self.me
            || self.peers.get(&node).is_some_and(|peer| peer.up)
            || self.presence.0.get(&node).is_some_and(|(_, at)| self.now.mono - at < AWAY_MS)
    }

    /// Milliseconds since anything was heard of a member.
    pub(super) fn quiet_ms(&self, node: NodeId) -> Option<u64> {
        let beat = self.presence.0.get(&node).map(|(_, at)| *at);
        let direct = self.peers.get(&node).map(|peer| peer.heard).filter(|heard| *heard > 0);
        beat.max(direct).map(|at| self.now.mono.saturating_sub(at))
    }

    fn digests_now(&self) -> Digests {
        let clock = fsdfs_proto::time::Hlc { ms: self.now.wall, count: 0 };
        Digests { gossip: self.facts.gossip_digest(), map: self.map_digest, clock }
    }

    fn send_digests(&mut self, to: NodeId, out: &mut Vec<Effect>) {
        let now = self.now.mono;
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.digests_sent = now;
        }
        out.push(Effect::Send { to, message: Message::Digests(self.digests_now()), block: None });
    }

    /// First words on a new connection.
    pub(super) fn greet(&mut self, node: NodeId, out: &mut Vec<Effect>) {
        self.send_digests(node, out);
        self.ping(node, out);
        // Ours, and the peer's own as it was last heard here: should it not be the peer's, it has a twin.
        for whose in [self.me, node] {
            let beat = self.facts.members().get(&whose).and_then(|member| member.heartbeat.clone());
            if let Some(beat) = beat {
                self.send_facts(node, &[Fact::from(beat).raw()], out);
            }
        }
    }

    pub(super) fn digests(&mut self, from: NodeId, theirs: &Digests, out: &mut Vec<Effect>) {
        let off = i64::try_from(theirs.clock.ms).unwrap_or(i64::MAX).saturating_sub_unsigned(self.now.wall);
        let equal = theirs.gossip == self.facts.gossip_digest();
        let Some(peer) = self.peers.get_mut(&from) else { return };
        peer.clock_off_ms = Some(off);
        let asking = peer.wants_due > 0;
        if equal {
            self.exchange_ended();
        }
        if !equal && self.me < from && !asking {
            self.send_summary(from, out);
        } else if !equal && self.peers.get(&from).is_some_and(|peer| self.now.mono >= peer.digests_sent + GOSSIP_MS) {
            // The other one asks; it may not know yet that there is something to ask.
            self.send_digests(from, out);
        }
    }

    fn send_summary(&mut self, to: NodeId, out: &mut Vec<Effect>) {
        let (first, last) = (FactId([0; 32]), FactId([255; 32]));
        let ids = self.facts.ids_in(first, last);
        let parts: Vec<&[FactId]> = if ids.is_empty() { vec![&[]] } else { ids.chunks(SUMMARY_IDS_MAX).collect() };
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.wants_due = parts.len();
        }
        let mut from = first;
        for (index, part) in parts.iter().enumerate() {
            let end = if index + 1 == parts.len() { last } else { *part.last().expect("chunks are not empty") };
            let summary = Summary { last: index + 1 == parts.len(), from, to: end, ids: part.to_vec() };
            out.push(Effect::Send { to, message: Message::Summary(summary), block: None });
            from = next_id(end);
        }
    }

    /// Sends what the asker lacks in that range, then asks for what is lacking here.
    pub(super) fn summary(&mut self, from: NodeId, summary: &Summary, out: &mut Vec<Effect>) {
        let mine = self.facts.ids_in(summary.from, summary.to);
        let lacking = |has: &[FactId], ids: &[FactId]| -> Vec<FactId> {
            ids.iter().filter(|id| has.binary_search(id).is_err()).copied().collect()
        };
        let theirs = lacking(&summary.ids, &mine);
        self.send_by_id(from, &theirs, out);
        let ids = lacking(&mine, &summary.ids);
        if summary.last
            && let Some(peer) = self.peers.get_mut(&from)
        {
            peer.exchange_ends = true;
        }
        out.push(Effect::Send { to: from, message: Message::Want(Want { ids }), block: None });
    }

    pub(super) fn wanted(&mut self, from: NodeId, ids: &[FactId], out: &mut Vec<Effect>) {
        self.send_by_id(from, ids, out);
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if peer.wants_due > 0 {
            peer.wants_due -= 1;
            if peer.wants_due == 0 {
                out.push(Effect::Send { to: from, message: Message::Want(Want { ids: Vec::new() }), block: None });
                self.exchange_ended();
            }
        } else if std::mem::take(&mut peer.exchange_ends) {
            self.exchange_ended();
        }
    }

    /// Parents first, as the set keeps them.
    fn send_by_id(&self, to: NodeId, ids: &[FactId], out: &mut Vec<Effect>) {
        if ids.is_empty() {
            return;
        }
        let mut ids: Vec<FactId> = ids.to_vec();
        ids.sort_unstable();
        let facts: Vec<RawFact> =
            self.facts.all().filter(|fact| ids.binary_search(&fact.id()).is_ok()).map(Fact::raw).collect();
        self.send_facts(to, &facts, out);
    }

    fn exchange_ended(&mut self) {
        if !std::mem::replace(&mut self.exchanged, true) {
            self.begin_volumes();
            self.commits_go_on();
        }
    }

    /// Whether this node may say "none": it has exchanged facts since its start, or there is nobody to exchange with.
    pub(super) fn ready(&self) -> bool {
        self.exchanged || self.alone()
    }

    /// No other member exists that could know more.
    pub(super) fn alone(&self) -> bool {
        self.bootstrap.is_empty()
            && self
                .facts
                .members()
                .iter()
                .all(|(node, member)| *node == self.me || member.standing == Standing::Revoked)
    }

    pub(super) fn facts_came(&mut self, from: NodeId, request: RequestId, raws: &[RawFact], out: &mut Vec<Effect>) {
        let mut fine = true;
        for raw in raws {
            if self.facts.knows(raw) {
                continue;
            }
            match raw.open(self.pool).map(|fact| self.insert(fact)) {
                Ok(Inserted::New | Inserted::Known | Inserted::Stale) => {}
                Ok(Inserted::Waiting | Inserted::Invalid(_)) | Err(_) => fine = false,
            }
        }
        // Logs are written in order: what was logged before is durable when this, perhaps empty, request is.
        let why = if request == 0 { Reason::Remember } else { Reason::AckFacts { to: from, request, fine } };
        self.digest_news(Some(from), why, out);
    }

    pub(super) fn gossip_tick(&mut self, out: &mut Vec<Effect>) {
        self.timers.set(self.now.mono + GOSSIP_MS, Timer::Gossip);
        let peers = self.up_peers();
        for to in self.some_of(peers, 1) {
            self.send_digests(to, out);
        }
    }

    /// A request named another map than ours: one of us lacks facts.
    pub(super) fn compare_maps(&mut self, from: NodeId, theirs: Digest, out: &mut Vec<Effect>) {
        let lately = self.peers.get(&from).is_some_and(|peer| self.now.mono < peer.digests_sent + GOSSIP_MS);
        if theirs != self.map_digest && !lately {
            self.send_digests(from, out);
        }
    }

    pub(super) fn map_may_have_changed(&mut self) {
        let digest = self.facts.map_digest();
        if digest == self.map_digest {
            return;
        }
        self.map_digest = digest;
        self.view = View::new(self.facts.servers());
        self.topup_all();
    }

    fn drop_expelled(&mut self, out: &mut Vec<Effect>) {
        for node in self.up_peers() {
            if self.expelled(node) {
                out.push(Effect::Drop { node, reason: "revoked" });
            }
        }
    }

    fn begin_boot(&mut self) {
        let last =
            self.facts.members().get(&self.me).and_then(|me| me.heartbeat.as_ref()).map_or(0, |beat| beat.value().boot);
        self.boot.number = self.now.wall.max(last + 1);
    }

    pub(super) fn heartbeat(&mut self, out: &mut Vec<Effect>) {
        self.timers.set(self.now.mono + HEARTBEAT_MS, Timer::Heartbeat);
        if self.log_lags {
            out.push(disk(DiskRequest::Log { entries: self.log_entries() }, Reason::Relog));
        }
        if !self.facts.members().contains_key(&self.me) {
            return;
        }
        self.boot.counter += 1;
        let beat = Heartbeat { version: 1, node: self.me, boot: self.boot.number, counter: self.boot.counter };
        let beat = Fact::from(Signed::sign(self.pool, &self.key, beat));
        self.learn(vec![beat.clone()], None, out);
        self.announce(&beat, out);
    }

    /// A heartbeat of this identity that this boot did not send and that is ahead of ours. Once it may be an earlier boot
    /// under a clock that was wrong; whoever overtakes us again is alive.
    fn heard_own_heartbeat(&mut self, beat: &Heartbeat, out: &mut Vec<Effect>) {
        if beat.boot == self.boot.number && beat.counter <= self.boot.counter {
            return;
        }
        if self.boot.twin {
            return;
        }
        self.boot.overtaken += 1;
        self.boot.number = beat.boot + 1;
        if self.boot.overtaken >= 2 {
            self.boot.twin = true;
            out.push(Effect::Notice(
                "another running node has this node's identity (a copied home folder?); nothing is acknowledged until one of them is stopped and this one restarted".into(),
            ));
        }
        self.heartbeat(out);
    }

    pub(super) fn readdress(&mut self, addrs: Vec<String>, out: &mut Vec<Effect>) {
        self.profile.addrs = addrs;
        self.speak_as_member(out);
    }

    /// This node's card, if what it says now is not what the last one said.
    pub(super) fn issue_card(&mut self, out: &mut Vec<Effect>) {
        let Some(me) = self.facts.members().get(&self.me) else { return };
        let last = me.card.as_ref().map(|card| card.value().clone());
        let card = self.card_now(last.as_ref());
        if last.as_ref().is_some_and(|last| Card { seq: last.seq, ..card.clone() } == *last) {
            return;
        }
        let card = Fact::from(Signed::sign(self.pool, &self.key, card));
        self.learn(vec![card.clone()], None, out);
        self.announce(&card, out);
    }

    fn card_now(&self, last: Option<&Card>) -> Card {
        let weight_before =
            |id| last.and_then(|card| card.disks.iter().find(|disk| disk.id == id)).map(|disk| disk.gib);
        let mut disks: Vec<CardDisk> = Vec::new();
        for disk in self.disks.iter().filter(|disk| disk.quota_bytes > 0) {
            let now = u32::try_from(disk.quota_bytes / self.unit_bytes).unwrap_or(u32::MAX);
            disks.push(CardDisk {
                id: disk.id,
                gib: weight_to_publish(weight_before(disk.id), now),
                claim: disk.claim,
            });
        }
        disks.sort_by_key(|disk| disk.id);
        disks.truncate(64);
        let full = !disks.is_empty() && self.disks.iter().all(|disk| disk.read_only);
        let flags = if full { card_flag::READ_ONLY } else { 0 };
        let Profile { name, site, addrs, uplink, instance } = self.profile.clone();
        let seq = last.map_or(1, |card| card.seq + 1);
        Card { version: 1, node: self.me, seq, instance, name, site, disks, addrs, uplink, flags, features: FEATURES }
    }

    pub(super) fn disks_changed(&mut self, disks: Vec<DiskState>, out: &mut Vec<Effect>) {
        let lost = self.disks.iter().any(|before| disks.iter().all(|now| now.id != before.id));
        let could = |disk: &DiskState| self.disks.iter().any(|before| before.id == disk.id && !before.read_only);
        if disks.iter().any(|disk| !disk.read_only && !could(disk)) {
            // A walk may have missed what lies there, and there is room for what was refused.
            self.topup_all();
        }
        self.disks = disks;
        self.issue_card(out);
        if lost {
            out.push(Effect::Notice(
                "a disk of this node is gone or failing; the others hold its blocks, see 'fsdfs status'".into(),
            ));
        }
    }

    /// Asks a member for the keys of the shared volume, if this node is entitled to them and lacks them.
    pub(super) fn pull_capabilities(&mut self, from: NodeId, out: &mut Vec<Effect>) {
        let volume = self.pool.volume();
        let full = self
            .facts
            .members()
            .get(&self.me)
            .is_some_and(|me| me.role == Role::Full && me.standing == Standing::Member);
        if full && !self.keys.contains_key(&volume) {
            let ask = |request| Message::Capability(Capability { request, volume });
            self.ask(from, Purpose::Capability(volume), ask, None, out);
        }
    }

    pub(super) fn capability_came(&mut self, from: NodeId, reply: &CapabilityReply, out: &mut Vec<Effect>) {
        let Some(Purpose::Capability(volume)) = self.answered(from, reply.request) else { return };
        let Some(text) = &reply.capability else { return };
        if self.keys.contains_key(&volume) {
            return;
        }
        self.take_capability(volume, text);
        self.take_up_keys(out);
    }

    /// Keys that the epochs confirm by now are remembered and used. The capability may have come before its epoch's facts.
    fn take_up_keys(&mut self, out: &mut Vec<Effect>) {
        let entries: Vec<LogEntry> = self.capabilities_meet_epochs().into_iter().map(LogEntry::Capability).collect();
        if !entries.is_empty() {
            out.push(disk(DiskRequest::Log { entries }, Reason::Remember));
            self.begin_volumes();
        }
    }

    fn take_capability(&mut self, volume: VolumeId, text: &str) {
        self.capabilities.insert(volume, text.to_owned());
    }

    /// A capability becomes keys once the signed epoch confirms it: a member cannot hand out a wrong one.
    fn capabilities_meet_epochs(&mut self) -> Vec<CapabilityEntry> {
        let mut met = Vec::new();
        for (volume, text) in &self.capabilities {
            if self.keys.contains_key(volume) {
                continue;
            }
            let Some(epoch) = self.facts.epoch(*volume) else { continue };
            let keys = text.parse::<Cap>().ok().map(|capability| keys_of(&capability));
            if let Some(keys) = keys.filter(|keys| confirms(epoch.value(), keys)) {
                self.keys.insert(*volume, keys);
                met.push(CapabilityEntry { volume: *volume, text: text.clone() });
            }
        }
        let keys = &self.keys;
        let facts = &self.facts;
        // What no epoch confirms although one is known is not worth keeping.
        self.capabilities.retain(|volume, _| keys.contains_key(volume) || facts.epoch(*volume).is_none());
        met
    }
}

fn keys_of(capability: &Cap) -> VolumeKeys {
    let (volume, epoch, secret) = (capability.volume, capability.epoch, *capability.secret.key());
    match capability.level {
        Level::Read => VolumeKeys::from_read_key(volume, epoch, secret),
        Level::Write | Level::Manage => VolumeKeys::from_write_secret(volume, epoch, secret),
    }
}

/// Whether the signed epoch speaks of these keys.
fn confirms(epoch: &VolEpoch, keys: &VolumeKeys) -> bool {
    let writes = keys.writer().is_none_or(|writer| writer.write_pk() == epoch.write_pk);
    (epoch.volume, epoch.epoch, epoch.read_check) == (keys.volume, keys.epoch, keys.read_check()) && writes
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

/// Weights change by at least 5 % and 16 units, so that small changes of a quota do not move data; downward at once.
fn weight_to_publish(last: Option<u32>, now: u32) -> u32 {
    match last {
        Some(last) if now > last && now - last < (last / 20).max(16) && last > 0 => last,
        _ => now,
    }
}

fn next_id(id: FactId) -> FactId {
    let mut bytes = id.0;
    for byte in bytes.iter_mut().rev() {
        let (sum, carry) = byte.overflowing_add(1);
        *byte = sum;
        if !carry {
            break;
        }
    }
    FactId(bytes)
}
