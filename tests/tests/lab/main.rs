//! Homes as they are, with real daemons: which pairs of homes meet, how fast they are, and what they survive.
//!
//! Each scenario builds its own lab of network namespaces, routers and lines (`fsdfs_tests::lab`), and holds what it sees
//! against a bound. It needs root and takes minutes, so `cargo test` alone leaves it out:
//! `cargo test --workspace --test lab -- --include-ignored` plays it.
//! `LAB_PENDING=1` also plays the scenarios that wait for a feature, to see what becomes of them today.

mod change;
mod eight;
mod hostile;
mod mapping;
mod meeting;
mod pending;
mod scenario;
mod speed;

use std::process::ExitCode;
use std::sync::Arc;

use fsdfs_tests::lab::needs;
use libtest_mimic::{Arguments, Trial};

use pending::Pending;
use scenario::{LabLoad, LabMachine, LabScenario, SLOTS};

/// In the order in which they begin: those that mostly wait come first, so that the others go on beside them.
fn scenarios() -> Vec<LabScenario> {
    let mut all: Vec<LabScenario> =
        [change::ALL, eight::ALL, hostile::ALL, mapping::ALL, meeting::ALL, speed::ALL].concat();
    all.sort_by_key(|scenario| scenario.load);
    all
}

/// Why a scenario is not played, if it is not.
fn skipped(scenario: &LabScenario, is_wanted: bool) -> Option<String> {
    if !is_wanted {
        return Some("takes minutes; --include-ignored plays it".into());
    }
    if let Some(reason) = needs::missing() {
        return Some(reason.to_owned());
    }
    if let Some(reason) = (scenario.missing)() {
        return Some(reason.to_owned());
    }
    let plays_pending = std::env::var_os("LAB_PENDING").is_some();
    Pending::of(scenario.name).filter(|_| !plays_pending).map(|pending| format!("waits for {}", pending.waits_for))
}

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    let is_wanted = (args.include_ignored || args.ignored) && !args.list;
    // From here on "ignored" is what cannot be played.
    (args.include_ignored, args.ignored) = (false, false);
    let scenarios = scenarios();
    for pending in pending::ALL {
        let is_known = scenarios.iter().any(|scenario| scenario.name == pending.scenario);
        assert!(is_known, "no scenario is called {}, which waits for {}", pending.scenario, pending.waits_for);
    }
    // All that wait, and as many others as may play at once.
    let quiet = scenarios.iter().filter(|scenario| scenario.load == LabLoad::Quiet).count();
    args.test_threads.get_or_insert(quiet + SLOTS);

    let machine = Arc::new(LabMachine::default());
    let mut trials = Vec::new();
    for scenario in scenarios {
        let reason = skipped(&scenario, is_wanted);
        let is_filtered = args.filter.as_ref().is_some_and(|filter| !scenario.name.contains(filter));
        if let Some(reason) = reason.as_ref().filter(|_| is_wanted && !is_filtered) {
            println!("{}: skipped: {reason} ({})", scenario.name, scenario.shows);
        }
        let machine = Arc::clone(&machine);
        let trial =
            Trial::test(scenario.name, move || scenario.play(&machine).map_err(|error| format!("{error:#}").into()));
        trials.push(trial.with_ignored_flag(reason.is_some()));
    }
    libtest_mimic::run(&args, trials).exit_code()
}
