//! The machines of one node, side by side. What they are handed, the router and the answers decide.

use ed25519_dalek::SigningKey;
use fsdfs_proto::ids::DiskId;

use super::admin::{Assurances, DrainParts, Locates, ProofParts, Proofs, StatusParts, drained_disks};
use super::blocks::{
    Audits, BlockServer, Eviction, EvictionParts, Gets, Holdings, Inventories, Puts, Relays, Renewals, Repair,
    RepairParts, ReplicationLog,
};
use super::context::{Context, Identity};
use super::facts::{FactSync, Gossip, KeyRing, Liveness, OwnCard, PresenceWatch};
use super::net::Connections;
use super::space::{Collector, CollectorParts};
use super::start::Start;
use super::volume::{
    CommitParts, Commits, HeadQueries, LocalHeads, Rotation, StateFloor, TreeQueries, Unpublished, Writer,
};
use crate::seam::Now;

/// One node's decisions.
///
/// ```
/// use ed25519_dalek::SigningKey;
/// use fsdfs_core::engine::{Engine, Patience, Profile, Start};
/// use fsdfs_core::seam::{Command, Effect, Input, Now, Reply};
/// use fsdfs_core::tree::TreeParams;
/// use fsdfs_proto::identity::{founder_cert, pool_of};
/// use fsdfs_proto::ids::{Instance, NodeId};
///
/// let (root, key) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
/// let me = NodeId(key.verifying_key().to_bytes());
/// let start = Start {
///     pool: pool_of(&root),
///     key: key.to_bytes(),
///     chain: vec![founder_cert(pool_of(&root), &root, me)],
///     bootstrap: Vec::new(),
///     entries: Vec::new(),
///     profile: Profile { name: "first".into(), site: "home".into(), addrs: Vec::new(), uplink: None, flags: 0, instance: Instance([1; 8]) },
///     disks: Vec::new(),
///     missing: Vec::new(),
///     unit_bytes: 1 << 30,
///     seed: 1,
///     may_be_restored_copy: false,
///     params: TreeParams::DEFAULT,
///     relayed_bytes_min: fsdfs_core::limits::RELAYED_BYTES_MIN,
///     patience: Patience::DEFAULT,
///     collects: true,
/// };
/// let now = Now { mono: 0, wall: 1_800_000_000_000 };
/// let mut effects = Vec::new();
/// let mut engine = Engine::new(now, start, &mut effects);
/// engine.handle(now, Input::Command { op: 1, command: Command::Members }, &mut effects);
/// assert!(effects.iter().any(|effect| matches!(effect, Effect::Reply { op: 1, reply: Reply::Members(_) })));
/// assert!(engine.deadline().is_some(), "it wants to be called again, for its heartbeat");
/// ```
pub struct Engine {
    /// What all of them read, and the only way out.
    pub(super) cx: Context,

    // Net: who is connected.
    pub(super) connections: Connections,

    // Facts: what everybody knows.
    pub(super) gossip: Gossip,
    pub(super) sync: FactSync,
    pub(super) liveness: Liveness,
    pub(super) presence: PresenceWatch,
    pub(super) card: OwnCard,
    pub(super) key_ring: KeyRing,

    // Blocks: one block, N copies.
    pub(super) puts: Puts,
    pub(super) gets: Gets,
    pub(super) server: BlockServer,
    pub(super) relays: Relays,
    pub(super) holdings: Holdings,
    pub(super) replication: ReplicationLog,
    pub(super) repair: Repair,
    pub(super) audits: Audits,
    pub(super) eviction: Eviction,
    pub(super) inventories: Inventories,
    pub(super) renewals: Renewals,

    // Volume: trees that change.
    pub(super) heads: LocalHeads,
    pub(super) floor: StateFloor,
    pub(super) unpublished: Unpublished,
    pub(super) queries: HeadQueries,
    pub(super) tree_queries: TreeQueries,
    pub(super) writer: Writer,
    pub(super) commits: Commits,
    pub(super) rotation: Rotation,

    // Space: what no state needs any more.
    pub(super) collector: Collector,

    // Admin: what owners ask. The others of this floor are functions; they keep nothing.
    pub(super) locates: Locates,
    pub(super) assurances: Assurances,
    pub(super) proofs: Proofs,
}

