//! What becomes of a packet: routers on the way, losses, relays.

use std::net::SocketAddr;

use fsdfs_proto::ids::{NodeId, SessionToken};

use super::{Event, Packet, World};
use crate::net::meet::MeetPath;

impl World {
    pub(super) fn delay(&self, from: NodeId, to: NodeId, path: Option<MeetPath>) -> u64 {
        let ends = self.hosts[&from].distance + self.hosts[&to].distance;
        let relay = match path {
            Some(MeetPath::Relayed(token)) => {
                self.hosts[&from].paths.get(&token).map_or(0, |relay| self.hosts[relay].distance)
            }
            _ => 0,
        };
        ends + 2 * relay
    }

    /// A packet over a relay: where its session leads, if both its connections stand.
    pub(super) fn relayed(&mut self, by: NodeId, to: NodeId, token: SessionToken, packet: Packet) {
        let Some(relay) = self.hosts[&by].paths.get(&token).copied() else { return };
        let Some((_, other, their)) =
            self.hosts[&relay].hops.get(&token).copied().filter(|(from, other, _)| *from == by && *other == to)
        else {
            return;
        };
        let stands = |end| self.is_linked(relay, end);
        if !self.hosts[&relay].alive || !stands(by) || !stands(other) || self.is_lost() {
            return;
        }
        let delay = self.delay(by, to, Some(MeetPath::Relayed(token)));
        let from = SocketAddr::from(([0, 0, 0, 0], 1));
        self.later(delay, Event::Packet { from, to, via: Some(their), packet });
    }

    pub(super) fn is_lost(&mut self) -> bool {
        self.loss > 0 && self.random.u64(0..1_000) < self.loss
    }

    /// A packet through the routers, to whoever it gets to.
    pub(super) fn packet(&mut self, by: NodeId, to: SocketAddr, packet: Packet) {
        if self.is_lost() {
            return;
        }
        let own = self.hosts[&by].interfaces.iter().find(|(own, _)| own.is_ipv4() == to.is_ipv4()).cloned();
        let Some((mut from, nats)) = own else { return };
        // Outwards as far as it has to go.
        for (level, nat) in nats.iter().enumerate() {
            if let Some(host) = self.within(&nats[level..], to) {
                return self.arrive(by, host, from, packet);
            }
            let turns_back = self.nats[*nat].outside == Some(to.ip());
            from = self.nats[*nat].out(from, to);
            if turns_back {
                let inside = self.nats[*nat].inside_of(from, to).filter(|_| self.nats[*nat].hairpin);
                let host = inside.and_then(|inside| self.inwards(&nats[level..], from, inside));
                return host.into_iter().for_each(|host| self.arrive(by, host, from, packet));
            }
        }
        let host = self.outside_in(from, to);
        host.into_iter().for_each(|host| self.arrive(by, host, from, packet));
    }

    /// Whose address it is, of those directly behind the first of these routers.
    pub(super) fn within(&self, nats: &[usize], to: SocketAddr) -> Option<NodeId> {
        let is = |(own, way): &(SocketAddr, Vec<usize>)| *own == to && way == nats;
        self.hosts.iter().find(|(_, host)| host.interfaces.iter().any(is)).map(|(id, _)| *id)
    }

    /// From just inside the first of these routers, which let it in, to a host behind it.
    pub(super) fn inwards(&self, nats: &[usize], from: SocketAddr, to: SocketAddr) -> Option<NodeId> {
        if let Some(host) = self.within(nats, to) {
            return Some(host);
        }
        // Another router stands behind it.
        let next = (0..self.nats.len()).find(|nat| {
            let is_behind = |(_, way): &(SocketAddr, Vec<usize>)| {
                way.len() > nats.len() && way.ends_with(nats) && way[way.len() - nats.len() - 1] == *nat
            };
            self.nats[*nat].outside == Some(to.ip())
                && self.hosts.values().any(|host| host.interfaces.iter().any(is_behind))
        })?;
        let inside = self.nats[next].inside_of(from, to)?;
        self.inwards(&[&[next], nats].concat(), from, inside)
    }

    pub(super) fn outside_in(&self, from: SocketAddr, to: SocketAddr) -> Option<NodeId> {
        if let Some(host) = self.within(&[], to) {
            return Some(host);
        }
        // Firewalls have no address: the host behind them has it.
        for (id, host) in &self.hosts {
            if let Some((_, way)) = host.interfaces.iter().find(|(own, way)| *own == to && !way.is_empty()) {
                let filters = |nat: &usize| self.nats[*nat].outside.is_none();
                if way.iter().all(filters) && way.iter().all(|nat| self.nats[*nat].inside_of(from, to).is_some()) {
                    return Some(*id);
                }
            }
        }
        let outermost = |way: &Vec<usize>| way.last().copied();
        let ways = self.hosts.values().flat_map(|host| host.interfaces.iter().filter_map(|(_, way)| outermost(way)));
        let nat = ways.into_iter().find(|nat| self.nats[*nat].outside == Some(to.ip()))?;
        let inside = self.nats[nat].inside_of(from, to)?;
        self.inwards(&[nat], from, inside)
    }

    pub(super) fn arrive(&mut self, by: NodeId, host: NodeId, from: SocketAddr, packet: Packet) {
        let delay = self.delay(by, host, None);
        self.later(delay, Event::Packet { from, to: host, via: None, packet });
    }
}
