//! Links between machines: ordered and lossless until they break, with delay and the bandwidth of one uplink per site.
//!
//! Each direction of a connection has two streams. Blocks queue for the uplink, where connections take turns, as their packets
//! do on a real line; small messages pass them and only take bandwidth away. Where many messages wait, blocks have half of the
//! line: QUIC's streams take turns, so a flood of messages makes blocks slow but holds none of them up. Whoever does not take what
//! comes gets no turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fsdfs_proto::block::Block;
use fsdfs_proto::message::Message;

use crate::world::queue::{MS, Micros};
use crate::world::size::{kind, size_of};

/// A machine's number in the world.
pub type MachineId = usize;
/// A connection's number in the world.
pub type ConnId = u64;

/// Something on its way.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// What is said.
    pub message: Message,
    /// The block behind it.
    pub block: Option<Block>,
}

/// When a parcel leaves and arrives.
#[derive(Clone, Copy, Debug)]
pub struct Trip {
    /// Its first byte is on the line.
    pub starts: Micros,
    /// Its last byte is.
    pub sent: Micros,
    /// The other end has all of it.
    pub arrives: Micros,
}

/// One connection; side 0 dialled.
#[derive(Debug)]
pub struct Connection {
    /// Whose.
    pub machines: [MachineId; 2],
    /// Whether that side still believes in it.
    pub open: [bool; 2],
    streams: [StreamQueue; 2],
}

/// Messages, and blocks, that one direction of a connection may hold: the bounds of a daemon's queues.
pub const WAITING_MAX: [usize; 2] = [4096, 2048];

/// One direction, named by its sending side.
#[derive(Debug, Default)]
struct StreamQueue {
    last_message: Micros,
    last_block: Micros,
    held: VecDeque<Parcel>,
    /// When each parcel that is not on the line whole yet will be: messages, and blocks.
    leaving: [VecDeque<Micros>; 2],
}

impl StreamQueue {
    /// What waits now: messages, and blocks.
    fn waiting(&mut self, now: Micros) -> [usize; 2] {
        let held = self.held.iter().filter(|parcel| parcel.block.is_some()).count();
        let held = [self.held.len() - held, held];
        [0, 1].map(|kind| {
            let leaving = &mut self.leaving[kind];
            while leaving.front().is_some_and(|sent| *sent <= now) {
                leaving.pop_front();
            }
            held[kind] + leaving.len()
        })
    }
}

/// The network.
#[derive(Debug, Default)]
pub struct SimulatedNetwork {
    sites: Vec<Uplink>,
    /// Site of each machine.
    site_of: Vec<usize>,
    /// Milliseconds from site to site.
    delay_ms: BTreeMap<(usize, usize), u64>,
    conns: BTreeMap<ConnId, Connection>,
    dialled: ConnId,
    /// Which part of the partitioned network each machine is in.
    part: Vec<u8>,
    /// What was sent, by kind of message: parcels and bytes.
    traffic: BTreeMap<&'static str, (u64, u64)>,
    /// Pairs that can never connect, whatever heals: both behind routers that let nobody in.
    strangers: BTreeSet<(MachineId, MachineId)>,
    /// Pairs that connect only through a third machine.
    relayed: BTreeMap<(MachineId, MachineId), MachineId>,
    /// Machines whose nodes run.
    running: BTreeSet<MachineId>,
    /// Directions in which nothing goes through although the rest works.
    stalled: BTreeSet<(MachineId, MachineId)>,
}

#[derive(Debug)]
struct Uplink {
    bytes_per_s: u64,
    /// Until when a block is on it.
    blocks: Micros,
    /// Until when messages use it, whatever blocks there are: what is beyond now are bytes, not a time of arrival.
    messages: Micros,
    /// Bytes that left the site since the world began.
    sent: u64,
    /// Blocks that wait for it, by direction of a connection.
    waiting: BTreeMap<(ConnId, usize), VecDeque<Parcel>>,
    /// Which had the last turn.
    last: (ConnId, usize),
}

