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
    /// What is here and assigned to others only, and who of them has said that it has it; at most [`ELSEWHERE_MAX`].
    elsewhere: BTreeMap<BlockId, Option<NodeId>>,
    /// Those of which nobody has said so.
    unsettled: usize,
}

/// How much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct BlockTotal {
    pub blocks: u64,
    pub bytes: u64,
}

/// Whom a block is assigned to under a map.
enum Assigned {
    /// This node, and these, in the order of their ids.
    Here(Redundancy, Vec<NodeId>),
    /// Others only.
    Elsewhere,
    /// Nobody: it was kept for nothing.
    Nowhere,
}

impl PairTables {
    /// Of nothing, under the map that counts now.
    pub fn new(cx: &Context, keys: &mut PairKeys) -> Self {
        let others: Vec<NodeId> =
            cx.map.servers().iter().map(|server| server.id).filter(|node| *node != cx.me).collect();
        let bits = if others.len() <= FINE_TABLES_MAX { FINE_BITS } else { COARSE_BITS };
        let table = |node: NodeId| Some((node, PairTable::new(keys.of(cx, node)?, bits)));
        let tables = others.into_iter().filter_map(table).collect();
        let (sets, elsewhere) = (BTreeMap::new(), BTreeMap::new());
        Self { map: cx.map_digest, tables, sets, elsewhere, unsettled: 0 }
    }

    /// Counts a record that came, or takes off one that went. Whose tables it is in.
    pub fn change(&mut self, cx: &Context, record: &HeldRecord, comes: bool) -> Vec<NodeId> {
        debug_assert_eq!(self.map, cx.map_digest, "placed under the same map as all others");
        match assigned(cx, record) {
            Assigned::Here(redundancy, others) => {
                let change = if comes { PairTable::add } else { PairTable::take };
                for node in &others {
                    if let Some(table) = self.tables.get_mut(node) {
                        change(table, record.id, redundancy);
                    }
                }
                self.change_set(&others, record.len, comes);
                others
            }
            Assigned::Elsewhere => {
                if !comes {
                    let said = self.elsewhere.remove(&record.id);
                    self.unsettled -= usize::from(said == Some(None));
                } else if self.elsewhere.len() < ELSEWHERE_MAX && !self.elsewhere.contains_key(&record.id) {
                    // What is beyond is found when all is counted the next time.
                    self.elsewhere.insert(record.id, None);
                    self.unsettled += 1;
                }
                Vec::new()
            }
            Assigned::Nowhere => Vec::new(),
        }
    }

    fn change_set(&mut self, others: &[NodeId], len: u32, comes: bool) {
        let is_known = self.sets.contains_key(others) || self.sets.len() < HOLDER_SETS_MAX;
        let total = self.sets.entry(if is_known { others.to_vec() } else { Vec::new() }).or_default();
        if comes {
            total.blocks += 1;
            total.bytes += u64::from(len);
        } else {
            total.blocks = total.blocks.saturating_sub(1);
            total.bytes = total.bytes.saturating_sub(len.into());
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

    /// One of those whom it is assigned to says that it has it.
    pub fn settle(&mut self, id: BlockId, by: NodeId) {
        if let Some(said @ None) = self.elsewhere.get_mut(&id) {
            *said = Some(by);
            self.unsettled -= 1;
        }
    }

    /// What these said counts no more. Whether that changes anything.
    pub fn unsettle(&mut self, is_missing: impl Fn(NodeId) -> bool) -> bool {
        let before = self.unsettled;
        for said in self.elsewhere.values_mut().filter(|said| said.is_some_and(&is_missing)) {
            *said = None;
            self.unsettled += 1;
        }
        debug_assert!(self.unsettled <= self.elsewhere.len(), "of those that are remembered");
        self.unsettled > before
    }

    /// Whether some of what is here is assigned to others only, and not known to be there.
    pub fn has_elsewhere(&self) -> bool {
        self.unsettled > 0
    }

    /// Such a block, as far as they are remembered.
    pub fn is_elsewhere(&self, id: BlockId) -> bool {
        self.elsewhere.get(&id) == Some(&None)
    }
}

fn assigned(cx: &Context, record: &HeldRecord) -> Assigned {
    let Some(redundancy) = record.redundancy else { return Assigned::Nowhere };
    let mut nodes: Vec<NodeId> =
        cx.map.holders(record.id, redundancy.copies()).iter().map(|holder| holder.node).collect();
    let Some(own) = nodes.iter().position(|node| *node == cx.me) else { return Assigned::Elsewhere };
    nodes.remove(own);
    nodes.sort_unstable();
    Assigned::Here(redundancy, nodes)
}
