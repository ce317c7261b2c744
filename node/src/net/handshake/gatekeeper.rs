//! Who may come in, and what this node shows at the gate (spec 04-wire, "Gate").

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use fsdfs_core::facts::{AdmissionVerdict, FactSet, GateRefusal, MemberStatus};
use fsdfs_proto::codec::FormatError;
use fsdfs_proto::gate::{
    GateDirection, GateHello, GateProof, GateWelcome, ProtocolMismatch, VERSIONS, kademlia_protocol,
};
use fsdfs_proto::identity::{Admission, Cert, Fact};
use fsdfs_proto::ids::{Key, NodeId, PoolId};
use fsdfs_proto::signed::{Signable, Signed};
use fsdfs_proto::time::Hlc;
use tokio::sync::watch;

use super::answers::{GateAnswers, GateAnswersWatch};
use super::pauses::GatePauses;
use super::rejection::HandshakeRejected;

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

/// Judges peers by a snapshot of the facts, which the daemon renews whenever statements change.
pub struct Gatekeeper {
    identity: GateIdentity,
    node: NodeId,
    facts: RwLock<Arc<FactSet>>,
    admitted: Mutex<BTreeMap<NodeId, AdmittedPeer>>,
    pauses: Mutex<GatePauses>,
    answers: watch::Sender<GateAnswers>,
}

/// What was learned of a peer at the gate and is not reported yet.
#[derive(Default)]
struct AdmittedPeer {
    facts: Vec<Fact>,
    refused: Option<HandshakeRejected>,
}

/// What to tell a peer.
pub(crate) enum GateDecision {
    /// It may come in. The facts are what it showed, and its admission if this node made one.
    Admit { facts: Vec<Fact>, admission: Option<Signed<Admission>> },
    /// It is a bootstrap node that will show its proof once it has seen this node's.
    Defer,
    /// It may not.
    Reject(HandshakeRejected),
}

impl Gatekeeper {
    /// The facts may be none but those that came with a ticket.
    pub fn new(identity: GateIdentity, facts: FactSet) -> Self {
        let node = NodeId(identity.key.verifying_key().to_bytes());
        let (facts, answers) = (RwLock::new(Arc::new(facts)), watch::Sender::default());
        Self { identity, node, facts, admitted: Mutex::default(), pauses: Mutex::default(), answers }
    }

    /// What other members say to this node, from now on.
    pub fn answers(&self) -> GateAnswersWatch {
        self.answers.subscribe()
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// From now on peers are judged by these facts. Whoever is no longer welcome has to be dropped by the caller.
    pub fn update(&self, facts: FactSet) {
        *self.facts.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(facts);
    }

    /// Nobody has to talk to this member for so long, whatever the facts say.
    pub fn pause(&self, peer: NodeId, pause: Duration) {
        self.pauses().pause(peer, Instant::now() + pause);
    }

    /// Whether the facts hold this node for somebody who may come in. Nobody else is worth dialling.
    pub fn knows(&self, peer: NodeId) -> bool {
        self.status(peer).is_some_and(|status| status != MemberStatus::Revoked)
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.identity.key
    }

    /// The pool's gate secret.
    pub(crate) fn secret(&self) -> &Key {
        &self.identity.secret
    }

    pub(crate) fn kademlia(&self) -> String {
        kademlia_protocol(&self.identity.secret)
    }

    pub(crate) fn to(&self, receiver: NodeId) -> GateDirection<'_> {
        GateDirection { secret: &self.identity.secret, sender: self.node, receiver }
    }

