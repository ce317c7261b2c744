//! Blocks that this node keeps and passes on: on a chain, each holder gets a block from the one before it.
//!
//! Promise: each answers for itself, to the writer, after its own copy is durable; what is passed on is no copy. A block goes on as
//! soon as it is here and whole, not after its sync, and only if there is room for it to wait: else the writer hears at once
//! that it has to send it itself.

use std::collections::BTreeMap;

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::meeting::{NotRelayed, RelayedStore, RelayedStoreReply};
use fsdfs_proto::message::{Message, StoreOutcome, StoreRequest};

use super::Holdings;
use super::accept::{accepted_block, write_of};
use super::budget::is_within_budget;
use crate::engine::context::Context;
use crate::limits::{RELAY_BLOCKS_WAITING_MAX, RELAY_BYTES_WAITING_MAX};
use crate::seam::{BlockPayload, PeerPath, RelayedBlock, ServeToken, TrafficClass, Waiter};

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct Relays {
    /// What waits for each peer's connection; none of one that is not connected.
    waiting: BTreeMap<NodeId, WaitingBlocks>,
    /// Bytes that left since the start, by the member that they are charged to.
    passed_on: BTreeMap<NodeId, u64>,
}

#[derive(Clone, Copy, Default)]
struct WaitingBlocks {
    blocks: usize,
    bytes: usize,
}

impl Relays {
    /// A block to keep and to send on. Whoever did not put it may pass on only what placement wants here, as with a store.
    pub fn on_store(
        &mut self,
        cx: &mut Context,
        holdings: &Holdings,
        (from, store): (NodeId, RelayedStore),
        payload: BlockPayload,
    ) {
        if store.origin == cx.me {
            // Nobody else begins a chain in this node's name.
            return;
        }
        let block = match payload {
            BlockPayload::Block(block) if block.id() == store.block.id => block,
            _ => return refuse(cx, &store, StoreOutcome::WrongBytes),
        };
        let request = as_store(&store);
        let Some(redundancy) = accepted_block(cx, from, &request, &block) else {
            return refuse(cx, &store, StoreOutcome::Refused);
        };
        if !is_within_budget(cx, holdings, &request, &block) {
            return refuse(cx, &store, StoreOutcome::OverBudget);
        }
        let write = write_of(cx, &request, block.clone(), redundancy);
        cx.disk(write, Waiter::Serve(ServeToken::RelayedStore { to: store.origin, kept: kept(&store) }));
        self.pass_on(cx, store, block);
    }

    /// To the next in line, with the rest of the line.
    fn pass_on(&mut self, cx: &mut Context, mut store: RelayedStore, block: Block) {
        if store.holders.is_empty() {
            return;
        }
        let next = store.holders[0];
        let len = block.bytes().len();
        let leads_back = next.node == cx.me || next.node == store.origin;
        let is_relayed = cx.peers.get(next.node).is_some_and(|peer| peer.path == PeerPath::Relayed);
        if leads_back || is_relayed || !cx.is_prompt(next.node) || !self.has_room(len) {
            return not_relayed(cx, &store);
        }
        store.holders.remove(0);
        store.request = next.request;
        let waiting = self.waiting.entry(next.node).or_default();
        waiting.blocks += 1;
        waiting.bytes += len;
        let blocks: usize = self.waiting.values().map(|waiting| waiting.blocks).sum();
        debug_assert!(blocks <= RELAY_BLOCKS_WAITING_MAX, "there was room for it");
        cx.send_block(next.node, Message::RelayedStore(store), Some(block), TrafficClass::Lent);
    }

    /// One block is always allowed, however long it is.
    fn has_room(&self, len: usize) -> bool {
        let blocks: usize = self.waiting.values().map(|waiting| waiting.blocks).sum();
        let bytes: usize = self.waiting.values().map(|waiting| waiting.bytes).sum();
        blocks == 0 || blocks < RELAY_BLOCKS_WAITING_MAX && bytes + len <= RELAY_BYTES_WAITING_MAX
    }

    /// A block that was passed on to a peer has left.
    pub fn on_left(&mut self, to: NodeId, member: NodeId, bytes: usize) {
        if let Some(waiting) = self.waiting.get_mut(&to) {
            debug_assert!(waiting.blocks > 0 && waiting.bytes >= bytes, "what left had waited");
            waiting.blocks = waiting.blocks.saturating_sub(1);
            waiting.bytes = waiting.bytes.saturating_sub(bytes);
        }
        *self.passed_on.entry(member).or_default() += bytes as u64;
    }

    /// A connection began or ended: nothing waits for it.
    pub fn forget(&mut self, node: NodeId) {
        self.waiting.remove(&node);
    }

    /// Bytes of blocks that left for others since the start, by the member that put them.
    pub fn passed_on(&self) -> &BTreeMap<NodeId, u64> {
        &self.passed_on
    }
}

/// What a chain asks of each of its holders.
fn as_store(store: &RelayedStore) -> StoreRequest {
    let RelayedStore { request, map, redundancy, age_ms, receipt, block, .. } = *store;
    // Only puts go along a chain.
    StoreRequest { request, map, redundancy, age_ms, lease_ms: 0, receipt, more: false, block }
}

fn kept(store: &RelayedStore) -> RelayedBlock {
    let RelayedStore { request, redundancy, age_ms, block, .. } = *store;
    RelayedBlock { request, id: block.id, redundancy, age_ms }
}

/// What is not kept is not passed on: others would not take it from here either, and the writer should know soon.
fn refuse(cx: &mut Context, store: &RelayedStore, outcome: StoreOutcome) {
    answer(cx, store.origin, kept(store), outcome);
    if !store.holders.is_empty() {
        not_relayed(cx, store);
    }
}

fn not_relayed(cx: &mut Context, store: &RelayedStore) {
    let requests = store.holders.iter().map(|holder| holder.request).collect();
    cx.send(store.origin, Message::NotRelayed(NotRelayed { requests }));
}

/// To the writer, who hears what it was that is stored now, and not only that something is.
pub(super) fn answer(cx: &mut Context, to: NodeId, kept: RelayedBlock, outcome: StoreOutcome) {
    let RelayedBlock { request, id, redundancy, age_ms } = kept;
    cx.send(to, Message::RelayedStoreReply(RelayedStoreReply { request, id, redundancy, age_ms, outcome }));
}

#[cfg(test)]
mod tests;
