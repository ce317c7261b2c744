//! When the router is asked, by which protocol, and what its answers mean. Pure: time and answers are handed in.
//!
//! Promise: at most one protocol has a mapping; a mapping that is shown was confirmed within [`STALE_MS`]; a router that
//! offers nothing is asked less and less, up to every [`PAUSE_MS_MAX`]; on the way out the mapping is ended.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use super::codec::{self, PcpNonce, RouterAnswer};
use crate::net::findings::{MappingProtocol, MappingState, is_public};

/// What a router is asked to keep a mapping for, in seconds. Long, so that it outlives an outage; a mapping that nobody
/// renews is gone after an hour.
pub(super) const LEASE_S: u32 = 3_600;
/// A mapping is renewed so often, much more often than its lease wants: nothing else tells that a router was restarted
/// and forgot it, or that the provider gave it another address.
const RENEW_MS: u64 = 30_000;
/// A mapping that was not confirmed for so long is shown no more: a router takes two minutes to start again.
const STALE_MS: u64 = 180_000;
/// The first pause after a round that led to nothing; it doubles.
const PAUSE_MS_MIN: u64 = 15_000;
/// So often a router that maps nothing is asked again at least; owners switch it on now and then.
const PAUSE_MS_MAX: u64 = 30 * 60_000;
/// When each protocol is asked in a round, in milliseconds from its start. A router that speaks both answers PCP first, and
/// NAT-PMP is not asked any more. RFC 6887 would wait for seconds; a router stands in the same house.
const STEPS: [(u64, &[MappingProtocol]); 4] = [
    (0, &[MappingProtocol::Pcp]),
    (100, &[MappingProtocol::NatPmp]),
    (350, &[MappingProtocol::Pcp, MappingProtocol::NatPmp]),
    (850, &[MappingProtocol::Pcp, MappingProtocol::NatPmp]),
];
/// Afterwards UPnP has its turn.
const STEPS_END_MS: u64 = 1_850;

/// The way out, as the system's table of routes names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DefaultRouter {
    pub gateway: IpAddr,
    /// Number of the interface behind which an address of the link is; 0 = any other address.
    pub interface: u32,
    /// The address from which this machine speaks to it, of the same family.
    pub local: IpAddr,
}

/// What the machine is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum MapperInput<'a> {
    /// The router as it is now; none if there is none, or none that has to map anything.
    Router(Option<DefaultRouter>),
    /// A packet from the router.
    Packet(&'a [u8]),
    /// The router's port for PCP and NAT-PMP is closed: it says so by ICMP.
    PortClosed,
    /// The end of what was asked for by [`MapperOutput::Upnp`]: the mapping's address, or none.
    Upnp(Option<SocketAddrV4>),
    /// The machine slept, or something changed on its network: the router may have forgotten.
    Moved,
    /// Time has passed.
    Timeout,
    /// The node stops.
    Stop,
}

/// What it wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MapperOutput {
    /// To the router's [`codec::ROUTER_PORT`].
    Send(Vec<u8>),
    /// Map by UPnP, this external port if it is free. Answered by [`MapperInput::Upnp`].
    Upnp { external: u16 },
    /// End the mapping of UPnP.
    UpnpEnd { external: u16 },
}

/// See the module.
pub(super) struct PortMapper {
    port: u16,
    nonce: PcpNonce,
    router: Option<DefaultRouter>,
    mapping: Option<ConfirmedMapping>,
    round: Option<MappingRound>,
    next_round_at: Option<u64>,
    /// Rounds without a mapping since the last one with one.
    failed: u32,
}

/// As the router last confirmed it.
#[derive(Clone, Copy)]
struct ConfirmedMapping {
    by: MappingProtocol,
    external: SocketAddr,
    confirmed_at: u64,
}

/// One attempt to get or renew a mapping.
struct MappingRound {
    begun: u64,
    /// The next of [`STEPS`].
    step: usize,
    /// Those that may still answer.
    open: Vec<MappingProtocol>,
    /// NAT-PMP tells address and port by two answers.
    pmp_ip: Option<Ipv4Addr>,
    pmp_port: Option<u16>,
    upnp_asked: bool,
}

impl PortMapper {
    pub fn new(port: u16, nonce: PcpNonce) -> Self {
        Self { port, nonce, router: None, mapping: None, round: None, next_round_at: None, failed: 0 }
    }

