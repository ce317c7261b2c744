//! What this node says of itself: its card, and heartbeats.
//!
//! Promise: the others' newest card of this node is what it offers now; two running nodes with one identity notice.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::block::BLOCK_BYTES_MAX;
use fsdfs_proto::identity::{Card, CardDisk, Fact, Heartbeat, card_flag};
use fsdfs_proto::ids::{DiskId, DiskNonce, NodeId};
use fsdfs_proto::signed::Signed;

use super::beats::not_needed;
use super::presence::grace_ms;
use super::{Gossip, Liveness};
use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::start::Profile;
use crate::engine::timers::Timer;
use crate::limits::{FULL_PERCENT_STEP, HEARTBEAT_IDLE_MS, HEARTBEAT_MS, NEARLY_FULL_PERCENT};
use crate::report::{Notice, full_percent};
use crate::seam::{DiskCondition, DiskState};

/// Features this version supports.
const FEATURES: u32 = 1;
/// Disks on a card at most (spec 01-identity).
const CARD_DISKS_MAX: usize = 64;

/// This node as the others see it.
pub(in crate::engine) struct OwnCard {
    /// As the owner set it; its addresses are replaced by those found to work.
    profile: Profile,
    /// Bytes of one unit of weight; never 0.
    unit_bytes: u64,
    /// Of this start; grows from start to start.
    boot: u64,
    /// Of this boot's last heartbeat; 0 before this node is a member.
    counter: u64,
    /// When all who are connected were sent one, in monotonic milliseconds.
    told_all_at: u64,
    /// How often another heartbeat of this identity was ahead of ours.
    overtaken: u32,
    /// Disks that are out of sight: their weight, and until when, in monotonic milliseconds, the card keeps it. A loose cable
    /// is no reason for everybody to copy what lies there.
    absent: BTreeMap<DiskNonce, (u32, u64)>,
    /// Disks that were here or should be, are out of sight, and were not given up, however long that is.
    out_of_sight: BTreeSet<DiskId>,
}

impl OwnCard {
    pub fn new(profile: Profile, unit_bytes: u64) -> Self {
        Self {
            profile,
            unit_bytes: unit_bytes.max(1),
            boot: 0,
            counter: 0,
            told_all_at: 0,
            overtaken: 0,
            absent: BTreeMap::new(),
            out_of_sight: BTreeSet::new(),
        }
    }

