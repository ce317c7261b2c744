//! The heads this node goes by: those that everybody knows, and its own that is not published yet.
//!
//! A head tells everyone "this is the tree now". Were it published while blocks of its tree lie on one server only, and that
//! server failed, then nobody who heard of it could read what was stored before either: no node shows less than it did. So a
//! head whose tree is *under-replicated* stays with its writer, which shows it, answers "durable in one place", and goes on
//! from it. It is published as soon as its tree has enough copies: with the next commit, or when somebody comes up.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{Fact, Head};
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::record::{LogEntry, UNDER_REPLICATED_ENTRY_MAX, UnpublishedEntry};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::VersionVector;

use super::history::StateNotes;
use super::quarantine::{HeadUse, Quarantine};
use crate::engine::context::Context;
use crate::engine::facts::Liveness;
use crate::engine::timers::Timer;
use crate::facts::{FactSet, MemberStatus, current_heads};
use crate::limits::{LONG_AWAY_MS, MERGE_AFTER_MS, PUBLISH_AFTER_MS, PUBLISH_AGAIN_MS_MAX, REPLICATE_AT_ONCE};
use crate::seam::{Copies, PutOutcome};
use crate::tree::JobTerms;

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct LocalHeads {
    /// Unpublished: at most one a volume, the newest, which includes those before it.
    own: BTreeMap<VolumeId, UnpublishedHead>,
    /// Those that cannot be used.
    pub quarantine: Quarantine,
    /// What is known of the states that they list.
    pub history: StateNotes,
    /// The published heads that this node went by last, and those of them that an epoch began without.
    went_by: BTreeMap<VolumeId, Vec<Signed<Head>>>,
}

/// The newest head of this node's own, and why it is not published.
#[derive(Debug)]
pub(in crate::engine) struct UnpublishedHead {
    pub head: Signed<Head>,
    /// Blocks made since the last head that was published of which fewer than [`LocalHeads::publish_quorum`] servers have a
    /// copy.
    pub under_replicated: BTreeSet<BlockId>,
    /// Tries in a row that brought no block to a further server.
    failed_tries: u32,
    /// Monotonic milliseconds before which it is not tried again, unless somebody comes up.
    next_try: u64,
}

impl LocalHeads {
    /// The heads this node goes by, ordered by commit id.
    pub fn current(&self, cx: &Context, volume: VolumeId) -> Vec<Signed<Head>> {
        self.quarantine.usable(cx, volume, self.standing(cx, volume), HeadUse::Write)
    }

    /// The heads that stand, whether or not they can be used.
    pub fn standing(&self, cx: &Context, volume: VolumeId) -> Vec<Signed<Head>> {
        let published = cx.facts.heads(volume);
        let left_out = self.left_out(cx, volume, &published);
        let own = self.own.get(&volume).map(|own| own.head.clone());
        if own.is_none() && left_out.is_empty() {
            return published;
        }
        current_heads(published.into_iter().chain(own).chain(left_out))
    }

    /// Heads that a new epoch began without, although this node went by them before it heard of the epoch: in another part of a
    /// cut pool they were acknowledged, and a node never shows less than it did. They are brought into the new epoch. What
    /// comes later under the old key is not, whoever signed it: those for whose sake the epoch began have that key.
    fn left_out(&self, cx: &Context, volume: VolumeId, published: &[Signed<Head>]) -> Vec<Signed<Head>> {
        if cx.facts.epochs(volume).len() < 2 || !is_in_good_standing(cx) {
            return Vec::new();
        }
        let known = seen_by(published);
        let mut before = self.went_by.get(&volume).cloned().unwrap_or_default();
        before.extend(cx.facts.heads_left_out(volume).into_iter().filter(|head| head.value().author == cx.me));
        before.retain(|head| is_of_ended_epoch(cx, head) && !published.contains(head));
        before.retain(|head| !self.quarantine.is_bad(cx, head));
        before.retain(|head| !known.covers_all(&FactSet::version_vector_of(head)));
        current_heads(before)
    }

