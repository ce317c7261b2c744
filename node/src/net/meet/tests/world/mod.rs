//! Nodes behind routers, in virtual time: packets, dials and messages as the transport has them, and the machine under test.

mod connections;
mod routes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use fsdfs_proto::ids::{Key, MeetingId, NodeId, SessionToken};
use fsdfs_proto::message::Message;
use fsdfs_proto::message::meeting::{Candidate, CandidateKind, MeetOutcome};

use super::nat::Nat;
use crate::net::meet::{MeetInput, MeetOutput, MeetPath, Meetings, MemberCards, Now, SessionTokens};

/// What the transport allows a dial.
const DIAL_MAX: u64 = 5_000;
/// After so long without an answer it repeats what it said.
const REPEAT: u64 = 1_000;
/// After so long without packets a connection is suspected, and then it is over.
const SUSPECT: u64 = 5_000;
const IDLE: u64 = 10_000;
/// Outputs of one moment at most: more is a loop.
const OUTPUTS_MAX: usize = 20_000;

/// What cards say: everybody takes part, some relay.
#[derive(Clone, Default)]
pub(super) struct Cards {
    pub members: BTreeSet<NodeId>,
    pub relays: BTreeSet<NodeId>,
}

impl MemberCards for Cards {
    fn meets(&self, node: NodeId) -> bool {
        self.members.contains(&node)
    }

    fn relays(&self, node: NodeId) -> bool {
        self.relays.contains(&node)
    }
}

pub(super) fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}

/// A machine with one address a family.
pub(super) struct Host {
    pub machine: Meetings<Cards>,
    /// Its address, and through which routers it goes, from the inside.
    interfaces: Vec<(SocketAddr, Vec<usize>)>,
    /// Milliseconds to the middle of the network.
    pub distance: u64,
    pub alive: bool,
    /// Where it thinks others are.
    pub known: BTreeMap<NodeId, Vec<SocketAddr>>,
    /// What it takes part in as an end: through whom.
    paths: BTreeMap<SessionToken, NodeId>,
    /// What it forwards: from whom, to whom with which token.
    pub hops: BTreeMap<SessionToken, (NodeId, NodeId, SessionToken)>,
    seen: BTreeMap<NodeId, SocketAddr>,
    expected: BTreeMap<MeetingId, NodeId>,
    /// The way of the last output of this kind.
    pub shown: BTreeMap<NodeId, Option<NodeId>>,
    pub knocks_sent: usize,
}

/// A connection, and how each side sees it.
#[derive(Clone, Debug)]
struct Connection {
    ends: [(NodeId, MeetPath); 2],
}

/// A packet on the way.
#[derive(Clone, Copy, Debug)]
enum Packet {
    Knock {
        meeting: MeetingId,
        round: u8,
        by: NodeId,
        to: NodeId,
    },
    Heard {
        meeting: MeetingId,
        by: NodeId,
        to: NodeId,
    },
    /// Of a handshake: `step` 0 to 3, alternating.
    Dial {
        dial: usize,
        step: u8,
    },
}

#[derive(Clone, Debug)]
enum Event {
    Packet { from: SocketAddr, to: NodeId, via: Option<SessionToken>, packet: Packet },
    Message { from: NodeId, to: NodeId, connection: usize, message: Message },
    Repeat { dial: usize, step: u8 },
    DialOver { dial: usize },
    Input { node: NodeId, input: MeetInput },
    Drop { node: NodeId, connection: usize },
}

#[derive(Clone, Debug)]
struct Dial {
    by: NodeId,
    to: NodeId,
    way: MeetPath,
    step: u8,
    ended: bool,
    /// Whether the machine wants to hear of it.
    reported: bool,
}

