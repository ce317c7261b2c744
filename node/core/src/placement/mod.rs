//! Which servers hold a block: exact-share weighted RUSH (spec 03-placement).
//!
//! A pure function of block id, map and number of copies. Knows nothing of who is up, who has what, or how the map came about.
//!
//! ```
//! use fsdfs_core::placement::{ClusterMap, MapServer};
//! use fsdfs_proto::ids::BlockId;
//!
//! let server = |name: &str, site| MapServer::imagined(name, site, 1_000);
//! let map = ClusterMap::new(vec![server("a", "home"), server("b", "home"), server("c", "office"), server("d", "barn")]);
//! let holders = map.holders(BlockId::of(b"a block"), 3);
//! assert_eq!(holders.len(), 3);
//! // Three copies stand at three sites.
//! let sites: std::collections::BTreeSet<_> = holders.iter().filter_map(|holder| map.server(holder.node)).map(|server| &server.site).collect();
//! assert_eq!(sites.len(), 3);
//! ```

mod branches;
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

pub use capacity::{CERTAIN, MapCapacity, ServerLoad, room_left};
pub use change::{MapChange, MapChangeError};
pub use cluster_map::{CANDIDATES_MAX, COPIES_MAX, ClusterMap};
pub use math::PlacementKey;
pub use moves::{DataMovement, PlacementRule, ServerFlow};
pub use server::{BlockHolder, MapDisk, MapServer};
