//! What may be destroyed without breaking the promise: "as long as one of the servers that confirmed it survives".
//!
//! A head whose folders have never been on a second machine was confirmed by its writer alone, if at all. Its writer may
//! be destroyed; then what it wrote is gone with it, and nothing else.
//!
//! Faults that destroy data ask here first, so that whatever is missing in the end was lost by the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use fsdfs_proto::ids::BlockId;

use crate::checkers::history::{HeadState, VolumeHistory};
use crate::checkers::storage::StorageModel;
use crate::world::MachineId;
use crate::world::queue::{Micros, S};

/// A block this young may be confirmed by an answer that is on its way.
const FRESH: Micros = 120 * S;

/// Where heads were made, and which of them could survive their writer.
#[derive(Debug, Default)]
pub struct HeadOrigins {
    /// Where each head was made.
    made_on: BTreeMap<BlockId, MachineId>,
    /// Heads whose folders have been on two machines.
    replicated: BTreeSet<BlockId>,
}

/// What decides whether a machine may be destroyed.
#[derive(Clone, Copy)]
pub struct SafetyView<'a> {
    /// Now.
    pub at: Micros,
    /// What lies where.
    pub storage: &'a StorageModel,
    /// What the heads contain.
    pub history: &'a VolumeHistory,
    /// Where they were made.
    pub origins: &'a HeadOrigins,
}

impl HeadOrigins {
    /// A job made this head.
    pub fn head_made(&mut self, machine: MachineId, commit: BlockId) {
        self.made_on.entry(commit).or_insert(machine);
    }

    /// Heads made on this machine whose folders have never been on another one.
    pub fn unreplicated_of(&self, machine: MachineId) -> BTreeSet<BlockId> {
        let here = self.made_on.iter().filter(|(head, on)| **on == machine && !self.replicated.contains(head));
        here.map(|(head, _)| *head).collect()
    }

    /// Whether the folders of this head have been on two machines.
    pub fn is_replicated(&self, head: BlockId) -> bool {
        self.replicated.contains(&head)
    }

    /// Remembers which heads have their folders on two machines by now.
    pub fn note_replicated(&mut self, storage: &StorageModel, history: &VolumeHistory) {
        let open = self.made_on.keys().filter(|head| !self.replicated.contains(head));
        let is_replicated =
            |head: &&BlockId| history.folders_of(**head).iter().all(|block| storage.holders(*block).len() > 1);
        let replicated: Vec<BlockId> = open.filter(is_replicated).copied().collect();
        self.replicated.extend(replicated);
    }
}

impl SafetyView<'_> {
    /// Whether all this machine has of value is also elsewhere.
    pub fn can_spare(self, machine: MachineId) -> bool {
        !self.storage.is_gone(machine) && self.all_elsewhere(machine, &BTreeSet::new())
    }

    /// Whether all this machine has of value is also elsewhere, but for what it wrote that never was.
    pub fn can_be_lost(self, machine: MachineId) -> bool {
        !self.storage.is_gone(machine) && self.all_elsewhere(machine, &self.origins.unreplicated_of(machine))
    }

    /// The same of several machines at once.
    pub fn can_all_be_lost(self, machines: &[MachineId]) -> bool {
        let but: BTreeSet<BlockId> =
            machines.iter().flat_map(|machine| self.origins.unreplicated_of(*machine)).collect();
        machines.iter().all(|machine| !self.storage.is_gone(*machine)) && self.are_elsewhere(machines, &but)
    }

    /// Machines with changes that never were elsewhere.
    pub fn unreplicated_somewhere(self) -> Vec<MachineId> {
        let has_some = |id: &MachineId| !self.storage.is_gone(*id) && !self.origins.unreplicated_of(*id).is_empty();
        self.storage.machines().filter(has_some).collect()
    }

    fn all_elsewhere(self, machine: MachineId, but: &BTreeSet<BlockId>) -> bool {
        self.are_elsewhere(&[machine], but)
    }

    fn are_elsewhere(self, machines: &[MachineId], but: &BTreeSet<BlockId>) -> bool {
        let heads = |machine: MachineId| self.history.states(self.storage.heads_logged(machine));
        let own = machines.iter().flat_map(|machine| heads(*machine));
        let elsewhere: BTreeMap<_, _> = self.storage.survivors_of(machines).flat_map(heads).collect();
        let all = own.chain(elsewhere.clone()).filter(|(commit, _)| !but.contains(commit));
        let current = current_of(all.collect());
        current.iter().all(|commit| elsewhere.contains_key(commit))
            && self.blocks_safe(machines, &[current, self.current_for_all()].concat(), but)
    }

    /// Heads that stand for those who know nothing of what some machine keeps to itself so far.
    fn current_for_all(self) -> Vec<BlockId> {
        let kept: BTreeSet<BlockId> =
            self.storage.machines().flat_map(|machine| self.origins.unreplicated_of(machine)).collect();
        let heads = self.storage.machines().flat_map(|machine| self.history.states(self.storage.heads_logged(machine)));
        current_of(heads.filter(|(commit, _)| !kept.contains(commit)).collect())
    }

    fn blocks_safe(self, machines: &[MachineId], heads: &[BlockId], but: &BTreeSet<BlockId>) -> bool {
        let trees_of = |heads: &mut dyn Iterator<Item = &BlockId>| -> BTreeSet<BlockId> {
            heads.flat_map(|head| self.history.tree_of(*head).into_keys()).collect()
        };
        let (needed, spared) = (trees_of(&mut heads.iter()), trees_of(&mut but.iter()));
        let since = self.at.saturating_sub(FRESH);
        let matters = |block: &BlockId| {
            needed.contains(block) || (self.history.made_since(*block, since) && !spared.contains(block))
        };
        let blocks = machines.iter().flat_map(|machine| self.storage.blocks_on(*machine));
        blocks.filter(matters).all(|block| self.storage.has_copy_beside(machines, block))
    }
}

/// Heads that no other includes.
pub(super) fn current_of(states: BTreeMap<BlockId, Rc<HeadState>>) -> Vec<BlockId> {
    let mut states: Vec<(BlockId, Rc<HeadState>)> = states.into_iter().collect();
    // Whoever includes another has reached more, so it comes first.
    states.sort_by_key(|(commit, state)| (std::cmp::Reverse(state.reached()), *commit));
    let mut current: Vec<(BlockId, Rc<HeadState>)> = Vec::new();
    for (commit, state) in states {
        if !current.iter().any(|(_, other)| other.seen.covers_all(&state.seen)) {
            current.push((commit, state));
        }
    }
    current.into_iter().map(|(commit, _)| commit).collect()
}
