//! Whether others can reach this node, as far as router and members could tell.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::net::command::{AddressTable, OwnAddresses};
use crate::net::findings::{AddressTranslation, MappingState, Reachability, is_public};
use crate::net::way_out::WayOut;

/// Four packets that keep a link alive are missing, and what was sent when the first one was has been repeated.
const SILENCE_MIN: Duration = Duration::from_secs(10);

/// What is known of the way to this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReachReport {
    /// Addresses of this machine on which the node listens.
    pub listening: Vec<SocketAddr>,
    /// What the router does with the node's port, as to IPv4.
    pub mapping: MappingState,
    /// What its firewall does with it, as to IPv6.
    pub pinhole: MappingState,
    /// What members found out. Addresses about which nobody could tell anything are not in it.
    pub verdicts: BTreeMap<SocketAddr, Reachability>,
    /// The node's public addresses as peers see them, each with how many do.
    pub seen: BTreeMap<SocketAddr, usize>,
    /// What the router does with its address on the way out.
    pub translation: AddressTranslation,
}

/// What that comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProvenReach {
    /// Members sent packets to this address from sockets that were never used before, and they came.
    Open(SocketAddr),
    /// The router says that it forwards this address, or lets it through its firewall; no member could try it yet.
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
        let forwarded = self.mapped().filter(|_| !self.is_mapped_elsewhere());
        let mut told = forwarded.into_iter().chain(self.let_through());
        if let Some(mapped) = told.find(|address| !self.is_closed(*address)) {
            return ProvenReach::Mapped(mapped);
        }
        match self.mapping {
            MappingState::SecondRouter { .. } => ProvenReach::SecondRouter,
            MappingState::Mapped { .. } if self.is_mapped_elsewhere() => ProvenReach::SecondRouter,
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
            MappingState::Mapped { external, .. } => Some(external),
            _ => None,
        }
    }

    /// The IPv6 address of this machine for which the router says that its firewall is open.
    pub fn let_through(&self) -> Option<SocketAddr> {
        match self.pinhole {
            MappingState::Mapped { external, .. } => Some(external),
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
        Self {
            listening: table.listening.iter().copied().collect(),
            mapping: table.mapping,
            pinhole: table.pinhole,
            verdicts: table.verdicts.clone(),
            seen,
            translation: translation(table),
        }
    }
}

/// Compares what members at different addresses see of the one socket. A router that looks at ports only when it chooses is taken
/// for a symmetric one as soon as two members tell.
fn translation(table: &AddressTable) -> AddressTranslation {
    let mut seen_from = BTreeMap::<IpAddr, SocketAddr>::new();
    for (node, seen) in &table.observed {
        let Some(remote) = table.remotes.get(node).map(|remote| remote.ip().to_canonical()) else { continue };
        if remote.is_ipv4()
            && is_public(remote)
            && seen.is_ipv4()
            && is_public(seen.ip())
            && !is_forwarded(table, *seen)
        {
            seen_from.insert(remote, *seen);
        }
    }
    let seen: BTreeSet<SocketAddr> = seen_from.values().copied().collect();
    match (seen_from.len(), seen.len()) {
        (2.., _) if seen.is_subset(&table.listening) => AddressTranslation::None,
        (2.., 1) => AddressTranslation::Cone,
        (2.., _) => AddressTranslation::Symmetric,
        _ => AddressTranslation::Unknown,
    }
}

/// Who dialled an address that is forwarded sees that one, whatever others see.
fn is_forwarded(table: &AddressTable, address: SocketAddr) -> bool {
    let is_mapped = matches!(table.mapping, MappingState::Mapped { external, .. } if external == address);
    is_mapped || table.verdicts.get(&address) == Some(&Reachability::Open)
}

/// Reads the report, also for those who do not hold the network itself.
#[derive(Clone)]
pub struct ReachMeter(pub(in crate::net) Arc<OwnAddresses>);

impl ReachMeter {
    /// What is known now.
    pub fn read(&self) -> ReachReport {
        ReachReport::from(&*self.0.lock())
    }

