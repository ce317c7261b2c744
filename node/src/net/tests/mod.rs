//! Real QUIC on loopback between nodes of one pool.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod handover;
mod meetings;
pub(super) mod pool;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fsdfs_core::facts::GateRefusal;
use fsdfs_core::seam::TrafficClass;
use fsdfs_proto::block::{Block, PAYLOAD_BYTES_MAX};
use fsdfs_proto::gate::ProtocolMismatch;
use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::{BlockId, Digest, NodeId, Signature};
use fsdfs_proto::message::meeting::RelayedStore;
use fsdfs_proto::message::{AttachedBlock, FetchRequest, Message, Redundancy, StoreRequest};
use fsdfs_proto::receipt::BlockReceipt;

use super::{HandshakeRejected, Net, NetConfig, NetError, NetEvent};
use crate::config::{BandwidthChange, BandwidthLimits, BandwidthPlan, LiveBandwidth};
use pool::{PATIENCE, TestPool};

const USER: TrafficClass = TrafficClass::User;

fn block(fill: u8) -> Block {
    Block::new(Bytes::from(vec![fill; PAYLOAD_BYTES_MAX]))
}

pub(super) fn store(from: NodeId, block: AttachedBlock) -> Message {
    let (map, redundancy) = (Digest([0; 32]), Redundancy::Replicas(3));
    let receipt = BlockReceipt { member: from, signature: Signature([3; 64]) };
    Message::Store(StoreRequest { request: 1, map, redundancy, age_ms: 0, lease_ms: 0, receipt, more: false, block })
}

#[tokio::test]
async fn messages_and_blocks_go_both_ways() {
    let pool = TestPool::new(&[1, 2]);
    let (mut a, mut b) = (pool.start(1).await, pool.start(2).await);
    a.connect(&mut b).await;
    for i in 0..40 {
        a.net.send(b.node, store(a.node, AttachedBlock::from(&block(i))), Some(block(i)), USER);
        b.net.send(a.node, store(b.node, AttachedBlock::from(&block(100 + i))), Some(block(100 + i)), USER);
        a.net.send(b.node, Message::Ping(i.into()), None, USER);
    }
    assert_eq!(b.blocks(40).await, (0..40).map(|i| block(i).id()).collect());
    assert_eq!(a.blocks(40).await, (100..140).map(|i| block(i).id()).collect());
    assert_eq!(b.pings, (0..40).collect::<Vec<u64>>(), "messages arrive in order");
    assert!(a.progress > 0 && b.progress > 0);
    let (sent, got) = (a.net.traffic().read(), b.net.traffic().read());
    assert_eq!((sent.block_bytes_out, got.block_bytes_in), (40 << 20, 40 << 20));
    assert_eq!(sent.message_bytes_out, got.message_bytes_in);
}

#[tokio::test]
async fn a_message_does_not_wait_behind_blocks_that_nobody_takes() {
    let pool = TestPool::new(&[1, 2]);
    let (mut a, mut b) = (pool.start(1).await, pool.start_with(2, 4 << 20).await);
    a.connect(&mut b).await;
    for i in 0..64 {
        a.net.send(b.node, store(a.node, AttachedBlock::from(&block(i))), Some(block(i)), USER);
    }
    // The receiver's memory is full as long as these are held.
    let held = b.payloads(3).await;
    a.net.send(b.node, Message::Ping(7), None, USER);
    b.until(|event| matches!(event, NetEvent::Message { message: Message::Ping(7), .. })).await;
    drop(held);
    assert_eq!(b.blocks(61).await.len(), 61);
}

/// Of its own chains a node knows by the answers; of those of others it has to know what still waits here.
#[tokio::test]
async fn what_is_passed_on_for_others_is_reported_when_it_has_left() {
    let pool = TestPool::new(&[1, 2]);
    let (mut a, mut b) = (pool.start(1).await, pool.start(2).await);
    a.connect(&mut b).await;
    let relayed = |origin, fill| {
        let block = block(fill);
        let Message::Store(StoreRequest { request, map, redundancy, age_ms, receipt, block: attached, .. }) =
            store(NodeId([7; 32]), AttachedBlock::from(&block))
        else {
            panic!("it is one")
        };
        let holders = Vec::new();
        let store = RelayedStore { request, map, redundancy, age_ms, receipt, origin, holders, block: attached };
        (Message::RelayedStore(store), Some(block))
    };
    let (message, own) = relayed(a.node, 1);
    a.net.send(b.node, message, own, TrafficClass::User);
    b.blocks(1).await;
    let (message, others) = relayed(NodeId([9; 32]), 2);
    let len = others.as_ref().map_or(0, |block| block.bytes().len());
    a.net.send(b.node, message, others, TrafficClass::Lent);
    let told = a.until(|event| matches!(event, NetEvent::Relayed { .. })).await;
    let NetEvent::Relayed { node, member, bytes } = told else { panic!("asked for") };
    assert_eq!((node, member, bytes), (b.node, NodeId([7; 32]), len), "the first it hears of, so not the own one");
    assert_eq!(b.blocks(1).await, [block(2).id()].into());
}

