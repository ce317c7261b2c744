//! What happens to homes, and when it is over.

use fsdfs_core::tree::{EntryName, TreePath};

use super::hours::{HOUR, MINUTE};
use super::{HouseholdScenario, LOST_MAX, PlannedStep};
use crate::faults::ScenarioEvent;
use crate::simulation::Simulation;
use crate::users::UserOperation;
use crate::world::queue::{Micros, S};
use crate::world::{MachineId, UNIT_BYTES, World};

/// A clock that lost its battery, or was set by hand.
const WRONG_CLOCK_MS: i64 = 400 * 24 * 3_600_000;
/// Blocks about which an owner asks at once.
const ASSURED: usize = 64;

impl HouseholdScenario {
    /// Something happens at some home.
    pub(super) fn fault(&mut self, world: &mut Simulation) {
        let Some(home) = self.some_home(world) else { return };
        let machines = self.homes[home].machines.clone();
        let node = self.rng.choice(machines.iter().copied()).expect("a home has a machine");
        match self.rng.u8(0..100) {
            0..20 => self.off(world, &machines, MINUTE, 2 * HOUR),
            20..30 => self.leave_for(world, &machines, 2 * HOUR, 14 * HOUR),
            30..36 => self.outage(world),
            36..44 => self.cut(world, &machines),
            44..51 => self.wipe(world, node),
            51..56 => self.lose_disk(world, node),
            56..63 => self.burn(world, home),
            63..69 => self.misset(world, node),
            69..75 => self.fill(world, node),
            75..81 => self.break_disk(world, node),
            81..87 => self.rot(world, node),
            87..92 => self.leave(world, node),
            92..95 => self.remove_living(world, node),
            95..97 => self.think_again(world, node),
            _ => self.leave_for(world, &machines, 24 * HOUR, 32 * HOUR),
        }
    }

    /// One that is not lost.
    fn some_home(&mut self, world: &World) -> Option<usize> {
        let stands = |home: &usize| self.homes[*home].machines.iter().any(|id| !world.machines[*id].gone);
        let standing: Vec<usize> = (0..self.homes.len()).filter(stands).collect();
        self.rng.choice(standing)
    }

    fn site(&self, world: &World, home: usize) -> usize {
        world.net.site_of(self.homes[home].machines[0])
    }

    /// The power is off, or the line was not paid.
    fn off(&mut self, world: &mut Simulation, machines: &[MachineId], least: Micros, most: Micros) {
        let pause = self.rng.u64(least..=most);
        for node in machines.iter().copied() {
            self.does(world, ScenarioEvent::Crash { node });
            self.then(world, ScenarioEvent::Restart { node }, pause, pause + MINUTE);
        }
    }

    /// Nobody is at home. Half of the owners say so before.
    fn leave_for(&mut self, world: &mut Simulation, machines: &[MachineId], least: Micros, most: Micros) {
        let pause = self.rng.u64(least..=most);
        if self.rng.bool() {
            for node in machines.iter().copied() {
                let wall = world.machines[node].clock.now(world.at + pause).wall;
                let operation = UserOperation::Announce { until_ms: wall, daily: Vec::new() };
                self.does(world, ScenarioEvent::Operation { node, operation });
            }
            world.advance(world.at + MINUTE);
        }
        self.off(world, machines, pause, pause);
    }

    pub(super) fn night(&mut self, world: &mut Simulation, node: MachineId) {
        let home = self.homes.iter().find(|home| home.machines.contains(&node));
        let Some(night) = home.and_then(|home| home.night) else { return };
        self.does(world, ScenarioEvent::Crash { node });
        // People do not sleep by the clock.
        self.then(world, ScenarioEvent::Restart { node }, night.length() - 20 * MINUTE, night.length() + 10 * MINUTE);
        self.agenda.plan(night.next(world.at), (0, PlannedStep::Night(node)));
    }

    /// Half of the homes at once, and more.
    fn outage(&mut self, world: &mut Simulation) {
        let mut homes: Vec<usize> = (0..self.homes.len()).collect();
        self.rng.shuffle(&mut homes);
        homes.truncate(self.homes.len().div_ceil(2));
        let machines: Vec<MachineId> = homes.into_iter().flat_map(|home| self.homes[home].machines.clone()).collect();
        self.off(world, &machines, 5 * MINUTE, 6 * HOUR);
    }

