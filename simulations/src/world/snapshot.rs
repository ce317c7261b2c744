//! How the pool is at one moment, as plain data.

use std::collections::BTreeMap;

use fsdfs_proto::identity::{Fact, Role};
use fsdfs_proto::ids::{FactId, PublicKey};

use super::observed::{CopyState, NodeKnowledge, NodeSnapshot, PoolSnapshot};
use super::{MachineId, World};
use crate::world::heads::commit_of;
use crate::world::machine::{Machine, RunningNode};
use crate::world::store::MachineStore;
use crate::world::wording;

impl World {
    /// How the pool is now.
    pub fn snapshot(&self) -> PoolSnapshot {
        let counts = |(id, machine): &(MachineId, &Machine)| !machine.gone && !self.is_hostile(*id);
        let present = self.machines.iter().enumerate().filter(counts);
        PoolSnapshot {
            operations_open: self.operations.open.len(),
            all_connected: self.all_connected(),
            nodes: present.map(|(id, machine)| self.node_snapshot(id, machine)).collect(),
        }
    }

    fn node_snapshot(&self, id: MachineId, machine: &Machine) -> NodeSnapshot {
        NodeSnapshot {
            machine: id,
            runs: machine.runs(),
            room_bytes: machine.store.room_bytes(),
            failing: machine.store.disks.iter().filter(|disk| disk.fails).map(|disk| disk.id).collect(),
            knowledge: self.knowledge_of(machine),
        }
    }

    fn knowledge_of(&self, machine: &Machine) -> Option<NodeKnowledge> {
        let engine = &machine.process.as_ref()?.engine;
        let facts = engine.facts();
        Some(NodeKnowledge {
            facts: facts.gossip_digest(),
            map: facts.map_digest(),
            heads: facts.heads(self.pool.volume()).iter().map(commit_of).collect(),
            // A removed member's changes have nowhere to go.
            unpublished: engine.unpublished().next().is_some() && !facts.is_removed(machine.node),
            servers: facts.servers(),
        })
    }

    /// Facts that some honest nodes have and others lack.
    pub fn disputed_facts(&self) -> Vec<String> {
        let honest = self.machines.iter().enumerate().filter(|(id, machine)| !machine.gone && !self.is_hostile(*id));
        let engines = honest.filter_map(|(id, machine)| Some((id, &machine.process.as_ref()?.engine)));
        let engines: Vec<_> = engines.collect();
        let all = engines.iter().flat_map(|(_, engine)| engine.facts().all());
        let all: BTreeMap<FactId, &Fact> =
            all.filter(|fact| !matches!(fact, Fact::Heartbeat(_))).map(|fact| (fact.id(), fact)).collect();
        let lacking = |id: FactId| -> Vec<MachineId> {
            engines.iter().filter(|(_, engine)| engine.facts().get(&id).is_none()).map(|(id, _)| *id).collect()
        };
        let disputed = all.iter().map(|(id, fact)| (fact, lacking(*id))).filter(|(_, lacking)| !lacking.is_empty());
        disputed.map(|(fact, lacking)| format!("nodes {lacking:?} lack a {}", wording::fact(fact))).collect()
    }

    /// Whether both ends of a connection between them are open.
    pub(crate) fn connected(&self, one: MachineId, other: MachineId) -> bool {
        let nodes = (self.machines[one].node, self.machines[other].node);
        let conn = self.machines[one].conn(nodes.1);
        conn.is_some() && conn == self.machines[other].conn(nodes.0) && self.net.reaches(one, other)
    }

    /// Whether an honest node runs there.
    pub(crate) fn is_honest(&self, id: MachineId) -> bool {
        self.machines[id].runs() && !self.is_hostile(id)
    }

    /// Whether it shows users the tree.
    pub(crate) fn shows(&self, id: MachineId) -> bool {
        self.is_honest(id) && self.machines[id].role() != Role::StorageOnly
    }

    /// Whether it takes what users write.
    pub(crate) fn takes_writes(&self, id: MachineId) -> bool {
        self.is_honest(id) && self.machines[id].role() == Role::Full
    }

    /// Whether it may lack keys. It was removed: the epoch that begins then is without it, whatever it held before. Or it waits
    /// for its first one, and some machine is gone: the holders that have to agree may be too few for as long as a silent one
    /// counts.
    pub(crate) fn may_lack_keys(&self, id: MachineId) -> bool {
        let has_key = |process: &RunningNode| process.engine.keys(self.pool.volume()).is_some();
        let keyless = !self.machines[id].process.as_ref().is_some_and(has_key);
        self.is_removed(id) || keyless && self.machines.iter().any(|machine| machine.gone)
    }

    /// Whether its member was removed, as it knows itself: it is given no keys any more.
    pub(crate) fn is_removed(&self, id: MachineId) -> bool {
        let here = &self.machines[id];
        here.process.as_ref().is_some_and(|process| process.engine.facts().is_removed(here.node))
    }

    /// The key of the epoch of the shared volume in which a running machine is.
    pub(crate) fn write_key(&self, id: MachineId) -> Option<PublicKey> {
        let process = self.machines[id].process.as_ref()?;
        Some(process.engine.facts().epoch(self.pool.volume())?.value().write_pk)
    }

    /// Honest machines that run and that this one is connected to.
    pub(crate) fn connected_to(&self, machine: MachineId) -> Vec<MachineId> {
        let others = (0..self.machines.len()).filter(|other| *other != machine && self.is_honest(*other));
        others.filter(|other| self.connected(machine, *other)).collect()
    }

    /// Whether all that run are connected to all, and none is frozen.
    pub(crate) fn all_connected(&self) -> bool {
        let is_on = |id: &MachineId| self.machines[*id].process.is_some() && !self.is_hostile(*id);
        let on: Vec<MachineId> = (0..self.machines.len()).filter(is_on).collect();
        on.iter().all(|one| {
            self.machines[*one].runs()
                && on
                    .iter()
                    .filter(|other| *other > one)
                    .all(|other| self.connected(*one, *other) || self.net.are_strangers(*one, *other))
        })
    }

    /// Honest machines that run and that this one is connected to, directly or through others of them.
    pub(crate) fn in_touch_with(&self, machine: MachineId) -> Vec<MachineId> {
        let mut found = vec![machine];
        let mut next = 0;
        while let Some(at) = found.get(next).copied() {
            next += 1;
            let more = self.connected_to(at);
            found.extend(more.into_iter().filter(|other| !found.contains(other)).collect::<Vec<_>>());
        }
        found
    }

    /// One line about what happened.
    pub fn summary(&self) -> String {
        let ends: Vec<String> = self.operations.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let gone = self.machines.iter().filter(|machine| machine.gone).count();
        let leases: u64 = self.machines.iter().map(|machine| machine.store.leases_renewed).sum();
        format!(
            "{} machines, {gone} gone; {leases} leases renewed; operations: {}",
            self.machines.len(),
            ends.join(", ")
        )
    }
}

impl MachineStore {
    /// What there is of a block.
    pub fn copy_of(&self, id: fsdfs_proto::ids::BlockId) -> CopyState {
        match (self.holds(id), self.believes(id)) {
            (true, _) => CopyState::Intact,
            (false, true) => CopyState::Damaged,
            (false, false) => CopyState::Absent,
        }
    }

    /// What there is of all blocks with a record.
    pub fn copies(&self) -> Vec<(fsdfs_proto::ids::BlockId, CopyState)> {
        self.ids().map(|id| (id, self.copy_of(id))).collect()
    }
}
