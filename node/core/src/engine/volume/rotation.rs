//! New epochs of the shared volume, when somebody is out who has the key.
//!
//! Promise: what is written after a removal is written with keys that the removed one was never given. An admin's node does it
//! by itself, whoever signed the removal and whenever it hears of it; those of lower rank only if the others do not. The new
//! key is durable here before anybody hears of its epoch, so no epoch begins of which nobody has the key.

use fsdfs_proto::identity::{Capability, CapabilityLevel, Fact, HEADS_FROZEN_MAX, SecretKey, VolEpoch};
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::record::{CapabilityEntry, LogEntry};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::VolumeKeys;

use crate::engine::context::Context;
use crate::engine::facts::{Gossip, KeyRing};
use crate::engine::timers::Timer;
use crate::facts::MemberStatus;
use crate::limits::{ROTATE_AFTER_MS, ROTATE_EVERY_MS, ROTATE_STAGGER_MS, ROTATE_STUCK_MS};
use crate::seam::{DiskRequest, Waiter};

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct Rotation {
    /// Its key is on its way into the log.
    pending: Option<NewEpoch>,
    /// This node lacks the current key since then.
    lacking_since: Option<u64>,
    /// This node began an epoch then.
    last: Option<u64>,
}

/// The key of an epoch that nobody has heard of yet. What the epoch begins from is said when the key is durable: what comes until
/// then may supersede a head that stands now, and then nobody would have what the epoch began from.
struct NewEpoch {
    keys: VolumeKeys,
    text: String,
}

impl Rotation {
    /// Statements changed, or a removal was ordered here: a new epoch may be due.
    pub fn check(&mut self, cx: &mut Context) {
        let has_key = cx.has_current_key(cx.pool.volume());
        let since = *self.lacking_since.get_or_insert(cx.now.mono);
        if has_key {
            self.lacking_since = None;
        }
        let Some(rank) = rank(cx) else { return };
        if has_key && !cx.facts.still_with_key().is_empty() {
            let stagger = ROTATE_STAGGER_MS.saturating_mul(rank.saturating_sub(1) as u64);
            let earliest = self.last.map_or(0, |last| (last + ROTATE_EVERY_MS).saturating_sub(cx.now.mono));
            cx.wake_in((ROTATE_AFTER_MS + stagger).max(earliest), Timer::Rotate);
        } else if !has_key {
            let at = (since + ROTATE_STUCK_MS).saturating_sub(cx.now.mono);
            cx.wake_in(at.max(1), Timer::Rotate);
        }
    }

    /// It was due; others may have done it meanwhile.
    pub fn on_due(&mut self, cx: &mut Context) {
        let volume = cx.pool.volume();
        let may = rank(cx).is_some() && self.pending.is_none() && !cx.duplicate_identity;
        if !may || !self.is_due(cx) {
            return;
        }
        if !cx.ready() {
            // Others may know of a newer epoch.
            return cx.wake_in(ROTATE_STAGGER_MS, Timer::Rotate);
        }
        let Some(new) = new_epoch(cx, volume) else { return };
        let entry = LogEntry::Capability(CapabilityEntry { volume, text: new.text.clone() });
        self.pending = Some(new);
        cx.disk(DiskRequest::Log { entries: vec![entry] }, Waiter::Rotation);
    }

    /// The key is durable: now the others hear of its epoch. If it is not, or the epoch is none any more, nobody does.
    pub fn on_logged(&mut self, cx: &mut Context, gossip: &mut Gossip, ring: &mut KeyRing, durable: bool) {
        gossip.note_logged(cx, durable);
        let Some(NewEpoch { keys, text }) = self.pending.take() else { return };
        let follows = cx.facts.epoch(keys.volume).is_some_and(|current| current.value().epoch + 1 == keys.epoch);
        if durable
            && follows
            && self.is_due(cx)
            && let Some(statement) = statement(cx, ring, &keys)
        {
            self.last = Some(cx.now.mono);
            ring.add(keys.volume, &text);
            // What comes of it shows in the facts: it is tried again if it is not kept.
            let _ = gossip.insert_own(cx, vec![Fact::from(statement)]);
        }
        self.check(cx);
    }

    fn is_due(&self, cx: &Context) -> bool {
        let is_stuck = |since: u64| cx.now.mono >= since + ROTATE_STUCK_MS;
        match cx.has_current_key(cx.pool.volume()) {
            true => !cx.facts.still_with_key().is_empty(),
            false => self.lacking_since.is_some_and(is_stuck),
        }
    }
}

/// Of this node among those who may begin epochs.
fn rank(cx: &Context) -> Option<usize> {
    let is_in = cx.facts.members().get(&cx.me).is_some_and(|me| me.status == MemberStatus::Member);
    cx.facts.rank(cx.me.into()).filter(|_| is_in)
}

fn new_epoch(cx: &mut Context, volume: VolumeId) -> Option<NewEpoch> {
    let epoch = cx.facts.epoch(volume)?.value().epoch.checked_add(1)?;
    let mut nonce = [0; 16];
    cx.rng.fill(&mut nonce);
    let secret = VolumeKeys::new_secret(&cx.key, volume, epoch, nonce);
    let keys = VolumeKeys::from_write_secret(volume, epoch, secret);
    let (level, secret) = (CapabilityLevel::Write, SecretKey::new(secret.0));
    let capability = Capability { pool: cx.pool, volume, level, epoch, secret, owner_seed: None };
    let text = capability.text().as_str().to_owned();
    Some(NewEpoch { keys, text })
}

/// The epoch of these keys begins, from the heads that stand now.
fn statement(cx: &Context, ring: &KeyRing, keys: &VolumeKeys) -> Option<Signed<VolEpoch>> {
    let VolumeKeys { volume, epoch, .. } = *keys;
    let before = cx.facts.epoch(volume)?.id();
    let mut frozen_heads: Vec<BlockId> =
        cx.facts.heads(volume).iter().map(|head| BlockId::of(&head.value().commit)).collect();
    frozen_heads.sort_unstable();
    frozen_heads.truncate(HEADS_FROZEN_MAX);
    let statement = VolEpoch {
        version: 1,
        volume,
        epoch,
        signer: cx.me.into(),
        write_pk: keys.writer()?.write_pk(),
        read_check: keys.read_check(),
        frozen_heads,
        prev_sealed: ring.held(before).map(|previous| keys.seal_previous(previous)),
        without: cx.facts.still_with_key(),
        sponsor: None,
    };
    Some(Signed::sign(cx.pool, &cx.key, statement))
}

#[cfg(test)]
mod tests;
