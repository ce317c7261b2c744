//! What members say to each other behind the gate (spec 04-wire).
//!
//! A message is one MessagePack value; a message with a block ([`Message::attached`]) is followed by the block's bytes.

pub mod meeting;
mod parts;
pub mod repair;

use serde::{Deserialize, Serialize};

use self::meeting::{
    Introduced, MeetReply, MeetRequest, MeetingCandidates, NotRelayed, ProbeRequest, RelayedStore, RelayedStoreReply,
    check_candidates,
};
pub use self::parts::{
    AttachedBlock, COPIES_MAX, FetchOutcome, HeldBlock, IDS_MAX, Possession, Redundancy, RequestId, StoreOutcome,
    StripeShard, UnpublishedOperation,
};
use self::repair::{
    AssureReply, AssureRequest, GrantReply, GrantRequest, HeardMembers, HoldingsReply, HoldingsRequest, OfferReply,
    OfferRequest, PrintsReply, PrintsRequest, PullReply, PullRequest, check_holdings,
};

use crate::codec::{CanonicalCodec, FormatError, ascending, bound};
use crate::identity::RawFact;
use crate::ids::{BlockId, Digest, FactId, Key, NodeId, SessionToken, UdpAddress, VolumeId};
use crate::receipt::BlockReceipt;
use crate::tagged_enum;
use crate::time::Hlc;

/// Facts in one message at most.
pub const FACTS_MAX: usize = 256;
/// Facts in one message at most whose sender waits for an answer: they are taken in at one go. A writer sends its head alone.
pub const FACTS_ANSWERED_MAX: usize = 16;
/// Fact ids in one summary at most; longer summaries come in parts.
pub const SUMMARY_IDS_MAX: usize = 4096;
/// Bytes of a message without its block at most.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Operations named by one [`UnpublishedOperations`] at most: one for each volume and incarnation of a writer that has something unpublished.
pub const UNPUBLISHED_MAX: usize = 256;

/// Bytes of facts in one message, unless a single fact is longer. Small enough that a ping behind it waits little.
const FACT_BYTES_MAX: usize = 256 * 1024;

/// Cuts facts into lists that fit into one message each: 256 heads with large commits would be longer than a message may be.
pub fn fact_parts(facts: &[RawFact]) -> Vec<Vec<RawFact>> {
    let (mut parts, mut bytes) = (Vec::<Vec<RawFact>>::new(), 0);
    for fact in facts {
        let len = crate::codec::encode(fact).len();
        match parts.last_mut().filter(|part| part.len() < FACTS_MAX && bytes + len <= FACT_BYTES_MAX) {
            Some(part) => part.push(fact.clone()),
            None => {
                parts.push(vec![fact.clone()]);
                bytes = 0;
            }
        }
        bytes += len;
    }
    parts
}

