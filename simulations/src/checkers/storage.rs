//! What lies on each machine, as observed: copies of blocks, and the heads in its log.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::codec::encode;
use fsdfs_proto::identity::RawFact;
use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::record::LogEntry;

use crate::world::MachineId;
use crate::world::observed::CopyState;

/// The durable state of all machines, gone ones included.
#[derive(Debug, Default)]
pub struct StorageModel {
    machines: Vec<MachineModel>,
    /// Which head a log entry is.
    head_of: BTreeMap<Vec<u8>, BlockId>,
}

#[derive(Debug)]
struct MachineModel {
    node: NodeId,
    site: usize,
    duplicate: bool,
    gone: bool,
    /// Its member lies.
    lies: bool,
    /// How often its disks were replaced.
    replaced: u32,
    /// Whether the record is intact; blocks without a record are not listed.
    copies: BTreeMap<BlockId, bool>,
    /// Commits of the heads in its home log, in the order in which they came.
    heads: Vec<BlockId>,
}

impl StorageModel {
    /// One more machine, with empty disks. Machines come in the order of their numbers.
    pub fn machine_added(&mut self, machine: MachineId, node: NodeId, site: usize, duplicate: bool) {
        assert_eq!(machine, self.machines.len(), "machines are numbered in the order in which they come");
        let (copies, heads) = (BTreeMap::new(), Vec::new());
        let (gone, lies, replaced) = (false, false, 0);
        self.machines.push(MachineModel { node, site, duplicate, gone, lies, replaced, copies, heads });
    }

    /// It will never be seen again.
    pub fn machine_gone(&mut self, machine: MachineId) {
        self.machines[machine].gone = true;
    }

    /// Its member lies from now on: what is there counts as little as if it were gone.
    pub fn member_turned(&mut self, machine: MachineId) {
        self.machines[machine].gone = true;
        self.machines[machine].lies = true;
    }

    /// Whether its member lies.
    pub fn lies(&self, machine: MachineId) -> bool {
        self.machines[machine].lies
    }

    /// How many members lie.
    pub fn liars(&self) -> usize {
        self.machines.iter().filter(|here| here.lies).count()
    }

    /// What a machine has of a block.
    pub fn copy_changed(&mut self, machine: MachineId, block: BlockId, copy: CopyState) {
        let copies = &mut self.machines[machine].copies;
        match copy {
            CopyState::Absent => drop(copies.remove(&block)),
            CopyState::Damaged => drop(copies.insert(block, false)),
            CopyState::Intact => drop(copies.insert(block, true)),
        }
    }

    /// Whether it lost its disks more than once. Who confirms a block and then denies it is sent it once more, and then no more
    /// for a day: otherwise whoever says "no" often enough would have everybody send without end.
    pub fn may_be_sent_no_more(&self, machine: MachineId) -> bool {
        self.machines[machine].replaced > 1
    }

    /// All that a machine has.
    pub fn disks_replaced(&mut self, machine: MachineId, copies: Vec<(BlockId, CopyState)>) {
        self.machines[machine].replaced += 1;
        self.machines[machine].copies.clear();
        copies.into_iter().for_each(|(block, copy)| self.copy_changed(machine, block, copy));
    }

    /// A head was made: log entries with it are recognized from now on.
    pub fn head_made(&mut self, fact: RawFact, commit: BlockId) {
        self.head_of.insert(encode(&LogEntry::Fact(fact)), commit);
    }

    /// A machine's log became longer.
    pub fn log_appended(&mut self, machine: MachineId, entries: &[LogEntry]) {
        let fact = |entry: &LogEntry| match entry {
            LogEntry::Unpublished(own) => encode(&LogEntry::Fact(own.head.clone())),
            other => encode(other),
        };
        let heads = entries.iter().filter_map(|entry| self.head_of.get(&fact(entry)).copied());
        self.machines[machine].heads.extend(heads);
    }

    /// A machine's log is another one.
    pub fn log_replaced(&mut self, machine: MachineId, entries: &[LogEntry]) {
        self.machines[machine].heads.clear();
        self.log_appended(machine, entries);
    }

    /// Commits of the heads in a machine's home log.
    pub fn heads_logged(&self, machine: MachineId) -> &[BlockId] {
        &self.machines[machine].heads
    }

    /// All machines.
    pub fn machines(&self) -> std::ops::Range<MachineId> {
        0..self.machines.len()
    }

