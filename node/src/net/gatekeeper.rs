//! Who may come in, and what this node shows at the gate (spec 04-wire, "Gate").

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use fsdfs_core::facts::{AdmissionVerdict, FactSet, GateRefusal, MemberStatus};
use fsdfs_proto::codec::FormatError;
use fsdfs_proto::gate::{
    GateDirection, GateHello, GateProof, GateVerdict, GateWelcome, ProtocolMismatch, VERSIONS, kademlia_protocol,
};
use fsdfs_proto::identity::{Admission, Cert, Fact};
use fsdfs_proto::ids::{Key, NodeId, PoolId};
use fsdfs_proto::signed::{Signable, Signed};
use fsdfs_proto::time::Hlc;

/// Who this node is in its pool.
pub struct GateIdentity {
    /// Which pool.
    pub pool: PoolId,
    /// Known to the members and to whoever holds one of their tickets.
    pub secret: Key,
    /// The node's key.
    pub key: SigningKey,
    /// The node's own chain, from the root key's certificate to its own. Shown as long as the facts hold none for it: a
    /// newcomer's does not count before its admission.
    pub chain: Vec<Signed<Cert>>,
    /// Nodes that a ticket names: they are shown this node's chain although nothing is known of them yet.
    pub bootstraps: BTreeSet<NodeId>,
}

/// Why one node does not let another in. Whoever is refused is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotLetIn {
    /// It does not belong to the pool.
    #[error("{0:?}")]
    Refused(GateRefusal),
    /// It could not be judged.
    #[error("{0}")]
    Unsuited(ProtocolMismatch),
}

impl From<NotLetIn> for GateVerdict {
    fn from(why: NotLetIn) -> Self {
        match why {
            NotLetIn::Refused(refusal) => Self::Refused(refusal),
            NotLetIn::Unsuited(unsuited) => Self::Unsuited(unsuited),
        }
    }
}

/// Judges peers by a snapshot of the facts, which the daemon renews whenever statements change.
pub struct Gatekeeper {
    identity: GateIdentity,
    node: NodeId,
    facts: RwLock<Arc<FactSet>>,
    passed: Mutex<BTreeMap<NodeId, Passed>>,
}

/// What was learned of a peer at the gate and is not reported yet.
#[derive(Default)]
struct Passed {
    facts: Vec<Fact>,
    refused: Option<NotLetIn>,
}

/// What to tell a peer.
pub(super) enum Judgement {
    /// It may come in. The facts are what it showed, and its admission if this node made one.
    In { facts: Vec<Fact>, admission: Option<Signed<Admission>> },
    /// It is a bootstrap node that will show its proof once it has seen this node's.
    Later,
    /// It may not.
    Out(NotLetIn),
}

impl Gatekeeper {
    /// The facts may be none but those that came with a ticket.
    pub fn new(identity: GateIdentity, facts: FactSet) -> Self {
        let node = NodeId(identity.key.verifying_key().to_bytes());
        Self { identity, node, facts: RwLock::new(Arc::new(facts)), passed: Mutex::default() }
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// From now on peers are judged by these facts. Whoever is no longer welcome has to be dropped by the caller.
    pub fn update(&self, facts: FactSet) {
        *self.facts.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(facts);
    }

    /// Whether the facts hold this node for somebody who may come in. Nobody else is worth dialling.
    pub fn knows(&self, peer: NodeId) -> bool {
        self.status(peer).is_some_and(|status| status != MemberStatus::Revoked)
    }

    pub(super) fn key(&self) -> &SigningKey {
        &self.identity.key
    }

    pub(super) fn kademlia(&self) -> String {
        kademlia_protocol(&self.identity.secret)
    }

    pub(super) fn to(&self, receiver: NodeId) -> GateDirection<'_> {
        GateDirection { secret: &self.identity.secret, sender: self.node, receiver }
    }

