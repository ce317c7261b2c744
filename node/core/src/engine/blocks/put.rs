//! Putting: a block or a head durable on N distinct servers (design: "acknowledged").
//!
//! Servers are taken in placement order. One that is down, silent, full or failing is passed over and the next in order takes
//! its place as a fallback holder. The put ends when N servers have it, or when no further server can be asked: then with
//! fewer, and the answer says so. What a passed-over server confirms in the meantime counts too. Only confirmations of
//! durable copies are counted, each server once.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::RawFact;
use fsdfs_proto::ids::{BlockId, NodeId, VolumeId};
use fsdfs_proto::message::{
    AttachedBlock, FactBatch, HaveRequest, Message, Possession, Redundancy, StoreOutcome, StoreRequest,
};
use fsdfs_proto::receipt::BlockReceipt;

use crate::engine::context::Context;
use crate::engine::event::{Event, PutReport};
use crate::limits::NEARLY_FULL_PERCENT;
use crate::placement::BlockHolder;
use crate::seam::{Copies, DiskRequest, OpId, PutOutcome, PutToken, Refusal, TrafficClass, Waiter, WriteDone};

/// Puts under way.
#[derive(Default)]
pub(in crate::engine) struct Puts {
    /// By number. Each ends in exactly one [`Event::PutEnded`]; a cancelled one does, too, for nobody.
    open: BTreeMap<u64, OpenPut>,
    /// Numbers are never used twice, so a late answer cannot meet another put.
    last: u64,
}

/// What is put.
pub(in crate::engine) enum PutItem {
    /// With `probe`, holders are asked before bytes are sent: the block may be there from an earlier put. With `more`, others
    /// are put right behind it, and holders may make them durable together. With `reserve`, full servers are asked, too: they
    /// keep some room for the trees that removals and merges make.
    Block { block: Block, redundancy: Redundancy, probe: bool, more: bool, reserve: bool },
    /// A head of this volume, durable in this node's log already; its holders are those of the volume's id.
    Head { fact: RawFact, volume: VolumeId },
}

/// A put that waits for answers.
///
/// Invariant: some slot is `Asked`, or this node's own probe or kept copy is under way; otherwise it would have ended.
struct OpenPut {
    item: PutItem,
    /// N: so many durable slots end the put.
    target: u8,
    /// All servers, the assigned holders first.
    order: Vec<BlockHolder>,
    /// Those asked so far. A slot that is durable stays so.
    slots: BTreeMap<NodeId, PutSlot>,
    /// Bytes were sent, or written here: it was not there before.
    sent: bool,
    /// This node's own copy is being written, beside those of the holders; see [`keeps_copy`].
    keeping: bool,
    /// That copy is durable.
    kept: bool,
    /// This node's, signed when the first server gets the bytes: a block that is there already needs none.
    receipt: Option<BlockReceipt>,
    /// Who is told in the end.
    waiter: Waiter,
}

/// What is known of a server that was asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PutSlot {
    /// A question or bytes are on their way to it.
    Asked,
    /// It said that the block is on its disk, or the head in its log. Late answers lead here, too.
    Durable,
    /// Nothing is expected of it any more, but its late confirmation counts.
    /// It said why, or no answer will come.
    Failed(Option<StoreOutcome>),
}

impl OpenPut {
    /// Distinct servers by construction: a node has one slot.
    fn durable(&self) -> usize {
        self.slots.values().filter(|slot| **slot == PutSlot::Durable).count()
    }

    /// A holder says that this node's owner has used up what the pool's rules give a member.
    fn is_over_budget(&self) -> bool {
        self.slots.values().any(|slot| *slot == PutSlot::Failed(Some(StoreOutcome::OverBudget)))
    }

    fn is_durable_on(&self, node: NodeId) -> bool {
        self.slots.get(&node) == Some(&PutSlot::Durable)
    }
}

impl PutItem {
    /// What placement is asked for: heads lie where a block with their volume's id would.
    fn place(&self) -> BlockId {
        match self {
            Self::Block { block, .. } => block.id(),
            Self::Head { volume, .. } => BlockId(volume.0),
        }
    }

    /// The reserve of full servers is for when there are not enough others.
    fn spare_reserve(&mut self, cx: &Context, order: &[BlockHolder]) {
        if let Self::Block { redundancy, reserve, .. } = self
            && *reserve
        {
            let with_room = order.iter().filter(|holder| takes_blocks(cx, holder.node, false)).count();
            *reserve = with_room < redundancy.copies().into();
        }
    }

