//! Where this node may be reached, as it is told to those who want to meet it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::meeting::{CANDIDATES_MAX, Candidate, CandidateKind};

use super::addresses::is_usable;
use crate::net::findings::{is_local, most_seen};

/// Of interfaces' addresses of each family.
const INTERFACES_MAX: usize = 2;

/// What a node knows of its own addresses.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) struct OwnPlaces<'a> {
    /// The owner's. They stand on the card, too, so they go last.
    pub named: &'a [SocketAddr],
    /// What a router forwards to this node, or lets through its firewall.
    pub mapped: &'a [SocketAddr],
    /// Where each connected member sees it.
    pub seen: &'a BTreeMap<NodeId, SocketAddr>,
    /// Of this machine.
    pub interfaces: &'a [SocketAddr],
}

/// The best first, at most as many as a message holds.
pub(in crate::net) fn own_candidates(known: OwnPlaces<'_>) -> Vec<Candidate> {
    use CandidateKind::{Configured, Interface, Mapped, Seen};
    let of = |kind| move |address: SocketAddr| (kind, address);
    let (v4, v6): (Vec<SocketAddr>, Vec<SocketAddr>) = interfaces(known.interfaces).partition(SocketAddr::is_ipv4);
    let v6 = v6.into_iter().filter(|address| !is_local(address.ip()) || address.ip().is_loopback());
    let seen = most_seen(known.seen, |ip| !is_local(ip));
    let all = known.mapped.iter().copied().map(of(Mapped));
    let all = all.chain(v6.take(INTERFACES_MAX).map(of(Interface))).chain(seen.map(of(Seen)));
    let all = all.chain(v4.into_iter().take(INTERFACES_MAX).map(of(Interface)));
    let mut found = Vec::<Candidate>::new();
    for (kind, address) in all.chain(known.named.iter().copied().map(of(Configured))) {
        let candidate = Candidate { kind, address: address.into() };
        let is_known = found.iter().any(|known| known.address == candidate.address);
        if is_usable(&address) && !is_known && found.len() < CANDIDATES_MAX {
            found.push(candidate);
        }
    }
    found
}

/// Those of this machine alone lead nowhere, unless there are no others; public ones go first.
fn interfaces(all: &[SocketAddr]) -> impl Iterator<Item = SocketAddr> {
    let is_alone = all.iter().all(|address| address.ip().is_loopback());
    let mut usable: Vec<SocketAddr> =
        all.iter().copied().filter(|address| is_alone || !address.ip().is_loopback()).collect();
    usable.sort_by_key(|address| (is_local(address.ip()), *address));
    usable.into_iter()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn parsed(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn told(known: OwnPlaces<'_>) -> Vec<String> {
        own_candidates(known).iter().map(|candidate| SocketAddr::from(candidate.address).to_string()).collect()
    }

    #[test]
    fn what_most_likely_works_is_told_first_and_no_more_than_a_message_holds() {
        let by = parsed(&[
            "203.0.113.1:9",
            "203.0.113.1:8",
            "203.0.113.1:9",
            "203.0.113.1:7",
            "203.0.113.1:6",
            "10.0.0.9:5",
        ]);
        let seen: BTreeMap<NodeId, SocketAddr> =
            by.into_iter().zip(1..).map(|(address, number)| (NodeId([number; 32]), address)).collect();
        let interfaces = parsed(&[
            "127.0.0.1:5",
            "[fe80::1]:5",
            "[2001:db8::3]:5",
            "[2001:db8::2]:5",
            "[2001:db8::1]:5",
            "192.168.1.2:5",
            "10.1.0.2:5",
            "10.2.0.2:5",
        ]);
        let named = parsed(&["203.0.113.9:5"]);
        let mapped = parsed(&["203.0.113.1:24007", "[2001:db8::3]:5"]);
        let all = told(OwnPlaces { named: &named, mapped: &mapped, seen: &seen, interfaces: &interfaces });
        let expected = [
            "203.0.113.1:24007",
            "[2001:db8::3]:5",
            "[2001:db8::1]:5",
            "[2001:db8::2]:5",
            "203.0.113.1:9",
            "203.0.113.1:6",
            "203.0.113.1:7",
            "10.1.0.2:5",
        ];
        assert_eq!(all, expected);
        let none = BTreeMap::new();
        let alone = OwnPlaces { named: &named, mapped: &[], seen: &none, interfaces: &parsed(&["127.0.0.1:5"]) };
        assert_eq!(told(alone), ["127.0.0.1:5", "203.0.113.9:5"]);
    }
}
