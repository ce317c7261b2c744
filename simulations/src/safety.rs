//! What may be destroyed without breaking the promise: "as long as one of the servers that confirmed it survives".
//!
//! A head whose folders have never been on a second machine was confirmed by its writer alone, if at all. Its writer may
//! be destroyed; then what it wrote is gone with it, and nothing else.
//!
//! Faults that destroy data ask here first, so that whatever is missing in the end was lost by the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use fsdfs_proto::ids::BlockId;

use crate::history::{Number, State};
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
        self.note_thick();
        self.all_elsewhere(id, &BTreeSet::new())
    }

    /// Whether all this machine has of value is also elsewhere, but for what it wrote that never was.
    pub fn can_be_lost(&mut self, id: MachineId) -> bool {
        if self.machines[id].gone {
            return false;
        }
        self.note_thick();
        let thin = self.checks.promises.thin_of(id);
        self.all_elsewhere(id, &thin)
    }

    /// Machines with changes that never were elsewhere.
    pub fn thin_somewhere(&mut self) -> Vec<MachineId> {
        self.note_thick();
        let thin = |id: &MachineId| !self.machines[*id].gone && !self.checks.promises.thin_of(*id).is_empty();
        (0..self.machines.len()).filter(thin).collect()
    }

    /// Writes that were confirmed by this machine alone, and that nobody else heard of, are not promised any more.
    pub(crate) fn forget_what_was_here_only(&mut self, id: MachineId) {
        let others: Vec<MachineId> = (0..self.machines.len()).filter(|other| *other != id).collect();
        let states: Vec<Rc<State>> =
            others.into_iter().flat_map(|other| self.states_logged(other)).map(|(_, state)| state).collect();
        let promises = &mut self.checks.promises;
        let alone = &promises.alone;
        let known = |write: &Number| states.iter().any(|state| state.includes(*write));
        promises.acked.retain(|write| alone.get(write) != Some(&id) || known(write));
    }

    /// Remembers which heads have their folders on two machines by now.
    pub(crate) fn note_thick(&mut self) {
        let promises = &self.checks.promises;
        let thin: Vec<BlockId> =
            promises.made_on.keys().filter(|head| !promises.thick.contains(head)).copied().collect();
        let is_thick = |head: &BlockId| {
            let history = &self.checks.history;
            history.folders_of(*head).iter().all(|block| self.holders(*block).len() > 1)
        };
        let thick: Vec<BlockId> = thin.into_iter().filter(is_thick).collect();
        self.checks.promises.thick.extend(thick);
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
