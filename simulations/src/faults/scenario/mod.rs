//! A random scenario of a pool, drawn from the seed: who writes what, and what goes wrong when.

mod draw;

use fsdfs_core::tree::{EntryName, TreePath};
use fsdfs_proto::identity::Role;

use crate::faults::shape::WARM_UP;
use crate::faults::{MachineSpec, RunShape, ScenarioEvent, ScenarioStep};
use crate::simulation::Simulation;
use crate::trace::EventTrace;
use crate::users::UserOperation;
use crate::world::clock::MachineClock;
use crate::world::queue::{EventQueue, Micros, S};
use crate::world::{HostileWay, MachineId, SMALL, World};

/// Pause between two operations of users, on average.
const OPERATION_EVERY: Micros = 4 * S;
/// Pause between two faults, on average.
const FAULT_EVERY: Micros = 12 * S;
/// How often it is looked for commands that have waited for too long.
const SWEEP_EVERY: Micros = 10 * S;

#[derive(Clone)]
enum PlannedStep {
    Operation,
    Fault,
    Sweep,
    Heal,
    LoseWriter,
    EndDuplicate,
    Turn,
    Then(ScenarioEvent),
}

/// The random scenario.
pub struct RandomScenario {
    /// What was done so far.
    pub steps: Vec<ScenarioStep>,
    rng: fastrand::Rng,
    /// What is planned, and the number of the fault that it is part of.
    agenda: EventQueue<(u32, PlannedStep)>,
    /// Number of what is being done.
    nr: u32,
    numbers: u32,
    end: Micros,
    /// Draws what members may do, where some of them lie; all others are full members.
    roles: Option<fastrand::Rng>,
    /// See [`RunShape::way`].
    way: Option<HostileWay>,
    late: usize,
    gone: usize,
    cut: bool,
}

impl RandomScenario {
    /// A world as the seed draws it, and the scenario that awaits it.
    pub fn begin(shape: RunShape, trace: EventTrace) -> (Simulation, Self) {
        let mut world = Simulation::empty(shape.seed, SMALL, trace);
        world.seed_bug(shape.bug);
        let mut rng = world.rng.fork();
        let late = 1 + usize::from(rng.bool());
        let early = shape.nodes.saturating_sub(late).max(1);
        add_sites(&mut world, &mut rng, shape.nodes);
        let mut roles = (shape.hostile > 0).then(|| fastrand::Rng::with_seed(shape.seed));
        (0..early).for_each(|_| {
            let spec = newcomer(&world, &mut rng, roles.as_mut());
            let id = world.add_newcomer(&spec);
            world.restart(id);
        });
        let late = shape.nodes.saturating_sub(early);
        let (steps, agenda, end) = (Vec::new(), EventQueue::default(), shape.end());
        let mut scenario =
            Self { steps, rng, agenda, nr: 0, numbers: 0, end, roles, way: shape.way, late, gone: 0, cut: false };
        scenario.agenda.plan(WARM_UP, (0, PlannedStep::Operation));
        scenario.agenda.plan(WARM_UP + 5 * S, (0, PlannedStep::Fault));
        scenario.agenda.plan(WARM_UP, (0, PlannedStep::Sweep));
        for _ in 0..shape.hostile {
            // Late enough for there to be something to harm, early enough for it to be lived with.
            let turn = scenario.rng.u64(WARM_UP + 20 * S..(WARM_UP + 40 * S).max(scenario.end * 2 / 3));
            scenario.agenda.plan(turn, (0, PlannedStep::Turn));
        }
        (world, scenario)
    }

    /// Runs it to its end.
    pub fn run(&mut self, world: &mut Simulation) {
        while let Some((at, (nr, plan))) = self.agenda.next(self.end) {
            world.advance(at);
            self.nr = nr;
            self.go_on(world, plan);
        }
        world.advance(self.end);
    }

    fn go_on(&mut self, world: &mut Simulation, plan: PlannedStep) {
        match plan {
            PlannedStep::Operation => {
                self.number();
                self.operation(world);
                self.later(world, PlannedStep::Operation, 0, 2 * OPERATION_EVERY);
            }
            PlannedStep::Fault => {
                self.number();
                self.fault(world);
                self.later(world, PlannedStep::Fault, 0, 2 * FAULT_EVERY);
            }
            PlannedStep::Sweep => {
                self.does(world, ScenarioEvent::Sweep);
                self.later(world, PlannedStep::Sweep, SWEEP_EVERY, SWEEP_EVERY);
            }
            PlannedStep::Heal => {
                self.cut = false;
                self.does(world, ScenarioEvent::Heal);
                // Now who was cut off tells what it wrote, or is lost before it does.
                if self.rng.bool() {
                    self.later(world, PlannedStep::LoseWriter, 0, S);
                }
            }
            PlannedStep::LoseWriter => self.lose_writer(world),
            PlannedStep::EndDuplicate => self.end_duplicate(world),
            PlannedStep::Turn => {
                self.number();
                self.turn(world);
            }
            PlannedStep::Then(act) => drop(self.does(world, act)),
        }
    }