pub(super) struct World {
    pub now: u64,
    /// Minutes since 1970 at the start.
    pub minute: u64,
    pub hosts: BTreeMap<NodeId, Host>,
    pub nats: Vec<Nat>,
    pub cards: Cards,
    queue: BTreeMap<(u64, u64), Event>,
    number: u64,
    connections: BTreeMap<usize, Connection>,
    in_use: BTreeMap<(NodeId, NodeId), usize>,
    dials: Vec<Dial>,
    /// Packets lost, of a thousand.
    pub loss: u64,
    random: fastrand::Rng,
    pub relaying: bool,
    /// Messages about meetings that were sent.
    pub messages: usize,
    /// Sessions that relays opened.
    opened: u64,
}

impl World {
    pub fn new() -> Self {
        Self {
            now: 0,
            minute: 29_000_000,
            hosts: BTreeMap::new(),
            nats: Vec::new(),
            cards: Cards::default(),
            queue: BTreeMap::new(),
            number: 0,
            connections: BTreeMap::new(),
            in_use: BTreeMap::new(),
            dials: Vec::new(),
            loss: 0,
            random: fastrand::Rng::with_seed(7),
            relaying: true,
            messages: 0,
            opened: 0,
        }
    }

    pub fn seed(&mut self, seed: u64) {
        self.random = fastrand::Rng::with_seed(seed);
    }

    pub fn add_nat(&mut self, nat: Nat) -> usize {
        self.nats.push(nat);
        self.nats.len() - 1
    }

    /// All hosts are to be added before the first thing happens.
    pub fn add_host(&mut self, number: u8, interfaces: Vec<(SocketAddr, Vec<usize>)>, distance: u64) -> NodeId {
        let id = node(number);
        self.cards.members.insert(id);
        let host = Host {
            machine: Meetings::new(id, Key([7; 32]), Cards::default()),
            interfaces,
            distance,
            alive: true,
            known: BTreeMap::new(),
            paths: BTreeMap::new(),
            hops: BTreeMap::new(),
            seen: BTreeMap::new(),
            expected: BTreeMap::new(),
            shown: BTreeMap::new(),
            knocks_sent: 0,
        };
        self.hosts.insert(id, host);
        id
    }

    /// Everybody has everybody's card.
    pub fn deal_cards(&mut self) {
        let ids: Vec<NodeId> = self.hosts.keys().copied().collect();
        for id in ids {
            self.host(id).machine = Meetings::new(id, Key([7; 32]), self.cards.clone());
            self.tell_candidates(id);
        }
    }

    pub fn host(&mut self, id: NodeId) -> &mut Host {
        self.hosts.get_mut(&id).unwrap()
    }

    /// As if no other had said yet where it sees it. What was forgotten.
    pub fn forget_seen(&mut self, id: NodeId) -> BTreeMap<NodeId, SocketAddr> {
        let seen = std::mem::take(&mut self.host(id).seen);
        self.tell_candidates(id);
        seen
    }

    /// Now they say it.
    pub fn remember_seen(&mut self, id: NodeId, seen: BTreeMap<NodeId, SocketAddr>) {
        self.host(id).seen = seen;
        self.tell_candidates(id);
    }

    pub fn address(&self, id: NodeId) -> SocketAddr {
        self.hosts[&id].interfaces[0].0
    }

    /// As the transport does when somebody is to be found: dials what is known, and tells the machine.
    pub fn find(&mut self, by: NodeId, wanted: NodeId) {
        self.input(by, MeetInput::Want(wanted));
        for address in self.hosts[&by].known.get(&wanted).cloned().unwrap_or_default() {
            self.dial(by, wanted, MeetPath::Direct(address), false);
        }
    }

    /// What a machine is told, and everything that follows at once.
    pub fn input(&mut self, id: NodeId, input: MeetInput) {
        let mut inputs = VecDeque::from([input]);
        let mut count = 0;
        while let Some(input) = inputs.pop_front() {
            let (now, mut out) = (Now { ms: self.now, minute: self.minute + self.now / 60_000 }, Vec::new());
            let host = self.host(id);
            if !host.alive {
                return;
            }
            host.machine.handle(now, input, &mut out);
            count += out.len();
            assert!(count < OUTPUTS_MAX, "a loop");
            for output in out {
                inputs.extend(self.output(id, output));
            }
        }
    }