    /// Whether changes of this node lie in heads of an epoch that has ended, and are to be committed under the current one.
    pub fn is_to_recommit(&self, cx: &Context, volume: VolumeId) -> bool {
        self.is_outdated(cx, volume) || !self.left_out(cx, volume, &cx.facts.heads(volume)).is_empty()
    }

    /// Whether heads that a new epoch began without are all that this node has of the volume: what the epoch began from is nowhere.
    pub fn is_left_out_alone(&self, cx: &Context, volume: VolumeId) -> bool {
        cx.facts.heads(volume).is_empty() && self.is_to_recommit(cx, volume)
    }

    /// Whether the unpublished head is of an epoch that has ended: nobody else would go by it.
    pub fn is_outdated(&self, cx: &Context, volume: VolumeId) -> bool {
        self.own.get(&volume).is_some_and(|own| is_of_ended_epoch(cx, &own.head))
    }

    /// The heads that a commit is made from, as far as this node can open them. One that is brought into a new epoch comes with
    /// what it supersedes: a merge has two parents.
    pub fn to_commit(&self, cx: &Context, volume: VolumeId) -> Vec<Signed<Head>> {
        let mut heads = self.current(cx, volume);
        if heads.len() < 2 && self.is_to_recommit(cx, volume) {
            let mut others = cx.facts.heads(volume);
            others.retain(|head| !heads.contains(head) && !self.quarantine.is_bad(cx, head));
            heads.extend(others);
        }
        heads.retain(|head| cx.readable.contains(&head.signer()));
        heads
    }

    /// The heads that are shown. In place of those of which the key is still on its way, what this node showed before they came.
    pub fn readable(&self, cx: &Context, volume: VolumeId) -> Vec<Signed<Head>> {
        let opens = |head: &Signed<Head>| cx.readable.contains(&head.signer());
        let usable = self.quarantine.usable(cx, volume, self.standing(cx, volume), HeadUse::Read);
        let (mut heads, closed): (Vec<_>, Vec<_>) = usable.into_iter().partition(opens);
        if closed.is_empty() {
            return heads;
        }
        heads.extend(self.quarantine.shown_before(cx, volume).filter(|head| opens(head)).cloned());
        current_heads(heads)
    }

    /// Whether a head that stands cannot be opened because its key is still on its way.
    pub fn lacks_key(&self, cx: &Context, volume: VolumeId) -> bool {
        let usable = self.quarantine.usable(cx, volume, self.standing(cx, volume), HeadUse::Read);
        usable.iter().any(|head| !cx.readable.contains(&head.signer()))
    }

    /// The published heads changed: these are what this node goes by from now on, with those that an epoch began without.
    pub fn note_published(&mut self, cx: &Context, volume: VolumeId) {
        let mut heads = cx.facts.heads(volume);
        heads.extend(self.left_out(cx, volume, &heads));
        self.went_by.insert(volume, heads);
    }

    /// What a job on these heads goes by.
    pub fn terms(&mut self, cx: &Context, volume: VolumeId, heads: &[Signed<Head>]) -> JobTerms {
        let terms = self.quarantine.terms(cx, volume, heads);
        self.history.extend(cx, volume, heads, terms)
    }

    /// What only this node knows of a volume.
    pub fn unpublished(&self, volume: VolumeId) -> Option<&UnpublishedHead> {
        self.own.get(&volume)
    }

