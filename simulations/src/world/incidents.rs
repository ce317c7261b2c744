//! What goes wrong, and what makes it good again: the vocabulary of scenarios.

use std::collections::BTreeSet;

use fsdfs_core::engine::Engine;
use fsdfs_core::placement::ClusterMap;
use fsdfs_core::seam::{DiskDone, DiskRequest, Input, Token};
use fsdfs_proto::ids::{BlockId, DiskNonce, NodeId};
use fsdfs_proto::record::LogEntry;

use super::{MachineId, SeededBug, World};
use crate::world::machine::{Machine, RunningNode};
use crate::world::observed::Observed;
use crate::world::queue::{Micros, S};
use crate::world::store::{MachineStore, SimulatedDisk};

impl World {
    /// Starts the node of a machine that does not run.
    pub fn restart(&mut self, id: MachineId) {
        let at = self.at;
        let seed = self.rng.u64(..);
        let here = &mut self.machines[id];
        if here.process.is_some() || here.gone {
            return;
        }
        self.trace.note(at, &("start", id), || format!("node {id} starts"));
        here.boot += 1;
        self.net.set_runs(id, true);
        self.tampering.started(id);
        here.clock.boot(at);
        here.frozen = false;
        let mut start = here.start(&self.common);
        start.seed = seed;
        let mut out = Vec::new();
        let engine = Engine::new(here.clock.now(at), start, &mut out);
        here.process = Some(RunningNode::new(engine));
        self.observe(Observed::NodeStarted { machine: id });
        self.observe_groups();
        self.run_effects(id, out);
        self.plan_wake(id);
    }

    /// Kills a node, as by a power cut: of what its disks were doing some is done and some is not.
    pub fn crash(&mut self, id: MachineId) {
        let at = self.at;
        let Some(process) = self.machines[id].process.take() else { return };
        self.trace.note(at, &("crash", id), || format!("node {id} crashes"));
        self.machines[id].inbox.clear();
        self.machines[id].frozen = false;
        self.finish_some(id, process.pending.into_values().map(|(request, _)| request));
        // Nobody is there to be told.
        self.machines[id].store.take_changes();
        if self.has_bug(SeededBug::ForgetAppended) {
            self.machines[id].store.forget_last();
        }
        self.hang_up(id, process.peers.into_values());
        self.net.set_runs(id, false);
        if self.net.relays(id) {
            self.cut_unreachable();
        }
        self.observe(Observed::NodeCrashed { machine: id });
        self.observe_groups();
        self.operations_of_crashed(id);
    }

    fn finish_some(&mut self, id: MachineId, requests: impl Iterator<Item = DiskRequest>) {
        let wall = self.machines[id].clock.now(self.at).wall;
        let mut log_goes_on = true;
        for request in requests {
            let done = self.rng.bool();
            let done = match request {
                // What was appended later is never there without what was appended before.
                DiskRequest::Log { .. } => {
                    log_goes_on &= done;
                    log_goes_on
                }
                DiskRequest::Write { .. }
                | DiskRequest::Mend { .. }
                | DiskRequest::Delete { .. }
                | DiskRequest::Collect { .. }
                | DiskRequest::Have { .. } => done,
                DiskRequest::Read { .. }
                | DiskRequest::List { .. }
                | DiskRequest::Copies { .. }
                | DiskRequest::Segment { .. }
                | DiskRequest::Links { .. }
                | DiskRequest::KeepLinks { .. }
                | DiskRequest::Assure { .. } => false,
            };
            if done {
                self.perform(id, request, wall);
            }
        }
    }

    /// The machine and its disks will never be seen again.
    pub fn lose(&mut self, id: MachineId) {
        self.crash(id);
        self.trace.note(self.at, &("lose", id), || format!("node {id} is gone for good"));
        self.machines[id].gone = true;
        // The founder's home stands as long as the pool does.
        self.net.replace_relay(id, 0);
        self.observe(Observed::MachineLost { machine: id });
    }

