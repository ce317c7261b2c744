//! RUSH_R (2004): the sub-clusters, newest first, draw how many of the replicas are theirs.
//!
//! Constraint: as many nodes as copies. A sub-cluster that is due more than one replica a node loses the rest of its share.

use fsdfs_proto::ids::BlockId;

use super::cluster::FamilyCluster;
use super::draw::WeightedDraw;
use super::placement::Placement;
use crate::study::network::{MemberIndex, OverlayNetwork};

pub(super) struct RushR {
    salt: u64,
    /// Each with weight and nodes of the older ones.
    clusters: Vec<(FamilyCluster, u64, usize)>,
}

impl RushR {
    pub fn new(network: &OverlayNetwork) -> Self {
        let (mut weight, mut nodes) = (0, 0);
        let add = |cluster: FamilyCluster| {
            let older = (weight, nodes);
            weight += cluster.total();
            nodes += cluster.nodes.len();
            (cluster, older.0, older.1)
        };
        Self { salt: network.salt, clusters: FamilyCluster::live(network).into_iter().map(add).collect() }
    }
}

impl Placement for RushR {
    fn holders(&self, block: BlockId, copies: u8) -> Vec<MemberIndex> {
        let draw = WeightedDraw::new(self.salt, block);
        let mut left = usize::from(copies);
        let mut holders = Vec::with_capacity(left);
        for (cluster, older_weight, older_nodes) in self.clusters.iter().rev() {
            if left == 0 {
                break;
            }
            let draw = draw.of(cluster.label);
            let must = left.saturating_sub(*older_nodes);
            let own = hits(cluster, *older_weight, draw, left).max(must).min(cluster.nodes.len());
            holders.extend(pick(cluster, draw.of(u64::MAX), own));
            left -= own;
        }
        holders
    }
}

/// How many of `left` draws without putting back are this sub-cluster's.
fn hits(cluster: &FamilyCluster, older: u64, draw: WeightedDraw, left: usize) -> usize {
    let (mut own, mut whole) = (cluster.total(), cluster.total() + older);
    let mut hits = 0;
    for ball in 0..left as u64 {
        if draw.of(ball).chance(own, whole) {
            hits += 1;
            own = own.saturating_sub(cluster.weight);
        }
        whole = whole.saturating_sub(cluster.weight);
    }
    hits
}

/// Distinct nodes by a keyed shuffle.
fn pick(cluster: &FamilyCluster, draw: WeightedDraw, count: usize) -> Vec<MemberIndex> {
    let mut nodes = cluster.nodes.clone();
    for place in 0..count {
        let rest = (nodes.len() - place) as u64;
        nodes.swap(place, place + draw.of(place as u64).below(rest) as usize);
    }
    nodes.truncate(count);
    nodes
}
