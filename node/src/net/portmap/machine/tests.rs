//! Routers of every kind, in virtual time.

use std::collections::VecDeque;
use std::net::Ipv6Addr;

use super::*;

const PORT: u16 = 24_007;
const NONCE: PcpNonce = [7; 12];
const HOME: DefaultRouter = DefaultRouter {
    gateway: IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1)),
    interface: 0,
    local: IpAddr::V4(Ipv4Addr::new(192, 168, 1, 2)),
};
const HOME_V6: DefaultRouter = DefaultRouter {
    gateway: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
    interface: 2,
    local: IpAddr::V6(Ipv6Addr::new(0x2600, 1, 0, 0, 0, 0, 0, 2)),
};
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(100, 0, 0, 1);

/// A router as its owner set it up.
#[derive(Clone, Copy, Default)]
struct ModelRouter {
    speaks: &'static [MappingProtocol],
    /// Says by ICMP that its port is closed; else it is silent.
    closes_port: bool,
    outside: Option<Ipv4Addr>,
    /// Of another one on this network.
    taken: Option<u16>,
    /// Of 3, so many first packets are lost.
    loses: usize,
}

struct Bench {
    mapper: PortMapper,
    model: ModelRouter,
    now: u64,
    /// What was sent, with its time.
    asked: Vec<(u64, MapperOutput)>,
    lost: usize,
}

impl Bench {
    fn new(model: ModelRouter) -> Self {
        Self { mapper: PortMapper::new(PORT, NONCE), model, now: 0, asked: Vec::new(), lost: 0 }
    }

    fn input(&mut self, input: MapperInput<'_>) {
        let mut outputs = Vec::new();
        self.mapper.handle(self.now, input, &mut outputs);
        let mut waiting = VecDeque::from(outputs);
        while let Some(output) = waiting.pop_front() {
            self.asked.push((self.now, output.clone()));
            let mut more = Vec::new();
            self.answer(&output, &mut more);
            waiting.extend(more);
        }
    }

    fn answer(&mut self, output: &MapperOutput, more: &mut Vec<MapperOutput>) {
        let model = self.model;
        let speaks = |protocol| model.speaks.contains(&protocol);
        let outside = model.outside.unwrap_or(OUTSIDE);
        match output {
            MapperOutput::Send(_) if self.lost < model.loses => self.lost += 1,
            MapperOutput::Send(request) => {
                let is_pcp = request[0] == 2;
                let protocol = if is_pcp { MappingProtocol::Pcp } else { MappingProtocol::NatPmp };
                let answer = match () {
                    () if speaks(protocol) => Some(positive(request, outside, model.taken)),
                    () if is_pcp && speaks(MappingProtocol::NatPmp) => Some(vec![0, 0x81, 0, 1, 0, 0, 0, 9]),
                    () => None,
                };
                match answer {
                    Some(answer) => self.mapper.handle(self.now, MapperInput::Packet(&answer), more),
                    None if model.closes_port => self.mapper.handle(self.now, MapperInput::PortClosed, more),
                    None => {}
                }
            }
            MapperOutput::Upnp { external } => {
                let mapped = speaks(MappingProtocol::Upnp).then(|| SocketAddrV4::new(outside, *external));
                self.mapper.handle(self.now, MapperInput::Upnp(mapped), more);
            }
            MapperOutput::UpnpEnd { .. } => {}
        }
    }

    fn run_to(&mut self, until: u64) {
        while let Some(at) = self.mapper.deadline().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.input(MapperInput::Timeout);
        }
        self.now = until;
    }

    fn begin(model: ModelRouter) -> Self {
        let mut bench = Self::new(model);
        bench.input(MapperInput::Router(Some(HOME)));
        bench
    }

    fn mapped_by(&self, by: MappingProtocol) -> bool {
        self.mapper.state() == MappingState::Mapped { external: SocketAddr::new(OUTSIDE.into(), PORT), by }
    }
}

