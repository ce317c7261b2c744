//! From where an address works, and who therefore cannot reach whom.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fsdfs_core::report::{MemberReport, Presence};
use fsdfs_proto::control::{AddressScope, NodeAddress};

/// The addresses of a card, with their scopes.
pub fn described(addresses: &[String]) -> Vec<NodeAddress> {
    addresses.iter().map(|address| NodeAddress { address: address.clone(), scope: scope(address) }).collect()
}

/// From where `HOST:PORT` works, as far as the text tells.
pub fn scope(address: &str) -> AddressScope {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V4(ip)) => scope_v4(ip),
        Ok(IpAddr::V6(ip)) => ip.to_ipv4_mapped().map_or_else(|| scope_v6(ip), scope_v4),
        Err(_) if host == "localhost" => AddressScope::Loopback,
        Err(_) => AddressScope::Name,
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

/// Whether other houses can try to reach any of these.
pub fn is_reachable_from_outside(addresses: &[String]) -> bool {
    addresses.iter().any(|address| matches!(scope(address), AddressScope::Public | AddressScope::Name))
}

/// What to say when no other house can reach these.
pub fn closed_in_warning(who: &str, addresses: &[String]) -> String {
    match addresses.first() {
        None => format!("{who} tells no address: others cannot reach it, it can only reach them"),
        Some(address) if addresses.iter().all(|address| scope(address) == AddressScope::Loopback) => {
            format!(
                "{who} listens on its own machine only ({address}): other machines never reach it; see listen in its config.toml"
            )
        }
        Some(address) => {
            let port = address.rsplit_once(':').map_or("", |(_, port)| port);
            format!(
                "{who} has only addresses of its local network ({address}): other houses reach it once its router forwards \
                 UDP port {port} and its config.toml says addresses = [\"NAME-OR-PUBLIC-IP:{port}\"]"
            )
        }
    }
}

/// Who cannot reach whom. Members at one site count as one network.
pub fn warnings(members: &[MemberReport]) -> Vec<String> {
    let here = members.iter().filter(|member| matches!(member.presence, Presence::Up | Presence::Away));
    let closed: Vec<&MemberReport> = here.filter(|member| !is_reachable_from_outside(&member.addrs)).collect();
    let others = |one: &MemberReport| members.iter().any(|other| other.site != one.site);
    let mut warnings: Vec<String> = closed
        .iter()
        .filter(|member| others(member) && !is_on_one_machine(members))
        .map(|member| closed_in_warning(&member.name, &member.addrs))
        .collect();
    warnings.extend(cannot_meet(&closed, is_on_one_machine(members)));
    warnings
}

/// A pool for trying things out: everybody tells loopback addresses only, and reaches everybody.
fn is_on_one_machine(members: &[MemberReport]) -> bool {
    members.iter().flat_map(|member| &member.addrs).all(|address| scope(address) == AddressScope::Loopback)
}

fn cannot_meet(closed: &[&MemberReport], is_one_machine: bool) -> Option<String> {
    let apart = closed.iter().any(|one| closed.iter().any(|other| one.site != other.site));
    let names: Vec<&str> = closed.iter().map(|member| member.name.as_str()).collect();
    (apart && !is_one_machine).then(|| {
        format!(
            "{} cannot reach each other unless they share a local network; through members that both reach they see the same files",
            names.join(", ")
        )
    })
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
            assert_eq!(scope(address), expected, "{address}");
        }
    }
}
