//! Copies: a block of a tree that stands is never without one, and has as many as are wanted, in as many homes, soon after
//! faults have ended.

use std::collections::BTreeSet;

use fsdfs_core::placement::ClusterMap;
use fsdfs_proto::ids::BlockId;

use crate::checkers::history::VolumeHistory;
use crate::checkers::safety::{HeadOrigins, current_of};
use crate::checkers::storage::StorageModel;
use crate::world::MachineId;
use crate::world::observed::PoolSnapshot;

/// A block of a published head of which no intact copy is left on a machine that is not gone. Heads whose folders never left
/// their writer went with it. Faults spare the last copy, so whatever is lost was lost by the nodes.
pub fn lost_block(
    pool: &PoolSnapshot,
    storage: &StorageModel,
    history: &VolumeHistory,
    origins: &HeadOrigins,
) -> Option<String> {
    let known = pool.nodes.iter().filter_map(|node| node.knowledge.as_ref());
    let heads: BTreeSet<BlockId> = known.flat_map(|knowledge| &knowledge.heads).copied().collect();
    let stands = |head: &BlockId| origins.is_replicated(*head) && !history.is_forged_head(*head);
    // Somebody who was off may show what others have replaced long since.
    let heads: Vec<BlockId> = heads.into_iter().filter(stands).collect();
    let heads = current_of(history.states(&heads).into_iter().collect());
    let blocks: BTreeSet<BlockId> = heads.iter().flat_map(|head| history.tree_of(*head).into_keys()).collect();
    let mut lost = blocks.into_iter().filter(|block| !history.is_forged(*block) && storage.holders(*block).is_empty());
    let first = lost.next()?;
    Some(format!("{} and {} other blocks of a tree that stands are on no machine", first.short(), lost.count()))
}

/// What is not healed: a block with too few copies, or copies in too few homes.
pub fn short_block(pool: &PoolSnapshot, storage: &StorageModel, history: &VolumeHistory) -> Option<String> {
    let knowledge = pool.nodes.first()?.knowledge.as_ref()?;
    let weighs = |node: &crate::world::observed::NodeSnapshot| {
        let server = knowledge.servers.iter().find(|server| server.id == storage.node_of(node.machine));
        server.is_some_and(|server| server.weight() > 0)
    };
    let map = ClusterMap::new(knowledge.servers.clone());
    let holders: Vec<_> = pool.nodes.iter().filter(|node| weighs(node)).collect();
    let head = knowledge.heads.iter().find(|head| !history.is_forged_head(**head))?;
    let tree = history.tree_of(*head).into_iter().filter(|(block, _)| !history.is_forged(*block));
    for (block, copies) in tree {
        let len = history.block(block).map_or(0, |block| block.bytes().len() as u64);
        // Rotten records are found by reading; until then the holder believes that it has them.
        let has = |machine: MachineId| storage.believes(machine, block);
        let able: Vec<MachineId> = holders
            .iter()
            .filter(|node| has(node.machine) || node.room_bytes.is_some_and(|room| len <= room))
            .map(|node| node.machine)
            .collect();
        let having: Vec<MachineId> =
            pool.nodes.iter().map(|node| node.machine).filter(|machine| has(*machine)).collect();
        let sites = |machines: &[MachineId]| {
            machines.iter().map(|machine| storage.site_of(*machine)).collect::<BTreeSet<usize>>().len()
        };
        let (wanted, wanted_sites) = (usize::from(copies).min(able.len()), usize::from(copies).min(sites(&able)));
        if having.len() < wanted || sites(&having) < wanted_sites {
            let assigned = map.holders(block, copies).into_iter().flat_map(|holder| storage.machines_of(holder.node));
            return Some(format!(
                "{} is on nodes {having:?}, {wanted} copies at {wanted_sites} sites are wanted, on {:?} of {able:?}",
                block.short(),
                assigned.collect::<Vec<MachineId>>()
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::ids::NodeId;

    use super::*;

    #[test]
    fn a_pool_of_nobody_lacks_nothing() {
        let pool = PoolSnapshot { operations_open: 0, all_connected: true, nodes: Vec::new() };
        let mut storage = StorageModel::default();
        storage.machine_added(0, NodeId([0; 32]), 4, false);
        assert_eq!(storage.site_of(0), 4);
        let keys = crate::world::pool::PoolKeys::found(1).keys;
        let history = VolumeHistory::new(keys, crate::world::SMALL);
        assert_eq!(short_block(&pool, &storage, &history), None);
        assert_eq!(lost_block(&pool, &storage, &history, &HeadOrigins::default()), None);
    }
}
