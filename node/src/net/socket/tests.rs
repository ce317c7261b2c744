//! Real sockets and real QUIC on loopback: directly, through a relay, and what strangers get.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use fsdfs_proto::ids::{Key, MeetingId, NodeId, ProbeNonce, SessionToken, UdpAddress};
use fsdfs_proto::packet::{PacketDirection, RELAYED_HEAD_BYTES, relayed_head};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use quinn::udp::{EcnCodepoint, RecvMeta};
use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

use super::{EndedSession, OpenedSession, Packet, PeerPacket, RelayRefusal, SocketHandle, is_virtual, virtual_address};
use crate::net::pacer::RateGate;
use crate::net::quic::tests::kit::{self, Side, in_time};

const SECRET: Key = Key([7; 32]);
const MEETING: MeetingId = MeetingId([5; 16]);
const BYTES: usize = 4 << 20;
/// The payload of UDP over IPv6 on Ethernet.
const PAYLOAD_MAX: usize = 1_452;

/// Two nodes that do not know where the other one is, and a relay that knows both.
struct RelayedPeers {
    a: Side,
    b: Side,
    relay: Side,
    _forwarder: AbortOnDropHandle<()>,
}

impl RelayedPeers {
    async fn new() -> Self {
        let (a, b, relay) = (Side::listen().await, Side::listen().await, Side::listen().await);
        relay.socket.set_relays(true);
        for side in [&a, &b] {
            relay.socket.set_address(side.node, Some(side.at));
            side.socket.set_address(relay.node, Some(relay.at));
        }
        let forwarder = relay.socket.forwarder();
        let forwarder = tokio::spawn(async move {
            let gates = [RateGate::open(), RateGate::open()];
            forwarder.run(&gates[0], &gates[1]).await;
        });
        Self { a, b, relay, _forwarder: AbortOnDropHandle::new(forwarder) }
    }

    /// A session, and the address at which each of the two sees the other.
    fn open(&self) -> (OpenedSession, [SocketAddr; 2]) {
        let opened = self.relay.socket.open_session(self.a.node, self.b.node).unwrap();
        let at_a = self.a.socket.open_path(self.relay.node, opened.asker).unwrap();
        let at_b = self.b.socket.open_path(self.relay.node, opened.other).unwrap();
        (opened, [at_a, at_b])
    }
}

#[tokio::test]
async fn quic_runs_through_a_relay_that_knows_both() {
    let mut home = RelayedPeers::new().await;
    let (_, [at_a, at_b]) = home.open();
    let (dialled, seen) = connect(&mut home.a, &mut home.b, at_a).await;
    assert_eq!(seen, at_b, "where the dialler is seen");
    let (mut near, mut far) = dialled;
    carry(&mut near, &mut far).await;
    carry(&mut far, &mut near).await;
    let [pair] = home.relay.socket.relayed()[..] else { panic!("one pair") };
    assert!(pair.is_open && pair.bytes > 2 * BYTES as u64, "{pair:?}");
}

#[tokio::test]
async fn packets_of_a_relayed_connection_are_no_longer_than_those_of_a_direct_one() {
    let (mut a, mut b) = (Side::listen().await, Side::listen().await);
    // It forwards as the spec says, and looks at what comes.
    let plain = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (relay, tokens) = (NodeId([9; 32]), [SessionToken([1; 8]), SessionToken([2; 8])]);
    for side in [&a, &b] {
        side.socket.set_address(relay, Some(plain.local_addr().unwrap()));
    }
    let at_a = a.socket.open_path(relay, tokens[0]).unwrap();
    b.socket.open_path(relay, tokens[1]).unwrap();
    let sides = [(a.at, tokens[0]), (b.at, tokens[1])];
    let (longest, mut measured) = tokio::sync::watch::channel(0);
    let _forward = AbortOnDropHandle::new(tokio::spawn(async move {
        let mut packet = [0; 2_000];
        loop {
            let (len, from) = plain.recv_from(&mut packet).await.unwrap();
            let side = sides.iter().position(|(at, _)| *at == from).unwrap();
            let ((_, own), (to, other)) = (sides[side], sides[1 - side]);
            assert!(packet.starts_with(&relayed_head(own)));
            packet[..RELAYED_HEAD_BYTES].copy_from_slice(&relayed_head(other));
            longest.send_if_modified(|longest| std::mem::replace(longest, len.max(*longest)) < len);
            // A full buffer is a line that drops.
            let _ = plain.try_send_to(&packet[..len], to);
        }
    }));
    let (_links, _) = connect(&mut a, &mut b, at_a).await;
    // QUIC tries longer packets by itself, as long as they arrive.
    let longest = *in_time(measured.wait_for(|longest| *longest >= PAYLOAD_MAX)).await.unwrap();
    assert_eq!(longest, PAYLOAD_MAX);
}