#[tokio::test]
async fn simultaneous_dials_end_in_one_connection() {
    for _ in 0..5 {
        let pool = TestPool::new(&[1, 2]);
        let (mut a, mut b) = (pool.start(1).await, pool.start(2).await);
        let (of_a, of_b) = ([a.addr().to_string()], [b.addr().to_string()]);
        let (node_a, node_b) = (a.node, b.node);
        tokio::join!(a.find(node_b, &of_b), b.find(node_a, &of_a));
        a.reaches(&mut b).await;
        b.reaches(&mut a).await;
        assert!(a.up && b.up);
    }
}

#[tokio::test]
async fn a_restarted_peer_is_taken_back_although_its_old_connection_looks_alive() {
    let pool = TestPool::new(&[1, 2]);
    let (mut a, mut b) = (pool.start(1).await, pool.start(2).await);
    a.connect(&mut b).await;
    let gone = b.net;
    // Not dropped, so nothing tells `a` that it is gone: only the new connection does.
    let mut b = pool.start(2).await;
    b.find(a.node, &[a.addr().to_string()]).await;
    a.until(|event| matches!(event, NetEvent::Down { .. })).await;
    a.until(|event| matches!(event, NetEvent::Up { .. })).await;
    a.reaches(&mut b).await;
    drop(gone);
}

#[tokio::test]
async fn a_member_with_a_stale_card_is_found() {
    let pool = TestPool::new(&[1, 2, 3]);
    let (mut seeker, mut friend, mut moved) = (pool.start(1).await, pool.start(2).await, pool.start(3).await);
    seeker.connect(&mut friend).await;
    moved.connect(&mut friend).await;
    // An address of the card leads to somebody else, another to nobody.
    let stale = [friend.addr().to_string(), "127.0.0.1:9".into(), "no.such.host.invalid:7".into()];
    seeker.find(moved.node, &stale).await;
    seeker.reaches(&mut moved).await;
}

#[tokio::test]
async fn nobody_is_found_in_bounded_time() {
    let pool = TestPool::new(&[1, 2]);
    let mut a = pool.start(1).await;
    a.net.find(pool.node(2), vec![]);
    a.net.find(NodeId([0xff; 32]), vec!["127.0.0.1:9".into()]);
    for _ in 0..2 {
        a.until(|event| matches!(event, NetEvent::Unreachable { refused: None, .. })).await;
    }
}

#[tokio::test]
async fn a_peer_that_stops_is_down_at_once() {
    let pool = TestPool::new(&[1, 2]);
    let (mut a, mut b) = (pool.start(1).await, pool.start(2).await);
    a.connect(&mut b).await;
    b.net.stop().await;
    a.until(|event| matches!(event, NetEvent::Down { .. })).await;
    assert!(!a.up);
    a.net.send(b.node, Message::Fetch(FetchRequest { request: 1, id: BlockId([1; 32]) }), None, USER);
}

#[tokio::test]
async fn a_revoked_member_is_refused_and_told_so() {
    let mut pool = TestPool::new(&[1, 2]);
    let (mut a, mut b) = (pool.start(1).await, pool.start(2).await);
    a.connect(&mut b).await;
    pool.revoke(2);
    a.keeper.update(pool.facts.clone());
    a.net.drop_peer(b.node, "revoked");
    a.until(|event| matches!(event, NetEvent::Down { .. })).await;
    b.until(|event| matches!(event, NetEvent::Down { .. })).await;
    let refused = b.refused_by(a.node, &[a.addr().to_string()]).await;
    assert_eq!(refused, HandshakeRejected::Refused(GateRefusal::Revoked));
}

