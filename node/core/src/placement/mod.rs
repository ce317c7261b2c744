//! Which servers hold a block: exact-share weighted RUSH (spec 03-placement).
//!
//! A pure function of block id, map and number of copies. Knows nothing of who is up, who has what, or how the map came about.

mod capacity;
mod change;
mod cluster_map;
mod math;
mod moves;
mod race;
mod rush;
mod server;
mod share;
mod sites;
mod straw_race;
mod targets;
#[cfg(test)]
mod tests;

pub use capacity::{CERTAIN, MapCapacity, ServerLoad};
pub use change::{MapChange, MapChangeError};
pub use cluster_map::{CANDIDATES_MAX, COPIES_MAX, ClusterMap};
pub use math::PlacementKey;
pub use moves::{DataMovement, PlacementRule, ServerFlow};
pub use server::{BlockHolder, MapDisk, MapServer};
