//! Heads that cannot be used, and the heads that are used in their place.
//!
//! Promise: no head, whatever it is, keeps the others from being shown and written on; and nothing that was acknowledged goes
//! with it. The facts know nothing of trees: there a head that covers others stands in their place, also if nobody can read
//! it. So this machine remembers what stood before, and has the next operation cover what nothing can be made of.

use std::collections::{BTreeMap, VecDeque};

use fsdfs_proto::codec::FormatError;
use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::signed::Signed;

use crate::engine::context::Context;
use crate::engine::timers::Timer;
use crate::facts::current_heads;
use crate::limits::{KEPT_HEADS_MAX, LONG_AWAY_MS, MERGE_AFTER_MS, QUARANTINE_AWAY_MS, QUARANTINE_COSTLY_MS};
use crate::report::Notice;
use crate::tree::{BlockAbsence, HeadFault, JobTerms, TreeError, coverable};

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct Quarantine(BTreeMap<VolumeId, VolumeQuarantine>);

#[derive(Default)]
struct VolumeQuarantine {
    /// By commit id.
    bad: BTreeMap<BlockId, QuarantinedHead>,
    /// Those that the last job could use. None of them covers another.
    good: Vec<Signed<Head>>,
    /// Those that came since, the newest last, at most [`KEPT_HEADS_MAX`].
    recent: VecDeque<Signed<Head>>,
    /// Heads that are not left out although they lack a block, by commit id, and since when they do.
    awaited: BTreeMap<BlockId, u64>,
}

/// What heads are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum HeadUse {
    /// To be shown.
    Read,
    /// To be written on.
    Write,
}

/// A head that a job could not use.
pub(in crate::engine) struct QuarantinedHead {
    pub head: Signed<Head>,
    pub fault: HeadFault,
    /// Monotonic milliseconds; none if it is to be tried again.
    since: Option<u64>,
    /// It is not shown either; otherwise only writes go on without it.
    reads: bool,
}

impl QuarantinedHead {
    /// Whether jobs go without it now.
    fn holds(&self, now: u64) -> bool {
        let pause = match self.fault {
            HeadFault::Damaged(_) | HeadFault::TooNew => return true,
            // Whose writers have a place shows in the facts, which may be on their way.
            HeadFault::Absent(..) | HeadFault::NoKey | HeadFault::TooManyWriters => QUARANTINE_AWAY_MS,
            HeadFault::TooCostly => QUARANTINE_COSTLY_MS,
        };
        self.since.is_some_and(|since| now < since + pause)
    }
}

impl VolumeQuarantine {
    fn is_bad(&self, cx: &Context, head: &Signed<Head>, wanted: HeadUse) -> bool {
        let counts = |bad: &QuarantinedHead| bad.holds(cx.now.mono) && (bad.reads || wanted == HeadUse::Write);
        self.bad.get(&commit_of(head)).is_some_and(counts)
    }

    /// Whether a head is left out now for the writers that it names.
    fn is_crowd(&self, cx: &Context, head: &Signed<Head>) -> bool {
        let is_crowd = |bad: &QuarantinedHead| bad.fault == HeadFault::TooManyWriters && bad.holds(cx.now.mono);
        self.bad.get(&commit_of(head)).is_some_and(is_crowd)
    }

    /// Whether a head must be waited for: without it a node may show less than it showed or acknowledged. Writes wait for what
    /// was used here, and after a start for all, for it is not remembered what was. What stays away for very long is not
    /// waited for, nor what somebody published who is out.
    fn is_to_be_awaited(&mut self, cx: &Context, head: &Signed<Head>, fault: &HeadFault, wanted: HeadUse) -> bool {
        let id = commit_of(head);
        let is_used = self.good.iter().any(|head| commit_of(head) == id);
        let waits = match fault {
            HeadFault::Absent(_, BlockAbsence::Away) | HeadFault::NoKey => {
                wanted == HeadUse::Read || is_used || self.good.is_empty()
            }
            HeadFault::Absent(_, BlockAbsence::Nowhere) => is_used,
            _ => false,
        };
        waits && !is_out(cx, head) && cx.now.mono < *self.awaited.entry(id).or_insert(cx.now.mono) + LONG_AWAY_MS
    }
}