    /// For how long no packet of any member has come, if that is longer than a link that works is ever silent, and this machine has
    /// a way out: then all of them are off, or something lets no packets of UDP through.
    pub fn silence(&self) -> Option<Duration> {
        let silence = self.0.lock().silence;
        (silence >= SILENCE_MIN && WayOut::now().exists()).then_some(silence)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use fsdfs_proto::ids::NodeId;

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
        let listening = vec![addr("192.168.1.2:24007")];
        ReachReport { listening, mapping, verdicts, seen, ..ReachReport::default() }
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
    fn a_firewall_that_is_open_is_second_to_a_port_that_is_forwarded() {
        let through = "[2600:1::2]:24007";
        let pinhole = MappingState::Mapped { external: addr(through), by: MappingProtocol::Pcp };
        let with = |report| ReachReport { pinhole, ..report };
        let closed = Reachability::Closed;
        let second = MappingState::SecondRouter { external: [10, 0, 0, 1].into(), by: MappingProtocol::Pcp };
        for (report, kind) in [
            (report(MappingState::NotOffered, &[], &[]), ProvenReach::Mapped(addr(through))),
            (report(second, &[], &[]), ProvenReach::Mapped(addr(through))),
            (report(mapped(), &[], &[]), ProvenReach::Mapped(addr("100.0.0.1:24007"))),
            (report(mapped(), &[("100.0.0.1:24007", closed)], &[]), ProvenReach::Mapped(addr(through))),
            (report(second, &[(through, closed)], &[]), ProvenReach::SecondRouter),
            (report(MappingState::NotOffered, &[(through, closed)], &[]), ProvenReach::Closed),
        ] {
            let report = with(report);
            assert_eq!(report.kind(), kind, "{report:?}");
        }
    }

    #[test]
    fn what_members_at_different_places_see_tells_the_kind_of_router() {
        use AddressTranslation::{Cone, None, Symmetric, Unknown};
        let (here, other) = ("100.0.0.1:24007", "100.0.0.1:5");
        for (views, kind) in [
            (&[("100.0.1.1:7", here)][..], Unknown),
            (&[("100.0.1.1:7", here), ("100.0.1.1:8", other)], Unknown),
            (&[("100.0.1.1:7", here), ("192.168.1.9:8", other)], Unknown),
            (&[("100.0.1.1:7", here), ("100.0.2.1:7", "192.168.1.2:24007")], Unknown),
            (&[("100.0.1.1:7", here), ("[2600:1::2]:7", "[2600:2::2]:24007")], Unknown),
            (&[("100.0.1.1:7", here), ("100.0.2.1:7", here)], Cone),
            (&[("100.0.1.1:7", here), ("100.0.2.1:7", other)], Symmetric),
            (&[("100.0.1.1:7", here), ("100.0.2.1:7", here), ("100.0.3.1:7", other)], Symmetric),
            (&[("100.0.1.1:7", "100.0.0.9:24007"), ("100.0.2.1:7", "100.0.0.9:24007")], None),
        ] {
            let table = table(views);
            assert_eq!(ReachReport::from(&table).translation, kind, "{views:?}");
        }
        let mut forwarded = table(&[("100.0.1.1:7", here), ("100.0.2.1:7", other), ("100.0.3.1:7", other)]);
        forwarded.verdicts.insert(addr(here), Reachability::Open);
        assert_eq!(ReachReport::from(&forwarded).translation, Cone, "one of them dialled a port that is forwarded");
        forwarded.remotes.clear();
        assert_eq!(ReachReport::from(&forwarded).translation, Unknown, "nobody is connected directly");
    }

    /// What a node knows of which members at these addresses see these of it.
    fn table(views: &[(&str, &str)]) -> AddressTable {
        let numbered = || (1..).map(|number| NodeId([number; 32])).zip(views);
        AddressTable {
            listening: [addr("192.168.1.2:24007"), addr("100.0.0.9:24007")].into(),
            observed: numbered().map(|(node, (_, seen))| (node, addr(seen))).collect(),
            remotes: numbered().map(|(node, (remote, _))| (node, addr(remote))).collect(),
            ..AddressTable::default()
        }
    }

    #[test]
    fn the_mapped_one_of_two_open_addresses_goes_first() {
        let (mapping, open) = (mapped(), Reachability::Open);
        let report = report(mapping, &[("100.0.0.1:5", open), ("100.0.0.1:24007", open)], &[]);
        assert_eq!(report.open().collect::<Vec<_>>(), [addr("100.0.0.1:24007"), addr("100.0.0.1:5")]);
    }
}