    pub fn handle(&mut self, now: u64, input: MapperInput<'_>, out: &mut Vec<MapperOutput>) {
        match input {
            MapperInput::Router(router) => self.on_router(now, router),
            MapperInput::Packet(packet) => self.on_packet(now, packet, out),
            MapperInput::PortClosed => {
                self.rule_out(&[MappingProtocol::Pcp, MappingProtocol::NatPmp]);
            }
            MapperInput::Upnp(external) => self.on_upnp(now, external, out),
            MapperInput::Moved if self.router.is_some() => self.next_round_at = Some(now),
            MapperInput::Moved | MapperInput::Timeout => {}
            MapperInput::Stop => return self.stop(out),
        }
        self.advance(now, out);
    }

    /// When [`MapperInput::Timeout`] has something to do.
    pub fn deadline(&self) -> Option<u64> {
        match &self.round {
            Some(round) if round.upnp_asked => None,
            Some(round) => Some(round.begun + STEPS.get(round.step).map_or(STEPS_END_MS, |(after, _)| *after)),
            None => self.next_round_at,
        }
    }

    pub fn state(&self) -> MappingState {
        match (self.router, self.mapping) {
            (None, _) => MappingState::NoRouter,
            (Some(_), Some(ConfirmedMapping { by, external, .. })) => match is_public(external.ip()) {
                true => MappingState::Mapped { external, by },
                false => MappingState::SecondRouter { external: external.ip(), by },
            },
            (Some(_), None) if self.failed == 0 => MappingState::Asking,
            (Some(_), None) => MappingState::NotOffered,
        }
    }

    /// Another router knows nothing of the old one's mappings.
    fn on_router(&mut self, now: u64, router: Option<DefaultRouter>) {
        if self.router == router {
            return;
        }
        (self.router, self.mapping, self.round, self.failed) = (router, None, None, 0);
        self.next_round_at = router.map(|_| now);
    }

    fn on_packet(&mut self, now: u64, packet: &[u8], out: &mut Vec<MapperOutput>) {
        let Some(answer) = codec::read(packet) else { return };
        let Some(round) = &mut self.round else { return };
        let is_open = |by| round.open.contains(&by);
        match answer {
            RouterAnswer::PcpMapped { nonce, internal, external, lease_s }
                if is_open(MappingProtocol::Pcp)
                    && nonce == self.nonce
                    && internal == self.port
                    && lease_s > 0
                    && self.router.is_some_and(|router| router.local.is_ipv4() == external.is_ipv4()) =>
            {
                return self.confirm(now, MappingProtocol::Pcp, external);
            }
            RouterAnswer::PmpMapped { internal, external, lease_s } if internal == self.port && lease_s > 0 => {
                round.pmp_port = Some(external);
            }
            RouterAnswer::PmpAddress(ip) => round.pmp_ip = Some(ip),
            // What NAT-PMP says to PCP: it is the one to ask, and waits for nothing.
            RouterAnswer::PmpRefused(_) if answer.is_other_version() && round.step < 2 => {
                self.rule_out(&[MappingProtocol::Pcp]);
                return self.ask(MappingProtocol::NatPmp, out);
            }
            RouterAnswer::PmpRefused(_) if answer.is_other_version() => return self.rule_out(&[MappingProtocol::Pcp]),
            RouterAnswer::PmpRefused(_) => return self.rule_out(&[MappingProtocol::NatPmp]),
            RouterAnswer::PcpRefused(_) => return self.rule_out(&[MappingProtocol::Pcp]),
            RouterAnswer::PcpMapped { .. } | RouterAnswer::PmpMapped { .. } => {}
        }
        let round = self.round.as_ref().expect("looked at above");
        if let (Some(ip), Some(port)) = (round.pmp_ip, round.pmp_port)
            && round.open.contains(&MappingProtocol::NatPmp)
        {
            self.confirm(now, MappingProtocol::NatPmp, SocketAddr::new(ip.into(), port));
        }
    }

    fn on_upnp(&mut self, now: u64, external: Option<SocketAddrV4>, out: &mut Vec<MapperOutput>) {
        let is_awaited = self.round.as_ref().is_some_and(|round| round.upnp_asked);
        match external {
            Some(external) if is_awaited => self.confirm(now, MappingProtocol::Upnp, external.into()),
            None if is_awaited => self.rule_out(&[MappingProtocol::Upnp]),
            // Another protocol was faster, or the router is another one by now. A port that both were given is one mapping.
            Some(external) if self.mapping.is_none_or(|mapping| mapping.external.port() != external.port()) => {
                out.push(MapperOutput::UpnpEnd { external: external.port() });
            }
            Some(_) | None => {}
        }
    }

