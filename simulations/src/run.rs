//! One seed from beginning to end: faults, then peace, then the reckoning.

use std::fmt;

use crate::chaos::{Chaos, Shape};
use crate::check::Violation;

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of which run.
    pub shape: Shape,
    /// Hash over all events.
    pub trace: u64,
    /// How many there were.
    pub events: u64,
    /// Sentences about what happened, for people.
    pub summary: String,
    /// What must not be.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Whether everything held.
    pub fn fine(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { seed, nodes, minutes, .. } = self.shape;
        writeln!(f, "seed {seed}: {} events, trace {:016x}; {}", self.events, self.trace, self.summary)?;
        for violation in &self.violations {
            writeln!(f, "  {violation}")?;
        }
        if !self.fine() {
            let options = format!("--seed {seed} --nodes {nodes} --minutes {minutes}");
            writeln!(f, "  replay: cargo run --release -p simulations -- {options}")?;
        }
        Ok(())
    }
}

/// Lives one random life and checks it.
pub fn run(shape: Shape) -> Report {
    let (mut world, mut chaos) = Chaos::begin(shape);
    chaos.live(&mut world);
    world.freeze_faults();
    world.must_converge();
    let summary = world.summary();
    let (trace, events) = (world.trace.hash(), world.trace.events());
    Report { shape, trace, events, summary, violations: world.checks.violations }
}