    /// Whether a server can be asked to keep it. Heads go to logs, which are not where blocks are.
    fn is_taken_by(&self, cx: &Context, node: NodeId) -> bool {
        let needs_no_room = match self {
            Self::Block { reserve, .. } => *reserve,
            Self::Head { .. } => true,
        };
        takes_blocks(cx, node, needs_no_room)
    }
}

impl Puts {
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
        let put =
            OpenPut { item, target, order, slots, sent: false, keeping: false, kept: false, receipt: None, waiter };
        self.open.insert(id, put);
        self.keep_copy(cx, id);
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
        let Some(put) = self.open.get_mut(&id).filter(|put| keeps_copy(cx, put)) else { return };
        let PutItem::Block { block, redundancy, more, .. } = &put.item else { return };
        put.keeping = true;
        let request = DiskRequest::Write {
            block: block.clone(),
            redundancy: *redundancy,
            first_seen: cx.now.wall,
            receipt: sign_once(cx, &mut put.receipt, block.id()),
            disk: None,
            more: *more,
        };
        cx.disk(request, Waiter::Put(PutToken::Keep(id)));
    }

    /// That copy is durable, or there will be none: it is not one of the N, so its failure fails nothing.
    pub fn on_kept(&mut self, cx: &mut Context, id: u64, done: WriteDone) {
        if let Some(put) = self.open.get_mut(&id) {
            debug_assert!(put.keeping, "written once");
            (put.keeping, put.kept) = (false, matches!(done, WriteDone::New | WriteDone::Already));
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
        if answers.first() == Some(&Possession::Yes) {
            self.on_durable(cx, id, from);
        } else if self.open.contains_key(&id) {
            self.send_block(cx, id, from);
        }
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
        self.advance(cx, id);
    }

    /// It refused, or no answer will come (`why` is none).
    pub fn on_failed(&mut self, cx: &mut Context, id: u64, node: NodeId, why: Option<StoreOutcome>) {
        let Some(put) = self.open.get_mut(&id) else { return };
        let before = put.slots.insert(node, PutSlot::Failed(why));
        debug_assert!(before.is_some_and(|slot| slot != PutSlot::Durable), "what was confirmed stays confirmed");
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
            if !put.keeping {
                self.finish(cx, id);
            }
            return;
        }
        for holder in next {
            self.ask_holder(cx, id, holder);
        }
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
                    receipt: sign_once(cx, &mut put.receipt, block.id()),
                    disk: Some(holder.disk),
                    more: *more,
                };
                cx.disk(request, Waiter::Put(PutToken::OwnWrite(id)));
            }
            PutItem::Block { block, redundancy, probe: true, .. } => {
                let (redundancy, ids, map) = (*redundancy, vec![block.id()], cx.map_digest);
                let have = |request| Message::Have(HaveRequest { request, renew: true, map, redundancy, ids });
                cx.ask(holder.node, Waiter::Put(PutToken::Probe(id)), have);
            }
            PutItem::Block { .. } => self.send_block(cx, id, holder.node),
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
            Message::Store(StoreRequest { request, map, redundancy, age_ms: 0, receipt, more, block: attached })
        };
        // What a background machine puts again completes copies: no user waits for it.
        let is_repair = matches!(put.waiter, Waiter::Background(_));
        let class = if is_repair { TrafficClass::Repair } else { TrafficClass::User };
        cx.ask_with(to, Waiter::Put(PutToken::Store(id)), store, Some((block, class)));
    }

    /// The only way out of `open`.
    fn finish(&mut self, cx: &mut Context, id: u64) {
        let put = self.open.remove(&id).expect("only puts under way are finished");
        let report = put.report(cx);
        debug_assert!(report.durable <= put.slots.len(), "durable on none but those asked");
        cx.raise(Event::PutEnded(report));
    }
}

