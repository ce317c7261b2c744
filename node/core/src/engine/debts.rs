//! Debts: blocks that a wanted holder did not get, kept in mind by a writer that holds no copy itself.
//!
//! Top-up goes through a node's own records. The stand-ins saw nothing amiss, and the writer, to which the holder was silent,
//! has no record: without debts the holder would get its copy only when all is walked through. When the holder speaks it is
//! asked what it lacks, and that is put again. Debts are in memory only; what a restart forgets the walks find.

use std::collections::BTreeMap;

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{HaveRequest, IDS_MAX, Message, Possession, Redundancy};

use super::peers::Purpose;
use super::{Engine, get};
use crate::limits::HINTS_MAX;
use crate::seam::{Effect, GetOutcome};

/// What is owed to whom.
#[derive(Default)]
pub(super) struct Debts(BTreeMap<NodeId, Owed>);

#[derive(Default)]
struct Owed {
    /// It may have got them from others meanwhile.
    unasked: BTreeMap<BlockId, Redundancy>,
    /// It says that it does not have them.
    lacking: Vec<(BlockId, Redundancy)>,
}

impl Engine {
    pub(super) fn owe(&mut self, to: NodeId, id: BlockId, redundancy: Redundancy) {
        let owed: usize = self.debts.0.values().map(|owed| owed.unasked.len()).sum();
        if owed < HINTS_MAX {
            self.debts.0.entry(to).or_default().unasked.insert(id, redundancy);
        }
    }

    /// Pays one debt, and then the next: debts never fill the memory or the line.
    pub(super) fn pay(&mut self, to: NodeId, out: &mut Vec<Effect>) {
        if !self.usable(to) {
            return;
        }
        let Some(owed) = self.debts.0.get_mut(&to) else { return };
        if let Some((id, redundancy)) = owed.lacking.pop() {
            return self.get(id, get::Waiter::Debt { to, redundancy }, out);
        }
        let Some(redundancy) = owed.unasked.values().next().copied() else {
            self.debts.0.remove(&to);
            return;
        };
        let same = owed.unasked.iter().filter(|(_, other)| **other == redundancy);
        let ids: Vec<BlockId> = same.map(|(id, _)| *id).take(IDS_MAX).collect();
        owed.unasked.retain(|id, _| ids.binary_search(id).is_err());
        let map = self.map_digest;
        let purpose = Purpose::DebtHave { redundancy, ids: ids.clone() };
        let have = |request| Message::Have(HaveRequest { request, renew: true, map, redundancy, ids });
        self.ask(to, purpose, have, None, out);
    }

    pub(super) fn debts_answered(
        &mut self,
        from: NodeId,
        redundancy: Redundancy,
        ids: &[BlockId],
        answers: &[Possession],
        out: &mut Vec<Effect>,
    ) {
        let lacking = ids.iter().zip(answers).filter(|(_, answer)| **answer == Possession::No);
        self.debts.0.entry(from).or_default().lacking.extend(lacking.map(|(id, _)| (*id, redundancy)));
        self.pay(from, out);
    }

    pub(super) fn debts_not_answered(&mut self, to: NodeId, redundancy: Redundancy, ids: &[BlockId]) {
        for id in ids {
            self.owe(to, *id, redundancy);
        }
    }

    pub(super) fn debt_fetched(
        &mut self,
        to: NodeId,
        redundancy: Redundancy,
        outcome: GetOutcome,
        out: &mut Vec<Effect>,
    ) {
        match outcome {
            GetOutcome::Found(block) => self.put_again(block, redundancy, to, out),
            // Its holders are away. When they come up, their walks take care of it.
            GetOutcome::NotFound { .. } => self.pay(to, out),
        }
    }
}