impl Uplink {
    fn new(bytes_per_s: u64) -> Self {
        Self { bytes_per_s, blocks: 0, messages: 0, sent: 0, waiting: BTreeMap::new(), last: (0, 0) }
    }

    /// A block that takes so long on an empty line. Returns when its first byte goes, and its last one.
    fn send_block(&mut self, now: Micros, took: Micros) -> (Micros, Micros) {
        let starts = now.max(self.blocks);
        let beside = self.messages.saturating_sub(starts).min(took);
        self.messages += beside;
        self.blocks = starts + took + beside;
        (starts, self.blocks)
    }

    fn send_message(&mut self, now: Micros, took: Micros) {
        self.messages = self.messages.max(now) + took;
    }
}

impl SimulatedNetwork {
    /// Adds a site with an uplink.
    pub fn add_site(&mut self, bytes_per_s: u64) -> usize {
        self.sites.push(Uplink::new(bytes_per_s));
        self.sites.len() - 1
    }

    /// Sets the one-way delay between two sites.
    pub fn set_delay(&mut self, one: usize, other: usize, ms: u64) {
        self.delay_ms.insert((one, other), ms);
        self.delay_ms.insert((other, one), ms);
    }

    /// Puts a machine into a site.
    pub fn add_machine(&mut self, site: usize) {
        self.site_of.push(site);
        self.part.push(0);
    }

    /// The site a machine stands in.
    pub fn site_of(&self, machine: MachineId) -> usize {
        self.site_of[machine]
    }

    /// How many sites there are.
    pub fn sites(&self) -> usize {
        self.sites.len()
    }

    /// What a site can send.
    pub fn bytes_per_s(&self, site: usize) -> u64 {
        self.sites[site].bytes_per_s
    }

    /// Bytes that a site sent to others since the world began.
    pub fn sent_by(&self, site: usize) -> u64 {
        self.sites[site].sent
    }

    /// One-way delay between two machines.
    pub fn delay(&self, from: MachineId, to: MachineId) -> Micros {
        let direct = |from: MachineId, to: MachineId| self.site_delay(self.site_of[from], self.site_of[to]);
        match self.relay_of(from, to) {
            Some(relay) => direct(from, relay) + direct(relay, to),
            None => direct(from, to),
        }
    }

    /// One-way delay between two sites, or inside of one.
    pub fn site_delay(&self, from: usize, to: usize) -> Micros {
        if from == to { MS / 2 } else { self.delay_ms.get(&(from, to)).copied().unwrap_or(1) * MS }
    }

    /// Whether packets get through in that direction.
    pub fn passes(&self, from: MachineId, to: MachineId) -> bool {
        match self.relay_of(from, to) {
            Some(relay) => self.running.contains(&relay) && self.is_open(from, relay) && self.is_open(relay, to),
            None => self.is_open(from, to) && !self.are_strangers(from, to),
        }
    }

    fn is_open(&self, from: MachineId, to: MachineId) -> bool {
        self.part[from] == self.part[to] && !self.stalled.contains(&(from, to))
    }

    /// From now on these two meet only through a third one.
    pub fn relay(&mut self, one: MachineId, other: MachineId, relay: MachineId) {
        self.relayed.insert((one.min(other), one.max(other)), relay);
    }

    /// The third one through which these two meet, if they do not meet otherwise.
    pub fn relay_of(&self, one: MachineId, other: MachineId) -> Option<MachineId> {
        self.relayed.get(&(one.min(other), one.max(other))).copied()
    }

    /// Whether others meet through this machine.
    pub fn relays(&self, machine: MachineId) -> bool {
        self.relayed.values().any(|relay| *relay == machine)
    }

    /// Those who met through a machine that is gone for good meet through that one from now on.
    pub fn replace_relay(&mut self, gone: MachineId, heir: MachineId) {
        self.relayed.values_mut().filter(|relay| **relay == gone).for_each(|relay| *relay = heir);
    }

    /// Whether a machine's node runs.
    pub fn set_runs(&mut self, machine: MachineId, runs: bool) {
        if runs {
            self.running.insert(machine);
        } else {
            self.running.remove(&machine);
        }
    }

