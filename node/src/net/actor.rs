//! Owns the swarm. Its loop only routes: bytes of messages and blocks move in the tasks of the links.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fsdfs_proto::ids::NodeId;
use futures::StreamExt as _;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, kad, mdns};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::NetEvent;
use super::behaviour::{Behaviour, BehaviourEvent};
use super::finds::{Finds, Step};
use super::gatekeeper::Gatekeeper;
use super::lanes::{self, Lanes};
use super::link::{Ended, Link, Shared};
use super::{address, resolve};

/// Peers are told goodbye for at most this long.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// What the handle asks for.
pub(super) enum Command {
    Find { node: NodeId, addrs: Vec<String> },
    Resolved { node: NodeId, addrs: Vec<SocketAddr> },
    Learn { node: NodeId, addrs: Vec<SocketAddr> },
    Drop { node: NodeId, reason: String },
    Stop,
}

/// What the handle can look at.
#[derive(Default)]
pub(super) struct Seen(Mutex<Addresses>);

#[derive(Default)]
pub(super) struct Addresses {
    pub listening: BTreeSet<SocketAddr>,
    /// This node's address as each peer sees it.
    pub observed: BTreeMap<NodeId, SocketAddr>,
}

impl Seen {
    pub(super) fn lock(&self) -> MutexGuard<'_, Addresses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Actor {
    pub swarm: Swarm<Behaviour>,
    pub keeper: Arc<Gatekeeper>,
    pub shared: Arc<Shared>,
    pub seen: Arc<Seen>,
    pub commands: mpsc::UnboundedReceiver<Command>,
    /// For what this actor tells itself from other tasks.
    pub orders: mpsc::WeakUnboundedSender<Command>,
    pub links: BTreeMap<NodeId, Link>,
    pub ended: (mpsc::UnboundedSender<Ended>, mpsc::UnboundedReceiver<Ended>),
    pub finds: Finds,
    /// Events of the loop itself that the daemon has no room for yet.
    pub events: VecDeque<NetEvent>,
}

