//! Whether a copy that was deleted because others have the block was one too many.
//!
//! At each such deletion all that are assigned the block, by the map of some machine, have a record of it. Whoever lost something by a
//! fault within the time for which its word counts may have proven in good faith what is gone.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_core::limits::EVICT_PROOFS_MS_MAX;
use fsdfs_proto::ids::{BlockId, NodeId};

use crate::checkers::storage::StorageModel;
use crate::world::MachineId;
use crate::world::queue::{MS, Micros};

/// See the module.
#[derive(Debug, Default)]
pub struct RemovalChecker {
    /// When each machine last lost something.
    disturbed: BTreeMap<MachineId, Micros>,
    /// Copies that were deleted.
    evicted: u64,
}

impl RemovalChecker {
    /// A machine lost something by a fault, or lies.
    pub fn disturbed(&mut self, at: Micros, machine: MachineId) {
        self.disturbed.insert(machine, at);
    }

    /// Copies that were deleted until now.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// A copy was deleted.
    pub fn evicted_by(
        &mut self,
        at: Micros,
        (machine, block): (MachineId, BlockId),
        assigned: &BTreeSet<BTreeSet<NodeId>>,
        storage: &StorageModel,
    ) -> Option<String> {
        self.evicted += 1;
        let lately = |machine: MachineId| {
            self.disturbed.get(&machine).is_some_and(|since| at <= since + EVICT_PROOFS_MS_MAX * MS)
        };
        let has = |node: &NodeId| {
            storage.machines_of(*node).any(|other| {
                other != machine && (storage.believes(other, block) || storage.lies(other) || lately(other))
            })
        };
        if storage.lies(machine) || assigned.iter().any(|holders| holders.iter().all(has)) {
            return None;
        }
        let short: Vec<String> = assigned.iter().flatten().filter(|node| !has(node)).map(NodeId::short).collect();
        Some(format!("node {machine} deleted its copy of {block:?}, which {} do not have", short.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::observed::CopyState;
    use crate::world::queue::S;

    const BLOCK: BlockId = BlockId([9; 32]);

    fn node(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    #[test]
    fn all_of_one_map_have_to_have_it_but_for_those_that_lost_it_just_now() {
        let mut storage = StorageModel::default();
        (0..4).for_each(|id| storage.machine_added(id, node(id as u8), id, false));
        (1..3).for_each(|id| storage.copy_changed(id, BLOCK, CopyState::Intact));
        let set = |numbers: &[u8]| numbers.iter().map(|number| node(*number)).collect::<BTreeSet<_>>();
        let mut checker = RemovalChecker::default();
        let judge = |checker: &mut RemovalChecker, at, sets: &[&[u8]]| {
            let assigned = sets.iter().map(|numbers| set(numbers)).collect();
            checker.evicted_by(at, (0, BLOCK), &assigned, &storage)
        };
        assert_eq!(judge(&mut checker, 0, &[&[2, 3], &[1, 2]]), None);
        assert!(judge(&mut checker, 0, &[&[2, 3], &[0, 1]]).is_some(), "its own copy is gone");
        checker.disturbed(10 * S, 3);
        assert_eq!(judge(&mut checker, 60 * S, &[&[2, 3]]), None);
        assert!(judge(&mut checker, 80 * S, &[&[2, 3]]).is_some());
        assert_eq!(checker.evicted(), 4);
    }
}
