//! Making a block or a head durable on N distinct servers (design: "acknowledged").
//!
//! Servers are taken in placement order. One that is down, silent, full or failing is passed over and the next in order
//! stands in. The put ends when N servers have it, or when no further server can be asked: then with fewer, told as
//! such. What a passed-over server confirms in the meantime counts too. Only confirmations of durable copies are counted,
//! each server once.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{RawFact, card_flag};
use fsdfs_proto::ids::{BlockId, NodeId, VolumeId};
use fsdfs_proto::message::{
    AttachedBlock, FactBatch, HaveRequest, Message, Possession, Redundancy, StoreOutcome, StoreRequest,
};

use super::peers::Purpose;
use super::{Engine, Reason, disk, reply};

use crate::placement::BlockHolder;
use crate::planted::{self, Bug};
use crate::seam::{Copies, DiskRequest, Effect, OpId, PutOutcome, Refusal, Reply, WriteDone};

/// A put under way.
pub(super) struct Put {
    item: Item,
    wanted: u8,
    order: Vec<BlockHolder>,
    slots: BTreeMap<NodeId, Slot>,
    /// Ask before sending: the block may be there from an earlier put.
    probe: bool,
    sent: bool,
    waiter: Waiter,
}

enum Item {
    Block { block: Block, redundancy: Redundancy },
    Fact(RawFact),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Asked,
    Durable,
    Failed(Option<StoreOutcome>),
}

/// Who waits for a put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Waiter {
    Command(OpId),
    Commit(VolumeId),
    /// The commit that runs, for a block of an earlier one.
    Thin(VolumeId),
    /// The next debt to this holder.
    Debt(NodeId),
    Nobody,
}

impl Put {
    pub fn is_block(&self) -> bool {
        matches!(self.item, Item::Block { .. })
    }

    pub fn forget(&mut self, op: OpId) {
        if self.waiter == Waiter::Command(op) {
            self.waiter = Waiter::Nobody;
        }
    }

    fn durable(&self) -> usize {
        self.slots.values().filter(|slot| **slot == Slot::Durable).count()
    }
}

/// Replicas a redundancy asks of placement.
pub(super) fn copies_of(redundancy: Redundancy) -> u8 {
    match redundancy {
        Redundancy::Replicas(copies) => copies.clamp(1, 32),
        Redundancy::Stripe(stripe) => stripe.k.saturating_add(stripe.m).clamp(1, 32),
    }
}

impl Engine {
    pub(super) fn put_block(&mut self, op: OpId, block: Block, redundancy: Redundancy, out: &mut Vec<Effect>) {
        if self.boot.twin {
            return out.push(reply(op, Reply::PutBlock(PutOutcome::Refused(Refusal::DuplicateIdentity))));
        }
        self.start_put(Item::Block { block, redundancy }, true, Waiter::Command(op), out);
    }

    /// A block that this holder lacks, as far as this node knows.
    pub(super) fn put_again(&mut self, block: Block, redundancy: Redundancy, for_: NodeId, out: &mut Vec<Effect>) {
        self.start_put(Item::Block { block, redundancy }, true, Waiter::Debt(for_), out);
    }

    /// A block of a commit: new by construction, so nobody is asked whether it is there.
    pub(super) fn put_tree_block(&mut self, block: Block, copies: u8, volume: VolumeId, out: &mut Vec<Effect>) {
        self.start_put(
            Item::Block { block, redundancy: Redundancy::Replicas(copies) },
            false,
            Waiter::Commit(volume),
            out,
        );
    }

    /// A tree block that too few servers have.
    pub(super) fn put_thin(&mut self, block: Block, volume: VolumeId, out: &mut Vec<Effect>) {
        let redundancy = Redundancy::Replicas(self.facts.rules().copies);
        self.start_put(Item::Block { block, redundancy }, true, Waiter::Thin(volume), out);
    }

    /// A head, durable in this node's log already; its holders are those of the volume's id.
    pub(super) fn put_fact(&mut self, fact: RawFact, volume: VolumeId, out: &mut Vec<Effect>) {
        self.start_put(Item::Fact(fact), false, Waiter::Commit(volume), out);
    }

    fn start_put(&mut self, item: Item, probe: bool, waiter: Waiter, out: &mut Vec<Effect>) {
        let (place, wanted) = match (&item, &waiter) {
            (Item::Block { block, redundancy }, _) => (block.id(), copies_of(*redundancy)),
            (Item::Fact(_), Waiter::Commit(volume)) => (BlockId(volume.0), self.facts.rules().copies),
            (Item::Fact(_), _) => unreachable!("heads are put by commits"),
        };
        let order = self.view.order(place, wanted);
        self.last_put += 1;
        let id = self.last_put;
        let mine = order.iter().take(wanted.into()).any(|holder| holder.node == self.me);
        let logged = matches!(item, Item::Fact(_)) && order.iter().any(|holder| holder.node == self.me);
        let slots = logged.then_some((self.me, Slot::Durable)).into_iter().collect();
        let put = Put { item, wanted, order, slots, probe, sent: false, waiter };
        self.puts.insert(id, put);
        match self.puts.get(&id).map(|put| &put.item) {
            // This node's own index tells for nothing whether the block is new to the pool: then no peer needs asking.
            Some(Item::Block { .. }) if probe && mine => {
                out.push(disk(DiskRequest::Have { ids: vec![place], renew: None }, Reason::PutProbe(id)));
            }
            _ => self.advance_put(id, out),
        }
    }