    /// Stops a process as SIGSTOP does: its links stay up, for a while.
    pub fn freeze(&mut self, id: MachineId) {
        if !self.machines[id].runs() {
            return;
        }
        self.trace.note(self.at, &("freeze", id), || format!("node {id} freezes"));
        self.machines[id].frozen = true;
        self.observe(Observed::NodeFrozen { machine: id });
        for conn in self.conns_of(id) {
            self.cut(conn);
        }
    }

    /// Lets it go on.
    pub fn thaw(&mut self, id: MachineId) {
        if !std::mem::take(&mut self.machines[id].frozen) {
            return;
        }
        self.trace.note(self.at, &("thaw", id), || format!("node {id} thaws"));
        self.observe(Observed::NodeThawed { machine: id });
        self.feed_all();
        while let Some((input, looked)) = self.machines[id].inbox.pop_front() {
            self.input_looked(id, input, looked);
        }
        self.input(id, Input::Timeout);
    }

    /// From now on some never meet, and some only through the machine named third.
    pub fn lay_lines(&mut self, strangers: &[(MachineId, MachineId)], relayed: &[(MachineId, MachineId, MachineId)]) {
        let lines = ("lines", strangers, relayed);
        self.trace.note(self.at, &lines, || format!("{strangers:?} never meet, {relayed:?} through a third one"));
        strangers.iter().for_each(|(one, other)| self.net.estrange(*one, *other));
        relayed.iter().for_each(|(one, other, relay)| self.net.relay(*one, *other, *relay));
        self.observe_groups();
        self.cut_unreachable();
    }

    /// Takes a disk out of a machine that does not run, for good.
    pub fn lose_disk(&mut self, id: MachineId, slot: usize) {
        assert!(self.machines[id].process.is_none(), "disks are changed while the node is off");
        self.trace.note(self.at, &("lose disk", id, slot), || format!("disk {slot} of node {id} is gone"));
        self.machines[id].store.disks.remove(slot);
        let copies = self.machines[id].store.copies();
        self.observe(Observed::DisksReplaced { machine: id, copies });
        self.observe(Observed::DisksDisturbed { machine: id });
    }

    /// Cuts the network: machines with different numbers cannot reach each other.
    pub fn partition(&mut self, part: &[u8]) {
        self.trace.note(self.at, &("partition", part), || format!("partition {part:?}"));
        self.net.partition(part.to_vec());
        self.observe_groups();
        self.cut_unreachable();
    }

    /// Nothing more gets from one machine to the other.
    pub fn stall(&mut self, from: MachineId, to: MachineId) {
        self.trace.note(self.at, &("stall", from, to), || format!("nothing gets from {from} to {to}"));
        self.net.stall(from, to);
        self.cut_unreachable();
    }

    fn cut_unreachable(&mut self) {
        self.observe(Observed::ConnectionsChanged);
        let reaches = |machines: [MachineId; 2]| self.net.reaches(machines[0], machines[1]);
        let dead: Vec<_> = self.net.conns().filter(|(_, conn)| !reaches(conn.machines)).map(|(id, _)| id).collect();
        for conn in dead {
            self.cut(conn);
        }
    }

    /// The network works again.
    pub fn heal(&mut self) {
        self.trace.note(self.at, &"heal", || "the network heals".into());
        self.net.heal();
        self.observe_groups();
        self.observe(Observed::ConnectionsChanged);
        for (conn, side, trip, parcel) in self.net.release(self.at) {
            self.plan_trip(conn, side, trip, parcel);
        }
        self.feed_all();
    }

    fn conns_of(&self, id: MachineId) -> Vec<crate::world::net::ConnId> {
        self.net.conns().filter(|(_, conn)| conn.machines.contains(&id)).map(|(conn, _)| conn).collect()
    }

