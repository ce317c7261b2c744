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

use super::quarantine::Quarantine;
use crate::engine::context::Context;
use crate::engine::facts::Liveness;
use crate::engine::timers::Timer;
use crate::facts::current_heads;
use crate::limits::{LONG_AWAY_MS, PUBLISH_AFTER_MS, REPLICATE_AT_ONCE};
use crate::seam::{Copies, PutOutcome};

/// See the module. At most one unpublished head a volume: the newest, which includes those before it.
#[derive(Default)]
pub(in crate::engine) struct LocalHeads {
    own: BTreeMap<VolumeId, UnpublishedHead>,
    /// Those that cannot be used.
    pub quarantine: Quarantine,
}

/// The newest head of this node's own, and why it is not published.
#[derive(Debug)]
pub(in crate::engine) struct UnpublishedHead {
    pub head: Signed<Head>,
    /// Blocks made since the last head that was published of which fewer than [`LocalHeads::publish_quorum`] servers have a
    /// copy.
    pub under_replicated: BTreeSet<BlockId>,
}

impl LocalHeads {
    /// The heads this node goes by, ordered by commit id.
    pub fn current(&self, cx: &Context, volume: VolumeId) -> Vec<Signed<Head>> {
        self.quarantine.usable(cx, volume, self.standing(cx, volume))
    }

    /// The heads that stand, whether or not they can be used.
    pub fn standing(&self, cx: &Context, volume: VolumeId) -> Vec<Signed<Head>> {
        let published = cx.facts.heads(volume);
        match self.own.get(&volume) {
            None => published,
            Some(own) => current_heads(published.into_iter().chain([own.head.clone()])),
        }
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
    /// the servers died would keep every change from its readers.
    pub fn publish_quorum(&self, cx: &Context, liveness: &Liveness) -> usize {
        let somebody = cx.peers.any_up();
        let counts = |node| {
            let away_ms = || liveness.quiet_ms(cx, node).unwrap_or(cx.now.mono - cx.started);
            node == cx.me || (cx.is_holder(node) && !(somebody && away_ms() >= LONG_AWAY_MS))
        };
        let servers = cx.map.servers().iter().filter(|server| counts(server.id)).count();
        servers.min(usize::from(cx.copies()) / 2 + 1).max(1)
    }

    /// A head goes to the log, and not to the others.
    pub fn keep(&mut self, volume: VolumeId, head: Signed<Head>, under_replicated: BTreeSet<BlockId>) {
        debug_assert_eq!(head.value().volume, volume);
        self.own.insert(volume, UnpublishedHead { head, under_replicated });
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
        let Self { own, quarantine } = self;
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
    pub fn publish_soon(&self, cx: &mut Context) {
        for volume in self.own.keys() {
            cx.wake_in(PUBLISH_AFTER_MS, Timer::Merge(*volume));
        }
    }

    /// Blocks that the running commit brings to more servers beside its own.
    pub fn to_replicate(&self, cx: &Context, volume: VolumeId) -> Vec<BlockId> {
        let own = self.own.get(&volume).filter(|_| cx.peers.any_up());
        own.map(|own| own.under_replicated.iter().copied().take(REPLICATE_AT_ONCE).collect()).unwrap_or_default()
    }
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
