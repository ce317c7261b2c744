//! The promise: what was answered holds.
//!
//! * A confirmed copy is durable on the server named, at the moment of the answer.
//! * Acknowledged content is part of what the node shows from then on, also after its restart.
//! * While everyone is connected to everyone, nobody shows less than what was acknowledged before.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use fsdfs_core::seam::{Copies, EditReply, GetOutcome, OpId, PutOutcome, QueryReply};
use fsdfs_proto::codec::encode;
use fsdfs_proto::identity::RawFact;
use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{HaveReply, HaveRequest, Possession};
use fsdfs_proto::record::LogEntry;
use fsdfs_proto::volume::VersionVector;

use crate::checkers::history::{HeadState, WriteNumber};
use crate::world::machine::LeaseRequest;
use crate::world::queue::Micros;
use crate::world::{MachineId, World};

/// What was promised so far.
#[derive(Debug, Default)]
pub struct PromiseChecker {
    /// Writes that were acknowledged.
    pub acked: BTreeSet<WriteNumber>,
    /// When connections, processes or the network last changed.
    disturbed: Micros,
    /// When the disks of a machine last lost something.
    disks_changed: BTreeMap<MachineId, Micros>,
    /// What each machine has acknowledged or shown.
    floor: BTreeMap<MachineId, VersionVector>,
    /// What was acknowledged since all have been connected to all.
    calm: VersionVector,
    /// Commands under way.
    begun: BTreeMap<OpId, CommandStart>,
    /// Writes that one machine confirmed, and no other.
    pub(crate) alone: BTreeMap<WriteNumber, MachineId>,
    /// Where each head was made.
    pub(crate) made_on: BTreeMap<BlockId, MachineId>,
    /// Heads whose folders have been on two machines.
    pub(crate) replicated: BTreeSet<BlockId>,
    /// Which head a log entry is.
    heads: BTreeMap<Vec<u8>, BlockId>,
    /// Heads in each home log, and how far it was read.
    logged: BTreeMap<MachineId, (usize, Vec<BlockId>)>,
}

/// What held when a command was given. What is confirmed while it runs it may or may not see.
#[derive(Clone, Debug)]
struct CommandStart {
    since: Micros,
    floor: VersionVector,
    calm: VersionVector,
}

impl PromiseChecker {
    /// A job made this head.
    pub fn head_made(&mut self, on: MachineId, fact: RawFact, commit: BlockId) {
        self.made_on.entry(commit).or_insert(on);
        self.heads.insert(encode(&LogEntry::Fact(fact)), commit);
    }

    /// Heads made on this machine whose folders have never been on another one.
    pub(crate) fn unreplicated_of(&self, machine: MachineId) -> BTreeSet<BlockId> {
        let here = self.made_on.iter().filter(|(head, on)| **on == machine && !self.replicated.contains(head));
        here.map(|(head, _)| *head).collect()
    }

    /// Connections, processes or the network change.
    pub fn disturbed(&mut self, at: Micros) {
        self.disturbed = at;
        self.calm = VersionVector::default();
    }

    /// Disks of a machine lost something.
    pub fn disks_changed(&mut self, at: Micros, machine: MachineId) {
        self.disks_changed.insert(machine, at);
    }

    /// Its memory is what it was some time ago.
    pub fn image_restored(&mut self, machine: MachineId) {
        self.floor.remove(&machine);
        self.logged.remove(&machine);
    }

    /// Nobody will hear the answer.
    pub fn forget(&mut self, op: OpId) {
        self.begun.remove(&op);
    }
}

impl World {
    pub(crate) fn promise_begins(&mut self, machine: MachineId, op: OpId) {
        let promises = &mut self.checks.promises;
        let floor = promises.floor.get(&machine).cloned().unwrap_or_default();
        promises.begun.insert(op, CommandStart { since: self.at, floor, calm: promises.calm.clone() });
    }

    /// A block was confirmed: every server named has it, each counted once.
    pub(crate) fn promise_put(&mut self, op: OpId, block: BlockId, outcome: &PutOutcome) {
        let Some(CommandStart { since, .. }) = self.checks.promises.begun.remove(&op) else { return };
        let Some(copies) = self.copies_fit(outcome) else { return };
        for server in copies.servers {
            if !self.any_of(server, since, |world, id| world.machines[id].store.believes(block)) {
                let text = format!("{} was confirmed for {}, which does not have it", block.short(), server.short());
                self.checks.fail(self.at, "promise", text);
            }
        }
    }

