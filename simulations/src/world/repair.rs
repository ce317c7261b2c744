//! What repair does, as somebody sees it who knows all machines.

use std::collections::BTreeSet;

use fsdfs_core::facts::MemberStatus;
use fsdfs_core::placement::ClusterMap;
use fsdfs_core::report::StatusReport;
use fsdfs_core::seam::OpId;
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::Message;
use fsdfs_proto::record::RecordInfo;

use super::observed::{MadeCopy, Observed, OwnStatus, PulledBlock};
use super::{MachineId, World};

impl World {
    /// A machine asks for a block: what its map says of it now counts, for maps change while the block is on its way.
    pub(super) fn pull_asked(&mut self, machine: MachineId, from: NodeId, id: BlockId) {
        let Some(from) = self.machines.iter().position(|other| other.node == from && !other.gone) else { return };
        if self.observed.is_some() && !self.is_hostile(machine) {
            let Some(pull) = self.pull(machine, from, id) else { return };
            self.pulls_asked.insert((machine, from, id), pull);
        }
    }

    /// A block that a machine asked for has come.
    pub(super) fn block_pulled(&mut self, machine: MachineId, from: MachineId, (said, block): (&Message, &Block)) {
        if !matches!(said, Message::PullReply(_)) {
            return;
        }
        let id = block.id();
        let Some(asked) = self.pulls_asked.remove(&(machine, from, id)) else { return };
        let (bytes, had) = (block.bytes().len() as u64, self.machines[machine].store.believes(id));
        self.pulled.insert((machine, id));
        let passed_over = asked.passed_over.iter().filter(|node| self.can_keep(from, **node, bytes));
        let passed_over = passed_over.copied().collect();
        self.observe(Observed::BlockPulled(PulledBlock { bytes, had, passed_over, ..asked }));
    }

    fn pull(&self, machine: MachineId, from: MachineId, id: BlockId) -> Option<PulledBlock> {
        let here = &self.machines[machine];
        let facts = here.process.as_ref()?.engine.facts();
        let (map, copies) = (ClusterMap::new(facts.servers()), facts.rules().copies);
        let order: Vec<NodeId> = map.order(id, copies).iter().map(|holder| holder.node).collect();
        let assigned: Vec<NodeId> = map.holders(id, copies).iter().map(|holder| holder.node).collect();
        let before = order.iter().skip(assigned.len()).take_while(|node| **node != here.node);
        let passed_over = before.filter(|node| self.can_keep(from, **node, 0)).copied().collect();
        let is_apart = |node: &&NodeId| {
            let of = self.machines.iter().position(|machine| machine.node == **node);
            of.is_some_and(|of| self.net.are_strangers(from, of) || self.net.relay_of(from, of).is_some())
        };
        let apart = assigned.iter().filter(is_apart).copied().collect();
        let (bytes, had) = (0, false);
        Some(PulledBlock { source: from, machine, block: id, bytes, had, assigned, apart, passed_over })
    }

    /// Whether a machine could give that one a block to keep.
    fn can_keep(&self, from: MachineId, node: NodeId, bytes: u64) -> bool {
        let id = self.machines.iter().position(|machine| machine.node == node && !machine.gone);
        id.is_some_and(|id| {
            let has_room = self.machines[id].store.room_bytes().is_some_and(|room| bytes <= room);
            self.is_honest(id) && has_room && (id == from || self.connected(from, id))
        })
    }

    /// What was pulled is on a disk now.
    pub(super) fn pulled_written(&mut self, machine: MachineId, block: BlockId) {
        if !self.pulled.remove(&(machine, block)) {
            return;
        }
        let others = (0..self.machines.len()).filter(|id| *id != machine);
        let others: Vec<(u64, &RecordInfo)> = others.filter_map(|id| self.record_of(id, block)).collect();
        let Some((now, own)) = self.record_of(machine, block) else { return };
        let copies = |info: &RecordInfo| info.redundancies.iter().map(|wanted| wanted.copies()).max().unwrap_or(0);
        let youngest = |age: &dyn Fn(&RecordInfo) -> u64| {
            others.iter().map(|(now, info)| now.saturating_sub(age(info))).min().unwrap_or(0)
        };
        let made = MadeCopy {
            machine,
            block,
            copies: (others.iter().map(|(_, info)| copies(info)).max().unwrap_or(0), copies(own)),
            age_ms: (youngest(&|info| info.first_seen), now.saturating_sub(own.first_seen)),
            lease_ms: (youngest(&|info| info.renewed), now.saturating_sub(own.renewed)),
        };
        self.observe(Observed::CopyMade(made));
    }

    /// What a machine knows of a block that it has, and its wall clock.
    fn record_of(&self, id: MachineId, block: BlockId) -> Option<(u64, &RecordInfo)> {
        let here = &self.machines[id];
        let record = here.store.disks.iter().find_map(|disk| disk.records.get(&block))?;
        Some((here.clock.now(self.at).wall, &record.info))
    }

    /// A node says how it is; and what is assigned to it, by its own map, of what it holds.
    pub(crate) fn status_answered(&mut self, machine: MachineId, op: OpId, status: &StatusReport) {
        let here = &self.machines[machine];
        let Some(process) = &here.process else { return };
        let facts = process.engine.facts();
        let (map, copies) = (ClusterMap::new(facts.servers()), facts.rules().copies);
        let is_asked = self.watches_status && !self.is_hostile(machine);
        let held = here.store.ids().filter(|_| is_asked);
        let assigned =
            held.map(|id| (id, map.holders(id, copies).iter().map(|holder| holder.node).collect::<Vec<_>>()));
        let works = |node: &NodeId| {
            let machine = self.machines.iter().find(|machine| machine.node == *node && !machine.gone);
            machine.is_some_and(|machine| machine.store.disks.iter().all(|disk| !disk.fails))
        };
        // What lies on a disk that fails is not lost yet, and neither there.
        let assigned = assigned.filter(|(_, nodes)| nodes.contains(&here.node) && nodes.iter().all(works)).collect();
        let said = OwnStatus {
            machine,
            least: status.replication_margin.map(|(least, _)| least),
            pending: status.repair_pending,
            running: status.repair_running || !status.ready,
            map: facts.map_digest(),
            in_touch: self.connected_to(machine),
            assigned,
        };
        self.observe(Observed::StatusAnswered { op, said: Box::new(said) });
    }

    /// Who is a member by the facts of a machine that runs: neither gone nor removed nor revoked.
    pub(super) fn members_of(&self, machine: MachineId) -> BTreeSet<NodeId> {
        let process = self.machines[machine].process.as_ref();
        let members = process.into_iter().flat_map(|process| process.engine.facts().members());
        let counts = |status| matches!(status, MemberStatus::Member | MemberStatus::Guest);
        members.filter(|(_, member)| counts(member.status)).map(|(node, _)| *node).collect()
    }

    /// Who hears of whom, through others, too.
    pub(super) fn observe_groups(&mut self) {
        if !self.watches_status {
            return;
        }
        let mut running: BTreeSet<MachineId> =
            (0..self.machines.len()).filter(|id| self.machines[*id].process.is_some()).collect();
        let mut groups = Vec::new();
        while let Some(first) = running.pop_first() {
            let (mut group, mut next) = (vec![first], 0);
            while let Some(at) = group.get(next).copied() {
                next += 1;
                let more: Vec<MachineId> =
                    running.iter().copied().filter(|other| self.net.reaches(at, *other)).collect();
                more.iter().for_each(|other| {
                    running.remove(other);
                });
                group.extend(more);
            }
            groups.push(group);
        }
        self.observe(Observed::MachinesInTouch { groups });
    }
}
