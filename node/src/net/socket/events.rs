//! What comes out of the socket beside QUIC. What waits is bounded; more of it is dropped.

use std::net::SocketAddr;

use fsdfs_proto::ids::NodeId;
use fsdfs_proto::packet::Packet;
use tokio::sync::mpsc;

use super::relay::EndedSession;

/// What a peer said: it made the packet, and somebody here waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct PeerPacket {
    pub peer: NodeId,
    pub from: SocketAddr,
    pub packet: Packet,
}

/// See the module.
#[allow(dead_code, reason = "read where peers that cannot be reached directly are met")]
pub(in crate::net) struct SocketEvents {
    /// Knocks, and answers to them.
    pub knocks: mpsc::Receiver<PeerPacket>,
    /// What shows that an address of this node can be reached.
    pub probes: mpsc::Receiver<PeerPacket>,
    /// Sessions through this node that neither side ended.
    pub ended: mpsc::Receiver<EndedSession>,
}