    /// A home's line is cut, while its machines run.
    fn cut(&mut self, world: &mut Simulation, machines: &[MachineId]) {
        if std::mem::replace(&mut self.cut, true) {
            return;
        }
        let part = (0..world.machines.len()).map(|id| u8::from(machines.contains(&id))).collect();
        self.does(world, ScenarioEvent::Partition { part });
        self.later(world, PlannedStep::Heal, MINUTE, 3 * HOUR);
    }

    fn wipe(&mut self, world: &mut Simulation, node: MachineId) {
        if self.does(world, ScenarioEvent::Wipe { node }) {
            self.then(world, ScenarioEvent::Restart { node }, MINUTE, 2 * HOUR);
        }
    }

    fn lose_disk(&mut self, world: &mut Simulation, node: MachineId) {
        let slots = world.machines[node].store.disks.len();
        if slots < 2 {
            return self.wipe(world, node);
        }
        let slot = self.rng.usize(0..slots);
        if self.does(world, ScenarioEvent::LoseDisk { node, slot }) {
            self.then(world, ScenarioEvent::Restart { node }, MINUTE, 20 * MINUTE);
        }
    }

    /// The founder's home stands: its node removes those that are lost.
    fn may_be_lost(&self, home: usize) -> bool {
        home != 0 && self.lost < LOST_MAX
    }

    /// Half of the dead are removed by command, the others are found out to be gone.
    fn burn(&mut self, world: &mut Simulation, home: usize) {
        let site = self.site(world, home);
        if !self.may_be_lost(home) || !self.does(world, ScenarioEvent::Burn { site }) {
            return;
        }
        self.lost += 1;
        if self.rng.bool() {
            for node in self.homes[home].machines.clone() {
                let subject = world.machines[node].node;
                let operation = UserOperation::RemoveMember { subject };
                self.then(world, ScenarioEvent::Operation { node: 0, operation }, HOUR, 5 * HOUR);
            }
        }
    }

    /// A clock is 400 days wrong, and set right some time later.
    fn misset(&mut self, world: &mut Simulation, node: MachineId) {
        if std::mem::replace(&mut self.wrong_clock, true) {
            return;
        }
        let ms = if self.rng.bool() { WRONG_CLOCK_MS } else { -WRONG_CLOCK_MS };
        self.does(world, ScenarioEvent::Clock { node, ms });
        self.then(world, ScenarioEvent::Clock { node, ms: -ms }, 10 * MINUTE, 5 * HOUR);
    }

    fn fill(&mut self, world: &mut Simulation, node: MachineId) {
        self.does(world, ScenarioEvent::Quota { node, bytes: UNIT_BYTES / 2 });
        self.then(world, ScenarioEvent::Quota { node, bytes: u64::MAX }, 10 * MINUTE, 5 * HOUR);
    }

    /// A loose cable.
    fn break_disk(&mut self, world: &mut Simulation, node: MachineId) {
        let slot = self.rng.usize(0..world.machines[node].store.disks.len());
        self.does(world, ScenarioEvent::Disk { node, slot, fails: true });
        self.then(world, ScenarioEvent::Disk { node, slot, fails: false }, MINUTE, 3 * HOUR);
    }

    fn rot(&mut self, world: &mut Simulation, node: MachineId) {
        let blocks: Vec<_> = world.machines[node].store.ids().collect();
        for _ in 0..5 {
            let Some(block) = self.rng.choice(blocks.iter().copied()) else { return };
            self.does(world, ScenarioEvent::Rot { node, block });
        }
    }

    fn home_of(&self, node: MachineId) -> usize {
        self.homes.iter().position(|home| home.machines.contains(&node)).expect("each machine is in a home")
    }

    /// Its owner has it drained, and takes it away as soon as the node says that nothing is lost with it.
    fn leave(&mut self, world: &mut Simulation, node: MachineId) {
        let operation = UserOperation::Drain { drain: true };
        if self.may_be_lost(self.home_of(node)) && self.does(world, ScenarioEvent::Operation { node, operation }) {
            self.lost += 1;
            self.later(world, PlannedStep::Unplug(node), S, 30 * MINUTE);
        }
    }