    /// Whose machine it is.
    pub fn node_of(&self, machine: MachineId) -> NodeId {
        self.machines[machine].node
    }

    /// Where it stands.
    pub fn site_of(&self, machine: MachineId) -> usize {
        self.machines[machine].site
    }

    /// Whether it is gone for good.
    pub fn is_gone(&self, machine: MachineId) -> bool {
        self.machines[machine].gone
    }

    /// Machines of this identity.
    pub fn machines_of(&self, node: NodeId) -> impl Iterator<Item = MachineId> {
        self.machines().filter(move |machine| self.machines[*machine].node == node)
    }

    /// All identities.
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        self.machines.iter().map(|machine| machine.node).collect()
    }

    /// Other machines whose disks count as surviving. Duplicates do not: they will be switched off.
    pub fn survivors_of(&self, lost: &[MachineId]) -> impl Iterator<Item = MachineId> {
        let survives = move |machine: &MachineId| {
            let here = &self.machines[*machine];
            !lost.contains(machine) && !here.gone && !here.duplicate
        };
        self.machines().filter(survives)
    }

    /// Whether there is a record, intact or rotten: the holder cannot tell before it reads.
    pub fn believes(&self, machine: MachineId, block: BlockId) -> bool {
        self.machines[machine].copies.contains_key(&block)
    }

    /// Whether there is an intact record.
    pub fn holds(&self, machine: MachineId, block: BlockId) -> bool {
        self.machines[machine].copies.get(&block) == Some(&true)
    }

    /// All blocks with a record.
    pub fn blocks_on(&self, machine: MachineId) -> impl Iterator<Item = BlockId> {
        self.machines[machine].copies.keys().copied()
    }

    /// Distinct nodes with an intact copy, among machines that are not gone.
    pub fn holders(&self, block: BlockId) -> BTreeSet<NodeId> {
        let holds = |here: &&MachineModel| !here.gone && here.copies.get(&block) == Some(&true);
        self.machines.iter().filter(holds).map(|here| here.node).collect()
    }

    /// Distinct nodes with a record, rotten or not.
    pub fn believers(&self, block: BlockId) -> BTreeSet<NodeId> {
        let believes = |here: &&MachineModel| !here.lies && here.copies.contains_key(&block);
        self.machines.iter().filter(believes).map(|here| here.node).collect()
    }

    /// Whether an intact copy lies on another machine that survives.
    pub fn has_another_copy(&self, machine: MachineId, block: BlockId) -> bool {
        self.has_copy_beside(&[machine], block)
    }

    /// The same beside several machines.
    pub fn has_copy_beside(&self, machines: &[MachineId], block: BlockId) -> bool {
        self.survivors_of(machines).any(|other| self.holds(other, block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: BlockId = BlockId([9; 32]);

    fn three_machines() -> StorageModel {
        let mut model = StorageModel::default();
        (0..3).for_each(|id| model.machine_added(id, NodeId([id as u8; 32]), id, false));
        model
    }

    #[test]
    fn a_rotten_copy_is_believed_and_does_not_hold() {
        let mut model = three_machines();
        model.copy_changed(1, BLOCK, CopyState::Intact);
        model.copy_changed(1, BLOCK, CopyState::Damaged);
        assert!(model.believes(1, BLOCK) && !model.holds(1, BLOCK) && !model.has_another_copy(0, BLOCK));
        assert_eq!((model.believers(BLOCK).len(), model.holders(BLOCK).len()), (1, 0));
    }

    #[test]
    fn copies_on_machines_that_are_gone_or_duplicates_do_not_survive() {
        let mut model = three_machines();
        model.machine_added(3, NodeId([1; 32]), 1, true);
        [1, 3].into_iter().for_each(|id| model.copy_changed(id, BLOCK, CopyState::Intact));
        assert!(model.has_another_copy(0, BLOCK));
        assert!(!model.has_another_copy(1, BLOCK), "the other copy is on a duplicate");
        model.machine_gone(1);
        assert!(!model.has_another_copy(0, BLOCK));
    }

    #[test]
    fn an_old_image_takes_back_what_was_written_since() {
        let mut model = three_machines();
        model.copy_changed(0, BLOCK, CopyState::Intact);
        model.disks_replaced(0, vec![(BlockId([1; 32]), CopyState::Intact)]);
        assert_eq!(model.blocks_on(0).collect::<Vec<_>>(), [BlockId([1; 32])]);
    }
}
