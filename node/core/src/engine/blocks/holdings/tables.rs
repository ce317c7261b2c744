//! What this node holds under one map, summed up for each member that is assigned some of it, too.

use std::collections::BTreeMap;

use fsdfs_proto::ids::{BlockId, Digest, NodeId};
use fsdfs_proto::message::Redundancy;

use super::pair_table::PairTable;
use super::record::{HeldRecord, PairKeys};
use crate::engine::context::Context;
use crate::limits::{ELSEWHERE_MAX, FINE_TABLES_MAX, HOLDER_SETS_MAX};

/// How fine the tables are while they are few, and when they are many.
const FINE_BITS: u16 = 16;
const COARSE_BITS: u16 = 12;

/// See the module.
#[derive(Debug)]
pub(in crate::engine) struct PairTables {
    /// The map.
    pub map: Digest,
    /// Of the other servers of the map.
    tables: BTreeMap<NodeId, PairTable>,
    /// Blocks and bytes by the others that are assigned them; at most [`HOLDER_SETS_MAX`] sets, and what is beyond under none.
    sets: BTreeMap<Vec<NodeId>, BlockTotal>,
    /// What is here and assigned to others only, but for what is handed over already; at most [`ELSEWHERE_MAX`].
    elsewhere: BTreeMap<BlockId, ElsewhereBlock>,
    /// What of it is not known to be there.
    unsettled: BlockTotal,
    /// What found no place in `elsewhere`, at least.
    beyond: BlockTotal,
    /// This node is to hold nothing. It may be about to leave, so it hears from all holders that it reaches that they have a block, not
    /// from one.
    pub hears_all: bool,
    /// Up to this id all is known to be there.
    pub handed_to: Option<BlockId>,
    /// All is to be counted again from the beginning.
    is_in_doubt: bool,
}

/// A block that is here and assigned to others only.
#[derive(Debug)]
struct ElsewhereBlock {
    len: u32,
    /// So many are asked for.
    copies: u8,
    /// It is assigned to so many.
    assigned: usize,
    /// Those of them that said that they have it.
    said: Vec<NodeId>,
    /// These see to it that each of the others gets it.
    is_covered: bool,
}

impl ElsewhereBlock {
    fn is_settled(&self) -> bool {
        !self.said.is_empty() && (self.said.len() >= self.assigned || self.is_covered)
    }
}

/// How much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct BlockTotal {
    pub blocks: u64,
    pub bytes: u64,
}

impl BlockTotal {
    fn add(&mut self, len: u32) {
        self.blocks += 1;
        self.bytes += u64::from(len);
    }

    fn take(&mut self, len: u32) {
        self.blocks = self.blocks.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(len.into());
    }
}

/// Whom a block is assigned to under a map.
enum Assigned {
    /// This node, and these, in the order of their ids.
    Here(Redundancy, Vec<NodeId>),
    /// So many others only.
    Elsewhere(usize),
    /// Nobody: it was kept for nothing.
    Nowhere,
}

impl PairTables {
    /// Of nothing, under the map that counts now. Up to `handed_to` what is assigned to others was found to be there.
    pub fn new(cx: &Context, keys: &mut PairKeys, handed_to: Option<BlockId>) -> Self {
        let others: Vec<NodeId> =
            cx.map.servers().iter().map(|server| server.id).filter(|node| *node != cx.me).collect();
        let bits = if others.len() <= FINE_TABLES_MAX { FINE_BITS } else { COARSE_BITS };
        let table = |node: NodeId| Some((node, PairTable::new(keys.of(cx, node)?, bits)));
        let tables = others.into_iter().filter_map(table).collect();
        Self {
            map: cx.map_digest,
            tables,
            sets: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            unsettled: BlockTotal::default(),
            beyond: BlockTotal::default(),
            hears_all: holds_nothing(cx),
            handed_to,
            is_in_doubt: false,
        }
    }

