//! One life from beginning to end: faults, then peace, then the reckoning.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::act::Step;
use crate::chaos::{Chaos, Shape};
use crate::check::Violation;
use crate::parameters::Parameters;
use crate::queue::Us;
use crate::report::{Cut, Report};
use crate::trace::Trace;
use crate::world::World;

/// Seconds after the end of the faults for which a copied machine may stay on until all it has is elsewhere too.
const TWIN_PATIENCE_S: u64 = 60;

/// Lives a whole life as its seed draws it.
pub fn run(shape: Shape) -> Report {
    draw(shape, Trace::default())
}

/// Lives a part of it, or all of it, and writes down what happens.
pub fn run_part(shape: Shape, cut: &Cut, trace: Trace) -> Report {
    if *cut == Cut::default() { draw(shape, trace) } else { replay(shape, &run(shape).steps, cut, trace) }
}

/// Lives it twice: equal seeds live equal lives.
pub fn run_twice(shape: Shape) -> Report {
    let mut report = run(shape);
    if run(shape).trace != report.trace {
        let what = "a second run of the same seed went another way".into();
        report.violations.push(Violation { at: 0, checker: "replay", what });
    }
    report
}

/// Does what was drawn once more, as far as the cut leaves it.
pub fn replay(shape: Shape, steps: &[Step], cut: &Cut, trace: Trace) -> Report {
    let (mut world, _) = Chaos::begin(shape, trace);
    let parameters = Parameters::of(&world);
    guarded(&mut world, |world| {
        if relive(world, steps, cut, shape.end(), |_| false) {
            world.ends_well();
        }
    });
    Report::new((shape, cut.clone()), parameters, steps.to_vec(), world)
}

/// Whether a part of a life breaks what a checker looks at. Ends as soon as it does.
pub fn breaks(shape: Shape, steps: &[Step], cut: &Cut, checker: &str) -> bool {
    if checker == "replay" {
        let live = || replay(shape, steps, cut, Trace::default()).trace;
        return live() != live();
    }
    let (mut world, _) = Chaos::begin(shape, Trace::default());
    let broken = |world: &World| world.checks.violations.iter().any(|violation| violation.checker == checker);
    guarded(&mut world, |world| {
        if relive(world, steps, cut, shape.end(), broken) {
            world.ends_well();
        }
    });
    broken(&world)
}

/// Returns whether it came to its end.
fn relive(world: &mut World, steps: &[Step], cut: &Cut, end: Us, stop: impl Fn(&World) -> bool) -> bool {
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

fn draw(shape: Shape, trace: Trace) -> Report {
    let (mut world, mut chaos) = Chaos::begin(shape, trace);
    let parameters = Parameters::of(&world);
    guarded(&mut world, |world| {
        chaos.live(world);
        world.ends_well();
    });
    Report::new((shape, Cut::default()), parameters, chaos.steps, world)
}

thread_local! {
    /// While this thread lives a life: the assertion that failed in it, if one did.
    static FAILED: Cell<Option<String>> = const { Cell::new(None) };
}

/// An assertion of the engine that fails is a violation like others.
fn guarded(world: &mut World, live: impl FnOnce(&mut World)) {
    static QUIET: Once = Once::new();
    QUIET.call_once(quiet);
    FAILED.set(Some(String::new()));
    let panicked = catch_unwind(AssertUnwindSafe(|| live(world))).is_err();
    if let Some(text) = FAILED.take().filter(|_| panicked) {
        world.checks.fail(world.at, "assertion", text);
    }
}

/// What fails while a life is lived is reported, not printed: shrinking makes it fail again and again.
fn quiet() {
    let before = take_hook();
    set_hook(Box::new(move |panic| match FAILED.take() {
        Some(_) => FAILED.set(Some(panic.to_string().replace('\n', " "))),
        None => before(panic),
    }));
}

impl World {
    /// As [`World::run_until`], but what happens at this very moment waits if it is that moment already: steps of one moment
    /// are done one right after the other.
    fn go_to(&mut self, at: Us) {
        if at > self.at {
            self.run_until(at);
        }
    }

    /// Faults end, and the pool has to converge.
    fn ends_well(&mut self) {
        let spared = self.part_with_twin(TWIN_PATIENCE_S);
        self.freeze_faults();
        if spared {
            self.must_converge();
        }
    }
}