    /// Carries an output out; what comes of it at once.
    fn output(&mut self, id: NodeId, output: MeetOutput) -> Option<MeetInput> {
        match output {
            MeetOutput::Send { to, message } => self.send(id, to, &message),
            MeetOutput::Find(node) => {
                for address in self.hosts[&id].known.get(&node).cloned().unwrap_or_default() {
                    self.dial(id, node, MeetPath::Direct(address), false);
                }
            }
            MeetOutput::Dial { node, address } => self.dial(id, node, MeetPath::Direct(address), true),
            MeetOutput::OpenPath { token, relay } => {
                assert!(self.host(id).paths.insert(token, relay).is_none(), "opened twice");
            }
            MeetOutput::DialOver { node, token } => {
                assert!(self.hosts[&id].paths.contains_key(&token), "a path that is not open");
                self.dial(id, node, MeetPath::Relayed(token), true);
            }
            MeetOutput::ClosePath(token) => {
                self.host(id).paths.remove(&token);
                let over = |(end, path): &(NodeId, MeetPath)| *end == id && *path == MeetPath::Relayed(token);
                let dead = self.connections.iter().filter(|(_, known)| known.ends.iter().any(over));
                let dead: Vec<usize> = dead.map(|(number, _)| *number).collect();
                for number in dead {
                    // The other side sees nothing: the packet that says so has no way any more.
                    self.later(0, Event::Drop { node: id, connection: number });
                    let other = self.other(number, id);
                    self.later(IDLE, Event::Drop { node: other, connection: number });
                }
            }
            MeetOutput::Expect { meeting, peer } => {
                let expected = &mut self.host(id).expected;
                expected.insert(meeting, peer);
                assert!(expected.len() <= 100, "expected by {id:?}");
            }
            MeetOutput::Forget(meeting) => {
                self.host(id).expected.remove(&meeting);
            }
            MeetOutput::Knock { to, peer, meeting, round } => {
                self.host(id).knocks_sent += 1;
                self.packet(id, to, Packet::Knock { meeting, round, by: id, to: peer });
            }
            MeetOutput::Heard { to, peer, meeting, .. } => {
                self.packet(id, to, Packet::Heard { meeting, by: id, to: peer });
            }
            MeetOutput::OpenSession { asker, other } => return Some(self.open_session(id, asker, other)),
            MeetOutput::StopForwarding { token, .. } => {
                if let Some((_, _, other)) = self.host(id).hops.remove(&token) {
                    self.host(id).hops.remove(&other);
                }
            }
            MeetOutput::SeenBy { node, address } => {
                self.host(id).seen.insert(node, address);
                self.tell_candidates(id);
            }
            MeetOutput::Path { node, via, .. } => {
                self.host(id).shown.insert(node, via);
            }
        }
        None
    }

    fn open_session(&mut self, id: NodeId, asker: NodeId, other: NodeId) -> MeetInput {
        self.opened += 1;
        let number = self.opened.to_be_bytes();
        let token =
            |side: u8| SessionToken([id.0[0], side, number[2], number[3], number[4], number[5], number[6], number[7]]);
        let mut meeting = [id.0[0]; 16];
        meeting[8..].copy_from_slice(&number);
        let tokens = SessionTokens { asker: token(1), other: token(2) };
        let result = if self.relaying { Ok(tokens) } else { Err(MeetOutcome::NoRelay) };
        if self.relaying {
            let hops = &mut self.host(id).hops;
            hops.insert(tokens.asker, (asker, other, tokens.other));
            hops.insert(tokens.other, (other, asker, tokens.asker));
        }
        MeetInput::SessionOpened { meeting: MeetingId(meeting), tokens: result }
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: &Message) {
        self.messages += 1;
        // It travels as the wire has it: what does not decode never arrives.
        let bytes = fsdfs_proto::codec::encode(message);
        let message = fsdfs_proto::codec::decode(&bytes).expect("a message that is sent can be read");
        let Some(connection) = self.in_use.get(&(from, to)).copied() else { return };
        let delay = self.delay(from, to, self.path(from, to));
        self.later(delay, Event::Message { from, to, connection, message });
    }

