//! Each seeded bug is found by the checker that should find it, within [`SEEDS`] runs.
//!
//! What is tampering with inputs and effects is done by the simulator itself, in this process. What needs other decisions is
//! a patch beside this file, applied to a copy of the engine; that copy is built once, and the environment variable
//! `SEEDED_BUG` names the patch that takes effect.

mod copy;

use std::collections::BTreeSet;
use std::process::Command;

use simulations::world::SeededBug;
use simulations::{EventTrace, RunCut, RunReport, RunShape, StepSelection, run, run_part, run_twice, shrink};

/// The same runs that the engine survives without a bug.
const SEEDS: u64 = 300;
/// Runs of the patched copy at a time.
const BATCH: usize = 10;
/// The runs that found these are shrunk, too; with SHRINK=1 in the environment all are.
const SHRUNK: [SeededBug; 2] = [SeededBug::AckBeforeDurable, SeededBug::OlderHeads];
/// Patches, each with the checker that should find its bug.
const PATCHES: [(&str, &str); 8] = [
    ("confirms-for-next", "promise"),
    ("count-disks", "promise"),
    ("drop-version", "tree"),
    ("old-dots", "tree"),
    ("reuse-numbers", "tree"),
    ("stored-when-sent", "promise"),
    ("wait-for-silent", "liveness"),
    // The engine asserts that no question was asked in the future; before it did, commands were left without an answer.
    ("wall-silence", "assertion"),
];

/// Patches that take one of the rules away by which no member can harm the others, each with the checker that should find
/// it, and how members lie in the runs in which it should.
const HOSTILE: [(&str, &str, &str); 5] = [
    // What members can make others keep is counted by branch.
    ("no-accounts", "harm", "flooding"),
    // A head that cannot be used stops nobody.
    ("no-quarantine", "harm", "poisoning"),
    // Names of a node lie where its place says, so that no folder has more names than its blocks hold.
    ("no-ranges", "convergence", "poisoning"),
    // With a member its open tickets end.
    ("tickets-stay", "harm", "lying"),
    // Nobody's word counts for more copies than the rule.
    ("claims-believed", "harm", "forging"),
];
/// Patches of what repair, presence and their reports go by, each with the checker that should find it in runs of homes.
const HOMES: [(&str, &str); 14] = [
    // Somebody who is at work is called gone.
    ("away-is-gone", "presence"),
    // Half of the homes have no power, and the others make copies for them.
    ("no-brake", "thrift"),
    // Nobody is waited for.
    ("impatient", "thrift"),
    ("pull-forever", "thrift"),
    ("two-fallbacks", "thrift"),
    // What repair copies counts as put just now ...
    ("repair-renews", "ageing"),
    ("ageless-copy", "ageing"),
    // ... or is wanted more often than its original.
    ("heal-raises-claim", "ageing"),
    // Both sides of a pair forget to count the same blocks.
    ("drifted-table", "heals"),
    // Sums in which two different blocks look alike.
    ("unkeyed-sums", "heals"),
    // Whoever listed a block and does not have it is asked for ever.
    ("liar-list", "heals"),
    ("drain-lies", "safe"),
    ("rosy-status", "honest"),
    ("assumed-held", "honest"),
];
/// Minutes of such a run: one or two members lie soon, and are soon revoked.
const HOSTILE_MINUTES: &str = "3";

/// The checker that should find it.
fn finder(bug: SeededBug) -> &'static str {
    match bug {
        SeededBug::HashOrder => "replay",
        // The codec asserts that a block is opened with its own reference.
        SeededBug::NoHashCheck => "assertion",
        _ => "promise",
    }
}

/// With BUG=name in the environment only that one is looked for.
fn chosen(name: &str) -> bool {
    std::env::var("BUG").map_or(true, |only| only == name)
}

#[test]
fn every_patch_applies() {
    let stale: Vec<String> = names().filter_map(copy::stale).collect();
    assert!(stale.is_empty(), "{}", stale.join("\n"));
}

/// Of all patches.
fn names() -> impl Iterator<Item = &'static str> {
    let short = PATCHES.iter().chain(&HOMES).map(|(name, _)| *name);
    short.chain(HOSTILE.iter().map(|(name, ..)| *name))
}

#[test]
#[ignore = "takes minutes: .ci/run does it"]
fn every_tampering_is_found_and_shrinks() {
    let bugs = SeededBug::ALL.into_iter().filter(|bug| chosen(&format!("{bug:?}")));
    let missed: Vec<String> = bugs.filter_map(|bug| hunt(bug).err()).collect();
    assert!(missed.is_empty(), "not found: {}", missed.join("; "));
}

fn hunt(bug: SeededBug) -> Result<(), String> {
    let mut others = Vec::new();
    for seed in 0..SEEDS {
        let shape = RunShape { bug: Some(bug), ..RunShape::of(seed) };
        let mut report = if bug == SeededBug::HashOrder { run_twice(shape) } else { run(shape) };
        others.extend(report.violations.extract_if(.., |found| found.checker != finder(bug)).next());
        if let Some(found) = report.violations.first() {
            println!("{bug:?}: seed {seed}: {found}");
            // What runs differently each time cannot be shrunk.
            if SHRUNK.contains(&bug) || std::env::var_os("SHRINK").is_some() && bug != SeededBug::HashOrder {
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
    // A bug that shows early has little before it to be left out.
    assert!(left.len() <= (before / 10).max(3), "{} of {before} are left", left.len());
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

#[test]
#[ignore = "takes minutes: .ci/run does it"]
fn every_patched_bug_is_found() {
    all_are_found(PATCHES.iter().map(|(name, checker)| (*name, *checker, Vec::new())));
}

#[test]
#[ignore = "takes many minutes: see docs/testing.md"]
fn every_rule_is_missed_where_members_lie() {
    all_are_found(
        HOSTILE.iter().map(|(name, checker, way)| {
            (*name, *checker, vec!["--hostile", "--way", way, "--minutes", HOSTILE_MINUTES])
        }),
    );
}

#[test]
#[ignore = "takes many minutes: see docs/testing.md"]
fn every_bug_of_repair_is_found_in_homes() {
    all_are_found(HOMES.iter().map(|(name, checker)| (*name, *checker, vec!["--household"])));
}

/// Patches, each with its checker and what the runs are like.
fn all_are_found<'a>(patches: impl Iterator<Item = (&'a str, &'a str, Vec<&'a str>)>) {
    let wanted: Vec<_> = patches.filter(|(name, ..)| chosen(name)).collect();
    if wanted.is_empty() {
        return;
    }
    let simulator = copy::build(names());
    let found = |(name, checker, runs): &(&str, &str, Vec<&str>)| is_found(&simulator, name, checker, runs);
    let missed: Vec<&str> = wanted.iter().filter(|patch| !found(patch)).map(|(name, ..)| *name).collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}

fn is_found(simulator: &std::path::Path, bug: &str, checker: &str, runs: &[&str]) -> bool {
    let wanted = format!("{checker} violated at");
    (0..SEEDS).step_by(BATCH).any(|from| {
        let seeds = format!("{from}..{}", from + BATCH as u64);
        let mut command = Command::new(simulator);
        let output =
            command.args(["--seeds", &seeds]).args(runs).env("SEEDED_BUG", bug).output().expect("it was just built");
        let report = String::from_utf8_lossy(&output.stdout);
        let found = report.lines().find(|line| line.contains(&wanted));
        found.inspect(|line| println!("{bug}: seeds {seeds}: {}", line.trim())).is_some()
    })
}
