//! RUSH_P (2003): each replica asks the newest sub-cluster first; within one it steps by a prime.
//!
//! Constraint: the oldest sub-cluster has at least as many nodes as copies, for it must be able to take all of them. In other pools some
//! replicas find no place.

use fsdfs_proto::ids::BlockId;

use super::cluster::FamilyCluster;
use super::draw::WeightedDraw;
use super::placement::Placement;
use crate::study::network::{MemberIndex, OverlayNetwork};

pub(super) struct RushP {
    salt: u64,
    /// Each with the total weight up to it.
    clusters: Vec<(FamilyCluster, u64)>,
}

impl RushP {
    pub fn new(network: &OverlayNetwork) -> Self {
        let mut sum = 0;
        let add = |cluster: FamilyCluster| {
            sum += cluster.total();
            (cluster, sum)
        };
        Self { salt: network.salt, clusters: FamilyCluster::live(network).into_iter().map(add).collect() }
    }
}

impl Placement for RushP {
    fn holders(&self, block: BlockId, copies: u8) -> Vec<MemberIndex> {
        let draw = WeightedDraw::new(self.salt, block);
        let place = |replica| {
            let mut newest_first = self.clusters.iter().rev();
            newest_first.find_map(|(cluster, sum)| take(cluster, *sum, draw, replica, copies.into()))
        };
        (0..u64::from(copies)).filter_map(place).collect()
    }
}

/// The node of this sub-cluster that takes the replica, if one does. A sub-cluster with fewer nodes than copies pretends to have as
/// many; what falls to the pretended ones goes on.
fn take(cluster: &FamilyCluster, sum: u64, draw: WeightedDraw, replica: u64, copies: u64) -> Option<MemberIndex> {
    let draw = draw.of(cluster.label);
    let prime = draw.of(3).prime();
    let nodes = (cluster.nodes.len() as u64).max(copies);
    let whole = sum - cluster.total() + nodes * cluster.weight;
    let spot = (draw.of(1).below(whole) + replica * prime * cluster.weight) % whole;
    let node = (draw.of(2).below(nodes) + replica * prime) % nodes;
    if spot < nodes * cluster.weight { cluster.nodes.get(node as usize).copied() } else { None }
}
