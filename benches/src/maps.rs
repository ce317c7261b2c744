//! Maps of many sizes, the same ones every time.

use fsdfs_core::placement::{ClusterMap, MapDisk, MapServer};
use fsdfs_proto::ids::{BlockId, DiskId, NodeId};
use fsdfs_proto::placement::position;

/// Servers of `disks_each` disks, each server at a site of its own. Weights are log-normal, sigma 1, around a terabyte in GiB.
pub fn view(disks: usize, disks_each: usize) -> ClusterMap {
    let mut dice = fastrand::Rng::with_seed(disks as u64);
    let server = |number: usize| {
        let disk = |place| MapDisk { id: disk_id(number * disks_each + place), weight: weight(&mut dice) };
        MapServer {
            id: NodeId(numbered(2, number)),
            site: format!("house {number}"),
            branch: None,
            disks: (0..disks_each).map(disk).collect(),
        }
    };
    ClusterMap::new((0..disks / disks_each).map(server).collect())
}

/// The numbered block.
pub fn block(number: usize) -> BlockId {
    BlockId(numbered(1, number))
}

fn disk_id(number: usize) -> DiskId {
    let id = numbered(3, number);
    DiskId(*id.first_chunk().expect("32 bytes begin with 16"))
}

/// Box and Muller's normal number, as an exponent.
fn weight(dice: &mut fastrand::Rng) -> u32 {
    let (radius, angle) = ((-2.0 * (1.0 - dice.f64()).ln()).sqrt(), dice.f64() * std::f64::consts::TAU);
    (1000.0 * (radius * angle.cos()).exp()) as u32 + 1
}

fn numbered(kind: u8, number: usize) -> [u8; 32] {
    let mut id = [kind; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    position(NodeId(id))
}
