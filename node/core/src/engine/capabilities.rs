//! Keys of volumes: asked of members, believed when the volume's signed epoch confirms them.

use fsdfs_proto::identity::{Capability as Cap, CapabilityLevel, Role, VolEpoch};
use fsdfs_proto::ids::{NodeId, VolumeId};
use fsdfs_proto::message::{CapabilityReply, CapabilityRequest, Message};
use fsdfs_proto::record::{CapabilityEntry, LogEntry};
use fsdfs_proto::volume::VolumeKeys;

use super::peers::Purpose;
use super::{Engine, Reason, disk};
use crate::facts::MemberStatus;
use crate::seam::{DiskRequest, Effect};

impl Engine {
    /// Asks a member for the keys of the shared volume, if this node is entitled to them and lacks them.
    pub(super) fn pull_capabilities(&mut self, from: NodeId, out: &mut Vec<Effect>) {
        let volume = self.pool.volume();
        let full = self
            .facts
            .members()
            .get(&self.me)
            .is_some_and(|me| me.role == Role::Full && me.status == MemberStatus::Member);
        if full && !self.keys.contains_key(&volume) {
            let ask = |request| Message::Capability(CapabilityRequest { request, volume });
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
    pub(super) fn take_up_keys(&mut self, out: &mut Vec<Effect>) {
        let entries: Vec<LogEntry> = self.capabilities_meet_epochs().into_iter().map(LogEntry::Capability).collect();
        if !entries.is_empty() {
            out.push(disk(DiskRequest::Log { entries }, Reason::Remember));
            self.begin_volumes();
        }
    }

    pub(super) fn take_capability(&mut self, volume: VolumeId, text: &str) {
        self.capabilities.insert(volume, text.to_owned());
    }

    /// A capability becomes keys once the signed epoch confirms it: a member cannot hand out a wrong one.
    pub(super) fn capabilities_meet_epochs(&mut self) -> Vec<CapabilityEntry> {
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
        CapabilityLevel::Read => VolumeKeys::from_read_key(volume, epoch, secret),
        CapabilityLevel::Write | CapabilityLevel::Manage => VolumeKeys::from_write_secret(volume, epoch, secret),
    }
}

/// Whether the signed epoch speaks of these keys.
fn confirms(epoch: &VolEpoch, keys: &VolumeKeys) -> bool {
    let writes = keys.writer().is_none_or(|writer| writer.write_pk() == epoch.write_pk);
    (epoch.volume, epoch.epoch, epoch.read_check) == (keys.volume, keys.epoch, keys.read_check()) && writes
}
