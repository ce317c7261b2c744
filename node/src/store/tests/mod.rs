#![allow(clippy::unwrap_used)]

mod cuts;
mod damage;
mod faults;
mod files;
mod rig;
mod several;