#[test]
fn after_a_move_the_router_is_asked_at_once_and_what_was_mapped_stays_meanwhile() {
    let mut bench = Bench::begin(ModelRouter { speaks: &[MappingProtocol::Pcp], ..ModelRouter::default() });
    bench.run_to(10_000);
    let asked = bench.asked.len();
    bench.model.speaks = &[];
    bench.input(MapperInput::Moved);
    assert_eq!(bench.asked.last().map(|(at, _)| *at), Some(10_000));
    assert!(bench.asked.len() > asked && bench.mapped_by(MappingProtocol::Pcp));
    let mut bench = Bench::new(ModelRouter::default());
    bench.input(MapperInput::Moved);
    assert_eq!((bench.asked.len(), bench.mapper.deadline()), (0, None), "there is no router");
}

fn positive(request: &[u8], outside: Ipv4Addr, taken: Option<u16>) -> Vec<u8> {
    let shifted = |port: [u8; 2]| match u16::from_be_bytes(port) {
        port if Some(port) == taken => (port + 1).to_be_bytes(),
        port => port.to_be_bytes(),
    };
    match request {
        [2, 1, ..] => {
            let mut answer = request.to_vec();
            answer[1] = 0x81;
            let external = shifted([request[42], request[43]]);
            answer[42..44].copy_from_slice(&external);
            // Of IPv6 nothing is translated: what is asked for is let through.
            let is_v4 = request[8..20] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
            let outside = if is_v4 { outside.to_ipv6_mapped().octets().to_vec() } else { request[8..24].to_vec() };
            answer[44..60].copy_from_slice(&outside);
            // Reserved and result code, and the client's address gives way to the epoch.
            answer[8..24].fill(0);
            answer
        }
        [0, 0] => [&[0, 128, 0, 0, 0, 0, 0, 9], outside.octets().as_slice()].concat(),
        _ => {
            let external = shifted([request[6], request[7]]);
            [&[0, 129, 0, 0, 0, 0, 0, 9], &request[4..6], &external, &request[8..12]].concat()
        }
    }
}

#[test]
fn each_protocol_alone_is_found_within_two_seconds() {
    for (by, closes_port, within) in [
        (MappingProtocol::Pcp, false, 0),
        (MappingProtocol::NatPmp, false, 0),
        (MappingProtocol::Upnp, false, STEPS_END_MS),
        (MappingProtocol::Upnp, true, 0),
    ] {
        let speaks: &'static [MappingProtocol] = match by {
            MappingProtocol::Pcp => &[MappingProtocol::Pcp],
            MappingProtocol::NatPmp => &[MappingProtocol::NatPmp],
            MappingProtocol::Upnp => &[MappingProtocol::Upnp],
        };
        let mut bench = Bench::begin(ModelRouter { speaks, closes_port, ..ModelRouter::default() });
        bench.run_to(within);
        assert!(bench.mapped_by(by), "{by:?}, {closes_port}: {:?}", bench.mapper.state());
    }
}

#[test]
fn of_a_router_that_speaks_all_one_is_asked() {
    let all = &[MappingProtocol::Pcp, MappingProtocol::NatPmp, MappingProtocol::Upnp];
    let mut bench = Bench::begin(ModelRouter { speaks: all, ..ModelRouter::default() });
    bench.run_to(RENEW_MS * 4);
    assert!(bench.mapped_by(MappingProtocol::Pcp));
    let times: Vec<u64> = bench.asked.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 1, 2, 3, 4].map(|renewal| renewal * RENEW_MS), "once a renewal, and PCP only");
}

