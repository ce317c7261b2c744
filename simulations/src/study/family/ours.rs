//! Exact-share weighted RUSH: the production function itself.

use fsdfs_core::placement::{BlockHolder, ClusterMap};
use fsdfs_proto::ids::BlockId;

use super::{Id, Network, Placement};

pub(super) struct Ours(ClusterMap);

impl Ours {
    pub fn new(network: &Network) -> Self {
        Self(network.view())
    }
}

impl Placement for Ours {
    fn holders(&self, block: BlockId, copies: u8) -> Vec<Id> {
        ids(&self.0.holders(block, copies))
    }

    fn order(&self, block: BlockId, copies: u8) -> Vec<Id> {
        ids(&self.0.order(block, copies))
    }
}

fn ids(holders: &[BlockHolder]) -> Vec<Id> {
    holders.iter().map(|holder| Network::member(holder.node)).collect()
}
