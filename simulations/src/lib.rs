//! The simulated world of fsdfs: real engines, simulated network, disks and clocks, faults, and checkers.
//!
//! A run is a function of its seed. It lives a random life full of faults ([`chaos`]), then faults end and the pool has to
//! converge ([`converge`]); all the while what was promised is held against what is ([`promise`], [`history`]).

pub mod chaos;
pub mod check;
pub mod clock;
mod converge;
mod describe;
mod file;
pub mod history;
pub mod machine;
pub mod net;
pub mod pool;
pub mod promise;
pub mod queue;
mod run;
mod safety;
mod size;
pub mod store;
pub mod task;
pub mod trace;
pub mod world;

pub use chaos::Shape;
pub use check::Violation;
pub use run::{Report, run};
pub use world::World;
