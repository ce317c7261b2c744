//! Which addresses of a peer are worth a packet, and what a list of them says about its router.

use std::net::{IpAddr, SocketAddr};

use fsdfs_proto::ids::UdpAddress;
use fsdfs_proto::message::meeting::{CANDIDATES_MAX, Candidate, CandidateKind};

use crate::net::findings::is_local;
use crate::net::socket::is_virtual;

/// Where to knock for a peer with these candidates: IPv6 first, for there only firewalls stand in the way. Private addresses
/// only if both nodes may be in one home: else they would lead to a stranger's machine.
pub(super) fn targets(own: &[Candidate], peer: &[Candidate]) -> Vec<SocketAddr> {
    let own: Vec<SocketAddr> = own.iter().map(address_of).collect();
    let shares_router = peer.iter().map(address_of).any(|peer| {
        let is_shared = |own: &SocketAddr| own.ip() == peer.ip();
        !is_local(peer.ip()) && own.iter().any(is_shared)
    });
    let mut found = Vec::new();
    for address in peer.iter().map(address_of).take(CANDIDATES_MAX) {
        let near = || shares_router || own.iter().any(|own| share_network(own.ip(), address.ip()));
        let is_wanted = !is_local(address.ip()) || near();
        if is_usable(&address) && is_wanted && !own.contains(&address) && !found.contains(&address) {
            found.push(address);
        }
    }
    found.sort_by_key(SocketAddr::is_ipv4);
    found
}

/// Whether its router gives every peer another port: members see it at one address with several ports.
pub(super) fn is_symmetric(candidates: &[Candidate]) -> bool {
    let seen: Vec<SocketAddr> =
        candidates.iter().filter(|known| known.kind == CandidateKind::Seen).map(address_of).collect();
    let differs = |one: &SocketAddr, other: &SocketAddr| one.ip() == other.ip() && one.port() != other.port();
    seen.iter().enumerate().any(|(number, one)| seen[number + 1..].iter().any(|other| differs(one, other)))
}

/// As it comes in a message.
pub(super) fn read(address: UdpAddress) -> Option<SocketAddr> {
    Some(SocketAddr::from(address)).filter(is_usable)
}

fn address_of(candidate: &Candidate) -> SocketAddr {
    SocketAddr::from(candidate.address)
}

/// Whether a packet may be sent there at all. A link-local address of IPv6 says nothing without the interface.
pub(super) fn is_usable(address: &SocketAddr) -> bool {
    let ip = address.ip();
    let is_none_elsewhere = match ip {
        IpAddr::V4(ip) => ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !is_none_elsewhere && !is_virtual(ip)
}

/// One /24, or one /64.
fn share_network(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets()[..3] == other.octets()[..3],
        (IpAddr::V6(one), IpAddr::V6(other)) => one.octets()[..8] == other.octets()[..8],
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn candidates(texts: &[(CandidateKind, &str)]) -> Vec<Candidate> {
        let of = |(kind, text): &(CandidateKind, &str)| Candidate {
            kind: *kind,
            address: text.parse::<SocketAddr>().unwrap().into(),
        };
        texts.iter().map(of).collect()
    }

    fn knocked_at(own: &[&str], peer: &[&str]) -> Vec<String> {
        let of = |texts: &[&str]| {
            candidates(&texts.iter().map(|text| (CandidateKind::Interface, *text)).collect::<Vec<_>>())
        };
        targets(&of(own), &of(peer)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn private_addresses_count_in_one_home_only() {
        let peer = ["192.168.1.9:5", "203.0.113.7:5", "[2001:db8::7]:5"];
        assert_eq!(knocked_at(&["192.168.7.2:5"], &peer), ["[2001:db8::7]:5", "203.0.113.7:5"]);
        assert_eq!(knocked_at(&["192.168.1.2:5"], &peer).len(), 3, "one network");
        assert_eq!(knocked_at(&["10.0.0.2:5", "203.0.113.7:6"], &peer).len(), 3, "one router");
        assert_eq!(knocked_at(&["127.0.0.1:5"], &["127.0.0.1:6"]), ["127.0.0.1:6"], "one machine");
        assert_eq!(knocked_at(&["10.0.0.2:5"], &["127.0.0.1:6"]), [""; 0]);
    }

    #[test]
    fn nothing_is_sent_where_no_peer_can_be() {
        let junk = [
            "0.0.0.0:5",
            "224.0.0.1:5",
            "255.255.255.255:5",
            "198.51.100.1:0",
            "[ff02::1]:5",
            "[fe80::1]:5",
            "[fd5f:7366::1]:1",
            "198.51.100.2:5",
        ];
        assert_eq!(knocked_at(&["198.51.100.2:5"], &junk), [""; 0], "the last is this node itself");
    }

    #[test]
    fn a_router_that_gives_every_peer_another_port_shows_in_the_ports_seen() {
        use CandidateKind::{Interface, Seen};
        assert!(is_symmetric(&candidates(&[(Seen, "198.51.100.1:5"), (Seen, "198.51.100.1:6")])));
        assert!(!is_symmetric(&candidates(&[(Seen, "198.51.100.1:5"), (Seen, "198.51.100.2:6")])));
        assert!(!is_symmetric(&candidates(&[(Seen, "198.51.100.1:5"), (Interface, "198.51.100.1:6")])));
    }
}