    pub(super) fn put_probed_own(&mut self, id: u64, answers: &[Possession], out: &mut Vec<Effect>) {
        if let Some(put) = self.puts.get_mut(&id) {
            put.probe = answers.first() == Some(&Possession::Yes);
        }
        self.advance_put(id, out);
    }

    /// Asks as many further servers as are needed for N; ends the put when there is nothing to wait for.
    pub(super) fn advance_put(&mut self, id: u64, out: &mut Vec<Effect>) {
        let Some(put) = self.puts.get(&id) else { return };
        let wanted = usize::from(put.wanted);
        let durable = self.durable(put);
        let mut hopeful = durable;
        let mut next = Vec::new();
        for holder in &put.order {
            if hopeful >= wanted {
                break;
            }
            let counts = match put.slots.get(&holder.node) {
                Some(Slot::Durable | Slot::Failed(_)) => false,
                Some(Slot::Asked) => self.usable(holder.node),
                None => self.takes_blocks(holder.node),
            };
            if counts {
                hopeful += 1;
                if !put.slots.contains_key(&holder.node) {
                    next.push(*holder);
                }
            }
        }
        if durable >= wanted || hopeful == durable {
            return self.finish_put(id, out);
        }
        for holder in next {
            self.ask_holder(id, holder, out);
        }
    }

    /// Distinct servers that confirmed it.
    fn durable(&self, put: &Put) -> usize {
        let mine = put.slots.get(&self.me) == Some(&Slot::Durable);
        let disks = if mine && planted::is(Bug::CountDisks) { self.disks.len().saturating_sub(1) } else { 0 };
        put.durable() + disks
    }

    /// Whether a server can be asked to keep something new.
    fn takes_blocks(&self, node: NodeId) -> bool {
        if node == self.me {
            return self.disks.iter().any(|disk| !disk.read_only);
        }
        self.usable(node) && self.has_room(node)
    }

    /// As its card says.
    pub(super) fn has_room(&self, node: NodeId) -> bool {
        let card = self.facts.members().get(&node).and_then(|member| member.card.as_ref());
        card.is_none_or(|card| card.value().flags & card_flag::READ_ONLY == 0)
    }

    fn ask_holder(&mut self, id: u64, holder: BlockHolder, out: &mut Vec<Effect>) {
        let (map, me, now) = (self.map_digest, self.me, self.now.wall);
        let Some(put) = self.puts.get_mut(&id) else { return };
        put.slots.insert(holder.node, Slot::Asked);
        match &put.item {
            Item::Fact(fact) => {
                let facts = vec![fact.clone()];
                self.ask(
                    holder.node,
                    Purpose::PutStore(id),
                    |request| Message::Facts(FactBatch { request, facts }),
                    None,
                    out,
                );
            }
            Item::Block { block, redundancy } if holder.node == me => {
                let (block, redundancy) = (block.clone(), *redundancy);
                let request =
                    DiskRequest::Write { block, redundancy, first_seen: now, charged_to: me, disk: Some(holder.disk) };
                out.push(disk(request, Reason::PutWrite(id)));
            }
            Item::Block { block, redundancy } if put.probe => {
                let (redundancy, ids) = (*redundancy, vec![block.id()]);
                let have = |request| Message::Have(HaveRequest { request, renew: true, map, redundancy, ids });
                self.ask(holder.node, Purpose::PutProbe(id), have, None, out);
            }
            Item::Block { .. } => self.send_block(id, holder.node, out),
        }
    }

    fn send_block(&mut self, id: u64, to: NodeId, out: &mut Vec<Effect>) {
        let (map, charged_to) = (self.map_digest, self.me);
        let Some(put) = self.puts.get_mut(&id) else { return };
        let Item::Block { block, redundancy } = &put.item else { return };
        put.sent = true;
        let (block, redundancy) = (block.clone(), *redundancy);
        let attached = AttachedBlock::from(&block);
        let store =
            |request| Message::Store(StoreRequest { request, map, redundancy, age_ms: 0, charged_to, block: attached });
        self.ask(to, Purpose::PutStore(id), store, Some(block), out);
    }

    pub(super) fn put_probed(&mut self, id: u64, from: NodeId, answers: &[Possession], out: &mut Vec<Effect>) {
        if answers.first() == Some(&Possession::Yes) {
            self.put_durable(id, from, out);
        } else if self.puts.contains_key(&id) {
            self.send_block(id, from, out);
        }
    }

    pub(super) fn put_stored(&mut self, id: u64, from: NodeId, outcome: StoreOutcome, out: &mut Vec<Effect>) {
        match outcome {
            StoreOutcome::Stored => self.put_durable(id, from, out),
            other => self.put_failed(id, from, Some(other), out),
        }
    }

