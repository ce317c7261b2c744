//! What may be destroyed without breaking the promise: "as long as one of the servers that confirmed it survives".
//!
//! A head whose folders have never been on a second machine was confirmed by its writer alone, if at all. Its writer may
//! be destroyed; then what it wrote is gone with it, and nothing else.
//!
//! Faults that destroy data ask here first, so that whatever is missing in the end was lost by the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use fsdfs_proto::ids::BlockId;

use crate::checkers::history::{HeadState, WriteNumber};
use crate::world::queue::{Micros, S};
use crate::world::{MachineId, World};

/// A block this young may be confirmed by an answer that is on its way.
const FRESH: Micros = 120 * S;

impl World {
    /// Whether all this machine has of value is also elsewhere.
    pub fn can_spare(&mut self, id: MachineId) -> bool {
        if self.machines[id].gone {
            return false;
        }
        self.note_replicated();
        self.all_elsewhere(id, &BTreeSet::new())
    }

    /// Whether all this machine has of value is also elsewhere, but for what it wrote that never was.
    pub fn can_be_lost(&mut self, id: MachineId) -> bool {
        if self.machines[id].gone {
            return false;
        }
        self.note_replicated();
        let unreplicated = self.checks.promises.unreplicated_of(id);
        self.all_elsewhere(id, &unreplicated)
    }

    /// Machines with changes that never were elsewhere.
    pub fn unreplicated_somewhere(&mut self) -> Vec<MachineId> {
        self.note_replicated();
        let unreplicated =
            |id: &MachineId| !self.machines[*id].gone && !self.checks.promises.unreplicated_of(*id).is_empty();
        (0..self.machines.len()).filter(unreplicated).collect()
    }

    /// Writes that were confirmed by this machine alone, and that nobody else heard of, are not promised any more.
    pub(crate) fn forget_local_only(&mut self, id: MachineId) {
        let others: Vec<MachineId> = (0..self.machines.len()).filter(|other| *other != id).collect();
        let states: Vec<Rc<HeadState>> =
            others.into_iter().flat_map(|other| self.states_logged(other)).map(|(_, state)| state).collect();
        let promises = &mut self.checks.promises;
        let alone = &promises.alone;
        let known = |write: &WriteNumber| states.iter().any(|state| state.includes(*write));
        promises.acked.retain(|write| alone.get(write) != Some(&id) || known(write));
    }

    /// Remembers which heads have their folders on two machines by now.
    pub(crate) fn note_replicated(&mut self) {
        let promises = &self.checks.promises;
        let unreplicated: Vec<BlockId> =
            promises.made_on.keys().filter(|head| !promises.replicated.contains(head)).copied().collect();
        let is_replicated = |head: &BlockId| {
            let history = &self.checks.history;
            history.folders_of(*head).iter().all(|block| self.holders(*block).len() > 1)
        };
        let replicated: Vec<BlockId> = unreplicated.into_iter().filter(is_replicated).collect();
        self.checks.promises.replicated.extend(replicated);
    }

    fn all_elsewhere(&mut self, id: MachineId, but: &BTreeSet<BlockId>) -> bool {
        let own = self.states_logged(id);
        let others: Vec<MachineId> = self.others(id).collect();
        let elsewhere: BTreeMap<_, _> = others.into_iter().flat_map(|other| self.states_logged(other)).collect();
        let all = own.into_iter().chain(elsewhere.clone()).filter(|(commit, _)| !but.contains(commit));
        let standing = standing(all.collect());
        standing.iter().all(|commit| elsewhere.contains_key(commit)) && self.blocks_safe(id, &standing, but)
    }

    /// Whether an intact copy lies on another machine that is not gone.
    pub fn has_another_copy(&self, id: MachineId, block: BlockId) -> bool {
        self.others(id).any(|other| self.machines[other].store.holds(block))
    }

    fn blocks_safe(&self, id: MachineId, heads: &[BlockId], but: &BTreeSet<BlockId>) -> bool {
        let history = &self.checks.history;
        let trees_of = |heads: &mut dyn Iterator<Item = &BlockId>| -> BTreeSet<BlockId> {
            heads.flat_map(|head| history.tree_of(*head).into_keys()).collect()
        };
        let (needed, spared) = (trees_of(&mut heads.iter()), trees_of(&mut but.iter()));
        let since = self.at.saturating_sub(FRESH);
        let matters =
            |block: &BlockId| needed.contains(block) || (history.made_since(*block, since) && !spared.contains(block));
        self.machines[id].store.ids().filter(matters).all(|block| self.has_another_copy(id, block))
    }

    /// Machines whose disks count as surviving. Copies of machines do not: they will be switched off.
    fn others(&self, id: MachineId) -> impl Iterator<Item = MachineId> {
        let machines = self.machines.iter().enumerate();
        machines
            .filter(move |(other, machine)| *other != id && !machine.gone && !machine.duplicate)
            .map(|(other, _)| other)
    }
}

/// Heads that no other includes.
fn standing(states: BTreeMap<BlockId, Rc<HeadState>>) -> Vec<BlockId> {
    let reached = |state: &HeadState| state.seen.dots().iter().map(|dot| dot.seq).sum::<u64>();
    let mut states: Vec<(BlockId, Rc<HeadState>)> = states.into_iter().collect();
    // Whoever includes another has reached more, so it comes first.
    states.sort_by_key(|(commit, state)| (std::cmp::Reverse(reached(state)), *commit));
    let mut standing: Vec<(BlockId, Rc<HeadState>)> = Vec::new();
    for (commit, state) in states {
        if !standing.iter().any(|(_, other)| other.seen.covers_all(&state.seen)) {
            standing.push((commit, state));
        }
    }
    standing.into_iter().map(|(commit, _)| commit).collect()
}
