//! Honest: what owners are told about copies is never better than it is, for the copies that were asked about.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_core::report::BlockAssurance;
use fsdfs_proto::ids::Digest;
use fsdfs_proto::message::repair::AssuredState;

use crate::checkers::deletion::NeededBlocks;
use crate::checkers::history::VolumeHistory;
use crate::checkers::storage::StorageModel;
use crate::world::observed::OwnStatus;
use crate::world::queue::{Micros, S};

/// A pair compares every five minutes, and after what changed had time to come; a restart counts all before.
const COMPARED_WITHIN: Micros = 15 * 60 * S;

/// When the pool last changed in a way that has to be compared.
#[derive(Debug, Default)]
pub struct HonestyChecker {
    disturbed: Micros,
    /// When each map was first seen to count.
    maps: BTreeMap<Digest, Micros>,
}

impl HonestyChecker {
    /// Machines, disks or lines changed.
    pub fn disturbed(&mut self, at: Micros) {
        self.disturbed = at;
    }

    /// Members said that they hold blocks. `lost_since`: a disk lost something after they were asked.
    pub fn assured(&self, found: &[BlockAssurance], lost_since: bool, storage: &StorageModel) -> Vec<String> {
        if lost_since {
            return Vec::new();
        }
        let said = found.iter().flat_map(|block| block.said.iter().map(|(node, copy)| (block.id, *node, copy.state)));
        let held = said.filter(|(_, _, state)| *state == AssuredState::Held);
        let false_ones = held.filter(|(block, node, _)| {
            !storage.machines_of(*node).any(|machine| storage.lies(machine) || storage.believes(machine, *block))
        });
        false_ones
            .map(|(block, node, _)| format!("{} is said to be on {}, where it is not", block.short(), node.short()))
            .collect()
    }

    /// A node says that all of its blocks have their copies, while it is in touch with all who hold them and nothing has changed
    /// for a while.
    pub fn status(
        &mut self,
        at: Micros,
        said: &OwnStatus,
        (storage, history): (&StorageModel, &VolumeHistory),
        needed: &mut NeededBlocks,
    ) -> Option<String> {
        let is_green = said.pending == 0 && !said.running && said.least.is_none_or(|least| least >= 0);
        let first_seen = *self.maps.entry(said.map).or_insert(at);
        if !is_green || at < self.disturbed.max(first_seen) + COMPARED_WITHIN {
            return None;
        }
        for (block, assigned) in &said.assigned {
            let in_touch = |machine: &usize| *machine == said.machine || said.in_touch.contains(machine);
            let machines: Vec<usize> = assigned.iter().flat_map(|node| storage.machines_of(*node)).collect();
            let is_asked = machines.iter().all(in_touch) && machines.iter().all(|machine| !storage.lies(*machine));
            let lacking = machines.iter().find(|machine| !storage.believes(**machine, *block));
            let is_old = history.block(*block).is_some() && !history.made_since(*block, at - COMPARED_WITHIN);
            if let (true, Some(lacking)) = (is_asked && is_old, lacking)
                && needed
                    .of(at, &BTreeSet::from([storage.node_of(said.machine)]), (storage, history))
                    .contains_key(block)
            {
                return Some(format!(
                    "node {} says that nothing is missing, and {} is not on node {lacking}",
                    said.machine,
                    block.short()
                ));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::ids::{BlockId, NodeId};
    use fsdfs_proto::message::repair::AssuredCopy;

    use super::*;
    use crate::world::observed::CopyState;

    const BLOCK: BlockId = BlockId([9; 32]);

    fn storage() -> StorageModel {
        let mut storage = StorageModel::default();
        (0..2).for_each(|id| storage.machine_added(id, NodeId([id as u8; 32]), id, false));
        storage.copy_changed(0, BLOCK, CopyState::Intact);
        storage
    }

    #[test]
    fn a_copy_that_is_not_there_is_not_to_be_assured() {
        let copy = AssuredCopy { state: AssuredState::Held, len: 1, verified_h: None };
        let said = |node: u8| {
            let said = vec![(NodeId([node; 32]), copy)];
            vec![BlockAssurance { id: BLOCK, wanted: 3, assigned: Vec::new(), said, unproven: Vec::new() }]
        };
        let checker = HonestyChecker::default();
        assert!(checker.assured(&said(0), false, &storage()).is_empty());
        assert_eq!(checker.assured(&said(1), false, &storage()).len(), 1);
        assert!(checker.assured(&said(1), true, &storage()).is_empty(), "it was lost on the way");
    }
}
