//! Whether others can reach a node, and what would help.

use fsdfs_proto::control::{self, ReachabilityKind, ReachabilityStatus};

use crate::client::{AddressTranslation, MappingProtocol, MappingState, ProvenReach, ReachReport};

/// As a line of `status`. `port` is the node's own; `is_local`: it listens on its own machine only.
pub(crate) fn status(report: &ReachReport, port: u16, is_local: bool) -> ReachabilityStatus {
    let by_hand = format!("forward UDP port {port} to this machine");
    let mapped = report.mapped().map(|mapped| format!("{mapped} ({})", protocol(report.mapping)));
    let (kind, text) = match report.kind() {
        _ if is_local => (ReachabilityKind::Unknown, "this machine only: the node listens on loopback".to_owned()),
        ProvenReach::Open(address) if report.mapped() == Some(address) => (
            ReachabilityKind::Open,
            format!("open: members reach {address}, which the router forwards ({})", protocol(report.mapping)),
        ),
        ProvenReach::Open(address) if report.let_through() == Some(address) => (
            ReachabilityKind::Open,
            format!("open: members reach {address}, for which the router's firewall is open (PCP)"),
        ),
        ProvenReach::Open(address) => (ReachabilityKind::Open, format!("open: members reach {address}")),
        ProvenReach::Mapped(address) if report.let_through() == Some(address) => (
            ReachabilityKind::Mapped,
            format!(
                "mapped: the router says that its firewall is open for {address} (PCP); no member at another place has \
                 tried it yet"
            ),
        ),
        ProvenReach::Mapped(_) => (
            ReachabilityKind::Mapped,
            format!(
                "mapped: the router forwards {}; no member at another place has tried it yet",
                mapped.unwrap_or_default()
            ),
        ),
        ProvenReach::SecondRouter => {
            (ReachabilityKind::SecondRouter, second_router(report, &by_hand) + means(report.translation))
        }
        ProvenReach::Closed => (
            ReachabilityKind::Closed,
            match mapped {
                Some(mapped) => format!(
                    "closed: the router says that it forwards {mapped}, but nothing of what members sent came; another \
                     router or a firewall stands in between{}",
                    means(report.translation)
                ),
                None if report.translation == AddressTranslation::None => format!(
                    "closed: members sent packets and none came, although this machine has a public address; open UDP port \
                     {port} in the firewall"
                ),
                None => format!(
                    "closed: members sent packets and none came; switch on UPnP, NAT-PMP or PCP in the router, or {by_hand}{}",
                    means(report.translation)
                ),
            },
        ),
        ProvenReach::Unknown => {
            (ReachabilityKind::Unknown, unknown(report.mapping, &by_hand) + means(report.translation))
        }
    };
    let translation = match report.translation {
        AddressTranslation::None => control::AddressTranslation::None,
        AddressTranslation::Cone => control::AddressTranslation::Cone,
        AddressTranslation::Symmetric => control::AddressTranslation::Symmetric,
        AddressTranslation::Unknown => control::AddressTranslation::Unknown,
    };
    ReachabilityStatus { kind, translation, text }
}

/// What members that cannot be reached either may expect.
fn means(translation: AddressTranslation) -> &'static str {
    match translation {
        AddressTranslation::Cone => {
            "; until then this node and others behind a router like this one (cone: one port for all members) meet through a \
             member that both reach, and talk directly from then on"
        }
        AddressTranslation::Symmetric => {
            "; until then members that cannot be reached either talk to this node through another member only, for this router \
             gives each of them another port (symmetric)"
        }
        AddressTranslation::None | AddressTranslation::Unknown => "",
    }
}

fn second_router(report: &ReachReport, by_hand: &str) -> String {
    let outside = match report.mapping {
        MappingState::SecondRouter { external, .. } => format!("has no public address itself ({external})"),
        _ => format!(
            "says that it has {}, where members do not see this node",
            report.mapped().map_or_else(String::new, |at| at.ip().to_string())
        ),
    };
    format!(
        "behind a second router: yours forwards the port, but {outside}; in the other router, if it is yours, {} too, or ask \
         the provider for a public address",
        by_hand.replace("to this machine", "to the first one")
    )
}

