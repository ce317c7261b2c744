//! Packets that are not QUIC's against their published bytes, which another implementation made (spec 04-wire, "Meeting").

use std::net::SocketAddr;

use fsdfs_proto::ids::{Key, MeetingId, NodeId, ProbeNonce, SessionToken, UdpAddress, hex, unhex};
use fsdfs_proto::packet::{
    HEARD_BYTES, KNOCK_BYTES, PROBE_BYTES, Packet, PacketDirection, PacketKind, RELAYED_HEAD_BYTES, is_foreign,
    relayed_head,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct PacketVector {
    name: String,
    secret: String,
    sender: String,
    receiver: String,
    #[serde(flatten)]
    said: SaidVector,
    packet: String,
    /// Whether the sender made it for the receiver.
    made: bool,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum SaidVector {
    Knock { meeting: MeetingId, round: u8 },
    Heard { meeting: MeetingId, round: u8, seen: SocketAddr },
    Probe { nonce: ProbeNonce },
}

impl SaidVector {
    fn packet(&self) -> (Packet, usize) {
        match *self {
            Self::Knock { meeting, round } => (Packet::Knock { meeting, round }, KNOCK_BYTES),
            Self::Heard { meeting, round, seen } => {
                (Packet::Heard { meeting, round, seen: UdpAddress::from(seen) }, HEARD_BYTES)
            }
            Self::Probe { nonce } => (Packet::Probe { nonce }, PROBE_BYTES),
        }
    }
}

fn vectors() -> Vec<PacketVector> {
    serde_json::from_str(include_str!("../vectors/packet.json")).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| unhex::<1>(std::str::from_utf8(pair).unwrap()).unwrap()[0]).collect()
}

#[test]
fn packets_are_what_is_published() {
    for vector in vectors() {
        let name = &vector.name;
        let secret = Key(unhex(&vector.secret).unwrap());
        let (sender, receiver) = (unhex(&vector.sender).unwrap(), unhex(&vector.receiver).unwrap());
        let direction = PacketDirection { secret: &secret, sender: NodeId(sender), receiver: NodeId(receiver) };
        let ((packet, len), published) = (vector.said.packet(), bytes(&vector.packet));
        assert_eq!(hex(&direction.make(&packet)) == vector.packet, vector.made, "{name}");
        assert_eq!(direction.made(&published), vector.made, "{name}");
        assert_eq!(published.len(), len, "{name}");
        assert_eq!(Packet::read(&published), Some(packet), "{name}: what it says is read before it is believed");
        assert_eq!(PacketKind::of(&published), PacketKind::Peer, "{name}");
        if let (Packet::Probe { nonce }, true) = (packet, vector.made) {
            assert_eq!(direction.probe(nonce)[..], published, "{name}");
        }
    }
}

#[test]
fn a_packet_of_another_length_or_form_is_none() {
    for vector in vectors() {
        let published = bytes(&vector.packet);
        for len in 0..published.len() {
            assert_eq!(Packet::read(&published[..len]), None, "{}: {len} bytes", vector.name);
        }
        assert_eq!(Packet::read(&[&published[..], &[0]].concat()), None, "{}", vector.name);
        for (at, byte) in [(0, 0), (0, 1), (0, 5), (0, 0x44), (2, 1), (3, 1)] {
            let mut changed = published.clone();
            changed[at] = byte;
            assert_eq!(Packet::read(&changed), None, "{}: {byte} at {at}", vector.name);
        }
    }
}

#[test]
fn quic_and_other_packets_are_told_apart() {
    // The first bytes of an Initial, a Handshake and a packet behind the handshake.
    assert!([0xC0, 0xE0, 0x40, 0x7F].into_iter().all(|first| !is_foreign(first)));
    for first in 0..=255 {
        let kind = PacketKind::of(&[first; 40]);
        match first {
            0x40.. => assert_eq!(kind, PacketKind::Quic, "{first}"),
            2..=4 => assert_eq!(kind, PacketKind::Peer, "{first}"),
            _ => assert_eq!(kind, PacketKind::Unknown, "{first}: its head is not one"),
        }
    }
    assert_eq!(PacketKind::of(&[]), PacketKind::Quic);
}

#[test]
fn a_relayed_packet_begins_with_its_token() {
    let token = SessionToken([1, 2, 3, 4, 5, 6, 7, 8]);
    let head = relayed_head(token);
    assert_eq!(hex(&head), "010000000102030405060708");
    assert_eq!(PacketKind::of(&head), PacketKind::Relayed(token));
    for len in 1..RELAYED_HEAD_BYTES {
        assert_eq!(PacketKind::of(&head[..len]), PacketKind::Unknown, "{len} bytes");
    }
    for at in 1..4 {
        let mut other = head;
        other[at] = 1;
        assert_eq!(PacketKind::of(&other), PacketKind::Unknown, "what is reserved is 0");
    }
}

#[test]
fn addresses_of_both_families_come_back() {
    for text in ["192.0.2.7:24007", "[2001:db8::7]:1", "0.0.0.0:0"] {
        let address: SocketAddr = text.parse().unwrap();
        assert_eq!(SocketAddr::from(UdpAddress::from(address)), address);
    }
    let mut mapped = [0; 18];
    mapped[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 7, 0x5d, 0xc7]);
    assert_eq!(UdpAddress::from(SocketAddr::from(([192, 0, 2, 7], 24_007))), UdpAddress(mapped));
}
