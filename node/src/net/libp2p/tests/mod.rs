//! What only somebody with a swarm of its own can try: a member that does not keep to the protocol.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod nearness;

use fsdfs_core::seam::BlockPayload;
use fsdfs_proto::identity::{Fact, Heartbeat};
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::{AttachedBlock, FactBatch, Message};
use fsdfs_proto::signed::Signed;
use futures::{AsyncWriteExt as _, StreamExt as _};
use libp2p::swarm::SwarmEvent;

use super::address;
use super::behaviour::NodeBehaviourEvent;
use super::start::swarm;
use super::streams::StreamsEvent;
use crate::net::NetEvent;
use crate::net::quic::QuicSettings;
use crate::net::socket::SocketHandle;
use crate::net::tests::pool::{TestNode, TestPool, key};
use crate::net::tests::store;

#[tokio::test]
async fn a_peer_that_breaks_the_framing_is_dropped() {
    for garbage in [&[0xff; 64][..], &[0, 0, 0, 2, 0xc1, 0xc1], &[0, 0, 0, 0]] {
        let pool = TestPool::new(&[1, 2]);
        let mut node = pool.start(1).await;
        let _rude = speak_rudely(&pool, &node, garbage.to_vec());
        node.until(|event| matches!(event, NetEvent::Up { .. })).await;
        node.until(|event| matches!(event, NetEvent::Down { .. })).await;
    }
}

#[tokio::test]
async fn a_fact_with_a_wrong_signature_ends_the_connection_before_anybody_sees_it() {
    let pool = TestPool::new(&[1, 2]);
    let mut node = pool.start(1).await;
    let beat = Heartbeat { version: 1, node: pool.node(2), boot: 1, counter: 1 };
    let right = Fact::from(Signed::sign(pool.facts.pool(), &key(2), beat)).raw();
    let message = Message::Facts(FactBatch { request: 0, facts: vec![right] });
    let good = fsdfs_proto::codec::encode(&message);
    let mut bad = good.clone();
    let end = bad.len() - 2;
    bad[end] ^= 1;
    let frames = [good, bad].map(|bytes| [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat());
    let _rude = speak_rudely(&pool, &node, frames.concat());
    let mut heard = 0;
    loop {
        match node.next().await {
            NetEvent::Message { message: Message::Facts(_), .. } => heard += 1,
            NetEvent::Misbehaved { .. } => break,
            _ => {}
        }
    }
    assert_eq!(heard, 1, "the right one only");
    node.until(|event| matches!(event, NetEvent::Down { .. })).await;
}

#[tokio::test]
async fn a_block_with_other_bytes_than_announced_is_reported() {
    let pool = TestPool::new(&[1, 2]);
    let mut node = pool.start(1).await;
    let message = fsdfs_proto::codec::encode(&store(node.node, AttachedBlock { id: BlockId([9; 32]), len: 3 }));
    let frame = [&(message.len() as u32).to_be_bytes()[..], &message, b"abc"].concat();
    let _rude = speak_rudely(&pool, &node, frame);
    let event = node.until(|event| matches!(event, NetEvent::Message { .. })).await;
    assert!(matches!(event, NetEvent::Message { payload: BlockPayload::Wrong, .. }));
}

/// A member whose program writes `bytes` where messages belong.
fn speak_rudely(pool: &TestPool, to: &TestNode, bytes: Vec<u8>) -> tokio::task::JoinHandle<()> {
    let keeper = pool.keeper(2);
    let (socket, _events) = SocketHandle::new(*keeper.secret(), keeper.node());
    let mut swarm =
        swarm(&keeper, false, QuicSettings::default(), Default::default(), (socket, Default::default())).unwrap();
    let peer = address::peer_id(to.node).unwrap();
    swarm.dial(address::quic(to.addr()).with_p2p(peer).unwrap()).unwrap();
    tokio::spawn(async move {
        let mut streams = Vec::new();
        loop {
            if let SwarmEvent::Behaviour(NodeBehaviourEvent::Streams(StreamsEvent { streams: Ok(opened), .. })) =
                swarm.select_next_some().await
            {
                streams.push(opened);
                let stream = &mut streams.last_mut().unwrap().outbound.messages;
                stream.write_all(&bytes).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    })
}
