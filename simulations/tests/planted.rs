//! Each planted bug is found by the checker that should find it, within [`SEEDS`] lives.
#![cfg(feature = "planted")]

use std::panic::catch_unwind;

use fsdfs_core::planted::{Bug, plant};
use simulations::{Shape, run};

/// The same lives that the engine survives without a bug.
const SEEDS: u64 = 300;

/// The checker that should find it.
fn finder(bug: Bug) -> &'static str {
    match bug {
        Bug::DropVersion | Bug::OldDots | Bug::ReuseNumbers => "tree",
        Bug::HashOrder => "replay",
        Bug::WaitForSilent | Bug::WallSilence => "liveness",
        // The codec asserts that a block is opened with its own reference.
        Bug::NoHashCheck => "assertion",
        _ => "promise",
    }
}

#[test]
fn every_planted_bug_is_found() {
    let chosen = std::env::var("BUG").ok();
    let bugs = Bug::ALL.into_iter().filter(|bug| chosen.as_ref().is_none_or(|name| *name == format!("{bug:?}")));
    let missed: Vec<String> = bugs.filter_map(|bug| hunt(bug).err()).collect();
    plant(None);
    assert!(missed.is_empty(), "not found: {}", missed.join("; "));
}

fn hunt(bug: Bug) -> Result<(), String> {
    plant(Some(bug));
    let mut others = Vec::new();
    for seed in 0..SEEDS {
        let found = violations(bug, seed);
        if let Some((_, what)) = found.iter().find(|(checker, _)| *checker == finder(bug)) {
            println!("{bug:?}: seed {seed}: {what}");
            return Ok(());
        }
        others.extend(found.into_iter().next().map(|(_, what)| format!("seed {seed}: {what}")));
    }
    Err(format!("{bug:?} (other checkers said: {others:?})"))
}

fn violations(bug: Bug, seed: u64) -> Vec<(&'static str, String)> {
    let live = || run(Shape { seed, nodes: 10, minutes: 10, print: false });
    let Ok(report) = catch_unwind(live) else { return vec![("assertion", "an assertion of the engine failed".into())] };
    let mut found: Vec<(&str, String)> =
        report.violations.iter().map(|violation| (violation.checker, violation.to_string())).collect();
    if bug == Bug::HashOrder && live().trace != report.trace {
        found.push(("replay", "replay violated: two runs differ".into()));
    }
    found
}