tagged_enum! {
    /// Everything that crosses an open connection except blocks' bytes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Message {
        /// "Are you there?" Answered at once.
        1 => Ping(u64),
        /// The number of the ping.
        2 => Pong(u64),
        /// Two digests and a clock, on connect and from time to time. Unequal gossip digests start a [`FactSummary`].
        3 => Digests(FactDigests),
        /// "These facts I have."
        4 => Summary(FactSummary),
        /// Facts the receiver may lack.
        5 => Facts(FactBatch),
        /// "They are durable here."
        6 => FactsAck(FactsAck),
        /// "Send me these facts."
        7 => Want(WantFacts),
        /// "Do you have these blocks?" If that is asked, a yes is a durable renewal of the lease.
        10 => Have(HaveRequest),
        /// One answer an id, in order.
        11 => HaveReply(HaveReply),
        /// "Keep this block." The block follows.
        12 => Store(StoreRequest),
        /// What became of it.
        13 => StoreReply(StoreReply),
        /// "Give me this block."
        14 => Fetch(FetchRequest),
        /// The block, if there is one, follows.
        15 => FetchReply(FetchReply),
        /// "Keep this block, and send it on." The block follows.
        16 => RelayedStore(RelayedStore),
        /// "I did not send it on to these."
        17 => NotRelayed(NotRelayed),
        /// What became of a relayed store.
        18 => RelayedStoreReply(RelayedStoreReply),
        /// "Which heads of this volume do you have?"
        20 => Heads(HeadsRequest),
        /// The heads.
        21 => HeadsReply(HeadsReply),
        /// "I was admitted; give me the capability of this volume."
        22 => Capability(CapabilityRequest),
        /// The capability string, if the asker may have it.
        23 => CapabilityReply(CapabilityReply),
        /// "These operations I have acknowledged, and nobody else was told of them yet."
        24 => Unpublished(UnpublishedOperations),
        /// "Do you know this node as a member that is entitled to the keys of the pool's volume?"
        25 => Entitled(EntitledRequest),
        /// Whether it does.
        26 => EntitledReply(EntitledReply),
        /// "Prove that you hold these, wanted by this map."
        32 => Prove(ProveRequest),
        /// One proof an id.
        33 => ProveReply(ProveReply),
        /// Challenge to one block.
        34 => Audit(AuditRequest),
        /// `audit` of spec 02-block.
        35 => AuditReply(AuditReply),
        /// "What are your sums over the ids that we both are to hold?"
        36 => Prints(PrintsRequest),
        /// The sums.
        37 => PrintsReply(PrintsReply),
        /// "What do you hold in this range?"
        38 => Holdings(HoldingsRequest),
        /// A page of it.
        39 => HoldingsReply(HoldingsReply),
        /// "Which blocks do you hold?"
        40 => ListBlocks(ListBlocksRequest),
        /// A page of them.
        41 => ListBlocksReply(ListBlocksReply),
        /// "These the map wants with you."
        42 => Offer(OfferRequest),
        /// Which of them will be pulled.
        43 => OfferReply(OfferReply),
        /// "Give me this block when there is time."
        44 => Pull(PullRequest),
        /// The block, if there is one now, follows.
        45 => PullReply(PullReply),
        /// Whom the sender exchanged facts with.
        46 => Heard(HeardMembers),
        /// "This volume is for you, too."
        47 => Grant(GrantRequest),
        /// Whether it is kept.
        48 => GrantReply(GrantReply),
        /// "This is where I see you."
        50 => SeenAt(UdpAddress),
        /// "Connect me with that node."
        51 => Meet(MeetRequest),
        /// A session, or why there is none.
        52 => MeetReply(MeetReply),
        /// "That node wants to meet you."
        53 => Introduced(Introduced),
        /// Where the node that was introduced may be reached.
        54 => IntroducedReply(MeetingCandidates),
        /// The session with this token is over.
        55 => SessionEnded(SessionToken),
        /// "Try to reach me here once more", over the relayed connection.
        56 => KnockAgain(MeetingCandidates),
        /// "See whether these addresses reach me."
        57 => Probe(ProbeRequest),
        /// The packets were sent; whether they arrived the asker sees itself.
        58 => ProbeReply(RequestId),
        /// "How safe are your copies of these?"
        60 => Assure(AssureRequest),
        /// One answer an id.
        61 => AssureReply(AssureReply),
    }
}

/// Digests of facts and map, and the sender's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactDigests {
    /// Over all facts.
    pub gossip: Digest,
    /// Over what placement reads.
    pub map: Digest,
    /// The sender's stamp now: nodes notice clocks that are far apart.
    pub clock: Hlc,
}

/// The ids of all facts of the sender, ascending, in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactSummary {
    /// The last part: what the receiver answers to it ends its answers.
    pub last: bool,
    /// First id of the range this part covers.
    pub from: FactId,
    /// Last id of the range this part covers.
    pub to: FactId,
    /// The ids in it.
    pub ids: Vec<FactId>,
}

/// Facts, parents (certificates, epochs) before what hangs on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactBatch {
    /// 0 = no answer wanted, else answered by [`FactsAck`] when durable.
    pub request: RequestId,
    /// At most [`FACTS_MAX`]; with a request at most [`FACTS_ANSWERED_MAX`].
    pub facts: Vec<RawFact>,
}

/// Answer to [`FactBatch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactsAck {
    /// Of the facts.
    pub request: RequestId,
    /// Whether all of them are durable and valid here.
    pub durable: bool,
}

/// Asks for facts by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantFacts {
    /// At most [`SUMMARY_IDS_MAX`].
    pub ids: Vec<FactId>,
}

/// Possession question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaveRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// Whether a yes renews the lease, durably. Repair asks without.
    pub renew: bool,
    /// The asker's map: unequal maps make both exchange facts.
    pub map: Digest,
    /// What the asker wants for them: a yes records the greatest redundancy.
    pub redundancy: Redundancy,
    /// At most [`IDS_MAX`].
    pub ids: Vec<BlockId>,
}

/// Answers in the order of the ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaveReply {
    /// Of the question.
    pub request: RequestId,
    /// One an id.
    pub answers: Vec<Possession>,
}

/// A block to keep; it follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// The sender's map.
    pub map: Digest,
    /// What redundancy is wanted.
    pub redundancy: Redundancy,
    /// Milliseconds since the block was first seen by its oldest holder: ages travel with blocks.
    pub age_ms: u64,
    /// Milliseconds since its lease was last renewed, where the sender has it from; 0: it is put now, which renews the lease.
    pub lease_ms: u64,
    /// Whose it is.
    pub receipt: BlockReceipt,
    /// The sender sends further blocks at once: they may be made durable together.
    pub more: bool,
    /// What follows.
    pub block: AttachedBlock,
}