    /// From now on these two never connect.
    pub fn estrange(&mut self, one: MachineId, other: MachineId) {
        self.strangers.insert((one.min(other), one.max(other)));
    }

    /// Whether some never connect.
    pub fn has_strangers(&self) -> bool {
        !self.strangers.is_empty()
    }

    /// Whether these two never connect.
    pub fn are_strangers(&self, one: MachineId, other: MachineId) -> bool {
        self.strangers.contains(&(one.min(other), one.max(other)))
    }

    /// Whether packets get through both ways.
    pub fn reaches(&self, one: MachineId, other: MachineId) -> bool {
        self.passes(one, other) && self.passes(other, one)
    }

    /// Cuts the network into parts; machines of different parts cannot reach each other.
    pub fn partition(&mut self, part: Vec<u8>) {
        assert_eq!(part.len(), self.part.len(), "each machine is in one part");
        self.part = part;
    }

    /// Nothing more goes from one machine to the other; the way back works.
    pub fn stall(&mut self, from: MachineId, to: MachineId) {
        self.stalled.insert((from, to));
    }

    /// Undoes all partitions and stalls.
    pub fn heal(&mut self) {
        self.part.fill(0);
        self.stalled.clear();
    }

    /// Opens a connection on which nothing arrives before `up`.
    pub fn connect(&mut self, machines: [MachineId; 2], up: Micros) -> ConnId {
        self.dialled += 1;
        let stream = || StreamQueue { last_message: up, last_block: up, ..StreamQueue::default() };
        self.conns.insert(self.dialled, Connection { machines, open: [true; 2], streams: [stream(), stream()] });
        self.dialled
    }

    /// A connection of which at least one side is open.
    pub fn conn(&self, id: ConnId) -> Option<&Connection> {
        self.conns.get(&id)
    }

    /// All of them.
    pub fn conns(&self) -> impl Iterator<Item = (ConnId, &Connection)> {
        self.conns.iter().map(|(id, conn)| (*id, conn))
    }

    /// That side gives the connection up. Returns whether it was open.
    pub fn close(&mut self, id: ConnId, side: usize) -> bool {
        let Some(conn) = self.conns.get_mut(&id) else { return false };
        let was_open = std::mem::replace(&mut conn.open[side], false);
        conn.streams[side].held.clear();
        self.sites[self.site_of[conn.machines[side]]].waiting.remove(&(id, side));
        if conn.open == [false; 2] {
            self.conns.remove(&id);
        }
        was_open
    }

    /// Sends; `None` if the network holds the parcel back, if it waits for its turn on the uplink, or nobody listens any more.
    pub fn send(&mut self, now: Micros, id: ConnId, side: usize, parcel: Parcel) -> Option<(Trip, Parcel)> {
        let [from, to] = self.ends(id, side)?;
        let (site, passes) = (self.site_of[from], self.passes(from, to));
        if parcel.block.is_some() && site != self.site_of[to] {
            self.sites[site].waiting.entry((id, side)).or_default().push_back(parcel);
            return None;
        }
        let stream = &mut self.conns.get_mut(&id)?.streams[side];
        if !passes || !stream.held.is_empty() {
            stream.held.push_back(parcel);
            return None;
        }
        Some((self.carry(now, id, side, &parcel), parcel))
    }

    /// The next block on a site's uplink, if that is idle. `takes`: whether a machine takes what comes.
    pub fn next_block(
        &mut self,
        now: Micros,
        site: usize,
        takes: impl Fn(MachineId) -> bool,
    ) -> Option<(ConnId, usize, Trip, Parcel)> {
        let Uplink { blocks, last, ref waiting, .. } = self.sites[site];
        if now < blocks {
            return None;
        }
        let goes = |(id, side): &(ConnId, usize)| {
            self.ends(*id, *side).is_some_and(|[from, to]| self.passes(from, to) && takes(to))
        };
        let (before, behind): (Vec<_>, Vec<_>) = waiting.keys().copied().partition(|key| *key <= last);
        let (id, side) = behind.into_iter().chain(before).find(goes)?;
        let uplink = &mut self.sites[site];
        uplink.last = (id, side);
        let queue = uplink.waiting.get_mut(&(id, side))?;
        let parcel = queue.pop_front()?;
        if queue.is_empty() {
            uplink.waiting.remove(&(id, side));
        }
        let trip = self.carry(now, id, side, &parcel);
        Some((id, side, trip, parcel))
    }

