//! Everything small that all members keep: statements, cards, heartbeats, heads of volumes (spec 01-identity).
//!
//! [`FactSet`] is a set that only grows, apart from facts that newer ones supersede. What it *means* - who is a member, who
//! is revoked, which rules hold - is computed from the whole set whenever it is asked for, so it depends neither on the order
//! in which facts came nor on a clock. Whether a statement is *kept* depends only on things that never become untrue again
//! (its signer is, or was, certified); whether it *counts* is decided anew by each view.

mod authority;
mod digest;
mod graph;
mod heads;
mod insert;
mod judge;
mod query;
mod view;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use fsdfs_proto::identity::{Card, Departure, Fact, Heartbeat, RawFact, Role, VolEpoch};
use fsdfs_proto::ids::{Digest, FactId, NodeId, PoolId, PublicKey, VolumeId};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;

pub use fsdfs_proto::identity::GateRefusal;
pub use heads::current_heads;

/// All facts of one pool that this node knows.
#[derive(Clone, Debug)]
pub struct FactSet {
    pool: PoolId,
    /// All certificates and admissions that were ever kept: no revocation applied.
    known: graph::FactGraph,
    /// Everything but heartbeats.
    facts: BTreeMap<FactId, Fact>,
    /// The last one of each node. They change every few seconds, so they stand outside ids and digests.
    heartbeats: BTreeMap<NodeId, Fact>,
    cards: BTreeMap<NodeId, Signed<Card>>,
    /// The last one of each issuer about each member.
    gone: BTreeMap<(NodeId, NodeId), Signed<Departure>>,
    /// Ids of what each key signed, except cards and heads.
    by_signer: BTreeMap<PublicKey, BTreeSet<FactId>>,
    epochs: BTreeMap<VolumeId, BTreeMap<u32, Vec<Signed<VolEpoch>>>>,
    heads: BTreeMap<VolumeId, heads::HeadSet>,
    waiting: waiting::WaitingFacts,
    /// In the order in which they became known.
    news: Vec<Fact>,
    view: OnceLock<view::DerivedState>,
    gossip: OnceLock<Digest>,
    map: OnceLock<Digest>,
}

/// What became of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertOutcome {
    /// Was not here.
    New,
    /// Was here.
    Known,
    /// Superseded by what is here.
    Stale,
    /// Kept aside until what it hangs on is known.
    Waiting,
    /// No honest node makes or passes on such a fact.
    Invalid(&'static str),
}

/// Where a member stands in the pool, by its facts alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberStatus {
    /// With all rights of its certificate.
    Member,
    /// A surplus user of a ticket: may serve, holds no weight, gets no capability.
    Guest,
    /// Silent for so long that a majority of the others declared it gone.
    Departed,
    /// Left, or was asked to leave: may serve and hand over.
    Removed,
    /// Thrown out, or its chain was.
    Revoked,
}

/// What the facts say of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// From its best certificate.
    pub role: Role,
    /// From its best certificate.
    pub may_invite: bool,
    /// From its best certificate: how many links may still follow.
    pub depth: u8,
    /// The member (or the root key) that invited it: for a ticket, who made the ticket.
    pub invited_by: PublicKey,
    /// Where it stands.
    pub status: MemberStatus,
    /// Its last card.
    pub card: Option<Signed<Card>>,
    /// Its last heartbeat.
    pub heartbeat: Option<Signed<Heartbeat>>,
}

/// A peer may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionVerdict {
    /// Its chain and the admissions it showed, to be inserted.
    pub facts: Vec<Fact>,
    /// It comes in by a ticket that can still be redeemed, and nobody admitted it yet: whoever lets it in signs the admission
    /// ([`FactSet::admission`]).
    pub redeem: Option<TicketRedemption>,
}

/// What an admission names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketRedemption {
    /// Id of the ticket's certificate.
    pub ticket: FactId,
    /// Id of the newcomer's certificate.
    pub member: FactId,
}

impl FactSet {
    /// Of a pool of which nothing but its id is known.
    pub fn new(pool: PoolId) -> Self {
        Self {
            pool,
            known: graph::FactGraph::new(pool),
            facts: BTreeMap::new(),
            heartbeats: BTreeMap::new(),
            cards: BTreeMap::new(),
            gone: BTreeMap::new(),
            by_signer: BTreeMap::new(),
            epochs: BTreeMap::new(),
            heads: BTreeMap::new(),
            waiting: waiting::WaitingFacts::default(),
            news: Vec::new(),
            view: OnceLock::new(),
            gossip: OnceLock::new(),
            map: OnceLock::new(),
        }
    }

    /// Which pool.
    pub fn pool(&self) -> PoolId {
        self.pool
    }

    /// Facts that became known since the last call and still stand, what they hang on first.
    pub fn drain_new(&mut self) -> Vec<Fact> {
        let news = std::mem::take(&mut self.news);
        news.into_iter().filter(|fact| self.stands(fact)).collect()
    }

    /// One fact; heartbeats are not found by id.
    pub fn get(&self, id: &FactId) -> Option<&Fact> {
        self.facts.get(id)
    }

    /// Whether this very statement stands here already. Gossip brings most statements several times; their signatures are
    /// checked once.
    pub fn knows(&self, raw: &RawFact) -> bool {
        let id = raw.id(self.pool);
        self.facts.contains_key(&id) || self.heartbeats.values().any(|beat| beat.id() == id)
    }

    /// All facts, what others hang on first, heartbeats last.
    pub fn all(&self) -> impl Iterator<Item = &Fact> {
        let mut facts: Vec<&Fact> = self.facts.values().collect();
        facts.sort_by_key(|fact| (rank(fact), fact.id()));
        facts.into_iter().chain(self.heartbeats.values())
    }

    /// Ids of all facts but heartbeats in a range, ends included, ascending.
    pub fn ids_in(&self, from: FactId, to: FactId) -> Vec<FactId> {
        if from > to {
            return Vec::new();
        }
        self.facts.range(from..=to).map(|(id, _)| *id).collect()
    }

    fn stands(&self, fact: &Fact) -> bool {
        match fact {
            Fact::Heartbeat(beat) => self.heartbeats.get(&beat.value().node) == Some(fact),
            _ => self.facts.contains_key(&fact.id()),
        }
    }

    fn view(&self) -> &view::DerivedState {
        self.view.get_or_init(|| view::DerivedState::new(self))
    }
}

/// Sorts parents before what hangs on them: issuers have deeper certificates, witnesses earlier admissions.
fn rank(fact: &Fact) -> (u8, u8, Hlc) {
    match fact {
        Fact::Cert(cert) => (0, u8::MAX - cert.value().depth, Hlc::default()),
        Fact::Admission(admission) => (1, 0, admission.value().hlc),
        other => (other.kind() as u8 + 1, 0, Hlc::default()),
    }
}
