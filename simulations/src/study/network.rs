//! Pools as the placement functions see them: who gives how much, where, and in which order they came.

use fsdfs_core::placement::{self, ClusterMap};
use fsdfs_proto::ids::{BlockId, DiskId, NodeId};

/// Units of weight of a terabyte. A unit is a MiB, so that rounding is far below what is measured.
pub const TB: u32 = 1_000_000;

/// A member's number in its network; kept for ever, also by those that left.
pub type MemberIndex = usize;

/// A server. One that left stays in the list without disks: functions with a history still need to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkMember {
    /// The site it stands in.
    pub site: usize,
    /// Sizes of its disks in units; equal in a batch.
    pub disks: Vec<u32>,
    /// Servers bought together: the sub-cluster of the RUSH papers. Later ones have greater numbers.
    pub batch: usize,
}

/// Members in the order in which they joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayNetwork {
    /// Makes the pseudo-random numbers of two networks different.
    pub salt: u64,
    /// By [`MemberIndex`].
    pub members: Vec<NetworkMember>,
}

impl NetworkMember {
    /// What it gives, in units.
    pub fn weight(&self) -> u64 {
        self.disks.iter().copied().map(u64::from).sum()
    }
}

impl OverlayNetwork {
    /// Sites with one server with one disk each, of these sizes. Neighbours of equal size are a batch.
    pub fn separate(salt: u64, sizes: &[u32]) -> Self {
        let mut network = Self { salt, members: Vec::new() };
        for (site, size) in sizes.iter().enumerate() {
            let last = network.members.last();
            let batch = last.map_or(0, |last| last.batch + usize::from(last.disks != [*size]));
            network.members.push(NetworkMember { site, disks: vec![*size], batch });
        }
        network
    }

    /// Servers of random sizes around 2 TB, log-normal, spread over the sites in turn.
    pub fn random(salt: u64, servers: usize, sites: usize, sigma: f64) -> Self {
        let mut dice = fastrand::Rng::with_seed(salt);
        let mut network = Self { salt, members: Vec::new() };
        for id in 0..servers {
            network.join(id % sites, random_size(&mut dice, sigma));
        }
        network
    }

    /// A server with one disk joins, a batch of its own.
    pub fn join(&mut self, site: usize, size: u32) {
        let batch = self.members.last().map_or(0, |last| last.batch + 1);
        self.members.push(NetworkMember { site, disks: vec![size], batch });
    }

    /// A site of its own for whoever comes next.
    pub fn new_site(&self) -> usize {
        self.members.iter().map(|member| member.site + 1).max().unwrap_or(0)
    }

    /// A server leaves for good.
    pub fn leave(&mut self, id: MemberIndex) {
        self.members[id].disks.clear();
    }

    /// Those that are there, in order of joining.
    pub fn live(&self) -> impl Iterator<Item = (MemberIndex, &NetworkMember)> {
        self.members.iter().enumerate().filter(|(_, member)| member.weight() > 0)
    }

    /// Sites in use, ascending.
    pub fn sites(&self) -> Vec<usize> {
        let mut sites: Vec<usize> = self.live().map(|(_, member)| member.site).collect();
        sites.sort_unstable();
        sites.dedup();
        sites
    }

    /// All that is given, in units.
    pub fn total(&self) -> u64 {
        self.live().map(|(_, member)| member.weight()).sum()
    }

    /// As the production code sees it.
    pub fn view(&self) -> ClusterMap {
        self.view_of(self.live().map(|(id, _)| id))
    }

    /// Only these members, as the production code sees them.
    pub fn view_of(&self, ids: impl IntoIterator<Item = MemberIndex>) -> ClusterMap {
        ClusterMap::new(ids.into_iter().map(|id| self.server(id, &self.members[id])).collect())
    }

    fn server(&self, id: MemberIndex, member: &NetworkMember) -> placement::MapServer {
        let disk = |(number, weight): (usize, &u32)| placement::MapDisk {
            id: DiskId(join(self.salt, (id as u64) << 8 | number as u64)),
            weight: *weight,
        };
        placement::MapServer {
            id: self.node(id),
            // Placement draws with the name: another text would be another pool.
            site: format!("house {} of {:x}", member.site, self.salt),
            branch: None,
            disks: member.disks.iter().enumerate().map(disk).collect(),
        }
    }

    /// A member's node id. [`OverlayNetwork::member`] is the way back.
    pub fn node(&self, id: MemberIndex) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&join(self.salt, id as u64));
        NodeId(bytes)
    }

    /// Whose node id this is.
    pub fn member(node: NodeId) -> MemberIndex {
        let bytes = node.0[8..16].try_into().expect("eight bytes");
        u64::from_be_bytes(bytes) as MemberIndex
    }
}

/// A random size around 2 TB, at least 10 GB.
pub fn random_size(dice: &mut fastrand::Rng, sigma: f64) -> u32 {
    let size = 2.0 * f64::from(TB) * libm::exp(sigma * gauss(dice));
    (size as u32).max(TB / 100)
}

/// The numbered block of a study: ids are hashes, so any uniform bytes will do.
pub fn block(seed: u64, number: u64) -> BlockId {
    let mut id = [0; 32];
    fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).fill(&mut id);
    BlockId(id)
}

/// A normal deviate, by Box and Muller.
fn gauss(dice: &mut fastrand::Rng) -> f64 {
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - dice.f64()));
    radius * libm::cos(std::f64::consts::TAU * dice.f64())
}

fn join(first: u64, second: u64) -> [u8; 16] {
    (u128::from(first) << 64 | u128::from(second)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_equal_size_are_a_batch() {
        let network = OverlayNetwork::separate(1, &[4, 2, 2, 1, 1, 4]);
        let batches: Vec<usize> = network.members.iter().map(|member| member.batch).collect();
        assert_eq!(batches, [0, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn node_ids_lead_back_to_members() {
        let network = OverlayNetwork::random(7, 5, 2, 1.0);
        assert!((0..5).all(|id| OverlayNetwork::member(network.node(id)) == id));
        assert_eq!(network.sites(), [0, 1]);
    }
}
