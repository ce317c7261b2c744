//! What goes wrong in a random scenario, and when it ends.

use super::{PlannedStep, RandomScenario, newcomer};
use crate::faults::ScenarioEvent;
use crate::simulation::Simulation;
use crate::users::UserOperation;
use crate::world::queue::{MS, S};
use crate::world::{MachineId, UNIT_BYTES, World};

impl RandomScenario {
    /// Something goes wrong somewhere.
    pub(super) fn fault(&mut self, world: &mut Simulation) {
        let alive: Vec<MachineId> = (0..world.machines.len()).filter(|id| !world.machines[*id].gone).collect();
        let Some(node) = self.rng.choice(alive) else { return };
        match self.rng.u8(0..100) {
            0..18 => self.crash(world, node),
            18..30 => self.cut(world),
            30..38 => self.stall(world, node),
            38..52 => self.freeze(world, node),
            52..57 => self.break_disk(world, node),
            57..60 => self.break_home(world, node),
            60..67 => self.rot(world, node),
            67..72 => self.wipe(world, node),
            72..77 => drop(self.does(world, ScenarioEvent::BackUp { node })),
            77..82 => self.restore(world, node),
            82..84 => self.lose(world, node),
            84..87 => self.double(world, node),
            87..91 => self.jump(world, node),
            91..94 => self.fill(world, node),
            94..97 => self.delete_index(world, node),
            _ => self.join(world),
        }
    }

    fn crash(&mut self, world: &mut Simulation, node: MachineId) {
        self.does(world, ScenarioEvent::Crash { node });
        self.restart_later(world, node);
    }

    fn restart_later(&mut self, world: &World, node: MachineId) {
        let most = if self.rng.bool() { 3 * S } else { 90 * S };
        self.then(world, ScenarioEvent::Restart { node }, 200 * MS, most);
    }

    fn cut(&mut self, world: &mut Simulation) {
        if std::mem::replace(&mut self.cut, true) {
            return;
        }
        let alone = self.rng.u8(..) < 85;
        let (parts, one) = (self.rng.u8(2..=3), self.rng.usize(0..world.machines.len()));
        let mut part_of = |id| if alone { u8::from(id == one) } else { self.rng.u8(0..parts) };
        let part: Vec<u8> = (0..world.machines.len()).map(&mut part_of).collect();
        self.does(world, ScenarioEvent::Partition { part });
        let most = if self.rng.bool() { 8 * S } else { 80 * S };
        self.later(world, PlannedStep::Heal, S, most);
    }

    fn stall(&mut self, world: &mut Simulation, from: MachineId) {
        let to = self.rng.usize(0..world.machines.len());
        if from != to && !std::mem::replace(&mut self.cut, true) {
            self.does(world, ScenarioEvent::Stall { from, to });
            self.later(world, PlannedStep::Heal, S, 20 * S);
        }
    }

    fn freeze(&mut self, world: &mut Simulation, node: MachineId) {
        self.does(world, ScenarioEvent::Freeze { node });
        let most = if self.rng.bool() { 3 * S } else { 25 * S };
        self.then(world, ScenarioEvent::Thaw { node }, 500 * MS, most);
    }

    fn break_disk(&mut self, world: &mut Simulation, node: MachineId) {
        let slot = self.rng.usize(0..world.machines[node].store.disks.len());
        self.does(world, ScenarioEvent::Disk { node, slot, fails: true });
        self.then(world, ScenarioEvent::Disk { node, slot, fails: false }, 5 * S, 40 * S);
    }

    fn break_home(&mut self, world: &mut Simulation, node: MachineId) {
        self.does(world, ScenarioEvent::Home { node, fails: true });
        self.then(world, ScenarioEvent::Home { node, fails: false }, 5 * S, 30 * S);
    }

    fn rot(&mut self, world: &mut Simulation, node: MachineId) {
        let blocks: Vec<_> = world.machines[node].store.ids().collect();
        for _ in 0..3 {
            let Some(block) = self.rng.choice(blocks.iter().copied()) else { return };
            self.does(world, ScenarioEvent::Rot { node, block });
        }
    }

    fn wipe(&mut self, world: &mut Simulation, node: MachineId) {
        if self.does(world, ScenarioEvent::Wipe { node }) {
            self.then(world, ScenarioEvent::Restart { node }, S, 20 * S);
        }
    }

    fn restore(&mut self, world: &mut Simulation, node: MachineId) {
        let told = world.may(&ScenarioEvent::Restore { node, told: true }) && self.rng.bool();
        if self.does(world, ScenarioEvent::Restore { node, told }) {
            self.then(world, ScenarioEvent::Restart { node }, S, 20 * S);
        }
    }

    /// The founder's node is needed to introduce late joiners.
    fn may_lose(&self, node: MachineId) -> bool {
        node != 0 && self.gone < 2
    }

    fn lose(&mut self, world: &mut Simulation, node: MachineId) {
        if self.may_lose(node) && self.does(world, ScenarioEvent::Lose { node }) {
            self.gone += 1;
        }
    }

    pub(super) fn lose_writer(&mut self, world: &mut Simulation) {
        let node = self.rng.choice(world.safety().unreplicated_somewhere()).filter(|node| self.may_lose(*node));
        if self.does(world, ScenarioEvent::LoseWriter { node }) {
            self.gone += 1;
        }
    }

    fn double(&mut self, world: &mut Simulation, node: MachineId) {
        let act = ScenarioEvent::Duplicate { node };
        if world.may(&act) {
            self.does(world, act);
            self.later(world, PlannedStep::EndDuplicate, 20 * S, 90 * S);
        }
    }

    pub(super) fn end_duplicate(&mut self, world: &mut Simulation) {
        let original = world.original();
        if !self.does(world, ScenarioEvent::EndDuplicate) {
            self.later(world, PlannedStep::EndDuplicate, S, 5 * S);
        } else if let Some(node) = original {
            self.restart_later(world, node);
        }
    }

    fn jump(&mut self, world: &mut Simulation, node: MachineId) {
        let most: i64 = if self.rng.bool() { 120_000 } else { 3_600_000 };
        let jump = ScenarioEvent::Clock { node, ms: self.rng.i64(-most..=most) };
        // It matters while something is under way.
        for _ in 0..if world.machines[node].runs() { 4 } else { 0 } {
            let operation = UserOperation::Read { path: self.file() };
            self.does(world, ScenarioEvent::Operation { node, operation });
        }
        self.then(world, jump, 5 * MS, 300 * MS);
    }

    fn fill(&mut self, world: &mut Simulation, node: MachineId) {
        self.does(world, ScenarioEvent::Quota { node, bytes: UNIT_BYTES / 2 });
        self.then(world, ScenarioEvent::Quota { node, bytes: u64::MAX }, 10 * S, 60 * S);
    }

    fn delete_index(&mut self, world: &mut Simulation, node: MachineId) {
        let rebuild = self.rng.u64(S..=20 * S);
        self.does(world, ScenarioEvent::DeleteIndex { node, rebuild });
        self.then(world, ScenarioEvent::Restart { node }, 100 * MS, 2 * S);
    }

    fn join(&mut self, world: &mut Simulation) {
        if self.late > 0 {
            self.late -= 1;
            let newcomer = newcomer(world, &mut self.rng, self.roles.as_mut());
            self.does(world, ScenarioEvent::Join { newcomer });
        }
    }
}
