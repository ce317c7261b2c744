//! Keys of volumes: asked of members, believed when the volume's signed epoch confirms them.
//!
//! Promise: a key that is used is the one its epoch's fact speaks of, whoever handed it out.

use std::collections::BTreeMap;

use fsdfs_proto::identity::{Capability, CapabilityLevel, Role, VolEpoch};
use fsdfs_proto::ids::{NodeId, VolumeId};
use fsdfs_proto::message::{CapabilityReply, CapabilityRequest, Message};
use fsdfs_proto::record::{CapabilityEntry, LogEntry};
use fsdfs_proto::volume::VolumeKeys;

use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::facts::MemberStatus;
use crate::seam::{DiskRequest, GossipToken, Waiter};

/// Capabilities as texts. Those that an epoch confirms are in [`Context::keys`], too.
#[derive(Default)]
pub(in crate::engine) struct KeyRing {
    /// At most one a volume: the one confirmed, or one whose epoch is not known yet.
    capabilities: BTreeMap<VolumeId, String>,
}

impl KeyRing {
    /// Asks a member for the keys of the shared volume, if this node is entitled to them and lacks them.
    pub fn request(&self, cx: &mut Context, from: NodeId) {
        let volume = cx.pool.volume();
        if is_full_member(cx, cx.me) && !cx.keys.contains_key(&volume) {
            let ask = |request| Message::Capability(CapabilityRequest { request, volume });
            cx.ask(from, Waiter::Keys(volume), ask, None);
        }
    }

    /// A peer handed out a capability, or has none to give. Keys in use are never replaced by what a peer says.
    pub fn on_reply(&mut self, cx: &mut Context, volume: VolumeId, reply: &CapabilityReply) {
        let Some(text) = &reply.capability else { return };
        if cx.keys.contains_key(&volume) {
            return;
        }
        self.add(volume, text);
        self.take_up(cx);
    }

    /// Private volumes travel only by an explicit share; the pool's own is every full member's.
    pub fn serve(&self, cx: &mut Context, from: NodeId, request: &CapabilityRequest) {
        let may = is_full_member(cx, from) && request.volume == cx.pool.volume();
        let capability = may.then(|| self.capabilities.get(&request.volume).cloned()).flatten();
        cx.send(from, Message::CapabilityReply(CapabilityReply { request: request.request, capability }));
    }

    /// Keys that the epochs confirm by now are logged and used. The capability may have come before its epoch's facts.
    pub fn take_up(&mut self, cx: &mut Context) {
        let entries: Vec<LogEntry> = self.confirm(cx).into_iter().map(LogEntry::Capability).collect();
        if !entries.is_empty() {
            cx.disk(DiskRequest::Log { entries }, Waiter::Gossip(GossipToken::Log));
            cx.raise(Event::KeysArrived);
        }
    }

    /// From a log, or from a peer.
    pub fn add(&mut self, volume: VolumeId, text: &str) {
        self.capabilities.insert(volume, text.to_owned());
    }

    /// A capability becomes keys once the signed epoch confirms it: a member cannot hand out a wrong one.
    pub fn confirm(&mut self, cx: &mut Context) -> Vec<CapabilityEntry> {
        let mut confirmed = Vec::new();
        for (volume, text) in &self.capabilities {
            if cx.keys.contains_key(volume) {
                continue;
            }
            let Some(epoch) = cx.facts.epoch(*volume) else { continue };
            let keys = text.parse::<Capability>().ok().map(|capability| keys_of(&capability));
            if let Some(keys) = keys.filter(|keys| confirms(epoch.value(), keys)) {
                debug_assert_eq!(keys.volume, *volume, "the epoch was looked up by this volume");
                cx.keys.insert(*volume, keys);
                confirmed.push(CapabilityEntry { volume: *volume, text: text.clone() });
            }
        }
        // What no epoch confirms although one is known is not worth keeping.
        self.capabilities.retain(|volume, _| cx.keys.contains_key(volume) || cx.facts.epoch(*volume).is_none());
        let kept = |entry: &CapabilityEntry| self.capabilities.contains_key(&entry.volume);
        debug_assert!(confirmed.iter().all(kept), "what is in use stays on the ring, to be served and logged again");
        confirmed
    }

    /// For a log that is written again.
    pub fn entries(&self) -> impl Iterator<Item = LogEntry> {
        let entry = |(volume, text): (&VolumeId, &String)| CapabilityEntry { volume: *volume, text: text.clone() };
        self.capabilities.iter().map(entry).map(LogEntry::Capability)
    }
}

/// Guests and those who serve without reading are not entitled to keys.
fn is_full_member(cx: &Context, node: NodeId) -> bool {
    let member = cx.facts.members().get(&node);
    member.is_some_and(|member| member.role == Role::Full && member.status == MemberStatus::Member)
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
