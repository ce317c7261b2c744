//! What a scenario is, and how those are kept apart that would disturb each other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fsdfs_tests::cluster::TestProgram;
use fsdfs_tests::lab::Lab;
use fsdfs_tests::lab::transfer::EndedPut;

/// No step takes longer that has no bound of its own.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Scenarios that move bytes, at a time.
pub const SLOTS: usize = 2;

/// One row of the table in docs/testing.md.
#[derive(Clone, Copy)]
pub struct LabScenario {
    pub name: &'static str,
    /// What holds, in one line.
    pub shows: &'static str,
    /// Who may play beside it.
    pub load: LabLoad,
    /// What this one needs that others do not, if it is not there.
    pub missing: fn() -> Option<&'static str>,
    /// Returns figures.
    pub run: fn(&LabMachine) -> Result<String>,
}

/// What a scenario does to the machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LabLoad {
    /// Next to nothing: it waits. Any number of these play at once.
    Quiet,
    /// It moves bytes, and its bounds leave room for another one that does. Two play at a time.
    Busy,
    /// It measures rates or shares. None plays beside it but quiet ones.
    Alone,
}

impl LabLoad {
    /// Of the machine's [`SLOTS`].
    fn slots(self) -> usize {
        match self {
            Self::Quiet => 0,
            Self::Busy => 1,
            Self::Alone => SLOTS,
        }
    }
}

impl LabScenario {
    /// One that measures and needs nothing else.
    pub const fn alone(name: &'static str, shows: &'static str, run: fn(&LabMachine) -> Result<String>) -> Self {
        Self { name, shows, load: LabLoad::Alone, missing: || None, run }
    }

    /// One that moves bytes.
    pub const fn busy(name: &'static str, shows: &'static str, run: fn(&LabMachine) -> Result<String>) -> Self {
        Self { load: LabLoad::Busy, ..Self::alone(name, shows, run) }
    }

    /// One that mostly waits.
    pub const fn quiet(name: &'static str, shows: &'static str, run: fn(&LabMachine) -> Result<String>) -> Self {
        Self { load: LabLoad::Quiet, ..Self::alone(name, shows, run) }
    }

    pub fn play(&self, machine: &LabMachine) -> Result<()> {
        let taken = machine.take(self.load);
        let begun = Instant::now();
        let figures = (self.run)(machine)?;
        drop(taken);
        println!("{}: {figures} [{:.0} s]", self.name, begun.elapsed().as_secs_f64());
        Ok(())
    }
}

/// The machine on which all labs are.
pub struct LabMachine {
    /// Held by who waits for slots: whoever needs all of them is not overtaken again and again by those who need one.
    turn: Mutex<()>,
    free: Mutex<usize>,
    freed: Condvar,
}

impl Default for LabMachine {
    fn default() -> Self {
        Self { turn: Mutex::default(), free: Mutex::new(SLOTS), freed: Condvar::new() }
    }
}

impl LabMachine {
    /// Waits until there is room for this beside those that play.
    pub fn take(&self, load: LabLoad) -> TakenSlots<'_> {
        let wanted = load.slots();
        if wanted > 0 {
            let _turn = lock(&self.turn);
            let mut free = lock(&self.free);
            while *free < wanted {
                free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
            }
            *free -= wanted;
        }
        TakenSlots { machine: self, slots: wanted }
    }
}

/// Slots of the machine. Dropping it gives them back.
pub struct TakenSlots<'a> {
    machine: &'a LabMachine,
    slots: usize,
}

impl Drop for TakenSlots<'_> {
    fn drop(&mut self) {
        *lock(&self.machine.free) += self.slots;
        self.machine.freed.notify_all();
    }
}

/// A scenario that failed leaves nothing behind that matters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
