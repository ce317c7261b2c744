//! Carrying out what engines want done.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_core::placement::{ClusterMap, MapServer};
use fsdfs_core::seam::{DiskDone, DiskRequest, Effect, Input, Lease, PeerEvent, ReadDone, Reply, Token, WriteDone};
use fsdfs_core::tree::{JobDone, TreeJob};
use fsdfs_proto::ids::{BlockId, Digest, NodeId};
use fsdfs_proto::message::{Message, Possession};

use super::{MachineId, QueuedEvent, SeededBug, World};
use crate::world::heads::seen_of;
use crate::world::net::Parcel;
use crate::world::observed::Observed;
use crate::world::queue::{MS, Micros};
use crate::world::size::kind;
use crate::world::wording;

impl World {
    pub(super) fn run_effects(&mut self, machine: MachineId, mut effects: Vec<Effect>) {
        let at = self.at;
        self.tamper(machine, &mut effects);
        self.corrupt(machine, &mut effects);
        for effect in effects {
            self.trace
                .note(at, &(machine, number(&effect)), || format!("node {machine} -> {}", wording::effect(&effect)));
            match effect {
                Effect::Send { to, message, block, .. } => self.send(machine, to, Parcel { message, block }),
                Effect::Disk { request, token } => self.disk(machine, request, token),
                Effect::Work { job, token } => self.work(machine, job, token),
                Effect::Reply { op, reply } => self.operation_reply(machine, op, reply),
                Effect::Connect { node, .. } => self.dial(machine, node),
                Effect::Disconnect { node, .. } => self.drop_peer(machine, node),
                Effect::Notice(_) => {}
            }
        }
    }

    pub(super) fn send(&mut self, machine: MachineId, to: NodeId, parcel: Parcel) {
        if let Message::Pull(pull) = &parcel.message {
            self.pull_asked(machine, to, pull.id);
        }
        if let Message::HaveReply(reply) = &parcel.message
            && !self.is_hostile(machine)
        {
            self.lease_answered(machine, to, reply);
        }
        if let Message::OfferReply(reply) = &parcel.message
            && !self.is_hostile(machine)
        {
            self.offer_answered(machine, to, reply);
        }
        let Some(conn) = self.machines[machine].conn(to) else { return };
        let Some(side) = self.side_of(conn, machine) else { return };
        if let Some((trip, parcel)) = self.net.send(self.at, conn, side, parcel) {
            self.plan_trip(conn, side, trip, parcel);
        }
        self.feed(self.net.site_of(machine));
        if let Some(waiting) = self.net.overflow(self.at, conn, side) {
            if !self.is_hostile(machine) {
                self.observe(Observed::ConnectionOverflows { machine, to, waiting });
            }
            // As a daemon does.
            self.queue.plan(self.at + 1, QueuedEvent::Lost { conn, side });
        }
    }

    fn disk(&mut self, machine: MachineId, request: DiskRequest, token: Token) {
        let (least, most) = match request {
            DiskRequest::Write { .. }
            | DiskRequest::Mend { .. }
            | DiskRequest::Delete { .. }
            | DiskRequest::Collect { .. }
            | DiskRequest::Log { .. } => (2 * MS, 20 * MS),
            DiskRequest::Have { renew: Some(_), .. } => (2 * MS, 10 * MS),
            DiskRequest::Read { .. }
            | DiskRequest::List { .. }
            | DiskRequest::Have { .. }
            | DiskRequest::Copies { .. }
            | DiskRequest::Segment { .. }
            | DiskRequest::Links { .. }
            | DiskRequest::KeepLinks { .. }
            | DiskRequest::Assure { .. } => (MS / 5, 10 * MS),
        };
        if matches!(request, DiskRequest::Delete { .. }) {
            self.machines[machine].maps_at_deletion = self.maps_in_use();
        }
        // Now and then a disk has to spin up.
        let slow = if self.rng.u8(..) == 0 { 700 * MS } else { 0 };
        let took = self.rng.u64(least..=most) + slow;
        let ack_early = self.has_bug(SeededBug::AckBeforeDurable);
        let here = &mut self.machines[machine];
        let Some(process) = &mut here.process else { return };
        let writes = matches!(
            request,
            DiskRequest::Write { .. }
                | DiskRequest::Mend { .. }
                | DiskRequest::Delete { .. }
                | DiskRequest::Collect { .. }
                | DiskRequest::Log { .. }
        );
        let mut done = self.at + took;
        if writes {
            // One writer thread: completions in order. What waits shares one sync (group commit).
            done = done.max(process.writer_free + 1);
            process.writer_free = done;
        }
        if matches!(request, DiskRequest::List { .. }) {
            done = done.max(here.index_ready);
        }
        process.requests += 1;
        let number = process.requests;
        let boot = here.boot;
        let too_early = ack_early && matches!(request, DiskRequest::Write { .. });
        let (told_now, told_later) = if too_early { (Some(token), None) } else { (None, Some(token)) };
        process.pending.insert(number, (request, told_later));
        if let Some(token) = told_now {
            let input = Input::Disk { token, done: DiskDone::Written(WriteDone::New) };
            self.queue.plan(self.at + 1, QueuedEvent::Input { machine, boot, input, looked: None });
        }
        self.queue.plan(done, QueuedEvent::Disk { machine, boot, request: number });
    }