fn unknown(mapping: MappingState, by_hand: &str) -> String {
    match mapping {
        MappingState::Off => {
            "unknown: the router is not asked (port_mapping = false), and no member could try it".into()
        }
        MappingState::Asking => "unknown: the router is being asked to forward the port".into(),
        MappingState::NotOffered => {
            format!(
                "unknown: the router forwards nothing by itself; switch on UPnP, NAT-PMP or PCP in it, or {by_hand}"
            )
        }
        MappingState::NoRouter | MappingState::Mapped { .. } | MappingState::SecondRouter { .. } => {
            "unknown: there is no router to ask, and no member at another place has tried this node's addresses yet"
                .into()
        }
    }
}

fn protocol(mapping: MappingState) -> &'static str {
    match mapping {
        MappingState::Mapped { by, .. } | MappingState::SecondRouter { by, .. } => match by {
            MappingProtocol::Pcp => "PCP",
            MappingProtocol::NatPmp => "NAT-PMP",
            MappingProtocol::Upnp => "UPnP",
        },
        _ => "",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::client::Reachability;

    fn said(mapping: MappingState, verdicts: &[(&str, Reachability)]) -> ReachabilityStatus {
        let verdicts = verdicts.iter().map(|(address, verdict)| (address.parse().unwrap(), *verdict)).collect();
        status(&ReachReport { mapping, verdicts, ..ReachReport::default() }, 24_007, false)
    }

    #[test]
    fn each_kind_says_what_it_is_and_what_would_help() {
        let external = "100.0.0.1:24007".parse().unwrap();
        let mapped = MappingState::Mapped { external, by: MappingProtocol::Upnp };
        let second = MappingState::SecondRouter { external: [10, 0, 0, 7].into(), by: MappingProtocol::Pcp };
        let at = "100.0.0.1:24007";
        for (status, kind, said) in [
            (
                said(mapped, &[(at, Reachability::Open)]),
                ReachabilityKind::Open,
                "reach 100.0.0.1:24007, which the router forwards (UPnP)",
            ),
            (said(second, &[(at, Reachability::Open)]), ReachabilityKind::Open, "reach 100.0.0.1:24007"),
            (said(mapped, &[]), ReachabilityKind::Mapped, "100.0.0.1:24007 (UPnP); no member"),
            (
                said(mapped, &[(at, Reachability::Closed)]),
                ReachabilityKind::Closed,
                "nothing of what members sent came",
            ),
            (said(second, &[]), ReachabilityKind::SecondRouter, "no public address itself (10.0.0.7)"),
            (
                said(MappingState::NotOffered, &[(at, Reachability::Closed)]),
                ReachabilityKind::Closed,
                "forward UDP port 24007",
            ),
            (said(MappingState::NotOffered, &[]), ReachabilityKind::Unknown, "switch on UPnP, NAT-PMP or PCP in it"),
            (said(MappingState::Off, &[]), ReachabilityKind::Unknown, "port_mapping = false"),
            (said(MappingState::NoRouter, &[]), ReachabilityKind::Unknown, "no router to ask"),
        ] {
            assert_eq!(status.kind, kind, "{status:?}");
            assert!(status.text.contains(said) && !status.text.contains('\n'), "{status:?}");
        }
        let closed = |translation| {
            let verdicts = [(at.parse().unwrap(), Reachability::Closed)].into();
            let mapping = MappingState::NotOffered;
            status(&ReachReport { mapping, verdicts, translation, ..ReachReport::default() }, 24_007, false)
        };
        let cone = closed(AddressTranslation::Cone);
        assert!(cone.text.contains("cone") && cone.text.contains("forward UDP port 24007"), "{cone:?}");
        assert!(closed(AddressTranslation::Symmetric).text.contains("symmetric"));
        assert_eq!(closed(AddressTranslation::Symmetric).translation, control::AddressTranslation::Symmetric);
        let firewalled = closed(AddressTranslation::None);
        assert!(firewalled.text.contains("open UDP port 24007 in the firewall"), "{firewalled:?}");
        let through: std::net::SocketAddr = "[2600:1::2]:24007".parse().unwrap();
        let pinhole = MappingState::Mapped { external: through, by: MappingProtocol::Pcp };
        let mut report = ReachReport { pinhole, ..ReachReport::default() };
        assert!(status(&report, 1, false).text.contains("firewall is open for [2600:1::2]:24007"));
        report.verdicts.insert(through, Reachability::Open);
        assert!(status(&report, 1, false).text.starts_with("open: members reach [2600:1::2]:24007, for which"));
        assert!(status(&ReachReport::default(), 1, true).text.starts_with("this machine only"));
    }
}
