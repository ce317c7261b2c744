//! What the tests of this floor share: blocks that belong where a test wants them, and what was asked of whom.

use bytes::Bytes;
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::card_flag;
use fsdfs_proto::ids::{BlockId, NodeId, Signature};
use fsdfs_proto::message::Message;
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::volume::seal_data;

use crate::engine::context::Context;
use crate::engine::test_kit::{effects, pool};
use crate::seam::{DiskRequest, Effect};

/// A block of its own for each number.
pub fn block(number: u32) -> Block {
    Block::new(Bytes::copy_from_slice(&number.to_be_bytes()))
}

/// The same, sealed as the pool's blocks are.
pub fn sealed(number: u32) -> Block {
    seal_data(pool::keys(1).writer().expect("made from the write secret"), &number.to_be_bytes()).0
}

/// The servers in the order in which three copies of this are put and looked for.
pub fn order(cx: &Context, id: BlockId) -> Vec<NodeId> {
    cx.map.order(id, 3).iter().map(|holder| holder.node).collect()
}

/// A block in whose order this node has that place, the first being 0.
pub fn block_at(cx: &Context, place: usize) -> Block {
    (0..).map(block).find(|block| order(cx, block.id()).get(place) == Some(&cx.me)).expect("endless")
}

/// The same, sealed.
pub fn sealed_at(cx: &Context, place: usize) -> Block {
    (0..).map(sealed).find(|block| order(cx, block.id()).get(place) == Some(&cx.me)).expect("endless")
}

/// Whatever a test does not look at.
pub const RECEIPT: BlockReceipt = BlockReceipt { member: NodeId([1; 32]), signature: Signature([0; 64]) };

/// Connects every server of the map; all proved what they have.
pub fn connect_all(cx: &mut Context) {
    let servers: Vec<NodeId> = cx.map.servers().iter().map(|server| server.id).collect();
    let me = cx.me;
    for node in servers.into_iter().filter(|node| *node != me) {
        cx.peers.on_up(node, cx.now.mono);
        set_proven(cx, node, true);
    }
}

/// What audits found of a peer.
pub fn set_proven(cx: &mut Context, node: NodeId, proven: bool) {
    cx.peers.get_mut(node).expect("connected before").proven = proven;
}

pub fn silence(cx: &mut Context, node: NodeId) {
    cx.peers.get_mut(node).expect("connected before").silent = true;
}

/// Its card says from now on that it takes nothing.
pub fn fill(cx: &mut Context, node: NodeId) {
    let number = (0..50).find(|number| pool::node(*number) == node).expect("of the pool");
    cx.facts.insert(pool::card(number, 2, &[(number, 100)], card_flag::READ_ONLY).into());
    assert!(!cx.has_room(node));
}

/// What was asked since the last call, in order, of peers and of this node's own disk.
pub fn asked(cx: &mut Context) -> Vec<(NodeId, &'static str)> {
    let me = cx.me;
    let name = |effect| match effect {
        Effect::Send { to, message: Message::Store(_), block, .. } => {
            assert!(block.is_some(), "bytes go with it");
            Some((to, "store"))
        }
        Effect::Send { to, message: Message::RelayedStore(_), block, .. } => {
            assert!(block.is_some(), "bytes go with it");
            Some((to, "relayed store"))
        }
        Effect::Send { to, message: Message::Have(_), .. } => Some((to, "have")),
        Effect::Send { to, message: Message::Facts(_), .. } => Some((to, "facts")),
        Effect::Send { to, message: Message::Fetch(_), .. } => Some((to, "fetch")),
        Effect::Send { to, message: Message::ListBlocks(_), .. } => Some((to, "list")),
        Effect::Disk { request: DiskRequest::Write { .. }, .. } => Some((me, "write")),
        Effect::Disk { request: DiskRequest::Read { .. }, .. } => Some((me, "read")),
        Effect::Disk { request: DiskRequest::Have { .. }, .. } => Some((me, "have")),
        Effect::Disk { request: DiskRequest::List { .. }, .. } => Some((me, "list")),
        _ => None,
    };
    effects(cx).into_iter().filter_map(name).collect()
}

/// The same thing, asked of each of these.
pub fn each(nodes: &[NodeId], what: &'static str) -> Vec<(NodeId, &'static str)> {
    nodes.iter().map(|node| (*node, what)).collect()
}
