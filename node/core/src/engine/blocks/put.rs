//! Putting: a block or a head durable on N distinct servers (design: "acknowledged").
//!
//! Servers are taken in placement order. One that is down, silent, full or failing is passed over and the next in order takes
//! its place as a fallback holder. The put ends when N servers have it, or when no further server can be asked: then with
//! fewer, and the answer says so. What a passed-over server confirms in the meantime counts too. Only confirmations of
//! durable copies are counted, each server once, whoever brought it the block.

mod chain;
mod open_put;

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::meeting::{NextHolder, RelayedStore, RelayedStoreReply};
use fsdfs_proto::message::{
    AttachedBlock, FactBatch, HaveRequest, Message, Possession, Redundancy, RequestId, StoreOutcome, StoreRequest,
};
use fsdfs_proto::receipt::BlockReceipt;

use self::chain::{BlockChain, BlockRoute, BrokenChain};
pub(in crate::engine) use self::open_put::PutItem;
use self::open_put::{OpenPut, OwnCopy, PutSlot, may_keep_copy};
use crate::engine::context::Context;
use crate::engine::event::Event;
use crate::engine::timers::Timer;
use crate::limits::PEER_TICK_MS;
use crate::placement::BlockHolder;
use crate::seam::{DiskRequest, Lease, OpId, PutToken, TrafficClass, Waiter, WriteDone};

/// Of a block that its writer puts now.
const NEW_AGE_MS: u64 = 0;

/// Puts under way.
#[derive(Default)]
pub(in crate::engine) struct Puts {
    /// By number. Each ends in exactly one [`Event::PutEnded`]; a cancelled one does, too, for nobody.
    open: BTreeMap<u64, OpenPut>,
    /// Numbers are never used twice, so a late answer cannot meet another put.
    last: u64,
}

impl Puts {
    /// Whether copies of this are on their way from here.
    pub fn is_open(&self, id: BlockId) -> bool {
        self.open.values().any(|put| matches!(&put.item, PutItem::Block { block, .. } if block.id() == id))
    }

    /// Those under way.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Ends in one [`Event::PutEnded`] for `waiter`. The servers that are asked at once.
    pub fn start(&mut self, cx: &mut Context, mut item: PutItem, waiter: Waiter) -> Vec<NodeId> {
        let target = match &item {
            PutItem::Block { redundancy, .. } => redundancy.copies(),
            PutItem::Head { .. } => cx.copies(),
        };
        let place = item.place();
        let order = cx.map.order(place, target);
        item.spare_reserve(cx, &order);
        self.last += 1;
        let id = self.last;
        // Only an assigned holder's index says anything: elsewhere the block would not lie here even if it were old.
        let mine = order.iter().take(target.into()).any(|holder| holder.node == cx.me);
        let logged = matches!(item, PutItem::Head { .. }) && order.iter().any(|holder| holder.node == cx.me);
        let slots = logged.then_some((cx.me, PutSlot::Durable)).into_iter().collect();
        // This node's own index tells for nothing whether the block is new to the pool: then no peer needs asking.
        let probes_own = mine && matches!(item, PutItem::Block { probe: true, .. });
        let put = OpenPut {
            item,
            target,
            order,
            slots,
            probed: BTreeSet::new(),
            lacking: Vec::new(),
            lacking_since: 0,
            chain: None,
            sent: false,
            own_copy: OwnCopy::None,
            receipt: None,
            waiter,
        };
        self.open.insert(id, put);
        if self.open.get(&id).is_some_and(|put| put.will_lack_proof(cx)) {
            self.keep_copy(cx, id);
        }
        if probes_own {
            let request = DiskRequest::Have { ids: vec![place], renew: None };
            cx.disk(request, Waiter::Put(PutToken::OwnProbe(id)));
        } else {
            self.advance(cx, id);
        }
        let asked = self.open.get(&id).map(|put| put.slots.keys().copied().filter(|node| *node != cx.me).collect());
        asked.unwrap_or_default()
    }

