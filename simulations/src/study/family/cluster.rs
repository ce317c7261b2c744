//! The unit in which the RUSH papers think.

use std::collections::BTreeMap;

use crate::study::network::{MemberIndex, OverlayNetwork};

/// Servers of one size that came together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyCluster {
    /// Its first server's number: its own, in whatever order clusters are heard of.
    pub label: u64,
    /// Empty if all have left.
    pub nodes: Vec<MemberIndex>,
    /// Of each of them: the mean, should they differ.
    pub weight: u64,
}

impl FamilyCluster {
    /// In order of joining, those that have been left by all included.
    pub fn all(network: &OverlayNetwork) -> Vec<Self> {
        let mut by_batch: BTreeMap<usize, Self> = BTreeMap::new();
        for (id, member) in network.members.iter().enumerate() {
            let new = || Self { label: id as u64, nodes: Vec::new(), weight: 0 };
            let cluster = by_batch.entry(member.batch).or_insert_with(new);
            if member.weight() > 0 {
                cluster.nodes.push(id);
                cluster.weight += member.weight();
            }
        }
        let mut clusters: Vec<Self> = by_batch.into_values().collect();
        for cluster in &mut clusters {
            cluster.weight /= (cluster.nodes.len() as u64).max(1);
        }
        clusters
    }

    /// Those that somebody is still in.
    pub fn live(network: &OverlayNetwork) -> Vec<Self> {
        let mut clusters = Self::all(network);
        clusters.retain(|cluster| !cluster.nodes.is_empty());
        clusters
    }

    pub fn total(&self) -> u64 {
        self.weight * self.nodes.len() as u64
    }
}
