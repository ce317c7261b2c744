//! Harm: a member that lies loses what it has; nobody else loses anything.
//!
//! * What is acknowledged lies on an honest machine.
//! * A minute after the last such member was revoked every honest node takes writes and shows the tree.
//! * Then no ticket of theirs lets anybody in; honest nodes count with their own disks everywhere, keep few bytes of what was
//!   said by those who lied, hold nothing that no writer made, and want no more copies of a block than the rule.

use std::collections::BTreeMap;

use fsdfs_core::seam::{Copies, PutOutcome};
use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::volume::header;

use crate::checkers::storage::StorageModel;
use crate::users::OperationEnd;
use crate::world::MachineId;
use crate::world::observed::HonestView;
use crate::world::queue::{Micros, S};

/// After the last revocation all is as it was within this time.
pub const HEALED_WITHIN: Micros = 60 * S;
/// Bytes of statements of one that lies, and of those that it brings along, that a node may keep.
pub const FACT_BYTES_MAX: u64 = 320 << 10;

/// Who lies, and what honest nodes kept before.
#[derive(Debug, Default)]
pub struct HarmChecker {
    liars: BTreeMap<MachineId, NodeId>,
    /// Bytes of facts on honest nodes at most, before anybody lied.
    before: u64,
}

impl HarmChecker {
    /// A member begins to lie.
    pub fn turned(&mut self, machine: MachineId, node: NodeId) {
        self.liars.insert(machine, node);
    }

    /// How much honest nodes keep of facts, before anybody lied.
    pub fn kept_before(&mut self, views: &[HonestView]) {
        if self.liars.is_empty() {
            self.before = views.iter().map(HonestView::all_fact_bytes).max().unwrap_or(0);
        }
    }

    /// Whether somebody lies.
    pub fn somebody_lies(&self) -> bool {
        !self.liars.is_empty()
    }

    /// Whether this machine's member lies.
    pub fn lies(&self, machine: MachineId) -> bool {
        self.liars.contains_key(&machine)
    }

    /// A block was confirmed. `disturbed`: disks lost something meanwhile.
    pub fn put_answered(
        &self,
        block: BlockId,
        outcome: &PutOutcome,
        disturbed: bool,
        storage: &StorageModel,
    ) -> Option<String> {
        let (PutOutcome::Stored(Copies { servers, .. }) | PutOutcome::Degraded(Copies { servers, .. })) = outcome
        else {
            return None;
        };
        let safe = !self.somebody_lies() || disturbed || !storage.believers(block).is_empty();
        (!safe).then(|| format!("{} was confirmed for {servers:?}, and no honest machine has it", block.short()))
    }

    /// What a user is answered long after the last revocation.
    pub fn answered(&self, machine: MachineId, end: &OperationEnd) -> Option<String> {
        let fine = match end {
            OperationEnd::Edited(reply) => {
                !matches!(reply.outcome, PutOutcome::Refused(_)) && reply.edits.iter().all(Result::is_ok)
            }
            OperationEnd::Listed(_) => true,
            _ => false,
        };
        (!fine).then(|| format!("node {machine} serves no user after the revocation: {end:?}"))
    }

    /// What those who lie make honest nodes keep, while nobody has revoked them.
    pub fn burden(&self, views: &[HonestView]) -> Vec<String> {
        let most = self.before * 2 + FACT_BYTES_MAX * self.liars.len() as u64;
        let over = views.iter().filter(|view| view.all_fact_bytes() > most);
        let text = |view: &HonestView| {
            let (bytes, kinds) = (view.all_fact_bytes(), &view.fact_bytes);
            format!("node {} keeps {bytes} bytes of facts, at most {most} are due: {kinds:?}", view.machine)
        };
        over.map(text).collect()
    }

    /// How honest nodes are by then. `copies`: those that users ask for; `made`: whether somebody who writes made a block.
    pub fn judge(&self, views: &[HonestView], copies: u8, mut made: impl FnMut(BlockId) -> bool) -> Vec<String> {
        let mut harm = self.burden(views);
        for view in views {
            let machine = view.machine;
            if view.claimed > copies {
                harm.push(format!("node {machine} wants {} copies of a block", view.claimed));
            }
            let offering = views.iter().filter(|other| other.offers);
            let idle = offering.filter(|other| view.weights.get(&other.node).is_none_or(|weight| *weight == 0));
            harm.extend(idle.map(|other| format!("node {machine} gives nothing to node {}", other.machine)));
            if view.lets_back {
                harm.push(format!("node {machine} lets somebody in by a ticket of one that was revoked"));
            }
            let noise = view.blocks.iter().filter(|block| header(block.bytes()).is_err() && !made(block.id()));
            let noise = noise.count();
            if noise > 0 {
                harm.push(format!("node {machine} holds {noise} blocks that are none"));
            }
        }
        harm
    }
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::identity::FactKind;

    use super::*;

    const BLOCK: BlockId = BlockId([9; 32]);

    fn liar() -> HarmChecker {
        let mut checker = HarmChecker::default();
        checker.turned(2, NodeId([2; 32]));
        checker
    }

    fn view() -> HonestView {
        let weights = [(NodeId([0; 32]), 8)].into();
        HonestView {
            machine: 0,
            node: NodeId([0; 32]),
            fact_bytes: [(FactKind::Card, 100)].into(),
            weights,
            claimed: 3,
            blocks: Vec::new(),
            lets_back: false,
            offers: true,
        }
    }

    #[test]
    fn what_only_liars_have_is_not_stored() {
        let mut storage = StorageModel::default();
        (0..3).for_each(|id| storage.machine_added(id, NodeId([id as u8; 32]), id, false));
        storage.member_turned(2);
        let outcome = PutOutcome::Stored(Copies { servers: vec![NodeId([2; 32])], ..Copies::default() });
        assert!(liar().put_answered(BLOCK, &outcome, false, &storage).is_some());
        assert!(liar().put_answered(BLOCK, &outcome, true, &storage).is_none(), "an honest disk lost it");
        storage.copy_changed(1, BLOCK, crate::world::observed::CopyState::Intact);
        assert!(liar().put_answered(BLOCK, &outcome, false, &storage).is_none());
    }

    #[test]
    fn facts_claims_weights_and_noise_are_harm() {
        assert!(liar().judge(&[view()], 3, |_| false).is_empty());
        let large = HonestView { fact_bytes: [(FactKind::Card, 1 << 20)].into(), ..view() };
        let greedy = HonestView { claimed: 32, ..view() };
        let idle = HonestView { weights: BTreeMap::new(), ..view() };
        let noise = fsdfs_proto::block::Block::new(bytes::Bytes::from_static(b"noise"));
        let noisy = HonestView { blocks: vec![noise], ..view() };
        let open = HonestView { lets_back: true, ..view() };
        for harmed in [large, greedy, idle, noisy, open] {
            assert_eq!(liar().judge(std::slice::from_ref(&harmed), 3, |_| false).len(), 1, "{harmed:?}");
        }
    }
}