    /// Writes a copy here, if the holders' word is all there would be.
    fn keep_copy(&mut self, cx: &mut Context, id: u64) {
        let Some(put) = self.open.get_mut(&id).filter(|put| may_keep_copy(cx, put)) else { return };
        let PutItem::Block { block, redundancy, more, .. } = &put.item else { return };
        put.own_copy = OwnCopy::UnderWay;
        let request = DiskRequest::Write {
            block: block.clone(),
            redundancy: *redundancy,
            first_seen: cx.now.wall,
            lease: Lease::Now,
            receipt: sign_once(cx, &mut put.receipt, block.id()),
            disk: None,
            more: *more,
        };
        cx.disk(request, Waiter::Put(PutToken::Keep(id)));
    }

    /// That copy is durable, or there will be none: it is not one of the N, so its failure fails nothing.
    pub fn on_kept(&mut self, cx: &mut Context, id: u64, done: WriteDone) {
        if let Some(put) = self.open.get_mut(&id) {
            debug_assert_eq!(put.own_copy, OwnCopy::UnderWay, "written once");
            let is_durable = matches!(done, WriteDone::New | WriteDone::Already);
            put.own_copy = if is_durable { OwnCopy::Durable } else { OwnCopy::Failed };
        }
        self.advance(cx, id);
    }

    /// Nobody waits for it any more; it goes on.
    pub fn cancel(&mut self, op: OpId) {
        for put in self.open.values_mut().filter(|put| put.waiter == Waiter::Client(op)) {
            put.waiter = Waiter::Nobody;
        }
    }

    /// Whether the answer to this takes as long as a block's bytes move.
    pub fn moves_block(&self, token: PutToken) -> bool {
        let PutToken::Store(id) = token else { return false };
        self.open.get(&id).is_some_and(|put| matches!(put.item, PutItem::Block { .. }))
    }

    /// What this node has, others may have from the same earlier put, so they are asked before a megabyte is sent to each.
    pub fn on_own_probe(&mut self, cx: &mut Context, id: u64, answers: &[Possession]) {
        if let Some(OpenPut { item: PutItem::Block { probe, .. }, .. }) = self.open.get_mut(&id) {
            *probe = answers.first() == Some(&Possession::Yes);
        }
        self.advance(cx, id);
    }

    /// A yes is as good as stored: the peer renewed its lease durably before it said so. Anything else gets the bytes, "not
    /// yet" too: its store tells an old block from a new one.
    pub fn on_probe_reply(&mut self, cx: &mut Context, id: u64, from: NodeId, answers: &[Possession]) {
        let Some(put) = self.open.get_mut(&id) else { return };
        put.probed.remove(&from);
        if answers.first() == Some(&Possession::Yes) {
            return self.on_durable(cx, id, from);
        }
        put.lacks(from, cx.now.mono);
        self.send_lacking(cx, id);
    }

    /// A peer says what became of the bytes, or of the head.
    pub fn on_store_reply(&mut self, cx: &mut Context, id: u64, from: NodeId, outcome: StoreOutcome) {
        match outcome {
            StoreOutcome::Stored => self.on_durable(cx, id, from),
            other => self.on_failed(cx, id, from, Some(other)),
        }
    }

    /// This node's own store counts like any other server, however many disks it has.
    pub fn on_own_write(&mut self, cx: &mut Context, id: u64, done: WriteDone) {
        let me = cx.me;
        match done {
            WriteDone::Already => self.on_durable(cx, id, me),
            WriteDone::New => {
                if let Some(put) = self.open.get_mut(&id) {
                    put.sent = true;
                }
                self.on_durable(cx, id, me);
            }
            WriteDone::Full => self.on_failed(cx, id, me, Some(StoreOutcome::Full)),
            WriteDone::Failed => self.on_failed(cx, id, me, Some(StoreOutcome::Failed)),
        }
    }

    /// From now on this server counts, whatever was thought of it before.
    fn on_durable(&mut self, cx: &mut Context, id: u64, node: NodeId) {
        let Some(put) = self.open.get_mut(&id) else { return };
        let before = put.slots.insert(node, PutSlot::Durable);
        debug_assert!(before.is_some(), "durable on none but those asked");
        put.settle(node);
        self.advance(cx, id);
    }

