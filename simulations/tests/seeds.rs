//! Many random lives, and that each can be lived again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use simulations::{Shape, run};

/// So many lives of ten nodes and ten simulated minutes.
const SEEDS: u64 = 300;
/// Every so many seeds one is lived twice.
const TWICE: u64 = 50;

#[test]
fn random_lives_keep_every_promise_and_equal_seeds_live_equal_lives() {
    let (next, failures) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let live = |seed| {
        let report = run(Shape { seed, nodes: 10, minutes: 10, print: false });
        if !report.fine() {
            failures.lock().expect("no test thread panics while it reports").push(report.to_string());
        }
        report.trace
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < SEEDS) {
                    let trace = live(seed);
                    assert!(seed % TWICE != 0 || trace == live(seed), "seed {seed} was not lived again the same way");
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no test thread panicked");
    assert!(failures.is_empty(), "{} of {SEEDS} lives broke a promise:\n{}", failures.len(), failures.concat());
}
