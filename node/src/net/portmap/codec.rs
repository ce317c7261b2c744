//! What is said to a router, and what it answers: PCP (RFC 6887) and NAT-PMP (RFC 6886), as far as one UDP port needs it.
//!
//! Promise: reading never panics, and reserves no memory: an answer has at most 60 bytes that matter.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Both protocols are spoken to this UDP port of the router.
pub(super) const ROUTER_PORT: u16 = 5351;
/// Longer answers are cut: nothing behind this matters (RFC 6887 §7 allows 1,100 bytes, for options that are not asked for).
pub(super) const ANSWER_BYTES_MAX: usize = 64;

const PCP_VERSION: u8 = 2;
const NAT_PMP_VERSION: u8 = 0;
const PCP_MAP: u8 = 1;
const NAT_PMP_ADDRESS: u8 = 0;
const NAT_PMP_MAP_UDP: u8 = 1;
/// The bit of the opcode by which an answer is told from a request.
const IS_ANSWER: u8 = 0x80;
const UDP: u8 = 17;
/// Of both protocols: the router does not speak this version, or not this protocol.
const UNSUPPORTED_VERSION: u16 = 1;

/// Drawn once a run: a router changes a PCP mapping only for whoever knows the number that it was made with.
pub(super) type PcpNonce = [u8; 12];

/// What a router said. One of the two protocols may answer for the other: each begins with its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouterAnswer {
    /// PCP: the port is mapped, or, with a lease of 0, no longer.
    PcpMapped {
        /// Of the request.
        nonce: [u8; 12],
        /// The port of this machine.
        internal: u16,
        /// Where the world reaches it.
        external: SocketAddr,
        /// For how long, in seconds.
        lease_s: u32,
    },
    /// PCP: it does not map, and why (RFC 6887 §7.4).
    PcpRefused(u8),
    /// NAT-PMP: the router's own address.
    PmpAddress(Ipv4Addr),
    /// NAT-PMP: the port is mapped, or, with a lease of 0, no longer.
    PmpMapped {
        /// The port of this machine.
        internal: u16,
        /// The router's port.
        external: u16,
        /// For how long, in seconds.
        lease_s: u32,
    },
    /// NAT-PMP: it does not map, and why (RFC 6886 §3.5). Also what a router says to PCP that speaks NAT-PMP only.
    PmpRefused(u16),
}

impl RouterAnswer {
    /// The router speaks another version, or the other protocol.
    pub(super) fn is_other_version(self) -> bool {
        match self {
            Self::PcpRefused(why) => u16::from(why) == UNSUPPORTED_VERSION,
            Self::PmpRefused(why) => why == UNSUPPORTED_VERSION,
            _ => false,
        }
    }
}

/// Asks by PCP for a mapping, its renewal, or, with a lease of 0, its end.
pub(super) fn pcp_map(nonce: PcpNonce, client: IpAddr, internal: u16, external: u16, lease_s: u32) -> Vec<u8> {
    let mut request = vec![PCP_VERSION, PCP_MAP, 0, 0];
    request.extend(lease_s.to_be_bytes());
    request.extend(in_16_bytes(client));
    request.extend(nonce);
    request.extend([UDP, 0, 0, 0]);
    request.extend(internal.to_be_bytes());
    request.extend(external.to_be_bytes());
    // Any address of the same family.
    request.extend(in_16_bytes(match client {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }));
    request
}

fn in_16_bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// Asks by NAT-PMP for the router's address.
pub(super) fn pmp_address() -> Vec<u8> {
    vec![NAT_PMP_VERSION, NAT_PMP_ADDRESS]
}

/// Asks by NAT-PMP for a mapping, its renewal, or, with a lease of 0, its end.
pub(super) fn pmp_map(internal: u16, external: u16, lease_s: u32) -> Vec<u8> {
    let mut request = vec![NAT_PMP_VERSION, NAT_PMP_MAP_UDP, 0, 0];
    request.extend(internal.to_be_bytes());
    // RFC 6886 §3.4: a mapping is ended by a request for the external port 0.
    request.extend(if lease_s == 0 { [0, 0] } else { external.to_be_bytes() });
    request.extend(lease_s.to_be_bytes());
    request
}

/// None: it is no answer to anything that is asked here.
pub fn read(packet: &[u8]) -> Option<RouterAnswer> {
    let [version, opcode, ..] = *packet else { return None };
    let operation = (opcode & IS_ANSWER != 0).then_some(opcode & !IS_ANSWER)?;
    match version {
        PCP_VERSION => read_pcp(operation, packet),
        NAT_PMP_VERSION => read_pmp(operation, packet),
        _ => None,
    }
}

fn read_pcp(operation: u8, packet: &[u8]) -> Option<RouterAnswer> {
    let why = u8::from_be_bytes(at(packet, 3)?);
    if why != 0 {
        return Some(RouterAnswer::PcpRefused(why));
    }
    let [protocol] = at(packet, 36)?;
    let external = Ipv6Addr::from(at::<16>(packet, 44)?);
    let external = external.to_ipv4_mapped().map_or(IpAddr::V6(external), IpAddr::V4);
    (operation == PCP_MAP && protocol == UDP).then_some(())?;
    Some(RouterAnswer::PcpMapped {
        nonce: at(packet, 24)?,
        internal: u16::from_be_bytes(at(packet, 40)?),
        external: SocketAddr::new(external, u16::from_be_bytes(at(packet, 42)?)),
        lease_s: u32::from_be_bytes(at(packet, 4)?),
    })
}

