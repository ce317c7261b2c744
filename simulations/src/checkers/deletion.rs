//! Whether a copy that was deleted because no state needs it was needed all the same.
//!
//! Judged at the moment of the deletion against what there is anywhere: the block is in no tree that stands on some machine, told to
//! others or not, and in none that such a head names.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::volume::{LinkClass, header};

use crate::checkers::history::VolumeHistory;
use crate::checkers::safety::current_of;
use crate::checkers::storage::StorageModel;
use crate::world::HOUR_MS;
use crate::world::MachineId;
use crate::world::queue::{MS, Micros};

/// A head that one machine keeps to itself for longer names states that the ladder may have left behind meanwhile.
const NAMES_FOR: Micros = 24 * HOUR_MS * MS;

/// The trees of all heads that stand on a machine of some member, and of the states that these name: each block with such a state, and
/// whose it is. Who is no member any more is waited for by nobody: what only it knows is lost with it.
#[derive(Debug, Default)]
pub struct NeededBlocks {
    by_block: BTreeMap<BlockId, (BlockId, MachineId)>,
    as_of: Option<AsOf>,
}

/// What it depends on.
#[derive(Debug, PartialEq, Eq)]
struct AsOf {
    /// The hour of history.
    hour: u64,
    /// How many heads there are in all logs.
    heads: usize,
    members: BTreeSet<NodeId>,
}

impl NeededBlocks {
    /// A machine that knows of these members deleted its copy.
    pub fn on_collected(
        &mut self,
        at: Micros,
        (machine, block): (MachineId, BlockId),
        members: &BTreeSet<NodeId>,
        (storage, history): (&StorageModel, &VolumeHistory),
    ) -> Option<String> {
        let needed = self.of(at, members, (storage, history)).get(&block);
        let (commit, on) = needed.copied().filter(|_| !storage.lies(machine))?;
        let (block, commit) = (block.short(), commit.short());
        Some(format!("node {machine} deleted its copy of {block}, which {commit} needs, a state on node {on}"))
    }

    /// As of now. Of the heads of one member alone all that they name counts.
    pub fn of(
        &mut self,
        at: Micros,
        members: &BTreeSet<NodeId>,
        (storage, history): (&StorageModel, &VolumeHistory),
    ) -> &BTreeMap<BlockId, (BlockId, MachineId)> {
        let heads = storage.machines().map(|machine| storage.heads_logged(machine).len()).sum();
        let as_of = AsOf { hour: at / (HOUR_MS * MS), heads, members: members.clone() };
        if self.as_of.as_ref() != Some(&as_of) {
            (self.by_block, self.as_of) = (needed(at, members, storage, history), Some(as_of));
        }
        &self.by_block
    }
}

fn needed(
    at: Micros,
    members: &BTreeSet<NodeId>,
    storage: &StorageModel,
    history: &VolumeHistory,
) -> BTreeMap<BlockId, (BlockId, MachineId)> {
    let counts = |machine: &MachineId| {
        members.contains(&storage.node_of(*machine)) && !storage.lies(*machine) && !storage.is_gone(*machine)
    };
    let mut standing: BTreeMap<BlockId, Vec<MachineId>> = BTreeMap::new();
    for machine in storage.machines().filter(counts) {
        for commit in current_of(history.states(storage.heads_logged(machine)).into_iter().collect()) {
            standing.entry(commit).or_default().push(machine);
        }
    }
    let named = |commit: BlockId| {
        let links = history.block(commit).and_then(|block| header(block.bytes()).ok()).map(|found| found.links);
        links.unwrap_or_default().into_iter().filter(|link| link.class == LinkClass::Parent).map(|link| link.id)
    };
    let mut states = BTreeMap::new();
    for (commit, machines) in standing {
        states.insert(commit, machines[0]);
        if machines.len() > 1 || members.len() == 1 || history.made_since(commit, at.saturating_sub(NAMES_FOR)) {
            for named in named(commit) {
                states.entry(named).or_insert(machines[0]);
            }
        }
    }
    let below = |(commit, machine): (&BlockId, &MachineId)| {
        let (commit, machine) = (*commit, *machine);
        history.tree_of(commit).into_keys().chain([commit]).map(move |block| (block, (commit, machine)))
    };
    states.iter().flat_map(below).collect()
}