#[tokio::test]
async fn a_session_that_is_over_leads_nowhere() {
    let mut home = RelayedPeers::new().await;
    let (opened, [at_a, _]) = home.open();
    home.relay.socket.set_address(home.b.node, None);
    let ended = EndedSession { nodes: [home.a.node, home.b.node], tokens: [opened.asker, opened.other] };
    assert_eq!(in_time(home.relay.events.ended.recv()).await, Some(ended));
    assert_eq!(home.relay.socket.open_session(home.a.node, home.b.node), Err(RelayRefusal::NotConnected));
    home.relay.socket.set_relays(false);
    assert_eq!(home.relay.socket.open_session(home.a.node, home.b.node), Err(RelayRefusal::NoRelay));
    assert_eq!(home.a.socket.relay_of(at_a), Some(home.relay.node));
    home.a.socket.close_path(opened.asker);
    assert_eq!(home.a.socket.relay_of(at_a), None);
    assert!(home.a.try_dial(at_a).is_err(), "there is nothing to dial");
    home.a.socket.set_address(home.relay.node, Some(virtual_address(opened.asker)));
    assert_eq!(home.a.socket.next_hop(at_a), None);
}

#[tokio::test]
async fn peers_hear_each_other_beside_quic() {
    let (mut a, mut b) = (Side::listen().await, Side::listen().await);
    let (nonce, seen) = (ProbeNonce([6; 16]), UdpAddress::from(a.at));
    assert!(a.socket.expect_meeting(MEETING, b.node) && b.socket.expect_meeting(MEETING, a.node));
    assert!(a.socket.expect_probe(nonce, b.node));
    let [knock, heard, probe] = [
        Packet::Knock { meeting: MEETING, round: 1 },
        Packet::Heard { meeting: MEETING, round: 1, seen },
        Packet::Probe { nonce },
    ];
    a.socket.send(b.node, b.at, &knock);
    assert_eq!(in_time(b.events.knocks.recv()).await, Some(PeerPacket { peer: a.node, from: a.at, packet: knock }));
    b.socket.send(a.node, a.at, &heard);
    assert_eq!(in_time(a.events.knocks.recv()).await, Some(PeerPacket { peer: b.node, from: b.at, packet: heard }));
    b.socket.send(a.node, a.at, &probe);
    assert_eq!(in_time(a.events.probes.recv()).await, Some(PeerPacket { peer: b.node, from: b.at, packet: probe }));
    // In the order in which they are sent, and only the last one is waited for.
    b.socket.forget_meeting(MEETING);
    a.socket.send(b.node, b.at, &knock);
    assert!(b.socket.expect_probe(nonce, a.node));
    a.socket.send(b.node, b.at, &probe);
    in_time(b.events.probes.recv()).await.unwrap();
    assert!(b.events.knocks.try_recv().is_err());
}

#[tokio::test]
async fn packets_of_several_kinds_that_come_at_once_get_where_they_belong() {
    let (own, relay, token) = (NodeId([1; 32]), NodeId([2; 32]), SessionToken([3; 8]));
    let (handle, mut events) = SocketHandle::new(SECRET, own);
    let mux = handle.listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let (at, here): (SocketAddr, IpAddr) = ("192.0.2.1:7".parse().unwrap(), "192.0.2.9".parse().unwrap());
    handle.set_address(relay, Some(at));
    let behind = handle.open_path(relay, token).unwrap();
    assert!(handle.expect_meeting(MEETING, relay));
    let packet = Packet::Knock { meeting: MEETING, round: 0 };
    let knock = PacketDirection { secret: &SECRET, sender: relay, receiver: own }.make(&packet);
    let stride = knock.len();
    let [direct, again] = [0x40, 0x41].map(|fill| vec![fill; stride]);
    let [relayed, short] = [(0x42, stride - RELAYED_HEAD_BYTES), (0x43, 5)].map(|(fill, len)| vec![fill; len]);
    let head = relayed_head(token);
    let batch = [&direct[..], &head, &relayed, &knock, &again, &head, &short].concat();
    let about = |addr| RecvMeta { addr, len: batch.len(), stride, ecn: Some(EcnCodepoint::Ect0), dst_ip: Some(here) };

    let (mut buffer, mut meta) = (batch.clone(), about(at));
    mux.sort(&mut buffer, &mut meta);
    assert_eq!(meta.len, 0, "nothing is left there");
    let (mut buffers, mut metas) = ([[0; 256]; 4], [RecvMeta::default(); 4]);
    let mut slices = buffers.each_mut().map(|buffer| IoSliceMut::new(buffer));
    assert_eq!(mux.take_left_over(&mut slices, &mut metas), 2);
    assert_eq!(mux.take_left_over(&mut slices, &mut metas[2..]), 0);
    let came = |number: usize| {
        let RecvMeta { addr, len, stride, ecn, dst_ip } = metas[number];
        assert_eq!(ecn, Some(EcnCodepoint::Ect0));
        (addr, buffers[number][..len].to_vec(), stride, dst_ip)
    };
    let mapped = "[::ffff:192.0.2.1]:7".parse().unwrap();
    assert_eq!(came(0), (mapped, [direct, again].concat(), stride, Some(here)));
    assert_eq!(came(1), (behind, [relayed, short].concat(), stride - RELAYED_HEAD_BYTES, None));
    assert_eq!(events.knocks.try_recv(), Ok(PeerPacket { peer: relay, from: at, packet }));

    // From elsewhere the token is nothing, and from a virtual address comes nothing at all.
    for (from, packets) in [(SocketAddr::new(at.ip(), 8), 1), (behind, 0)] {
        let (mut buffer, mut meta) = (batch.clone(), about(from));
        mux.sort(&mut buffer, &mut meta);
        let mut slices = [[0; 256]; 4];
        let mut slices = slices.each_mut().map(|buffer| IoSliceMut::new(buffer));
        assert_eq!((meta.len, mux.take_left_over(&mut slices, &mut [meta; 4])), (0, packets), "{from}");
    }
}

