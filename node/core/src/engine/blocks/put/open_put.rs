//! A put under way: what was asked of whom, and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::RawFact;
use fsdfs_proto::ids::{BlockId, NodeId, VolumeId};
use fsdfs_proto::message::{Redundancy, StoreOutcome};
use fsdfs_proto::receipt::BlockReceipt;

use super::chain::{BlockChain, BlockRoute, ChainHolder, route};
use crate::engine::context::Context;
use crate::engine::event::PutReport;
use crate::limits::{NEARLY_FULL_PERCENT, PROBES_AWAITED_MS};
use crate::placement::BlockHolder;
use crate::seam::{Copies, PutOutcome, Refusal, Waiter};

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
pub(super) struct OpenPut {
    pub item: PutItem,
    /// N: so many durable slots end the put.
    pub target: u8,
    /// All servers, the assigned holders first.
    pub order: Vec<BlockHolder>,
    /// Those asked so far. A slot that is durable stays so.
    pub slots: BTreeMap<NodeId, PutSlot>,
    /// Those of them that were asked whether they have it, and whose word decides how the others get it.
    pub probed: BTreeSet<NodeId>,
    /// Those that lack it and wait for these words, in order; and since when, in monotonic milliseconds.
    pub lacking: Vec<NodeId>,
    pub lacking_since: u64,
    /// On its way along these.
    pub chain: Option<BlockChain>,
    /// Bytes were sent, or written here: it was not there before.
    pub sent: bool,
    /// This node's own, beside those of the holders; see [`OpenPut::lacks_proof`].
    pub own_copy: OwnCopy,
    /// This node's, signed when the first server gets the bytes: a block that is there already needs none.
    pub receipt: Option<BlockReceipt>,
    /// Who is told in the end.
    pub waiter: Waiter,
}

/// What is known of a server that was asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PutSlot {
    /// A question or bytes are on their way to it.
    Asked,
    /// It said that the block is on its disk, or the head in its log. Late answers lead here, too.
    Durable,
    /// Nothing is expected of it any more, but its late confirmation counts.
    /// It said why, or no answer will come.
    Failed(Option<StoreOutcome>),
}

/// A copy that a writer which is no holder keeps: it is not one of the N, so its failure fails nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnCopy {
    /// The holders' proofs are enough, or the disk has no room.
    None,
    /// On its way to the disk: the put does not end before it is there.
    UnderWay,
    Durable,
    /// Not tried a second time.
    Failed,
}

impl OpenPut {
    /// Distinct servers by construction: a node has one slot.
    pub fn durable(&self) -> usize {
        self.slots.values().filter(|slot| **slot == PutSlot::Durable).count()
    }

    /// A holder says that this node's owner has used up what the pool's rules give a member.
    pub fn is_over_budget(&self) -> bool {
        self.slots.values().any(|slot| *slot == PutSlot::Failed(Some(StoreOutcome::OverBudget)))
    }

    pub fn is_durable_on(&self, node: NodeId) -> bool {
        self.slots.get(&node) == Some(&PutSlot::Durable)
    }
}

impl PutItem {
    /// What placement is asked for: heads lie where a block with their volume's id would.
    pub fn place(&self) -> BlockId {
        match self {
            Self::Block { block, .. } => block.id(),
            Self::Head { volume, .. } => BlockId(volume.0),
        }
    }

    /// The reserve of full servers is for when there are not enough others.
    pub fn spare_reserve(&mut self, cx: &Context, order: &[BlockHolder]) {
        if let Self::Block { redundancy, reserve, .. } = self
            && *reserve
        {
            let with_room = order.iter().filter(|holder| takes_blocks(cx, holder.node, false)).count();
            *reserve = with_room < redundancy.copies().into();
        }
    }

    /// Whether a server can be asked to keep it. Heads go to logs, which are not where blocks are.
    pub fn is_taken_by(&self, cx: &Context, node: NodeId) -> bool {
        let needs_no_room = match self {
            Self::Block { reserve, .. } => *reserve,
            Self::Head { .. } => true,
        };
        takes_blocks(cx, node, needs_no_room)
    }
}

impl OpenPut {
    /// It has to be sent the block.
    pub fn lacks(&mut self, node: NodeId, now: u64) {
        if self.lacking.is_empty() {
            self.lacking_since = now;
        }
        self.lacking.push(node);
    }

