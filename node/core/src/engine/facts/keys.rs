//! Keys of volumes: asked of members, believed when a signed epoch of the volume confirms them.
//!
//! Promise: a key that is used is the one its epoch's fact speaks of, whoever handed it out; and it is handed out to nobody of
//! whom a majority does not know that it may have it (see [`KeyGrants`]).

use std::collections::BTreeMap;

use fsdfs_proto::identity::{Capability, CapabilityLevel, SecretKey, VolEpoch};
use fsdfs_proto::ids::{FactId, NodeId, VolumeId};
use fsdfs_proto::message::{CapabilityReply, CapabilityRequest, EntitledRequest, Message, RequestId};
use fsdfs_proto::record::{CapabilityEntry, LogEntry};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::VolumeKeys;

use super::Liveness;
use super::grants::{GrantVerdict, KeyGrants, holders_away, level_of};
use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::timers::Timer;
use crate::limits::{CAPABILITIES_UNCONFIRMED_MAX, KEYS_ANOTHER_MS, KEYS_RETRY_MS};
use crate::seam::{DiskRequest, GossipToken, Waiter};

/// Capabilities as texts, and the keys of those that an epoch confirms. What this node works with is in [`Context::keys`].
#[derive(Default)]
pub(in crate::engine) struct KeyRing {
    /// As they came and are logged: of epochs that are held, or that are not known yet.
    capabilities: BTreeMap<VolumeId, Vec<String>>,
    /// By the statement that began their epoch. Several of one number, if several were begun at once.
    held: BTreeMap<FactId, VolumeKeys>,
    /// Statements and number of texts when they were compared last. Facts come often, and opening texts takes time.
    compared: (Vec<FactId>, usize),
    grants: KeyGrants,
    /// Since when a key of the shared volume is lacking to which this node is entitled.
    lacking_since: Option<u64>,
}

/// A node waits for a key.
pub(in crate::engine) struct KeyWait {
    pub since: u64,
    /// Members that have to know this node first, and cannot be reached. None if there are enough others.
    pub away: Vec<NodeId>,
}

impl KeyRing {
    /// Asks a member for those keys of the shared volume that this node is entitled to and lacks.
    pub fn request(&self, cx: &mut Context, from: NodeId) {
        let volume = cx.pool.volume();
        for epoch in self.lacking(cx) {
            let ask = |request| Message::Capability(CapabilityRequest { request, volume, epoch });
            cx.ask(from, Waiter::Keys(volume), ask);
        }
    }

    /// Asks one of those that are there.
    pub fn request_of_any(&self, cx: &mut Context) {
        let peers: Vec<NodeId> = cx.peers.up().into_iter().filter(|node| cx.responsive(*node)).collect();
        if let Some(from) = cx.rng.choice(peers) {
            self.request(cx, from);
            if !self.lacking(cx).is_empty() {
                cx.wake_in(KEYS_ANOTHER_MS, Timer::Keys);
            }
        }
    }

    /// Epochs of the shared volume: the current one, and those in which heads were written that stand.
    fn lacking(&self, cx: &Context) -> Vec<Option<FactId>> {
        let Some(level) = level_of(cx, cx.me) else { return Vec::new() };
        let volume = cx.pool.volume();
        let Some(current) = cx.facts.epoch(volume) else { return vec![None] };
        let mut lacking = Vec::new();
        if !self.has(current.id(), level) {
            lacking.push(Some(current.id()));
        }
        let statements = cx.facts.epochs(volume);
        let heads = cx.facts.heads(volume);
        let signs = |epoch: &&Signed<VolEpoch>| heads.iter().any(|head| head.signer() == epoch.value().write_pk);
        let earlier = statements.into_iter().filter(signs).map(Signed::id);
        lacking.extend(earlier.filter(|id| *id != current.id() && !self.has(*id, CapabilityLevel::Read)).map(Some));
        lacking
    }

    /// Whether this node waits for a key, and whom that takes.
    pub fn awaited(&self, cx: &Context, liveness: &Liveness) -> Option<KeyWait> {
        let since = self.lacking_since?;
        debug_assert!(since <= cx.now.mono, "the monotonic clock does not run backwards");
        (!self.lacking(cx).is_empty()).then(|| KeyWait { since, away: holders_away(cx, liveness) })
    }

    fn note_lack(&mut self, cx: &Context) {
        let lacks = !self.lacking(cx).is_empty();
        self.lacking_since = lacks.then(|| self.lacking_since.unwrap_or(cx.now.mono));
    }

    /// Keys of the epoch that this statement began.
    pub fn held(&self, epoch: FactId) -> Option<&VolumeKeys> {
        self.held.get(&epoch)
    }

