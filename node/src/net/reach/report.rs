//! Whether others can reach this node, as far as router and members could tell.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::net::command::{AddressTable, OwnAddresses};
use crate::net::findings::{MappingState, Reachability, is_public};

/// What is known of the way to this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReachReport {
    /// Addresses of this machine on which the node listens.
    pub listening: Vec<SocketAddr>,
    /// What the router does with the node's port.
    pub mapping: MappingState,
    /// What members found out. Addresses about which nobody could tell anything are not in it.
    pub verdicts: BTreeMap<SocketAddr, Reachability>,
    /// The node's public addresses as peers see them, each with how many do.
    pub seen: BTreeMap<SocketAddr, usize>,
}

/// What that comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProvenReach {
    /// Members sent packets to this address from sockets that were never used before, and they came.
    Open(SocketAddr),
    /// The router says that it forwards this address; no member could try it yet.
    Mapped(SocketAddr),
    /// The router forwards, but another one stands before it; or it forwards an address under which nobody sees this node.
    SecondRouter,
    /// Members tried the node's addresses, and nothing came.
    Closed,
    /// Nobody could tell.
    Unknown,
}

impl ReachReport {
    /// The best that is known.
    pub fn kind(&self) -> ProvenReach {
        if let Some(open) = self.open().next() {
            return ProvenReach::Open(open);
        }
        match self.mapping {
            MappingState::SecondRouter { .. } => ProvenReach::SecondRouter,
            MappingState::Mapped { .. } if self.is_mapped_elsewhere() => ProvenReach::SecondRouter,
            MappingState::Mapped { external, .. } if !self.is_closed(external.into()) => {
                ProvenReach::Mapped(external.into())
            }
            _ if self.verdicts.is_empty() => ProvenReach::Unknown,
            _ => ProvenReach::Closed,
        }
    }

    /// Addresses that are proven to be open: those that routers forward for the longest first.
    pub fn open(&self) -> impl Iterator<Item = SocketAddr> {
        let open = self.verdicts.iter().filter(|(_, verdict)| **verdict == Reachability::Open);
        let mut open: Vec<SocketAddr> = open.map(|(address, _)| *address).collect();
        // What the router was asked for, then what somebody sees, which may be another one tomorrow.
        let mapped = self.mapped();
        open.sort_by_key(|address| (Some(*address) != mapped, !self.listening.contains(address), *address));
        open.into_iter()
    }

    /// The public address that the router says it forwards.
    pub fn mapped(&self) -> Option<SocketAddr> {
        match self.mapping {
            MappingState::Mapped { external, .. } => Some(external.into()),
            _ => None,
        }
    }

    /// Members tried it in vain.
    pub fn is_closed(&self, address: SocketAddr) -> bool {
        self.verdicts.get(&address) == Some(&Reachability::Closed)
    }

    /// Peers see this node under public addresses, and none of them is the router's: between the two stands another router.
    fn is_mapped_elsewhere(&self) -> bool {
        let Some(mapped) = self.mapped() else { return false };
        let mut seen = self.seen.keys().filter(|seen| seen.is_ipv4()).peekable();
        seen.peek().is_some() && seen.all(|seen| seen.ip() != mapped.ip())
    }
}

impl From<&AddressTable> for ReachReport {
    fn from(table: &AddressTable) -> Self {
        let mut seen = BTreeMap::new();
        for address in table.observed.values().filter(|address| is_public(address.ip())) {
            *seen.entry(*address).or_default() += 1;
        }
        let listening = table.listening.iter().copied().collect();
        Self { listening, mapping: table.mapping, verdicts: table.verdicts.clone(), seen }
    }
}

/// Reads the report, also for those who do not hold the network itself.
#[derive(Clone)]
pub struct ReachMeter(pub(in crate::net) Arc<OwnAddresses>);

impl ReachMeter {
    /// What is known now.
    pub fn read(&self) -> ReachReport {
        ReachReport::from(&*self.0.lock())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::net::findings::MappingProtocol;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn mapped() -> MappingState {
        MappingState::Mapped { external: "100.0.0.1:24007".parse().unwrap(), by: MappingProtocol::Upnp }
    }

    fn report(mapping: MappingState, verdicts: &[(&str, Reachability)], seen: &[&str]) -> ReachReport {
        let verdicts = verdicts.iter().map(|(address, verdict)| (addr(address), *verdict)).collect();
        let seen = seen.iter().map(|address| (addr(address), 1)).collect();
        ReachReport { listening: vec![addr("192.168.1.2:24007")], mapping, verdicts, seen }
    }

    #[test]
    fn the_best_that_is_known_counts() {
        use ProvenReach as Kind;
        use Reachability::{Closed, Open};
        let second = MappingState::SecondRouter { external: [10, 0, 0, 1].into(), by: MappingProtocol::Pcp };
        let (at, other) = ("100.0.0.1:24007", "100.0.0.1:5");
        for (report, kind) in [
            (report(mapped(), &[], &[]), Kind::Mapped(addr(at))),
            (report(mapped(), &[(at, Open)], &[at]), Kind::Open(addr(at))),
            (report(mapped(), &[(at, Closed), (other, Open)], &[other]), Kind::Open(addr(other))),
            (report(mapped(), &[(at, Closed)], &[at]), Kind::Closed),
            (report(mapped(), &[], &["100.0.9.9:5"]), Kind::SecondRouter),
            (report(mapped(), &[], &["100.0.9.9:5", at]), Kind::Mapped(addr(at))),
            (report(mapped(), &[], &["[2001:db8::1]:5"]), Kind::Mapped(addr(at))),
            (report(second, &[], &[]), Kind::SecondRouter),
            (report(second, &[(other, Open)], &[other]), Kind::Open(addr(other))),
            (report(MappingState::NotOffered, &[], &[other]), Kind::Unknown),
            (report(MappingState::NotOffered, &[(other, Closed)], &[other]), Kind::Closed),
            (ReachReport::default(), Kind::Unknown),
        ] {
            assert_eq!(report.kind(), kind, "{report:?}");
        }
    }

    #[test]
    fn the_mapped_one_of_two_open_addresses_goes_first() {
        let (mapping, open) = (mapped(), Reachability::Open);
        let report = report(mapping, &[("100.0.0.1:5", open), ("100.0.0.1:24007", open)], &[]);
        assert_eq!(report.open().collect::<Vec<_>>(), [addr("100.0.0.1:24007"), addr("100.0.0.1:5")]);
    }
}