#[test]
fn a_firewall_of_ipv6_is_asked_by_pcp_only() {
    let all = &[MappingProtocol::Pcp, MappingProtocol::NatPmp, MappingProtocol::Upnp];
    let mut bench = Bench::new(ModelRouter { speaks: all, ..ModelRouter::default() });
    bench.input(MapperInput::Router(Some(HOME_V6)));
    let (external, by) = (SocketAddr::new(HOME_V6.local, PORT), MappingProtocol::Pcp);
    assert_eq!(bench.mapper.state(), MappingState::Mapped { external, by });
    bench.input(MapperInput::Stop);
    let end = codec::pcp_map(NONCE, HOME_V6.local, PORT, PORT, 0);
    assert_eq!(bench.asked.last(), Some(&(0, MapperOutput::Send(end))));
    for speaks in [&all[1..], &[]] {
        let mut bench = Bench::new(ModelRouter { speaks, ..ModelRouter::default() });
        bench.input(MapperInput::Router(Some(HOME_V6)));
        bench.run_to(STEPS_END_MS);
        assert_eq!(bench.mapper.state(), MappingState::NotOffered);
        let is_pcp = |asked: &MapperOutput| matches!(asked, MapperOutput::Send(request) if request[0] == 2);
        assert!(bench.asked.iter().all(|(_, asked)| is_pcp(asked)), "{:?}", bench.asked);
        // What was never asked by NAT-PMP is not mapped by it.
        bench.input(MapperInput::Packet(&[0, 128, 0, 0, 0, 0, 0, 9, 100, 0, 0, 1]));
        bench.input(MapperInput::Packet(&[0, 129, 0, 0, 0, 0, 0, 9, 0x5d, 0xc7, 0x5d, 0xc7, 0, 0, 14, 16]));
        assert_eq!(bench.mapper.state(), MappingState::NotOffered);
    }
}

#[test]
fn what_is_lost_is_asked_again() {
    let speaks = &[MappingProtocol::Pcp];
    let mut bench = Bench::begin(ModelRouter { speaks, loses: 4, ..ModelRouter::default() });
    bench.run_to(STEPS_END_MS);
    assert!(bench.mapped_by(MappingProtocol::Pcp));
}

#[test]
fn the_port_that_was_given_is_asked_for_again() {
    let speaks = &[MappingProtocol::NatPmp];
    let mut bench = Bench::begin(ModelRouter { speaks, taken: Some(PORT), ..ModelRouter::default() });
    bench.run_to(RENEW_MS * 3);
    let external = SocketAddr::new(OUTSIDE.into(), PORT + 1);
    assert_eq!(bench.mapper.state(), MappingState::Mapped { external, by: MappingProtocol::NatPmp });
    let MapperOutput::Send(last) = &bench.asked.last().expect("asked").1 else { panic!("a packet") };
    assert_eq!(last[6..8], (PORT + 1).to_be_bytes());
}

#[test]
fn a_router_that_maps_nothing_is_asked_less_and_less() {
    let mut bench = Bench::begin(ModelRouter::default());
    bench.run_to(STEPS_END_MS);
    assert_eq!(bench.mapper.state(), MappingState::NotOffered);
    bench.run_to(24 * 3_600_000);
    let rounds = bench.asked.iter().filter(|(_, asked)| matches!(asked, MapperOutput::Upnp { .. })).count();
    assert!((48..60).contains(&rounds), "{rounds} in a day");
    bench.model.speaks = &[MappingProtocol::Upnp];
    bench.run_to(bench.now + PAUSE_MS_MAX + STEPS_END_MS);
    assert!(bench.mapped_by(MappingProtocol::Upnp), "the owner has switched it on");
}

#[test]
fn a_router_that_starts_again_is_asked_until_it_maps_again() {
    let speaks = &[MappingProtocol::Pcp];
    let mut bench = Bench::begin(ModelRouter { speaks, ..ModelRouter::default() });
    bench.run_to(100_000);
    // It takes five minutes: longer than what it had mapped is believed.
    bench.model.speaks = &[];
    bench.run_to(100_000 + 60_000);
    assert!(bench.mapped_by(MappingProtocol::Pcp), "as before, for a while");
    bench.run_to(100_000 + 300_000);
    assert_eq!(bench.mapper.state(), MappingState::NotOffered);
    bench.model.speaks = &[MappingProtocol::Upnp];
    bench.run_to(bench.now + 300_000);
    assert!(bench.mapped_by(MappingProtocol::Upnp), "by whatever protocol it speaks now");
}

#[test]
fn another_network_is_asked_at_once() {
    let mut bench = Bench::begin(ModelRouter { speaks: &[MappingProtocol::Pcp], ..ModelRouter::default() });
    bench.input(MapperInput::Router(None));
    assert_eq!((bench.mapper.state(), bench.mapper.deadline()), (MappingState::NoRouter, None));
    bench.model.outside = Some(Ipv4Addr::new(10, 0, 0, 7));
    bench.input(MapperInput::Router(Some(DefaultRouter { gateway: Ipv4Addr::new(192, 168, 2, 1).into(), ..HOME })));
    let (external, by) = (Ipv4Addr::new(10, 0, 0, 7).into(), MappingProtocol::Pcp);
    assert_eq!(bench.mapper.state(), MappingState::SecondRouter { external, by }, "whose address leads nowhere");
}