    /// An edit was confirmed.
    pub(crate) fn promise_edit(&mut self, machine: MachineId, op: OpId, number: WriteNumber, reply: &EditReply) {
        let Some(CommandStart { since, .. }) = self.checks.promises.begun.remove(&op) else { return };
        let Some(copies) = self.copies_fit(&reply.outcome) else { return };
        if !reply.edits.iter().all(Result::is_ok) {
            return;
        }
        let states = self.states_logged(machine);
        if number != 0 && !self.checks.history.vanished(number) {
            self.checks.promises.acked.insert(number);
            if copies.servers == [self.machines[machine].node] {
                self.checks.promises.alone.insert(number, machine);
            }
            self.head_is_durable(machine, since, number, &copies);
            self.tree_is_durable(since, number, &states, &copies);
        }
        let mut seen = VersionVector::default();
        states.iter().for_each(|(_, state)| seen.add_all(&state.seen));
        let calm = since > self.checks.promises.disturbed && self.all_connected();
        let promises = &mut self.checks.promises;
        if calm {
            promises.calm.add_all(&seen);
        }
        promises.floor.entry(machine).or_default().add_all(&seen);
    }

    /// The node that answers, and as many servers as were counted, have a head that includes the write. The answer names
    /// the servers of whatever part of the commit has the fewest copies; those of the head may be others.
    fn head_is_durable(&mut self, machine: MachineId, since: Micros, number: WriteNumber, copies: &Copies) {
        let includes =
            |world: &mut Self, id: MachineId| world.states_logged(id).iter().any(|(_, state)| state.includes(number));
        let nodes: BTreeSet<NodeId> = self.machines.iter().map(|machine| machine.node).collect();
        let having: BTreeSet<NodeId> = nodes.into_iter().filter(|node| self.any_of(*node, since, includes)).collect();
        let (own, wanted) = (self.machines[machine].node, copies.servers.len());
        if !having.contains(&own) || having.len() < wanted {
            let text = format!("write {number} was confirmed, but heads on {having:?} include it: {wanted} are needed");
            self.checks.fail(self.at, "promise", text);
        }
    }

    /// What the commit added to the tree lies on as many servers as were counted.
    fn tree_is_durable(
        &mut self,
        since: Micros,
        number: WriteNumber,
        states: &[(BlockId, Rc<HeadState>)],
        copies: &Copies,
    ) {
        let first = states.iter().filter(|(_, state)| state.includes(number));
        let first = first.min_by_key(|(_, state)| state.seen.dots().iter().map(|dot| dot.seq).sum::<u64>());
        let made = first.map(|(_, state)| state.made.clone()).unwrap_or_default();
        let excused = self.checks.promises.disks_changed.values().any(|at| *at >= since);
        for block in made {
            let held = self.believers(block).len();
            if held < copies.servers.len() && !excused {
                let counted = copies.servers.len();
                let text =
                    format!("{} of the tree of write {number} is on {held} servers, not {counted}", block.short());
                self.checks.fail(self.at, "promise", text);
            }
        }
    }

    /// A tree was shown: never less than before, and while all are connected never less than was acknowledged.
    pub(crate) fn promise_look(&mut self, machine: MachineId, op: OpId, reply: &QueryReply) {
        let Some(begun) = self.checks.promises.begun.remove(&op) else { return };
        let Some(shown) = self.looked.take() else {
            return self.checks.fail(
                self.at,
                "promise",
                format!("node {machine} showed a tree without looking: {reply:?}"),
            );
        };
        let promises = &mut self.checks.promises;
        promises.floor.entry(machine).or_default().add_all(&shown);
        let less_than_before = !shown.covers_all(&begun.floor);
        let less_than_acked = promises.disturbed < begun.since && !shown.covers_all(&begun.calm);
        if less_than_before {
            let text = format!("node {machine} shows less than it acknowledged or showed before");
            self.checks.fail(self.at, "promise", text);
        } else if less_than_acked {
            let stale = if reply.maybe_stale { " (and says maybe)" } else { "" };
            let text = format!("node {machine} shows less than was acknowledged, and all are connected{stale}");
            self.checks.fail(self.at, "promise", text);
        }
    }

    /// A block was not found: then nobody within reach has it.
    pub(crate) fn promise_get(&mut self, machine: MachineId, op: OpId, block: BlockId, outcome: &GetOutcome) {
        let Some(CommandStart { since, .. }) = self.checks.promises.begun.remove(&op) else { return };
        if matches!(outcome, GetOutcome::Found(_)) || self.checks.promises.disturbed >= since {
            return;
        }
        let has = |(id, other): (MachineId, &crate::world::machine::Machine)| {
            let able = other.runs() && other.index_ready < since && other.store.disks.iter().all(|disk| !disk.fails);
            let near = id == machine || self.connected(machine, id);
            (able && near && other.store.holds(block)).then_some(id)
        };
        if let Some(id) = self.machines.iter().enumerate().find_map(has) {
            let text = format!("node {machine} does not find {}, which node {id} has", block.short());
            self.checks.fail(self.at, "promise", text);
        }
    }