    /// Those with an unpublished head.
    pub fn volumes(&self) -> impl Iterator<Item = VolumeId> {
        self.own.keys().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// How many servers must have a block before a head that needs it is published: a majority of N, as far as there are
    /// servers with room. Those that have long been away do not count if there is anybody to be told, or a pool of which half
    /// the servers died would keep every change from its readers. If another server is reached, neither do those of which this
    /// node only hears: it would wait for copies that it cannot make.
    pub fn publish_quorum(&self, cx: &Context, liveness: &Liveness) -> usize {
        let somebody = cx.peers.any_up();
        let is_lately = |at: Option<u64>| cx.now.mono - at.unwrap_or(cx.started) < LONG_AWAY_MS;
        let is_reached = |node| cx.peers.is_up(node) || is_lately(cx.peers.heard_at(node));
        let servers = cx.map.servers().iter().filter(|server| server.weight() > 0).map(|server| server.id);
        let some_reached = servers.filter(|node| *node != cx.me).any(|node| cx.is_holder(node) && cx.peers.is_up(node));
        let is_heard = |node| {
            let quiet = liveness.quiet_ms(cx, node).unwrap_or(cx.now.mono - cx.started);
            !some_reached && (quiet < LONG_AWAY_MS || !somebody)
        };
        let counts = |node| node == cx.me || (cx.is_holder(node) && (is_reached(node) || is_heard(node)));
        // The map has all members; those that store nothing are asked for no copy, and would be waited for without end.
        let stores = cx.map.servers().iter().filter(|server| server.weight() > 0);
        let servers = stores.filter(|server| counts(server.id)).count();
        servers.min(usize::from(cx.copies()) / 2 + 1).max(1)
    }

    /// A head goes to the log, and not to the others.
    pub fn keep(&mut self, volume: VolumeId, head: Signed<Head>, under_replicated: BTreeSet<BlockId>) {
        debug_assert_eq!(head.value().volume, volume);
        self.own.insert(volume, UnpublishedHead { head, under_replicated, failed_tries: 0, next_try: 0 });
    }

    /// The same, unless others published meanwhile what this one says: a merge that somebody else made in the epoch that began
    /// while this one was made has nothing to be brought into it.
    pub fn keep_if_it_stands(
        &mut self,
        cx: &Context,
        volume: VolumeId,
        head: Signed<Head>,
        under_replicated: BTreeSet<BlockId>,
    ) {
        self.keep(volume, head, under_replicated);
        self.drop_superseded(cx);
    }

    /// It was tried to publish it, in vain. In how many milliseconds to try again: soon as long as blocks get their copies, and else
    /// after ever longer, for each try asks whoever is there about all of them and renews their leases.
    pub fn note_try(&mut self, volume: VolumeId, now: u64, replicated: bool) -> u64 {
        let Some(own) = self.own.get_mut(&volume) else { return MERGE_AFTER_MS };
        own.failed_tries = if replicated { 0 } else { own.failed_tries.saturating_add(1) };
        let longer = MERGE_AFTER_MS << own.failed_tries.saturating_sub(1).min(16);
        let pause_ms = if replicated { PUBLISH_AFTER_MS } else { longer.min(PUBLISH_AGAIN_MS_MAX) };
        own.next_try = now + pause_ms;
        pause_ms
    }

    /// When it is to be tried to publish the head that is kept.
    pub fn next_try(&self, volume: VolumeId) -> Option<u64> {
        self.own.get(&volume).map(|own| own.next_try)
    }

    /// The head that is kept, to be published or replaced.
    pub fn take(&mut self, volume: VolumeId) -> Option<UnpublishedHead> {
        self.own.remove(&volume)
    }

    /// Enough servers have this block by now.
    pub fn note_replicated(&mut self, volume: VolumeId, id: BlockId) {
        if let Some(own) = self.own.get_mut(&volume) {
            own.under_replicated.remove(&id);
        }
    }

    /// From a log. Which of them counts is known when all facts are in.
    pub fn replay(&mut self, cx: &mut Context, entries: Vec<UnpublishedEntry>) {
        for entry in entries {
            let Ok(Fact::Head(head)) = entry.head.open(cx.pool) else { continue };
            let volume = head.value().volume;
            let mut under_replicated: BTreeSet<BlockId> = entry.under_replicated.into_iter().collect();
            let Some(before) = self.own.remove(&volume) else {
                self.keep(volume, head, under_replicated);
                continue;
            };
            under_replicated.extend(before.under_replicated);
            let mut heads = current_heads([before.head, head]);
            let head = heads.pop().expect("of two heads at least one stands");
            // Each is made of those before. Should two stand all the same, none may be lost.
            for other in heads {
                cx.facts.insert(other.into());
            }
            self.keep(volume, head, under_replicated);
        }
        self.drop_superseded(cx);
    }

    /// For a log that is written again.
    pub fn entries<'a>(&'a self, cx: &'a Context) -> impl Iterator<Item = LogEntry> + 'a {
        let before = self.quarantine.heads_before(cx).map(|head| LogEntry::Fact(Fact::from(head.clone()).raw()));
        before.chain(self.own.values().flat_map(|own| entries_of(&own.head, &own.under_replicated)))
    }

    /// What others made of our heads includes all of them; and what everybody knows is published, although a log has both the
    /// head that was kept back and, later, the fact that it became.
    pub fn drop_superseded(&mut self, cx: &Context) {
        let Self { own, quarantine, .. } = self;
        own.retain(|volume, own| {
            let (id, published) = (own.head.id(), cx.facts.heads(*volume));
            let is_published = published.iter().any(|head| head.id() == id);
            let stands =
                current_heads(published.into_iter().chain([own.head.clone()])).iter().any(|head| head.id() == id);
            if !is_published && !stands {
                // Whether what covers it can be used is not known yet.
                quarantine.remember(&own.head);
            }
            !is_published && stands
        });
    }

    /// Somebody is there who may take copies, and hear of heads.
    pub fn publish_soon(&mut self, cx: &mut Context) {
        for (volume, own) in &mut self.own {
            own.next_try = cx.now.mono;
            cx.wake_in(PUBLISH_AFTER_MS, Timer::Merge(*volume));
        }
    }

    /// Blocks that the running commit brings to more servers beside its own.
    pub fn to_replicate(&self, cx: &Context, volume: VolumeId) -> Vec<BlockId> {
        let own = self.own.get(&volume).filter(|_| cx.peers.any_up());
        own.map(|own| own.under_replicated.iter().copied().take(REPLICATE_AT_ONCE).collect()).unwrap_or_default()
    }
}

/// The last operation of each writer that these heads include together.
pub(super) fn seen_by(heads: &[Signed<Head>]) -> VersionVector {
    let mut seen = VersionVector::default();
    heads.iter().for_each(|head| seen.add_all(&FactSet::version_vector_of(head)));
    seen
}

/// How many commits these heads are of: one that was signed in two epochs has two that stand, and there is nothing to merge.
pub(super) fn commits_in(heads: &[Signed<Head>]) -> usize {
    heads.iter().map(|head| BlockId::of(&head.value().commit)).collect::<BTreeSet<BlockId>>().len()
}

/// Signed with a key that is not the current epoch's.
pub(super) fn is_of_ended_epoch(cx: &Context, head: &Signed<Head>) -> bool {
    let current = cx.facts.epoch(head.value().volume).map(|epoch| epoch.value().write_pk);
    current.is_some_and(|current| current != head.signer())
}

fn is_in_good_standing(cx: &Context) -> bool {
    cx.facts.members().get(&cx.me).is_some_and(|me| me.status == MemberStatus::Member)
}

/// A write in a head that is not published is durable on this node and nowhere else.
pub(super) fn local_only(cx: &Context) -> PutOutcome {
    PutOutcome::Degraded(Copies { servers: vec![cx.me], sites: 1, target: cx.copies(), present: false, verified: true })
}

/// Servers that have it for certain.
pub(super) fn copies_in(outcome: &PutOutcome) -> usize {
    match outcome {
        PutOutcome::Stored(copies) | PutOutcome::Degraded(copies) => copies.servers.len(),
        PutOutcome::Refused(_) => 0,
    }
}

/// One at least, each short enough for a log.
pub(super) fn entries_of(head: &Signed<Head>, under_replicated: &BTreeSet<BlockId>) -> impl Iterator<Item = LogEntry> {
    let head = Fact::from(head.clone()).raw();
    let ids: Vec<BlockId> = under_replicated.iter().copied().collect();
    let mut parts: Vec<Vec<BlockId>> = ids.chunks(UNDER_REPLICATED_ENTRY_MAX).map(<[BlockId]>::to_vec).collect();
    parts.resize(parts.len().max(1), Vec::new());
    parts
        .into_iter()
        .map(move |under_replicated| LogEntry::Unpublished(UnpublishedEntry { head: head.clone(), under_replicated }))
}

#[cfg(test)]
mod tests;
