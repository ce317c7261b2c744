//! Addresses of this node that members may try.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::net::command::AddressTable;
use crate::net::findings::{is_public, most_seen};

/// Tried at most.
const CANDIDATES_MAX: usize = 8;

/// The owner's, the router's, those that the most members see, and those of this machine, as far as they are public.
pub(super) fn of(table: &AddressTable, named: &[SocketAddr]) -> BTreeSet<SocketAddr> {
    let of_interfaces = table.listening.iter().copied();
    let all =
        named.iter().copied().chain(table.mapped()).chain(most_seen(&table.observed, is_public)).chain(of_interfaces);
    let mut found = BTreeSet::new();
    for address in all.filter(|address| is_public(address.ip()) && address.port() > 0) {
        if found.len() < CANDIDATES_MAX {
            found.insert(address);
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use fsdfs_proto::ids::NodeId;

    use super::*;
    use crate::net::findings::{MappingProtocol, MappingState};

    fn parsed(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn public_addresses_of_all_kinds_are_tried() {
        let seen = parsed(&["100.0.0.1:9", "100.0.0.1:8", "100.0.0.1:7", "100.0.0.1:6", "100.0.0.1:9", "10.0.0.1:5"]);
        let external = "100.0.0.1:24007".parse().unwrap();
        let table = AddressTable {
            listening: parsed(&["192.168.1.2:24007", "[fe80::1]:24007", "[2001:db8::1]:24007"]).into_iter().collect(),
            observed: seen.into_iter().zip(1..).map(|(address, number)| (NodeId([number; 32]), address)).collect(),
            mapping: MappingState::Mapped { external, by: MappingProtocol::Pcp },
            ..AddressTable::default()
        };
        let named = parsed(&["100.0.0.2:24007", "127.0.0.1:24007"]);
        let expected =
            ["100.0.0.1:6", "100.0.0.1:7", "100.0.0.1:9", "100.0.0.1:24007", "100.0.0.2:24007", "[2001:db8::1]:24007"];
        assert_eq!(of(&table, &named).into_iter().collect::<Vec<_>>(), parsed(&expected));
        assert_eq!(of(&AddressTable::default(), &[]), BTreeSet::new());
    }
}
