//! The simulated world of fsdfs: real engines, simulated network, disks and clocks, faults, and checkers.
//!
//! A run is a function of its seed. It lives a random life full of faults ([`chaos`]), then faults end and the pool has to
//! converge ([`converge`]); all the while what was promised is held against what is ([`promise`], [`history`]). Each step of it
//! is written down ([`act`]), so that a life that fails can be lived again in part, and shrunk ([`minimal`]).

pub mod act;
pub mod chaos;
pub mod check;
pub mod clock;
mod converge;
mod describe;
mod file;
pub mod history;
pub mod machine;
pub mod minimal;
pub mod net;
pub mod parameters;
pub mod pool;
pub mod promise;
pub mod queue;
mod report;
mod run;
mod safety;
mod shrink;
mod size;
pub mod store;
pub mod study;
pub mod task;
pub mod trace;
pub mod world;

pub use chaos::Shape;
pub use check::Violation;
pub use report::{Cut, Keep, Report};
pub use run::{replay, run, run_part, run_twice};
pub use shrink::{Shrunk, shrink};
pub use trace::Trace;
pub use world::World;
