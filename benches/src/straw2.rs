//! What placement is measured against: CRUSH's straw2 as a plain loop, with placement's own hash and logarithm.
//!
//! Its shares are not exact (it overfills small servers), but nothing that looks at every disk is cheaper.

use fsdfs_core::placement::{ClusterMap, PlacementKey};
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::placement::disk_seed;

/// Disks with their seeds.
pub struct Straw2Bucket(Vec<Straw2Item>);

struct Straw2Item {
    seed: u64,
    weight: u64,
}

impl Straw2Bucket {
    /// Every disk of a view; one disk a server, or a server could win twice.
    pub fn new(view: &ClusterMap) -> Self {
        let disks = view.servers().iter().flat_map(|server| &server.disks);
        Self(disks.map(|disk| Straw2Item { seed: disk_seed(disk.id), weight: disk.weight.into() }).collect())
    }

    /// The disks with the least e / weight, best first.
    pub fn holders(&self, id: BlockId, copies: usize) -> Vec<usize> {
        let key = PlacementKey::of(id.as_bytes());
        let mut best: Vec<(u64, u64, usize)> = Vec::with_capacity(copies + 1);
        for (disk, straw) in self.0.iter().enumerate() {
            let e = key.exponential(straw.seed);
            let later = |&(other, weight, _): &(u64, u64, usize)| {
                u128::from(e) * u128::from(weight) < u128::from(other) * u128::from(straw.weight)
            };
            if best.len() == copies && !best.last().is_some_and(later) {
                continue;
            }
            let place = best.partition_point(|straw| !later(straw));
            best.insert(place, (e, straw.weight, disk));
            best.truncate(copies);
        }
        best.into_iter().map(|(.., disk)| disk).collect()
    }
}