    /// It refused, or no answer will come (`why` is none).
    pub fn on_failed(&mut self, cx: &mut Context, id: u64, node: NodeId, why: Option<StoreOutcome>) {
        let Some(put) = self.open.get_mut(&id) else { return };
        if put.is_durable_on(node) {
            // It was sent the block directly, too, and had confirmed what others brought it.
            debug_assert!(put.chain.is_some(), "what was confirmed stays confirmed");
            return;
        }
        let before = put.slots.insert(node, PutSlot::Failed(why));
        debug_assert!(before.is_some(), "only who was asked fails");
        put.settle(node);
        self.advance(cx, id);
    }

    /// Asks as many further servers as are needed for N; ends the put when there is nothing to wait for.
    pub fn advance(&mut self, cx: &mut Context, id: u64) {
        // It may have ended by what was told before this.
        let Some(put) = self.open.get(&id) else { return };
        let target = usize::from(put.target);
        let durable = put.durable();
        // Confirmed, or likely to be: never more are asked than are needed for N.
        let mut hopeful = durable;
        let mut next = Vec::new();
        for holder in &put.order {
            if hopeful >= target {
                break;
            }
            let slot = put.slots.get(&holder.node);
            let counts = match slot {
                Some(PutSlot::Durable | PutSlot::Failed(_)) => false,
                Some(PutSlot::Asked) => cx.responsive(holder.node),
                None => put.item.is_taken_by(cx, holder.node),
            };
            hopeful += usize::from(counts);
            if counts && slot.is_none() {
                next.push(*holder);
            }
        }
        // Others would say the same, and a copy in their place would be one beside the rule.
        let waits = put.slots.iter().any(|(node, slot)| *slot == PutSlot::Asked && cx.responsive(*node));
        if put.is_over_budget() {
            next.clear();
            hopeful = durable + usize::from(waits);
        }
        if durable >= target || hopeful == durable {
            // What is acknowledged may depend on the own copy alone, if the holders lie.
            if put.has_no_proof(cx) {
                self.keep_copy(cx, id);
            }
            if self.open.get(&id).is_some_and(|put| put.own_copy != OwnCopy::UnderWay) {
                self.finish(cx, id);
            }
            return;
        }
        for holder in next {
            self.ask_holder(cx, id, holder);
        }
        self.send_lacking(cx, id);
    }

    /// The one place where a slot begins.
    fn ask_holder(&mut self, cx: &mut Context, id: u64, holder: BlockHolder) {
        let Some(put) = self.open.get_mut(&id) else { return };
        let before = put.slots.insert(holder.node, PutSlot::Asked);
        debug_assert!(before.is_none(), "each server is asked once");
        match &put.item {
            PutItem::Head { fact, .. } => {
                let facts = vec![fact.clone()];
                let message = |request| Message::Facts(FactBatch { request, facts });
                cx.ask(holder.node, Waiter::Put(PutToken::Store(id)), message);
            }
            PutItem::Block { block, redundancy, more, .. } if holder.node == cx.me => {
                let request = DiskRequest::Write {
                    block: block.clone(),
                    redundancy: *redundancy,
                    first_seen: cx.now.wall,
                    lease: Lease::Now,
                    receipt: sign_once(cx, &mut put.receipt, block.id()),
                    disk: Some(holder.disk),
                    more: *more,
                };
                cx.disk(request, Waiter::Put(PutToken::OwnWrite(id)));
            }
            PutItem::Block { block, redundancy, probe: true, .. } => {
                put.probed.insert(holder.node);
                probe(cx, id, holder.node, (block.id(), *redundancy));
            }
            PutItem::Block { .. } => put.lacks(holder.node, cx.now.mono),
        }
    }

    /// Bytes go out once a server: after its no, or at once if nobody is asked.
    fn send_block(&mut self, cx: &mut Context, id: u64, to: NodeId) {
        let map = cx.map_digest;
        let Some(put) = self.open.get_mut(&id) else { return };
        let PutItem::Block { block, redundancy, more, .. } = &put.item else { return };
        put.sent = true;
        let (block, redundancy, more) = (block.clone(), *redundancy, *more);
        let receipt = sign_once(cx, &mut put.receipt, block.id());
        let attached = AttachedBlock::from(&block);
        let store = |request| {
            Message::Store(StoreRequest {
                request,
                map,
                redundancy,
                age_ms: NEW_AGE_MS,
                lease_ms: NEW_AGE_MS,
                receipt,
                more,
                block: attached,
            })
        };
        cx.ask_with(to, Waiter::Put(PutToken::Store(id)), store, Some((block, TrafficClass::User)));
    }

