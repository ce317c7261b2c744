//! A member that lies, against real daemons: what honest users see of it.
//!
//! Each row lets somebody into a pool of three, plays an attack for some seconds, and looks whether the honest members can put,
//! get and list all the while. Then the adversary is revoked, may try to come back, and within a minute the pool has to be as
//! it was: healthy on all nodes, everything readable from each of them, memory and logs of the size that they had.
//!
//! `cargo test --workspace --test attack -- --nocapture` prints the table. `ATTACK=name` plays only that row.

mod pace;
mod party;
mod row;
mod rows;
mod stage;
mod table;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use anyhow::{Result, anyhow};
use fsdfs_tests::cluster::TestProgram;

use party::AttackRole;
use row::AttackRow;
use stage::AttackStage;
use table::{RowOutcome, RowResult};

/// Pools at a time. A machine of two cores is busy with these.
const LANES: usize = 2;

fn program() -> TestProgram {
    TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test"))
}

/// What is played in this run beside others, or alone: each row with one of its roles.
fn chosen(is_long: bool, is_alone: bool) -> VecDeque<PlannedPlay> {
    let only = std::env::var("ATTACK").ok();
    let is_wanted = |row: &&AttackRow| only.as_ref().is_none_or(|only| only == row.name);
    let mut plays = VecDeque::new();
    for row in rows::ALL.iter().copied().flatten().filter(|row| row.is_alone == is_alone).filter(is_wanted) {
        let roles = if is_long { row.roles } else { &row.roles[..1] };
        let fits = is_long || !row.is_long || only.is_some();
        plays.extend(roles.iter().filter(|_| fits).map(|role| (row, *role)));
    }
    plays
}

/// A row, and as what its adversary comes in.
type PlannedPlay = (&'static AttackRow, AttackRole);

fn next(plays: &Mutex<VecDeque<PlannedPlay>>) -> Option<PlannedPlay> {
    plays.lock().expect("no lane panics while it looks").pop_front()
}

fn play_all(is_long: bool) {
    let results = Mutex::new(Vec::new());
    for (is_alone, lanes) in [(false, LANES), (true, 1)] {
        let plays = Mutex::new(chosen(is_long, is_alone));
        std::thread::scope(|scope| {
            for _ in 0..lanes {
                scope.spawn(|| play_lane(&plays, &results, is_long));
            }
        });
    }
    let results = results.into_inner().expect("no lane panicked");
    print!("{}", table::shown(&results));
    let failed = results.iter().filter(|result| matches!(result.outcome, RowOutcome::Failed(_))).count();
    assert_eq!(failed, 0, "{failed} of {} were not held", results.len());
}

/// One row after the other, as long as there are some.
fn play_lane(plays: &Mutex<VecDeque<PlannedPlay>>, results: &Mutex<Vec<RowResult>>, is_long: bool) {
    let report = |result| results.lock().expect("no lane panics while it reports").push(result);
    let mut stage = None;
    while let Some((row, role)) = next(plays) {
        report(play(&mut stage, row, role, is_long));
    }
    if let Some(stage) = stage {
        let outcome = stage.ends().map_or_else(|error| RowOutcome::failed(&error), |()| RowOutcome::Held);
        report(RowResult::of_restart(outcome));
    }
}

/// On the pool of the last row, if that was not harmed.
fn play(stage: &mut Option<AttackStage>, row: &AttackRow, role: AttackRole, is_long: bool) -> RowResult {
    let begun = std::time::Instant::now();
    // A mistake in a row is a failure of that row.
    let played = catch_unwind(AssertUnwindSafe(|| on_stage(stage, row, role, is_long)));
    let outcome = played.unwrap_or_else(|_| Err(anyhow!("the row itself panicked")));
    if outcome.is_err() {
        // What comes next is not to suffer for it.
        *stage = None;
    }
    let (outcome, note) = match outcome {
        Ok(note) => (RowOutcome::Held, note),
        Err(error) => (RowOutcome::failed(&error), String::new()),
    };
    let result = RowResult::of(row, role, outcome, begun.elapsed()).noting(note);
    // So that a run that is ended from outside has said how far it came.
    eprint!("{}", result.line());
    result
}

fn on_stage(stage: &mut Option<AttackStage>, row: &AttackRow, role: AttackRole, is_long: bool) -> Result<String> {
    let stage = match stage {
        Some(stage) => stage,
        none => none.insert(AttackStage::new(program())?),
    };
    let note = stage.play(row.name, |stage| (row.play)(stage, role))?;
    if is_long {
        stage.restart_all()?;
    }
    Ok(note)
}

#[test]
#[ignore = "plays attacks for minutes on both cores; docs/testing.md has the command"]
fn short_attacks_are_held() {
    play_all(false);
}

#[test]
#[ignore = "a quarter of an hour: all roles, floods and full caps, a restart of all nodes after each"]
fn long_attacks_are_held() {
    play_all(true);
}