    pub(super) fn put_written_own(&mut self, id: u64, done: WriteDone, out: &mut Vec<Effect>) {
        let me = self.me;
        match done {
            WriteDone::Already => self.put_durable(id, me, out),
            WriteDone::New => {
                if let Some(put) = self.puts.get_mut(&id) {
                    put.sent = true;
                }
                self.put_durable(id, me, out);
            }
            WriteDone::Full => self.put_failed(id, me, Some(StoreOutcome::Full), out),
            WriteDone::Failed => self.put_failed(id, me, Some(StoreOutcome::Failed), out),
        }
    }

    fn put_durable(&mut self, id: u64, node: NodeId, out: &mut Vec<Effect>) {
        let Some(put) = self.puts.get_mut(&id) else { return };
        put.slots.insert(node, Slot::Durable);
        self.advance_put(id, out);
    }

    pub(super) fn put_failed(&mut self, id: u64, node: NodeId, why: Option<StoreOutcome>, out: &mut Vec<Effect>) {
        let Some(put) = self.puts.get_mut(&id) else { return };
        put.slots.insert(node, Slot::Failed(why));
        self.advance_put(id, out);
    }

    fn finish_put(&mut self, id: u64, out: &mut Vec<Effect>) {
        let put = self.puts.remove(&id).expect("only puts under way are finished");
        let outcome = self.put_outcome(&put);
        if let Item::Block { block, .. } = &put.item
            && put.slots.get(&self.me) == Some(&Slot::Durable)
        {
            self.topup.note_put(block.id(), put.durable(), put.wanted.into());
        }
        self.put_owes(&put, out);
        match (put.waiter, put.item) {
            (Waiter::Command(op), _) => out.push(reply(op, Reply::PutBlock(outcome))),
            (Waiter::Commit(volume), Item::Block { block, .. }) => {
                self.commit_block_put(volume, block.id(), outcome, out);
            }
            (Waiter::Commit(volume), Item::Fact(_)) => self.commit_part_put(volume, outcome, out),
            (Waiter::Thin(volume), Item::Block { block, .. }) => self.thin_put(volume, block.id(), &outcome, out),
            (Waiter::Thin(_), Item::Fact(_)) => debug_assert!(false, "only blocks are thin"),
            (Waiter::Debt(to), _) => self.pay(to, out),
            (Waiter::Nobody, _) => {}
        }
    }

    /// Wanted holders that did not get it. If this node has a copy, top-up goes to those that speak now, and to the others as
    /// soon as they speak; if not, they are owed one: others may not have noticed that they were away.
    fn put_owes(&mut self, put: &Put, out: &mut Vec<Effect>) {
        let Item::Block { block, redundancy } = &put.item else { return };
        let missed = |node: &NodeId| match put.slots.get(node) {
            Some(slot) => *slot != Slot::Durable,
            // Not asked: it takes nothing, or it was silent, though it may speak again by now.
            None => self.has_room(*node),
        };
        let wanted = put.order.iter().take(put.wanted.into()).map(|holder| holder.node);
        let missed: Vec<NodeId> = wanted.filter(|node| *node != self.me && missed(node)).collect();
        let mine = put.slots.get(&self.me) == Some(&Slot::Durable);
        for node in missed {
            let refused = matches!(put.slots.get(&node), Some(Slot::Failed(Some(_))));
            if mine && self.usable(node) {
                self.topup_owed(node);
            } else if !mine && !refused && put.durable() > 0 {
                self.owe(node, block.id(), *redundancy);
                // One that speaks again already would not start the payment.
                if !matches!(put.waiter, Waiter::Debt(_)) {
                    self.pay(node, out);
                }
            }
        }
    }

    fn put_outcome(&self, put: &Put) -> PutOutcome {
        let on = |wanted: Slot| put.slots.iter().filter(move |(_, slot)| **slot == wanted).map(|(node, _)| *node);
        let servers: Vec<NodeId> = on(Slot::Durable).collect();
        if servers.is_empty() {
            let full = on(Slot::Failed(Some(StoreOutcome::Full))).count();
            let none_asked = put.slots.is_empty();
            return PutOutcome::Refused(if full > 0 || none_asked {
                Refusal::NoSpace
            } else {
                Refusal::NoQuorum { got: 0, needed: 1 }
            });
        }
        let sites: BTreeSet<&str> = servers.iter().filter_map(|node| self.site_of(*node)).collect();
        let sites = u8::try_from(sites.len()).unwrap_or(u8::MAX);
        let copies = Copies { servers, sites, wanted: put.wanted, present: !put.sent };
        if self.durable(put) >= usize::from(put.wanted) {
            PutOutcome::Stored(copies)
        } else {
            PutOutcome::Degraded(copies)
        }
    }

    pub(super) fn site_of(&self, node: NodeId) -> Option<&str> {
        let member = self.facts.members().get(&node)?;
        member.card.as_ref().map(|card| card.value().site.as_str())
    }
}
