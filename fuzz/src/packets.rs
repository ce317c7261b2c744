//! What anybody may send to a node's UDP port beside QUIC.

use fsdfs_proto::ids::{Key, NodeId};
use fsdfs_proto::packet::{Packet, PacketDirection, PacketKind, RELAYED_HEAD_BYTES, is_foreign, relayed_head};

const SECRET: Key = Key([7; 32]);

/// A packet as it comes; and what it says, with the checksum that belongs to it.
pub fn packets(data: &[u8]) {
    let kind = PacketKind::of(data);
    assert_eq!(kind == PacketKind::Quic, data.first().is_none_or(|first| !is_foreign(*first)));
    if let PacketKind::Relayed(token) = kind {
        assert_eq!(data[..RELAYED_HEAD_BYTES], relayed_head(token));
    }
    let Some(packet) = Packet::read(data) else { return };
    assert_eq!(kind, PacketKind::Peer);
    let direction = PacketDirection { secret: &SECRET, sender: NodeId([1; 32]), receiver: NodeId([2; 32]) };
    let made = direction.make(&packet);
    assert_eq!(made.len(), data.len(), "one packet, one encoding");
    assert_eq!(Packet::read(&made), Some(packet));
    assert!(direction.made(&made));
    assert_eq!(direction.made(data), made == data);
}