#[tokio::test]
async fn whoever_is_sent_away_hears_what_was_said_before() {
    let mut pool = TestPool::new(&[1, 2]);
    let (mut a, mut b) = (pool.start(1).await, pool.start(2).await);
    a.connect(&mut b).await;
    pool.revoke(2);
    a.keeper.update(pool.facts.clone());
    (0..500).for_each(|number| a.net.send(b.node, Message::Ping(number), None, USER));
    a.net.dismiss(b.node, "revoked");
    b.until(|event| matches!(event, NetEvent::Down { .. })).await;
    assert_eq!(b.pings, (0..500).collect::<Vec<u64>>());
    a.until(|event| matches!(event, NetEvent::Down { .. })).await;
}

#[tokio::test]
async fn whoever_takes_nothing_is_sent_away_all_the_same() {
    let pool = TestPool::new(&[1, 2]);
    let (mut a, mut b) = (pool.start(1).await, pool.start(2).await);
    a.connect(&mut b).await;
    // Nobody reads its events, so it reads nothing.
    (0..2_000).for_each(|number| a.net.send(b.node, Message::Ping(number), None, USER));
    let begun = Instant::now();
    a.net.dismiss(b.node, "revoked");
    a.until(|event| matches!(event, NetEvent::Down { .. })).await;
    assert!(begun.elapsed() < PATIENCE / 2, "it took {:?}", begun.elapsed());
}

#[tokio::test]
async fn whoever_is_paused_is_told_to_come_later() {
    let pool = TestPool::new(&[1, 2]);
    let (a, mut b) = (pool.start(1).await, pool.start(2).await);
    a.keeper.pause(b.node, 10 * PATIENCE);
    let refused = b.refused_by(a.node, &[a.addr().to_string()]).await;
    assert_eq!(refused, HandshakeRejected::Mismatch(ProtocolMismatch::Paused));
}

#[tokio::test]
async fn a_newcomer_learns_its_admission_at_the_gate() {
    let pool = TestPool::new(&[1]);
    let (ticket, newcomer) = pool.invite(1, 7, 0);
    let (mut a, mut b) = (pool.start(1).await, pool.start_newcomer(7, &ticket, newcomer).await);
    let admissions = |event: NetEvent| {
        let NetEvent::Up { facts, .. } = event else { panic!("not up") };
        facts.into_iter().filter(|fact| matches!(fact, Fact::Admission(_))).collect::<Vec<_>>()
    };
    let of = admissions(b.find(a.node, &[a.addr().to_string()]).await);
    let by = admissions(a.until(|event| matches!(event, NetEvent::Up { .. })).await);
    assert_eq!((by.len(), &by), (1, &of), "the witness keeps what the newcomer was given");
    a.reaches(&mut b).await;
    b.reaches(&mut a).await;
}

#[tokio::test]
async fn all_interfaces_are_ipv6_too() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let pool = TestPool::new(&[1, 2]);
    let mut a = pool.start_on(1, "0.0.0.0:0", false).await;
    a.until(|event| matches!(event, NetEvent::Listening(addr) if addr.is_ipv6())).await;
    let mut b = pool.start_on(2, "0.0.0.0:0", false).await;
    b.find(a.node, &[format!("[::1]:{}", a.net.port())]).await;
    a.until(|event| matches!(event, NetEvent::Up { .. })).await;
}

#[tokio::test]
#[ignore = "needs a network with multicast, and announces these nodes on it"]
async fn members_find_each_other_on_the_lan() {
    let pool = TestPool::new(&[1, 2]);
    let mut a = pool.start_on(1, "0.0.0.0:0", true).await;
    let mut b = pool.start_on(2, "0.0.0.0:0", true).await;
    a.until(|event| matches!(event, NetEvent::Up { .. })).await;
    b.until(|event| matches!(event, NetEvent::Up { .. })).await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let pool = TestPool::new(&[1, 2]);
    let a = pool.start(1).await;
    let (events, _inbox) = tokio::sync::mpsc::channel(1);
    let config = NetConfig::new(a.addr(), 4 << 20);
    let error = Net::start(config, pool.keeper(2), events).await.err().unwrap();
    assert!(matches!(error, NetError::AddressInUse(addr) if addr == a.addr()));
}

#[tokio::test]
async fn a_stopped_node_leaves_its_port() {
    let pool = TestPool::new(&[1, 2]);
    for _ in 0..10 {
        let (mut a, mut b) = (pool.start(1).await, pool.start(2).await);
        a.connect(&mut b).await;
        let addr = a.addr();
        a.net.stop().await;
        let free = async {
            while std::net::UdpSocket::bind(addr).is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, free).await.expect("nobody listens there any more");
    }
}

