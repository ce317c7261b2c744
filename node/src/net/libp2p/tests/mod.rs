//! What only somebody with a swarm of its own can try: a member that does not keep to the protocol.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod nearness;

use fsdfs_core::seam::BlockPayload;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::AttachedBlock;
use futures::{AsyncWriteExt as _, StreamExt as _};
use libp2p::swarm::SwarmEvent;

use super::address;
use super::behaviour::NodeBehaviourEvent;
use super::start::swarm;
use super::streams::StreamsEvent;
use crate::net::NetEvent;
use crate::net::tests::pool::{TestNode, TestPool};
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
    let mut swarm = swarm(&pool.keeper(2), false).unwrap();
    let peer = address::peer_id(to.node).unwrap();
    swarm.dial(address::quic(to.addr()).with_p2p(peer).unwrap()).unwrap();
    tokio::spawn(async move {
        let mut streams = Vec::new();
        loop {
            if let SwarmEvent::Behaviour(NodeBehaviourEvent::Streams(StreamsEvent { streams: Ok(opened), .. })) =
                swarm.select_next_some().await
            {
                streams.push(opened);
                for stream in &mut streams.last_mut().unwrap().outbound[..1] {
                    stream.write_all(&bytes).await.unwrap();
                    stream.flush().await.unwrap();
                }
            }
        }
    })
}
