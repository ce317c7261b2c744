//! Between the connections and the machine by which members meet: what happens to connections goes in, what is to be done with them
//! comes out.

use std::collections::VecDeque;
use std::net::SocketAddr;

use fsdfs_core::seam::{PeerPath, TrafficClass};
use fsdfs_proto::ids::{MeetingId, NodeId, SessionToken};
use fsdfs_proto::message::Message;
use fsdfs_proto::message::meeting::{Candidate, MeetOutcome};
use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::PeerCondition;
use tokio::time::{Duration, Instant};

use super::address;
use super::driver::SwarmDriver;
use super::meetings::{LOOK_EVERY, MeetingEvent};
use super::moves::ConnectionMoved;
use crate::net::event::NetEvent;
use crate::net::findings::{is_local, is_public};
use crate::net::meet::{MeetInput, MeetOutput, MeetPath, OwnPlaces, SessionTokens, own_candidates};
use crate::net::socket::{Packet, PeerPacket, RelayRefusal, SocketHandle, token_of, virtual_address};
use crate::random;

impl SwarmDriver {
    /// Tells the machine, and does what it wants.
    pub(super) fn meet(&mut self, input: MeetInput) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let (now, mut outputs) = (self.meetings.now(), Vec::new());
            tracing::trace!(?input, "meeting");
            self.meetings.machine.handle(now, input, &mut outputs);
            for output in outputs {
                inputs.extend(self.do_for_meeting(output));
            }
        }
    }

    pub(super) fn on_meeting_event(&mut self, event: MeetingEvent) {
        match event {
            MeetingEvent::Said(from, message) => {
                if matches!(message, Message::Meet(_) | Message::MeetReply(_)) {
                    self.measure();
                }
                self.meet(MeetInput::Message { from, message });
            }
            MeetingEvent::Opened(node) => self.on_link_open(node),
            MeetingEvent::Packet(PeerPacket { peer, from, packet }) => match packet {
                Packet::Knock { meeting, round } => {
                    self.meet(MeetInput::Knock { peer, from, meeting, round });
                }
                Packet::Heard { meeting, .. } => {
                    self.meet(MeetInput::Heard { peer, from, meeting });
                }
                Packet::Probe { .. } => {}
            },
            MeetingEvent::SessionEnded(tokens) => self.meet(MeetInput::SessionEnded { tokens }),
            MeetingEvent::Due => self.meet(MeetInput::Due),
            MeetingEvent::Look => {
                self.meetings.look_at = Instant::now() + LOOK_EVERY;
                let own = self.own_candidates();
                self.meet(MeetInput::OwnCandidates(own));
            }
        }
    }

    /// Something can be said to it now, over the connection in use.
    pub(super) fn on_link_open(&mut self, node: NodeId) {
        let Some(live) = self.sessions.get(&node) else { return };
        let Some(path) = self.meetings.path(live.connection) else { return };
        let direct = match path {
            MeetPath::Direct(address) => Some(address),
            MeetPath::Relayed(_) => None,
        };
        self.meetings.socket.set_address(node, direct);
        if direct.is_none() {
            self.addresses.change(|table| table.remotes.remove(&node).is_some());
        }
        self.meet(MeetInput::Up { node, path });
    }

    /// No connection with it is in use any more.
    pub(super) fn on_link_over(&mut self, node: NodeId) {
        self.meetings.socket.set_address(node, None);
        self.forget_path(node);
        self.meet(MeetInput::Down(node));
    }

    pub(super) fn on_moved(&mut self, moved: &ConnectionMoved) {
        let Some(address) = address::socket_addr(&moved.address) else { return };
        self.meetings.remotes.insert(moved.connection, address);
        let in_use = self.sessions.iter().find(|(_, live)| live.connection == moved.connection);
        if let Some(node) = in_use.map(|(node, _)| *node).filter(|_| token_of(address).is_none()) {
            self.meetings.socket.set_address(node, Some(address));
            self.addresses.change(|table| table.remotes.insert(node, address) != Some(address));
            self.meet(MeetInput::Moved { node, address });
        }
    }

    /// A connection is over, used or not.
    pub(super) fn on_connection_over(&mut self, connection: ConnectionId) {
        let Some(remote) = self.meetings.remotes.remove(&connection) else { return };
        if let Some(token) = self.meetings.is_last_of(remote) {
            self.meet(MeetInput::Closed(token));
        }
    }

    /// A dial led to nobody.
    pub(super) fn on_dial_over(&mut self, connection: ConnectionId) {
        let Some((node, address)) = self.meetings.dials.remove(&connection) else { return };
        match token_of(address) {
            None => self.meet(MeetInput::DialFailed { node, address }),
            Some(_) => {
                if let Some(token) = self.meetings.is_last_of(address) {
                    self.meet(MeetInput::Closed(token));
                }
            }
        }
    }

    fn do_for_meeting(&mut self, output: MeetOutput) -> Option<MeetInput> {
        tracing::trace!(?output, "meeting");
        let socket = &self.meetings.socket;
        match output {
            MeetOutput::Send { to, message } => self.hub.send(to, message, None, TrafficClass::User),
            MeetOutput::Find(node) => self.find(node, self.card_addresses(node)),
            MeetOutput::Dial { node, address } => {
                self.patience.forget(address);
                return self.dial_for_meeting(node, address);
            }
            MeetOutput::DialOver { node, token } => return self.dial_for_meeting(node, virtual_address(token)),
            MeetOutput::OpenPath { token, relay } => {
                return socket.open_path(relay, token).is_none().then_some(MeetInput::Closed(token));
            }
            MeetOutput::ClosePath(token) => self.close_path(token),
            MeetOutput::Expect { meeting, peer } => {
                // With too many, this one is not heard: as if its packets were lost.
                socket.expect_meeting(meeting, peer);
            }
            MeetOutput::Forget(meeting) => socket.forget_meeting(meeting),
            MeetOutput::Knock { to, peer, meeting, round } => {
                socket.send(peer, to, &Packet::Knock { meeting, round });
            }
            MeetOutput::Heard { to, peer, meeting, round } => {
                socket.send(peer, to, &Packet::Heard { meeting, round, seen: to.into() });
            }
            MeetOutput::OpenSession { asker, other } => return Some(open_session(socket, asker, other)),
            MeetOutput::StopForwarding { node, token } => drop(socket.close_session(node, token)),
            MeetOutput::SeenBy { node, address } => {
                self.addresses.change(|table| table.observed.insert(node, address) != Some(address));
                // At once: whoever is met next has to hear of it.
                return Some(MeetInput::OwnCandidates(self.own_candidates()));
            }
            MeetOutput::Path { node, address, via } => self.show_path(node, address, via),
        }
        None
    }

    fn dial_for_meeting(&mut self, node: NodeId, address: SocketAddr) -> Option<MeetInput> {
        match self.dial_if(node, vec![address::quic(address)], PeerCondition::Always) {
            Some(connection) => {
                self.meetings.dials.insert(connection, (node, address));
                None
            }
            None => Some(token_of(address).map_or(MeetInput::DialFailed { node, address }, MeetInput::Closed)),
        }
    }

    /// What the peer says over it gets nowhere from now on, so nothing is to wait for that.
    fn close_path(&mut self, token: SessionToken) {
        self.meetings.socket.close_path(token);
        let over = |remote: &SocketAddr| token_of(*remote) == Some(token);
        let connections = self.meetings.remotes.iter().filter(|(_, remote)| over(remote));
        let connections: Vec<ConnectionId> = connections.map(|(connection, _)| *connection).collect();
        for connection in connections {
            self.swarm.close_connection(connection);
        }
    }

    /// What the last card of a member says.
    fn card_addresses(&self, node: NodeId) -> Vec<String> {
        let facts = self.keeper.facts();
        let card = facts.members().get(&node).and_then(|member| member.card.as_ref());
        card.map(|card| card.value().addrs.clone()).unwrap_or_default()
    }

    /// How long packets take to each peer and back.
    pub(super) fn measure(&mut self) {
        for (node, path) in self.hub.paths() {
            if let Some(rtt) = path.rtt() {
                self.meet(MeetInput::Rtt { node, ms: in_ms(rtt) });
            }
        }
    }

    fn show_path(&mut self, node: NodeId, address: Option<SocketAddr>, via: Option<NodeId>) {
        let path = match address {
            None => PeerPath::Relayed,
            Some(address) if is_local(address.ip()) => PeerPath::Local,
            Some(_) => PeerPath::Direct,
        };
        let link = self.hub.paths().into_iter().find(|(peer, _)| *peer == node).map(|(_, path)| path);
        let rtt_ms = link.and_then(|link| link.rtt()).map(in_ms);
        let before = match via {
            Some(relay) => self.addresses.lock().relays.insert(node, relay),
            None => self.addresses.lock().relays.remove(&node),
        };
        // That a connection is direct is what everybody expects.
        let is_change = before != via;
        self.events.push_back(NetEvent::Path { node, path, via, rtt_ms, is_change });
    }

    fn own_candidates(&self) -> Vec<Candidate> {
        let table = self.addresses.lock();
        let interfaces: Vec<SocketAddr> = table.listening.iter().copied().collect();
        let mapped: Vec<SocketAddr> = table.mapped().collect();
        let named = &self.meetings.named;
        own_candidates(OwnPlaces { named, mapped: &mapped, seen: &table.observed, interfaces: &interfaces })
    }

    /// Where a member was reached from outside of its home; the newest first.
    pub(super) fn last_addresses(&self, node: NodeId) -> Vec<SocketAddr> {
        let mut known = self.book.addresses(node);
        known.retain(|address| is_public(address.ip()));
        known
    }
}

fn in_ms(rtt: Duration) -> u32 {
    u32::try_from(rtt.as_millis()).unwrap_or(u32::MAX)
}

fn open_session(socket: &SocketHandle, asker: NodeId, other: NodeId) -> MeetInput {
    let opened = socket.open_session(asker, other).map_err(|refusal| match refusal {
        RelayRefusal::NotConnected => MeetOutcome::NotConnected,
        RelayRefusal::Full => MeetOutcome::Full,
        RelayRefusal::NoRelay => MeetOutcome::NoRelay,
    });
    let tokens = opened.map(|opened| SessionTokens { asker: opened.asker, other: opened.other });
    MeetInput::SessionOpened { meeting: MeetingId(random::bytes()), tokens }
}
