//! The map prepared for placement: live disks only, in id order, with their seeds and sums (spec 03-placement §1).

use std::collections::BTreeMap;
use std::ops::Range;

use fsdfs_proto::ids::{BlockId, DiskId, NodeId};
use fsdfs_proto::placement::position;

use super::math::{PlacementKey, product};
use super::server::{BlockHolder, MapServer};

/// How disks and sites get their seeds. Tests run the published small examples with seeds of their own.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeedFunctions {
    pub disk: fn(DiskId) -> u64,
    pub site: fn(Option<NodeId>, &str) -> u64,
    pub branch: fn(NodeId) -> u64,
}

/// What is live, site by site, server by server; what draining, missing disks and weight 0 leave out is not in here.
#[derive(Clone, Debug, Default)]
pub(super) struct LiveSites {
    pub sites: Vec<LiveSite>,
    pub servers: Vec<LiveServer>,
    pub disks: Vec<LiveDisk>,
}

/// Servers that one site failure takes together.
#[derive(Clone, Debug)]
pub(super) struct LiveSite {
    pub seed: u64,
    /// The branch that it belongs to. The sites of a branch stand together, behind those without one.
    pub branch: Option<SiteBranch>,
    pub weight: u64,
    /// In [`LiveSites::servers`], never empty.
    pub servers: Range<usize>,
    /// In [`LiveSites::disks`], never empty.
    pub disks: Range<usize>,
}

/// An invitation branch for which nobody vouches, as its sites name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SiteBranch {
    id: NodeId,
    pub seed: u64,
}

/// A server with at least one live disk.
#[derive(Clone, Debug)]
pub(super) struct LiveServer {
    pub id: NodeId,
    pub weight: u64,
    /// In [`LiveSites::disks`], never empty.
    pub disks: Range<usize>,
    /// Where candidates are looked for.
    position: [u8; 32],
}

#[derive(Clone, Copy, Debug)]
pub(super) struct LiveDisk {
    pub weight: u64,
    pub seed: u64,
    id: DiskId,
    server: usize,
}

/// When a disk comes up for a block: after the time `e / weight`.
#[derive(Clone, Copy, Debug)]
pub(super) struct DiskArrival {
    pub e: u64,
    pub weight: u64,
    /// In [`LiveSites::disks`].
    pub disk: usize,
}

impl LiveSites {
    pub fn new(servers: &[MapServer], seeds: SeedFunctions) -> Self {
        let mut by_site: BTreeMap<(Option<NodeId>, &str), Vec<&MapServer>> = BTreeMap::new();
        for server in servers.iter().filter(|server| server.disks.iter().any(|disk| disk.weight > 0)) {
            by_site.entry((server.branch, &server.site)).or_default().push(server);
        }
        let mut sites = Self::default();
        for ((branch, name), mut servers) in by_site {
            servers.sort_by_key(|server| server.id);
            let seed = (seeds.site)(branch, name);
            sites.open(seed, branch.map(|id| SiteBranch { id, seed: (seeds.branch)(id) }));
            for server in servers {
                let live = server.disks.iter().filter(|disk| disk.weight > 0);
                let spindle =
                    |id, weight: u32| LiveDisk { weight: weight.into(), seed: (seeds.disk)(id), id, server: 0 };
                sites.add(server.id, position(server.id), live.map(|disk| spindle(disk.id, disk.weight)));
            }
        }
        sites
    }

    /// The `most` live servers nearest to a block (spec 03-placement §5); sites are formed of these only.
    pub fn near(&self, block: BlockId, most: usize) -> Self {
        let distance = |(place, server): (usize, &LiveServer)| (server.distance(block), place);
        let mut chosen: Vec<([u8; 32], usize)> = self.servers.iter().enumerate().map(distance).collect();
        if most < chosen.len() {
            chosen.select_nth_unstable(most);
            chosen.truncate(most);
        }
        chosen.sort_unstable_by_key(|(_, place)| *place);
        let mut chosen = chosen.into_iter().map(|(_, place)| place).peekable();
        let mut near = Self::default();
        for site in &self.sites {
            if chosen.peek().is_some_and(|place| site.servers.contains(place)) {
                near.open(site.seed, site.branch);
            }
            while let Some(place) = chosen.next_if(|place| site.servers.contains(place)) {
                let LiveServer { id, position, ref disks, .. } = self.servers[place];
                near.add(id, position, self.disks[disks.clone()].iter().copied());
            }
        }
        near
    }