    fn has(&self, epoch: FactId, level: CapabilityLevel) -> bool {
        self.held.get(&epoch).is_some_and(|keys| level == CapabilityLevel::Read || keys.writer().is_some())
    }

    /// A peer handed out a capability, or has none to give. Keys in use are never replaced by what a peer says.
    pub fn on_reply(&mut self, cx: &mut Context, volume: VolumeId, reply: &CapabilityReply) {
        if let Some(text) = &reply.capability {
            self.add(volume, text);
            self.take_up(cx);
        }
        if !self.lacking(cx).is_empty() {
            // A newcomer, of whom the others have not heard yet; or the one that was asked lacks it, too.
            cx.wake_in(KEYS_RETRY_MS, Timer::Keys);
        }
    }

    /// Private volumes travel only by an explicit share; the pool's own is every full member's and reader's.
    pub fn serve(&mut self, cx: &mut Context, liveness: &Liveness, from: NodeId, request: &CapabilityRequest) {
        let volume = request.volume;
        if volume != cx.pool.volume() || self.to_give(cx, from, request.epoch).is_none() {
            return answer(cx, from, request.request, None);
        }
        match self.grants.check(cx, liveness, from, (request.request, request.epoch)) {
            GrantVerdict::Known => self.give(cx, from, request.request, request.epoch),
            GrantVerdict::NotNow => answer(cx, from, request.request, None),
            GrantVerdict::Asking => {}
        }
    }

    /// A holder of the volume's id said whether it knows that this node may have keys; or says nothing.
    pub fn on_entitled(&mut self, cx: &mut Context, holder: NodeId, node: NodeId, entitled: bool) {
        let Some((requests, known)) = self.grants.on_answer(holder, node, entitled) else { return };
        for (request, epoch) in requests {
            if known {
                self.give(cx, node, request, epoch);
            } else {
                answer(cx, node, request, None);
            }
        }
    }

    /// Another member asks the same of this node.
    pub fn serve_entitled(&self, cx: &mut Context, from: NodeId, request: &EntitledRequest) {
        KeyGrants::serve(cx, from, request);
    }

    /// Judged again here: it may have been revoked while others were asked.
    fn give(&self, cx: &mut Context, to: NodeId, request: RequestId, epoch: Option<FactId>) {
        let capability = self.to_give(cx, to, epoch);
        answer(cx, to, request, capability);
    }

    /// What this node could give to a member, if it is entitled to it: of the current epoch what its role allows, of earlier
    /// ones what it takes to read.
    fn to_give(&self, cx: &Context, to: NodeId, epoch: Option<FactId>) -> Option<String> {
        let current = cx.facts.epoch(cx.pool.volume()).map(Signed::id);
        let epoch = epoch.or(current)?;
        let level = level_of(cx, to)?;
        let keys = self.held.get(&epoch)?;
        if current == Some(epoch) && level == CapabilityLevel::Write {
            return Some(text_of(cx, keys, level, keys.writer()?.secret().0));
        }
        Some(text_of(cx, keys, CapabilityLevel::Read, keys.read_key().0))
    }

    /// Keys that the epochs confirm by now are logged and used. The capability may have come before its epoch's facts.
    pub fn take_up(&mut self, cx: &mut Context) {
        let before = cx.keys.clone();
        let entries: Vec<LogEntry> = self.confirm(cx).into_iter().map(LogEntry::Capability).collect();
        if !entries.is_empty() {
            cx.disk(DiskRequest::Log { entries }, Waiter::Gossip(GossipToken::Log));
        }
        if before != cx.keys {
            cx.raise(Event::KeysArrived);
        }
        self.note_lack(cx);
        if !self.lacking(cx).is_empty() && cx.peers.any_up() {
            cx.wake_in(KEYS_RETRY_MS, Timer::Keys);
        }
    }

    /// From a log, or from a peer.
    pub fn add(&mut self, volume: VolumeId, text: &str) {
        let texts = self.capabilities.entry(volume).or_default();
        if !texts.iter().any(|known| known == text) {
            texts.push(text.to_owned());
        }
    }