    pub(super) fn disk_done(&mut self, machine: MachineId, boot: u64, request: u64) {
        let (at, unknown) = (self.at, self.unknown_yet());
        let here = &mut self.machines[machine];
        let Some(process) = here.process.as_mut().filter(|_| here.boot == boot) else { return };
        let Some((request, token)) = process.pending.remove(&request) else { return };
        let done = match not_yet(&request, unknown).filter(|_| at < here.index_ready) {
            Some(done) => done,
            None => {
                let wall = here.clock.now(at).wall;
                self.perform(machine, request, wall)
            }
        };
        if done == DiskDone::Read(ReadDone::Damaged) {
            // A copy that was confirmed in good faith a moment ago is quarantined.
            self.observe(Observed::DisksDisturbed { machine });
        }
        let changes = self.machines[machine].store.take_changes();
        if !changes.is_empty() {
            self.input(machine, Input::Disk { token: Token::UNASKED, done: DiskDone::Changed(changes) });
        }
        if let Some(token) = token {
            self.input(machine, Input::Disk { token, done });
        }
    }

    /// Carries a request out, and says what it changed.
    pub(super) fn perform(&mut self, machine: MachineId, request: DiskRequest, wall: u64) -> DiskDone {
        if self.has_bug(SeededBug::NoHashCheck)
            && let Some(read) = self.read_unchecked(machine, &request)
        {
            return DiskDone::Read(read);
        }
        let store = &mut self.machines[machine].store;
        let block = match &request {
            DiskRequest::Write { block, .. } | DiskRequest::Mend { block } => Some(block.id()),
            DiskRequest::Read { id } => Some(*id),
            _ => None,
        };
        // A put may bring it meanwhile, which renews it.
        let is_copy = !matches!(&request, DiskRequest::Write { lease: Lease::Now, .. });
        let (before, logged) = (block.map(|block| store.copy_of(block)), store.home.len());
        let done = store.perform(request, wall);
        let entries = store.home[logged..].to_vec();
        let after = block.map(|block| (block, store.copy_of(block)));
        if let (DiskDone::Written(WriteDone::New), Some(block), true) = (&done, block, is_copy) {
            self.pulled_written(machine, block);
        }
        if let Some((block, copy)) = after.filter(|(_, copy)| Some(*copy) != before) {
            self.observe(Observed::CopyChanged { machine, block, copy });
        }
        if !entries.is_empty() {
            self.observe(Observed::LogAppended { machine, entries });
        }
        for (block, wanted) in std::mem::take(&mut self.machines[machine].store.deleted) {
            let copy = self.machines[machine].store.copy_of(block);
            self.observe(Observed::CopyChanged { machine, block, copy });
            let assigned = self.assigned_by_somebody(machine, block, wanted);
            self.observe(Observed::CopyEvicted { machine, block, assigned });
        }
        for block in std::mem::take(&mut self.machines[machine].store.collected) {
            let copy = self.machines[machine].store.copy_of(block);
            self.observe(Observed::CopyChanged { machine, block, copy });
            let members = self.members_of(machine);
            self.observe(Observed::CopyCollected { machine, block, members });
        }
        done
    }