    /// Nothing is expected of it, or nothing more has to be done for it.
    pub fn settle(&mut self, node: NodeId) {
        self.probed.remove(&node);
        self.lacking.retain(|other| *other != node);
        if let Some(chain) = &mut self.chain {
            // One that answered before keeps the time of its answer.
            chain.on_lost(node);
        }
    }

    /// The answers that others were to ask for mean nothing any more.
    pub fn forget_chain(&mut self, cx: &mut Context) {
        let chain = self.chain.take();
        for (node, request) in chain.iter().flat_map(BlockChain::relayed) {
            cx.expect_no_more(node, request);
        }
    }

    /// Long enough for it, and not sent through anybody yet: where a chain broke, all that is left is sent directly.
    pub fn may_be_relayed(&self, cx: &Context) -> bool {
        let is_long = |block: &Block| block.bytes().len() >= cx.relayed_bytes_min;
        self.chain.is_none() && matches!(&self.item, PutItem::Block { block, .. } if is_long(block))
    }

    /// Some other that is not near may say soon that it lacks the block, too.
    pub fn awaits_word(&self, cx: &Context) -> bool {
        let is_fresh = cx.now.mono.saturating_sub(self.lacking_since) < PROBES_AWAITED_MS;
        is_fresh && self.probed.iter().any(|node| cx.responsive(*node) && !cx.is_off_chains(*node))
    }

    pub fn is_watched(&self) -> bool {
        !self.lacking.is_empty() || self.chain.as_ref().is_some_and(BlockChain::is_open)
    }

    /// Whom of these this node sends the block to, and who gets it along a chain.
    pub fn route(&self, cx: &Context, nodes: &[NodeId]) -> BlockRoute {
        let holder = |node: &NodeId| ChainHolder {
            node: *node,
            site: site_of(cx, *node).unwrap_or_default(),
            uplink_kib: cx.card(*node).and_then(|card| card.uplink),
            is_off_chains: cx.is_off_chains(*node),
            is_last_only: !cx.peers.relays(*node, cx.now.mono),
        };
        let holders: Vec<ChainHolder<'_>> = nodes.iter().map(holder).collect();
        let own = cx.card(cx.me).and_then(|card| card.uplink);
        route(self.item.place(), own, &holders)
    }
}

impl OpenPut {
    /// Whether "stored" could be the word of those alone that would be asked now: fewer than a majority of them proved lately that
    /// they have what they say. Those that are away prove nothing, whatever they proved before. In a pool that runs for a minute
    /// most have; what was written before lies beside the copies that placement wants and is collected as they are.
    pub fn will_lack_proof(&self, cx: &Context) -> bool {
        let asked = self.order.iter().map(|holder| holder.node).filter(|node| self.item.is_taken_by(cx, *node));
        self.lacks_proof(cx, &asked.take(self.target.into()).collect::<Vec<_>>())
    }

    /// The same of those that confirmed it: others may have failed since they were asked.
    pub fn has_no_proof(&self, cx: &Context) -> bool {
        let durable: Vec<NodeId> = self.slots.keys().copied().filter(|node| self.is_durable_on(*node)).collect();
        self.durable() > 0 && !self.slots.contains_key(&cx.me) && self.lacks_proof(cx, &durable)
    }

    fn lacks_proof(&self, cx: &Context, holders: &[NodeId]) -> bool {
        let proven = holders.iter().filter(|node| cx.peers.is_proven(**node)).count();
        proven <= usize::from(self.target) / 2 && !holders.contains(&cx.me)
    }

    /// What is told to whoever asked for it, and to those who keep the books of copies.
    pub fn report(&self, cx: &Context) -> PutReport {
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
        let verified =
            self.own_copy == OwnCopy::Durable || servers.iter().any(|node| *node == cx.me || cx.peers.is_proven(*node));
        let copies = Copies { servers, sites, target: self.target, present: !self.sent, verified };
        if durable >= usize::from(self.target) { PutOutcome::Stored(copies) } else { PutOutcome::Degraded(copies) }
    }
}

/// Whether a writer that is no holder of the block has room for a copy all the same. A disk that is nearly full keeps none.
pub(super) fn may_keep_copy(cx: &Context, put: &OpenPut) -> bool {
    let has_room = cx.disks.iter().any(|disk| disk.takes_blocks() && disk.full_percent() < NEARLY_FULL_PERCENT);
    matches!(put.item, PutItem::Block { .. }) && put.own_copy == OwnCopy::None && !put.is_over_budget() && has_room
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
    cx.card(node).map(|card| card.site.as_str())
}