    fn later(&mut self, delay: u64, event: Event) {
        self.number += 1;
        self.queue.insert((self.now + delay, self.number), event);
    }

    /// Everything until then, or until something is so.
    pub fn run_until(&mut self, until: u64, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let due = self.hosts.iter().filter(|(_, host)| host.alive);
            let due = due.filter_map(|(id, host)| Some((host.machine.deadline(self.now)?, *id))).min();
            let event = self.queue.first_key_value().map(|((at, _), _)| *at);
            match (due, event) {
                (Some((at, id)), event) if event.is_none_or(|event| at < event) => {
                    if at > until {
                        break;
                    }
                    let before = self.now;
                    self.now = self.now.max(at);
                    self.input(id, MeetInput::Due);
                    let next = self.hosts[&id].machine.deadline(self.now);
                    assert!(next.is_none_or(|next| next > self.now), "{id:?} is due for ever at {before}: {next:?}");
                }
                (_, Some(at)) => {
                    if at > until {
                        break;
                    }
                    let (_, event) = self.queue.pop_first().unwrap();
                    self.now = self.now.max(at);
                    self.happen(event);
                }
                _ => break,
            }
        }
        if !done(self) {
            self.now = self.now.max(until);
        }
    }

    pub fn run(&mut self, ms: u64) {
        self.run_until(self.now + ms, |_| false);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Packet { to, .. } if !self.hosts[&to].alive => {}
            Event::Packet { from, to, via, packet } => self.on_packet(from, to, via, packet),
            Event::Message { from, to, connection, message } => {
                if self.in_use.get(&(to, from)) == Some(&connection) {
                    self.input(to, MeetInput::Message { from, message });
                }
            }
            Event::Repeat { dial, step } => {
                if !self.dials[dial].ended && self.dials[dial].step == step && self.hosts[&self.dials[dial].by].alive {
                    self.say(dial, step);
                }
            }
            Event::DialOver { dial } => self.on_dial_over(dial),
            Event::Input { node, input } => {
                // Suspicion ends with the connection.
                let stands = |peer: &NodeId| self.in_use.contains_key(&(node, *peer));
                if !matches!(&input, MeetInput::Suspect(peer) if !stands(peer)) {
                    self.input(node, input);
                }
            }
            Event::Drop { node, connection } => self.drop_at(node, connection),
        }
    }

    fn on_packet(&mut self, from: SocketAddr, to: NodeId, via: Option<SessionToken>, packet: Packet) {
        match packet {
            Packet::Knock { meeting, round, by, to: wanted } => {
                if wanted == to && self.hosts[&to].expected.get(&meeting) == Some(&by) {
                    self.input(to, MeetInput::Knock { peer: by, from, meeting, round });
                }
            }
            Packet::Heard { meeting, by, to: wanted } => {
                if wanted == to && self.hosts[&to].expected.get(&meeting) == Some(&by) {
                    self.input(to, MeetInput::Heard { peer: by, from, meeting });
                }
            }
            Packet::Dial { dial, step } => self.on_handshake(dial, step, (from, via), to),
        }
    }

    /// What the node knows of its own addresses, as the transport would put it together.
    pub fn tell_candidates(&mut self, id: NodeId) {
        let host = &self.hosts[&id];
        let of = |kind, address: SocketAddr| Candidate { kind, address: address.into() };
        let own: BTreeSet<SocketAddr> = host.interfaces.iter().map(|(own, _)| *own).collect();
        let seen: BTreeSet<SocketAddr> = host.seen.values().copied().filter(|seen| !own.contains(seen)).collect();
        let seen = seen.into_iter().take(3).map(|address| of(CandidateKind::Seen, address));
        let all: Vec<Candidate> = seen.chain(own.iter().map(|own| of(CandidateKind::Interface, *own))).collect();
        self.input(id, MeetInput::OwnCandidates(all));
    }
}