    /// Counts a record that came, or takes off one that went. Whose tables it is in.
    pub fn change(&mut self, cx: &Context, record: &HeldRecord, comes: bool) -> Vec<NodeId> {
        debug_assert_eq!(self.map, cx.map_digest, "placed under the same map as all others");
        match assigned(cx, record) {
            Assigned::Here(..) if cx.unneeded.is_apart(record.id) => Vec::new(),
            Assigned::Here(redundancy, others) => self.change_here(record, (redundancy, others), comes),
            Assigned::Elsewhere(assigned) => {
                self.change_elsewhere(record, assigned, comes);
                Vec::new()
            }
            Assigned::Nowhere => Vec::new(),
        }
    }

    /// A record that is here is compared with those who are assigned it, too, or no more. Whose tables it is in.
    pub fn change_shared(&mut self, cx: &Context, record: &HeldRecord, is_compared: bool) -> Vec<NodeId> {
        match assigned(cx, record) {
            Assigned::Here(redundancy, others) => self.change_here(record, (redundancy, others), is_compared),
            Assigned::Elsewhere(_) => {
                if is_compared {
                    self.offer_again(record);
                }
                Vec::new()
            }
            Assigned::Nowhere => Vec::new(),
        }
    }

    /// What others said of a block that nothing needed counts no more: they may have declined it for that.
    fn offer_again(&mut self, record: &HeldRecord) {
        if let Some(block) = self.elsewhere.get_mut(&record.id) {
            if block.is_settled() {
                self.unsettled.add(block.len);
            }
            (block.said, block.is_covered) = (Vec::new(), false);
        } else if self.is_handed_over(record.id) {
            self.doubt(record.len);
        }
    }

    fn change_here(
        &mut self,
        record: &HeldRecord,
        (redundancy, others): (Redundancy, Vec<NodeId>),
        comes: bool,
    ) -> Vec<NodeId> {
        let change = if comes { PairTable::add } else { PairTable::take };
        for node in &others {
            if let Some(table) = self.tables.get_mut(node) {
                change(table, record.id, redundancy);
            }
        }
        self.change_set(&others, record.len, comes);
        others
    }

    fn change_elsewhere(&mut self, record: &HeldRecord, assigned: usize, comes: bool) {
        let HeldRecord { id, len, .. } = *record;
        if !comes {
            if self.elsewhere.remove(&id).is_some_and(|block| !block.is_settled()) {
                self.unsettled.take(len);
            }
        } else if self.is_handed_over(id) || self.elsewhere.contains_key(&id) {
        } else if self.elsewhere.len() < ELSEWHERE_MAX {
            let copies = record.redundancy.map_or(0, Redundancy::copies);
            self.elsewhere.insert(id, ElsewhereBlock { len, copies, assigned, said: Vec::new(), is_covered: false });
            self.unsettled.add(len);
        } else {
            // Found when all is counted the next time.
            self.beyond.add(len);
        }
    }

    fn change_set(&mut self, others: &[NodeId], len: u32, comes: bool) {
        let is_known = self.sets.contains_key(others) || self.sets.len() < HOLDER_SETS_MAX;
        let total = self.sets.entry(if is_known { others.to_vec() } else { Vec::new() }).or_default();
        if comes {
            total.add(len);
        } else {
            total.take(len);
        }
        if total.blocks == 0 {
            self.sets.remove(others);
        }
    }

    /// Of what this node and that one are both assigned.
    pub fn of(&self, node: NodeId) -> Option<&PairTable> {
        self.tables.get(&node)
    }

