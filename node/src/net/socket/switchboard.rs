//! What a node's socket knows: where peers are, which packets are whose, and who waits for what.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use fsdfs_proto::ids::{Key, MeetingId, NodeId, ProbeNonce, SessionToken};
use fsdfs_proto::packet::{Packet, PacketDirection};
use quinn::udp::{RecvMeta, Transmit};
use tokio::sync::{Notify, mpsc};

use super::addresses::PeerAddresses;
use super::events::{PeerPacket, SocketEvents};
use super::expected::ExpectedPackets;
use super::hush::Hush;
use super::relay::{EndedSession, ForwardedPackets, Relay, SESSIONS_MAX};
use super::udp::UdpSockets;

/// Packets that wait to be looked at. A flood uses it up, and then the flood is what is dropped, with a knock or two that are
/// repeated.
const PACKETS_WAITING_MAX: usize = 64;
/// Ended sessions that wait to be told: each that is open ends once.
const ENDED_WAITING_MAX: usize = SESSIONS_MAX;

/// See the module.
pub(super) struct Switchboard {
    secret: Key,
    node: NodeId,
    state: Mutex<SwitchboardState>,
    /// Those that listen; a node's packets leave through one of them.
    sockets: Mutex<Vec<Weak<UdpSockets>>>,
    /// Whether there are sessions, or ways through relays: if not, QUIC's own packets cost nothing here.
    is_used: AtomicBool,
    /// Where dials ended without an answer.
    pub hush: Hush,
    /// Something waits to be forwarded.
    pub waiting: Notify,
    /// There may be sessions, and there were none.
    pub opened: Notify,
    knocks: mpsc::Sender<PeerPacket>,
    probes: mpsc::Sender<PeerPacket>,
    ended: mpsc::Sender<EndedSession>,
    started: Instant,
}

#[derive(Default)]
pub(super) struct SwitchboardState {
    pub peers: PeerAddresses,
    /// This node's sides of sessions, each with its relay.
    pub paths: BTreeMap<SessionToken, NodeId>,
    pub relay: Relay,
    pub meetings: ExpectedPackets<MeetingId>,
    pub probes: ExpectedPackets<ProbeNonce>,
}

/// What becomes of packets with a token.
pub(super) enum RelayedRoute {
    /// They are for QUIC here, from behind a relay.
    ToThisNode,
    /// They are forwarded, or dropped.
    Taken,
}

impl Switchboard {
    pub fn new(secret: Key, node: NodeId) -> (Arc<Self>, SocketEvents) {
        let (knocks, knocks_heard) = mpsc::channel(PACKETS_WAITING_MAX);
        let (probes, probes_heard) = mpsc::channel(PACKETS_WAITING_MAX);
        let (ended, sessions_ended) = mpsc::channel(ENDED_WAITING_MAX);
        let (state, sockets, is_used, hush, waiting, opened) = Default::default();
        let started = Instant::now();
        let switchboard =
            Self { secret, node, state, sockets, is_used, hush, waiting, opened, knocks, probes, ended, started };
        (Arc::new(switchboard), SocketEvents { knocks: knocks_heard, probes: probes_heard, ended: sessions_ended })
    }

    pub fn lock(&self) -> MutexGuard<'_, SwitchboardState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the start.
    pub fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    pub fn add(&self, sockets: &Arc<UdpSockets>) {
        let mut known = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|sockets| sockets.strong_count() > 0);
        known.push(Arc::downgrade(sockets));
    }

    /// The one that listens and can send there.
    pub fn socket_to(&self, to: SocketAddr) -> Option<Arc<UdpSockets>> {
        let known = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter_map(Weak::upgrade).find(|sockets| sockets.bound().reaches(to))
    }

    /// The relay through which the other side of a session is reached.
    pub fn relay_at(&self, token: SessionToken) -> Option<(SocketAddr, Option<IpAddr>)> {
        let state = self.lock();
        let relay = *state.paths.get(&token)?;
        state.peers.way_to(relay)
    }

    /// Packets of one sender with one token.
    pub fn relayed(&self, from: SocketAddr, token: SessionToken, batch: &mut [u8], meta: &RecvMeta) -> RelayedRoute {
        let state = &mut *self.lock();
        if let Some(relay) = state.paths.get(&token) {
            let is_from_relay = state.peers.of(*relay) == Some(from);
            return if is_from_relay { RelayedRoute::ToThisNode } else { RelayedRoute::Taken };
        }
        if state.relay.receive(self.now(), (from, token), (batch, meta.stride), meta.ecn, &state.peers) {
            state.peers.note_local(from, meta.dst_ip);
            self.waiting.notify_one();
        }
        RelayedRoute::Taken
    }

    /// What goes to a relay, or comes from one, has the address from which the two have their connection.
    pub fn note_local(&self, from: SocketAddr, local: Option<IpAddr>) {
        if local.is_some() && self.is_used.load(Ordering::Relaxed) {
            self.lock().peers.note_local(from, local);
        }
    }

    /// What may be a packet of a peer. Nothing is computed for one that nobody waits for.
    pub fn heard(&self, from: SocketAddr, bytes: &[u8]) {
        let Some(packet) = Packet::read(bytes) else { return };
        let (expected, heard) = {
            let (now, state) = (self.now(), self.lock());
            match &packet {
                Packet::Knock { meeting, .. } | Packet::Heard { meeting, .. } => {
                    (state.meetings.sender(now, meeting), &self.knocks)
                }
                Packet::Probe { nonce } => (state.probes.sender(now, nonce), &self.probes),
            }
        };
        let Some(peer) = expected else { return };
        let direction = PacketDirection { secret: &self.secret, sender: peer, receiver: self.node };
        if direction.made(bytes) {
            // There are too many of them already, or nobody listens.
            let _ = heard.try_send(PeerPacket { peer, from, packet });
        }
    }

    /// Tries once.
    pub fn send(&self, peer: NodeId, to: SocketAddr, packet: &Packet) {
        let direction = PacketDirection { secret: &self.secret, sender: self.node, receiver: peer };
        let contents = direction.make(packet);
        let transmit = Transmit { destination: to, ecn: None, contents: &contents, segment_size: None, src_ip: None };
        // It is repeated; a socket that is busy loses it as a line would.
        if let Some(socket) = self.socket_to(to) {
            socket.send_or_lose(&transmit);
        }
    }

    /// What is to be forwarded next, and the way there. What has none any more is lost.
    pub fn next_forward(&self) -> Option<(ForwardedPackets, SocketAddr, Option<IpAddr>)> {
        let state = &mut *self.lock();
        loop {
            let forward = state.relay.next(self.now())?;
            if let Some((to, from)) = state.peers.way_to(forward.to) {
                return Some((forward, to, from));
            }
        }
    }

    /// Ends sessions without packets. When the next ones may be due.
    pub fn expire(&self) -> Option<u64> {
        let mut state = self.lock();
        let ended = state.relay.expire(self.now());
        self.changed(&state, ended);
        state.relay.deadline()
    }

    /// To be called after each change of sessions and paths, with the sessions that neither side ended.
    pub fn changed(&self, state: &SwitchboardState, ended: Vec<EndedSession>) {
        self.is_used.store(!state.relay.is_idle() || !state.paths.is_empty(), Ordering::Relaxed);
        for session in ended {
            // A side that is not told finds out by itself: nothing comes any more.
            let _ = self.ended.try_send(session);
        }
    }
}
