//! The facts that are kept, and indices over them. What they mean is computed elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{Card, Departure, Fact, VolEpoch};
use fsdfs_proto::ids::{FactId, NodeId, PoolId, PublicKey, VolumeId};
use fsdfs_proto::signed::Signed;

use super::graph::FactGraph;
use super::heads::HeadSet;

/// Everything that was taken in and that nothing newer supersedes. Only grows, apart from that.
#[derive(Clone, Debug)]
pub(super) struct KeptFacts {
    /// Which pool. Never changes.
    pub pool: PoolId,
    /// All certificates and admissions that were ever kept: no revocation applied. Never shrinks.
    pub known: FactGraph,
    /// Everything but heartbeats. The indices below name facts that are in here, and no others.
    pub facts: BTreeMap<FactId, Fact>,
    /// The last one of each node, a [`Fact::Heartbeat`]. They change every few seconds, so they are outside ids and digests.
    pub heartbeats: BTreeMap<NodeId, Fact>,
    /// The last one of each node: the highest `(seq, id)`.
    pub cards: BTreeMap<NodeId, Signed<Card>>,
    /// By member and issuer: the last one, that with the highest `(last, id)`.
    pub departures: BTreeMap<(NodeId, NodeId), Signed<Departure>>,
    /// Ids of what each key signed, except cards and heads. An entry may be empty, if all of it was superseded.
    pub by_signer: BTreeMap<PublicKey, BTreeSet<FactId>>,
    /// All statements of each epoch. Several only if several keys with a rank signed one.
    pub epochs: BTreeMap<VolumeId, BTreeMap<u32, Vec<Signed<VolEpoch>>>>,
    /// Heads that no other head supersedes.
    pub heads: BTreeMap<VolumeId, HeadSet>,
}

impl KeptFacts {
    /// None yet.
    pub fn new(pool: PoolId) -> Self {
        Self {
            pool,
            known: FactGraph::new(pool),
            facts: BTreeMap::new(),
            heartbeats: BTreeMap::new(),
            cards: BTreeMap::new(),
            departures: BTreeMap::new(),
            by_signer: BTreeMap::new(),
            epochs: BTreeMap::new(),
            heads: BTreeMap::new(),
        }
    }

    /// Whether this very fact is kept.
    pub fn contains(&self, fact: &Fact) -> bool {
        match fact {
            Fact::Heartbeat(beat) => self.heartbeats.get(&beat.value().node) == Some(fact),
            _ => self.facts.contains_key(&fact.id()),
        }
    }

    /// `(boot, counter)` of the last heartbeat of a node.
    pub fn last_beat(&self, node: NodeId) -> Option<(u64, u64)> {
        match self.heartbeats.get(&node) {
            Some(Fact::Heartbeat(beat)) => Some((beat.value().boot, beat.value().counter)),
            _ => None,
        }
    }
}