    /// Replaces the disks of a machine that does not run by new ones of the same sizes. The home folder stays.
    pub fn wipe_disks(&mut self, id: MachineId) {
        assert!(self.machines[id].process.is_none(), "disks are changed while the node is off");
        self.trace.note(self.at, &("wipe", id), || format!("the disks of node {id} are replaced by new ones"));
        for slot in 0..self.machines[id].store.disks.len() {
            let (owner, fresh) = (self.machines[id].node, DiskNonce(self.random_bytes()));
            let disk = &mut self.machines[id].store.disks[slot];
            *disk = SimulatedDisk::new(owner, fresh, disk.size);
        }
        self.observe(Observed::DisksReplaced { machine: id, copies: Vec::new() });
        self.observe(Observed::DisksDisturbed { machine: id });
    }

    /// Makes an image of everything durable on a machine.
    pub fn back_up(&mut self, id: MachineId) {
        let image = self.machines[id].store.clone();
        self.machines[id].backups.push(image);
    }

    /// Puts the oldest image back on a machine that does not run. `told`: the start is told that the home folder was restored.
    pub fn restore(&mut self, id: MachineId, told: bool) {
        assert!(self.machines[id].process.is_none(), "an image is restored while the node is off");
        if self.machines[id].backups.is_empty() {
            return;
        }
        self.trace.note(self.at, &("restore", id), || format!("an old image is put back on node {id}"));
        let image: MachineStore = self.machines[id].backups.remove(0);
        self.machines[id].store = image;
        self.machines[id].may_be_restored_copy = told;
        self.observe_durable(id);
    }

    /// All that is durable on a machine is other than it was.
    fn observe_durable(&mut self, id: MachineId) {
        let store = &self.machines[id].store;
        let (copies, log) = (store.copies(), store.home.clone());
        self.observe(Observed::DisksReplaced { machine: id, copies });
        self.observe(Observed::ImageRestored { machine: id, log });
        self.observe(Observed::DisksDisturbed { machine: id });
    }

    /// A machine that is added only for its number.
    pub fn leave_gap(&mut self, id: MachineId) {
        self.machines[id].gone = true;
        self.observe(Observed::MachineLeftOut { machine: id });
    }

    /// A second machine with the same identity and a copy of all disks, at the same site.
    pub fn clone_machine(&mut self, id: MachineId, told: bool) -> MachineId {
        let here = &self.machines[id];
        let duplicate = Machine { may_be_restored_copy: told, duplicate: true, ..here.copy() };
        let site = self.net.site_of(id);
        self.net.add_machine(site);
        self.machines.push(duplicate);
        let duplicate = self.machines.len() - 1;
        let node = self.machines[duplicate].node;
        self.observe(Observed::MachineAdded { machine: duplicate, node, site, weight: 0, duplicate: true });
        self.observe_durable(duplicate);
        self.trace.note(self.at, &("duplicate", id), || format!("node {duplicate} is a copy of node {id}"));
        duplicate
    }

    /// A bit rots in one record; the next read will notice.
    pub fn damage(&mut self, id: MachineId, block: BlockId) {
        self.trace.note(self.at, &("damage", id), || format!("a record of {} rots on node {id}", block.short()));
        for disk in &mut self.machines[id].store.disks {
            if let Some(record) = disk.records.get_mut(&block) {
                record.damaged = true;
            }
        }
        let copy = self.machines[id].store.copy_of(block);
        self.observe(Observed::CopyChanged { machine: id, block, copy });
        self.observe(Observed::DisksDisturbed { machine: id });
    }

    /// Every access to one disk fails, or works again.
    pub fn set_disk_fails(&mut self, id: MachineId, slot: usize, fails: bool) {
        // It may have been taken out since it failed.
        let Some(disk) = self.machines[id].store.disks.get_mut(slot) else { return };
        disk.fails = fails;
        self.trace.note(self.at, &("fails", id, slot, fails), || format!("disk {slot} of node {id} fails: {fails}"));
        self.observe(Observed::DisksDisturbed { machine: id });
        self.report_disks(id);
    }

