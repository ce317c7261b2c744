//! The pool that a plan is made for: its map, and its blocks as far as they were listed.

use std::collections::BTreeMap;

use fsdfs_proto::ids::NodeId;

use super::blocks::BlockSample;
use crate::placement::{ClusterMap, DataMovement, PlacementRule};
use crate::report::{Inventory, NodeInventory};

/// Uplink of a member that does not tell it, in bytes per second: 40 Mbit/s, a usual line with which friends share disks.
pub const UPLINK_ASSUMED: u64 = 5_000_000;

/// A pool as plans see it.
#[derive(Clone, Debug)]
pub struct PoolSnapshot {
    /// Map, number of copies, what could be heard.
    pub inventory: Inventory,
    /// The inventory's blocks.
    pub blocks: BlockSample,
    /// Bytes of a unit of weight.
    pub unit_bytes: u64,
    /// Bytes per second upwards, of members that tell.
    pub uplinks: BTreeMap<NodeId, u64>,
}

/// What fits into a map at a number of copies. Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolCapacity {
    /// N.
    pub copies: u8,
    /// What all servers give.
    pub given: u64,
    /// What fits, every block counted once.
    pub usable: u64,
    /// N less the servers there are.
    pub copies_short: u8,
    /// Copies less the sites there are.
    pub sites_short: u8,
    /// What can never be used, by server.
    pub stranded: BTreeMap<NodeId, u64>,
}

impl PoolSnapshot {
    /// From an inventory. Members whose lists cannot be true count as silent.
    pub fn new(inventory: Inventory, unit_bytes: u64, uplinks: BTreeMap<NodeId, u64>) -> Self {
        let mut pool = Self { inventory, blocks: BlockSample::of(&[]), unit_bytes, uplinks };
        let holdings = std::mem::take(&mut pool.inventory.holdings);
        let (credible, incredible): (Vec<NodeInventory>, Vec<NodeInventory>) =
            holdings.into_iter().partition(|holding| pool.is_credible(holding));
        let liars = incredible.iter().map(|holding| holding.node);
        pool.inventory.silent.extend(liars.filter(|node| pool.inventory.view.server(*node).is_some()));
        pool.inventory.silent.sort_unstable();
        pool.inventory.holdings = credible;
        pool.blocks = BlockSample::of(&pool.inventory.holdings);
        pool
    }

    /// Whether a list that breaks off may stand for all that its sender holds. One member that told of a few small ids only would
    /// have everybody's lists cut there, and a pool of a few blocks taken for one of exabytes.
    ///
    /// Held against what all give, not its sender: that one may take nothing more and still hold what it took.
    fn is_credible(&self, holding: &NodeInventory) -> bool {
        /// The sender may have given more than all others do now.
        const TIMES: u64 = 4;
        holding.all
            || BlockSample::of(std::slice::from_ref(holding)).bytes()
                <= self.given(&self.inventory.view).saturating_mul(TIMES)
    }

    /// What all servers of a map give, bytes.
    fn given(&self, view: &ClusterMap) -> u64 {
        weights(view).map(|(_, weight)| weight).sum::<u64>().saturating_mul(self.unit_bytes)
    }

    /// Bytes per second upwards, and whether that is only assumed.
    pub fn uplink(&self, node: NodeId) -> (u64, bool) {
        self.uplinks.get(&node).map_or((UPLINK_ASSUMED, true), |uplink| ((*uplink).max(1), false))
    }

    /// The map as it is.
    pub fn rule(&self) -> PlacementRule<'_> {
        PlacementRule { view: &self.inventory.view, copies: self.inventory.copies }
    }

    /// What fits into a map.
    pub fn room(&self, rule: PlacementRule<'_>) -> PoolCapacity {
        let capacity = rule.view.capacity_bytes(rule.copies, self.unit_bytes);
        PoolCapacity {
            copies: rule.copies,
            given: self.given(rule.view),
            usable: capacity.usable,
            copies_short: capacity.copies_short,
            sites_short: capacity.sites_short,
            stranded: capacity.stranded.into_iter().collect(),
        }
    }

    /// Seconds until all has been sent, if every server sends its part as fast as it can.
    pub(super) fn seconds(&self, moves: &DataMovement, whole: impl Fn(u64) -> u64) -> u64 {
        let seconds = |(node, sends): (NodeId, u64)| whole(sends).div_ceil(self.uplink(node).0);
        moves.servers.iter().map(|(node, flow)| seconds((*node, flow.uploads))).max().unwrap_or(0)
    }
}

/// Every server and its weight in units.
pub(super) fn weights(view: &ClusterMap) -> impl Iterator<Item = (NodeId, u64)> {
    view.servers().iter().map(|server| (server.id, server.weight()))
}
