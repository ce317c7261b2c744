//! What a member does who relays and does not mean well: packets that it forwards are lost, come twice, or come changed.

use etherparse::{SlicedPacket, TransportSlice};

/// To which share of relayed packets it happens, 0 to 1 each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tampering {
    /// Not forwarded.
    pub drop: f64,
    /// Forwarded twice.
    pub repeat: f64,
    /// One bit is another one.
    pub garble: f64,
}

/// Our own packets begin with two bits that no QUIC packet begins with, and a relayed one with this byte.
const RELAYED: u8 = 0x01;

impl Tampering {
    /// What goes on in place of a packet.
    pub(super) fn apply(&self, mut packet: Vec<u8>, random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
        let Some(payload_at) = relayed_payload(&packet) else { return vec![packet] };
        if random.f64() >= self.drop + self.repeat + self.garble {
            return vec![packet];
        }
        let draw = random.f64() * (self.drop + self.repeat + self.garble);
        if draw < self.drop {
            return Vec::new();
        }
        if draw < self.drop + self.repeat {
            return vec![packet.clone(), packet];
        }
        let at = random.usize(payload_at + 1..packet.len().max(payload_at + 2));
        if let Some(byte) = packet.get_mut(at) {
            *byte ^= 1 << random.u8(..8);
        }
        // Without a checksum, which is the end of the UDP header: one that is wrong the kernel would find.
        packet[payload_at - 2..payload_at].fill(0);
        vec![packet]
    }
}

/// Where the payload of a relayed packet begins.
fn relayed_payload(packet: &[u8]) -> Option<usize> {
    let Some(TransportSlice::Udp(udp)) = SlicedPacket::from_ip(packet).ok()?.transport else { return None };
    (udp.payload().first() == Some(&RELAYED)).then(|| packet.len() - udp.payload().len())
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ipv4([100, 0, 1, 1], [100, 0, 2, 1], 64).udp(24_007, 24_007);
        builder.write(&mut bytes, payload).expect("it fits");
        bytes
    }

    #[test]
    fn only_relayed_packets_are_tampered_with() {
        let (quic, relayed) = (packet(&[0x41; 40]), packet(&[RELAYED; 40]));
        let mut random = fastrand::Rng::with_seed(1);
        let all = |drop, repeat, garble| Tampering { drop, repeat, garble };
        assert_eq!(all(1.0, 0.0, 0.0).apply(quic.clone(), &mut random), vec![quic]);
        assert_eq!(all(0.0, 0.0, 0.0).apply(relayed.clone(), &mut random), vec![relayed.clone()]);
        assert!(all(1.0, 0.0, 0.0).apply(relayed.clone(), &mut random).is_empty());
        assert_eq!(all(0.0, 1.0, 0.0).apply(relayed.clone(), &mut random), vec![relayed.clone(), relayed.clone()]);
        let garbled = all(0.0, 0.0, 1.0).apply(relayed.clone(), &mut random);
        assert!(garbled.len() == 1 && garbled[0] != relayed && garbled[0].len() == relayed.len());
    }
}
