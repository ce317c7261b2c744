//! A line between two homes, simulated: real QUIC endpoints, virtual time, the queue and the losses of a bottleneck.
//!
//! It costs no time to wait on it, the machine's load does not matter, and the same seed is the same run.
//! The tests hold what [`control`](super::control) promises on each kind of line, with their bounds.

mod bottleneck;
mod flow;
mod outcome;
mod plain;
mod run;
mod side;
mod spec;
mod tests;
