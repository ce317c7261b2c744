//! Whether a copy that was deleted because no state needs it was needed all the same.
//!
//! Judged at the moment of the deletion against what there is anywhere: the block is in no tree that stands on some machine, told to
//! others or not, and in none that such a head names.

use std::collections::BTreeSet;

use fsdfs_proto::ids::BlockId;
use fsdfs_proto::volume::{LinkClass, header};

use crate::checkers::history::VolumeHistory;
use crate::checkers::safety::current_of;
use crate::checkers::storage::StorageModel;
use crate::world::MachineId;

/// See the module.
#[derive(Debug, Default)]
pub struct DeletionChecker {
    /// What some state needs, as of so many heads in all logs.
    needed: BTreeSet<BlockId>,
    as_of: Option<usize>,
}

impl DeletionChecker {
    /// A copy was deleted.
    pub fn on_collected(
        &mut self,
        machine: MachineId,
        block: BlockId,
        storage: &StorageModel,
        history: &VolumeHistory,
    ) -> Option<String> {
        let logged = storage.machines().map(|machine| storage.heads_logged(machine).len()).sum();
        if self.as_of != Some(logged) {
            (self.needed, self.as_of) = (needed(storage, history), Some(logged));
        }
        let is_wrong = self.needed.contains(&block) && !storage.lies(machine);
        is_wrong.then(|| format!("node {machine} deleted its copy of {block:?}, which a state needs"))
    }
}

/// The trees of all heads that stand on some machine, and of the states that these name.
fn needed(storage: &StorageModel, history: &VolumeHistory) -> BTreeSet<BlockId> {
    let machines = storage.machines().filter(|machine| !storage.lies(*machine) && !storage.is_gone(*machine));
    let standing: BTreeSet<BlockId> = machines
        .flat_map(|machine| current_of(history.states(storage.heads_logged(machine)).into_iter().collect()))
        .collect();
    let named = |commit: &BlockId| {
        let links = history.block(*commit).and_then(|block| header(block.bytes()).ok()).map(|found| found.links);
        links.unwrap_or_default().into_iter().filter(|link| link.class == LinkClass::Parent).map(|link| link.id)
    };
    let named: Vec<BlockId> = standing.iter().flat_map(named).collect();
    let all: BTreeSet<BlockId> = standing.into_iter().chain(named).collect();
    let trees = all.iter().flat_map(|commit| history.tree_of(*commit).into_keys());
    trees.chain(all.iter().copied()).collect()
}
