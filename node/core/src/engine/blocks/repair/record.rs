//! One record of a scan: who is assigned to it, who has it, and who is to get it.

use std::collections::BTreeSet;

use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::record::RecordInfo;

use crate::engine::blocks::replication::CopyCount;

/// See the module.
pub(super) struct RecordCopies {
    pub info: RecordInfo,
    /// The first N in placement order.
    pub assigned: Vec<NodeId>,
    /// Assigned ones without room, as their cards say, which may have it all the same; and those that failed their audits.
    pub full: Vec<NodeId>,
    /// Next in order, as many as are full.
    pub fallbacks: Vec<NodeId>,
    /// Those that said yes; never this node.
    pub have: BTreeSet<NodeId>,
    /// Those that said no; after [`RecordCopies::choose`] those it is to be sent to.
    pub lack: BTreeSet<NodeId>,
    /// Answers that are due.
    pub open: usize,
}

impl RecordCopies {
    /// The greatest redundancy any link asked for.
    pub fn redundancy(&self) -> Option<Redundancy> {
        greatest(&self.info)
    }

    fn target(&self) -> usize {
        self.info.redundancies.iter().map(|redundancy| usize::from(redundancy.copies())).max().unwrap_or(1)
    }

    /// When all answers are in. This node has a copy, assigned or not.
    pub fn count(&self, me: NodeId) -> CopyCount {
        let (target, there) = (self.target(), self.have.len() + 1);
        if self.placed(me) < target {
            CopyCount::Lacking(target.saturating_sub(there))
        } else {
            CopyCount::Complete { spare: there.saturating_sub(target) }
        }
    }

    /// Copies at assigned holders and fallbacks.
    fn placed(&self, me: NodeId) -> usize {
        self.have.len() + usize::from(self.assigned.contains(&me) || self.fallbacks.contains(&me))
    }

    /// When all answers are in: of those who lack it, those it is to be sent to. Assigned ones with room, and fallbacks for
    /// what is missing beyond that.
    pub fn choose(&mut self, me: NodeId) {
        debug_assert_eq!(self.open, 0, "answers are due");
        let assigned = self.assigned.iter().filter(|node| self.lack.contains(*node) && !self.full.contains(*node));
        let mut chosen: BTreeSet<NodeId> = assigned.copied().collect();
        let missing = self.target().saturating_sub(self.placed(me) + chosen.len());
        chosen.extend(self.fallbacks.iter().filter(|node| self.lack.contains(*node)).take(missing));
        debug_assert!(chosen.is_disjoint(&self.have), "nobody is sent what it has");
        self.lack = chosen;
    }
}

/// The greatest redundancy a record was asked for; none if it was asked for nothing.
pub(super) fn greatest(info: &RecordInfo) -> Option<Redundancy> {
    info.redundancies.iter().copied().max_by_key(|redundancy| redundancy.copies())
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::ids::BlockId;

    use super::*;
    use crate::engine::blocks::kit::RECEIPT;

    const ME: NodeId = NodeId([1; 32]);
    const BOB: NodeId = NodeId([2; 32]);
    const CAROL: NodeId = NodeId([3; 32]);
    const DAVE: NodeId = NodeId([4; 32]);

    /// A block of three copies that belongs on ME, BOB and CAROL; DAVE comes next.
    fn record(full: &[NodeId], have: &[NodeId], lack: &[NodeId]) -> RecordCopies {
        let redundancies = vec![Redundancy::Replicas(3)];
        let info =
            RecordInfo { id: BlockId([9; 32]), len: 1, redundancies, first_seen: 0, renewed: 0, receipt: RECEIPT };
        RecordCopies {
            info,
            assigned: vec![ME, BOB, CAROL],
            full: full.to_vec(),
            fallbacks: if full.is_empty() { Vec::new() } else { vec![DAVE] },
            have: have.iter().copied().collect(),
            lack: lack.iter().copied().collect(),
            open: 0,
        }
    }

    #[track_caller]
    fn check(mut record: RecordCopies, count: CopyCount, to: &[NodeId]) {
        assert_eq!(record.count(ME), count);
        record.choose(ME);
        assert_eq!(record.lack, to.iter().copied().collect());
    }

    #[test]
    fn it_is_sent_to_the_assigned_ones_that_lack_it() {
        check(record(&[], &[BOB, CAROL], &[]), CopyCount::Complete { spare: 0 }, &[]);
        check(record(&[], &[BOB], &[CAROL]), CopyCount::Lacking(1), &[CAROL]);
        check(record(&[], &[], &[BOB, CAROL]), CopyCount::Lacking(2), &[BOB, CAROL]);
    }

    #[test]
    fn a_fallback_gets_what_a_full_holder_cannot_take() {
        check(record(&[CAROL], &[BOB], &[CAROL, DAVE]), CopyCount::Lacking(1), &[DAVE]);
        check(record(&[CAROL], &[BOB, DAVE], &[CAROL]), CopyCount::Complete { spare: 0 }, &[]);
        check(record(&[CAROL], &[BOB, CAROL], &[DAVE]), CopyCount::Complete { spare: 0 }, &[]);
    }
}
