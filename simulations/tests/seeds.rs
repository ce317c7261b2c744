//! Many random runs, and that each can be replayed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use simulations::{EventTrace, RunCut, RunShape, StepSelection, replay, run, run_twice};

/// Runs of ten nodes and ten simulated minutes.
const SEEDS: u64 = 150;
/// Runs of homes, and simulated minutes of each: those by default take some ten times as long.
const HOME_SEEDS: u64 = 20;
const HOME_MINUTES: u64 = 4 * 60;
/// What is known to be wrong in some of them, and not mended yet: docs/testing.md, "Homes".
const HOME_FINDINGS: [(u64, &str); 1] = [(12, "thrift: copies are made of what two of three sites have that are away")];
/// One in so many seeds is run twice.
const TWICE: u64 = 50;

#[test]
fn random_runs_keep_every_promise_and_equal_seeds_give_equal_traces() {
    all_are_fine(&(0..SEEDS).collect::<Vec<_>>(), RunShape::of);
}

#[test]
fn hours_of_homes_keep_every_promise() {
    for (seed, finding) in HOME_FINDINGS {
        println!("seed {seed} of homes is skipped: {finding}");
    }
    let seeds: Vec<u64> = (0..HOME_SEEDS).filter(|seed| HOME_FINDINGS.iter().all(|(known, _)| known != seed)).collect();
    all_are_fine(&seeds, |seed| RunShape { minutes: HOME_MINUTES, ..RunShape::household(seed) });
}

#[test]
#[ignore = "takes half an hour: see docs/testing.md"]
fn days_of_homes_keep_every_promise() {
    all_are_fine(&(0..200).collect::<Vec<_>>(), RunShape::household);
}

fn all_are_fine(seeds: &[u64], shape: impl Fn(u64) -> RunShape + Sync) {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let check = |seed: u64| {
        let shape = shape(seed);
        let report = if seed.is_multiple_of(TWICE) { run_twice(shape) } else { run(shape) };
        if !report.fine() {
            failures.lock().expect("no test thread panics while it reports").push(report.to_string());
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(*seed);
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no test thread panicked");
    assert!(failures.is_empty(), "{} of {} runs broke a promise:\n{}", failures.len(), seeds.len(), failures.concat());
}

#[test]
fn what_was_drawn_is_done_again_step_by_step_and_any_part_of_it_keeps_every_promise() {
    for seed in 0..6 {
        let shape = RunShape { minutes: 3, ..RunShape::of(seed) };
        let drawn = run(shape);
        let again = replay(shape, &drawn.steps, &RunCut::default(), EventTrace::default());
        assert_eq!((again.trace, again.events), (drawn.trace, drawn.events), "seed {seed}");
        let some = |nr: &u32| u64::from(*nr) % 3 != seed % 3;
        let cut = RunCut { until: None, keep: StepSelection::Only(drawn.numbers().into_iter().filter(some).collect()) };
        let part = replay(shape, &drawn.steps, &cut, EventTrace::default());
        assert!(part.fine(), "{part}");
    }
}
