//! Addresses of peers behind a relay. QUIC takes them for any others; they never leave the process.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use fsdfs_proto::ids::SessionToken;

/// Private addresses (RFC 4193), with a global id that stands for "fsdfs, relayed". No interface should have one; packets that
/// claim to come from one are dropped.
const PREFIX: [u8; 8] = [0xfd, 0x5f, 0x73, 0x66, 0, 0, 0, 0];
/// A port must not be 0.
const PORT: u16 = 1;

/// Where QUIC sees the other side of a session, by this side's token.
pub(in crate::net) fn virtual_address(token: SessionToken) -> SocketAddr {
    let mut ip = [0; 16];
    let (prefix, rest) = ip.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(&PREFIX);
    rest.copy_from_slice(&token.0);
    SocketAddr::new(Ipv6Addr::from(ip).into(), PORT)
}

/// The token of a virtual address.
pub(in crate::net) fn token_of(address: SocketAddr) -> Option<SessionToken> {
    let IpAddr::V6(ip) = address.ip() else { return None };
    let ip = ip.octets();
    let token = ip.strip_prefix(&PREFIX).filter(|_| address.port() == PORT)?;
    token.try_into().ok().map(SessionToken)
}

/// Whether an address is, or claims to be, one of these.
pub(in crate::net) fn is_virtual(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.octets()[..4] == PREFIX[..4])
}

/// An address as it is compared: IPv4 is IPv4, and nothing but address and port counts.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_way_there_and_back() {
        let token = SessionToken([1, 2, 3, 4, 5, 6, 7, 0xff]);
        let address = virtual_address(token);
        assert_eq!(address, "[fd5f:7366::102:304:506:7ff]:1".parse().unwrap());
        assert_eq!(token_of(address), Some(token));
        assert!(is_virtual(address.ip()));
    }

    #[test]
    fn other_addresses_are_none() {
        for text in ["192.0.2.1:1", "[fd5f:7367::1]:1", "[2001:db8::1]:1", "[::ffff:192.0.2.1]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!((token_of(address), is_virtual(address.ip())), (None, false), "{text}");
        }
        for forged in ["[fd5f:7366::1]:2", "[fd5f:7366:0:1::1]:1"] {
            let address: SocketAddr = forged.parse().unwrap();
            assert_eq!((token_of(address), is_virtual(address.ip())), (None, true), "{forged}");
        }
    }

    #[test]
    fn only_address_and_port_are_compared() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:7".parse().unwrap();
        assert_eq!(canonical(mapped), "192.0.2.1:7".parse().unwrap());
        let scoped: SocketAddr = "[fe80::1%3]:7".parse().unwrap();
        assert_eq!(canonical(scoped), "[fe80::1]:7".parse().unwrap());
    }
}