    /// Who is assigned a block by the maps that are in use somewhere, or were when its deletion was decided.
    fn assigned_by_somebody(&self, machine: MachineId, block: BlockId, wanted: u8) -> BTreeSet<BTreeSet<NodeId>> {
        let mut maps = self.maps_in_use();
        maps.extend(self.machines[machine].maps_at_deletion.clone());
        let holders = |servers| ClusterMap::new(servers).holders(block, wanted).into_iter().map(|holder| holder.node);
        maps.into_values().map(|servers| holders(servers).collect()).collect()
    }

    fn maps_in_use(&self) -> BTreeMap<Digest, Vec<MapServer>> {
        let engines = self.machines.iter().filter_map(|machine| machine.process.as_ref());
        let facts = engines.map(|process| process.engine.facts());
        facts.map(|facts| (facts.map_digest(), facts.servers())).collect()
    }

    fn work(&mut self, machine: MachineId, job: Box<TreeJob>, token: Token) {
        let done = job.run();
        let at = self.at;
        let looked = match (&*job, &done) {
            (TreeJob::Query(job), JobDone::Queried { .. }) => Some(seen_of(&job.heads)),
            _ => None,
        };
        if matches!(done, JobDone::Edited { .. } | JobDone::Merged { .. } | JobDone::Failed(_)) {
            self.observe(Observed::JobRan { machine, job: job.clone(), done: Box::new(done.clone()) });
        }
        let took: Micros = self.rng.u64(100..=3_000);
        let boot = self.machines[machine].boot;
        self.queue
            .plan(at + took, QueuedEvent::Input { machine, boot, input: Input::Work { token, job, done }, looked });
    }

    /// Tells an engine that its connection changed; frozen ones hear it later.
    pub(super) fn peer_event(&mut self, machine: MachineId, node: NodeId, event: PeerEvent) {
        self.input(machine, Input::Peer { node, event });
    }
}

/// What a store says while its index is being rebuilt.
fn not_yet(request: &DiskRequest, unknown: Possession) -> Option<DiskDone> {
    match request {
        DiskRequest::Read { .. } => Some(DiskDone::Read(ReadDone::NotYet)),
        DiskRequest::Have { ids, .. } => Some(DiskDone::Have(vec![unknown; ids.len()])),
        DiskRequest::Copies { .. } => Some(DiskDone::Copies(None)),
        DiskRequest::Segment { .. } => Some(DiskDone::Segment(Vec::new())),
        _ => None,
    }
}

fn number(effect: &Effect) -> (u8, u8, u8) {
    match effect {
        Effect::Send { to, message, .. } => (11, kind(message).1, to.0[0]),
        Effect::Disk { request, .. } => (12, kind_of_request(request), 0),
        Effect::Work { .. } => (13, 0, 0),
        Effect::Reply { reply, .. } => (14, answer(reply), 0),
        Effect::Connect { node, .. } => (15, 0, node.0[0]),
        Effect::Disconnect { node, .. } => (16, 0, node.0[0]),
        Effect::Notice(_) => (17, 0, 0),
    }
}

fn kind_of_request(request: &DiskRequest) -> u8 {
    match request {
        DiskRequest::Write { .. } => 1,
        DiskRequest::Read { .. } => 2,
        DiskRequest::Have { .. } => 3,
        DiskRequest::List { .. } => 4,
        DiskRequest::Log { .. } => 5,
        DiskRequest::Mend { .. } => 6,
        DiskRequest::Assure { .. } => 7,
        DiskRequest::Copies { .. } => 8,
        DiskRequest::Segment { .. } => 9,
        DiskRequest::Delete { .. } => 10,
        DiskRequest::Collect { .. } => 11,
        DiskRequest::Links { .. } => 12,
        DiskRequest::KeepLinks { .. } => 13,
    }
}

fn answer(reply: &Reply) -> u8 {
    use fsdfs_core::seam::PutOutcome;
    match reply {
        Reply::PutBlock(PutOutcome::Stored(_)) => 1,
        Reply::PutBlock(PutOutcome::Degraded(_)) => 2,
        Reply::PutBlock(PutOutcome::Refused(_)) => 3,
        Reply::Edit(_) => 4,
        Reply::Query(_) => 5,
        Reply::GetBlock(_) => 6,
        Reply::Refused(_) => 7,
        _ => 8,
    }
}
