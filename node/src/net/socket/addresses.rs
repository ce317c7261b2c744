//! Where peers are that are connected directly.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use fsdfs_proto::ids::NodeId;

use super::virtual_address::{canonical, is_virtual};

/// See the module. As many as there are connections.
#[derive(Default)]
pub(super) struct PeerAddresses(BTreeMap<NodeId, PeerAddress>);

struct PeerAddress {
    at: SocketAddr,
    /// The address of this machine to which it sends: it takes packets from there only.
    local: Option<IpAddr>,
}

impl PeerAddresses {
    /// Its connection comes from there now. False for a virtual address, which says nothing.
    pub fn set(&mut self, node: NodeId, at: SocketAddr) -> bool {
        let is_real = !is_virtual(at.ip());
        let at = canonical(at);
        if is_real && self.of(node) != Some(at) {
            self.0.insert(node, PeerAddress { at, local: None });
        }
        is_real
    }

    /// It is not connected directly any more.
    pub fn remove(&mut self, node: NodeId) {
        self.0.remove(&node);
    }

    pub fn of(&self, node: NodeId) -> Option<SocketAddr> {
        self.0.get(&node).map(|peer| peer.at)
    }

    /// Where it is, and from which address of this machine it takes packets.
    pub fn way_to(&self, node: NodeId) -> Option<(SocketAddr, Option<IpAddr>)> {
        self.0.get(&node).map(|peer| (peer.at, peer.local))
    }

    /// Something came from there to this address of this machine.
    pub fn note_local(&mut self, from: SocketAddr, local: Option<IpAddr>) {
        for peer in self.0.values_mut().filter(|peer| peer.at == from) {
            peer.local = local.or(peer.local);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::net::socket::virtual_address::virtual_address;
    use fsdfs_proto::ids::SessionToken;

    #[test]
    fn a_peer_that_moves_is_somewhere_else_and_talks_to_another_address() {
        let (node, mut peers) = (NodeId([1; 32]), PeerAddresses::default());
        let (before, after): (SocketAddr, SocketAddr) =
            ("[::ffff:192.0.2.1]:7".parse().unwrap(), "[2001:db8::1]:7".parse().unwrap());
        assert!(peers.set(node, before));
        peers.note_local("192.0.2.1:7".parse().unwrap(), Some("192.0.2.9".parse().unwrap()));
        assert!(peers.set(node, before));
        assert_eq!(peers.way_to(node), Some(("192.0.2.1:7".parse().unwrap(), Some("192.0.2.9".parse().unwrap()))));
        assert!(peers.set(node, after));
        peers.note_local("192.0.2.1:7".parse().unwrap(), Some("192.0.2.9".parse().unwrap()));
        assert_eq!(peers.way_to(node), Some((after, None)));
        assert!(!peers.set(node, virtual_address(SessionToken([1; 8]))));
        assert_eq!(peers.of(node), Some(after));
        peers.remove(node);
        assert_eq!(peers.of(node), None);
    }
}
