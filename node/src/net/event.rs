//! What the network tells the daemon's loop.

use std::net::SocketAddr;

use fsdfs_core::seam::{BlockPayload, PeerPath};
use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Message;

use crate::net::handshake::rejection::HandshakeRejected;

/// What a member said about probes: nothing that the daemon's loop has to hear.
#[derive(Debug)]
pub(super) struct ProbeMessage {
    pub from: NodeId,
    pub message: Message,
}

/// What happens in the network.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "most events are messages; a box would be an allocation for each")]
pub enum NetEvent {
    /// A member is connected. It and this node have let each other in.
    Up {
        /// Who.
        node: NodeId,
        /// What it showed at the gate, and the admissions that were made there.
        facts: Vec<Fact>,
    },
    /// The connection is over. Messages that were on the way in either direction may be lost; none comes after this.
    Down {
        /// Whose.
        node: NodeId,
    },
    /// It sent a fact whose signature is wrong; its connection ends.
    Misbehaved {
        /// Who.
        node: NodeId,
    },
    /// Bytes of a block moved, in either direction. At most four times a second for each peer.
    Progress {
        /// Whose.
        node: NodeId,
    },
    /// A block that another member put, and that this node passes on, has left.
    Relayed {
        /// To whom.
        node: NodeId,
        /// Whom the block is charged to.
        member: NodeId,
        /// Its length.
        bytes: usize,
    },
    /// The end of a [`Net::find`] that found nobody.
    Unreachable {
        /// Whom.
        node: NodeId,
        /// If it was reached but did not let this node in: what it said.
        refused: Option<HandshakeRejected>,
    },
    /// A member said something.
    Message {
        /// Who.
        from: NodeId,
        /// What.
        message: Message,
        /// The block behind it. It holds a share of the inbound budget until its last copy is dropped.
        payload: BlockPayload,
    },
    /// How a connected member is reached now. It may come before `Up`.
    Path {
        /// Who.
        node: NodeId,
        /// The way of its packets.
        path: PeerPath,
        /// The member that relays; none: directly.
        via: Option<NodeId>,
        /// There and back, in milliseconds, if it is known.
        rtt_ms: Option<u32>,
        /// It goes through another member now, or does so no more.
        is_change: bool,
    },
    /// Repair may send so many bytes in a second from now on; 0: none.
    RepairBudget(u64),
    /// Whether packets are forwarded between other members from now on.
    Relays(bool),
    /// This machine slept, or has other addresses or another way out.
    Moved,
    /// The node listens on this address of this machine.
    Listening(SocketAddr),
    /// What is known of this node's addresses is different; see [`Net::reach`](crate::net::Net::reach).
    AddressesChanged,
}
