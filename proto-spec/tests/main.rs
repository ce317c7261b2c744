//! Everything that `fsdfs-proto` lets others see, tested from outside, in one binary.

mod block;
mod gate;
mod identity;
mod later;
mod memory;
mod message;
mod samples;
mod sealed;
mod strings;
mod volume;
mod writers;