    /// It is removed by the founder, hands over what it has, and goes.
    fn remove_living(&mut self, world: &mut Simulation, node: MachineId) {
        let operation = UserOperation::RemoveMember { subject: world.machines[node].node };
        if self.may_be_lost(self.home_of(node)) && self.does(world, ScenarioEvent::Operation { node: 0, operation }) {
            self.lost += 1;
            self.later(world, PlannedStep::Unplug(node), S, 30 * MINUTE);
        }
    }

    /// It is drained, and its owner changes their mind.
    fn think_again(&mut self, world: &mut Simulation, node: MachineId) {
        let drain = |drain: bool| ScenarioEvent::Operation { node, operation: UserOperation::Drain { drain } };
        self.does(world, drain(true));
        self.then(world, drain(false), MINUTE, 5 * HOUR);
    }

    /// Somebody begins to lie about what they hold; hours later the founder finds out.
    pub(super) fn turn(&mut self, world: &mut Simulation) {
        let node = self.rng.usize(0..world.machines.len());
        let act = ScenarioEvent::Turn { node, way: self.way, seed: self.rng.u64(..) };
        if self.may_be_lost(self.home_of(node)) && world.may(&act) {
            self.does(world, act);
            self.lost += 1;
            self.then(world, ScenarioEvent::Revoke { node }, 10 * MINUTE, 5 * HOUR);
        } else if self.lost < LOST_MAX {
            self.later(world, PlannedStep::Turn, MINUTE, 30 * MINUTE);
        }
    }

    /// An owner looks at the pool, and asks how safe some blocks are.
    pub(super) fn look(&mut self, world: &mut Simulation) {
        let running: Vec<MachineId> = (0..world.machines.len()).filter(|id| world.machines[*id].runs()).collect();
        let Some(node) = self.rng.choice(running) else { return };
        let mut blocks: Vec<_> = world.machines[node].store.ids().collect();
        self.rng.shuffle(&mut blocks);
        blocks.truncate(ASSURED);
        let asked = [UserOperation::Members, UserOperation::Status, UserOperation::Assure { blocks }];
        for operation in asked {
            self.does(world, ScenarioEvent::Operation { node, operation });
        }
    }

    pub(super) fn operation(&mut self, world: &mut Simulation) {
        let running: Vec<MachineId> = (0..world.machines.len()).filter(|id| world.machines[*id].runs()).collect();
        let Some(node) = self.rng.choice(running) else { return };
        // People come in bursts: an evening of photos.
        let burst = if self.rng.u8(..) < 60 { self.rng.usize(2..8) } else { 1 };
        for _ in 0..burst {
            let operation = self.draw_operation();
            self.does(world, ScenarioEvent::Operation { node, operation });
        }
    }

    fn draw_operation(&mut self) -> UserOperation {
        match self.rng.u8(0..100) {
            0..50 => UserOperation::Put { path: self.file(), bytes: self.size() },
            50..54 => UserOperation::Remove { path: self.file() },
            54..60 => UserOperation::Move { from: self.file(), to: self.file() },
            60..90 => UserOperation::Read { path: self.file() },
            90..96 => UserOperation::List { path: Vec::new() },
            96..98 => UserOperation::ListPast { path: Vec::new(), nth: self.rng.usize(0..96) },
            _ => UserOperation::Restore { path: self.file(), nth: self.rng.usize(0..96) },
        }
    }

    fn file(&mut self) -> TreePath {
        let mut path: TreePath = Vec::new();
        if self.rng.bool() {
            path.push(name("d", self.rng.u8(0..3)));
        }
        path.push(name("f", self.rng.u8(0..12)));
        path
    }

    fn size(&mut self) -> usize {
        match self.rng.u8(0..10) {
            0..3 => self.rng.usize(8..100),
            3..8 => self.rng.usize(100..4_000),
            _ => self.rng.usize(4_000..30_000),
        }
    }
}

fn name(prefix: &str, number: u8) -> EntryName {
    format!("{prefix}{number}").into_bytes().into()
}
