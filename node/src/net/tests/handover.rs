//! What is under way between two nodes moves from one connection to another.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fsdfs_core::seam::BlockPayload;
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{AttachedBlock, Message};
use tokio::sync::watch;

use super::pool::{PATIENCE, TestNode, TestPool};
use super::{USER, store};
use crate::net::command::NetCommand;
use crate::net::session::links::LinkTable;
use crate::net::{Net, NetEvent};

const BLOCKS: u8 = 200;
const BLOCK_BYTES: usize = 256 << 10;
/// Said before each block. No more in all than a peer may owe answers for: here none are given.
const PINGS_EACH: u64 = 8;

fn small_block(fill: u8) -> Block {
    Block::new(Bytes::from(vec![fill; BLOCK_BYTES]))
}

fn say_all(net: &Net, from: NodeId, to: NodeId) {
    for number in 0..BLOCKS {
        for ping in 0..PINGS_EACH {
            net.send(to, Message::Ping(u64::from(number) * PINGS_EACH + ping), None, USER);
        }
        let block = small_block(number);
        net.send(to, store(from, AttachedBlock::from(&block)), Some(block), USER);
    }
}

/// All that the other says, in the order in which it comes; nothing else happens meanwhile.
async fn hear_all(node: &mut TestNode, count: watch::Sender<usize>) -> (Vec<u64>, Vec<BlockId>) {
    let (mut pings, mut blocks) = (Vec::new(), Vec::new());
    while pings.len() < usize::from(BLOCKS) * PINGS_EACH as usize || blocks.len() < usize::from(BLOCKS) {
        match node.next().await {
            NetEvent::Message { message: Message::Ping(number), .. } => pings.push(number),
            NetEvent::Message { payload: BlockPayload::Block(block), .. } => blocks.push(block.id()),
            event @ (NetEvent::Up { .. } | NetEvent::Down { .. } | NetEvent::Message { .. }) => panic!("{event:?}"),
            _ => {}
        }
        count.send_replace(blocks.len());
    }
    (pings, blocks)
}

/// Opens further connections while they talk, one after the other.
async fn move_again(by: Mover, mut heard: watch::Receiver<usize>) {
    for blocks in [10, 60, 110, 160] {
        heard.wait_for(|heard| *heard >= blocks).await.unwrap();
        let number = by.links.number(by.peer);
        by.move_once().await;
        assert!(by.links.number(by.peer) > number);
    }
}

/// Who dials though it is connected.
struct Mover {
    commands: tokio::sync::mpsc::UnboundedSender<NetCommand>,
    links: Arc<LinkTable>,
    peer: NodeId,
    addr: SocketAddr,
}

impl Mover {
    fn new(node: &TestNode, peer: &TestNode) -> Self {
        let (commands, links) = (node.net.commands.clone(), Arc::clone(&node.net.hub.links));
        Self { commands, links, peer: peer.node, addr: peer.addr() }
    }

    async fn move_once(&self) {
        let before = self.links.number(self.peer);
        let redial = NetCommand::Redial { node: self.peer, addrs: vec![self.addr] };
        assert!(self.commands.send(redial).is_ok());
        in_time(|| self.links.number(self.peer) != before && !self.links.is_moving(self.peer)).await;
    }
}

async fn in_time(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("not in time");
}

async fn timely<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(2 * PATIENCE, work).await.expect("not in time")
}

/// By who leads and by who does not.
#[tokio::test]
async fn under_load_nothing_is_lost_or_doubled_and_messages_keep_their_order() {
    for leader_dials in [true, false] {
        let pool = TestPool::new(&[1, 2]);
        let (mut a, mut b) = (pool.start(1).await, pool.start(2).await);
        a.connect(&mut b).await;
        say_all(&a.net, a.node, b.node);
        say_all(&b.net, b.node, a.node);
        let mover = if (a.node < b.node) == leader_dials { Mover::new(&a, &b) } else { Mover::new(&b, &a) };
        let ((at_a, _), (at_b, count)) = (watch::channel(0), watch::channel(0));
        let heard = async { tokio::join!(hear_all(&mut a, at_a), hear_all(&mut b, at_b), move_again(mover, count)) };
        let (by_a, by_b, ()) = timely(heard).await;
        let all_blocks: Vec<BlockId> = (0..BLOCKS).map(|number| small_block(number).id()).collect();
        for (pings, mut blocks) in [by_a, by_b] {
            assert!(pings.into_iter().eq(0..u64::from(BLOCKS) * PINGS_EACH), "in order, each once");
            let mut wanted = all_blocks.clone();
            blocks.sort_unstable();
            wanted.sort_unstable();
            assert!(blocks == wanted, "each once");
        }
        a.reaches(&mut b).await;
        b.reaches(&mut a).await;
        assert!(a.up && b.up);
    }
}

#[tokio::test]
async fn an_idle_session_moves_and_the_old_connection_is_closed() {
    let pool = TestPool::new(&[1, 2]);
    let (mut a, mut b) = (pool.start(1).await, pool.start(2).await);
    a.connect(&mut b).await;
    let (of_a, of_b) = (Mover::new(&a, &b), Mover::new(&b, &a));
    for mover in [&of_a, &of_b, &of_a] {
        mover.move_once().await;
        in_time(|| !of_a.links.is_moving(b.node) && !of_b.links.is_moving(a.node)).await;
        assert_eq!(of_a.links.number(b.node), of_b.links.number(a.node));
    }
    a.reaches(&mut b).await;
    b.reaches(&mut a).await;
    assert!(a.up && b.up);
}
