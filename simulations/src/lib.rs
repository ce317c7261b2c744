//! The simulated world of fsdfs: real engines, simulated network, disks and clocks, faults, and checkers.
//!
//! A run is a function of its seed. A pool goes through a random scenario full of faults ([`faults`]), then faults end and it
//! has to converge; all the while what was promised is held against what is ([`checkers`]). Each step of it is written down, so
//! that a run that fails can be replayed in part, and shrunk ([`mod@shrink`]).
//!
//! ```
//! use simulations::{RunShape, run};
//!
//! let report = run(RunShape { minutes: 1, ..RunShape::of(1) });
//! assert!(report.violations.is_empty());
//! ```
//!
//! The order in which to read it:
//!
//! 1. [`world`]: machines with real engines, and the links, disks and clocks around them, moved by one queue of events.
//! 2. [`users`]: what people do on these machines, as commands to their engines.
//! 3. [`faults`]: what befalls the world, and the scenario that draws it from the seed.
//! 4. [`checkers`]: what must hold; each is told what was observed ([`world::observed`]) and never sees the world.
//! 5. [`Simulation`] and [`fn@run`]: a world with its checkers, from the first event to the last check; [`RunReport`] says what became of it.
//! 6. [`trace`] and [`mod@shrink`]: the hash of a run, and the smallest part of a failing one that still fails.
//! 7. [`study`]: placement measured without engines, written as pages with plots.

pub mod checkers;
pub mod faults;
mod report;
mod run;
pub mod shrink;
mod simulation;
pub mod study;
pub mod trace;
pub mod users;
pub mod world;

pub use checkers::Violation;
pub use faults::{RunKind, RunShape};
pub use report::{RunCut, RunReport, StepSelection};
pub use run::{replay, run, run_part, run_twice};
pub use shrink::{ShrunkRun, shrink};
pub use simulation::Simulation;
pub use trace::EventTrace;
pub use world::World;