    /// The others.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.tables.keys().copied()
    }

    /// By the others that are assigned the same blocks.
    pub fn sets(&self) -> &BTreeMap<Vec<NodeId>, BlockTotal> {
        &self.sets
    }

    /// One of those whom it is assigned to says that it has it. `covers`: whether those who said so see to all others. Whether it is
    /// known now that all of them have it or will.
    pub fn settle(&mut self, id: BlockId, by: NodeId, covers: impl FnOnce(&[NodeId]) -> bool) -> bool {
        let Some(block) = self.elsewhere.get_mut(&id) else { return true };
        if block.is_settled() || block.said.contains(&by) {
            return block.is_settled();
        }
        debug_assert!(block.said.len() < block.assigned.max(1), "those whom it is assigned to, each once");
        block.said.push(by);
        block.is_covered = covers(&block.said);
        let is_settled = block.is_settled();
        if is_settled {
            self.unsettled.take(block.len);
        }
        is_settled
    }

    /// Of a node that may be about to leave: whether those who said that they have a block of so many copies see to all others was
    /// decided as of then. Members meet and part.
    pub fn cover_again(&mut self, covers: impl Fn(BlockId, u8, &[NodeId]) -> bool) {
        if !self.hears_all {
            return;
        }
        let undecided = |block: &ElsewhereBlock| !block.said.is_empty() && block.said.len() < block.assigned;
        for (id, block) in self.elsewhere.iter_mut().filter(|(_, block)| undecided(block)) {
            let was_covered = block.is_covered;
            block.is_covered = covers(*id, block.copies, &block.said);
            match (was_covered, block.is_covered) {
                (false, true) => self.unsettled.take(block.len),
                (true, false) => self.unsettled.add(block.len),
                _ => {}
            }
        }
        debug_assert!(self.unsettled.blocks <= self.elsewhere.len() as u64, "of those that are remembered");
    }

    /// What these said counts no more. Whether that changes anything.
    pub fn unsettle(&mut self, is_missing: impl Fn(NodeId) -> bool) -> bool {
        let before = self.unsettled;
        for block in self.elsewhere.values_mut() {
            let was_settled = block.is_settled();
            let said = block.said.len();
            block.said.retain(|node| !is_missing(*node));
            block.is_covered &= said == block.said.len();
            if was_settled && !block.is_settled() {
                self.unsettled.add(block.len);
            }
        }
        debug_assert!(self.unsettled.blocks <= self.elsewhere.len() as u64, "of those that are remembered");
        self.unsettled != before
    }

    /// Whether some of what is here is assigned to others only, and not known to be there.
    pub fn has_elsewhere(&self) -> bool {
        self.unsettled.blocks > 0
    }

    /// Whether such a block is one of those.
    pub fn is_elsewhere(&self, id: BlockId) -> bool {
        self.elsewhere.get(&id).is_some_and(|block| !block.is_settled())
    }

    /// What is assigned to others only, and not known to be there.
    pub fn left(&self) -> BlockTotal {
        let (known, beyond) = (self.unsettled, self.beyond);
        BlockTotal { blocks: known.blocks + beyond.blocks, bytes: known.bytes + beyond.bytes }
    }

    /// Whom of these holders such a block is to be offered to, as far as they are remembered.
    pub fn to_offer(&self, id: BlockId, holders: impl Iterator<Item = NodeId>) -> Vec<NodeId> {
        let block = self.elsewhere.get(&id).filter(|block| !block.is_settled());
        let Some(block) = block else { return Vec::new() };
        let most = if self.hears_all { usize::MAX } else { 1 };
        holders.filter(|node| !block.said.contains(node)).take(most).collect()
    }

    /// All that is remembered is known to be there, and more was found than can be: up to here it is done.
    pub fn next_handed_to(&self) -> Option<BlockId> {
        let is_next = self.hears_all && !self.is_in_doubt && self.unsettled.blocks == 0 && self.beyond.blocks > 0;
        self.elsewhere.last_key_value().map(|(id, _)| *id).filter(|_| is_next)
    }

    pub fn is_handed_over(&self, id: BlockId) -> bool {
        self.handed_to.is_some_and(|to| id <= to)
    }

    /// Something may be here that is not known to be elsewhere, until all is counted again.
    pub fn doubt(&mut self, len: u32) {
        self.beyond.add(len);
        (self.handed_to, self.is_in_doubt) = (None, true);
    }
}

/// This node is assigned no blocks: it was removed, or offers no disk with weight.
pub(in crate::engine) fn holds_nothing(cx: &Context) -> bool {
    cx.map.server(cx.me).is_none_or(|server| server.weight() == 0)
}

fn assigned(cx: &Context, record: &HeldRecord) -> Assigned {
    let Some(redundancy) = record.redundancy else { return Assigned::Nowhere };
    let mut nodes: Vec<NodeId> =
        cx.map.holders(record.id, redundancy.copies()).iter().map(|holder| holder.node).collect();
    let Some(own) = nodes.iter().position(|node| *node == cx.me) else { return Assigned::Elsewhere(nodes.len()) };
    nodes.remove(own);
    nodes.sort_unstable();
    Assigned::Here(redundancy, nodes)
}