impl Engine {
    /// All machines at their beginning, none of which knows anything yet.
    pub(super) fn without_past(now: Now, start: Start) -> Self {
        let Start {
            pool,
            key,
            bootstrap,
            profile,
            disks,
            unit_bytes,
            seed,
            params,
            relayed_bytes_min,
            patience,
            collects,
            ..
        } = start;
        let key = SigningKey::from_bytes(&key);
        Self {
            cx: Context::new(Identity { now, key, pool, params, relayed_bytes_min, bootstrap, seed, disks, collects }),
            connections: Connections::default(),
            gossip: Gossip::default(),
            sync: FactSync,
            liveness: Liveness::default(),
            presence: PresenceWatch::new(patience),
            card: OwnCard::new(profile, unit_bytes),
            key_ring: KeyRing::default(),
            puts: Puts::default(),
            gets: Gets::default(),
            server: BlockServer,
            relays: Relays::default(),
            holdings: Holdings::default(),
            replication: ReplicationLog::default(),
            repair: Repair::default(),
            audits: Audits::default(),
            eviction: Eviction::default(),
            inventories: Inventories::default(),
            renewals: Renewals::default(),
            heads: LocalHeads::default(),
            floor: StateFloor::default(),
            unpublished: Unpublished::default(),
            queries: HeadQueries::default(),
            tree_queries: TreeQueries::default(),
            writer: Writer::default(),
            commits: Commits::default(),
            rotation: Rotation::default(),
            collector: Collector::default(),
            locates: Locates::default(),
            assurances: Assurances::default(),
            proofs: Proofs::default(),
        }
    }

    /// Some block lacks a copy as far as this node knows, or it does not know yet.
    pub fn owes_copies(&self) -> bool {
        self.repair.pending(&self.replication) > 0 || self.repair.is_running(&self.cx, &self.holdings)
    }

    /// Disks of this node that are to be emptied one by one.
    pub fn drained_disks(&self) -> Vec<DiskId> {
        drained_disks(&self.cx)
    }

    /// Leases of what no commit names yet are to be renewed this often, in milliseconds: four times within the time for which holders
    /// keep it, so that three of them may fail.
    pub fn renew_every_ms(&self) -> u64 {
        u64::from(self.cx.facts.rules().garbage_grace_hours) * self.cx.params.hour_ms.max(1) / 4
    }

    /// What the report of this node's state is made of.
    pub(super) fn status_parts(&self) -> StatusParts<'_> {
        StatusParts {
            cx: &self.cx,
            liveness: &self.liveness,
            presence: &self.presence,
            heads: &self.heads,
            repair: &self.repair,
            replication: &self.replication,
            audits: &self.audits,
            gossip: &self.gossip,
            keys: &self.key_ring,
            relays: &self.relays,
            holdings: &self.holdings,
            card: &self.card,
            collector: &self.collector,
        }
    }

    /// Whatever would be lost with this node.
    pub(super) fn drain_parts(&self) -> DrainParts<'_> {
        DrainParts {
            cx: &self.cx,
            holdings: &self.holdings,
            puts: &self.puts,
            commits: &self.commits,
            heads: &self.heads,
            card: &self.card,
        }
    }

    /// A call to repair, with all that it works with.
    pub(super) fn repair<T>(&mut self, call: impl FnOnce(&mut Repair, &mut RepairParts<'_>) -> T) -> T {
        let mut parts = RepairParts {
            cx: &mut self.cx,
            holdings: &mut self.holdings,
            log: &mut self.replication,
            audits: &mut self.audits,
            puts: &self.puts,
            presence: &self.presence,
            liveness: &self.liveness,
        };
        call(&mut self.repair, &mut parts)
    }

    /// A call to eviction, with all that it works with.
    pub(super) fn evict<T>(&mut self, call: impl FnOnce(&mut Eviction, &mut EvictionParts<'_>) -> T) -> T {
        let mut parts = EvictionParts { cx: &mut self.cx, puts: &self.puts, log: &self.replication };
        call(&mut self.eviction, &mut parts)
    }

    /// A call to the collector, with all that it works with.
    pub(super) fn collecting<T>(&mut self, call: impl FnOnce(&mut Collector, &mut CollectorParts<'_>) -> T) -> T {
        let mut parts = CollectorParts {
            cx: &mut self.cx,
            gets: &mut self.gets,
            heads: &self.heads,
            floor: &self.floor,
            presence: &self.presence,
        };
        call(&mut self.collector, &mut parts)
    }

    /// A call to the proofs, with all that they work with.
    pub(super) fn proof<T>(&mut self, call: impl FnOnce(&mut Proofs, &mut ProofParts<'_>) -> T) -> T {
        let mut parts =
            ProofParts { cx: &mut self.cx, audits: &mut self.audits, gets: &mut self.gets, log: &mut self.replication };
        call(&mut self.proofs, &mut parts)
    }

    /// A call to the commits, with all that they work with.
    pub(super) fn commit<T>(&mut self, call: impl FnOnce(&mut Commits, &mut CommitParts<'_>) -> T) -> T {
        let mut parts = CommitParts {
            cx: &mut self.cx,
            gossip: &mut self.gossip,
            liveness: &self.liveness,
            gets: &mut self.gets,
            puts: &mut self.puts,
            heads: &mut self.heads,
            queries: &mut self.queries,
            writer: &mut self.writer,
        };
        call(&mut self.commits, &mut parts)
    }
}