    /// The home folder takes no writes, or takes them again.
    pub fn set_home_fails(&mut self, id: MachineId, fails: bool) {
        self.trace.note(self.at, &("home", id, fails), || format!("the home folder of node {id} fails: {fails}"));
        self.machines[id].store.home_fails = fails;
    }

    /// Changes what all disks of a machine may hold, in bytes.
    pub fn set_quota(&mut self, id: MachineId, bytes: u64) {
        self.trace.note(self.at, &("quota", id, bytes), || format!("each disk of node {id} may hold {bytes} bytes"));
        for disk in &mut self.machines[id].store.disks {
            disk.quota = bytes.min(disk.size);
        }
        self.report_disks(id);
    }

    /// The index of a machine that does not run is deleted: for a while after its start it cannot say what it has.
    pub fn delete_index(&mut self, id: MachineId, rebuild: Micros) {
        self.trace.note(self.at, &("index", id), || format!("the index of node {id} is deleted"));
        self.machines[id].index_ready = self.at + rebuild;
    }

    /// The machine is reached elsewhere from now on.
    pub fn readdress(&mut self, id: MachineId, addrs: Vec<String>) {
        self.input(id, Input::Addresses(addrs));
    }

    /// The wall clock of a machine jumps.
    pub fn jump_clock(&mut self, id: MachineId, ms: i64) {
        self.trace.note(self.at, &("clock", id, ms), || format!("the clock of node {id} jumps by {ms} ms"));
        self.machines[id].clock.skew_ms += ms;
        self.observe(Observed::ClockJumped);
    }

    /// Ends all faults: network, processes, disks, clocks. Machines that are gone stay gone.
    pub fn freeze_faults(&mut self) {
        self.heal();
        for id in 0..self.machines.len() {
            self.set_home_fails(id, false);
            self.set_quota(id, u64::MAX);
            for slot in 0..self.machines[id].store.disks.len() {
                if self.machines[id].store.disks[slot].fails {
                    self.set_disk_fails(id, slot, false);
                }
            }
            self.machines[id].clock.skew_ms = 0;
            self.thaw(id);
            self.restart(id);
        }
    }

    fn report_disks(&mut self, id: MachineId) {
        let states = self.machines[id].store.disks.iter().map(SimulatedDisk::state).collect();
        let boot = self.machines[id].boot;
        let input = Input::Disk { token: Token::UNASKED, done: DiskDone::Disks(states) };
        self.queue.plan(self.at + S / 10, super::QueuedEvent::Input { machine: id, boot, input, looked: None });
    }

    /// Distinct nodes with an intact copy, among machines that are not gone.
    pub fn holders(&self, block: BlockId) -> BTreeSet<NodeId> {
        let holds = |machine: &&Machine| !machine.gone && machine.store.holds(block);
        self.machines.iter().filter(holds).map(|machine| machine.node).collect()
    }

    /// Machines that a running one wants to hold the heads of the shared volume.
    pub fn head_holders(&self) -> BTreeSet<MachineId> {
        let Some(process) = self.machines.iter().find_map(|machine| machine.process.as_ref()) else {
            return BTreeSet::new();
        };
        let facts = process.engine.facts();
        let wanted = ClusterMap::new(facts.servers()).holders(BlockId(self.pool.volume().0), facts.rules().copies);
        let is_wanted = |machine: &Machine| wanted.iter().any(|holder| holder.node == machine.node);
        self.machines.iter().enumerate().filter(|(_, machine)| is_wanted(machine)).map(|(id, _)| id).collect()
    }

    /// Distinct nodes with a copy, rotten or not.
    pub fn believers(&self, block: BlockId) -> BTreeSet<NodeId> {
        self.machines.iter().filter(|machine| machine.store.believes(block)).map(|machine| machine.node).collect()
    }

    /// The facts in a machine's home log.
    pub fn logged(&self, id: MachineId) -> impl Iterator<Item = &LogEntry> {
        self.machines[id].store.home.iter()
    }
}