#[tokio::test]
async fn peers_tell_a_node_its_address() {
    let pool = TestPool::new(&[1, 2]);
    let (mut a, mut b) = (pool.start(1).await, pool.start(2).await);
    a.connect(&mut b).await;
    let seen = async {
        while a.net.observed().get(&a.addr()) != Some(&1) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap();
}

/// Only that it is not exceeded: how fast it is, depends on the machine.
#[tokio::test]
async fn what_leaves_stays_within_the_cap_and_repair_within_its_share() {
    let (rate, blocks) = (12_000_000, 12);
    let limits = BandwidthLimits { upload: Some(rate), download: None, repair_percent: 25 };
    let bandwidth = || {
        let plan = BandwidthPlan { base: limits, ..BandwidthPlan::default() };
        Arc::new(LiveBandwidth::new(plan, None))
    };
    for (class, rate) in [(USER, rate), (TrafficClass::Repair, rate / 4)] {
        let pool = TestPool::new(&[1, 2]);
        let (mut a, mut b) = (pool.start_capped(1, bandwidth()).await, pool.start(2).await);
        a.connect(&mut b).await;
        let begun = Instant::now();
        for i in 0..blocks {
            a.net.send(b.node, store(a.node, AttachedBlock::from(&block(i))), Some(block(i)), class);
        }
        assert_eq!(b.blocks(blocks.into()).await.len(), usize::from(blocks));
        let (sent, seconds) = (a.net.traffic().read(), begun.elapsed().as_secs_f64());
        let carried = sent.block_bytes_out as f64 * 1.05;
        let most = rate as f64 * (seconds + 0.25);
        assert!(carried <= most * 1.02, "{carried} bytes of {class:?} in {seconds} s");
        let of_repair = if class == USER { 0 } else { sent.block_bytes_out };
        assert_eq!((sent.repair_bytes_out, sent.user_bytes), (of_repair, sent.block_bytes_out - of_repair));
    }
}

#[tokio::test]
async fn what_comes_in_stays_within_the_cap() {
    let pool = TestPool::new(&[1, 2]);
    let limits = BandwidthLimits { download: Some(12_000_000), ..BandwidthLimits::default() };
    let plan = BandwidthPlan { base: limits, ..BandwidthPlan::default() };
    let (mut a, mut b) = (pool.start(1).await, pool.start_capped(2, Arc::new(LiveBandwidth::new(plan, None))).await);
    a.connect(&mut b).await;
    let begun = Instant::now();
    for i in 0..12 {
        a.net.send(b.node, store(a.node, AttachedBlock::from(&block(i))), Some(block(i)), USER);
    }
    assert_eq!(b.blocks(12).await.len(), 12);
    let (got, seconds) = (b.net.traffic().read(), begun.elapsed().as_secs_f64());
    let carried = got.block_bytes_in as f64 * 1.05;
    assert!(carried <= 12e6 * (seconds + 0.25) * 1.02, "{carried} bytes in {seconds} s");
}

#[tokio::test]
async fn blocks_of_a_user_do_not_wait_for_those_of_repair() {
    let pool = TestPool::new(&[1, 2]);
    let bandwidth = Arc::new(LiveBandwidth::default());
    bandwidth.change(&BandwidthChange { metered: Some(true), ..BandwidthChange::default() });
    let (mut a, mut b) = (pool.start_capped(1, bandwidth).await, pool.start(2).await);
    a.connect(&mut b).await;
    for i in 0..8 {
        a.net.send(b.node, store(a.node, AttachedBlock::from(&block(i))), Some(block(i)), TrafficClass::Repair);
    }
    for i in 100..110 {
        a.net.send(b.node, store(a.node, AttachedBlock::from(&block(i))), Some(block(i)), USER);
    }
    // A block of repair that was begun takes half a minute here.
    let of_user: BTreeSet<BlockId> = (100..110).map(|i| block(i).id()).collect();
    assert_eq!(b.blocks(10).await, of_user);
}

#[tokio::test]
async fn packets_that_are_not_quics_are_answered_by_nothing_and_harm_nothing() {
    let pool = TestPool::new(&[1, 2]);
    let (mut a, mut b) = (pool.start(1).await, pool.start(2).await);
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    for first in [0, 1, 2, 3, 4, 0x3f] {
        for len in [1, 35, 36, 37, 1_200] {
            let mut packet = vec![0; len];
            packet[0] = first;
            stranger.send_to(&packet, a.addr()).unwrap();
        }
    }
    // Whatever came to the socket before is over when a connection is up.
    a.connect(&mut b).await;
    a.reaches(&mut b).await;
    let answer = stranger.recv(&mut [0; 64]);
    assert!(answer.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "{answer:?}");
}
