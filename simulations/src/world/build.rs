//! How worlds begin.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_core::engine::{Patience, Profile, Start};
use fsdfs_core::tree::TreeParams;
use fsdfs_proto::identity::Role;
use fsdfs_proto::ids::{DiskNonce, Instance};
use fsdfs_proto::volume::NodeTarget;

use super::seeded_bug::Tampering;
use super::{MachineId, World};
use crate::trace::EventTrace;
use crate::users::OperationTable;
use crate::world::clock::MachineClock;
use crate::world::machine::Machine;
use crate::world::net::SimulatedNetwork;
use crate::world::observed::Observed;
use crate::world::pool::PoolKeys;
use crate::world::queue::EventQueue;
use crate::world::store::{MachineStore, SimulatedDisk};

/// Bytes of one unit of weight: data is small in here, disks are, too.
pub const UNIT_BYTES: u64 = 64 << 10;
/// Chunks and most blocks of folders go along chains of holders, short ones directly.
pub const RELAYED_BYTES_MIN: usize = 512;
/// An hour of history: a run of some minutes is a life of some days.
pub const HOUR_MS: u64 = 4_000;
/// Trees get deep from few files.
pub const SMALL: TreeParams = TreeParams {
    chunk_bytes: 1 << 10,
    inline_bytes: 100,
    fan_out: 4,
    nodes: NodeTarget { leaf_bytes: 512, interior_bytes: 512 },
    hour_ms: HOUR_MS,
};

impl World {
    /// A world without machines.
    pub fn empty(seed: u64, params: TreeParams, trace: EventTrace) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let pool = PoolKeys::found(rng.u64(..));
        let common = Start {
            pool: pool.id,
            key: [0; 32],
            chain: Vec::new(),
            bootstrap: Vec::new(),
            entries: Vec::new(),
            profile: Profile {
                name: String::new(),
                site: String::new(),
                addrs: Vec::new(),
                uplink: None,
                instance: Instance([0; 8]),
                flags: 0,
            },
            disks: Vec::new(),
            missing: Vec::new(),
            unit_bytes: UNIT_BYTES,
            seed: 0,
            may_be_restored_copy: false,
            params,
            relayed_bytes_min: RELAYED_BYTES_MIN,
            patience: Patience::DEFAULT,
            collects: true,
        };
        Self {
            at: 0,
            rng,
            machines: Vec::new(),
            net: SimulatedNetwork::default(),
            pool,
            operations: OperationTable::default(),
            tampering: Tampering::default(),
            hostile: BTreeMap::new(),
            observed: None,
            watches_status: false,
            pulls_asked: BTreeMap::new(),
            pulled: BTreeSet::new(),
            trace,
            looked: None,
            duplicate: None,
            queue: EventQueue::default(),
            common,
        }
    }

    /// A quiet world: each node in its own site, 100 Mbit/s, 10 ms apart, good clocks, one large disk each. All run.
    pub fn calm(seed: u64, nodes: usize) -> Self {
        let mut world = Self::empty(seed, SMALL, EventTrace::default());
        world.add_calm_nodes(nodes);
        world
    }

    /// The nodes of such a world. They run.
    pub fn add_calm_nodes(&mut self, nodes: usize) {
        for _ in 0..nodes {
            self.add_calm_machine();
        }
        (0..nodes).for_each(|id| self.restart(id));
    }

    /// One more machine as in a quiet world. It does not run yet.
    pub fn add_calm_machine(&mut self) -> MachineId {
        let site = self.add_site(12_500_000, |_| 10);
        self.add_machine(site, &[256], MachineClock::new(0, 0))
    }

    /// Machines that are built from now on only say what no state needs.
    pub fn collect_nothing(&mut self) {
        self.common.collects = false;
    }

    /// Nodes that start from now on wait so long for who is away.
    pub fn be_patient(&mut self, patience: Patience) {
        self.common.patience = patience;
    }

    /// Nodes that start from now on send blocks that are shorter to each holder directly.
    pub fn relay_from(&mut self, bytes: usize) {
        self.common.relayed_bytes_min = bytes;
    }

    /// A site with an uplink; `delay_ms` to each other site.
    pub fn add_site(&mut self, bytes_per_s: u64, mut delay_ms: impl FnMut(usize) -> u64) -> usize {
        let site = self.net.add_site(bytes_per_s);
        (0..site).for_each(|other| self.net.set_delay(site, other, delay_ms(other)));
        site
    }

    /// A full member's machine with disks of these sizes in units. The first founds the pool, the others were invited by it.
    pub fn add_machine(&mut self, site: usize, disk_units: &[u64], clock: MachineClock) -> MachineId {
        self.add_machine_as(Role::Full, site, disk_units, clock)
    }

    /// The same, of a member that may be one with fewer rights. The founder never is.
    pub fn add_machine_as(&mut self, role: Role, site: usize, disk_units: &[u64], clock: MachineClock) -> MachineId {
        let id = self.machines.len();
        let (key, node, chain) = self.pool.enrol(role);
        let disk =
            |units: &u64| SimulatedDisk::new(node, DiskNonce(self.rng.u128(..).to_be_bytes()), units * UNIT_BYTES);
        let disks = disk_units.iter().map(disk).collect();
        let home = if id == 0 { self.pool.founding() } else { Vec::new() };
        let bootstrap = if id == 0 { Vec::new() } else { vec![(self.machines[0].node, vec![address(0)])] };
        let profile = Profile {
            name: format!("node{id}"),
            site: format!("house{site}"),
            addrs: vec![address(id)],
            uplink: None,
            instance: Instance(self.random_bytes()),
            flags: 0,
        };
        let weight = disk_units.iter().sum();
        let store = MachineStore { home, disks, ..MachineStore::default() };
        self.net.add_machine(site);
        self.machines.push(Machine { bootstrap, store, ..Machine::new(key, node, chain, profile, clock) });
        self.observe(Observed::MachineAdded { machine: id, node, site, weight, duplicate: false });
        id
    }

    pub(super) fn random_bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill(&mut bytes);
        bytes
    }
}

fn address(id: MachineId) -> String {
    format!("node{id}.example:4000")
}
