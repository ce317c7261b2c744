//! The map that placement reads, prepared once per set of servers, and what can be asked of it.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::placement::{branch_seed, disk_seed, site_seed};

use super::capacity::{self, MapCapacity, ServerLoad};
use super::math::PlacementKey;
use super::rush;
use super::server::{BlockHolder, MapServer};
use super::sites::{LiveSites, SeedFunctions};
use super::targets::CopyTargets;

/// Copies of a block at most.
pub const COPIES_MAX: u8 = 32;

/// Servers among which a block's holders are chosen; above that, the nearest to the block by XOR.
///
/// Far above a circle of friends: it bounds the work. A cut doubles what moves on a join (spec 03-placement §5).
pub const CANDIDATES_MAX: usize = 1024;

/// The view that placement reads, prepared once per map: seeds and sums at once, targets per number of copies on first use.
#[derive(Clone, Debug)]
pub struct ClusterMap {
    pub(super) servers: Vec<MapServer>,
    pub(super) sites: LiveSites,
    /// By copies. Computed from `sites` alone, so it makes no difference when.
    targets: [OnceLock<CopyTargets>; COPIES_MAX as usize + 1],
}

impl Default for ClusterMap {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl PartialEq for ClusterMap {
    fn eq(&self, other: &Self) -> bool {
        self.servers == other.servers
    }
}

impl Eq for ClusterMap {}

impl ClusterMap {
    /// In any order; equal sets give equal views. Ids of servers and of disks are distinct.
    pub fn new(servers: Vec<MapServer>) -> Self {
        Self::with_seeds(servers, SeedFunctions { disk: disk_seed, site: site_seed, branch: branch_seed })
    }

    pub(super) fn with_seeds(mut servers: Vec<MapServer>, seeds: SeedFunctions) -> Self {
        servers.sort_by_key(|server| server.id);
        for server in &mut servers {
            server.disks.sort_by_key(|disk| disk.id);
        }
        let sites = LiveSites::new(&servers, seeds);
        Self { servers, sites, targets: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// All servers, live or not, in id order.
    pub fn servers(&self) -> &[MapServer] {
        &self.servers
    }

    /// The server with this id.
    pub fn server(&self, id: NodeId) -> Option<&MapServer> {
        let found = self.servers.binary_search_by_key(&id, |server| server.id).ok()?;
        Some(&self.servers[found])
    }

    /// The assigned holders of a block, best first: min(N, servers) distinct servers. N above [`COPIES_MAX`] counts as that.
    pub fn holders(&self, id: BlockId, copies: u8) -> Vec<BlockHolder> {
        match self.candidates(id) {
            None => assigned(&self.sites, self.targets(copies), id),
            Some(near) => assigned(&near, &CopyTargets::new(&near, copies.min(COPIES_MAX)), id),
        }
    }

    /// All live servers in the order in which to ask or use them: first the assigned holders, then the rest in e/w order.
    pub fn order(&self, id: BlockId, copies: u8) -> Vec<BlockHolder> {
        let mut order = self.holders(id, copies);
        let holders: BTreeSet<NodeId> = order.iter().map(|holder| holder.node).collect();
        let mut rest = self.sites.arrivals(PlacementKey::of(id.as_bytes()));
        self.sites.sort(&mut rest);
        let mut rest: Vec<BlockHolder> = rest.iter().map(|arrival| self.sites.holder(arrival)).collect();
        rest.retain(|holder| !holders.contains(&holder.node));
        if let Some(near) = self.candidates(id) {
            let near: BTreeSet<NodeId> = near.servers.iter().map(|server| server.id).collect();
            rest.sort_by_key(|holder| !near.contains(&holder.node));
        }
        order.extend(rest);
        order
    }

    /// What fits, in whole units (spec 03-placement §6).
    pub fn capacity(&self, copies: u8) -> MapCapacity {
        MapCapacity::new(&self.sites, self.targets(copies), copies.min(COPIES_MAX), 1)
    }

    /// What fits in bytes, if a unit has so many. Whole units would be a seventh too few in a pool of small disks that holds just under
    /// seven of them. What only rounding strands, less than a millionth of a server, is left out.
    pub fn capacity_bytes(&self, copies: u8, unit: u64) -> MapCapacity {
        let mut capacity = MapCapacity::new(&self.sites, self.targets(copies), copies.min(COPIES_MAX), unit);
        let given = |node| self.server(node).map_or(0, MapServer::weight).saturating_mul(unit);
        capacity.stranded.retain(|(node, bytes)| *bytes > given(*node) >> 20);
        capacity.too_large.retain(|node| capacity.stranded.iter().any(|(stranded, _)| stranded == node));
        capacity
    }

    /// What every live server is to expect, in id order. Above [`CANDIDATES_MAX`] servers, and there only, it is an approximation.
    pub fn loads(&self, copies: u8) -> Vec<ServerLoad> {
        capacity::loads(&self.sites, self.targets(copies))
    }

    /// The servers among which this block's holders are chosen, if not all are.
    pub(super) fn candidates(&self, id: BlockId) -> Option<LiveSites> {
        (self.sites.servers.len() > CANDIDATES_MAX).then(|| self.sites.near(id, CANDIDATES_MAX))
    }

    /// The `most` live servers that are nearest to a block: those among which its holders are chosen if `most` is
    /// [`CANDIDATES_MAX`]. In map order.
    pub fn nearest(&self, id: BlockId, most: usize) -> Vec<NodeId> {
        self.sites.near(id, most).servers.iter().map(|server| server.id).collect()
    }

    pub(super) fn targets(&self, copies: u8) -> &CopyTargets {
        let copies = copies.min(COPIES_MAX);
        self.targets[usize::from(copies)].get_or_init(|| CopyTargets::new(&self.sites, copies))
    }
}

fn assigned(sites: &LiveSites, targets: &CopyTargets, id: BlockId) -> Vec<BlockHolder> {
    let arrivals = rush::place(sites, targets, PlacementKey::of(id.as_bytes()));
    arrivals.iter().map(|arrival| sites.holder(arrival)).collect()
}