impl OpenPut {
    /// What is told to those who complete copies later: repair and hints.
    fn report(&self, cx: &Context) -> PutReport {
        let did_not = |node: &NodeId| match self.slots.get(node) {
            Some(slot) => *slot != PutSlot::Durable,
            // Not asked: it takes nothing, or it was silent, though it may speak again by now.
            None => cx.is_holder(*node),
        };
        let assigned = self.order.iter().take(self.target.into()).map(|holder| holder.node);
        let missed = assigned.filter(|node| *node != cx.me && did_not(node));
        let refused = |node: NodeId| matches!(self.slots.get(&node), Some(PutSlot::Failed(Some(_))));
        let (block, bytes) = match &self.item {
            PutItem::Block { block, redundancy, .. } => (Some((block.id(), *redundancy)), Some(block.clone())),
            PutItem::Head { .. } => (None, None),
        };
        let durable_on = self.slots.keys().filter(|node| **node != cx.me && self.is_durable_on(**node));
        PutReport {
            waiter: self.waiter.clone(),
            block,
            outcome: self.outcome(cx),
            bytes,
            durable: self.durable(),
            durable_on: durable_on.copied().collect(),
            target: self.target.into(),
            mine: self.is_durable_on(cx.me),
            missed: missed.map(|node| (node, refused(node))).collect(),
        }
    }

    /// One durable copy is a promise; none is a refusal that says whether room or answers were missing.
    fn outcome(&self, cx: &Context) -> PutOutcome {
        let on = |wanted: PutSlot| self.slots.iter().filter(move |(_, slot)| **slot == wanted).map(|(node, _)| *node);
        let servers: Vec<NodeId> = on(PutSlot::Durable).collect();
        if self.is_over_budget() && servers.len() < usize::from(self.target) {
            return PutOutcome::Refused(Refusal::OverBudget(cx.facts.rules().member_bytes_max));
        }
        if servers.is_empty() {
            let full = on(PutSlot::Failed(Some(StoreOutcome::Full))).count();
            let none_asked = self.slots.is_empty();
            return PutOutcome::Refused(if full > 0 || none_asked {
                Refusal::NoSpace
            } else {
                Refusal::NoQuorum { got: 0, needed: 1 }
            });
        }
        let durable = servers.len();
        let sites: BTreeSet<&str> = servers.iter().filter_map(|node| site_of(cx, *node)).collect();
        let sites = u8::try_from(sites.len()).unwrap_or(u8::MAX);
        let verified = self.kept || servers.iter().any(|node| *node == cx.me || cx.peers.is_proven(*node));
        let copies = Copies { servers, sites, target: self.target, present: !self.sent, verified };
        if durable >= usize::from(self.target) { PutOutcome::Stored(copies) } else { PutOutcome::Degraded(copies) }
    }
}

/// Whether a writer that is no holder of the block keeps a copy all the same: fewer than a majority of the holders proved lately that
/// they have what they say, so "stored" could be their word alone. In a pool that runs for a minute all have; what was written before
/// lies beside the copies that placement wants and is collected as they are. A disk that is nearly full keeps none.
fn keeps_copy(cx: &Context, put: &OpenPut) -> bool {
    let target = usize::from(put.target);
    let holders = || put.order.iter().take(target).map(|holder| holder.node);
    let proven = holders().filter(|node| cx.peers.is_proven(*node)).count();
    let has_room = cx.disks.iter().any(|disk| disk.takes_blocks() && disk.full_percent() < NEARLY_FULL_PERCENT);
    let is_block = matches!(put.item, PutItem::Block { .. });
    is_block && has_room && proven <= target / 2 && holders().all(|node| node != cx.me)
}

/// This node's receipt for a block.
fn sign_once(cx: &Context, receipt: &mut Option<BlockReceipt>, id: BlockId) -> BlockReceipt {
    *receipt.get_or_insert_with(|| BlockReceipt::sign(cx.pool, &cx.key, id))
}

/// Whether a server can be asked to keep something new; one that is full, too, with its reserve.
fn takes_blocks(cx: &Context, node: NodeId, reserve: bool) -> bool {
    if node == cx.me {
        return cx.disks.iter().any(|disk| disk.takes_blocks() || reserve && disk.is_full());
    }
    cx.takes_blocks_now(node) && cx.peers.is_believed(node) && (reserve || cx.has_room(node))
}

/// As its card says; none before its card was heard, so it adds no site.
fn site_of(cx: &Context, node: NodeId) -> Option<&str> {
    let member = cx.facts.members().get(&node)?;
    member.card.as_ref().map(|card| card.value().site.as_str())
}

#[cfg(test)]
mod tests;