    /// A peer asks a node to keep blocks for longer.
    pub(crate) fn lease_asked(&mut self, machine: MachineId, from: NodeId, have: &HaveRequest) {
        let here = &mut self.machines[machine];
        let Some(process) = here.process.as_mut().filter(|_| have.renew) else { return };
        let leases = LeaseRequest { ids: have.ids.clone(), before: here.store.renewed };
        process.leases.insert((from, have.request), leases);
    }

    /// It says which ones it has: these leases are durably renewed.
    pub(crate) fn lease_answered(&mut self, machine: MachineId, to: NodeId, reply: &HaveReply) {
        let here = &mut self.machines[machine];
        let asked = here.process.as_mut().and_then(|process| process.leases.remove(&(to, reply.request)));
        let Some(LeaseRequest { ids, before }) = asked else { return };
        let store = &here.store;
        let is_wrong = |id: BlockId, answer: Possession| match answer {
            Possession::Yes if store.lapses(id, before) => Some("says that it has a block and did not renew its lease"),
            Possession::No if store.could_read_since(id, before) => Some("says that it lacks a block, and has it"),
            _ => None,
        };
        let mut answers = ids.into_iter().zip(&reply.answers);
        let wrong = answers.find_map(|(id, answer)| Some((id, is_wrong(id, *answer)?)));
        if let Some((id, what)) = wrong {
            self.checks.fail(self.at, "promise", format!("node {machine} {what}: {}", id.short()));
        }
    }

    /// Bytes were read: some write wrote exactly them.
    pub(crate) fn promise_bytes(&mut self, bytes: &[u8]) -> WriteNumber {
        self.checks.writer_of(bytes).unwrap_or_else(|| {
            self.checks.fail(self.at, "promise", format!("{} bytes were read that nobody wrote", bytes.len()));
            0
        })
    }

    /// Counts and names agree. `None` if nothing was promised.
    fn copies_fit(&mut self, outcome: &PutOutcome) -> Option<Copies> {
        let (copies, stored) = match outcome {
            PutOutcome::Stored(copies) => (copies, true),
            PutOutcome::Degraded(copies) => (copies, false),
            PutOutcome::Refused(_) => return None,
        };
        let distinct: BTreeSet<&NodeId> = copies.servers.iter().collect();
        let count = copies.servers.len();
        let fits = distinct.len() == count && stored == (count >= usize::from(copies.target)) && (stored || count > 0);
        if !fits {
            self.checks.fail(self.at, "promise", format!("an outcome contradicts itself: {outcome:?}"));
        }
        Some(copies.clone())
    }

    /// Whether that holds for a machine of this node, or one lost data since.
    fn any_of(&mut self, node: NodeId, since: Micros, mut holds: impl FnMut(&mut Self, MachineId) -> bool) -> bool {
        let ids: Vec<MachineId> = (0..self.machines.len()).filter(|id| self.machines[*id].node == node).collect();
        let lost = |world: &Self, id| world.checks.promises.disks_changed.get(&id).is_some_and(|at| *at >= since);
        ids.into_iter().any(|id| lost(self, id) || holds(self, id))
    }

    /// Heads in a machine's home log.
    pub(crate) fn states_logged(&mut self, machine: MachineId) -> Vec<(BlockId, Rc<HeadState>)> {
        let promises = &mut self.checks.promises;
        let (read, commits) = promises.logged.entry(machine).or_default();
        let log = &self.machines[machine].store.home;
        let fact = |entry: &LogEntry| match entry {
            LogEntry::Unpublished(own) => encode(&LogEntry::Fact(own.head.clone())),
            other => encode(other),
        };
        let fresh =
            log.get(*read..).unwrap_or_default().iter().filter_map(|entry| promises.heads.get(&fact(entry)).copied());
        commits.extend(fresh);
        *read = log.len();
        let history = &self.checks.history;
        commits.iter().filter_map(|commit| Some((*commit, Rc::clone(history.state(*commit)?)))).collect()
    }

    /// Whether both ends of a connection between them are open.
    pub(crate) fn connected(&self, one: MachineId, other: MachineId) -> bool {
        let nodes = (self.machines[one].node, self.machines[other].node);
        let conn = self.machines[one].conn(nodes.1);
        conn.is_some() && conn == self.machines[other].conn(nodes.0) && self.net.reaches(one, other)
    }

    /// Whether all that run are connected to all, and none is frozen.
    pub(crate) fn all_connected(&self) -> bool {
        let on: Vec<MachineId> = (0..self.machines.len()).filter(|id| self.machines[*id].process.is_some()).collect();
        on.iter().all(|one| {
            self.machines[*one].runs()
                && on.iter().filter(|other| *other > one).all(|other| self.connected(*one, *other))
        })
    }
}
