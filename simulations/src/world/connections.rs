//! A connection from dialling to loss: dialled, up at both ends, moving parcels, broken, noticed by each end in its own time.

use fsdfs_core::seam::BlockPayload;
use fsdfs_core::seam::{Input, PeerEvent, PeerPath};
use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Message;

use super::{MachineId, QueuedEvent, World};
use crate::world::net::{ConnId, Parcel, Trip};
use crate::world::observed::Observed;
use crate::world::queue::{MS, Micros, S};

/// A connection attempt gives up after this long.
const DIAL_GIVES_UP: Micros = 5 * S;
/// How often a connection reports that bytes of a block are moving.
const PROGRESS_EVERY: Micros = 100 * MS;
/// Silence after which an end gives a connection up.
const IDLE: std::ops::RangeInclusive<Micros> = 10 * S..=30 * S;

impl World {
    pub(super) fn side_of(&self, conn: ConnId, machine: MachineId) -> Option<usize> {
        self.net.conn(conn)?.machines.iter().position(|end| *end == machine)
    }

    /// An idle uplink takes the next block.
    pub(super) fn feed(&mut self, site: usize) {
        let machines = &self.machines;
        let next = self.net.next_block(self.at, site, |to| machines[to].runs());
        let Some((conn, side, trip, parcel)) = next else { return };
        self.queue.plan(trip.sent, QueuedEvent::LineFree { site });
        self.plan_trip(conn, side, trip, parcel);
    }

    /// What did not go through may go through now.
    pub(super) fn feed_all(&mut self) {
        (0..self.net.sites()).for_each(|site| self.feed(site));
    }

    pub(super) fn plan_trip(&mut self, conn: ConnId, side: usize, trip: Trip, parcel: Parcel) {
        if parcel.block.is_some() {
            let late = trip.arrives - trip.sent;
            let mut moving = trip.starts + PROGRESS_EVERY;
            while moving < trip.sent {
                self.queue.plan(moving, QueuedEvent::Progress { conn, side });
                self.queue.plan(moving + late, QueuedEvent::Progress { conn, side: 1 - side });
                moving += PROGRESS_EVERY;
            }
            self.queue.plan(trip.sent, QueuedEvent::Progress { conn, side });
        }
        if let (Message::RelayedStore(store), Some(block)) = (&parcel.message, &parcel.block)
            && self.net.conn(conn).is_some_and(|found| self.machines[found.machines[side]].node != store.origin)
        {
            let (member, bytes) = (store.receipt.member, block.bytes().len());
            self.queue.plan(trip.sent, QueuedEvent::Relayed { conn, side, member, bytes });
        }
        self.queue.plan(trip.arrives, QueuedEvent::Arrive { conn, side, parcel });
    }

    pub(super) fn arrive(&mut self, conn: ConnId, side: usize, mut parcel: Parcel) {
        let Some([sender, to]) = self.open_at(conn, 1 - side) else { return };
        let from = self.machines[sender].node;
        if !self.has_right_signatures(to, &mut parcel.message) {
            // As a daemon does: whoever sends such a fact is talked to no more, for a while.
            self.peer_event(to, from, PeerEvent::Misbehaved);
            return self.lost(conn, 1 - side);
        }
        if let Some(block) = &parcel.block {
            self.block_pulled(to, sender, (&parcel.message, block));
        }
        let payload = parcel.block.map_or(BlockPayload::None, BlockPayload::Block);
        if let Message::Have(have) = &parcel.message {
            self.lease_asked(to, from, have);
        }
        if let Message::Offer(offer) = &parcel.message {
            self.offer_asked(to, from, offer);
        }
        self.input(to, Input::Message { from, message: parcel.message, payload });
    }

    /// Checked before an engine sees it, by the same code as in a daemon.
    fn has_right_signatures(&self, machine: MachineId, message: &mut Message) -> bool {
        let Some(process) = &self.machines[machine].process else { return true };
        let facts = match message {
            Message::Facts(batch) => &mut batch.facts,
            Message::HeadsReply(reply) => &mut reply.facts,
            _ => return true,
        };
        process.engine.facts().check_signatures(facts).is_ok()
    }

    pub(super) fn progress(&mut self, conn: ConnId, side: usize) {
        let Some([peer, here]) = self.open_at(conn, side) else { return };
        let peer = self.machines[peer].node;
        self.peer_event(here, peer, PeerEvent::Progress);
    }

    /// A block that was passed on has left.
    pub(super) fn relayed(&mut self, conn: ConnId, side: usize, (member, bytes): (NodeId, usize)) {
        let Some([peer, here]) = self.open_at(conn, side) else { return };
        let peer = self.machines[peer].node;
        self.peer_event(here, peer, PeerEvent::Relayed { member, bytes });
    }

    /// The other machine and that side's, if that side is open and its process the one that opened it.
    fn open_at(&self, conn: ConnId, side: usize) -> Option<[MachineId; 2]> {
        let found = self.net.conn(conn)?;
        found.open[side].then(|| [found.machines[1 - side], found.machines[side]])
    }

    /// A machine looks for a member.
    pub(super) fn dial(&mut self, machine: MachineId, node: NodeId) {
        let reachable = self.listener(machine, node);
        let took = match reachable {
            // Handshake and gate are three round trips.
            Some(other) => self.net.delay(machine, other) * 6,
            None => self.rng.u64(MS..=DIAL_GIVES_UP),
        };
        let boot = self.machines[machine].boot;
        self.queue.plan(self.at + took, QueuedEvent::Dialled { machine, boot, node });
    }

