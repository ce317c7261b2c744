//! The facts that are kept, and indices over them. What they mean is computed elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{Absence, Card, CertKind, Departure, Fact, VolEpoch};
use fsdfs_proto::ids::{FactId, NodeId, PoolId, PublicKey, VolumeId};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;

use super::accounts::{Accounts, Charge, Ledger};
use super::authority::RankedLaw;
use super::graph::FactGraph;
use super::heads::HeadSet;

/// Everything that was taken in, that nothing newer supersedes, and for which there is room; of what a key with a rank voided
/// certificates and admissions alone.
#[derive(Clone, Debug)]
pub(super) struct KeptFacts {
    /// Which pool. Never changes.
    pub pool: PoolId,
    /// Ranks, and what those who have one revoked.
    pub law: RankedLaw,
    /// Whom a key with a rank vouches for.
    pub vouched: BTreeSet<PublicKey>,
    /// All certificates and admissions that are kept: no revocation applied.
    pub known: FactGraph,
    /// Everything but heartbeats. The indices below name facts that are in here, and no others.
    pub facts: BTreeMap<FactId, Fact>,
    /// The last one of each node, a [`Fact::Heartbeat`]. They change every few seconds, so they are outside ids and digests.
    pub heartbeats: BTreeMap<NodeId, Fact>,
    /// The last one of each node: the highest `(seq, id)`.
    pub cards: BTreeMap<NodeId, Signed<Card>>,
    /// The last one of each node: the highest `(seq, id)`.
    pub absences: BTreeMap<NodeId, Signed<Absence>>,
    /// By member and issuer: the last one, that with the highest `(last, id)`.
    pub departures: BTreeMap<(NodeId, NodeId), Signed<Departure>>,
    /// Ids of what each key signed, except cards and heads. An entry may be empty, if all of it was superseded.
    pub by_signer: BTreeMap<PublicKey, BTreeSet<FactId>>,
    /// All statements of each epoch. Several only if several keys with a rank signed one.
    pub epochs: BTreeMap<VolumeId, BTreeMap<u32, Vec<Signed<VolEpoch>>>>,
    /// Heads that no other head supersedes.
    pub heads: BTreeMap<VolumeId, HeadSet>,
    /// What each member made the others keep.
    pub accounts: Accounts,
}

impl KeptFacts {
    /// None yet.
    pub fn new(pool: PoolId) -> Self {
        Self {
            pool,
            law: RankedLaw::new(pool, std::iter::empty::<&Fact>()),
            vouched: BTreeSet::new(),
            known: FactGraph::new(),
            facts: BTreeMap::new(),
            heartbeats: BTreeMap::new(),
            cards: BTreeMap::new(),
            absences: BTreeMap::new(),
            departures: BTreeMap::new(),
            by_signer: BTreeMap::new(),
            epochs: BTreeMap::new(),
            heads: BTreeMap::new(),
            accounts: Accounts::default(),
        }
    }

    /// What charges follow from.
    pub fn ledger(&self) -> Ledger<'_> {
        Ledger { law: &self.law, vouched: &self.vouched, known: &self.known, epochs: &self.epochs }
    }

    /// See [`Ledger::charge`].
    pub fn charge(&self, fact: &Fact) -> Option<Charge> {
        self.ledger().charge(fact)
    }

    /// Whether this very fact is kept.
    pub fn contains(&self, fact: &Fact) -> bool {
        match fact {
            Fact::Heartbeat(beat) => self.heartbeats.get(&beat.value().node) == Some(fact),
            _ => self.facts.contains_key(&fact.id()),
        }
    }

    /// `(boot, counter)` of the last heartbeat of a node: heard, or proven by somebody who says that it was the last.
    pub fn last_beat(&self, node: NodeId) -> Option<(u64, u64)> {
        let heard = match self.heartbeats.get(&node) {
            Some(Fact::Heartbeat(beat)) => Some((beat.value().boot, beat.value().counter)),
            _ => None,
        };
        let shown = self.departures_of(node).filter(|gone| gone.value().proof.is_some());
        heard.max(shown.map(|gone| gone.value().last).max())
    }

    /// What is said of a node: that it is gone.
    pub fn departures_of(&self, node: NodeId) -> impl Iterator<Item = &Signed<Departure>> {
        self.departures.range((node, NodeId([0; 32]))..=(node, NodeId([0xff; 32]))).map(|(_, gone)| gone)
    }

    /// Whether somebody says that a node is gone, of which nothing was heard since.
    pub fn has_standing_departure(&self, node: NodeId) -> bool {
        let last = self.last_beat(node);
        self.departures_of(node).any(|gone| last.is_none_or(|last| last <= gone.value().last))
    }

    /// Everything but heartbeats, so that each comes behind what it hangs on: lists, certificates each with its admissions,
    /// what else was said, and heads.
    pub fn in_order(&self) -> Vec<&Fact> {
        let mut facts: Vec<&Fact> = self.facts.values().collect();
        facts.sort_by_cached_key(|fact| (self.rank(fact), fact.id()));
        facts
    }

    fn rank(&self, fact: &Fact) -> (u8, Hlc, u16, FactId, u8) {
        let nothing = (Hlc::default(), 0, FactId([0; 32]), 0);
        let at = |class: u8| (class, nothing.0, nothing.1, nothing.2, nothing.3);
        match fact {
            Fact::Founding(_) => at(0),
            Fact::Succession(it) => (1, Hlc { ms: it.value().number.into(), count: 0 }, 0, nothing.2, 0),
            Fact::AdminList(list) => (2, Hlc { ms: list.value().number, count: 0 }, 0, nothing.2, 0),
            Fact::Revocation(_) | Fact::Vouch(_) if self.law.rank(fact.signer()).is_some() => at(3),
            Fact::Cert(cert) => {
                let link = self.known.link(cert.id());
                let (entry, above) = link.map_or((Hlc::default(), 0), |link| (link.entry, link.above));
                (4, entry, above, cert.id(), 0)
            }
            Fact::Admission(admission) => {
                let link = self.known.link(admission.value().member);
                let (entry, above) = link.map_or((Hlc::default(), 0), |link| (link.entry, link.above));
                (4, entry, above, admission.value().member, 1)
            }
            Fact::Head(_) => at(7),
            Fact::VolEpoch(epoch) => (5, Hlc { ms: epoch.value().epoch.into(), count: 0 }, 0, nothing.2, 0),
            _ => at(6),
        }
    }

    /// Whether a key has no chains at all, or one of which no key with a rank voided a certificate.
    pub fn has_lawful_chain(&self, key: PublicKey) -> bool {
        let mut own = self.known.member_certs(key).peekable();
        let lawful = |id| self.known.up(id).all(|link| !self.law.ends(link.cert.signer(), link.cert.id()));
        own.peek().is_none() || own.any(|cert| lawful(cert.id()))
    }

    /// Whether all that is known of a key is that it is a ticket's.
    pub fn is_ticket_key(&self, key: PublicKey) -> bool {
        let mut certs = self.known.certs_of(key).peekable();
        certs.peek().is_some() && certs.all(|cert| cert.value().kind == CertKind::Ticket)
    }
}
