//! The set of facts: what is kept, what waits, and what was computed from it.

use std::sync::OnceLock;

use fsdfs_proto::identity::{Fact, RawFact};
use fsdfs_proto::ids::{Digest, FactId, PoolId};

use super::derived::DerivedState;
use super::kept::KeptFacts;
use super::waiting::{Awaited, WaitingFacts};

/// All facts of one pool that this node knows.
#[derive(Clone, Debug)]
pub struct FactSet {
    /// The set itself.
    pub(super) kept: KeptFacts,
    /// What cannot be kept yet. Not part of the set: neither digests nor sync see it.
    pub(super) waiting: WaitingFacts,
    /// What became known besides, for which others may wait.
    pub(super) came: Vec<Awaited>,
    /// What was inserted since [`FactSet::drain_new`], in the order in which it became known. May hold superseded facts.
    pub(super) news: Vec<Fact>,
    /// What the set means. Empty as soon as a fact is inserted that may change it; so are the digests.
    pub(super) derived: OnceLock<DerivedState>,
    /// Over the ids of `kept.facts`.
    pub(super) gossip: OnceLock<Digest>,
    /// Over what placement reads.
    pub(super) map: OnceLock<Digest>,
}

impl FactSet {
    /// Of a pool of which nothing but its id is known.
    pub fn new(pool: PoolId) -> Self {
        Self {
            kept: KeptFacts::new(pool),
            waiting: WaitingFacts::default(),
            came: Vec::new(),
            news: Vec::new(),
            derived: OnceLock::new(),
            gossip: OnceLock::new(),
            map: OnceLock::new(),
        }
    }

    /// Which pool.
    pub fn pool(&self) -> PoolId {
        self.kept.pool
    }

    /// Facts that became known since the last call and still stand, what they hang on first.
    pub fn drain_new(&mut self) -> Vec<Fact> {
        let news = std::mem::take(&mut self.news);
        news.into_iter().filter(|fact| self.kept.contains(fact)).collect()
    }

    /// One fact; heartbeats are not found by id.
    pub fn get(&self, id: &FactId) -> Option<&Fact> {
        self.kept.facts.get(id)
    }

    /// Whether this very statement stands here already. Gossip brings most statements several times; their signatures are
    /// checked once.
    pub fn knows(&self, raw: &RawFact) -> bool {
        let id = raw.id(self.kept.pool);
        self.kept.facts.contains_key(&id) || self.kept.heartbeats.values().any(|beat| beat.id() == id)
    }

    /// All facts, what others hang on first, heartbeats last.
    pub fn all(&self) -> impl Iterator<Item = &Fact> {
        self.kept.in_order().into_iter().chain(self.kept.heartbeats.values())
    }

    /// Ids of all facts but heartbeats in a range, ends included, ascending.
    pub fn ids_in(&self, from: FactId, to: FactId) -> Vec<FactId> {
        if from > to {
            return Vec::new();
        }
        self.kept.facts.range(from..=to).map(|(id, _)| *id).collect()
    }

    pub(super) fn derived(&self) -> &DerivedState {
        self.derived.get_or_init(|| DerivedState::new(&self.kept))
    }
}
