//! What a world with a seeded bug changes of what goes into an engine and what comes out of it.

use std::hash::{BuildHasher, RandomState};

use fsdfs_core::placement::ClusterMap;
use fsdfs_core::seam::{DiskRequest, Effect, GetOutcome, ReadDone, Reply};
use fsdfs_core::tree::TreeJob;
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::Possession;

use super::World;
use super::net::MachineId;
use super::seeded_bug::SeededBug;

impl World {
    /// From now on every node of this world has a bug.
    pub fn seed_bug(&mut self, bug: Option<SeededBug>) {
        self.tampering.bug = bug;
    }

    pub(super) fn has_bug(&self, bug: SeededBug) -> bool {
        self.tampering.bug == Some(bug)
    }

    /// What an engine with the bug would have wanted done.
    pub(super) fn tamper(&mut self, machine: MachineId, effects: &mut [Effect]) {
        match self.tampering.bug {
            Some(SeededBug::HashOrder) => in_hash_order(effects),
            Some(SeededBug::OlderHeads | SeededBug::MajorityRead | SeededBug::NoRenewal) => {
                effects.iter_mut().for_each(|effect| self.tamper_one(machine, effect));
            }
            _ => {}
        }
    }

    fn tamper_one(&mut self, machine: MachineId, effect: &mut Effect) {
        match (self.tampering.bug, effect) {
            (Some(SeededBug::NoRenewal), Effect::Disk { request: DiskRequest::Have { renew, .. }, .. }) => {
                *renew = None;
            }
            (Some(SeededBug::OlderHeads), Effect::Work { job, .. }) => {
                if let TreeJob::Query(job) = &mut **job {
                    self.tampering.take_older_heads(machine, job);
                }
            }
            (Some(SeededBug::MajorityRead), Effect::Reply { reply: Reply::GetBlock(outcome), .. }) => {
                if matches!(outcome, GetOutcome::Found(block) if !self.majority_is_connected(machine, block.id())) {
                    *outcome = GetOutcome::NotFound { away: Vec::new(), nowhere: false };
                }
            }
            _ => {}
        }
    }

    /// Whether a machine is connected to most of the servers that a block is assigned to, itself included.
    fn majority_is_connected(&self, machine: MachineId, block: BlockId) -> bool {
        let here = &self.machines[machine];
        let Some(process) = &here.process else { return false };
        let facts = process.engine.facts();
        let holders = ClusterMap::new(facts.servers()).holders(block, facts.rules().copies);
        let near = holders.iter().filter(|holder| holder.node == here.node || here.conn(holder.node).is_some());
        2 * near.count() > holders.len()
    }

    /// What a store without checksums reads from a rotten record.
    pub(super) fn read_unchecked(&self, machine: MachineId, request: &DiskRequest) -> Option<ReadDone> {
        let DiskRequest::Read { id } = request else { return None };
        let disks = self.machines[machine].store.disks.iter().filter(|disk| !disk.fails);
        let record = disks.filter_map(|disk| disk.records.get(id)).find(|record| record.damaged)?;
        let mut bytes = record.block.bytes().to_vec();
        *bytes.last_mut().expect("no block is empty") ^= 1;
        Some(ReadDone::Found(Block::new(bytes.into())))
    }

    /// What a store says about blocks while its index is being rebuilt.
    pub(super) fn unknown_yet(&self) -> Possession {
        if self.has_bug(SeededBug::NoneForNotYet) { Possession::No } else { Possession::NotYet }
    }
}

/// The order differs from run to run.
fn in_hash_order(effects: &mut [Effect]) {
    let state = RandomState::new();
    effects.sort_by_key(|effect| match effect {
        Effect::Send { to, .. } => state.hash_one(to),
        _ => 0,
    });
}
