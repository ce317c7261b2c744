//! The contract of fsdfs: everything that crosses a wire or lands on a disk, as types and codecs.
//!
//! Pure: no clock, no randomness, no files, sockets or threads. The chapters beside this crate (`spec/`) say the same in
//! prose, precisely enough for a second implementation; `vectors/` holds bytes that never change.

pub mod block;
pub mod codec;
pub mod control;
pub mod gate;
pub mod identity;
pub mod ids;
pub mod label;
pub mod message;
pub mod placement;
pub mod record;
pub mod signed;
pub mod time;
pub mod volume;
