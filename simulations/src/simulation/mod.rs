//! A world, and the checkers that are told what is observed in it.

mod household;

use std::ops::{Deref, DerefMut};

use fsdfs_core::tree::TreeParams;
use fsdfs_proto::ids::BlockId;

use crate::checkers::convergence::{OpenDifference, open_difference};
use crate::checkers::copies::lost_block;
use crate::checkers::harm::HEALED_WITHIN;
use crate::checkers::history::{HeadState, path_text};
use crate::checkers::safety::SafetyView;
use crate::checkers::{Checkers, Violation};
use crate::trace::EventTrace;
use crate::users::{OperationEnd, UserOperation};
use crate::world::pool::COPIES;
use crate::world::queue::{Micros, S};
use crate::world::{MachineId, SMALL, World};

/// Seconds within which a pool without faults converges.
const WITHIN_S: u64 = 300;
/// Attempts to revoke: the founder's node may have to hear of the pool first.
const REVOCATIONS_MAX: usize = 20;
/// Seconds after which nodes have heard of each other.
const CALM_S: u64 = 200;
/// Seconds within which a node that was frozen hears of everyone again.
const SILENCE_ENDS_S: u64 = 10;

/// Dereferences to its world, which may be moved and broken like any other: observations are handed on before a checker is
/// asked.
pub struct Simulation {
    world: World,
    checkers: Checkers,
    /// At each sweep it is looked whether every block is somewhere.
    watches_copies: bool,
}

impl Deref for Simulation {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Simulation {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Simulation {
    /// Without machines.
    pub fn empty(seed: u64, params: TreeParams, trace: EventTrace) -> Self {
        let mut world = World::empty(seed, params, trace);
        world.record();
        let checkers = Checkers::new(world.pool.keys.clone(), params);
        Self { world, checkers, watches_copies: false }
    }

    /// From now on it is judged what repair does and says, and each sweep looks whether every block of a tree that stands is
    /// somewhere.
    pub fn watch_copies(&mut self) {
        self.watches_copies = true;
        self.world.watches_status = true;
        let checkers = self.checkers();
        checkers.judges_repair = true;
        checkers.promises.may_withhold = true;
    }

    /// A quiet pool: see [`World::calm`].
    pub fn calm(seed: u64, nodes: usize) -> Self {
        let mut simulation = Self::empty(seed, SMALL, EventTrace::default());
        simulation.world.add_calm_nodes(nodes);
        simulation
    }

    /// All checkers, which know everything that was observed until now.
    pub fn checkers(&mut self) -> &mut Checkers {
        for (at, observed) in self.world.take_observed() {
            self.checkers.observe(at, observed);
        }
        &mut self.checkers
    }

    /// What was found until now.
    pub fn violations(&mut self) -> &[Violation] {
        &self.checkers().violations
    }

    /// Something must not be.
    pub fn fail(&mut self, checker: &'static str, what: String) {
        let at = self.world.at;
        self.checkers().fail(at, checker, what);
    }

    /// What may be destroyed now.
    pub fn safety(&mut self) -> SafetyView<'_> {
        let at = self.world.at;
        self.checkers().safety(at)
    }

    /// Runs until then, and hands on what was observed.
    pub fn advance(&mut self, until: Micros) {
        self.world.run_until(until);
        self.checkers();
    }

    /// Looks for commands that have waited for an answer for too long, and gives them up.
    pub fn sweep(&mut self) {
        let at = self.world.at;
        for (op, complaint) in self.checkers().liveness.take_late(at) {
            self.world.operations.give_up(op);
            self.fail("liveness", complaint);
        }
        if self.watches_copies {
            self.nothing_is_gone();
        }
    }

    /// Each block of a tree that stands is somewhere.
    fn nothing_is_gone(&mut self) {
        let at = self.world.at;
        self.checkers().safety(at);
        let snapshot = self.world.snapshot();
        let Checkers { storage, history, origins, .. } = self.checkers();
        let lost = lost_block(&snapshot, storage, history, origins);
        lost.into_iter().for_each(|what| self.fail("safe", what));
    }

    /// What those who lie make others keep is looked at when they have had their time.
    pub fn weigh_burden(&mut self) {
        let views = self.world.honest_views();
        let harm = self.checkers().harm.burden(&views);
        harm.into_iter().for_each(|what| self.fail("harm", what));
    }

    /// Those who lie are revoked; then nothing of what they did may be felt any more.
    pub fn outlives_liars(&mut self) {
        if self.revokes_liars() {
            self.advance(self.world.at + HEALED_WITHIN);
            self.sweep();
            self.serves_users();
        }
    }