    pub(super) fn dialled(&mut self, machine: MachineId, boot: u64, node: NodeId) {
        if self.machines[machine].boot != boot || self.machines[machine].process.is_none() {
            return;
        }
        match self.listener(machine, node) {
            Some(other) => self.meet(machine, other),
            None => self.peer_event(machine, node, PeerEvent::Unreachable),
        }
    }

    /// A machine that answers for the node. With duplicates any of them may.
    fn listener(&mut self, from: MachineId, node: NodeId) -> Option<MachineId> {
        let answers = |(id, machine): (MachineId, &crate::world::machine::Machine)| {
            (machine.node == node && machine.runs() && id != from && self.net.reaches(from, id)).then_some(id)
        };
        let found: Vec<MachineId> = self.machines.iter().enumerate().filter_map(answers).collect();
        self.rng.choice(found)
    }

    /// A connection that both ends believe in stays; one that only one believes in is replaced.
    fn meet(&mut self, one: MachineId, other: MachineId) {
        let nodes = [self.machines[one].node, self.machines[other].node];
        let olds = [self.machines[one].conn(nodes[1]), self.machines[other].conn(nodes[0])];
        let joint = |id: ConnId| self.net.conn(id).is_some_and(|conn| conn.open == [true; 2]);
        if olds[0].is_some() && olds[0] == olds[1] && olds[0].is_some_and(joint) {
            return;
        }
        let Ok([at_one, at_other]) = self.gate(one, other) else {
            return self.peer_event(one, nodes[1], PeerEvent::Unreachable);
        };
        for (machine, old) in [one, other].into_iter().zip(olds) {
            if let Some((old, side)) = old.and_then(|old| Some((old, self.side_of(old, machine)?))) {
                self.lost(old, side);
            }
        }
        let late = self.net.delay(one, other);
        let conn = self.net.connect([one, other], self.at + late);
        for (machine, node) in [(one, nodes[1]), (other, nodes[0])] {
            if let Some(process) = &mut self.machines[machine].process {
                process.peers.insert(node, conn);
            }
        }
        self.up(conn, 0, at_one);
        self.queue.plan(self.at + late, QueuedEvent::Up { conn, side: 1, facts: at_other });
    }

    pub(super) fn up(&mut self, conn: ConnId, side: usize, facts: Vec<Fact>) {
        let Some([peer, here]) = self.open_at(conn, side) else { return };
        let node = self.machines[peer].node;
        self.observe(Observed::ConnectionsChanged);
        self.peer_event(here, node, PeerEvent::Up { facts });
        // Machines at one site are in one local network.
        if self.net.site_of(here) == self.net.site_of(peer) {
            self.peer_event(here, node, PeerEvent::Path(PeerPath::Local));
        }
    }

    /// The link is dead, and nobody has noticed yet.
    pub(super) fn cut(&mut self, conn: ConnId) {
        for side in [0, 1] {
            let patience = self.rng.u64(IDLE);
            self.queue.plan(self.at + patience, QueuedEvent::Idle { conn, side });
        }
    }

    /// An end has heard nothing for long: it gives up, if that is still so.
    pub(super) fn idle(&mut self, conn: ConnId, side: usize) {
        let Some([peer, here]) = self.open_at(conn, side) else { return };
        if !self.net.reaches(peer, here) || !self.machines[peer].runs() {
            self.lost(conn, side);
        }
    }

    /// That side gives the connection up or learns that it is dead; the other will notice.
    pub(super) fn lost(&mut self, conn: ConnId, side: usize) {
        let Some([peer, here]) = self.open_at(conn, side) else { return };
        self.net.close(conn, side);
        let node = self.machines[peer].node;
        if let Some(process) = &mut self.machines[here].process {
            if process.peers.get(&node) == Some(&conn) {
                process.peers.remove(&node);
            }
            self.observe(Observed::ConnectionsChanged);
            self.peer_event(here, node, PeerEvent::Down);
        }
        self.notice_soon(conn, 1 - side, [here, peer]);
    }

    /// An end learns late that the other is no more: by a reset if packets get through, else by silence.
    fn notice_soon(&mut self, conn: ConnId, side: usize, [gone, here]: [MachineId; 2]) {
        let after = if self.net.reaches(gone, here) && self.machines[gone].process.is_some() {
            self.net.delay(gone, here) + self.rng.u64(MS..=2 * S)
        } else {
            self.rng.u64(IDLE)
        };
        self.queue.plan(self.at + after, QueuedEvent::Lost { conn, side });
    }

    /// The engine wants nothing to do with a peer any more.
    pub(super) fn drop_peer(&mut self, machine: MachineId, node: NodeId) {
        let Some(conn) = self.machines[machine].conn(node) else { return };
        let Some(side) = self.side_of(conn, machine) else { return };
        self.queue.plan(self.at + 1, QueuedEvent::Lost { conn, side });
    }

    /// All ends of a process that ended: its peers notice late.
    pub(super) fn hang_up(&mut self, machine: MachineId, conns: impl IntoIterator<Item = ConnId>) {
        for conn in conns {
            let Some(side) = self.side_of(conn, machine) else { continue };
            if !self.net.close(conn, side) {
                continue;
            }
            let after = if self.rng.bool() { self.rng.u64(MS..=S) } else { self.rng.u64(IDLE) };
            self.queue.plan(self.at + after, QueuedEvent::Lost { conn, side: 1 - side });
        }
    }
}
