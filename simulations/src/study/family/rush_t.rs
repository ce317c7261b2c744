//! RUSH_T (2004): sub-clusters are the leaves of a tree that grows upwards; each replica walks down it.
//!
//! Constraint: each sub-cluster has at least as many nodes as copies; otherwise replicas of a block meet on one server. A sub-cluster
//! that all have left stays as a leaf without weight.

use fsdfs_proto::ids::BlockId;

use super::cluster::FamilyCluster;
use super::draw::WeightedDraw;
use super::placement::Placement;
use crate::study::network::{MemberIndex, OverlayNetwork};

pub(super) struct RushT {
    salt: u64,
    clusters: Vec<FamilyCluster>,
    /// Weights of the nodes, level by level; leaves first. The node i of a level is above 2i and 2i + 1 of the one below.
    levels: Vec<Vec<u64>>,
}

impl RushT {
    pub fn new(network: &OverlayNetwork) -> Self {
        let clusters = FamilyCluster::all(network);
        let mut levels = vec![clusters.iter().map(FamilyCluster::total).collect::<Vec<u64>>()];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = below.chunks(2).map(|pair| pair.iter().sum()).collect();
            levels.push(above);
        }
        Self { salt: network.salt, clusters, levels }
    }

    /// The leaf that a replica comes to. A node's label is its level and place, which never change as the tree grows.
    fn leaf(&self, draw: WeightedDraw, replica: u64) -> &FamilyCluster {
        let mut at = 0;
        for (level, below) in self.levels.iter().enumerate().rev().skip(1).map(|(level, below)| (level + 1, below)) {
            let (left, right) = (below[2 * at], below.get(2 * at + 1).copied().unwrap_or(0));
            let draw = draw.of(replica).of((level as u64) << 32 | at as u64);
            at = 2 * at + usize::from(!draw.chance(left, left + right));
        }
        &self.clusters[at]
    }
}

impl Placement for RushT {
    fn holders(&self, block: BlockId, copies: u8) -> Vec<MemberIndex> {
        let draw = WeightedDraw::new(self.salt, block);
        let place = |replica| {
            let cluster = self.leaf(draw, replica);
            let (draw, nodes) = (draw.of(cluster.label).of(u64::MAX), cluster.nodes.len() as u64);
            let node = (draw.of(2).below(nodes) + replica * draw.of(3).prime()) % nodes;
            cluster.nodes[node as usize]
        };
        (0..u64::from(copies)).map(place).collect()
    }
}