    /// The founder revokes those who lie. Whether there are any, and they are out.
    fn revokes_liars(&mut self) -> bool {
        if !self.checkers().harm.somebody_lies() {
            return false;
        }
        self.weigh_burden();
        for attempt in 0.. {
            let Some(node) = self.world.at_large().first().map(|id| self.world.machines[*id].node) else { break };
            if attempt == REVOCATIONS_MAX {
                self.fail("harm", format!("{} cannot be revoked", node.short()));
                return false;
            }
            self.world.wait(0, UserOperation::Revoke { subject: node });
            self.world.run(1);
        }
        true
    }

    /// All honest nodes serve their users, and have nothing of those who lied.
    fn serves_users(&mut self) {
        let serves = |id: &MachineId| self.world.shows(*id) && !self.world.may_lack_keys(*id);
        for id in (0..self.world.machines.len()).filter(serves).collect::<Vec<MachineId>>() {
            let path = vec![format!("after-{id}").into_bytes().into()];
            let put = UserOperation::Put { path, bytes: 300 };
            let put = Some(put).filter(|_| self.world.takes_writes(id));
            for operation in put.into_iter().chain([UserOperation::List { path: Vec::new() }]) {
                let end = self.world.wait(id, operation);
                let harm = self.checkers().harm.answered(id, &end);
                harm.into_iter().for_each(|what| self.fail("harm", what));
            }
        }
        let views = self.world.honest_views();
        let checkers = self.checkers();
        let history = &checkers.history;
        let harm = checkers.harm.judge(&views, COPIES, |block| history.block(block).is_some());
        harm.into_iter().for_each(|what| self.fail("harm", what));
    }

    /// Runs until the pool has converged, then looks whether everything acknowledged is there.
    pub fn must_converge(&mut self) {
        let open = self.wait_for_agreement(WITHIN_S);
        match open {
            Some(what) => {
                let disputed = self.world.disputed_facts();
                let some = disputed.iter().take(4).map(|what| format!("; {what}")).collect::<String>();
                self.fail("convergence", format!("after {WITHIN_S} s: {what}{some}"));
            }
            None => self.nothing_is_lost(),
        }
    }

    /// Asks every node who is away, when nothing has happened for a while.
    pub fn nobody_is_missed(&mut self) {
        self.advance(self.world.at + CALM_S * S);
        for id in (0..self.world.machines.len()).filter(|id| self.world.is_honest(*id)).collect::<Vec<MachineId>>() {
            self.world.wait(id, UserOperation::Members);
        }
        self.checkers();
    }

    fn wait_for_agreement(&mut self, within_s: u64) -> Option<OpenDifference> {
        let until = self.world.at + within_s * S;
        let mut open = self.differs();
        while open.is_some() && self.world.at < until {
            self.world.run(5);
            self.sweep();
            open = self.differs();
        }
        open
    }

    fn differs(&mut self) -> Option<OpenDifference> {
        let snapshot = self.world.snapshot();
        let checkers = self.checkers();
        open_difference(&snapshot, &checkers.storage, &checkers.history)
    }

    fn nothing_is_lost(&mut self) {
        let snapshot = self.world.snapshot();
        let running = snapshot.nodes.iter().find(|node| node.runs);
        let removed: Vec<MachineId> = (0..self.world.machines.len()).filter(|id| self.world.is_removed(*id)).collect();
        let checkers = self.checkers();
        removed.into_iter().for_each(|machine| checkers.member_removed(machine));
        let is_honest = |head: &&BlockId| !checkers.history.is_forged_head(**head);
        let head = running.and_then(|node| node.knowledge.as_ref()?.heads.iter().find(is_honest).copied());
        let Some(state) = head.and_then(|head| checkers.history.state(head)).cloned() else { return };
        let lost = checkers.promises.lost_writes(&state);
        if !lost.is_empty() {
            let text = format!("writes {lost:?} were acknowledged, no user removed them, and they are not there");
            self.fail("promise", text);
        }
        self.all_is_readable(&state);
    }

    /// Reads every file, each on another node of a member that is in.
    fn all_is_readable(&mut self, state: &HeadState) {
        let machines = &self.world.machines;
        let on: Vec<MachineId> =
            (0..machines.len()).filter(|id| self.world.shows(*id) && !self.world.may_lack_keys(*id)).collect();
        for (nr, (path, numbers)) in state.tree.files.iter().enumerate() {
            let id = on[nr % on.len()];
            let is_right = |end: &OperationEnd| matches!(end, OperationEnd::Read(number) if numbers.contains(number));
            let mut end = self.world.wait(id, UserOperation::Read { path: path.clone() });
            if matches!(end, OperationEnd::Failed(_)) {
                // One that was frozen until now takes the others for silent.
                self.world.run(SILENCE_ENDS_S);
                end = self.world.wait(id, UserOperation::Read { path: path.clone() });
            }
            if !is_right(&end) {
                let text = format!("{} should be one of {numbers:?}, but reading gives {end:?}", path_text(path));
                self.fail("promise", text);
            }
        }
    }
}