    /// Sends the block to all that are known to lack it. Who is near gets it at once; the others wait for each other's word, so that
    /// one chain leads to all of them, but not for long.
    fn send_lacking(&mut self, cx: &mut Context, id: u64) {
        let Some(put) = self.open.get_mut(&id).filter(|put| !put.lacking.is_empty()) else { return };
        let is_awaited = put.may_be_relayed(cx) && put.awaits_word(cx);
        let waits = |node: &NodeId| is_awaited && !cx.is_off_chains(*node);
        let (waiting, ready): (Vec<_>, Vec<_>) = std::mem::take(&mut put.lacking).into_iter().partition(waits);
        put.lacking = waiting;
        if is_awaited {
            cx.wake_in(PEER_TICK_MS, Timer::Relays);
        }
        let (ready, gone): (Vec<_>, Vec<_>) = ready.into_iter().partition(|node| cx.peers.is_up(*node));
        let route = if put.may_be_relayed(cx) { put.route(cx, &ready) } else { BlockRoute::direct(ready) };
        route.direct.into_iter().for_each(|node| self.send_block(cx, id, node));
        self.send_along(cx, id, &route.chain);
        gone.into_iter().for_each(|node| self.on_failed(cx, id, node, None));
    }

    /// The block goes to the first of these, and each of them answers this node.
    fn send_along(&mut self, cx: &mut Context, id: u64, chain: &[NodeId]) {
        let Some(put) = self.open.get_mut(&id) else { return };
        let ([first, others @ ..], PutItem::Block { block, redundancy, .. }) = (chain, &put.item) else { return };
        debug_assert!(put.chain.is_none() && !others.is_empty(), "a block goes along one chain, of two at least");
        put.sent = true;
        let (block, redundancy, map, origin) = (block.clone(), *redundancy, cx.map_digest, cx.me);
        let receipt = sign_once(cx, &mut put.receipt, block.id());
        let expect =
            |node: &NodeId| NextHolder { node: *node, request: cx.expect(*node, Waiter::Put(PutToken::Relayed(id))) };
        let holders: Vec<NextHolder> = others.iter().map(expect).collect();
        let hops: Vec<(NodeId, RequestId)> = holders.iter().map(|next| (next.node, next.request)).collect();
        let attached = AttachedBlock::from(&block);
        let mut asked_first = 0;
        let store = |request| {
            asked_first = request;
            let block = attached;
            let age_ms = NEW_AGE_MS;
            Message::RelayedStore(RelayedStore { request, map, redundancy, age_ms, receipt, origin, holders, block })
        };
        cx.ask_with(*first, Waiter::Put(PutToken::Store(id)), store, Some((block, TrafficClass::User)));
        put.chain = Some(BlockChain::new(cx.now.mono, std::iter::once((*first, asked_first)).chain(hops)));
        cx.wake_in(PEER_TICK_MS, Timer::Relays);
    }

    /// A holder of a chain says what became of the block there. What was passed on to it may be another block than was sent, or less
    /// of a claim: then its word is not about this put.
    pub fn on_relayed_reply(&mut self, cx: &mut Context, id: u64, from: NodeId, reply: &RelayedStoreReply) {
        let Some(put) = self.open.get_mut(&id) else { return };
        let PutItem::Block { block, redundancy, .. } = &put.item else { return };
        let is_meant = (reply.id, reply.redundancy, reply.age_ms) == (block.id(), *redundancy, NEW_AGE_MS);
        let is_first = put.chain.as_ref().is_none_or(|chain| chain.relayed().all(|(node, _)| node != from));
        match reply.outcome {
            // It is not for the receiver to answer for what others made of the block, or for what only they believe of it.
            _ if !is_meant && is_first => self.on_failed(cx, id, from, Some(StoreOutcome::WrongBytes)),
            _ if !is_meant => self.on_relayed_lost(cx, id, from),
            StoreOutcome::WrongBytes | StoreOutcome::Refused if !is_first => self.on_relayed_lost(cx, id, from),
            outcome => {
                if let Some(chain) = &mut put.chain {
                    chain.on_answer(from, cx.now.mono);
                }
                self.on_store_reply(cx, id, from, outcome);
            }
        }
    }

