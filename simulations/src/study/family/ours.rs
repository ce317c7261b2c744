//! Exact-share weighted RUSH: the production function itself.

use fsdfs_core::placement::{BlockHolder, ClusterMap};
use fsdfs_proto::ids::BlockId;

use super::placement::Placement;
use crate::study::network::{MemberIndex, OverlayNetwork};

pub(super) struct CurrentPlacement(ClusterMap);

impl CurrentPlacement {
    pub fn new(network: &OverlayNetwork) -> Self {
        Self(network.view())
    }
}

impl Placement for CurrentPlacement {
    fn holders(&self, block: BlockId, copies: u8) -> Vec<MemberIndex> {
        ids(&self.0.holders(block, copies))
    }

    fn order(&self, block: BlockId, copies: u8) -> Vec<MemberIndex> {
        ids(&self.0.order(block, copies))
    }
}

fn ids(holders: &[BlockHolder]) -> Vec<MemberIndex> {
    holders.iter().map(|holder| OverlayNetwork::member(holder.node)).collect()
}