/// Answer to [`StoreRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreReply {
    /// Of the block.
    pub request: RequestId,
    /// What became of it.
    pub outcome: StoreOutcome,
}

/// Asks for a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// Which.
    pub id: BlockId,
}

/// Answer to [`FetchRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchReply {
    /// Of the question.
    pub request: RequestId,
    /// What follows, or why nothing does.
    pub outcome: FetchOutcome,
    /// With [`FetchOutcome::Found`] only.
    pub block: Option<AttachedBlock>,
}

/// Asks for the heads of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadsRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// Which volume.
    pub volume: VolumeId,
    /// Ids of the heads the asker has, ascending: they are not sent again.
    pub known: Vec<FactId>,
}

/// Answer to [`HeadsRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadsReply {
    /// Of the question.
    pub request: RequestId,
    /// False: the node has not finished an exchange of facts since its start, so there may be more ("not yet", never "none").
    pub finished: bool,
    /// Heads the asker did not name.
    pub facts: Vec<RawFact>,
}

/// The last operations that the sender acknowledged in heads of its own which it has not published: all of them. It replaces
/// what the sender said before on this connection; an empty one says that there are none any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpublishedOperations {
    /// Ascending; at most [`UNPUBLISHED_MAX`].
    pub operations: Vec<UnpublishedOperation>,
}

/// Asks for the read or write capability of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// Which volume.
    pub volume: VolumeId,
    /// The statement that began the epoch whose key is asked for; none = the current one.
    pub epoch: Option<FactId>,
}

/// Answer to [`CapabilityRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityReply {
    /// Of the question.
    pub request: RequestId,
    /// A capability string (spec 05-volume); none if the asker may not have it or the node does not hold it.
    pub capability: Option<String>,
}

/// Asked of the holders of the volume's id before a key is given to a member: what one node alone believes of a newcomer, others
/// may know better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitledRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// Who wants a key.
    pub node: NodeId,
}

/// Answer to [`EntitledRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitledReply {
    /// Of the question.
    pub request: RequestId,
    /// It is a member in good standing, full or reader, by the facts that are kept here.
    pub entitled: bool,
}

/// Asks for fresh proofs before a replica is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProveRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// The prover must have the same map.
    pub map: Digest,
    /// And be wanted for this many copies.
    pub copies: u8,
    /// At most [`IDS_MAX`].
    pub ids: Vec<BlockId>,
}

/// Proofs in the order of the ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProveReply {
    /// Of the question.
    pub request: RequestId,
    /// The prover's map.
    pub map: Digest,
    /// Repeated.
    pub copies: u8,
    /// Whether the block is held here, wanted here, and not about to be removed.
    pub held: Vec<bool>,
}

/// Challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// Fresh randomness.
    pub nonce: Key,
    /// Which block.
    pub id: BlockId,
}

/// Answer to a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReply {
    /// Of the challenge.
    pub request: RequestId,
    /// Whether there is a proof, or why there is none.
    pub outcome: FetchOutcome,
    /// `audit` of spec 02-block; with [`FetchOutcome::Found`] only.
    pub proof: Option<Digest>,
}

/// Asks for the records of a node, a page at a time: members count the pool's blocks to say what a change of the pool would move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListBlocksRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// Those after this id; none = from the first.
    pub after: Option<BlockId>,
}

/// Answer to [`ListBlocksRequest`]: fewer than [`IDS_MAX`] are the last ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListBlocksReply {
    /// Of the question.
    pub request: RequestId,
    /// The next blocks held, ascending by id.
    pub records: Vec<HeldBlock>,
}

impl Message {
    /// The request that this message answers.
    pub fn answers(&self) -> Option<RequestId> {
        match self {
            Self::FactsAck(ack) => Some(ack.request),
            Self::HaveReply(reply) => Some(reply.request),
            Self::StoreReply(reply) => Some(reply.request),
            Self::RelayedStoreReply(reply) => Some(reply.request),
            Self::FetchReply(reply) => Some(reply.request),
            Self::HeadsReply(reply) => Some(reply.request),
            Self::CapabilityReply(reply) => Some(reply.request),
            Self::EntitledReply(reply) => Some(reply.request),
            Self::ProveReply(reply) => Some(reply.request),
            Self::AuditReply(reply) => Some(reply.request),
            Self::ListBlocksReply(reply) => Some(reply.request),
            Self::PrintsReply(reply) => Some(reply.request),
            Self::HoldingsReply(reply) => Some(reply.request),
            Self::OfferReply(reply) => Some(reply.request),
            Self::PullReply(reply) => Some(reply.request),
            Self::GrantReply(reply) => Some(reply.request),
            Self::AssureReply(reply) => Some(reply.request),
            Self::MeetReply(reply) => Some(reply.request),
            Self::ProbeReply(request) => Some(*request),
            _ => None,
        }
    }

