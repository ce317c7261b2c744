//! A machine: what survives a crash, and the process that does not.

use std::collections::{BTreeMap, VecDeque};

use fsdfs_core::engine::{Engine, Profile, Start};
use fsdfs_core::placement::MapServer;
use fsdfs_core::seam::{DiskRequest, Input, Token};
use fsdfs_proto::identity::{Cert, Role};
use fsdfs_proto::ids::{BlockId, Digest, NodeId};
use fsdfs_proto::message::RequestId;
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::VersionVector;

use crate::world::clock::MachineClock;
use crate::world::net::ConnId;
use crate::world::queue::Micros;
use crate::world::store::MachineStore;

/// A machine with a node on it.
pub struct Machine {
    /// Secret half of the node's key.
    pub key: [u8; 32],
    /// The node.
    pub node: NodeId,
    /// Its certificates, root first.
    pub chain: Vec<Signed<Cert>>,
    /// What came with its ticket.
    pub bootstrap: Vec<(NodeId, Vec<String>)>,
    /// What its card says.
    pub profile: Profile,
    /// Its clocks.
    pub clock: MachineClock,
    /// What is durable.
    pub store: MachineStore,
    /// Images of it, oldest first.
    pub backups: Vec<MachineStore>,
    /// The home folder came from elsewhere since the last start.
    pub may_be_restored_copy: bool,
    /// It will never run again.
    pub gone: bool,
    /// Stopped as by SIGSTOP: nothing is processed, links stay up.
    pub frozen: bool,
    /// It is a copy of another machine.
    pub duplicate: bool,
    /// What came while frozen, and what a look in it was based on.
    pub inbox: VecDeque<(Input, Option<VersionVector>)>,
    /// Counts starts, so that what was under way for one does not reach the next.
    pub boot: u64,
    /// The index is rebuilt until then: the store cannot say what it has.
    pub index_ready: Micros,
    /// The maps that were in use somewhere when its node last had copies deleted.
    pub maps_at_deletion: BTreeMap<Digest, Vec<MapServer>>,
    /// The running node.
    pub process: Option<RunningNode>,
}

/// Leases to be renewed.
pub struct LeaseRequest {
    /// Of these blocks.
    pub ids: Vec<BlockId>,
    /// Renewals of the store before it was asked.
    pub before: u64,
}

/// A running node. Dropping it is the crash.
pub struct RunningNode {
    /// Its decisions.
    pub engine: Engine,
    /// When it is to be called next.
    pub wake: Option<Micros>,
    /// Renewals it was asked for and has not answered.
    pub leases: BTreeMap<(NodeId, RequestId), LeaseRequest>,
    /// Consecutive calls without progress of the monotonic clock.
    pub spins: u32,
    /// Its connections, by peer.
    pub peers: BTreeMap<NodeId, ConnId>,
    /// Requests its store works on, in the order in which they came; no token: its answer was given already.
    pub pending: BTreeMap<u64, (DiskRequest, Option<Token>)>,
    /// Requests so far.
    pub requests: u64,
    /// When the writer thread is free.
    pub writer_free: Micros,
}

impl Machine {
    /// A machine that is off, with empty disks.
    pub fn new(key: [u8; 32], node: NodeId, chain: Vec<Signed<Cert>>, profile: Profile, clock: MachineClock) -> Self {
        Self {
            key,
            node,
            chain,
            bootstrap: Vec::new(),
            profile,
            clock,
            store: MachineStore::default(),
            backups: Vec::new(),
            may_be_restored_copy: false,
            gone: false,
            frozen: false,
            duplicate: false,
            inbox: VecDeque::new(),
            boot: 0,
            index_ready: 0,
            maps_at_deletion: BTreeMap::new(),
            process: None,
        }
    }

    /// Another machine with the same identity and the same durable state, switched off.
    pub fn copy(&self) -> Self {
        let (chain, profile, bootstrap) = (self.chain.clone(), self.profile.clone(), self.bootstrap.clone());
        let store = self.store.clone();
        Self { bootstrap, store, ..Self::new(self.key, self.node, chain, profile, self.clock) }
    }

    /// Whether commands get answers here.
    pub fn runs(&self) -> bool {
        self.process.is_some() && !self.frozen
    }

    /// What its member may do.
    pub fn role(&self) -> Role {
        self.chain.last().map_or(Role::StorageOnly, |own| own.value().role)
    }

    /// The connection to a peer, as this machine sees it.
    pub fn conn(&self, node: NodeId) -> Option<ConnId> {
        self.process.as_ref()?.peers.get(&node).copied()
    }

    /// What its process is started with.
    pub fn start(&mut self, common: &Start) -> Start {
        Start {
            key: self.key,
            chain: self.chain.clone(),
            bootstrap: self.bootstrap.clone(),
            entries: self.store.logs(),
            profile: self.profile.clone(),
            disks: self.store.disks.iter().map(crate::world::store::SimulatedDisk::state).collect(),
            may_be_restored_copy: std::mem::take(&mut self.may_be_restored_copy),
            ..common.clone()
        }
    }
}

impl RunningNode {
    /// A process that has just started.
    pub fn new(engine: Engine) -> Self {
        let (peers, pending) = (BTreeMap::new(), BTreeMap::new());
        Self { engine, wake: None, leases: BTreeMap::new(), spins: 0, peers, pending, requests: 0, writer_free: 0 }
    }
}