    /// A capability becomes keys once a signed epoch confirms it: a member cannot hand out a wrong one. What is new.
    pub fn confirm(&mut self, cx: &mut Context) -> Vec<CapabilityEntry> {
        let mut confirmed = Vec::new();
        let known = cx.facts.volumes().into_iter().flat_map(|volume| cx.facts.epochs(volume)).map(Signed::id).collect();
        let now = (known, self.capabilities.values().map(Vec::len).sum());
        if now == self.compared {
            return confirmed;
        }
        for (volume, texts) in &mut self.capabilities {
            let statements = cx.facts.epochs(*volume);
            let mut unconfirmed = 0;
            texts.retain(|text| {
                let Some(keys) = text.parse::<Capability>().ok().map(|capability| keys_of(&capability)) else {
                    return false;
                };
                let Some(epoch) = statements.iter().find(|epoch| confirms(epoch.value(), &keys)) else {
                    // What no epoch confirms although one of its number is known is not worth keeping; nor are many.
                    unconfirmed += 1;
                    return unconfirmed <= CAPABILITIES_UNCONFIRMED_MAX
                        && statements.iter().all(|epoch| epoch.value().epoch != keys.epoch);
                };
                let is_better = |old: &VolumeKeys| old.writer().is_none() && keys.writer().is_some();
                if self.held.get(&epoch.id()).is_none_or(is_better) {
                    self.held.insert(epoch.id(), keys);
                    confirmed.push(CapabilityEntry { volume: *volume, text: text.clone() });
                }
                true
            });
            open_previous(&statements, &mut self.held);
        }
        self.compared = (now.0, self.capabilities.values().map(Vec::len).sum());
        self.put_to_use(cx);
        confirmed
    }

    /// Writing takes the key of the current epoch; reading, those of all.
    fn put_to_use(&self, cx: &mut Context) {
        if self.held.is_empty() {
            return;
        }
        cx.readable.clear();
        for volume in cx.facts.volumes() {
            let statements = cx.facts.epochs(volume);
            let held = |epoch: &&Signed<VolEpoch>| self.held.get(&epoch.id());
            let readable = statements.iter().filter(|epoch| held(epoch).is_some());
            let readable: Vec<_> = readable.map(|epoch| epoch.value().write_pk).collect();
            let current = cx.facts.epoch(volume).and_then(|epoch| self.held.get(&epoch.id()).cloned());
            // Until the current key comes, with that of the last epoch that is held, and nothing is written.
            let last =
                || statements.iter().filter_map(held).max_by_key(|keys| keys.epoch).cloned().map(VolumeKeys::reading);
            let Some(keys) = current.or_else(last) else { continue };
            let keys = keys.with_others(statements.iter().filter_map(held));
            cx.keys.insert(volume, keys);
            cx.readable.extend(readable);
        }
    }

    /// For a log that is written again.
    pub fn entries(&self) -> impl Iterator<Item = LogEntry> {
        let entry = |(volume, text): (&VolumeId, &String)| CapabilityEntry { volume: *volume, text: text.clone() };
        let all = self.capabilities.iter().flat_map(|(volume, texts)| texts.iter().map(move |text| (volume, text)));
        all.map(entry).map(LogEntry::Capability)
    }
}

fn answer(cx: &mut Context, to: NodeId, request: RequestId, capability: Option<String>) {
    cx.send(to, Message::CapabilityReply(CapabilityReply { request, capability }));
}

/// Each epoch has the read key of the one before it sealed in its statement, so whoever came later reads what is older.
fn open_previous(statements: &[&Signed<VolEpoch>], held: &mut BTreeMap<FactId, VolumeKeys>) {
    for epoch in statements.iter().rev() {
        let Some(keys) = held.get(&epoch.id()) else { continue };
        let sealed = epoch.value().prev_sealed.as_ref();
        let Some(previous) = sealed.and_then(|sealed| keys.open_previous(sealed)) else { continue };
        if let Some(before) = statements.iter().find(|before| confirms(before.value(), &previous)) {
            held.entry(before.id()).or_insert(previous);
        }
    }
}

fn text_of(cx: &Context, keys: &VolumeKeys, level: CapabilityLevel, secret: [u8; 32]) -> String {
    let (volume, epoch, secret) = (keys.volume, keys.epoch, SecretKey::new(secret));
    Capability { pool: cx.pool, volume, level, epoch, secret, owner_seed: None }.text().as_str().to_owned()
}

/// A capability to read yields no write secret; the higher levels contain the lower ones.
fn keys_of(capability: &Capability) -> VolumeKeys {
    let (volume, epoch, secret) = (capability.volume, capability.epoch, *capability.secret.key());
    match capability.level {
        CapabilityLevel::Read => VolumeKeys::from_read_key(volume, epoch, secret),
        CapabilityLevel::Write | CapabilityLevel::Manage => VolumeKeys::from_write_secret(volume, epoch, secret),
    }
}

/// Whether the signed epoch speaks of these keys.
fn confirms(epoch: &VolEpoch, keys: &VolumeKeys) -> bool {
    let writes = keys.writer().is_none_or(|writer| writer.write_pk() == epoch.write_pk);
    (epoch.volume, epoch.epoch, epoch.read_check) == (keys.volume, keys.epoch, keys.read_check()) && writes
}

#[cfg(test)]
mod tests;
