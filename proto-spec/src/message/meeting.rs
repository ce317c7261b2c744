//! Messages of home networks: a block that travels once, and two nodes behind routers that meet (spec 04-wire, "Meeting").
//!
//! A node that does not meet others yet ignores those of meetings.

use serde::{Deserialize, Serialize};

use super::parts::{AttachedBlock, Redundancy, RequestId, StoreOutcome};
use crate::codec::{FormatError, bound};
use crate::ids::{BlockId, Digest, Key, MeetingId, NodeId, ProbeNonce, SessionToken, UdpAddress};
use crate::label::key as label;
use crate::receipt::BlockReceipt;
use crate::u8_enum;

/// Holders behind the first one at most: with the first they are the eight that a block can be sent through.
pub const RELAY_HOLDERS_MAX: usize = 7;
/// Addresses of a node that wants to be met at most.
pub const CANDIDATES_MAX: usize = 8;
/// Addresses probed for one question at most: what is sent to an address that the asker names has to stay little.
pub const PROBE_ADDRESSES_MAX: usize = 4;

u8_enum! {
    /// Where an address is known from.
    pub enum CandidateKind {
        /// The owner configured it.
        1 => Configured,
        /// A router mapped it.
        2 => Mapped,
        /// A member saw packets come from it.
        3 => Seen,
        /// An interface has it.
        4 => Interface,
    }
}

/// Where a node may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Where it is known from.
    pub kind: CandidateKind,
    /// The address.
    pub address: UdpAddress,
}

/// A block to keep and to send on: it leaves its writer once. Each holder answers `origin` itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayedStore {
    /// Repeated in the receiver's answer to `origin`.
    pub request: RequestId,
    /// The map of `origin`.
    pub map: Digest,
    /// What redundancy is wanted.
    pub redundancy: Redundancy,
    /// As in a store.
    pub age_ms: u64,
    /// As in a store: it goes on with the block.
    pub receipt: BlockReceipt,
    /// Who put the block on its way, and is answered.
    pub origin: NodeId,
    /// Whom it is to be sent on to, one after the other, each with the number that `origin` chose for it; at most
    /// [`RELAY_HOLDERS_MAX`].
    pub holders: Vec<NextHolder>,
    /// What follows.
    pub block: AttachedBlock,
}

/// A holder behind the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHolder {
    /// Who.
    pub node: NodeId,
    /// The number of the question that `origin` has open with it.
    pub request: RequestId,
}

/// To `origin`: what became of a relayed store. It says what was stored and how, because the numbers of the questions came through
/// the hands of others: whoever passes a block on could pass on another one under that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayedStoreReply {
    /// Of the store.
    pub request: RequestId,
    /// The block that came.
    pub id: BlockId,
    /// The redundancy that came with it.
    pub redundancy: Redundancy,
    /// The age that came with it.
    pub age_ms: u64,
    /// What became of it.
    pub outcome: StoreOutcome,
}

/// To `origin`: a relayed store was not sent on to those whose questions these are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRelayed {
    /// At most [`RELAY_HOLDERS_MAX`].
    pub requests: Vec<RequestId>,
}

/// To a relay: "connect me with that node."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeetRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// Whom.
    pub node: NodeId,
    /// At most [`CANDIDATES_MAX`].
    pub candidates: Vec<Candidate>,
}

u8_enum! {
    /// Whether a relay helps.
    pub enum MeetOutcome {
        /// A session is open.
        1 => Met,
        /// The relay is not connected with that node directly.
        2 => NotConnected,
        /// Too many sessions.
        3 => Full,
        /// This node does not relay.
        4 => NoRelay,
    }
}

/// One side of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelaySession {
    /// On each packet to the relay.
    pub token: SessionToken,
    /// For knocks.
    pub meeting: MeetingId,
    /// The other side's, at most [`CANDIDATES_MAX`].
    pub candidates: Vec<Candidate>,
}

/// Answer to [`MeetRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeetReply {
    /// Of the question.
    pub request: RequestId,
    /// What came of it.
    pub outcome: MeetOutcome,
    /// With [`MeetOutcome::Met`] only.
    pub session: Option<RelaySession>,
    /// Round trip between relay and the other node, in milliseconds.
    pub rtt_ms: u32,
}

/// From a relay to the node that another wants to meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduced {
    /// Who wants to meet the receiver.
    pub node: NodeId,
    /// The receiver's side.
    pub session: RelaySession,
}

/// Candidates for a meeting: to the relay in answer to [`Introduced`], or to the other side over the relayed connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeetingCandidates {
    /// Which meeting.
    pub meeting: MeetingId,
    /// At most [`CANDIDATES_MAX`].
    pub candidates: Vec<Candidate>,
}

/// Asks a member to send a packet with the nonce to each address, from a socket that was never used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeRequest {
    /// Repeated in the answer.
    pub request: RequestId,
    /// Comes back in the packets.
    pub nonce: ProbeNonce,
    /// At most [`PROBE_ADDRESSES_MAX`].
    pub addresses: Vec<UdpAddress>,
}

/// The meeting of two nodes that cannot find each other, in this hour since 1970: both know its id by themselves.
pub fn standing_meeting(secret: &Key, mut pair: [NodeId; 2], hour: u64) -> MeetingId {
    pair.sort();
    let hour = hour.to_be_bytes();
    let info = [label::STANDING_MEETING.as_bytes(), &[0], &pair[0].0, &pair[1].0, &hour];
    let mut id = [0; 16];
    hkdf::Hkdf::<sha2::Sha256>::new(None, &secret.0)
        .expand_multi_info(&info, &mut id)
        .expect("16 bytes are below the limit of HKDF-SHA256");
    MeetingId(id)
}

impl RelayedStore {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        self.redundancy.check()?;
        bound(self.holders.len() <= RELAY_HOLDERS_MAX, "the holders of a relayed store")
    }
}

impl NotRelayed {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        bound(self.requests.len() <= RELAY_HOLDERS_MAX, "the requests that were not relayed")
    }
}

impl MeetReply {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        bound((self.outcome == MeetOutcome::Met) == self.session.is_some(), "the session of an answer")?;
        self.session.as_ref().map_or(Ok(()), |session| check_candidates(&session.candidates))
    }
}

pub(super) fn check_candidates(candidates: &[Candidate]) -> Result<(), FormatError> {
    bound(candidates.len() <= CANDIDATES_MAX, "the candidates")
}

impl ProbeRequest {
    pub(super) fn check(&self) -> Result<(), FormatError> {
        bound(self.addresses.len() <= PROBE_ADDRESSES_MAX, "the addresses to probe")
    }
}