    /// No answer that counts will come of what others were to bring it.
    pub fn on_relayed_lost(&mut self, cx: &mut Context, id: u64, node: NodeId) {
        let Some(put) = self.open.get_mut(&id) else { return };
        let was_awaited = put.chain.as_mut().is_some_and(|chain| chain.on_lost(node));
        if !cx.peers.is_up(node) {
            self.on_failed(cx, id, node, None);
        } else if was_awaited {
            self.ask_left(cx, id, BrokenChain { left: vec![node], failed: Vec::new() });
        }
    }

    /// A holder did not send a block on to those whose questions these are.
    pub fn on_not_relayed(&mut self, cx: &mut Context, from: NodeId, requests: &[RequestId]) {
        for request in requests {
            let Some(Waiter::Put(PutToken::Relayed(id))) = cx.requests.waiter(*request) else { continue };
            let id = *id;
            let chain = self.open.get_mut(&id).and_then(|put| put.chain.as_mut());
            let broken = chain.map(|chain| chain.on_not_relayed(from, requests));
            self.ask_left(cx, id, broken.unwrap_or_default());
        }
    }

    /// Looks at all blocks that are on their way along a chain, or wait for somebody's word.
    pub fn on_relays_due(&mut self, cx: &mut Context) {
        let ids: Vec<u64> = self.open.iter().filter(|(_, put)| put.is_watched()).map(|(id, _)| *id).collect();
        for id in ids {
            self.send_lacking(cx, id);
            let Some(chain) = self.open.get_mut(&id).and_then(|put| put.chain.as_mut()) else { continue };
            let broken = chain.broken(cx.now.mono, |node| cx.responsive(node));
            self.ask_left(cx, id, broken);
        }
        if self.open.values().any(OpenPut::is_watched) {
            cx.wake_in(PEER_TICK_MS, Timer::Relays);
        }
    }

    /// Directly, once: who has it after all says so, and gets no second copy of the bytes.
    fn ask_left(&mut self, cx: &mut Context, id: u64, broken: BrokenChain) {
        broken.failed.iter().for_each(|node| cx.peers.note_not_relayed(*node, cx.now.mono));
        let Some(put) = self.open.get(&id) else { return };
        let PutItem::Block { block, redundancy, .. } = &put.item else { return };
        let asked = |node: &NodeId| put.slots.get(node) == Some(&PutSlot::Asked);
        for node in broken.left.into_iter().filter(asked) {
            probe(cx, id, node, (block.id(), *redundancy));
        }
    }

    /// The only way out of `open`.
    fn finish(&mut self, cx: &mut Context, id: u64) {
        let mut put = self.open.remove(&id).expect("only puts under way are finished");
        put.forget_chain(cx);
        let report = put.report(cx);
        debug_assert!(report.durable <= put.slots.len(), "durable on none but those asked");
        cx.raise(Event::PutEnded(report));
    }
}

/// Asks a peer whether it has the block; a yes renews its lease.
fn probe(cx: &mut Context, id: u64, node: NodeId, (block, redundancy): (BlockId, Redundancy)) {
    let map = cx.map_digest;
    let have = |request| Message::Have(HaveRequest { request, renew: true, map, redundancy, ids: vec![block] });
    cx.ask(node, Waiter::Put(PutToken::Probe(id)), have);
}

/// This node's receipt for a block.
fn sign_once(cx: &Context, receipt: &mut Option<BlockReceipt>, id: BlockId) -> BlockReceipt {
    *receipt.get_or_insert_with(|| BlockReceipt::sign(cx.pool, &cx.key, id))
}

#[cfg(test)]
mod tests;