    /// Units of weight for so many bytes, rounded up: at least one.
    pub fn units(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(self.unit_bytes).max(1)).unwrap_or(u32::MAX)
    }

    /// The boot number of this start, later than any this node's log remembers.
    pub fn begin_boot(&mut self, cx: &Context) {
        let me = cx.facts.members().get(&cx.me);
        let last = me.and_then(|me| me.heartbeat.as_ref()).map_or(0, |beat| beat.value().boot);
        self.boot = cx.now.wall.max(last + 1);
        debug_assert!(self.boot > last && self.counter == 0, "a boot begins once, before it beats");
    }

    /// A newcomer is a member from the moment it learns of its admission; then it introduces itself.
    pub fn is_to_introduce_itself(&self, cx: &Context) -> bool {
        self.counter == 0 && cx.facts.members().contains_key(&cx.me)
    }

    /// Whether the next heartbeat is to be made now, and who need not hear it; the timer runs on. Whoever is connected does not depend
    /// on it: it is for those who hear of this node through others, if there are any, and then for these others.
    pub fn heartbeat_due(&self, cx: &mut Context, liveness: &Liveness) -> Option<Vec<NodeId>> {
        cx.wake_in(HEARTBEAT_MS, Timer::Heartbeat);
        if cx.now.mono >= self.told_all_at + HEARTBEAT_IDLE_MS {
            return Some(Vec::new());
        }
        let is_far = |node: &NodeId| *node != cx.me && !cx.peers.is_up(*node) && liveness.is_present(cx, *node);
        let far: Vec<NodeId> = cx.facts.members().keys().copied().filter(is_far).collect();
        (!far.is_empty()).then(|| not_needed(cx, &self.next_beat(cx), &far))
    }

    /// The next heartbeat of this boot, to all but these. Before this node is a member nobody would take it in; the timer runs on.
    pub fn heartbeat(&mut self, cx: &mut Context, gossip: &mut Gossip, but: &[NodeId]) {
        cx.wake_in(HEARTBEAT_MS, Timer::Heartbeat);
        if !cx.facts.members().contains_key(&cx.me) {
            return;
        }
        if but.is_empty() {
            self.told_all_at = cx.now.mono;
        }
        debug_assert!(self.boot > 0, "a boot begins before it beats");
        let beat = self.next_beat(cx);
        self.counter = beat.counter;
        let beat = Fact::from(Signed::sign(cx.pool, &cx.key, beat));
        gossip.insert_facts(cx, vec![beat.clone()], None);
        gossip.announce(cx, &beat, but);
    }

    fn next_beat(&self, cx: &Context) -> Heartbeat {
        Heartbeat { version: 1, node: cx.me, boot: self.boot, counter: self.counter + 1 }
    }

    /// A heartbeat of this identity that may not be this boot's. Whether this node has to show that it is alive.
    ///
    /// Once, another one ahead of ours may be an earlier boot under a clock that was wrong; whoever overtakes us again is alive.
    pub fn on_own_heartbeat(&mut self, cx: &mut Context, beat: &Heartbeat) -> bool {
        debug_assert_eq!(beat.node, cx.me);
        let is_ours = beat.boot == self.boot && beat.counter <= self.counter;
        if is_ours || cx.duplicate_identity {
            return false;
        }
        self.overtaken += 1;
        debug_assert!(self.overtaken <= 2, "a twin is noticed once");
        self.boot = beat.boot + 1;
        if self.overtaken >= 2 {
            cx.duplicate_identity = true;
            cx.notice(Notice::DuplicateIdentity);
        }
        true
    }

    /// What the network says where this node can be reached. It reaches the others with the next card.
    pub fn readdress(&mut self, addrs: Vec<String>) {
        self.profile.addrs = addrs;
    }

    /// Whether this node forwards packets for others. It reaches them with the next card.
    pub fn set_relays(&mut self, relays: bool) {
        self.profile.flags &= !card_flag::RELAYS;
        if relays {
            self.profile.flags |= card_flag::RELAYS;
        }
    }

    /// Disks went out of sight, or came back. The others are told at the end of the time for which a holder may be away.
    pub fn on_disks(&mut self, cx: &mut Context, before: &[DiskState]) {
        let is_here = |nonce: &DiskNonce| cx.disks.iter().any(|disk| disk.nonce == *nonce);
        self.absent.retain(|nonce, _| !is_here(nonce));
        let own = |disk: &DiskState| DiskId::of(cx.me, disk.nonce);
        self.out_of_sight.extend(before.iter().map(own));
        self.out_of_sight.retain(|id| cx.disks.iter().all(|disk| own(disk) != *id));
        let card = cx.facts.members().get(&cx.me).and_then(|me| me.card.as_ref());
        let until = cx.now.mono + grace_ms(cx);
        let lost = before.iter().filter(|disk| !is_here(&disk.nonce)).filter_map(|disk| {
            let shown = card?.value().disks.iter().find(|shown| shown.nonce == disk.nonce)?;
            Some((shown.nonce, (shown.gib, until)))
        });
        self.absent.extend(lost);
        if let Some(next) = self.absent.values().map(|(_, until)| *until).min() {
            cx.timers.set(next, Timer::Card);
        }
    }

    /// Disks that should be there at the start and are not. How long they have been away nobody knows, so their time begins now.
    pub fn note_missing(&mut self, cx: &mut Context, missing: &[DiskId]) {
        debug_assert!(self.absent.is_empty(), "a start comes before anything that may go out of sight");
        let card = cx.facts.members().get(&cx.me).and_then(|me| me.card.as_ref());
        let shown = card.map(|card| card.value().disks.as_slice()).unwrap_or_default();
        let is_here = |nonce: &DiskNonce| cx.disks.iter().any(|disk| disk.nonce == *nonce);
        let until = cx.now.mono + grace_ms(cx);
        let lost =
            shown.iter().filter(|disk| missing.contains(&DiskId::of(cx.me, disk.nonce)) && !is_here(&disk.nonce));
        self.absent = lost.map(|disk| (disk.nonce, (disk.gib, until))).collect();
        self.out_of_sight = missing.iter().copied().collect();
        if !self.absent.is_empty() {
            cx.timers.set(until, Timer::Card);
        }
    }

    /// The owner says that these are lost: the next card shows them no more. What this node said to have counts no more either, so
    /// another boot begins, as if it had been started without them.
    pub fn give_up(&mut self, cx: &Context, lost: &[DiskId]) {
        if self.boot > 0 && !lost.is_empty() {
            (self.boot, self.counter) = (self.boot + 1, 0);
        }
        self.absent.retain(|nonce, _| !lost.contains(&DiskId::of(cx.me, *nonce)));
        self.out_of_sight.retain(|id| !lost.contains(id));
    }

    /// How many disks of this node it cannot read, as far as it knows, that were not given up: what is on them is not known.
    pub fn unread_disks(&self, cx: &Context) -> usize {
        let is_unread = |disk: &&DiskState| {
            matches!(disk.condition, DiskCondition::Failing | DiskCondition::Offline | DiskCondition::Missing)
        };
        self.out_of_sight.len() + cx.disks.iter().filter(is_unread).count()
    }

    /// Disks that are out of sight, and for how many milliseconds they are shown still.
    pub fn absent(&self, cx: &Context) -> Vec<(DiskId, u64)> {
        let left = |(nonce, (_, until)): (&DiskNonce, &(u32, u64))| {
            (DiskId::of(cx.me, *nonce), until.saturating_sub(cx.now.mono))
        };
        self.absent.iter().map(left).collect()
    }

    /// What was out of sight for too long is shown no more.
    pub fn forget_absent(&mut self, cx: &mut Context) {
        self.absent.retain(|_, (_, until)| *until > cx.now.mono);
        if let Some(next) = self.absent.values().map(|(_, until)| *until).min() {
            cx.timers.set(next, Timer::Card);
        }
    }

    /// This node's card, if what it says now is not what the last one said.
    pub fn issue(&self, cx: &mut Context, gossip: &mut Gossip) {
        let Some(me) = cx.facts.members().get(&cx.me) else { return };
        let last = me.card.as_ref().map(|card| card.value().clone());
        let card = self.card_now(cx, last.as_ref());
        if last.as_ref().is_some_and(|last| Card { seq: last.seq, ..card.clone() } == *last) {
            return;
        }
        debug_assert!(last.is_none_or(|last| last.seq < card.seq), "later cards supersede earlier ones");
        let card = Fact::from(Signed::sign(cx.pool, &cx.key, card));
        gossip.insert_facts(cx, vec![card.clone()], None);
        cx.raise(Event::FactMade(card));
    }

    /// The card as it would be now. Its number is one above the last one's, whether it is issued or not.
    fn card_now(&self, cx: &Context, last: Option<&Card>) -> Card {
        let weight_before =
            |nonce| last.and_then(|card| card.disks.iter().find(|disk| disk.nonce == nonce)).map(|disk| disk.gib);
        let drained = cx.facts.members().get(&cx.me).and_then(|me| me.absence.as_ref());
        let is_drained = |nonce: DiskNonce| {
            drained.is_some_and(|said| said.value().drained.as_ref().is_none_or(|disks| disks.contains(&nonce)))
        };
        let on_card = |disk: &DiskState| {
            let now = u32::try_from(disk.quota_bytes / self.unit_bytes).unwrap_or(u32::MAX);
            CardDisk { nonce: disk.nonce, gib: weight_to_publish(weight_before(disk.nonce), now) }
        };
        let here = cx.disks.iter().filter(|disk| disk.quota_bytes > 0).map(on_card);
        let absent = self.absent.iter().map(|(nonce, (gib, _))| CardDisk { nonce: *nonce, gib: *gib });
        let mut disks: Vec<CardDisk> = here.chain(absent).collect();
        // They stay on the card, so that placement knows them, and get nothing.
        disks.iter_mut().filter(|disk| is_drained(disk.nonce)).for_each(|disk| disk.gib = 0);
        // In one order, so that disks that were found in another order make no new card.
        disks.sort_by_key(|disk| disk.nonce);
        disks.truncate(CARD_DISKS_MAX);
        // Without any disk a node is not full: there is nothing that could fill up again.
        // Nor is it as long as something can give way.
        let gives_way = cx.evictable_bytes >= BLOCK_BYTES_MAX as u64;
        let full = !disks.is_empty() && !cx.disks.iter().any(DiskState::takes_blocks) && !gives_way;
        let before = last.map_or(0, |last| card_flag::full_percent(last.flags));
        let percent = full_percent_to_publish(before, full_percent(cx.disks.iter().copied()));
        let of_disks = match full {
            true => card_flag::READ_ONLY | card_flag::of_full_percent(100),
            false if disks.is_empty() => 0,
            false => card_flag::of_full_percent(percent),
        };
        let Profile { name, site, addrs, uplink, instance, flags } = self.profile.clone();
        let flags = flags | of_disks;
        let seq = last.map_or(1, |card| card.seq + 1);
        Card { version: 1, node: cx.me, seq, instance, name, site, disks, addrs, uplink, flags, features: FEATURES }
    }
}

/// Weights change by at least 5 % and 16 units, so that small changes of a quota do not move data; downward at once.
fn weight_to_publish(last: Option<u32>, now: u32) -> u32 {
    match last {
        Some(last) if now > last && now - last < (last / 20).max(16) && last > 0 => last,
        _ => now,
    }
}

/// What the others are told moves in steps, so that a disk that fills up makes some twenty cards and not one a block. What
/// they warn of is told at once.
fn full_percent_to_publish(last: u8, now: u8) -> u8 {
    let is_news =
        last.abs_diff(now) >= FULL_PERCENT_STEP || (now >= NEARLY_FULL_PERCENT) != (last >= NEARLY_FULL_PERCENT);
    if is_news || now == 100 { now } else { last }
}

#[cfg(test)]
mod tests;
