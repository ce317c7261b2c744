//! Each planted bug is found by the checker that should find it, within [`SEEDS`] runs.
#![cfg(feature = "planted")]

use std::collections::BTreeSet;

use fsdfs_core::planted::{Bug, plant};
use simulations::{EventTrace, RunCut, RunReport, RunShape, StepSelection, run, run_part, run_twice, shrink};

/// The same runs that the engine survives without a bug.
const SEEDS: u64 = 300;
/// The runs that found these are shrunk, too; with SHRINK=1 in the environment all are.
const SHRUNK: [Bug; 2] = [Bug::AckBeforeDurable, Bug::NoHashCheck];

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
fn every_planted_bug_is_found_and_shrinks() {
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
        let shape = RunShape::of(seed);
        let mut report = if bug == Bug::HashOrder { run_twice(shape) } else { run(shape) };
        others.extend(report.violations.extract_if(.., |found| found.checker != finder(bug)).next());
        if let Some(found) = report.violations.first() {
            println!("{bug:?}: seed {seed}: {found}");
            // What runs differently each time cannot be shrunk.
            if SHRUNK.contains(&bug) || std::env::var_os("SHRINK").is_some() && bug != Bug::HashOrder {
                shrinks(&report);
            }
            return Ok(());
        }
    }
    Err(format!("{bug:?} (other checkers said: {others:?})"))
}

/// What is left of a run is much less, still fails with the same checker, and passes without any more of it.
fn shrinks(report: &RunReport) {
    let checker = report.violations[0].checker;
    let shrunk = shrink(report).expect("it fails");
    println!("{shrunk}");
    let (before, left) = (report.numbers().len(), shrunk.report.numbers());
    assert!(left.len() * 10 <= before, "{} of {before} are left", left.len());
    let fails = |kept: &[u32]| {
        let keep = StepSelection::Only(kept.iter().copied().collect::<BTreeSet<u32>>());
        let cut = RunCut { until: shrunk.report.cut.until, keep };
        run_part(report.shape, &cut, EventTrace::default()).violations.iter().any(|found| found.checker == checker)
    };
    assert!(fails(&left), "what is left passes");
    for spared in &left {
        let rest: Vec<u32> = left.iter().copied().filter(|nr| nr != spared).collect();
        assert!(!fails(&rest), "{spared} could be spared");
    }
}