    /// Somebody begins to lie; some time later the founder finds out.
    fn turn(&mut self, world: &mut Simulation) {
        let node = self.rng.usize(0..world.machines.len());
        let drawn = self.rng.choice(HostileWay::ALL).expect("there are some");
        let way = self.way.unwrap_or(drawn);
        let act = ScenarioEvent::Turn { node, way, seed: self.rng.u64(..) };
        if world.may(&act) {
            self.does(world, act);
            self.then(world, ScenarioEvent::Revoke { node }, 10 * S, 120 * S);
        } else {
            // Another one then, or this one when others have what it has.
            self.later(world, PlannedStep::Turn, S, 10 * S);
        }
    }

    /// What follows is something new.
    fn number(&mut self) {
        self.numbers += 1;
        self.nr = self.numbers;
    }

    fn does(&mut self, world: &mut Simulation, act: ScenarioEvent) -> bool {
        let done = world.act(&act);
        self.steps.push(ScenarioStep { at: world.at, nr: self.nr, act });
        done
    }

    fn later(&mut self, world: &World, plan: PlannedStep, least: Micros, most: Micros) {
        let pause = self.rng.u64(least..=most);
        self.agenda.plan(world.at + pause, (self.nr, plan));
    }

    fn then(&mut self, world: &World, act: ScenarioEvent, least: Micros, most: Micros) {
        self.later(world, PlannedStep::Then(act), least, most);
    }

    fn operation(&mut self, world: &mut Simulation) {
        let running: Vec<MachineId> = (0..world.machines.len()).filter(|id| world.machines[*id].runs()).collect();
        let Some(node) = self.rng.choice(running) else { return };
        // Users come in bursts: one commit then carries several edits.
        let burst = if self.rng.u8(..) < 40 { self.rng.usize(2..6) } else { 1 };
        for _ in 0..burst {
            let operation = self.draw_operation();
            self.does(world, ScenarioEvent::Operation { node, operation });
        }
    }

    fn draw_operation(&mut self) -> UserOperation {
        match self.rng.u8(0..100) {
            0..40 => UserOperation::Put { path: self.file(), bytes: self.size() },
            40..46 => UserOperation::MakeDir { path: self.folder(1) },
            46..53 => UserOperation::Remove { path: self.file() },
            53..56 => UserOperation::Remove { path: self.folder(1) },
            56..63 => UserOperation::Move { from: self.file(), to: self.file() },
            63..68 => UserOperation::Move { from: self.folder(1), to: self.folder(1) },
            68..88 => UserOperation::Read { path: self.file() },
            88..94 => UserOperation::List { path: self.folder(0) },
            94..97 => UserOperation::ListPast { path: self.folder(0), nth: self.rng.usize(0..96) },
            97 => UserOperation::Restore { path: self.folder(1), nth: self.rng.usize(0..96) },
            _ => UserOperation::Restore { path: self.file(), nth: self.rng.usize(0..96) },
        }
    }

    /// Few names, so that writers meet. Folders and files never share a name.
    fn folder(&mut self, least: usize) -> TreePath {
        let depth = self.rng.usize(least..=3);
        (0..depth).map(|_| name("d", self.rng.u8(0..3))).collect()
    }

    fn file(&mut self) -> TreePath {
        let mut path = self.folder(0);
        path.push(name("f", self.rng.u8(0..6)));
        path
    }

    fn size(&mut self) -> usize {
        match self.rng.u8(0..10) {
            0..5 => self.rng.usize(8..100),
            5..9 => self.rng.usize(100..2_000),
            _ => self.rng.usize(2_000..20_000),
        }
    }
}

fn name(prefix: &str, number: u8) -> EntryName {
    format!("{prefix}{number}").into_bytes().into()
}

/// Sites with uplinks from 1 Mbit/s to 1 Gbit/s, 1 to 150 ms apart.
fn add_sites(world: &mut World, rng: &mut fastrand::Rng, nodes: usize) {
    let sites = rng.usize(nodes.div_ceil(2)..=nodes);
    for _ in 0..sites {
        let bytes_per_s = 125_000 * 10u64.pow(rng.u32(0..3)) * rng.u64(1..=10);
        let mut delays = rng.fork();
        world.add_site(bytes_per_s, |_| delays.u64(1..=150));
    }
}

/// `roles`: where there are others than full members.
fn newcomer(world: &World, rng: &mut fastrand::Rng, roles: Option<&mut fastrand::Rng>) -> MachineSpec {
    let role = match roles.filter(|_| !world.machines.is_empty()).map(|roles| roles.u8(0..10)) {
        Some(0) => Role::Reader,
        Some(1 | 2) => Role::StorageOnly,
        _ => Role::Full,
    };
    let site = rng.usize(0..world.net.sites());
    let disks: Vec<u64> = (0..rng.usize(1..=3)).map(|_| rng.u64(16..128)).collect();
    let clock = MachineClock::new(rng.i64(-300..=300), rng.i64(-5_000..=5_000));
    MachineSpec { role, site, disks, clock }
}
