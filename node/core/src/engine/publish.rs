//! Heads that only their writer knows.
//!
//! A head tells everyone "this is the tree now". Were it told while blocks of its tree lie on one server only, and that server
//! burned, then nobody who heard of it could read what was stored before either: no node shows less than it did. So a head
//! whose tree is *thin* stays with its writer, which shows it, answers "durable in one place", and goes on from it. It is told
//! as soon as its tree is not thin any more: with the next commit, or when somebody comes up.

use std::collections::BTreeSet;

use fsdfs_proto::identity::{Fact, Head};
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::record::{LogEntry, UNDER_REPLICATED_ENTRY_MAX, UnpublishedEntry};
use fsdfs_proto::signed::Signed;

use super::Engine;
use super::timers::Timer;
use crate::facts::current_heads;
use crate::limits::{LONG_AWAY_MS, PUBLISH_AFTER_MS, REPLICATE_AT_ONCE};
use crate::seam::{Copies, Effect, GetOutcome, PutOutcome};

/// The newest head of this node's own, and why it is not told.
#[derive(Debug)]
pub(super) struct Unpublished {
    pub head: Signed<Head>,
    /// Blocks made since the last head that was told of which fewer than [`Engine::enough`] servers have a copy.
    pub thin: BTreeSet<BlockId>,
}

impl Engine {
    /// The heads this node goes by, ordered by commit id: those that everyone knows, and its own that is not told yet.
    pub(super) fn heads(&self, volume: VolumeId) -> Vec<Signed<Head>> {
        let told = self.facts.heads(volume);
        match self.unpublished.get(&volume) {
            None => told,
            Some(own) => current_heads(told.into_iter().chain([own.head.clone()])),
        }
    }

    /// How many servers must have a block before a head that needs it is told: a majority of N, as far as there are servers
    /// with room. Those that have long been away do not count if there is anybody to be told, or a pool of which half the
    /// servers died would keep every change from its readers.
    pub(super) fn enough(&self) -> usize {
        let told = !self.up_peers().is_empty();
        let counts = |node| {
            let away_ms = || self.quiet_ms(node).unwrap_or(self.now.mono - self.started);
            node == self.me || (self.has_room(node) && !(told && away_ms() >= LONG_AWAY_MS))
        };
        let servers = self.view.servers().iter().filter(|server| counts(server.id)).count();
        servers.min(usize::from(self.facts.rules().copies) / 2 + 1).max(1)
    }

    /// From a log. Which of them counts is known when all facts are in.
    pub(super) fn recall_unpublished(&mut self, entries: Vec<UnpublishedEntry>) {
        for entry in entries {
            let Ok(Fact::Head(head)) = entry.head.open(self.pool) else { continue };
            let volume = head.value().volume;
            let mut thin: BTreeSet<BlockId> = entry.thin.into_iter().collect();
            let Some(before) = self.unpublished.remove(&volume) else {
                self.unpublished.insert(volume, Unpublished { head, thin });
                continue;
            };
            thin.extend(before.thin);
            let mut heads = current_heads([before.head, head]);
            let head = heads.pop().expect("of two heads at least one stands");
            // Each is made of those before. Should two stand all the same, none may be lost.
            for other in heads {
                self.facts.insert(other.into());
            }
            self.unpublished.insert(volume, Unpublished { head, thin });
        }
        self.drop_superseded();
    }

    /// For a log that is written anew.
    pub(super) fn unpublished_entries(&self) -> impl Iterator<Item = LogEntry> {
        self.unpublished.values().flat_map(|own| entries_of(&own.head, &own.thin))
    }

    /// What others made of our heads includes all of them.
    pub(super) fn drop_superseded(&mut self) {
        let facts = &self.facts;
        self.unpublished.retain(|volume, own| {
            let id = own.head.id();
            current_heads(facts.heads(*volume).into_iter().chain([own.head.clone()])).iter().any(|head| head.id() == id)
        });
    }

    /// Somebody is there who may take copies, and hear of heads.
    pub(super) fn publish_soon(&mut self) {
        for volume in self.unpublished.keys() {
            self.timers.set(self.now.mono + PUBLISH_AFTER_MS, Timer::Merge(*volume));
        }
    }

    /// Blocks that the running commit brings to more servers beside its own.
    pub(super) fn thin_to_put(&self, volume: VolumeId) -> Vec<BlockId> {
        let own = self.unpublished.get(&volume).filter(|_| !self.up_peers().is_empty());
        own.map(|own| own.thin.iter().copied().take(REPLICATE_AT_ONCE).collect()).unwrap_or_default()
    }

    pub(super) fn thin_fetched(&mut self, volume: VolumeId, outcome: GetOutcome, out: &mut Vec<Effect>) {
        match outcome {
            GetOutcome::Found(block) => self.put_thin(block, volume, out),
            // Its holders are away; another time.
            GetOutcome::NotFound { .. } => self.commit_part_ended(volume, out),
        }
    }

    pub(super) fn thin_put(&mut self, volume: VolumeId, id: BlockId, outcome: &PutOutcome, out: &mut Vec<Effect>) {
        let enough = self.enough();
        if let Some(own) = self.unpublished.get_mut(&volume)
            && copies_in(outcome) >= enough
        {
            own.thin.remove(&id);
        }
        self.commit_part_ended(volume, out);
    }

    /// A write in such a head is durable here and nowhere else.
    pub(super) fn here_only(&self) -> PutOutcome {
        let wanted = self.facts.rules().copies;
        PutOutcome::Degraded(Copies { servers: vec![self.me], sites: 1, wanted, present: false })
    }
}

/// Servers that have it for certain.
pub(super) fn copies_in(outcome: &PutOutcome) -> usize {
    match outcome {
        PutOutcome::Stored(copies) | PutOutcome::Degraded(copies) => copies.servers.len(),
        PutOutcome::Refused(_) => 0,
    }
}

/// One at least, each short enough for a log.
pub(super) fn entries_of(head: &Signed<Head>, thin: &BTreeSet<BlockId>) -> impl Iterator<Item = LogEntry> {
    let head = Fact::from(head.clone()).raw();
    let ids: Vec<BlockId> = thin.iter().copied().collect();
    let mut parts: Vec<Vec<BlockId>> = ids.chunks(UNDER_REPLICATED_ENTRY_MAX).map(<[BlockId]>::to_vec).collect();
    parts.resize(parts.len().max(1), Vec::new());
    parts.into_iter().map(move |thin| LogEntry::Unpublished(UnpublishedEntry { head: head.clone(), thin }))
}
