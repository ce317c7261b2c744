#![allow(clippy::unwrap_used)]

mod begun;
mod collected;
mod compaction;
mod cuts;
mod damage;
mod drained;
mod faults;
mod files;
mod freed;
mod leases;
mod revival;
pub(super) mod rig;
mod scrub;
mod several;
