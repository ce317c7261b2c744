//! Days of homes, drawn from the seed: machines that sleep at night, are away for a weekend, burn, lose disks, leave and come
//! back, in a pool of which a third of the pairs never meets.
//!
//! Times are those of real homes: a cut of power takes minutes, an evening hours, and who is missed for a day is gone. All else
//! is as in [`super::RandomScenario`].

mod draw;
mod homes;
mod hours;

use super::shape::WARM_UP;
use super::{RunShape, ScenarioEvent, ScenarioStep};
use crate::simulation::Simulation;
use crate::trace::EventTrace;
use crate::users::UserOperation;
use crate::world::queue::{EventQueue, Micros};
use crate::world::{HostileWay, MachineId, SMALL, World};

pub use self::homes::Home;
use self::hours::{HOUR, MINUTE};

/// Pause between two operations of users, on average.
const OPERATION_EVERY: Micros = 8 * MINUTE;
/// Pause between two faults, on average.
const FAULT_EVERY: Micros = 22 * MINUTE;
/// Pause between two looks of owners, on average.
const LOOK_EVERY: Micros = 12 * MINUTE;
/// How often it is looked for commands that have waited for too long, and for blocks without a copy.
const SWEEP_EVERY: Micros = 10 * MINUTE;
/// Homes that are lost, or leave, at most: with so many others gone a block may have lost all but one of its copies.
const LOST_MAX: usize = 2;
/// Who was not heard of for so many days is gone. The least that the rules allow: a run has few days.
const GONE_DAYS: u32 = 1;
/// One run in so many has a member that lies about what it holds.
const LIARS_ONE_IN: u64 = 4;

#[derive(Clone)]
enum PlannedStep {
    Operation,
    Fault,
    Look,
    Sweep,
    /// A machine goes to sleep, as every night.
    Night(MachineId),
    Turn,
    /// The owner looks whether the machine may be taken away.
    Unplug(MachineId),
    Heal,
    Then(ScenarioEvent),
}

/// See the module.
pub struct HouseholdScenario {
    /// What was done so far.
    pub steps: Vec<ScenarioStep>,
    rng: fastrand::Rng,
    /// What is planned, and the number of the fault that it is part of.
    agenda: EventQueue<(u32, PlannedStep)>,
    /// Number of what is being done.
    nr: u32,
    numbers: u32,
    end: Micros,
    homes: Vec<Home>,
    /// See [`RunShape::way`].
    way: HostileWay,
    /// Homes that were lost, or have left, or are about to.
    lost: usize,
    /// A line is cut.
    cut: bool,
    /// A clock is wrong. One at a time: nobody can tell which of two halves is wrong.
    wrong_clock: bool,
}

impl HouseholdScenario {
    /// A world as the seed draws it, and the days that await it.
    pub fn begin(shape: RunShape, trace: EventTrace) -> (Simulation, Self) {
        let mut world = Simulation::empty(shape.seed, SMALL, trace);
        world.seed_bug(shape.bug);
        world.watch_copies();
        if !shape.collects {
            world.collect_nothing();
        }
        world.pool.set_gone_days(GONE_DAYS);
        let mut rng = world.rng.fork();
        let homes = homes::build(&mut world, &mut rng, shape.nodes);
        let (steps, agenda, end) = (Vec::new(), EventQueue::default(), shape.end());
        let way = shape.way.unwrap_or(HostileWay::Listing);
        let (nr, numbers, lost, cut, wrong_clock) = (0, 0, 0, false, false);
        let mut scenario = Self { steps, rng, agenda, nr, numbers, end, homes, way, lost, cut, wrong_clock };
        scenario.plan_days(&world);
        let liars =
            if shape.hostile > 0 { shape.hostile } else { usize::from(shape.seed.is_multiple_of(LIARS_ONE_IN)) };
        for _ in 0..liars {
            let turn = scenario.rng.u64(WARM_UP + HOUR..(WARM_UP + 2 * HOUR).max(end / 2));
            scenario.agenda.plan(turn, (0, PlannedStep::Turn));
        }
        (world, scenario)
    }

    /// What is known from the beginning: who cannot meet whom, who sleeps when.
    fn plan_days(&mut self, world: &World) {
        let lines = homes::lines(&mut self.rng, &self.homes);
        self.agenda.plan(WARM_UP, (0, PlannedStep::Then(lines)));
        for step in [PlannedStep::Operation, PlannedStep::Sweep, PlannedStep::Look] {
            self.agenda.plan(WARM_UP + MINUTE, (0, step));
        }
        self.agenda.plan(WARM_UP + 5 * MINUTE, (0, PlannedStep::Fault));
        for home in self.homes.clone() {
            let Some(night) = home.night else { continue };
            for node in home.machines {
                if night.announced {
                    let daily = vec![night.span()];
                    let operation = UserOperation::Announce { until_ms: 0, daily };
                    let said = PlannedStep::Then(ScenarioEvent::Operation { node, operation });
                    self.agenda.plan(WARM_UP + 2 * MINUTE, (0, said));
                }
                self.agenda.plan(night.next(world.at.max(WARM_UP + 5 * MINUTE)), (0, PlannedStep::Night(node)));
            }
        }
    }

    /// Runs it to its end.
    pub fn run(&mut self, world: &mut Simulation) {
        while let Some((at, (nr, plan))) = self.agenda.next(self.end) {
            // What takes a moment may have reached beyond the next step.
            world.advance(at.max(world.at));
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
            PlannedStep::Look => {
                self.number();
                self.look(world);
                self.later(world, PlannedStep::Look, 0, 2 * LOOK_EVERY);
            }
            PlannedStep::Sweep => {
                self.does(world, ScenarioEvent::Sweep);
                self.later(world, PlannedStep::Sweep, SWEEP_EVERY, SWEEP_EVERY);
            }
            PlannedStep::Night(node) => self.night(world, node),
            PlannedStep::Turn => {
                self.number();
                self.turn(world);
            }
            PlannedStep::Unplug(node) => {
                if !self.does(world, ScenarioEvent::Unplug { node }) || !world.machines[node].gone {
                    self.later(world, PlannedStep::Unplug(node), 10 * MINUTE, 60 * MINUTE);
                }
            }
            PlannedStep::Heal => {
                self.cut = false;
                self.does(world, ScenarioEvent::Heal);
            }
            PlannedStep::Then(act) => {
                if matches!(act, ScenarioEvent::Clock { .. }) {
                    self.wrong_clock = false;
                }
                self.does(world, act);
            }
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
}
