//! One run from beginning to end: faults, then none, then the final checks.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::checkers::Violation;
use crate::faults::{RunKind, RunShape, Scenario, ScenarioStep};
use crate::report::{RunCut, RunReport};
use crate::simulation::Simulation;
use crate::trace::EventTrace;
use crate::world::description::WorldDescription;
use crate::world::queue::Micros;

/// Seconds after the end of the faults for which a copied machine may stay on until all it has is elsewhere too.
const DUPLICATE_PATIENCE_S: u64 = 60;

/// Runs a whole scenario as its seed draws it.
pub fn run(shape: RunShape) -> RunReport {
    draw(shape, EventTrace::default())
}

/// Runs a part of it, or all of it, and writes down what happens.
pub fn run_part(shape: RunShape, cut: &RunCut, trace: EventTrace) -> RunReport {
    if *cut == RunCut::default() { draw(shape, trace) } else { replay(shape, &run(shape).steps, cut, trace) }
}

/// Runs it twice: equal seeds give equal traces.
pub fn run_twice(shape: RunShape) -> RunReport {
    let mut report = run(shape);
    if run(shape).trace != report.trace {
        let what = "a second run of the same seed went another way".into();
        report.violations.push(Violation { at: 0, checker: "replay", what });
    }
    report
}

/// Does what was drawn once more, as far as the cut leaves it.
pub fn replay(shape: RunShape, steps: &[ScenarioStep], cut: &RunCut, trace: EventTrace) -> RunReport {
    let (mut world, _) = Scenario::begin(shape, trace);
    let parameters = WorldDescription::of(&world);
    guarded(&mut world, |world| {
        if repeat(world, steps, cut, shape.end(), |_| false) {
            world.ends_well(shape);
        }
    });
    RunReport::new((shape, cut.clone()), parameters, steps.to_vec(), world)
}

/// Whether a part of a run breaks what a checker looks at. Ends as soon as it does.
pub fn breaks(shape: RunShape, steps: &[ScenarioStep], cut: &RunCut, checker: &str) -> bool {
    if checker == "replay" {
        let run = || replay(shape, steps, cut, EventTrace::default()).trace;
        return run() != run();
    }
    let (mut world, _) = Scenario::begin(shape, EventTrace::default());
    let broken = |world: &mut Simulation| world.violations().iter().any(|violation| violation.checker == checker);
    guarded(&mut world, |world| {
        if repeat(world, steps, cut, shape.end(), broken) {
            world.ends_well(shape);
        }
    });
    broken(&mut world)
}

/// Returns whether it came to its end.
fn repeat(
    world: &mut Simulation,
    steps: &[ScenarioStep],
    cut: &RunCut,
    end: Micros,
    stop: impl Fn(&mut Simulation) -> bool,
) -> bool {
    for step in steps.iter().filter(|step| cut.reaches(step)) {
        world.go_to(step.at);
        if stop(world) {
            return false;
        }
        if cut.keeps(step) {
            world.act(&step.act);
        } else {
            world.leave_out(&step.act);
        }
    }
    world.go_to(cut.until.unwrap_or(end));
    !stop(world)
}

fn draw(shape: RunShape, trace: EventTrace) -> RunReport {
    let (mut world, mut scenario) = Scenario::begin(shape, trace);
    let parameters = WorldDescription::of(&world);
    guarded(&mut world, |world| {
        scenario.run(world);
        world.ends_well(shape);
    });
    RunReport::new((shape, RunCut::default()), parameters, scenario.into_steps(), world)
}

thread_local! {
    /// While this thread is in a run: the assertion that failed in it, if one did.
    static FAILED: Cell<Option<String>> = const { Cell::new(None) };
}

/// An assertion of the engine that fails is a violation like others.
fn guarded(world: &mut Simulation, body: impl FnOnce(&mut Simulation)) {
    static QUIET: Once = Once::new();
    QUIET.call_once(quiet);
    FAILED.set(Some(String::new()));
    let panicked = catch_unwind(AssertUnwindSafe(|| body(world))).is_err();
    if let Some(text) = FAILED.take().filter(|_| panicked) {
        // What was observed before it comes before it, unless a checker itself failed.
        let _ = catch_unwind(AssertUnwindSafe(|| world.violations().len()));
        world.fail("assertion", text);
    }
}

/// What fails within a run is reported, not printed: shrinking makes it fail again and again.
fn quiet() {
    let before = take_hook();
    set_hook(Box::new(move |panic| match FAILED.take() {
        Some(_) => FAILED.set(Some(panic.to_string().replace('\n', " "))),
        None => before(panic),
    }));
}

impl Simulation {
    /// As [`crate::world::World::run_until`], but what happens at this very moment waits if it is that moment already: steps of one moment
    /// are done one right after the other.
    fn go_to(&mut self, at: Micros) {
        if at > self.at {
            self.advance(at);
        }
    }

    /// Faults end, and the pool has to converge.
    fn ends_well(&mut self, shape: RunShape) {
        match shape.kind {
            RunKind::Crowded => self.calms_down(),
            RunKind::Household => self.heals(shape.seed),
        }
    }

    fn calms_down(&mut self) {
        let spared = self.part_with_duplicate(DUPLICATE_PATIENCE_S);
        self.freeze_faults();
        self.outlives_liars();
        if spared {
            self.must_converge();
            if self.violations().is_empty() {
                self.nobody_is_missed();
            }
        }
    }
}
