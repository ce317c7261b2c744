//! Under which addresses this node can be reached.

use std::net::SocketAddr;

use fsdfs_proto::control::AddressScope;

use crate::config::Config;
use crate::net::ReachReport;

/// Addresses of a card at most (spec 01-identity).
const ADDRESSES_MAX: usize = 8;
/// Of them, those that were proven to be open: the owner's own must find room, too.
const OPEN_MAX: usize = 3;

/// What this node's card says, the best first: what members found open, what the router forwards, what the owner named, then
/// what the system names, public addresses first.
pub(super) fn addresses(config: &Config, reach: &ReachReport) -> Vec<String> {
    let open = reach.open().take(OPEN_MAX);
    // Half of the routers that say so forward to nowhere, for another one stands before them; what was tried in vain is not told.
    let mapped = reach.mapped().into_iter().chain(reach.let_through()).filter(|mapped| !reach.is_closed(*mapped));
    let mut all: Vec<String> = open.chain(mapped).map(|addr| addr.to_string()).collect();
    all.extend(config.addresses.iter().cloned());
    all.extend(of_machine(reach).iter().map(ToString::to_string));
    let mut known = std::collections::BTreeSet::new();
    all.retain(|addr| known.insert(addr.clone()));
    all.truncate(ADDRESSES_MAX);
    all
}

fn of_machine(reach: &ReachReport) -> Vec<SocketAddr> {
    let scope = |addr: &SocketAddr| AddressScope::of(&addr.to_string());
    let mut found = reach.listening.clone();
    let others = found.iter().any(|addr| scope(addr) != AddressScope::Loopback);
    found.retain(|addr| !others || scope(addr) != AddressScope::Loopback);
    // A link-local IPv6 address needs an interface's name that no other machine knows.
    found.retain(|addr| !addr.to_string().starts_with("[fe80"));
    // Of one scope IPv4 goes first. One that is closed to the world may serve those who are near.
    found.sort_by_key(|addr| (reach.is_closed(*addr), scope(addr), addr.is_ipv6(), addr.to_string()));
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::RawConfig;
    use crate::net::{MappingProtocol, MappingState, Reachability};

    fn config(addresses: &str) -> Config {
        let text = format!("name = \"zoe\"\nlisten = \"24007\"\nstorage = []\naddresses = [{addresses}]\n");
        let file = Path::new("config.toml");
        RawConfig::parse(file, &text).unwrap().check(Path::new("/home"), file, &text, 1).unwrap()
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn home() -> ReachReport {
        let listening = ["127.0.0.1:24007", "[fe80::1]:24007", "[2001:db8::1]:24007", "192.168.1.2:24007"];
        ReachReport { listening: listening.into_iter().map(addr).collect(), ..ReachReport::default() }
    }

    fn mapped(report: ReachReport) -> ReachReport {
        let external = "100.0.0.1:24007".parse().unwrap();
        ReachReport { mapping: MappingState::Mapped { external, by: MappingProtocol::Pcp }, ..report }
    }

    #[test]
    fn what_is_mapped_or_open_stands_first() {
        let named = "\"zoe.example.org:24007\"";
        let rest = ["zoe.example.org:24007", "[2001:db8::1]:24007", "192.168.1.2:24007"];
        assert_eq!(addresses(&config(named), &home()), rest);
        assert_eq!(addresses(&config(named), &mapped(home())), [&["100.0.0.1:24007"], &rest[..]].concat());
        let mut firewalled = mapped(home());
        firewalled.listening.push(addr("[2600:1::2]:24007"));
        let external = addr("[2600:1::2]:24007");
        firewalled.pinhole = MappingState::Mapped { external, by: MappingProtocol::Pcp };
        let through = [&["100.0.0.1:24007", "[2600:1::2]:24007"], &rest[..]].concat();
        assert_eq!(addresses(&config(named), &firewalled), through);
        let mut open = mapped(home());
        open.verdicts.insert(addr("[2001:db8::1]:24007"), Reachability::Open);
        open.verdicts.insert(addr("100.0.0.1:24007"), Reachability::Closed);
        let expected = ["[2001:db8::1]:24007", "zoe.example.org:24007", "192.168.1.2:24007"];
        assert_eq!(addresses(&config(named), &open), expected, "what was tried in vain is left out");
    }

    #[test]
    fn what_is_closed_to_the_world_stays_for_those_who_are_near() {
        let mut closed = home();
        closed.verdicts.insert(addr("[2001:db8::1]:24007"), Reachability::Closed);
        assert_eq!(addresses(&config(""), &closed), ["192.168.1.2:24007", "[2001:db8::1]:24007"]);
    }

    #[test]
    fn a_port_that_the_owner_forwarded_is_found() {
        let mut open = home();
        open.verdicts.insert(addr("100.0.0.1:999"), Reachability::Open);
        assert_eq!(addresses(&config(""), &open)[0], "100.0.0.1:999");
    }

    #[test]
    fn a_node_on_loopback_says_so() {
        let reach = ReachReport { listening: vec![addr("127.0.0.1:24007")], ..ReachReport::default() };
        assert_eq!(addresses(&config(""), &reach), ["127.0.0.1:24007"]);
    }
}