/// Published by somebody who is out, or who was never in: nobody waits for it, and nothing is to be done about it.
fn is_out(cx: &Context, head: &Signed<Head>) -> bool {
    let author = head.value().author;
    cx.revoked(author) || !cx.facts.members().contains_key(&author)
}

impl Quarantine {
    /// Whether writes go on without this head now.
    pub fn is_bad(&self, cx: &Context, head: &Signed<Head>) -> bool {
        self.0.get(&head.value().volume).is_some_and(|own| own.is_bad(cx, head, HeadUse::Write))
    }

    /// Of the heads that stand, those to go by; in place of each that cannot be used, what stood before it came.
    pub fn usable(
        &self,
        cx: &Context,
        volume: VolumeId,
        standing: Vec<Signed<Head>>,
        wanted: HeadUse,
    ) -> Vec<Signed<Head>> {
        let Some(own) = self.0.get(&volume).filter(|own| !own.bad.is_empty()) else { return standing };
        let all = standing.len();
        let (bad, usable): (Vec<_>, Vec<_>) = standing.into_iter().partition(|head| own.is_bad(cx, head, wanted));
        if usable.len() == all {
            return usable;
        }
        // If blocks cannot be had just now, those of heads that were never used are not to be had either: a command does not
        // wait for each of them.
        let is_away = |fault: &HeadFault| matches!(fault, HeadFault::Absent(_, BlockAbsence::Away));
        let all_away = bad.iter().all(|head| own.bad.get(&commit_of(head)).is_some_and(|bad| is_away(&bad.fault)));
        let recent = own.recent.iter().filter(|_| !all_away);
        // What an earlier epoch ended with is for the facts to say; unless that is what cannot be used.
        let current = cx.facts.epoch(volume).map(|epoch| epoch.value().epoch);
        let epochs: Vec<u32> = current.into_iter().chain(bad.iter().map(|head| head.value().epoch)).collect();
        let before = own.good.iter().chain(recent);
        let before =
            before.filter(|head| epochs.contains(&head.value().epoch) && !own.is_bad(cx, head, wanted)).cloned();
        let found = current_heads(usable.into_iter().chain(before.collect::<Vec<_>>()));
        // Rather than nothing a crowd is shown. It is not written on: everybody would have it for ever.
        match found.is_empty() && wanted == HeadUse::Read {
            true => bad.into_iter().filter(|head| own.is_crowd(cx, head)).collect(),
            false => found,
        }
    }

    /// What was shown last, and what the current epoch began from as far as it is remembered. Not what else came with an older key:
    /// those for whose sake an epoch began have that key.
    pub fn shown_before<'a>(&'a self, cx: &'a Context, volume: VolumeId) -> impl Iterator<Item = &'a Signed<Head>> {
        let frozen = cx.facts.epoch(volume).map(|epoch| &epoch.value().frozen_heads[..]).unwrap_or_default();
        self.0.get(&volume).into_iter().flat_map(move |own| {
            let began_from = |head: &&Signed<Head>| frozen.binary_search(&commit_of(head)).is_ok();
            let before = own.good.iter().chain(own.recent.iter().filter(began_from));
            before.filter(|head| !own.is_bad(cx, head, HeadUse::Read))
        })
    }

