//! What is counted of a record, and the keys with which it is summed up.

use std::collections::BTreeMap;

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::pair::PairKey;
use fsdfs_proto::record::RecordInfo;

use crate::engine::context::Context;

/// What is counted of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct HeldRecord {
    pub id: BlockId,
    pub len: u32,
    /// The greatest that anybody asked for; none if it was asked for nothing.
    pub redundancy: Option<Redundancy>,
    /// Whose it is.
    pub member: NodeId,
}

impl HeldRecord {
    pub fn of(info: &RecordInfo) -> Self {
        let redundancy = info.redundancies.iter().copied().max_by_key(|redundancy| redundancy.copies());
        Self { id: info.id, len: info.len, redundancy, member: info.receipt.member }
    }
}

/// Keys of the sums with other members, each computed once.
#[derive(Debug, Default)]
pub(in crate::engine) struct PairKeys(BTreeMap<NodeId, Option<PairKey>>);

impl PairKeys {
    /// None: no node can have this id.
    pub fn of(&mut self, cx: &Context, node: NodeId) -> Option<PairKey> {
        self.0.entry(node).or_insert_with(|| PairKey::new(cx.pool, &cx.key, node)).clone()
    }
}
