//! The map prepared for placement: live disks only, in id order, with their seeds and sums (spec 03-placement §1).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

use fsdfs_proto::ids::{BlockId, DiskId, NodeId};
use fsdfs_proto::placement::position;

use super::Server;
use super::math::Key;

/// How disks and sites get their seeds. Tests run the published small examples with seeds of their own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeds {
    pub disk: fn(DiskId) -> u64,
    pub site: fn(&str) -> u64,
}

/// The live servers, site by site; what draining, missing disks and weight 0 leave out is not in here.
#[derive(Clone, Debug, Default)]
pub(super) struct Sites {
    pub sites: Vec<Site>,
    pub servers: Vec<Live>,
}

/// Servers that burn together.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub seed: u64,
    pub weight: u64,
    /// Its servers in [`Sites::servers`], never empty.
    pub servers: Range<usize>,
}

/// A server with at least one live disk.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub id: NodeId,
    pub weight: u64,
    /// Where candidates are looked for.
    position: [u8; 32],
    disks: Vec<Spindle>,
}

#[derive(Clone, Debug)]
struct Spindle {
    id: DiskId,
    weight: u64,
    seed: u64,
}

/// When a disk comes up for a block: after the time `e / weight`. The least is a server's best disk and speaks for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub e: u64,
    pub weight: u64,
    pub node: NodeId,
    pub disk: DiskId,
}

impl Sites {
    pub fn new(servers: &[Server], seeds: Seeds) -> Self {
        let mut houses: BTreeMap<&str, Vec<Live>> = BTreeMap::new();
        for server in servers {
            if let Some(live) = Live::new(server, seeds) {
                houses.entry(&server.site).or_default().push(live);
            }
        }
        let mut sites = Self::default();
        for (name, mut servers) in houses {
            servers.sort_by_key(|server| server.id);
            sites.push((seeds.site)(name), servers);
        }
        sites
    }

    /// The `most` live servers nearest to a block (spec 03-placement §5); sites are formed of these only.
    pub fn near(&self, block: BlockId, most: usize) -> Self {
        let mut by_distance: Vec<usize> = (0..self.servers.len()).collect();
        by_distance.sort_by_key(|&server| distance(&self.servers[server].position, &block));
        by_distance.truncate(most);
        by_distance.sort_unstable();
        let mut near = Self::default();
        for site in &self.sites {
            let from = by_distance.partition_point(|&server| server < site.servers.start);
            let to = by_distance.partition_point(|&server| server < site.servers.end);
            let servers: Vec<Live> = by_distance[from..to].iter().map(|&server| self.servers[server].clone()).collect();
            if !servers.is_empty() {
                near.push(site.seed, servers);
            }
        }
        near
    }

    /// The best disk of each server, in the order of [`Sites::servers`].
    pub fn arrivals(&self, key: Key) -> Vec<Arrival> {
        self.servers.iter().map(|server| server.arrival(key)).collect()
    }

    fn push(&mut self, seed: u64, servers: Vec<Live>) {
        let weight = servers.iter().map(|server| server.weight).sum();
        let start = self.servers.len();
        self.servers.extend(servers);
        self.sites.push(Site { seed, weight, servers: start..self.servers.len() });
    }
}

impl Live {
    fn new(server: &Server, seeds: Seeds) -> Option<Self> {
        let disks: Vec<Spindle> = server
            .disks
            .iter()
            .filter(|disk| disk.weight > 0)
            .map(|disk| Spindle { id: disk.id, weight: disk.weight.into(), seed: (seeds.disk)(disk.id) })
            .collect();
        let weight = disks.iter().map(|disk| disk.weight).sum();
        let live = Self { id: server.id, weight, position: position(server.id), disks };
        (!live.disks.is_empty()).then_some(live)
    }

    fn arrival(&self, key: Key) -> Arrival {
        let arrive = |disk: &Spindle| Arrival {
            e: key.exponential(disk.seed),
            weight: disk.weight,
            node: self.id,
            disk: disk.id,
        };
        self.disks.iter().map(arrive).min_by(Arrival::order).expect("a live server has a live disk")
    }
}

impl Arrival {
    /// Earlier first; on a tie the smaller server id, then the smaller disk id.
    pub fn order(&self, other: &Self) -> Ordering {
        let crosswise = |x: u64, y: u64| u128::from(x) * u128::from(y);
        crosswise(self.e, other.weight)
            .cmp(&crosswise(other.e, self.weight))
            .then_with(|| (self.node, self.disk).cmp(&(other.node, other.disk)))
    }
}

fn distance(position: &[u8; 32], block: &BlockId) -> [u8; 32] {
    std::array::from_fn(|byte| position[byte] ^ block.0[byte])
}
