//! Where the blocks are to lie, for every set of servers that are no more.

use std::sync::OnceLock;

use crate::study::family::PlacementKind;
use crate::study::network::{OverlayNetwork, block};

/// A set of servers, one bit each.
pub type MemberSet = u16;

/// The wanted holders of each block: of a sample that stands for all data.
pub struct PlacementPlan {
    network: OverlayNetwork,
    copies: u8,
    blocks: u64,
    seed: u64,
    /// By the set of dead servers, computed when first needed.
    holders: Vec<OnceLock<Vec<MemberSet>>>,
}

impl PlacementPlan {
    pub fn new(network: OverlayNetwork, copies: u8, blocks: u64, seed: u64) -> Self {
        let holders = (0..1 << network.members.len()).map(|_| OnceLock::new()).collect();
        Self { network, copies, blocks, seed, holders }
    }

    /// The production function's answer when these servers have left.
    pub fn holders(&self, dead: MemberSet) -> &[MemberSet] {
        self.holders[usize::from(dead)].get_or_init(|| {
            let mut network = self.network.clone();
            (0..network.members.len()).filter(|id| dead >> id & 1 == 1).for_each(|id| network.leave(id));
            let function = PlacementKind::Ours.prepare(&network);
            let set = |nr| function.holders(block(self.seed, nr), self.copies).iter().fold(0, |set, id| set | 1 << id);
            (0..self.blocks).map(set).collect()
        })
    }

    pub fn copies(&self) -> u32 {
        self.copies.into()
    }
}
