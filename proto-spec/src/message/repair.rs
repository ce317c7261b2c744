//! Messages of repair: comparing what two holders keep, and moving what one of them lacks (spec 04-wire, "Repair").
//!
//! Their places are fixed from level 1 on; what a node does not know yet it ignores.

use serde::{Deserialize, Serialize};

use super::parts::{AttachedBlock, IDS_MAX, Redundancy, RequestId};
use crate::codec::{FormatError, ascending, bound};
use crate::ids::{BlockId, Digest, IdSum, NodeId, VolumeId};
use crate::receipt::BlockReceipt;
use crate::u8_enum;

/// Prefixes in one question about prints at most.
pub const PREFIXES_MAX: usize = 64;
/// Sums under one prefix: one for each value of the next four bits.
pub const PRINT_CHILDREN: usize = 16;
/// Members named by one [`HeardMembers`] at most: as many as a pool has.
pub const HEARD_MAX: usize = 4096;
/// Bytes of a volume's name at most.
pub const VOLUME_NAME_BYTES_MAX: usize = 255;

/// The first bits that ids have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdPrefix {
    /// How many bits count, at most 256.
    pub bits: u16,
    /// An id that begins with them; all further bits are 0.
    pub from: BlockId,
}

/// Asks for the sums over the ids that sender and receiver are both to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrintsRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// The asker's map: sums under two maps cannot be compared.
    pub map: Digest,
    /// Which blocks: 0 those that both are assigned. Others are for programs that spread copies beyond those asked for; who does not
    /// know one answers [`CompareState::NotYet`].
    pub class: u8,
    /// At most [`PREFIXES_MAX`]; none asks for the sum over all.
    pub prefixes: Vec<IdPrefix>,
}

u8_enum! {
    /// Whether a holder could compare.
    pub enum CompareState {
        /// Its answer follows.
        0 => Here,
        /// It has another map; facts are exchanged first.
        1 => OtherMap,
        /// It has not read its index yet, or does not compare blocks of this class.
        2 => NotYet,
        /// Its sums are not so fine: what is in the range is to be compared one by one.
        3 => NotSoFine,
    }
}

/// How many ids, and their keyed sum: one that an author of ids cannot aim at, for the key is the pair's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdPrint {
    /// How many.
    pub count: u64,
    /// Sum of the keyed hashes of (id, redundancies).
    pub sum: IdSum,
}

/// Sums, [`PRINT_CHILDREN`] a prefix asked for, in order; one for the question without a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrintsReply {
    /// Of the question.
    pub request: RequestId,
    /// The answerer's map.
    pub map: Digest,
    /// Without sums unless `Here`.
    pub state: CompareState,
    /// In the order of the prefixes and of the next four bits.
    pub sums: Vec<IdPrint>,
}

/// Compares, one by one, what both hold in a range where the sums differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldingsRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// The asker's map.
    pub map: Digest,
    /// As of [`PrintsRequest`].
    pub class: u8,
    /// Only ids after this one; none = from the first.
    pub after: Option<BlockId>,
    /// Last id.
    pub to: BlockId,
    /// What the asker holds in the range, by the first 8 bytes of each block's keyed hash; at most [`IDS_MAX`]. None of them: it asks for
    /// all.
    pub have: Vec<u64>,
}

/// What is held of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Which.
    pub id: BlockId,
    /// Its bytes.
    pub len: u32,
    /// What redundancy it is held for.
    pub redundancy: Redundancy,
    /// Milliseconds since its oldest holder first saw it.
    pub age_ms: u64,
    /// Milliseconds since its lease was last renewed.
    pub lease_ms: u64,
    /// Whose it is, and the signature that goes with every copy.
    pub receipt: BlockReceipt,
    /// Bit 0 ([`Holding::UNNEEDED`]): no tree that the sender knew at its last mark refers to it. Further bits MUST be ignored.
    pub flags: u8,
}

impl Holding {
    /// No tree that the sender knew at its last mark refers to it.
    pub const UNNEEDED: u8 = 1;
}

/// A page of holdings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldingsReply {
    /// Of the question.
    pub request: RequestId,
    /// Nothing is said of any block unless `Here`.
    pub state: CompareState,
    /// What the answerer holds in the range and the asker did not name, ascending by id, at most [`IDS_MAX`].
    pub items: Vec<Holding>,
    /// Which of those that the asker named the answerer does not hold, by their places in the question, ascending; none are named
    /// unless the whole range was looked at.
    pub lacks: Vec<u16>,
    /// The range goes on after this id: ask again. None: it was looked at to its end.
    pub next: Option<BlockId>,
}

/// "These I hold and the map wants them with you."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// The sender's map.
    pub map: Digest,
    /// At most [`IDS_MAX`], ascending by id.
    pub items: Vec<Holding>,
}

u8_enum! {
    /// What becomes of a block that was offered.
    pub enum OfferOutcome {
        /// It is here, or not wanted here.
        0 => No,
        /// It will be pulled.
        1 => WillPull,
        /// The index is not read yet.
        2 => NotYet,
        /// No room.
        3 => Full,
    }
}

/// Answers in the order of the offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferReply {
    /// Of the offer.
    pub request: RequestId,
    /// One an item.
    pub outcomes: Vec<OfferOutcome>,
}

/// Asks for a block that is not urgent: it is served under the server's budget, behind what people wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// Which.
    pub id: BlockId,
}

