//! Packets on a node's UDP port that are not QUIC's (spec 04-wire, "Meeting").
//!
//! Whoever does not know the gate secret cannot make one that a node believes, and sees none answered. To be read in this order:
//! what it is ([`PacketKind`]), what it says ([`Packet::read`], which computes nothing), whether anybody waits for that, and only
//! then who made it ([`PacketDirection::made`]).

use aws_lc_rs::{constant_time, hmac};

use crate::ids::{Key, MeetingId, NodeId, ProbeNonce, SessionToken, UdpAddress};
use crate::label::key as label;

/// Bytes before the packet of QUIC that a relay forwards.
pub const RELAYED_HEAD_BYTES: usize = HEAD_BYTES + TOKEN_BYTES;
/// Bytes of a knock.
pub const KNOCK_BYTES: usize = HEAD_BYTES + 16 + MAC_BYTES;
/// Bytes of the answer to a knock.
pub const HEARD_BYTES: usize = HEAD_BYTES + 16 + 18 + MAC_BYTES;
/// Bytes of a probe.
pub const PROBE_BYTES: usize = HEAD_BYTES + 16 + MAC_BYTES;

/// Of the first byte; QUIC sets at least one of them in each packet (RFC 9000 §17), as long as nobody allows it otherwise
/// (RFC 9287).
const QUIC_BITS: u8 = 0xC0;
/// What it is, which try it is, and two bytes that are 0.
const HEAD_BYTES: usize = 4;
const TOKEN_BYTES: usize = 8;
const MAC_BYTES: usize = 16;

/// Whether a packet that begins so is none of QUIC's.
pub fn is_foreign(first: u8) -> bool {
    first & QUIC_BITS == 0
}

/// What a packet is by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// QUIC's, or no packet at all.
    Quic,
    /// A packet of QUIC behind a head, with the token of one side of a session.
    Relayed(SessionToken),
    /// It may be a [`Packet`].
    Peer,
    /// Nothing that this version knows.
    Unknown,
}

impl PacketKind {
    /// Of these bytes, whatever they are.
    pub fn of(packet: &[u8]) -> Self {
        match packet {
            [] => Self::Quic,
            [first, ..] if !is_foreign(*first) => Self::Quic,
            [1, 0, 0, 0, rest @ ..] => {
                rest.first_chunk().map_or(Self::Unknown, |token| Self::Relayed(SessionToken(*token)))
            }
            [2..=4, ..] => Self::Peer,
            _ => Self::Unknown,
        }
    }
}

/// What stands before a packet of QUIC that is to be forwarded.
pub fn relayed_head(token: SessionToken) -> [u8; RELAYED_HEAD_BYTES] {
    let mut head = [0; RELAYED_HEAD_BYTES];
    head[0] = 1;
    head[HEAD_BYTES..].copy_from_slice(&token.0);
    head
}

/// What one node says to another beside QUIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// "I want to meet you." It opens the way for what comes from there.
    Knock {
        /// Which meeting.
        meeting: MeetingId,
        /// Which try.
        round: u8,
    },
    /// "I got your knock."
    Heard {
        /// Which meeting.
        meeting: MeetingId,
        /// Of the knock.
        round: u8,
        /// Where the knock came from.
        seen: UdpAddress,
    },
    /// It shows that an address can be reached.
    Probe {
        /// As it was asked for.
        nonce: ProbeNonce,
    },
}

impl Packet {
    /// What it says, whoever made it; nothing is computed. None if it is no such packet.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let (said, _) = split_mac(packet)?;
        let [kind, round, 0, 0, body @ ..] = said else { return None };
        match (kind, round) {
            (2, _) => Some(Self::Knock { meeting: MeetingId(body.try_into().ok()?), round: *round }),
            (3, _) => {
                let (meeting, seen) = body.split_first_chunk()?;
                Some(Self::Heard {
                    meeting: MeetingId(*meeting),
                    round: *round,
                    seen: UdpAddress(seen.try_into().ok()?),
                })
            }
            (4, 0) => Some(Self::Probe { nonce: ProbeNonce(body.try_into().ok()?) }),
            _ => None,
        }
    }

    /// All but the checksum.
    fn said(&self) -> Vec<u8> {
        match self {
            Self::Knock { meeting, round } => [&[2, *round, 0, 0][..], &meeting.0].concat(),
            Self::Heard { meeting, round, seen } => [&[3, *round, 0, 0][..], &meeting.0, &seen.0].concat(),
            Self::Probe { nonce } => [&[4, 0, 0, 0][..], &nonce.0].concat(),
        }
    }
}

/// From one node to another: each direction of each pair has its own checksums.
#[derive(Clone, Copy, Debug)]
pub struct PacketDirection<'a> {
    /// The pool's gate secret.
    pub secret: &'a Key,
    /// Whose packet it is.
    pub sender: NodeId,
    /// For whom it is.
    pub receiver: NodeId,
}

impl PacketDirection<'_> {
    /// The packet's bytes.
    pub fn make(&self, packet: &Packet) -> Vec<u8> {
        let mut said = packet.said();
        let mac = self.mac(&said);
        said.extend_from_slice(&mac);
        said
    }

    /// `04 00 0000 nonce16 mac16`.
    pub fn probe(&self, nonce: ProbeNonce) -> [u8; PROBE_BYTES] {
        self.make(&Packet::Probe { nonce }).try_into().expect("a probe has one length")
    }

    /// Whether the sender made this packet, and for this receiver.
    pub fn made(&self, packet: &[u8]) -> bool {
        split_mac(packet)
            .is_some_and(|(said, mac)| constant_time::verify_slices_are_equal(&self.mac(said), mac).is_ok())
    }

    /// First 16 bytes of HMAC-SHA256(key, what is said, sender, receiver).
    fn mac(&self, said: &[u8]) -> [u8; MAC_BYTES] {
        let mut key = [0; 32];
        hkdf::Hkdf::<sha2::Sha256>::new(None, &self.secret.0)
            .expand(label::KNOCK.as_bytes(), &mut key)
            .expect("32 bytes are below the limit of HKDF-SHA256");
        let mut sum = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
        sum.update(said);
        sum.update(&self.sender.0);
        sum.update(&self.receiver.0);
        *sum.sign().as_ref().first_chunk().expect("HMAC-SHA256 has 32 bytes")
    }
}

fn split_mac(packet: &[u8]) -> Option<(&[u8], &[u8; MAC_BYTES])> {
    packet.split_last_chunk()
}
