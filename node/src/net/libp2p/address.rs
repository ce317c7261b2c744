//! Between the program's names (node ids, socket addresses) and libp2p's.

use fsdfs_proto::ids::NodeId;
use libp2p::identity::{PublicKey, ed25519};
use libp2p::{Multiaddr, PeerId};

pub(super) use crate::net::quic::address::{quic, socket_addr};
use crate::net::socket;

/// Multihash code under which a short public key is its own hash.
const IDENTITY_HASH: u64 = 0;

/// Whether it leads through a relay: only in this process it is an address at all.
pub(super) fn is_virtual(addr: &Multiaddr) -> bool {
    socket_addr(addr).is_some_and(|addr| socket::is_virtual(addr.ip()))
}

/// None if the bytes are not a point on the curve.
pub(super) fn peer_id(node: NodeId) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(&node.0).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// None if the peer's key is not Ed25519: no member of any pool has another.
pub(super) fn node_id(peer: &PeerId) -> Option<NodeId> {
    let hash = peer.as_ref();
    if hash.code() != IDENTITY_HASH {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(hash.digest()).ok()?;
    Some(NodeId(key.try_into_ed25519().ok()?.to_bytes()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::{node_id, peer_id};
    use fsdfs_proto::ids::NodeId;
    use libp2p::identity::Keypair;

    #[test]
    fn node_ids_and_peer_ids_name_the_same_key() {
        let key = Keypair::generate_ed25519();
        let node = node_id(&key.public().to_peer_id()).unwrap();
        assert_eq!(peer_id(node), Some(key.public().to_peer_id()));
        assert!((0..=255).any(|byte| peer_id(NodeId([byte; 32])).is_none()), "not all bytes are a key");
    }
}