fn read_pmp(operation: u8, packet: &[u8]) -> Option<RouterAnswer> {
    let why = u16::from_be_bytes(at(packet, 2)?);
    match operation {
        _ if why != 0 => Some(RouterAnswer::PmpRefused(why)),
        NAT_PMP_ADDRESS => Some(RouterAnswer::PmpAddress(Ipv4Addr::from(at::<4>(packet, 8)?))),
        NAT_PMP_MAP_UDP => Some(RouterAnswer::PmpMapped {
            internal: u16::from_be_bytes(at(packet, 8)?),
            external: u16::from_be_bytes(at(packet, 10)?),
            lease_s: u32::from_be_bytes(at(packet, 12)?),
        }),
        _ => None,
    }
}

/// The bytes at a place, if the packet is that long.
fn at<const N: usize>(packet: &[u8], place: usize) -> Option<[u8; N]> {
    packet.get(place..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: PcpNonce = *b"twelve bytes";

    /// As a miniupnpd 2.3.1 answers, but for the nonce.
    fn pcp_answer() -> Vec<u8> {
        let mut answer = vec![2, 0x81, 0, 0, 0, 0, 0x0e, 0x10, 0, 0, 0, 9];
        answer.extend([0; 12]);
        answer.extend(NONCE);
        answer.extend([17, 0, 0, 0, 0x5d, 0xc7, 0x5d, 0xc8]);
        answer.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 100, 0, 0, 1]);
        answer
    }

    #[test]
    fn requests_have_the_bytes_of_the_rfcs() {
        let client = Ipv4Addr::new(192, 168, 1, 2);
        let request = pcp_map(NONCE, client.into(), 24_007, 24_008, 3_600);
        assert_eq!(request.len(), 60);
        assert_eq!(request[..8], [2, 1, 0, 0, 0, 0, 0x0e, 0x10]);
        assert_eq!(request[18..24], [0xff, 0xff, 192, 168, 1, 2]);
        assert_eq!(request[24..44], [NONCE.as_slice(), &[17, 0, 0, 0, 0x5d, 0xc7, 0x5d, 0xc8]].concat());
        assert_eq!(request[44..], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]);
        let client: Ipv6Addr = "2001:db8::2".parse().expect("an address");
        let request = pcp_map(NONCE, client.into(), 24_007, 24_007, 0);
        assert_eq!((&request[8..24], &request[44..]), (&client.octets()[..], &[0; 16][..]));
        assert_eq!(pmp_address(), [0, 0]);
        assert_eq!(pmp_map(24_007, 24_008, 3_600), [0, 1, 0, 0, 0x5d, 0xc7, 0x5d, 0xc8, 0, 0, 0x0e, 0x10]);
        assert_eq!(pmp_map(24_007, 24_008, 0), [0, 1, 0, 0, 0x5d, 0xc7, 0, 0, 0, 0, 0, 0], "the end of a mapping");
    }

    #[test]
    fn answers_are_read() {
        let external = SocketAddr::from(([100, 0, 0, 1], 24_008));
        let mapped = RouterAnswer::PcpMapped { nonce: NONCE, internal: 24_007, external, lease_s: 3_600 };
        assert_eq!(read(&pcp_answer()), Some(mapped));
        assert_eq!(
            read(&[0, 128, 0, 0, 0, 0, 0, 9, 100, 0, 0, 1]),
            Some(RouterAnswer::PmpAddress([100, 0, 0, 1].into()))
        );
        let mapped = RouterAnswer::PmpMapped { internal: 24_007, external: 24_008, lease_s: 3_600 };
        assert_eq!(read(&[0, 129, 0, 0, 0, 0, 0, 9, 0x5d, 0xc7, 0x5d, 0xc8, 0, 0, 0x0e, 0x10]), Some(mapped));
    }

    #[test]
    fn a_router_that_speaks_the_other_protocol_says_so() {
        let other = read(&[0, 0x81, 0, 1, 0, 0, 0, 9]).expect("what NAT-PMP answers to PCP");
        assert!(other == RouterAnswer::PmpRefused(1) && other.is_other_version());
        let mut refused = pcp_answer();
        refused[3] = 2;
        assert!(matches!(read(&refused), Some(answer @ RouterAnswer::PcpRefused(2)) if !answer.is_other_version()));
    }

    #[test]
    fn what_is_cut_or_no_answer_is_nothing() {
        let answer = pcp_answer();
        assert!((0..answer.len()).all(|len| read(&answer[..len]).is_none()), "any cut answer");
        let mut question = answer.clone();
        question[1] = 1;
        assert_eq!(read(&question), None, "a question");
        let mut tcp = answer;
        tcp[36] = 6;
        assert_eq!(read(&tcp), None, "a mapping of TCP");
        assert_eq!(read(&[9, 0x81, 0, 0, 0, 0, 0, 0]), None, "a version that does not exist");
    }
}