    /// A router without an address of its own, because the line is down, maps to nowhere.
    fn confirm(&mut self, now: u64, by: MappingProtocol, external: SocketAddr) {
        if external.ip().is_unspecified() || external.port() == 0 {
            return self.rule_out(&[by]);
        }
        self.mapping = Some(ConfirmedMapping { by, external, confirmed_at: now });
        (self.round, self.failed, self.next_round_at) = (None, 0, Some(now + RENEW_MS));
    }

    /// These do not map in this round.
    fn rule_out(&mut self, protocols: &[MappingProtocol]) {
        if let Some(round) = &mut self.round {
            round.open.retain(|open| !protocols.contains(open));
        }
    }

    /// Begins a round that is due, asks what is due in it, and ends it if nobody is left to answer.
    fn advance(&mut self, now: u64, out: &mut Vec<MapperOutput>) {
        if self.mapping.is_some_and(|mapping| now >= mapping.confirmed_at + STALE_MS) {
            self.mapping = None;
            // It takes long to come back; that is no reason to ask it seldom.
            self.failed = 1;
        }
        if self.round.is_none() && self.router.is_some() && self.next_round_at.is_some_and(|at| at <= now) {
            self.round = Some(self.new_round(now));
        }
        while let Some(round) = &mut self.round {
            let asked_all = !round.open.iter().any(|open| *open != MappingProtocol::Upnp);
            match STEPS.get(round.step).filter(|_| !asked_all) {
                Some((after, protocols)) if round.begun + after <= now => {
                    round.step += 1;
                    protocols.iter().for_each(|protocol| self.ask(*protocol, out));
                }
                Some(_) => return,
                None if !asked_all && now < round.begun + STEPS_END_MS => return,
                None if !round.open.contains(&MappingProtocol::Upnp) => return self.end_in_vain(now),
                None if round.upnp_asked => return,
                None => {
                    // Some routers think for seconds about the first mapping: what the others answer meanwhile counts.
                    round.upnp_asked = true;
                    out.push(MapperOutput::Upnp { external: self.wanted() });
                }
            }
        }
    }

    /// Who has a mapping is asked to renew it; whoever fails to, is asked together with the others next time.
    fn new_round(&self, now: u64) -> MappingRound {
        let open = match self.mapping.filter(|_| self.failed == 0) {
            Some(mapping) => vec![mapping.by],
            // The others know nothing of firewalls, or nothing of IPv6.
            None if self.router.is_some_and(|router| router.local.is_ipv6()) => vec![MappingProtocol::Pcp],
            None => vec![MappingProtocol::Pcp, MappingProtocol::NatPmp, MappingProtocol::Upnp],
        };
        MappingRound { begun: now, step: 0, open, pmp_ip: None, pmp_port: None, upnp_asked: false }
    }

    fn ask(&self, protocol: MappingProtocol, out: &mut Vec<MapperOutput>) {
        let (Some(round), Some(router)) = (&self.round, self.router) else { return };
        match protocol {
            _ if !round.open.contains(&protocol) => {}
            MappingProtocol::Pcp => {
                let request = codec::pcp_map(self.nonce, router.local, self.port, self.wanted(), LEASE_S);
                out.push(MapperOutput::Send(request));
            }
            MappingProtocol::NatPmp => {
                out.push(MapperOutput::Send(codec::pmp_address()));
                out.push(MapperOutput::Send(codec::pmp_map(self.port, self.wanted(), LEASE_S)));
            }
            MappingProtocol::Upnp => {}
        }
    }

    /// The same external port as before, so that what others know of this node stays true; at first the node's own.
    fn wanted(&self) -> u16 {
        self.mapping.map_or(self.port, |mapping| mapping.external.port())
    }

    fn end_in_vain(&mut self, now: u64) {
        self.round = None;
        self.failed += 1;
        let pause = if self.mapping.is_some() { PAUSE_MS_MIN } else { PAUSE_MS_MIN << self.failed.min(10) };
        self.next_round_at = Some(now + pause.min(PAUSE_MS_MAX));
    }

    fn stop(&mut self, out: &mut Vec<MapperOutput>) {
        let (mapping, router) = (self.mapping.take(), self.router.take());
        (self.round, self.next_round_at) = (None, None);
        let (Some(ConfirmedMapping { by, external, .. }), Some(router)) = (mapping, router) else { return };
        out.push(match by {
            MappingProtocol::Pcp => {
                MapperOutput::Send(codec::pcp_map(self.nonce, router.local, self.port, external.port(), 0))
            }
            MappingProtocol::NatPmp => MapperOutput::Send(codec::pmp_map(self.port, external.port(), 0)),
            MappingProtocol::Upnp => MapperOutput::UpnpEnd { external: external.port() },
        });
    }
}

#[cfg(test)]
mod tests;