impl Actor {
    pub(super) async fn run(mut self) {
        let events = self.shared.events.clone();
        loop {
            let deadline = self.finds.deadline().unwrap_or_else(far_away);
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm(event),
                command = self.commands.recv() => match command {
                    None => return,
                    Some(Command::Stop) => return self.say_goodbye().await,
                    Some(command) => self.on_command(command),
                },
                Some(ended) = self.ended.1.recv() => self.on_ended(&ended),
                Ok(room) = events.reserve(), if !self.events.is_empty() => {
                    if let Some(event) = self.events.pop_front() {
                        room.send(event);
                    }
                }
                () = sleep_until(deadline) => {}
            }
            self.search();
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Find { node, addrs } => self.find(node, addrs),
            Command::Resolved { node, addrs } => {
                self.dial(node, addrs.into_iter().map(address::quic).collect());
                self.finds.resolved(node);
            }
            Command::Learn { node, addrs } => {
                let Some(peer) = address::peer_id(node) else { return };
                for addr in addrs {
                    self.swarm.behaviour_mut().kad.add_address(&peer, address::quic(addr));
                }
            }
            Command::Drop { node, reason } => self.drop_peer(node, &reason),
            Command::Stop => {}
        }
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                // A node dials from the port it listens on, so this is where it can be found, whoever dialled.
                let addr = endpoint.get_remote_address().clone();
                self.swarm.behaviour_mut().kad.add_address(&peer_id, addr);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => self.on_closed(&peer_id, connection_id),
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                tracing::debug!(%error, "dial failed");
                self.finds.failed(connection_id);
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(&address),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                address::socket_addr(&address).into_iter().for_each(|addr| {
                    self.seen.lock().listening.remove(&addr);
                });
            }
            SwarmEvent::ListenerClosed { reason: Err(error), .. } => tracing::error!(%error, "no longer listening"),
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Lanes(lanes::Event { node, connection, lanes }) => match lanes {
                Ok(lanes) => self.use_connection(node, connection, lanes),
                Err(why) => {
                    tracing::debug!(?node, why, "connection closed");
                    self.swarm.close_connection(connection);
                }
            },
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                let seen = address::node_id(&peer_id).zip(address::socket_addr(&info.observed_addr));
                seen.into_iter().for_each(|(node, addr)| {
                    self.seen.lock().observed.insert(node, addr);
                });
            }
            BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                id,
                result: kad::QueryResult::GetClosestPeers(result),
                step,
                ..
            }) => self.on_closest(id, result, step.last),
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => self.on_discovered(found),
            _ => {}
        }
    }

    /// The connection with the greatest number is the one in use; see [`lanes`].
    fn use_connection(&mut self, node: NodeId, connection: ConnectionId, lanes: Lanes) {
        if self.links.get(&node).is_some_and(|link| link.number > lanes.number) {
            self.swarm.close_connection(connection);
            return;
        }
        let before = self.links.remove(&node);
        if let Some(before) = &before {
            self.swarm.close_connection(before.connection);
        }
        let facts = self.keeper.take_facts(node);
        let link = Link::start(&self.shared, self.ended.0.clone(), node, connection, lanes, facts, before);
        self.links.insert(node, link);
        self.finds.end(node);
    }

    fn on_closed(&mut self, peer: &PeerId, connection: ConnectionId) {
        self.finds.failed(connection);
        let Some(node) = address::node_id(peer) else { return };
        if let Some(link) = self.links.get(&node).filter(|link| link.connection == connection) {
            link.stop();
            self.seen.lock().observed.remove(&node);
        }
    }

    fn on_ended(&mut self, ended: &Ended) {
        self.swarm.close_connection(ended.connection);
        if self.links.get(&ended.node).is_some_and(|link| link.connection == ended.connection) {
            self.links.remove(&ended.node);
        }
    }

    fn on_listening(&mut self, addr: &Multiaddr) {
        let Some(addr) = address::socket_addr(addr) else { return };
        if self.seen.lock().listening.insert(addr) {
            self.events.push_back(NetEvent::Listening(addr));
        }
    }

    fn on_discovered(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        for (peer, addr) in found {
            let Some(node) = address::node_id(&peer).filter(|node| self.keeper.knows(*node)) else { continue };
            self.swarm.behaviour_mut().kad.add_address(&peer, addr.clone());
            // Both find each other at the same moment; one dial is enough.
            if self.keeper.node() < node {
                self.dial(node, vec![addr]);
            }
        }
    }

    fn find(&mut self, node: NodeId, addrs: Vec<String>) {
        // A link that is up has said so already, or is about to.
        if self.links.contains_key(&node) || !self.finds.start(node, Instant::now()) {
            return;
        }
        if address::peer_id(node).is_none() || node == self.keeper.node() {
            self.finds.resolved(node);
            return;
        }
        let orders = self.orders.clone();
        tokio::spawn(async move {
            let addrs = resolve::all(&addrs).await;
            if let Some(orders) = orders.upgrade() {
                let _ = orders.send(Command::Resolved { node, addrs });
            }
        });
    }

    fn dial(&mut self, node: NodeId, addrs: Vec<Multiaddr>) {
        let Some(peer) = address::peer_id(node).filter(|_| !addrs.is_empty()) else { return };
        // Also while another dial is under way: that one may be to an address where nobody answers.
        let dial = DialOpts::peer_id(peer).condition(PeerCondition::Disconnected).addresses(addrs).build();
        let connection = dial.connection_id();
        match self.swarm.dial(dial) {
            Ok(()) => self.finds.dialled(node, connection),
            Err(error) => tracing::debug!(?node, %error, "not dialled"),
        }
    }

    fn search(&mut self) {
        let swarm = &self.swarm;
        let connected = |node| address::peer_id(node).is_some_and(|peer| swarm.is_connected(&peer));
        for step in self.finds.due(Instant::now(), connected) {
            match step {
                Step::Ask(node) => {
                    let Some(peer) = address::peer_id(node) else { continue };
                    let query = self.swarm.behaviour_mut().kad.get_closest_peers(peer);
                    self.finds.asked(node, query);
                }
                Step::GiveUp(node) => {
                    let refused = self.keeper.take_refusal(node);
                    self.events.push_back(NetEvent::Unreachable { node, refused });
                }
            }
        }
    }

    fn on_closest(&mut self, query: kad::QueryId, result: kad::GetClosestPeersResult, last: bool) {
        let peers = match result {
            Ok(found) => found.peers,
            Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        let Some(node) = last.then(|| self.finds.answered(query)).flatten() else { return };
        let found = peers.into_iter().find(|found| address::node_id(&found.peer_id) == Some(node));
        self.dial(node, found.map(|found| found.addrs).unwrap_or_default());
    }

    fn drop_peer(&mut self, node: NodeId, reason: &str) {
        tracing::info!(?node, reason, "connection closed");
        self.finds.end(node);
        if let Some(link) = self.links.get(&node) {
            link.stop();
        }
        if let Some(peer) = address::peer_id(node) {
            self.swarm.behaviour_mut().kad.remove_peer(&peer);
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }

    async fn say_goodbye(&mut self) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let goodbye = async {
            while self.swarm.network_info().num_peers() > 0 {
                self.swarm.select_next_some().await;
            }
        };
        let _ = timeout(GOODBYE_MAX, goodbye).await;
    }
}

/// No search has a deadline.
fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
