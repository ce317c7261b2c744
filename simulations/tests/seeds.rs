//! Many random lives, and that each can be lived again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use simulations::{Cut, Keep, Shape, Trace, replay, run, run_twice};

/// So many lives of ten nodes and ten simulated minutes.
const SEEDS: u64 = 300;
/// Every so many seeds one is lived twice.
const TWICE: u64 = 50;

#[test]
fn random_lives_keep_every_promise_and_equal_seeds_live_equal_lives() {
    let (next, failures) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let live = |seed: u64| {
        let shape = Shape::of(seed);
        let report = if seed.is_multiple_of(TWICE) { run_twice(shape) } else { run(shape) };
        if !report.fine() {
            failures.lock().expect("no test thread panics while it reports").push(report.to_string());
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < SEEDS) {
                    live(seed);
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no test thread panicked");
    assert!(failures.is_empty(), "{} of {SEEDS} lives broke a promise:\n{}", failures.len(), failures.concat());
}

#[test]
fn what_was_drawn_is_done_again_step_by_step_and_any_part_of_it_keeps_every_promise() {
    for seed in 0..6 {
        let shape = Shape { minutes: 3, ..Shape::of(seed) };
        let drawn = run(shape);
        let again = replay(shape, &drawn.steps, &Cut::default(), Trace::default());
        assert_eq!((again.trace, again.events), (drawn.trace, drawn.events), "seed {seed}");
        let some = |nr: &u32| u64::from(*nr) % 3 != seed % 3;
        let cut = Cut { until: None, keep: Keep::Only(drawn.numbers().into_iter().filter(some).collect()) };
        let part = replay(shape, &drawn.steps, &cut, Trace::default());
        assert!(part.fine(), "{part}");
    }
}
