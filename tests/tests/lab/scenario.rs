//! What a scenario is, and how those are kept apart that would disturb each other.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fsdfs_tests::cluster::TestProgram;
use fsdfs_tests::lab::Lab;
use fsdfs_tests::lab::transfer::EndedPut;

/// No step takes longer that has no bound of its own.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One row of the table in docs/testing.md.
#[derive(Clone, Copy)]
pub struct LabScenario {
    pub name: &'static str,
    /// What holds, in one line.
    pub shows: &'static str,
    /// Whether it keeps the machine busy. Of these one plays at a time.
    pub is_loud: bool,
    /// What this one needs that others do not, if it is not there.
    pub missing: fn() -> Option<&'static str>,
    /// Returns figures.
    pub run: fn(&LabMachine) -> Result<String>,
}

impl LabScenario {
    /// One that keeps the machine busy and needs nothing else.
    pub const fn loud(name: &'static str, shows: &'static str, run: fn(&LabMachine) -> Result<String>) -> Self {
        Self { name, shows, is_loud: true, missing: || None, run }
    }

    /// One that mostly waits.
    pub const fn quiet(name: &'static str, shows: &'static str, run: fn(&LabMachine) -> Result<String>) -> Self {
        Self { is_loud: false, ..Self::loud(name, shows, run) }
    }

    pub fn play(&self, machine: &LabMachine) -> Result<()> {
        let alone = self.is_loud.then(|| machine.alone());
        let begun = Instant::now();
        let figures = (self.run)(machine)?;
        drop(alone);
        println!("{}: {figures} [{:.0} s]", self.name, begun.elapsed().as_secs_f64());
        Ok(())
    }
}

/// The machine on which all labs are.
#[derive(Default)]
pub struct LabMachine {
    busy: Mutex<()>,
}

impl LabMachine {
    /// Nobody else measures or moves much until this is dropped.
    pub fn alone(&self) -> MutexGuard<'_, ()> {
        // One that failed leaves nothing behind that matters.
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn lab() -> Result<Lab> {
    Lab::new(program())
}

pub fn program() -> TestProgram {
    TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test"))
}

/// Lets that much time pass: for bounds on what does *not* happen meanwhile.
pub fn watch(lasts: Duration) {
    thread::sleep(lasts);
}

pub fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// A put that has ended was truthful: at least as many copies as it said are there, and another home reads it.
pub fn assert_truthful(lab: &Lab, writer: usize, reader: usize, put: &EndedPut) -> Result<()> {
    lab.get_back(reader, put, PATIENCE)?;
    let placement = lab.placement(writer, put)?;
    ensure!(
        placement["copies_min"].as_u64() >= Some(put.copies()?),
        "{} copies, it said; now {placement}",
        put.copies()?
    );
    Ok(())
}
