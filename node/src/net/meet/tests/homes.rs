//! Homes of two that want to meet, and a third that both are connected with.

use std::net::{IpAddr, SocketAddr};

use fsdfs_proto::ids::NodeId;

use super::nat::{Filter, Nat};
use super::world::World;

/// What stands between a node and the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// Nothing.
    Open,
    /// The usual router: one port for all, and in comes only who was written to.
    Cone,
    /// As `Cone`, but the port of whoever was written to does not matter.
    AddressFilter,
    /// Each destination sees another port.
    Symmetric,
    /// A router behind one of the provider.
    Cgnat,
    /// As `Cgnat`, and both are behind the same one of the provider, which does not turn packets round.
    SharedCgnat,
    /// IPv6 only, with a firewall.
    Firewall6,
}

pub(super) const HOMES: [Home; 7] =
    [Home::Open, Home::Cone, Home::AddressFilter, Home::Symmetric, Home::Cgnat, Home::SharedCgnat, Home::Firewall6];

impl Home {
    /// As section "how they meet" of the specification has it.
    pub fn meets_directly(self, other: Self) -> bool {
        use Home::{AddressFilter, Cone, Firewall6, Open, SharedCgnat, Symmetric};
        match (self, other) {
            (Firewall6, Firewall6) => true,
            (Firewall6, _) | (_, Firewall6) => false,
            (SharedCgnat, SharedCgnat) => false,
            (Symmetric, AddressFilter | Open) | (AddressFilter | Open, Symmetric) => true,
            (Symmetric, _) | (_, Symmetric) => false,
            (Cone | Open | AddressFilter | Home::Cgnat | SharedCgnat, _) => true,
        }
    }
}

fn parsed<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    parsed(text)
}

/// Adds a node in such a home.
pub(super) fn add(world: &mut World, number: u8, home: Home) -> NodeId {
    let cone = |outside: &str| Nat::new(Some(ip(outside)), Filter::AddressAndPort, false, false);
    let inside: SocketAddr = parsed(&format!("192.168.{number}.2:24007"));
    let (address, way) = match home {
        Home::Open => (parsed(&format!("198.51.100.{number}:24007")), vec![]),
        Home::Cone => (inside, vec![world.add_nat(cone(&format!("203.0.113.{number}")))]),
        Home::AddressFilter => {
            let nat = Nat::new(Some(ip(&format!("203.0.113.{number}"))), Filter::Address, false, false);
            (inside, vec![world.add_nat(nat)])
        }
        Home::Symmetric => {
            let nat = Nat::new(Some(ip(&format!("203.0.113.{number}"))), Filter::AddressAndPort, true, false);
            (inside, vec![world.add_nat(nat)])
        }
        Home::Cgnat => {
            let inner = world.add_nat(cone(&format!("100.64.0.{number}")));
            let outer = world.add_nat(cone(&format!("203.0.113.{number}")));
            (inside, vec![inner, outer])
        }
        Home::SharedCgnat => {
            let shared = world.nats.iter().position(|nat| nat.outside == Some(ip("203.0.113.200")));
            let outer = shared.unwrap_or_else(|| world.add_nat(cone("203.0.113.200")));
            let inner = world.add_nat(cone(&format!("100.64.0.{number}")));
            (inside, vec![inner, outer])
        }
        Home::Firewall6 => {
            let nat = Nat::new(None, Filter::AddressAndPort, false, false);
            (parsed(&format!("[2001:db8:{number}::2]:24007")), vec![world.add_nat(nat)])
        }
    };
    world.add_host(number, vec![(address, way)], 10)
}

/// Adds a node with a public address of either family that relays.
pub(super) fn add_relay(world: &mut World, number: u8, distance: u64) -> NodeId {
    let v4 = parsed(&format!("198.51.100.{number}:24007"));
    let v6 = parsed(&format!("[2001:db8:{number}::1]:24007"));
    let relay = world.add_host(number, vec![(v4, vec![]), (v6, vec![])], distance);
    world.cards.relays.insert(relay);
    relay
}

/// Two in their homes, connected with relays at these distances, and with nothing known of each other.
pub(super) fn pair(homes: [Home; 2], relays: &[u64]) -> (World, [NodeId; 2], Vec<NodeId>) {
    let mut world = World::new();
    let ends = [add(&mut world, 1, homes[0]), add(&mut world, 2, homes[1])];
    let relays: Vec<NodeId> =
        relays.iter().zip(101..).map(|(distance, number)| add_relay(&mut world, number, *distance)).collect();
    world.deal_cards();
    for relay in &relays {
        for end in ends {
            world.link(end, *relay);
        }
    }
    world.run(3_000);
    (world, ends, relays)
}