#[test]
fn a_router_whose_line_is_down_maps_to_nowhere() {
    let outside = Some(Ipv4Addr::UNSPECIFIED);
    let speaks = &[MappingProtocol::NatPmp, MappingProtocol::Pcp, MappingProtocol::Upnp];
    let mut bench = Bench::begin(ModelRouter { speaks, outside, ..ModelRouter::default() });
    bench.run_to(STEPS_END_MS);
    assert_eq!(bench.mapper.state(), MappingState::NotOffered);
}

#[test]
fn the_mapping_ends_with_the_node() {
    let mut bench = Bench::begin(ModelRouter { speaks: &[MappingProtocol::Pcp], ..ModelRouter::default() });
    bench.asked.clear();
    bench.input(MapperInput::Stop);
    let end = codec::pcp_map(NONCE, HOME.local, PORT, PORT, 0);
    assert_eq!(bench.asked, [(0, MapperOutput::Send(end))]);
    assert_eq!(bench.mapper.deadline(), None);
    let mut bench =
        Bench::begin(ModelRouter { speaks: &[MappingProtocol::Upnp], closes_port: true, ..ModelRouter::default() });
    bench.asked.clear();
    bench.input(MapperInput::Stop);
    assert_eq!(bench.asked, [(0, MapperOutput::UpnpEnd { external: PORT })]);
    let mut nothing = Bench::new(ModelRouter::default());
    nothing.input(MapperInput::Stop);
    assert!(nothing.asked.is_empty());
}

#[test]
fn an_answer_that_nobody_asked_for_changes_nothing() {
    let mut bench = Bench::begin(ModelRouter::default());
    let request = codec::pcp_map([8; 12], HOME.local, PORT, PORT, LEASE_S);
    let foreign = positive(&request, OUTSIDE, None);
    bench.input(MapperInput::Packet(&foreign));
    bench.input(MapperInput::Upnp(Some(SocketAddrV4::new(OUTSIDE, PORT))));
    bench.input(MapperInput::Packet(b"no answer"));
    assert_eq!(bench.mapper.state(), MappingState::Asking);
}

/// It was looked for by UPnP for seconds, and the answer was thrown away although the router had the mapping.
#[test]
fn an_answer_counts_that_comes_after_upnp_was_asked() {
    let pcp = vec![codec::pcp_map(NONCE, HOME.local, PORT, PORT, LEASE_S)];
    let pmp = vec![codec::pmp_address(), codec::pmp_map(PORT, PORT, LEASE_S)];
    for (requests, speaks) in [(pcp, MappingProtocol::Pcp), (pmp, MappingProtocol::NatPmp)] {
        let mut mapper = PortMapper::new(PORT, NONCE);
        let mut input = |now, input: MapperInput<'_>| {
            let mut outputs = Vec::new();
            mapper.handle(now, input, &mut outputs);
            (outputs, mapper.state())
        };
        input(0, MapperInput::Router(Some(HOME)));
        for (after, _) in STEPS {
            input(after, MapperInput::Timeout);
        }
        let (asked, _) = input(STEPS_END_MS, MapperInput::Timeout);
        assert_eq!(asked, [MapperOutput::Upnp { external: PORT }]);
        for request in requests {
            input(STEPS_END_MS + 100, MapperInput::Packet(&positive(&request, OUTSIDE, None)));
        }
        let external = SocketAddr::new(OUTSIDE.into(), PORT);
        // What UPnP did as well is undone.
        let mapped = SocketAddrV4::new(OUTSIDE, PORT + 1);
        let (undone, state) = input(STEPS_END_MS + 200, MapperInput::Upnp(Some(mapped)));
        assert_eq!(undone, [MapperOutput::UpnpEnd { external: PORT + 1 }]);
        assert_eq!(state, MappingState::Mapped { external, by: speaks });
    }
}