#[tokio::test]
async fn strangers_are_answered_with_nothing() {
    let mut home = RelayedPeers::new().await;
    let (opened, _) = home.open();
    let (target, stranger) = (&mut home.a, std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    stranger.set_nonblocking(true).unwrap();
    let nonce = ProbeNonce([6; 16]);
    assert!(target.socket.expect_meeting(MEETING, home.b.node) && target.socket.expect_probe(nonce, home.b.node));
    let wrong = PacketDirection { secret: &Key([8; 32]), sender: home.b.node, receiver: target.node };
    let other = PacketDirection { secret: &SECRET, sender: home.relay.node, receiver: target.node };
    let back = PacketDirection { secret: &SECRET, sender: target.node, receiver: home.b.node };
    let seen = UdpAddress::from(target.at);
    let kinds = [
        Packet::Knock { meeting: MEETING, round: 1 },
        Packet::Heard { meeting: MEETING, round: 1, seen },
        Packet::Knock { meeting: MeetingId([1; 16]), round: 1 },
        Packet::Probe { nonce },
        Packet::Probe { nonce: ProbeNonce([1; 16]) },
    ];
    let mut packets: Vec<Vec<u8>> =
        [wrong, other, back].iter().flat_map(|made| kinds.iter().map(|kind| made.make(kind))).collect();
    for token in [opened.asker, opened.other, SessionToken([0; 8])] {
        packets.push([&relayed_head(token)[..], &initial()].concat());
        packets.push(relayed_head(token).to_vec());
    }
    packets.extend((0..0x40).flat_map(|first| [1, 12, 36, 54, 1_200].map(|len| vec![first; len])));
    let last = Packet::Probe { nonce: ProbeNonce([7; 16]) };
    for receiver in [target, &mut home.relay] {
        for some in packets.chunks(32) {
            some.iter().for_each(|packet| assert_eq!(stranger.send_to(packet, receiver.at).unwrap(), packet.len()));
            // What comes behind them is heard when they have been looked at, and before it nothing is.
            assert!(receiver.socket.expect_probe(ProbeNonce([7; 16]), home.b.node));
            home.b.socket.send(receiver.node, receiver.at, &last);
            let heard = in_time(receiver.events.probes.recv()).await;
            assert_eq!(heard, Some(PeerPacket { peer: home.b.node, from: home.b.at, packet: last }));
        }
        assert!(receiver.events.knocks.try_recv().is_err());
        let answer = stranger.recv_from(&mut [0; 2_000]);
        assert_eq!(answer.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    }
    assert!(home.relay.socket.relayed().iter().all(|pair| pair.bytes == 0));
}

/// The first packet of a connection, of no version that there is: QUIC alone would answer it.
fn initial() -> Vec<u8> {
    let mut packet = vec![0; 1_200];
    packet[..7].copy_from_slice(&[0xC0, 0x0A, 0x1A, 0x2A, 0x3A, 8, 1]);
    packet
}

type Streams = (kit::TestLink, kit::TestLink);

/// Dials, and opens a stream: both ends, and where the dialler is seen.
async fn connect(a: &mut Side, b: &mut Side, to: SocketAddr) -> (Streams, SocketAddr) {
    let dial = a.dial(to);
    let accept = async {
        let (handshake, seen) = b.incoming().await;
        (in_time(handshake).await.unwrap(), seen)
    };
    let (dialled, ((dialler, far), seen)) = tokio::join!(in_time(dial), accept);
    let (accepter, near) = dialled.unwrap();
    assert_eq!((accepter, dialler), (b.peer(), a.peer()), "TLS runs from end to end");
    assert!(is_virtual(to.ip()));
    let (mut near, mut far) = (kit::TestLink::new(near), kit::TestLink::new(far));
    near.open().await;
    far.accept().await;
    ((near, far), seen)
}

/// A few megabytes, one way.
async fn carry(from: &mut kit::TestLink, to: &mut kit::TestLink) {
    let sent: Arc<[u8]> = (0..BYTES).map(|at| (at % 251) as u8).collect();
    let mut came = vec![0; BYTES];
    let write = async {
        from.stream().write_all(&sent).await.unwrap();
        from.stream().flush().await.unwrap();
    };
    let ((), read) = in_time(async { tokio::join!(write, to.stream().read_exact(&mut came)) }).await;
    read.unwrap();
    assert!(*came == *sent);
}