    /// Parcels that can travel on after the network healed.
    pub fn release(&mut self, now: Micros) -> Vec<(ConnId, usize, Trip, Parcel)> {
        let ids: Vec<ConnId> = self.conns.keys().copied().collect();
        let mut released = Vec::new();
        for (id, side) in ids.into_iter().flat_map(|id| [(id, 0), (id, 1)]) {
            if self.ends(id, side).is_none_or(|[from, to]| !self.passes(from, to)) {
                continue;
            }
            let held = self.conns.get_mut(&id).map(|conn| std::mem::take(&mut conn.streams[side].held));
            for parcel in held.unwrap_or_default() {
                released.push((id, side, self.carry(now, id, side, &parcel), parcel));
            }
        }
        released
    }

    /// What waits on one side of a connection, if it is more than that may be.
    pub fn overflow(&mut self, now: Micros, id: ConnId, side: usize) -> Option<[usize; 2]> {
        let conn = self.conns.get_mut(&id)?;
        let mut waiting = conn.streams[side].waiting(now);
        let uplink = &self.sites[self.site_of[conn.machines[side]]];
        waiting[1] += uplink.waiting.get(&(id, side)).map_or(0, VecDeque::len);
        (waiting[0] > WAITING_MAX[0] || waiting[1] > WAITING_MAX[1]).then_some(waiting)
    }

    fn ends(&self, id: ConnId, side: usize) -> Option<[MachineId; 2]> {
        let machines = self.conns.get(&id)?.machines;
        Some([machines[side], machines[1 - side]])
    }

    /// Parcels and bytes sent since the world began, by kind of message.
    pub fn traffic(&self) -> &BTreeMap<&'static str, (u64, u64)> {
        &self.traffic
    }

    fn carry(&mut self, now: Micros, id: ConnId, side: usize, parcel: &Parcel) -> Trip {
        let conn = &self.conns[&id];
        let [from, to] = [conn.machines[side], conn.machines[1 - side]];
        let delay = self.delay(from, to);
        let local = self.site_of[from] == self.site_of[to];
        let uplink = &mut self.sites[self.site_of[from]];
        let bytes_per_s = if local { 125_000_000 } else { uplink.bytes_per_s };
        let bytes = size_of(&parcel.message, parcel.block.as_ref());
        let sent = self.traffic.entry(kind(&parcel.message).0).or_default();
        *sent = (sent.0 + 1, sent.1 + bytes);
        let took = (bytes * 1_000_000).div_ceil(bytes_per_s);
        let (starts, sent) = match (local, parcel.block.is_some()) {
            (false, true) => uplink.send_block(now, took),
            (false, false) => {
                uplink.send_message(now, took);
                (now, now + took)
            }
            (true, _) => (now, now + took),
        };
        if !local {
            uplink.sent += bytes;
        }
        let stream = &mut self.conns.get_mut(&id).expect("looked up above").streams[side];
        stream.leaving[usize::from(parcel.block.is_some())].push_back(sent);
        let last = if parcel.block.is_some() { &mut stream.last_block } else { &mut stream.last_message };
        // Streams keep their order; two parcels never arrive in the same microsecond.
        *last = (sent + delay).max(*last + 1);
        Trip { starts, sent, arrives: *last }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_half_of_the_line_beside_a_flood_of_messages_and_all_of_it_alone() {
        let mut uplink = Uplink::new(1);
        assert_eq!(uplink.send_block(0, 100), (0, 100));
        uplink.send_message(100, 1_000);
        assert_eq!(uplink.send_block(100, 200), (100, 500), "its own 200, and as much of the messages");
        assert_eq!(uplink.send_block(100, 900), (500, 2_200), "800 of the messages were left");
        assert_eq!(uplink.send_block(2_200, 100), (2_200, 2_300), "nothing else is on the line");
    }
}
