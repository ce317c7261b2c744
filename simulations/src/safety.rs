//! What may be destroyed without breaking the promise: "as long as one of the servers that confirmed it survives".
//!
//! Faults that destroy data ask here first, so that whatever is missing in the end was lost by the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use fsdfs_proto::ids::BlockId;

use crate::history::State;
use crate::queue::{S, Us};
use crate::world::{MachineId, World};

/// A block this young may be confirmed by an answer that is on its way.
const FRESH: Us = 120 * S;

impl World {
    /// Whether all this machine has of value is also elsewhere.
    pub fn can_spare(&mut self, id: MachineId) -> bool {
        if self.machines[id].gone {
            return false;
        }
        let own = self.states_logged(id);
        let others: Vec<MachineId> = self.others(id).collect();
        let elsewhere: BTreeMap<_, _> = others.into_iter().flat_map(|other| self.states_logged(other)).collect();
        let standing = standing(own.into_iter().chain(elsewhere.clone()).collect());
        standing.iter().all(|commit| elsewhere.contains_key(commit)) && self.blocks_safe(id, &standing)
    }

    /// Whether an intact copy lies on another machine that is not gone.
    pub fn has_another_copy(&self, id: MachineId, block: BlockId) -> bool {
        self.others(id).any(|other| self.machines[other].store.holds(block))
    }

    fn blocks_safe(&self, id: MachineId, heads: &[BlockId]) -> bool {
        let history = &self.checks.history;
        let needed: BTreeSet<BlockId> = heads.iter().flat_map(|head| history.tree_of(*head).into_keys()).collect();
        let since = self.at.saturating_sub(FRESH);
        let matters = |block: &BlockId| needed.contains(block) || history.made_since(*block, since);
        self.machines[id].store.ids().filter(matters).all(|block| self.has_another_copy(id, block))
    }

    /// Machines whose disks count as surviving. Copies of machines do not: they will be switched off.
    fn others(&self, id: MachineId) -> impl Iterator<Item = MachineId> {
        let machines = self.machines.iter().enumerate();
        machines.filter(move |(other, machine)| *other != id && !machine.gone && !machine.twin).map(|(other, _)| other)
    }
}

/// Heads that no other includes.
fn standing(states: BTreeMap<BlockId, Rc<State>>) -> Vec<BlockId> {
    let reached = |state: &State| state.seen.dots().iter().map(|dot| dot.seq).sum::<u64>();
    let mut states: Vec<(BlockId, Rc<State>)> = states.into_iter().collect();
    // Whoever includes another has reached more, so it comes first.
    states.sort_by_key(|(commit, state)| (std::cmp::Reverse(reached(state)), *commit));
    let mut standing: Vec<(BlockId, Rc<State>)> = Vec::new();
    for (commit, state) in states {
        if !standing.iter().any(|(_, other)| other.seen.covers_all(&state.seen)) {
            standing.push((commit, state));
        }
    }
    standing.into_iter().map(|(commit, _)| commit).collect()
}