    /// The branches with several live sites: one of one site cannot hold two copies of a block.
    pub fn branches(&self) -> Vec<Range<usize>> {
        let mut branches: Vec<Range<usize>> = Vec::new();
        for (place, site) in self.sites.iter().enumerate().filter(|(_, site)| site.branch.is_some()) {
            match branches.last_mut() {
                Some(last) if self.sites[last.start].branch == site.branch => last.end = place + 1,
                _ => branches.push(place..place + 1),
            }
        }
        branches.retain(|branch| branch.len() > 1);
        branches
    }

    /// The disks of sites that stand together.
    pub fn disks_of(&self, sites: &Range<usize>) -> Range<usize> {
        self.sites[sites.start].disks.start..self.sites[sites.end - 1].disks.end
    }

    /// The best disk of each server, in the order of [`LiveSites::servers`].
    pub fn arrivals(&self, key: PlacementKey) -> Vec<DiskArrival> {
        self.servers.iter().map(|server| self.first(server.disks.clone(), key)).collect()
    }

    /// The disk that arrives first among those of one server or one site, none of which is empty.
    pub fn first(&self, disks: Range<usize>, key: PlacementKey) -> DiskArrival {
        let arrive = |disk: usize| {
            let LiveDisk { weight, seed, .. } = self.disks[disk];
            DiskArrival { e: key.exponential(seed), weight, disk }
        };
        // Within a site the disks stand in the order in which ties are decided: the earlier of equals stays.
        let earlier = |first: DiskArrival, next: DiskArrival| if next.is_before(&first) { next } else { first };
        disks.map(arrive).reduce(earlier).expect("a live server has a live disk")
    }

    /// Earlier first; on a tie the smaller server id, then the smaller disk id.
    pub fn sort(&self, arrivals: &mut [DiskArrival]) {
        let ids = |arrival: &DiskArrival| self.holder(arrival);
        arrivals.sort_by(|x, y| product(x.e, y.weight).cmp(&product(y.e, x.weight)).then_with(|| ids(x).cmp(&ids(y))));
    }

    pub fn holder(&self, arrival: &DiskArrival) -> BlockHolder {
        let LiveDisk { id, server, .. } = self.disks[arrival.disk];
        BlockHolder { node: self.servers[server].id, disk: id }
    }

    /// Begins a site; the servers added next belong to it.
    fn open(&mut self, seed: u64, branch: Option<SiteBranch>) {
        let (server, disk) = (self.servers.len(), self.disks.len());
        self.sites.push(LiveSite { seed, branch, weight: 0, servers: server..server, disks: disk..disk });
    }

    fn add(&mut self, id: NodeId, position: [u8; 32], disks: impl Iterator<Item = LiveDisk>) {
        let (server, start) = (self.servers.len(), self.disks.len());
        self.disks.extend(disks.map(|disk| LiveDisk { server, ..disk }));
        let disks = start..self.disks.len();
        let weight = self.disks[disks.clone()].iter().map(|disk| disk.weight).sum();
        let site = self.sites.last_mut().expect("a site was opened");
        (site.servers.end, site.disks.end) = (server + 1, disks.end);
        site.weight += weight;
        self.servers.push(LiveServer { id, weight, disks, position });
    }
}

impl LiveServer {
    fn distance(&self, block: BlockId) -> [u8; 32] {
        std::array::from_fn(|byte| self.position[byte] ^ block.0[byte])
    }
}

impl DiskArrival {
    pub fn is_before(&self, other: &Self) -> bool {
        product(self.e, other.weight) < product(other.e, self.weight)
    }
}