    /// What a job on these heads goes by.
    pub fn terms(&self, cx: &Context, volume: VolumeId, heads: &[Signed<Head>]) -> JobTerms {
        let writers = cx.facts.writers();
        let Some(own) = self.0.get(&volume) else {
            return JobTerms { writers: Some(writers), ..JobTerms::default() };
        };
        let stands = cx.facts.heads(volume);
        let lost = own.bad.values().filter(|bad| bad.fault.is_final() && bad.holds(cx.now.mono));
        let lost = lost.map(|bad| &bad.head).filter(|head| stands.iter().any(|other| other.id() == head.id()));
        // What is covered is included: nobody is named by it who has no place.
        let has_places = |head: &&Signed<Head>| head.value().marks.iter().all(|marks| writers.contains(&marks.node));
        let covered = coverable(heads, lost.filter(has_places).cloned().collect());
        let shows_crowd = heads.iter().any(|head| own.is_crowd(cx, head));
        let writers = Some(writers).filter(|_| !shows_crowd);
        JobTerms { good: own.good.clone(), covered, writers, ..JobTerms::default() }
    }

    /// Whether the next operation can make an end of a head that stands.
    pub fn has_to_cover(&self, cx: &Context, volume: VolumeId, heads: &[Signed<Head>]) -> bool {
        self.0.get(&volume).is_some_and(|own| !own.bad.is_empty()) && !self.terms(cx, volume, heads).covered.is_empty()
    }

    /// A job could not use some of its heads. They are looked at again, and covered if nothing can be made of them. The answer
    /// says why nothing can be done without one of them.
    pub fn note_bad(
        &mut self,
        cx: &mut Context,
        volume: VolumeId,
        heads: &[Signed<Head>],
        faults: Vec<(BlockId, HeadFault)>,
        wanted: HeadUse,
    ) -> Option<TreeError> {
        let mut stuck = None;
        let own = self.0.entry(volume).or_default();
        for (id, fault) in faults {
            let Some(head) = heads.iter().find(|head| commit_of(head) == id) else { continue };
            let since = Some(cx.now.mono);
            let fault = if may_lack_key(cx, head, &fault) { HeadFault::NoKey } else { fault };
            if own.is_to_be_awaited(cx, head, &fault, wanted) {
                stuck = Some(fault.as_tree_error());
                continue;
            }
            let is_away = matches!(fault, HeadFault::Absent(_, BlockAbsence::Away) | HeadFault::NoKey);
            let is_long = own.awaited.get(&id).is_some_and(|first| cx.now.mono >= first + LONG_AWAY_MS);
            let reads = wanted == HeadUse::Read || !is_away || is_long || is_out(cx, head);
            let before = own.bad.insert(id, QuarantinedHead { head: head.clone(), fault: fault.clone(), since, reads });
            if before.is_none_or(|before| before.fault != fault) {
                let author = cx.name_of(head.value().author);
                cx.notice(Notice::HeadQuarantined { volume, author, commit: id, fault });
            }
        }
        let jitter = cx.rng.u64(0..=MERGE_AFTER_MS);
        cx.wake_in(MERGE_AFTER_MS + jitter, Timer::Merge(volume));
        stuck
    }

    /// A job used all of these.
    pub fn note_good(&mut self, cx: &Context, volume: VolumeId, heads: &[Signed<Head>]) {
        let own = self.0.entry(volume).or_default();
        own.awaited.retain(|id, _| heads.iter().all(|head| commit_of(head) != *id));
        if own.bad.is_empty() && own.good == heads {
            return;
        }
        // A crowd that is shown for want of anything else is not used: others must be able to go without it.
        let used: Vec<_> = heads.iter().filter(|head| !own.is_crowd(cx, head)).cloned().collect();
        own.good = current_heads(own.good.iter().cloned().chain(used));
        // What these include is not needed in their place.
        let good = &own.good;
        let includes = |head: &Signed<Head>| {
            let both = current_heads(good.iter().cloned().chain([head.clone()]));
            both.iter().all(|other| other.id() != head.id()) || good.iter().any(|other| other.id() == head.id())
        };
        own.recent.retain(|head| !includes(head));
        if !own.bad.is_empty() {
            let stands = cx.facts.heads(volume);
            own.bad.retain(|_, bad| stands.iter().any(|head| head.id() == bad.head.id()));
        }
    }

