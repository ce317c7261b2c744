//! One disk: taking possession of it, reading it, and the half that appends to it.
//!
//! Only the writer thread of a disk changes what lies on it; everything else here reads, or asks that thread with a job.

pub(super) mod append_batch;
pub(super) mod appender;
pub(super) mod attach;
pub(super) mod begin;
pub(super) mod books;
pub(super) mod draining;
pub(super) mod handle;
pub(super) mod job;
pub(super) mod moving;
pub(super) mod open;
pub(super) mod recover;
pub(super) mod remove;
pub(super) mod revive;
pub(super) mod room;
pub(super) mod staging;