    pub(crate) fn from(&self, sender: NodeId) -> GateDirection<'_> {
        GateDirection { secret: &self.identity.secret, sender, receiver: self.node }
    }

    pub(crate) fn hello(&self, peer: NodeId) -> GateHello {
        let trusted = match self.status(peer) {
            Some(status) => status != MemberStatus::Revoked,
            None => self.identity.bootstraps.contains(&peer),
        };
        GateHello { versions: VERSIONS.to_vec(), proof: trusted.then(|| self.proof()) }
    }

    pub(crate) fn proof(&self) -> GateProof {
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
    pub(crate) fn decide(&self, peer: NodeId, proof: Option<&GateProof>, shown: bool) -> GateDecision {
        let facts = self.facts();
        let verdict = match proof {
            Some(proof) => self.judge_proof(&facts, peer, proof),
            None => match judge_known(&facts, peer) {
                Some(known) => known.map_err(HandshakeRejected::Refused),
                None if shown => return GateDecision::Defer,
                None => Err(HandshakeRejected::Mismatch(ProtocolMismatch::Unknown)),
            },
        };
        match verdict {
            // That it is no member any more is more important to it than that it is to come later.
            Err(why) => GateDecision::Reject(why),
            Ok(_) if !self.pauses().may_come(peer, Instant::now()) => {
                GateDecision::Reject(HandshakeRejected::Mismatch(ProtocolMismatch::Paused))
            }
            Ok(verdict) => self.admit(&facts, verdict),
        }
    }

    /// The admission a peer made for this node, as a fact. Whether it counts is for the fact set to say.
    pub(crate) fn admission_in(&self, welcome: &GateWelcome) -> Result<Vec<Fact>, FormatError> {
        let admission = welcome.admission.as_ref();
        let admission = admission.map(|envelope| Signed::<Admission>::open(self.identity.pool, envelope, None));
        Ok(admission.transpose()?.map(Fact::from).into_iter().collect())
    }

    pub(crate) fn note_admitted(&self, peer: NodeId, facts: Vec<Fact>) {
        let mut admitted = self.admitted_peers();
        let entry = admitted.entry(peer).or_default();
        entry.refused = None;
        // Several connections may pass before one is in use; the last one's facts include the others'.
        entry.facts = facts;
        self.answers.send_modify(|answers| answers.note_let_in(peer));
    }

    pub(crate) fn note_rejected(&self, peer: NodeId, why: HandshakeRejected) {
        self.admitted_peers().entry(peer).or_default().refused = Some(why);
        self.answers.send_modify(|answers| {
            answers.refused.insert(peer, why);
        });
    }

    pub(crate) fn take_facts(&self, peer: NodeId) -> Vec<Fact> {
        self.admitted_peers().remove(&peer).unwrap_or_default().facts
    }

    pub(crate) fn take_refusal(&self, peer: NodeId) -> Option<HandshakeRejected> {
        self.admitted_peers().remove(&peer).and_then(|admitted| admitted.refused)
    }

    fn judge_proof(
        &self,
        facts: &FactSet,
        peer: NodeId,
        proof: &GateProof,
    ) -> Result<AdmissionVerdict, HandshakeRejected> {
        let (certs, admissions) = self.open(proof).map_err(|error| match error {
            FormatError::BadSignature { .. } => HandshakeRejected::Refused(GateRefusal::BadSignature),
            _ => HandshakeRejected::Mismatch(ProtocolMismatch::Malformed),
        })?;
        let refused = match facts.judge(wall_ms(), peer, &certs, &admissions) {
            Ok(judged) => return Ok(judged),
            Err(refusal) => HandshakeRejected::Refused(refusal),
        };
        // A peer may show an outdated chain although its good standing is known here.
        judge_known(facts, peer).and_then(Result::ok).ok_or(refused)
    }

    fn admit(&self, facts: &FactSet, judged: AdmissionVerdict) -> GateDecision {
        let admission = judged.redeem.map(|redeem| {
            let now = Hlc { ms: wall_ms(), count: 0 };
            Signed::sign(self.identity.pool, &self.identity.key, facts.admission(self.node, now, redeem))
        });
        let mut facts = judged.facts;
        facts.extend(admission.clone().map(Fact::from));
        GateDecision::Admit { facts, admission }
    }

    fn open(&self, proof: &GateProof) -> Result<OpenedProof, FormatError> {
        Ok((open_all(self.identity.pool, &proof.certs)?, open_all(self.identity.pool, &proof.admissions)?))
    }

    fn status(&self, peer: NodeId) -> Option<MemberStatus> {
        self.facts().members().get(&peer).map(|member| member.status)
    }

    /// What the gate knows.
    pub(crate) fn facts(&self) -> Arc<FactSet> {
        Arc::clone(&self.facts.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn pauses(&self) -> MutexGuard<'_, GatePauses> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admitted_peers(&self) -> MutexGuard<'_, BTreeMap<NodeId, AdmittedPeer>> {
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A chain and admissions whose signatures are valid.
type OpenedProof = (Vec<Signed<Cert>>, Vec<Signed<Admission>>);

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
