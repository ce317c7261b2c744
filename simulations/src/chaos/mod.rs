//! A random life of a pool, drawn from the seed: who writes what, and what goes wrong when.

mod faults;

use fsdfs_core::tree::{EntryName, TreePath};

use crate::act::{Act, Newcomer, Step};
use crate::clock::Clock;
use crate::queue::{Queue, S, Us};
use crate::task::Wish;
use crate::trace::Trace;
use crate::world::{MachineId, SMALL, World};

/// What a run is like.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Decides everything else.
    pub seed: u64,
    /// Machines, including those that join late.
    pub nodes: usize,
    /// Simulated minutes with faults.
    pub minutes: u64,
}

impl Shape {
    /// As all seeds are run unless somebody says otherwise.
    pub fn of(seed: u64) -> Self {
        Self { seed, nodes: 10, minutes: 10 }
    }

    /// When faults end.
    pub fn end(&self) -> Us {
        SETTLE + self.minutes * 60 * S
    }
}

/// Pool and first members settle before anything happens.
const SETTLE: Us = 20 * S;
/// Pause between two wishes of users, on average.
const WISH_EVERY: Us = 4 * S;
/// Pause between two faults, on average.
const FAULT_EVERY: Us = 12 * S;
/// How often it is looked whether somebody waits for too long.
const SWEEP_EVERY: Us = 10 * S;

#[derive(Clone)]
enum Plan {
    Wish,
    Fault,
    Sweep,
    Heal,
    LoseWriter,
    EndDouble,
    Then(Act),
}

/// The random life.
pub struct Chaos {
    /// What was done so far.
    pub steps: Vec<Step>,
    rng: fastrand::Rng,
    /// What is planned, and the number of the fault that it is part of.
    agenda: Queue<(u32, Plan)>,
    /// Number of what is being done.
    nr: u32,
    numbers: u32,
    end: Us,
    late: usize,
    gone: usize,
    cut: bool,
}

impl Chaos {
    /// A world as the seed draws it, and the life that awaits it.
    pub fn begin(shape: Shape, trace: Trace) -> (World, Self) {
        let mut world = World::empty(shape.seed, SMALL, trace);
        let mut rng = world.rng.fork();
        let late = 1 + usize::from(rng.bool());
        let early = shape.nodes.saturating_sub(late).max(1);
        add_houses(&mut world, &mut rng, shape.nodes);
        (0..early).for_each(|_| {
            let id = world.add_newcomer(&newcomer(&world, &mut rng));
            world.restart(id);
        });
        let late = shape.nodes.saturating_sub(early);
        let (steps, agenda, end) = (Vec::new(), Queue::default(), shape.end());
        let mut chaos = Self { steps, rng, agenda, nr: 0, numbers: 0, end, late, gone: 0, cut: false };
        chaos.agenda.plan(SETTLE, (0, Plan::Wish));
        chaos.agenda.plan(SETTLE + 5 * S, (0, Plan::Fault));
        chaos.agenda.plan(SETTLE, (0, Plan::Sweep));
        (world, chaos)
    }

    /// Lives it.
    pub fn live(&mut self, world: &mut World) {
        while let Some((at, (nr, plan))) = self.agenda.next(self.end) {
            world.run_until(at);
            self.nr = nr;
            self.go_on(world, plan);
        }
        world.run_until(self.end);
    }

    fn go_on(&mut self, world: &mut World, plan: Plan) {
        match plan {
            Plan::Wish => {
                self.number();
                self.wish(world);
                self.later(world, Plan::Wish, 0, 2 * WISH_EVERY);
            }
            Plan::Fault => {
                self.number();
                self.fault(world);
                self.later(world, Plan::Fault, 0, 2 * FAULT_EVERY);
            }
            Plan::Sweep => {
                self.does(world, Act::Sweep);
                self.later(world, Plan::Sweep, SWEEP_EVERY, SWEEP_EVERY);
            }
            Plan::Heal => {
                self.cut = false;
                self.does(world, Act::Heal);
                // Now who was cut off tells what it wrote, or does not live to do so.
                if self.rng.bool() {
                    self.later(world, Plan::LoseWriter, 0, S);
                }
            }
            Plan::LoseWriter => self.lose_writer(world),
            Plan::EndDouble => self.end_double(world),
            Plan::Then(act) => drop(self.does(world, act)),
        }
    }

    /// What follows is something new.
    fn number(&mut self) {
        self.numbers += 1;
        self.nr = self.numbers;
    }

    fn does(&mut self, world: &mut World, act: Act) -> bool {
        let done = world.act(&act);
        self.steps.push(Step { at: world.at, nr: self.nr, act });
        done
    }

    fn later(&mut self, world: &World, plan: Plan, least: Us, most: Us) {
        let pause = self.rng.u64(least..=most);
        self.agenda.plan(world.at + pause, (self.nr, plan));
    }

    fn then(&mut self, world: &World, act: Act, least: Us, most: Us) {
        self.later(world, Plan::Then(act), least, most);
    }

    fn wish(&mut self, world: &mut World) {
        let running: Vec<MachineId> = (0..world.machines.len()).filter(|id| world.machines[*id].runs()).collect();
        let Some(node) = self.rng.choice(running) else { return };
        // Users come in bursts: one commit then carries several edits.
        let burst = if self.rng.u8(..) < 40 { self.rng.usize(2..6) } else { 1 };
        for _ in 0..burst {
            let wish = self.draw_wish();
            self.does(world, Act::Wish { node, wish });
        }
    }

    fn draw_wish(&mut self) -> Wish {
        match self.rng.u8(0..100) {
            0..40 => Wish::Put { path: self.file(), bytes: self.size() },
            40..46 => Wish::MakeDir { path: self.folder(1) },
            46..53 => Wish::Remove { path: self.file() },
            53..56 => Wish::Remove { path: self.folder(1) },
            56..63 => Wish::Move { from: self.file(), to: self.file() },
            63..68 => Wish::Move { from: self.folder(1), to: self.folder(1) },
            68..88 => Wish::Read { path: self.file() },
            _ => Wish::List { path: self.folder(0) },
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

/// Houses with uplinks from 1 Mbit/s to 1 Gbit/s, 1 to 150 ms apart.
fn add_houses(world: &mut World, rng: &mut fastrand::Rng, nodes: usize) {
    let houses = rng.usize(nodes.div_ceil(2)..=nodes);
    for _ in 0..houses {
        let bytes_per_s = 125_000 * 10u64.pow(rng.u32(0..3)) * rng.u64(1..=10);
        let mut delays = rng.fork();
        world.add_site(bytes_per_s, |_| delays.u64(1..=150));
    }
}

fn newcomer(world: &World, rng: &mut fastrand::Rng) -> Newcomer {
    let site = rng.usize(0..world.net.sites());
    let disks: Vec<u64> = (0..rng.usize(1..=3)).map(|_| rng.u64(16..128)).collect();
    let clock = Clock::new(rng.i64(-300..=300), rng.i64(-5_000..=5_000));
    Newcomer { site, disks, clock }
}
