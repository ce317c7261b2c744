//! The one UDP socket of a node: QUIC with peers that are reached directly and with those behind a relay, packets that are
//! forwarded for others, and the few packets that peers say beside QUIC (spec 04-wire, "Meeting").
//!
//! One port for everything is one mapping in the router, however many peers there are. [`SocketHandle`] is what the rest of the
//! network calls; [`Mux`] is what QUIC is given; what is decided about packets stands in `relay`, `expected` and `addresses`,
//! without sockets and clocks.

mod addresses;
mod batch;
mod events;
mod expected;
mod forwarder;
mod hush;
mod mux;
mod relay;
mod switchboard;
#[cfg(test)]
mod tests;
mod udp;
mod virtual_address;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use fsdfs_proto::ids::{Key, MeetingId, NodeId, ProbeNonce, SessionToken};
pub(in crate::net) use fsdfs_proto::packet::Packet;

use crate::random;
#[allow(unused_imports, reason = "named where peers that cannot be reached directly are met")]
pub(in crate::net) use events::PeerPacket;
pub(in crate::net) use events::SocketEvents;
pub(in crate::net) use forwarder::RelayForwarder;
pub(in crate::net) use mux::Mux;
pub use relay::RelayedPair;
pub(in crate::net) use relay::{EndedSession, OpenedSession, RelayRefusal, SESSIONS_MAX, SESSIONS_PER_NODE_MAX};
use switchboard::Switchboard;
pub(in crate::net) use udp::BoundAddresses;
use udp::UdpSockets;
#[cfg(test)]
pub(in crate::net) use udp::walls;
use virtual_address::canonical;
pub(in crate::net) use virtual_address::{is_virtual, token_of, virtual_address};

/// Peers behind relays at once at most: as many as one node has others to meet.
const PATHS_MAX: usize = 64;

/// What the network tells its socket, and asks of it. Nothing here waits.
#[derive(Clone)]
pub(in crate::net) struct SocketHandle(Arc<Switchboard>);

impl SocketHandle {
    /// Of this node, in the pool with this gate secret.
    pub fn new(secret: Key, node: NodeId) -> (Self, SocketEvents) {
        let (switchboard, events) = Switchboard::new(secret, node);
        (Self(switchboard), events)
    }

    /// A socket that listens; `0.0.0.0` on both families. What this node sends beside QUIC leaves through it.
    pub fn listen(&self, addr: SocketAddr) -> io::Result<Arc<Mux>> {
        let sockets = Arc::new(UdpSockets::bind(addr)?);
        self.0.add(&sockets);
        Ok(Arc::new(Mux::new(sockets, Arc::clone(&self.0))))
    }

    /// One that only dials.
    pub fn dial_from(&self, addr: SocketAddr) -> io::Result<Arc<Mux>> {
        Ok(Arc::new(Mux::new(Arc::new(UdpSockets::bind(addr)?), Arc::clone(&self.0))))
    }

    /// A dial begins there.
    pub fn begin_dial(&self, to: SocketAddr) {
        self.0.hush.lift(canonical(to));
    }

    /// It was not answered: that it ends is not said there.
    pub fn end_silent_dial(&self, to: SocketAddr) {
        self.0.hush.add(canonical(to));
    }

    /// The task that sends what is forwarded. To be run once.
    pub fn forwarder(&self) -> RelayForwarder {
        RelayForwarder { switchboard: Arc::clone(&self.0) }
    }

    /// Whether this node relays at all; open sessions end when it does not any more.
    pub fn set_relays(&self, relays: bool) {
        let mut state = self.0.lock();
        if state.relay.is_on() != relays {
            let ended = state.relay.switch(relays);
            self.0.changed(&state, ended);
        }
    }

    /// Where packets to an address go: to the relay, if it is a virtual one.
    pub fn next_hop(&self, to: SocketAddr) -> Option<SocketAddr> {
        if !is_virtual(to.ip()) {
            return Some(to);
        }
        token_of(to).and_then(|token| self.0.relay_at(token)).map(|(relay, _)| relay)
    }
}