u8_enum! {
    /// Whether a pulled block follows.
    pub enum PullOutcome {
        /// It follows.
        1 => Found,
        /// Not here.
        2 => No,
        /// The budget is used up; ask again after the wait.
        3 => Later,
        /// It was here, but its record is damaged.
        4 => Damaged,
    }
}

/// Answer to [`PullRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullReply {
    /// Of the question.
    pub request: RequestId,
    /// What follows, or why nothing does.
    pub outcome: PullOutcome,
    /// With [`PullOutcome::Later`]: milliseconds; 0 otherwise.
    pub wait_ms: u64,
    /// With [`PullOutcome::Found`] only.
    pub block: Option<AttachedBlock>,
}

/// Whom the sender exchanged facts with while that one had no heads of its own to tell: whoever removes a replica has to know
/// that no member keeps a tree to itself in which the block stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardMembers {
    /// The sender has heads that it told nobody of.
    pub unpublished: bool,
    /// Ascending by node, at most [`HEARD_MAX`].
    pub members: Vec<HeardMember>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardMember {
    /// Who.
    pub node: NodeId,
    /// How long ago facts were exchanged with it, in milliseconds; none if they never were while it kept none to itself.
    pub age_ms: Option<u64>,
    /// The sender is connected to it now, and hears its heartbeats itself.
    pub connected: bool,
}

/// Hands the capability of a volume to one member, over its own connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// Which volume.
    pub volume: VolumeId,
    /// What the giver calls it, at most [`VOLUME_NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// A capability string (spec 05-volume).
    pub capability: String,
}

/// Answer to [`GrantRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantReply {
    /// Of the grant.
    pub request: RequestId,
    /// Whether it is durable there.
    pub durable: bool,
}

/// Asks how safe the receiver's copies are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssureRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// The asker's map.
    pub map: Digest,
    /// At most [`IDS_MAX`].
    pub ids: Vec<BlockId>,
}

u8_enum! {
    /// How safe a copy is.
    pub enum AssuredState {
        /// Not here.
        0 => No,
        /// Here.
        1 => Held,
        /// The index is not read yet.
        2 => NotYet,
        /// Here, and about to be removed.
        3 => Condemned,
        /// Here, and damaged.
        4 => Damaged,
    }
}

/// One copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssuredCopy {
    /// Its state.
    pub state: AssuredState,
    /// Bytes of the block; 0 unless it is here.
    pub len: u32,
    /// Hours since its bytes were last known to be right, at most: they were written, or read and hashed. None = the holder does not
    /// know of any time since it was written.
    pub verified_h: Option<u32>,
}

/// Answers in the order of the ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssureReply {
    /// Of the question.
    pub request: RequestId,
    /// One an id.
    pub copies: Vec<AssuredCopy>,
}

impl PrintsRequest {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        bound(self.prefixes.len() <= PREFIXES_MAX, "the prefixes")?;
        bound(self.prefixes.iter().all(|prefix| prefix.bits <= 256), "the bits of a prefix")
    }
}

impl HoldingsRequest {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        bound(self.have.len() <= IDS_MAX, "the hashes of a question")
    }
}

impl HoldingsReply {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        let says_something = !self.items.is_empty() || !self.lacks.is_empty() || self.next.is_some();
        bound(self.state == CompareState::Here || !says_something, "the holdings of an answer")?;
        bound(self.lacks.len() <= IDS_MAX && self.lacks.is_sorted(), "the places of an answer")?;
        check_holdings(&self.items)
    }
}

impl PrintsReply {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        bound(self.sums.len() <= PREFIXES_MAX * PRINT_CHILDREN, "the sums")?;
        bound(self.state == CompareState::Here || self.sums.is_empty(), "the sums of an answer")
    }
}

/// Of an offer or a page.
pub(super) fn check_holdings(items: &[Holding]) -> Result<(), FormatError> {
    bound(items.len() <= IDS_MAX, "the holdings")?;
    let lengths = 1..=crate::block::BLOCK_BYTES_MAX;
    bound(items.iter().all(|item| lengths.contains(&(item.len as usize))), "the length of a block")?;
    ascending(items, |item| item.id)
}

impl PullReply {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        bound((self.outcome == PullOutcome::Found) == self.block.is_some(), "the block of an answer")?;
        bound(self.outcome == PullOutcome::Later || self.wait_ms == 0, "the wait of an answer")
    }
}

impl AssureReply {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        bound(self.copies.len() <= IDS_MAX, "the answers")?;
        bound(
            self.copies.iter().all(|copy| copy.len as usize <= crate::block::BLOCK_BYTES_MAX),
            "the length of a block",
        )
    }
}

impl AssuredCopy {
    /// Nothing is known of it.
    pub const UNKNOWN: Self = Self { state: AssuredState::NotYet, len: 0, verified_h: None };
    /// There is none.
    pub const NONE: Self = Self { state: AssuredState::No, len: 0, verified_h: None };
}

impl HeardMembers {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        bound(self.members.len() <= HEARD_MAX, "the members heard")?;
        ascending(&self.members, |member| member.node)
    }
}

impl GrantRequest {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        bound(self.name.len() <= VOLUME_NAME_BYTES_MAX, "the name of a volume")?;
        bound(self.capability.len() <= 1024, "a capability string")
    }
}
