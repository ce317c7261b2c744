//! The family album: RUSH_P, RUSH_R, RUSH_T and straw2 beside the function that fsdfs uses. They are there to be compared
//! with; nothing outside the studies knows this trait.

mod draw;
mod ours;
mod rush_p;
mod rush_r;
mod rush_t;
mod straw;

use std::collections::BTreeMap;

use fsdfs_proto::ids::BlockId;

use super::network::{MemberIndex, OverlayNetwork};

/// A placement function, prepared for one state of a pool.
pub trait Placement: Sync {
    /// The members that hold a block. Fewer than `copies`, or one of them twice, where the pool breaks the function's constraints.
    fn holders(&self, block: BlockId, copies: u8) -> Vec<MemberIndex>;

    /// The members in the order in which a reader asks them; only the holders if the function knows no further.
    fn order(&self, block: BlockId, copies: u8) -> Vec<MemberIndex> {
        self.holders(block, copies)
    }
}

/// Who is in the album.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlacementKind {
    /// The production function of fsdfs.
    Ours,
    /// Ceph's.
    Straw2,
    /// 2003, with primes.
    RushP,
    /// 2004, made for removals.
    RushR,
    /// 2004, a tree.
    RushT,
}

impl PlacementKind {
    /// All of them, ours first.
    pub const ALL: [Self; 5] = [Self::Ours, Self::Straw2, Self::RushP, Self::RushR, Self::RushT];

    /// What it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "fsdfs",
            Self::Straw2 => "straw2",
            Self::RushP => "RUSH_P",
            Self::RushR => "RUSH_R",
            Self::RushT => "RUSH_T",
        }
    }

    /// The function for this state of a pool.
    pub fn prepare(self, network: &OverlayNetwork) -> Box<dyn Placement> {
        match self {
            Self::Ours => Box::new(ours::CurrentPlacement::new(network)),
            Self::Straw2 => Box::new(straw::Straw2::new(network)),
            Self::RushP => Box::new(rush_p::RushP::new(network)),
            Self::RushR => Box::new(rush_r::RushR::new(network)),
            Self::RushT => Box::new(rush_t::RushT::new(network)),
        }
    }
}

/// Servers of one size that came together. The unit in which the RUSH papers think.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FamilyCluster {
    /// Its first server's number: its own, in whatever order clusters are heard of.
    label: u64,
    /// Empty if all have left.
    nodes: Vec<MemberIndex>,
    /// Of each of them: the mean, should they differ.
    weight: u64,
}

impl FamilyCluster {
    /// In order of joining, those that have been left by all included.
    fn all(network: &OverlayNetwork) -> Vec<Self> {
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
    fn live(network: &OverlayNetwork) -> Vec<Self> {
        let mut clusters = Self::all(network);
        clusters.retain(|cluster| !cluster.nodes.is_empty());
        clusters
    }

    fn total(&self) -> u64 {
        self.weight * self.nodes.len() as u64
    }
}

#[cfg(test)]
mod tests;
