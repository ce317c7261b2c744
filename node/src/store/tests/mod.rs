#![allow(clippy::unwrap_used)]

mod begun;
mod cuts;
mod damage;
mod drained;
mod faults;
mod files;
mod give_up;
mod leases;
mod revival;
pub(super) mod rig;
mod scrub;
mod several;
