//! Between socket addresses and libp2p's multiaddresses.

use std::net::{IpAddr, SocketAddr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// Where QUIC listens or is dialled. A socket for both families shows IPv4 as `::ffff:a.b.c.d`; nobody else gets to see that.
pub(in crate::net) fn quic(addr: SocketAddr) -> Multiaddr {
    Multiaddr::from(addr.ip().to_canonical()).with(Protocol::Udp(addr.port())).with(Protocol::QuicV1)
}

/// The UDP address at the beginning of a multiaddress, if there is one.
pub(in crate::net) fn socket_addr(addr: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = addr.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Udp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// The same of an address on which QUIC version 1 is spoken, and nothing over or beside it. It may name the peer.
pub(super) fn endpoint_addr(addr: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = addr.iter().skip(2);
    let is_quic = matches!(parts.next(), Some(Protocol::QuicV1));
    let is_all = parts.all(|part| matches!(part, Protocol::P2p(_)));
    socket_addr(addr).filter(|_| is_quic && is_all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::net::SocketAddr;

    use super::{endpoint_addr, quic, socket_addr};
    use libp2p::PeerId;

    #[test]
    fn addresses_survive_the_way_there_and_back() {
        for text in ["127.0.0.1:7000", "[::1]:7000"] {
            let addr: SocketAddr = text.parse().unwrap();
            assert_eq!(socket_addr(&quic(addr)), Some(addr));
            assert_eq!(endpoint_addr(&quic(addr).with_p2p(PeerId::random()).unwrap()), Some(addr));
        }
    }

    #[test]
    fn ipv4_is_never_shown_as_ipv6() {
        let mapped = "[::ffff:192.0.2.1]:7000".parse().unwrap();
        assert_eq!(quic(mapped), "/ip4/192.0.2.1/udp/7000/quic-v1".parse().unwrap());
    }

    #[test]
    fn only_quic_version_1_over_udp_is_dialled() {
        let others = [
            "/ip4/127.0.0.1/tcp/7",
            "/ip4/127.0.0.1/udp/7",
            "/ip4/127.0.0.1/udp/7/quic",
            "/ip4/127.0.0.1/tcp/7/quic-v1",
            "/ip4/127.0.0.1/udp/7/quic-v1/webtransport",
            "/ip4/127.0.0.1/udp/7/quic-v1/p2p-circuit",
            "/dns4/localhost/udp/7/quic-v1",
        ];
        for other in others {
            assert_eq!(endpoint_addr(&other.parse().unwrap()), None, "{other}");
        }
    }
}
