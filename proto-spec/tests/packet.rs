//! Packets that are not QUIC's against their published bytes, which another implementation made (spec 04-wire, "Meeting").

use std::net::SocketAddr;

use fsdfs_proto::ids::{Key, NodeId, ProbeNonce, UdpAddress, hex, unhex};
use fsdfs_proto::packet::{PROBE_BYTES, PacketDirection, is_foreign, probe_nonce};
use serde::Deserialize;

#[derive(Deserialize)]
struct PacketVector {
    name: String,
    secret: String,
    sender: String,
    receiver: String,
    nonce: String,
    packet: String,
    /// Whether the sender made it for the receiver.
    made: bool,
}

#[test]
fn probes_are_what_is_published() {
    let vectors: Vec<PacketVector> = serde_json::from_str(include_str!("../vectors/packet.json")).unwrap();
    for vector in vectors {
        let name = &vector.name;
        let secret = Key(unhex(&vector.secret).unwrap());
        let (sender, receiver) = (unhex(&vector.sender).unwrap(), unhex(&vector.receiver).unwrap());
        let way = PacketDirection { secret: &secret, sender: NodeId(sender), receiver: NodeId(receiver) };
        let (nonce, packet) =
            (ProbeNonce(unhex(&vector.nonce).unwrap()), unhex::<PROBE_BYTES>(&vector.packet).unwrap());
        assert_eq!(hex(&way.probe(nonce)) == vector.packet, vector.made, "{name}");
        assert_eq!(way.made_probe(&packet), vector.made, "{name}");
        assert_eq!(probe_nonce(&packet), Some(nonce), "{name}: what it says is read before it is believed");
        assert!(is_foreign(packet[0]), "{name}");
    }
}

#[test]
fn quic_and_what_is_no_probe_are_told_apart() {
    // The first bytes of an Initial, a Handshake and a packet behind the handshake.
    assert!([0xC0, 0xE0, 0x40, 0x7F].into_iter().all(|first| !is_foreign(first)));
    for first in (0..=255).filter(|first| *first != 4) {
        let mut packet = [0; PROBE_BYTES];
        packet[0] = first;
        assert_eq!(probe_nonce(&packet), None);
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
