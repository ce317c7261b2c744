//! What goes into the machine, and what comes out of it.

use std::net::SocketAddr;

use fsdfs_proto::ids::{MeetingId, NodeId, SessionToken};
use fsdfs_proto::message::Message;
use fsdfs_proto::message::meeting::{Candidate, MeetOutcome};

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct Now {
    /// Milliseconds on the monotonic clock.
    pub ms: u64,
    /// Minutes since 1970, by the wall clock: two nodes that cannot talk agree on the hour, or nearly.
    pub minute: u64,
}

/// How packets get to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum MeetPath {
    /// To this address.
    Direct(SocketAddr),
    /// Over a relay, in the session in which this is the token of this node's side.
    Relayed(SessionToken),
}

/// What a member's card says. Looked up when it matters, for cards change.
pub(in crate::net) trait MemberCards {
    /// It may come in, and takes the messages of meetings.
    fn meets(&self, node: NodeId) -> bool;
    /// It forwards for others.
    fn relays(&self, node: NodeId) -> bool;
}

/// What the machine is told.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "most are messages; a box would be an allocation for each")]
pub(in crate::net) enum MeetInput {
    /// This member is looked for.
    Want(NodeId),
    /// It was looked for in vain. `addresses`: where it answered last, from outside of its home; the newest first.
    Unreachable { node: NodeId, addresses: Vec<SocketAddr> },
    /// It is not to be talked to any more.
    Forget(NodeId),
    /// A connection with it is in use from now on; it may take another's place.
    Up { node: NodeId, path: MeetPath },
    /// Packets of the connection in use, a direct one, come from this address now.
    Moved { node: NodeId, address: SocketAddr },
    /// No connection with it is in use any more.
    Down(NodeId),
    /// Nothing came from it for so long that the connection in use may be dead.
    Suspect(NodeId),
    /// So much is lost on the way to it that another relay would be better; what there is is better than nothing.
    Lossy(NodeId),
    /// No connection is left over the session with this token, or a dial over it failed.
    Closed(SessionToken),
    /// A dial to an address where it was heard failed.
    DialFailed { node: NodeId, address: SocketAddr },
    /// How long packets take to it and back.
    Rtt { node: NodeId, ms: u32 },
    /// It said something that concerns meetings.
    Message { from: NodeId, message: Message },
    /// A knock of a meeting that was expected came from this address; the peer made it.
    Knock { peer: NodeId, from: SocketAddr, meeting: MeetingId, round: u8 },
    /// So did an answer to a knock.
    Heard { peer: NodeId, from: SocketAddr, meeting: MeetingId },
    /// Where this node may be reached has changed; the best first.
    OwnCandidates(Vec<Candidate>),
    /// Answer to [`MeetOutput::OpenSession`]. `meeting` is random.
    SessionOpened { meeting: MeetingId, tokens: Result<SessionTokens, MeetOutcome> },
    /// A session that this node forwarded is over by itself: nothing came for long.
    SessionEnded { tokens: [SessionToken; 2] },
    /// The time of [`super::Meetings::deadline`] has come.
    Due,
}

/// Of the two sides of a session that this node forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct SessionTokens {
    pub asker: SessionToken,
    pub other: SessionToken,
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "most are messages; a box would be an allocation for each")]
pub(in crate::net) enum MeetOutput {
    /// Say this to a connected member.
    Send { to: NodeId, message: Message },
    /// Look for it by everything that is known of it.
    Find(NodeId),
    /// Dial it there; it was heard from that address.
    Dial { node: NodeId, address: SocketAddr },
    /// Packets with this token go to this relay and come from it.
    OpenPath { token: SessionToken, relay: NodeId },
    /// Dial it over the session.
    DialOver { node: NodeId, token: SessionToken },
    /// The session is over. Connections over it are, too.
    ClosePath(SessionToken),
    /// Knocks for this meeting with this peer are heard for ten seconds.
    Expect { meeting: MeetingId, peer: NodeId },
    /// They are not any more.
    Forget(MeetingId),
    /// Send a knock there, for this peer.
    Knock { to: SocketAddr, peer: NodeId, meeting: MeetingId, round: u8 },
    /// Answer a knock that came from there.
    Heard { to: SocketAddr, peer: NodeId, meeting: MeetingId, round: u8 },
    /// Forward between these two; answered at once.
    OpenSession { asker: NodeId, other: NodeId },
    /// Forward no more in the session in which this is that node's token.
    StopForwarding { node: NodeId, token: SessionToken },
    /// A member sees this node at this address.
    SeenBy { node: NodeId, address: SocketAddr },
    /// The way to a member is this one now: to an address, or over a relay.
    Path { node: NodeId, address: Option<SocketAddr>, via: Option<NodeId> },
}
