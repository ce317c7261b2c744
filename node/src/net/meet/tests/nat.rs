//! Routers of homes and providers, as far as they matter to a packet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// Whose packets a router lets in at a port that it gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// Of any address to which something was sent from there, whatever its port.
    Address,
    /// Of any address and port to which something was sent from there.
    AddressAndPort,
}

/// One box: a translation, or with no address of its own a firewall.
#[derive(Debug)]
pub(super) struct Nat {
    /// None: it only filters.
    pub outside: Option<IpAddr>,
    pub filter: Filter,
    /// Each destination gets a port of its own.
    pub symmetric: bool,
    /// Whether those behind it reach each other at its outer address.
    pub hairpin: bool,
    ports: BTreeMap<(SocketAddr, Option<SocketAddr>), u16>,
    inside: BTreeMap<u16, SocketAddr>,
    sent: BTreeSet<(SocketAddr, SocketAddr)>,
    next: u16,
}

impl Nat {
    pub fn new(outside: Option<IpAddr>, filter: Filter, symmetric: bool, hairpin: bool) -> Self {
        let (ports, inside, sent) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { outside, filter, symmetric, hairpin, ports, inside, sent, next: 40_000 }
    }

    /// It was restarted, or its provider gave it another address.
    pub fn renumber(&mut self, outside: IpAddr) {
        *self = Self::new(Some(outside), self.filter, self.symmetric, self.hairpin);
    }

    /// A packet leaves. Where it seems to come from then.
    pub fn out(&mut self, from: SocketAddr, to: SocketAddr) -> SocketAddr {
        let Some(outside) = self.outside else {
            self.sent.insert((from, to));
            return from;
        };
        let key = (from, self.symmetric.then_some(to));
        let known = self.ports.get(&key).copied();
        let port = known.unwrap_or_else(|| {
            // Ports are kept where that is possible.
            let keeps = !self.symmetric && !self.inside.contains_key(&from.port());
            self.next += u16::from(!keeps);
            let port = if keeps { from.port() } else { self.next };
            self.ports.insert(key, port);
            self.inside.insert(port, from);
            port
        });
        let mapped = SocketAddr::new(outside, port);
        self.sent.insert((mapped, to));
        mapped
    }

    /// A packet comes from outside. Whom it is for, if it may come in.
    pub fn inside_of(&self, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let fits = |(mapped, sent): &(SocketAddr, SocketAddr)| {
            *mapped == to && sent.ip() == from.ip() && (self.filter == Filter::Address || sent.port() == from.port())
        };
        self.sent.iter().any(fits).then_some(())?;
        match self.outside {
            None => Some(to),
            Some(_) => self.inside.get(&to.port()).copied(),
        }
    }
}
