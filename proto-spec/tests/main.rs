//! Everything that `fsdfs-proto` lets others see, tested from outside, in one binary.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests read the vectors, and write those that they publish when asked to"
)]

mod block;
mod gate;
mod identity;
mod later;
mod memory;
mod message;
mod packet;
mod pair;
mod relay;
mod samples;
mod sealed;
mod strings;
mod volume;
mod writers;