#[allow(dead_code, reason = "called where peers that cannot be reached directly are met")]
impl SocketHandle {
    /// Where that node's direct connection comes from now; none: it has no direct connection any more. Sessions through this node,
    /// and virtual addresses through that one, follow it. A virtual address is not taken: it says where nobody is.
    pub fn set_address(&self, node: NodeId, address: Option<SocketAddr>) {
        let state = &mut *self.0.lock();
        match address {
            Some(at) => {
                state.peers.set(node, at);
            }
            None => {
                state.peers.remove(node);
                let ended = state.relay.lost(node);
                self.0.changed(state, ended);
            }
        }
    }

    /// The address at which QUIC reaches the other side of a session, by this node's token, until [`Self::close_path`]. None if
    /// there are too many.
    pub fn open_path(&self, relay: NodeId, token: SessionToken) -> Option<SocketAddr> {
        let mut state = self.0.lock();
        let has_place = state.paths.len() < PATHS_MAX || state.paths.contains_key(&token);
        has_place.then(|| {
            state.paths.insert(token, relay);
            self.0.changed(&state, Vec::new());
            virtual_address(token)
        })
    }

    /// What is sent there is lost from now on.
    pub fn close_path(&self, token: SessionToken) {
        let mut state = self.0.lock();
        state.paths.remove(&token);
        self.0.changed(&state, Vec::new());
    }

    /// Through whom a virtual address leads.
    pub fn relay_of(&self, address: SocketAddr) -> Option<NodeId> {
        self.0.lock().paths.get(&token_of(address)?).copied()
    }

    /// Whether this node relays.
    pub fn relays(&self) -> bool {
        self.0.lock().relay.is_on()
    }

    /// A session between two nodes that are both connected directly. One that they had is over, and is not reported.
    pub fn open_session(&self, asker: NodeId, other: NodeId) -> Result<OpenedSession, RelayRefusal> {
        let state = &mut *self.0.lock();
        let tokens = [(); 2].map(|()| SessionToken(random::bytes()));
        let opened = state.relay.open(self.0.now(), [asker, other], tokens, &state.peers);
        self.0.changed(state, Vec::new());
        self.0.opened.notify_one();
        opened
    }

    /// Ends a session for one of its sides, by that side's own token.
    pub fn close_session(&self, node: NodeId, token: SessionToken) -> Option<EndedSession> {
        let mut state = self.0.lock();
        let ended = state.relay.close(node, token);
        self.0.changed(&state, Vec::new());
        ended
    }

    /// What was relayed for whom since the start; the pairs that have a session first, of them those with the most bytes.
    pub fn relayed(&self) -> Vec<RelayedPair> {
        let mut pairs = self.0.lock().relay.ledger();
        pairs.sort_by_key(|pair| (!pair.is_open, std::cmp::Reverse(pair.bytes), pair.nodes));
        pairs
    }

    /// Knocks of this meeting, and answers to them, are taken from that peer for ten seconds from now on. False if too many are
    /// waited for.
    pub fn expect_meeting(&self, meeting: MeetingId, peer: NodeId) -> bool {
        self.0.lock().meetings.expect(self.0.now(), meeting, peer)
    }

    /// They are not any more.
    pub fn forget_meeting(&self, meeting: MeetingId) {
        self.0.lock().meetings.forget(&meeting);
    }

    /// The same of a probe that a member was asked for.
    pub fn expect_probe(&self, nonce: ProbeNonce, sender: NodeId) -> bool {
        self.0.lock().probes.expect(self.0.now(), nonce, sender)
    }

    /// Says something to a peer. Lost if the socket is busy.
    pub fn send(&self, peer: NodeId, to: SocketAddr, packet: &Packet) {
        self.0.send(peer, to, packet);
    }
}