    pub(super) fn from(&self, sender: NodeId) -> GateDirection<'_> {
        GateDirection { secret: &self.identity.secret, sender, receiver: self.node }
    }

    pub(super) fn hello(&self, peer: NodeId) -> GateHello {
        let trusted = match self.status(peer) {
            Some(status) => status != MemberStatus::Revoked,
            None => self.identity.bootstraps.contains(&peer),
        };
        GateHello { versions: VERSIONS.to_vec(), proof: trusted.then(|| self.proof()) }
    }

    pub(super) fn proof(&self) -> GateProof {
        let facts = self.facts();
        let chain = facts.chain_of(self.node).unwrap_or_else(|| self.identity.chain.clone());
        let admissions = facts.admissions_of(self.node);
        GateProof {
            certs: chain.iter().map(Signed::envelope).collect(),
            admissions: admissions.iter().map(Signed::envelope).collect(),
            gossip: facts.gossip_digest(),
        }
    }

    /// `shown`: whether the peer has seen this node's proof.
    pub(super) fn judge(&self, peer: NodeId, proof: Option<&GateProof>, shown: bool) -> Judgement {
        let facts = self.facts();
        let judged = match proof {
            Some(proof) => self.judge_proof(&facts, peer, proof),
            None => match judge_known(&facts, peer) {
                Some(known) => known.map_err(NotLetIn::Refused),
                None if shown => return Judgement::Later,
                None => Err(NotLetIn::Unsuited(ProtocolMismatch::Unknown)),
            },
        };
        judged.map_or_else(Judgement::Out, |judged| self.admit(&facts, judged))
    }

    /// The admission a peer made for this node, as a fact. Whether it counts is for the fact set to say.
    pub(super) fn admitted(&self, welcome: &GateWelcome) -> Result<Vec<Fact>, FormatError> {
        let admission = welcome.admission.as_ref();
        let admission = admission.map(|envelope| Signed::<Admission>::open(self.identity.pool, envelope, None));
        Ok(admission.transpose()?.map(Fact::from).into_iter().collect())
    }

    pub(super) fn note_passed(&self, peer: NodeId, facts: Vec<Fact>) {
        let mut passed = self.passed();
        let entry = passed.entry(peer).or_default();
        entry.refused = None;
        // Several connections may pass before one is in use; the last one's facts include the others'.
        entry.facts = facts;
    }

    pub(super) fn note_refused(&self, peer: NodeId, why: NotLetIn) {
        self.passed().entry(peer).or_default().refused = Some(why);
    }

    pub(super) fn take_facts(&self, peer: NodeId) -> Vec<Fact> {
        self.passed().remove(&peer).unwrap_or_default().facts
    }

    pub(super) fn take_refusal(&self, peer: NodeId) -> Option<NotLetIn> {
        self.passed().remove(&peer).and_then(|passed| passed.refused)
    }

    fn judge_proof(&self, facts: &FactSet, peer: NodeId, proof: &GateProof) -> Result<AdmissionVerdict, NotLetIn> {
        let (certs, admissions) = self.open(proof).map_err(|error| match error {
            FormatError::BadSignature { .. } => NotLetIn::Refused(GateRefusal::BadSignature),
            _ => NotLetIn::Unsuited(ProtocolMismatch::Malformed),
        })?;
        let refused = match facts.judge(wall_ms(), peer, &certs, &admissions) {
            Ok(judged) => return Ok(judged),
            Err(refusal) => NotLetIn::Refused(refusal),
        };
        // A peer may show an outdated chain although its good standing is known here.
        judge_known(facts, peer).and_then(Result::ok).ok_or(refused)
    }

    fn admit(&self, facts: &FactSet, judged: AdmissionVerdict) -> Judgement {
        let admission = judged.redeem.map(|redeem| {
            let now = Hlc { ms: wall_ms(), count: 0 };
            Signed::sign(self.identity.pool, &self.identity.key, facts.admission(self.node, now, redeem))
        });
        let mut facts = judged.facts;
        facts.extend(admission.clone().map(Fact::from));
        Judgement::In { facts, admission }
    }

    fn open(&self, proof: &GateProof) -> Result<Shown, FormatError> {
        Ok((open_all(self.identity.pool, &proof.certs)?, open_all(self.identity.pool, &proof.admissions)?))
    }

    fn status(&self, peer: NodeId) -> Option<MemberStatus> {
        self.facts().members().get(&peer).map(|member| member.status)
    }

    fn facts(&self) -> Arc<FactSet> {
        Arc::clone(&self.facts.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn passed(&self) -> MutexGuard<'_, BTreeMap<NodeId, Passed>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A chain and admissions whose signatures are valid.
type Shown = (Vec<Signed<Cert>>, Vec<Signed<Admission>>);

/// By what is known here alone; none if nothing is.
fn judge_known(facts: &FactSet, peer: NodeId) -> Option<Result<AdmissionVerdict, GateRefusal>> {
    let member = facts.members().get(&peer)?;
    if member.status == MemberStatus::Revoked {
        return Some(Err(GateRefusal::Revoked));
    }
    let chain = facts.chain_of(peer)?;
    Some(facts.judge(wall_ms(), peer, &chain, &facts.admissions_of(peer)))
}

fn open_all<T: Signable>(
    pool: PoolId,
    envelopes: &[fsdfs_proto::signed::Envelope],
) -> Result<Vec<Signed<T>>, FormatError> {
    envelopes.iter().map(|envelope| Signed::open(pool, envelope, None)).collect()
}

fn wall_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
}
