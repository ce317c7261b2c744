//! From where an address works.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An address and from where it works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeAddress {
    /// `HOST:PORT`, UDP.
    pub address: String,
    /// From where it works.
    pub scope: AddressScope,
}

impl NodeAddress {
    /// The addresses of a card, with their scopes.
    pub fn described(addresses: &[String]) -> Vec<Self> {
        let described = |address: &String| Self { address: address.clone(), scope: AddressScope::of(address) };
        addresses.iter().map(described).collect()
    }
}

/// From where an address works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AddressScope {
    /// From anywhere, if the router forwards the port.
    Public,
    /// A DNS name: from wherever it leads to.
    Name,
    /// From the same local network or behind the same provider only.
    Private,
    /// From the same machine only.
    Loopback,
}

impl AddressScope {
    /// From where `HOST:PORT` works, as far as the text tells.
    pub fn of(address: &str) -> Self {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        match host.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(IpAddr::V4(ip)) => scope_v4(ip),
            Ok(IpAddr::V6(ip)) => ip.to_ipv4_mapped().map_or_else(|| scope_v6(ip), scope_v4),
            Err(_) if host == "localhost" => Self::Loopback,
            Err(_) => Self::Name,
        }
    }
}

fn scope_v4(ip: Ipv4Addr) -> AddressScope {
    let [first, second, ..] = ip.octets();
    // 100.64.0.0/10: behind a provider's own address translation.
    let is_shared = first == 100 && (64..128).contains(&second);
    if ip.is_loopback() {
        AddressScope::Loopback
    } else if ip.is_private() || ip.is_link_local() || is_shared {
        AddressScope::Private
    } else {
        AddressScope::Public
    }
}

fn scope_v6(ip: Ipv6Addr) -> AddressScope {
    if ip.is_loopback() {
        AddressScope::Loopback
    } else if ip.is_unique_local() || ip.is_unicast_link_local() {
        AddressScope::Private
    } else {
        AddressScope::Public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes() {
        let cases = [
            ("127.0.0.1:1", AddressScope::Loopback),
            ("[::1]:1", AddressScope::Loopback),
            ("192.168.1.7:1", AddressScope::Private),
            ("100.64.0.1:1", AddressScope::Private),
            ("[fe80::1]:1", AddressScope::Private),
            ("[fd00::1]:1", AddressScope::Private),
            ("[::ffff:10.0.0.1]:1", AddressScope::Private),
            ("8.8.8.8:1", AddressScope::Public),
            ("[2001:db8::1]:1", AddressScope::Public),
            ("zoe.example.org:1", AddressScope::Name),
        ];
        for (address, expected) in cases {
            assert_eq!(AddressScope::of(address), expected, "{address}");
        }
    }
}