    /// Whether its place is fixed but the engine does nothing with it: later programs do, or the network, which keeps it.
    pub fn is_of_later_programs(&self) -> bool {
        use Message as M;
        matches!(
            self,
            M::Grant(_)
                | M::GrantReply(_)
                | M::SeenAt(_)
                | M::Meet(_)
                | M::MeetReply(_)
                | M::Introduced(_)
                | M::IntroducedReply(_)
                | M::SessionEnded(_)
                | M::KnockAgain(_)
        )
    }

    /// The block that follows the message on the wire.
    pub fn attached(&self) -> Option<AttachedBlock> {
        match self {
            Self::Store(store) => Some(store.block),
            Self::FetchReply(reply) => reply.block,
            Self::RelayedStore(store) => Some(store.block),
            Self::PullReply(reply) => reply.block,
            _ => None,
        }
    }
}

impl CanonicalCodec for Message {
    fn check(&self) -> Result<(), FormatError> {
        if let Some(attached) = self.attached() {
            bound((1..=crate::block::BLOCK_BYTES_MAX).contains(&(attached.len as usize)), "the length of a block")?;
        }
        match self {
            Self::Summary(summary) => bound(summary.ids.len() <= SUMMARY_IDS_MAX, "the ids of a summary"),
            Self::Facts(facts) => {
                let most = if facts.request == 0 { FACTS_MAX } else { FACTS_ANSWERED_MAX };
                bound(facts.facts.len() <= most, "the facts of a message")
            }
            Self::Want(want) => bound(want.ids.len() <= SUMMARY_IDS_MAX, "the facts asked for"),
            Self::Have(have) => {
                have.redundancy.check()?;
                bound(have.ids.len() <= IDS_MAX, "the ids of a question")
            }
            Self::Store(store) => store.redundancy.check(),
            Self::HaveReply(reply) => bound(reply.answers.len() <= IDS_MAX, "the answers"),
            Self::FetchReply(reply) => {
                bound((reply.outcome == FetchOutcome::Found) == reply.block.is_some(), "the block of an answer")
            }
            Self::Heads(heads) => bound(heads.known.len() <= FACTS_MAX, "the heads named"),
            Self::HeadsReply(reply) => bound(reply.facts.len() <= FACTS_MAX, "the heads of an answer"),
            Self::CapabilityReply(reply) => {
                bound(reply.capability.as_ref().is_none_or(|text| text.len() <= 1024), "a capability string")
            }
            Self::Unpublished(said) => unpublished(&said.operations),
            Self::Prove(prove) => bound(prove.ids.len() <= IDS_MAX, "the ids to prove"),
            Self::ProveReply(reply) => bound(reply.held.len() <= IDS_MAX, "the proofs"),
            Self::AuditReply(reply) => {
                bound((reply.outcome == FetchOutcome::Found) == reply.proof.is_some(), "the proof of an answer")
            }
            Self::ListBlocksReply(reply) => records(&reply.records),
            Self::RelayedStore(store) => store.check(),
            Self::NotRelayed(not) => not.check(),
            Self::RelayedStoreReply(reply) => reply.redundancy.check(),
            Self::Prints(prints) => prints.check(),
            Self::PrintsReply(reply) => reply.check(),
            Self::Holdings(holdings) => holdings.check(),
            Self::HoldingsReply(reply) => reply.check(),
            Self::Offer(offer) => check_holdings(&offer.items),
            Self::OfferReply(reply) => bound(reply.outcomes.len() <= IDS_MAX, "the answers"),
            Self::PullReply(reply) => reply.check(),
            Self::Heard(heard) => heard.check(),
            Self::Grant(grant) => grant.check(),
            Self::Assure(assure) => bound(assure.ids.len() <= IDS_MAX, "the ids of a question"),
            Self::AssureReply(reply) => reply.check(),
            Self::Meet(meet) => check_candidates(&meet.candidates),
            Self::MeetReply(reply) => reply.check(),
            Self::Introduced(introduced) => check_candidates(&introduced.session.candidates),
            Self::IntroducedReply(said) | Self::KnockAgain(said) => check_candidates(&said.candidates),
            Self::Probe(probe) => probe.check(),
            _ => Ok(()),
        }
    }
}

fn unpublished(operations: &[UnpublishedOperation]) -> Result<(), FormatError> {
    bound(operations.len() <= UNPUBLISHED_MAX, "the operations")?;
    ascending(operations, |operation| (operation.volume, operation.writer))
}

fn records(records: &[HeldBlock]) -> Result<(), FormatError> {
    bound(records.len() <= IDS_MAX, "the records")?;
    let lengths = 1..=crate::block::BLOCK_BYTES_MAX;
    bound(records.iter().all(|held| lengths.contains(&(held.len as usize))), "the length of a block")?;
    ascending(records, |held| held.id)
}