    /// It came, or stood here; whether it can be used is not known.
    pub fn remember(&mut self, head: &Signed<Head>) {
        let recent = &mut self.0.entry(head.value().volume).or_default().recent;
        if recent.len() == KEPT_HEADS_MAX {
            recent.pop_front();
        }
        recent.push_back(head.clone());
    }

    /// Somebody is there who may have what was missing.
    pub fn try_again(&mut self) {
        for bad in self.0.values_mut().flat_map(|own| own.bad.values_mut()) {
            if bad.fault.may_pass() {
                bad.since = None;
            }
        }
    }

    /// Why a volume has no head that can be used, although some stand.
    pub fn first_fault(&self, volume: VolumeId) -> Option<TreeError> {
        self.0.get(&volume)?.bad.values().next().map(|bad| bad.fault.as_tree_error())
    }

    /// Heads that stand and are not shown.
    pub fn standing<'a>(&'a self, cx: &'a Context) -> impl Iterator<Item = (VolumeId, &'a QuarantinedHead)> {
        self.0.iter().filter(|(_, own)| !own.bad.is_empty()).flat_map(|(volume, own)| {
            let stands = cx.facts.heads(*volume);
            let bad = own.bad.values().filter(move |bad| stands.iter().any(|head| head.id() == bad.head.id()));
            bad.map(move |bad| (*volume, bad))
        })
    }

    /// Some head is not shown that may be one day.
    pub fn withholds(&self, cx: &Context, volume: VolumeId) -> bool {
        self.reported(cx).any(|(of, bad)| of == volume && !matches!(bad.fault, HeadFault::Damaged(_)))
    }

    /// Those of [`Quarantine::standing`] of which people are to hear. What somebody published who is out by now stops nobody, and
    /// nothing is to be done about it; only what is away may still be worth waiting for.
    pub fn reported<'a>(&'a self, cx: &'a Context) -> impl Iterator<Item = (VolumeId, &'a QuarantinedHead)> {
        let waits = |fault: &HeadFault| matches!(fault, HeadFault::Absent(_, BlockAbsence::Away) | HeadFault::NoKey);
        self.standing(cx).filter(move |(_, bad)| !is_out(cx, &bad.head) || waits(&bad.fault))
    }

    /// What was used before heads came that cannot be.
    pub fn remembered(&self, volume: VolumeId) -> impl Iterator<Item = &Signed<Head>> {
        self.0.get(&volume).into_iter().flat_map(|own| own.good.iter().chain(&own.recent))
    }

    /// For a log that is written again: what the facts do not have any more.
    pub fn heads_before<'a>(&'a self, cx: &'a Context) -> impl Iterator<Item = &'a Signed<Head>> {
        self.0.iter().flat_map(|(volume, own)| {
            let stands = cx.facts.heads(*volume);
            let before = own.good.iter().chain(&own.recent);
            before.filter(move |head| stands.iter().all(|other| other.id() != head.id()))
        })
    }
}

/// Whether a head does not open because this node has another epoch's key, and not because of what it is. Then others can read
/// it, and it must not be covered.
fn may_lack_key(cx: &Context, head: &Signed<Head>, fault: &HeadFault) -> bool {
    let volume = head.value().volume;
    let epoch = cx.facts.epoch(volume).map(Signed::value);
    let has_key = epoch.is_some_and(|epoch| {
        let held = cx.keys.get(&volume).map(fsdfs_proto::volume::VolumeKeys::read_check);
        epoch.write_pk == head.signer() && held == Some(epoch.read_check)
    });
    let is_closed = matches!(
        fault,
        HeadFault::Damaged(
            FormatError::DoesNotOpen { what: "a commit" }
                | FormatError::OutOfBounds { what: "the volume and epoch of a commit" }
        )
    );
    is_closed && !has_key
}

fn commit_of(head: &Signed<Head>) -> BlockId {
    BlockId::of(&head.value().commit)
}

#[cfg(test)]
mod tests;
