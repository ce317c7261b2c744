//! Convergence: when faults have ended, everyone comes to know the same, and every block gets its copies.

use std::fmt;

use fsdfs_core::placement::{BlockHolder, ClusterMap};
use fsdfs_proto::ids::BlockId;

use crate::checkers::history::VolumeHistory;
use crate::checkers::storage::StorageModel;
use crate::world::MachineId;
use crate::world::observed::{NodeKnowledge, PoolSnapshot};

/// What is not yet as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenDifference {
    /// Operations, connections, facts.
    Knowledge(String),
    /// A block lacks one.
    Copy(String),
}

impl fmt::Display for OpenDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Knowledge(what) | Self::Copy(what)) = self;
        f.write_str(what)
    }
}

/// What a pool still lacks.
pub fn open_difference(pool: &PoolSnapshot, storage: &StorageModel, history: &VolumeHistory) -> Option<OpenDifference> {
    let forged = |head: &BlockId| history.is_forged_head(*head);
    knowledge_differs(pool, forged).map(OpenDifference::Knowledge).or_else(|| {
        let first = pool.nodes.first()?.knowledge.as_ref()?;
        missing_copy(pool, first, storage, history).map(OpenDifference::Copy)
    })
}

/// `forged`: heads of members that lie, which nobody has to make anything of.
fn knowledge_differs(pool: &PoolSnapshot, forged: impl Fn(&BlockId) -> bool) -> Option<String> {
    if pool.operations_open > 0 {
        return Some(format!("{} operations are open", pool.operations_open));
    }
    if !pool.all_connected {
        return Some("not all are connected to all".into());
    }
    let unpublished = |knowledge: &NodeKnowledge| knowledge.unpublished;
    if let Some(node) = pool.nodes.iter().find(|node| node.knowledge.as_ref().is_some_and(unpublished)) {
        return Some(format!("node {} has unpublished changes", node.machine));
    }
    let first = pool.nodes.first()?;
    let NodeKnowledge { facts, map, heads, .. } = first.knowledge.as_ref()?;
    for node in &pool.nodes {
        let id = node.machine;
        let Some(other) = &node.knowledge else { return Some(format!("node {id} does not run")) };
        let what = match other {
            other if other.facts != *facts => "facts",
            other if other.map != *map => "maps",
            other if other.heads != *heads => "heads",
            _ => continue,
        };
        return Some(format!("nodes {} and {id} have different {what}", first.machine));
    }
    let honest = heads.iter().filter(|head| !forged(head)).count();
    (honest != 1).then(|| format!("there are {honest} heads"))
}

/// A block of the tree that an assigned holder lacks although it runs, has room, and lost its disks once at most.
fn missing_copy(
    pool: &PoolSnapshot,
    knowledge: &NodeKnowledge,
    storage: &StorageModel,
    history: &VolumeHistory,
) -> Option<String> {
    let map = ClusterMap::new(knowledge.servers.clone());
    let head = knowledge.heads.iter().find(|head| !history.is_forged_head(**head))?;
    let expected = history.tree_of(*head).into_iter();
    for (block, copies) in expected.filter(|(block, _)| !history.is_forged(*block)) {
        for holder in map.holders(block, copies) {
            if let Some(lacks) = lacks(pool, &holder, block, storage, history) {
                return Some(format!("{} is assigned to node {lacks}, which does not have it", block.short()));
            }
        }
    }
    None
}

fn lacks(
    pool: &PoolSnapshot,
    holder: &BlockHolder,
    block: BlockId,
    storage: &StorageModel,
    history: &VolumeHistory,
) -> Option<MachineId> {
    let len = history.block(block).map_or(0, |block| block.bytes().len() as u64);
    let node = pool.nodes.iter().find(|node| storage.node_of(node.machine) == holder.node)?;
    // Rotten records are found by reading; until then the holder believes that it has them.
    let has_room = node.room_bytes.is_some_and(|room| len <= room);
    // The card goes on naming a disk that fails for a while: it may be a loose cable.
    let is_due = has_room && !node.failing.contains(&holder.disk) && !storage.may_be_sent_no_more(node.machine);
    (!storage.believes(node.machine, block) && is_due).then_some(node.machine)
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::ids::Digest;

    use super::*;
    use crate::world::observed::NodeSnapshot;

    fn node(machine: MachineId, facts: u8) -> NodeSnapshot {
        let digest = |byte| Digest([byte; 32]);
        let heads = vec![BlockId([1; 32])];
        let knowledge =
            NodeKnowledge { facts: digest(facts), map: digest(0), heads, unpublished: false, servers: Vec::new() };
        NodeSnapshot { machine, runs: true, room_bytes: None, failing: Vec::new(), knowledge: Some(knowledge) }
    }

    fn pool(nodes: Vec<NodeSnapshot>) -> PoolSnapshot {
        PoolSnapshot { operations_open: 0, all_connected: true, nodes }
    }

    #[test]
    fn nodes_that_know_the_same_have_converged() {
        assert_eq!(knowledge_differs(&pool(vec![node(0, 1), node(2, 1)]), |_| false), None);
        let all_forged = knowledge_differs(&pool(vec![node(0, 1)]), |_| true);
        assert_eq!(all_forged.as_deref(), Some("there are 0 heads"));
    }

    #[test]
    fn what_differs_is_named() {
        let differs = |pool: &PoolSnapshot| knowledge_differs(pool, |_| false).expect("they have not converged");
        assert_eq!(differs(&pool(vec![node(0, 1), node(2, 3)])), "nodes 0 and 2 have different facts");
        let mut off = node(2, 1);
        off.knowledge = None;
        assert_eq!(differs(&pool(vec![node(0, 1), off])), "node 2 does not run");
        let busy = PoolSnapshot { operations_open: 2, ..pool(vec![node(0, 1)]) };
        assert_eq!(differs(&busy), "2 operations are open");
        let mut writer = node(1, 1);
        writer.knowledge.as_mut().expect("it runs").unpublished = true;
        assert_eq!(differs(&pool(vec![node(0, 1), writer])), "node 1 has unpublished changes");
    }
}
