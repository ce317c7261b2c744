//! What is found out about addresses of this node: plain values, which others of this folder make and show.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use fsdfs_proto::control::AddressScope;
use fsdfs_proto::ids::NodeId;

/// How a router is asked to forward a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingProtocol {
    /// Port Control Protocol.
    Pcp,
    /// What came before it.
    NatPmp,
    /// Universal Plug and Play, as most home routers have it.
    Upnp,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MappingState {
    /// Nobody is asked: the owner does not want it, or the node listens on this machine only.
    #[default]
    Off,
    /// There is no router, or this machine has a public address itself.
    NoRouter,
    /// The router has been asked for the first time and has not said anything yet.
    Asking,
    /// The router forwards this address to the node, or lets through what is sent there.
    Mapped {
        /// The router's address and port.
        external: SocketAddr,
        /// How it was asked.
        by: MappingProtocol,
    },
    /// The router forwards, but its own address is no public one: another router, or the provider's, stands before it.
    SecondRouter {
        /// The address between the two.
        external: IpAddr,
        /// How it was asked.
        by: MappingProtocol,
    },
    /// The router speaks none of the protocols, or they are switched off in it.
    NotOffered,
}

/// What a router makes of this node's IPv4 address on the way out, in the words of those who classify routers by that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressTranslation {
    /// Fewer than two members at different places see this node.
    #[default]
    Unknown,
    /// Nothing: they see an address of this machine.
    None,
    /// All of them see one address and port.
    Cone,
    /// They see different ones.
    Symmetric,
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// Whoever knows it can reach this node.
    Open,
    /// Members sent packets there, and nothing came.
    Closed,
}

/// What came of dialling an address without knowing who answers there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeetOutcome {
    /// This member is there, and both have let each other in.
    Met(NodeId),
    /// This member is there, and was connected before.
    Connected(NodeId),
    /// No member of this pool answered.
    Nobody,
    /// The name cannot be looked up.
    NoAddress,
}

/// Of addresses at which members see this node: where a router gives every peer another port, two of them show that.
const SEEN_MAX: usize = 3;

/// The public addresses at which the most members see this node.
pub(super) fn most_seen(
    by: &BTreeMap<NodeId, SocketAddr>,
    is_public: impl Fn(IpAddr) -> bool,
) -> impl Iterator<Item = SocketAddr> {
    let mut counted = BTreeMap::<SocketAddr, usize>::new();
    for address in by.values().filter(|address| is_public(address.ip())) {
        *counted.entry(*address).or_default() += 1;
    }
    let mut counted: Vec<(SocketAddr, usize)> = counted.into_iter().collect();
    counted.sort_by_key(|(address, times)| (Reverse(*times), *address));
    counted.into_iter().take(SEEN_MAX).map(|(address, _)| address)
}

/// Whether the world can send to this address: it is neither of a local network nor of a provider's own translation.
pub(super) fn is_public(ip: IpAddr) -> bool {
    AddressScope::of(&SocketAddr::new(ip, 1).to_string()) == AddressScope::Public && !ip.is_unspecified()
}

/// Whether it is in a local network of this node, or on this machine: what goes there costs no uplink, and leads to a stranger's
/// machine from anywhere else. The addresses between a provider's translation and a home are none of these.
pub(super) fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::is_local;

    #[test]
    fn a_local_network_has_private_addresses_and_a_providers_has_none() {
        let local =
            ["127.0.0.1", "10.1.2.3", "192.168.0.7", "169.254.1.1", "::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"];
        let others = ["8.8.8.8", "100.64.0.1", "2001:db8::1", "::ffff:8.8.8.8"];
        let is_local = |ip: &str| is_local(ip.parse().unwrap());
        assert!(local.into_iter().all(is_local) && !others.into_iter().any(is_local));
    }
}
