//! What this node says of itself, heartbeats and its card, and who else is there.

use std::collections::BTreeMap;

use fsdfs_proto::identity::{Card, CardDisk, Fact, Heartbeat, card_flag};
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::signed::Signed;

use super::timers::Timer;
use super::{Engine, Profile, Reason, disk};
use crate::limits::{AWAY_MS, HEARTBEAT_MS};
use crate::report::Notice;
use crate::seam::{DiskRequest, DiskState, Effect};

/// Features this version supports.
const FEATURES: u32 = fsdfs_proto::message::FEATURES_LIST_BLOCKS;

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

    /// A newcomer is a member from the moment it learns of its admission; then it shows its card.
    pub(super) fn speak_as_member(&mut self, out: &mut Vec<Effect>) {
        if self.boot.counter == 0 && self.facts.members().contains_key(&self.me) {
            self.heartbeat(out);
            self.issue_card(out);
        }
    }

    pub(super) fn begin_boot(&mut self) {
        let last =
            self.facts.members().get(&self.me).and_then(|me| me.heartbeat.as_ref()).map_or(0, |beat| beat.value().boot);
        self.boot.number = self.now.wall.max(last + 1);
    }

    pub(super) fn heartbeat(&mut self, out: &mut Vec<Effect>) {
        self.timers.set(self.now.mono + HEARTBEAT_MS, Timer::Heartbeat);
        if self.log_behind {
            out.push(disk(DiskRequest::Log { entries: self.log_entries() }, Reason::Relog));
        }
        if !self.facts.members().contains_key(&self.me) {
            return;
        }
        self.boot.counter += 1;
        let beat = Heartbeat { version: 1, node: self.me, boot: self.boot.number, counter: self.boot.counter };
        let beat = Fact::from(Signed::sign(self.pool, &self.key, beat));
        self.insert_facts(vec![beat.clone()], None, out);
        self.announce(&beat, out);
    }

    pub(super) fn heard_heartbeat(&mut self, beat: &Heartbeat, out: &mut Vec<Effect>) {
        if beat.node == self.me {
            return self.heard_own_heartbeat(beat, out);
        }
        self.presence.0.insert(beat.node, ((beat.boot, beat.counter), self.now.mono));
        self.dial_soon(beat.node);
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
            out.push(Effect::Notice(Notice::DuplicateIdentity));
        }
        self.heartbeat(out);
    }

    pub(super) fn readdress(&mut self, addrs: Vec<String>, out: &mut Vec<Effect>) {
        self.profile.addrs = addrs;
        self.speak_as_member(out);
        self.issue_card(out);
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
        self.insert_facts(vec![card.clone()], None, out);
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
                attach_generation: disk.attach_generation,
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
            out.push(Effect::Notice(Notice::DiskLost));
        }
    }
}

/// Weights change by at least 5 % and 16 units, so that small changes of a quota do not move data; downward at once.
fn weight_to_publish(last: Option<u32>, now: u32) -> u32 {
    match last {
        Some(last) if now > last && now - last < (last / 20).max(16) && last > 0 => last,
        _ => now,
    }
}
