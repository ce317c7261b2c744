//! Owns the swarm. Its loop only routes: bytes of messages and blocks move in the tasks of the sessions.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fsdfs_proto::ids::NodeId;
use futures::StreamExt as _;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, Stream, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, identify, kad, mdns};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::address;
use super::behaviour::{NodeBehaviour, NodeBehaviourEvent};
use super::meetings::MeetingsDriver;
use super::moving::MovingWatch;
use super::streams::StreamsEvent;
use crate::net::command::{NetCommand, OwnAddresses};
use crate::net::discovery::book_file::BookFile;
use crate::net::discovery::dial_budget::DialBudget;
use crate::net::discovery::resolve;
use crate::net::discovery::searches::{PeerSearches, SearchStep};
use crate::net::event::NetEvent;
use crate::net::findings::MeetOutcome;
use crate::net::handshake::gatekeeper::Gatekeeper;
use crate::net::meet::MeetInput;
use crate::net::moving::MovingInput;
use crate::net::quic::DialPatience;
use crate::net::session::links::Takeover;
use crate::net::session::streams::PeerStreams;
use crate::net::session::{Session, SessionHub};
use crate::net::socket::is_virtual;

/// Peers are told goodbye for at most this long.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// Addresses of one peer that the swarm dials at once, as it does by default.
const DIALLED_AT_ONCE: usize = 8;
/// Of them from the address book at least, however many a card names: all of these may be wrong.
const NOTED_MIN: usize = 2;
/// Dials to addresses of unknown owners at once.
const STRANGERS_MAX: usize = 32;

/// A connection of a session that ended by itself; it is to be closed.
#[derive(Debug)]
pub(super) struct SessionEnded {
    node: NodeId,
    connection: ConnectionId,
    /// Only that connection: the session has moved to another one.
    is_drained: bool,
}

/// The session in use with a peer, and the connection below it.
pub(super) struct LiveSession {
    /// The one it began on, which names it.
    first: ConnectionId,
    /// The one in use.
    pub connection: ConnectionId,
    /// The one before, while it runs dry.
    before: Option<ConnectionId>,
    session: Session<Stream>,
}

/// Owns the swarm. At most one session a peer: `sessions` holds the one in use, and whoever it replaced ends before its
/// `Up` is reported.
pub(super) struct SwarmDriver {
    pub swarm: Swarm<NodeBehaviour>,
    pub keeper: Arc<Gatekeeper>,
    pub hub: Arc<SessionHub>,
    pub addresses: Arc<OwnAddresses>,
    pub commands: mpsc::UnboundedReceiver<NetCommand>,
    /// For what this driver tells itself from other tasks.
    pub orders: mpsc::WeakUnboundedSender<NetCommand>,
    pub sessions: BTreeMap<NodeId, LiveSession>,
    pub book: Arc<BookFile>,
    /// Dials of which it is not known whom they lead to, and who waits for each.
    pub strangers: BTreeMap<ConnectionId, oneshot::Sender<MeetOutcome>>,
    /// That something about this node's addresses is different.
    pub news: watch::Receiver<()>,
    pub ended: (mpsc::UnboundedSender<SessionEnded>, mpsc::UnboundedReceiver<SessionEnded>),
    pub searches: PeerSearches<ConnectionId, kad::QueryId>,
    pub meetings: MeetingsDriver,
    pub budget: DialBudget,
    /// Of the transport: where no one answered lately.
    pub patience: Arc<DialPatience>,
    pub moving: MovingWatch,
    /// Events of the loop itself that the daemon has no room for yet.
    pub events: VecDeque<NetEvent>,
}

impl SwarmDriver {
    pub(super) async fn run(mut self) {
        let events = self.hub.events.clone();
        loop {
            let deadline = self.searches.deadline().unwrap_or_else(far_away);
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm(event),
                command = self.commands.recv() => match command {
                    None => return,
                    Some(NetCommand::Stop) => return self.say_goodbye().await,
                    Some(command) => self.on_command(command),
                },
                Some(ended) = self.ended.1.recv() => self.on_ended(&ended),
                event = self.meetings.next() => self.on_meeting_event(event),
                wakeup = self.moving.wait() => self.on_moving(wakeup),
                // One that the daemon has no room for yet says it all.
                Ok(()) = self.news.changed() => {
                    if !matches!(self.events.back(), Some(NetEvent::AddressesChanged)) {
                        self.events.push_back(NetEvent::AddressesChanged);
                    }
                }
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

    fn on_command(&mut self, command: NetCommand) {
        match command {
            NetCommand::Find { node, addrs } => self.find(node, addrs),
            NetCommand::Resolved { node, addrs } => {
                let (mut addrs, is_alone) = (self.dialled_of(node, addrs), self.sessions.is_empty());
                let now = std::time::Instant::now();
                addrs.retain(|addr| !self.patience.is_too_soon(now, *addr, is_alone));
                let addrs = self.budget.choose(node, addrs, is_alone);
                self.dial(node, addrs.into_iter().map(address::quic).collect());
                self.searches.resolved(node);
            }
            NetCommand::Redial { node, addrs } => {
                let addrs = self.dialled_of(node, addrs);
                self.redial(node, addrs);
            }
            NetCommand::Learn { node, addrs } => self.learn(node, addrs),
            NetCommand::Drop { node, reason } => self.drop_peer(node, &reason),
            NetCommand::Dismiss { node, reason } => self.dismiss(node, &reason),
            NetCommand::Meet { addr, answer } => self.dial_stranger(addr, answer),
            NetCommand::Stop => {}
        }
    }

    fn on_swarm(&mut self, event: SwarmEvent<NodeBehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.meetings.note_established(connection_id, endpoint.get_remote_address());
                // A node dials from the port it listens on, so this is where it can be found, whoever dialled.
                let addr = endpoint.get_remote_address().clone();
                if !address::is_virtual(&addr) {
                    self.swarm.behaviour_mut().kad.add_address(&peer_id, addr);
                }
                self.end_redial(connection_id);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => self.on_closed(&peer_id, connection_id),
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                tracing::debug!(%error, "dial failed");
                self.searches.failed(connection_id);
                self.end_redial(connection_id);
                self.on_dial_over(connection_id);
                self.end_stranger(connection_id, MeetOutcome::Nobody);
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(&address),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                address::socket_addr(&address).into_iter().for_each(|addr| {
                    self.addresses.change(|table| table.listening.remove(&addr));
                });
                self.note_moving(MovingInput::Changed);
            }
            SwarmEvent::ListenerClosed { reason: Err(error), .. } => tracing::error!(%error, "no longer listening"),
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: NodeBehaviourEvent) {
        match event {
            NodeBehaviourEvent::Streams(StreamsEvent { node, connection, streams }) => match streams {
                Ok(streams) => self.use_connection(node, connection, streams),
                Err(why) => {
                    tracing::debug!(?node, why, "connection closed");
                    self.swarm.close_connection(connection);
                }
            },
            NodeBehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                let seen = Some(&info.observed_addr).filter(|seen| !address::is_virtual(seen));
                let seen = address::node_id(&peer_id).zip(seen.and_then(address::socket_addr));
                seen.into_iter().for_each(|(node, addr)| {
                    self.addresses.change(|table| table.observed.insert(node, addr) != Some(addr));
                });
            }
            NodeBehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                id,
                result: kad::QueryResult::GetClosestPeers(result),
                step,
                ..
            }) => self.on_closest(id, result, step.last),
            NodeBehaviourEvent::Moves(moved) => self.on_moved(&moved),
            NodeBehaviourEvent::Mdns(mdns::Event::Discovered(found)) => self.on_discovered(found),
            _ => {}
        }
    }

    /// The connection with the greatest number is the one in use; see [`super::streams`].
    fn use_connection(&mut self, node: NodeId, connection: ConnectionId, streams: PeerStreams<Stream>) {
        self.end_stranger(connection, MeetOutcome::Met(node));
        let (number, goes_on) = (streams.number, streams.goes_on);
        match self.hub.links.take_over(node, number, goes_on, std::time::Instant::now()) {
            Takeover::Refused => {
                self.swarm.close_connection(connection);
                return;
            }
            Takeover::Drain => self.hand_over(node, connection, streams),
            Takeover::Cut => self.start_session(node, connection, streams),
        }
        self.budget.forget(node);
        self.note_path(node, connection);
    }

    fn hand_over(&mut self, node: NodeId, connection: ConnectionId, streams: PeerStreams<Stream>) {
        let Some(live) = self.sessions.get_mut(&node) else { return self.start_session(node, connection, streams) };
        let (before, ended) = (live.connection, self.ended.0.clone());
        let on_drained = move || drop(ended.send(SessionEnded { node, connection: before, is_drained: true }));
        match live.session.hand_over(streams, on_drained) {
            Ok(()) => {
                (live.connection, live.before) = (connection, Some(before));
                self.on_link_open(node);
            }
            Err(streams) => {
                // It ended this moment.
                self.hub.links.drained(node);
                self.start_session(node, connection, streams);
            }
        }
        self.searches.end(node);
    }

    fn start_session(&mut self, node: NodeId, connection: ConnectionId, streams: PeerStreams<Stream>) {
        let before = self.sessions.remove(&node);
        if let Some(before) = &before {
            self.close_connections_of(before);
        }
        let facts = self.keeper.take_facts(node);
        let ended = self.ended.0.clone();
        // The driver may have stopped meanwhile, and its connections with it.
        let on_end = move || drop(ended.send(SessionEnded { node, connection, is_drained: false }));
        let session = Session::start(&self.hub, node, streams, facts, before.map(|live| live.session), on_end);
        self.sessions.insert(node, LiveSession { first: connection, connection, before: None, session });
        self.searches.end(node);
    }

    fn close_connections_of(&mut self, live: &LiveSession) {
        for connection in [Some(live.connection), live.before].into_iter().flatten() {
            self.swarm.close_connection(connection);
        }
    }

    fn on_closed(&mut self, peer: &PeerId, connection: ConnectionId) {
        self.searches.failed(connection);
        self.end_stranger(connection, MeetOutcome::Nobody);
        self.on_connection_over(connection);
        let Some(node) = address::node_id(peer) else { return };
        if let Some(live) = self.sessions.get(&node).filter(|live| live.connection == connection) {
            live.session.stop();
            self.forget_path(node);
        }
    }

    fn on_ended(&mut self, ended: &SessionEnded) {
        self.swarm.close_connection(ended.connection);
        if ended.is_drained {
            if let Some(live) = self.sessions.get_mut(&ended.node) {
                live.before.take_if(|before| *before == ended.connection);
            }
        } else if self.sessions.get(&ended.node).is_some_and(|live| live.first == ended.connection)
            && let Some(live) = self.sessions.remove(&ended.node)
        {
            self.close_connections_of(&live);
            self.on_link_over(ended.node);
        }
    }

    /// Where the member is: the connection is in use.
    fn note_path(&self, node: NodeId, connection: ConnectionId) {
        if let Some(remote) = self.meetings.remote(connection).filter(|remote| !is_virtual(remote.ip())) {
            self.book.note_worked(node, remote);
            self.addresses.change(|table| table.remotes.insert(node, remote) != Some(remote));
        }
    }

    /// Nothing is known by a peer that is not connected.
    pub(super) fn forget_path(&self, node: NodeId) {
        self.addresses.change(|table| {
            table.relays.remove(&node);
            let (seen, here) = (table.observed.remove(&node), table.remotes.remove(&node));
            seen.is_some() || here.is_some()
        });
    }

    fn on_listening(&mut self, addr: &Multiaddr) {
        let Some(addr) = address::socket_addr(addr) else { return };
        if self.addresses.change(|table| table.listening.insert(addr)) {
            self.events.push_back(NetEvent::Listening(addr));
            self.note_moving(MovingInput::Appeared);
        }
    }

    /// Any machine of the local network says so, as often as it likes: one address of a member is tried at a time, and none is kept
    /// before it led to the member.
    fn on_discovered(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        for (peer, addr) in found {
            let Some(node) = address::node_id(&peer).filter(|node| self.keeper.knows(*node)) else { continue };
            // Both find each other at the same moment; one dial is enough.
            if self.keeper.node() < node {
                // A member in the same home is not to be reached through another one.
                let condition = match self.addresses.lock().relays.contains_key(&node) {
                    true => PeerCondition::NotDialing,
                    false => PeerCondition::DisconnectedAndNotDialing,
                };
                self.dial_if(node, vec![addr], condition);
            }
        }
    }

    pub(super) fn find(&mut self, node: NodeId, addrs: Vec<String>) {
        // A session that is up has said so already, or is about to.
        if self.sessions.contains_key(&node) || !self.searches.start(node, Instant::now()) {
            return;
        }
        self.measure();
        self.meet(MeetInput::Want(node));
        if address::peer_id(node).is_none() || node == self.keeper.node() {
            self.searches.resolved(node);
            return;
        }
        let orders = self.orders.clone();
        tokio::spawn(async move {
            let addrs = resolve::all(&addrs).await;
            if let Some(orders) = orders.upgrade() {
                let _ = orders.send(NetCommand::Resolved { node, addrs });
            }
        });
    }

    fn learn(&mut self, node: NodeId, named: Vec<String>) {
        let Some(peer) = address::peer_id(node) else { return };
        let addrs: Vec<SocketAddr> = named.iter().filter_map(|addr| addr.parse().ok()).collect();
        self.book.note_named(node, &addrs);
        for addr in &addrs {
            self.swarm.behaviour_mut().kad.add_address(&peer, address::quic(*addr));
        }
        if self.moving.note_card(node, named) {
            self.budget.forget(node);
            addrs.iter().for_each(|addr| self.patience.forget(*addr));
        }
    }

    /// These, and what the book adds to them. All of them end within one handshake's timeout, and a search with them.
    pub(super) fn dialled_of(&self, node: NodeId, mut addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let room = DIALLED_AT_ONCE.saturating_sub(addrs.len()).max(NOTED_MIN);
        let noted: Vec<SocketAddr> = self.book.addresses(node).into_iter().filter(|at| !addrs.contains(at)).collect();
        addrs.extend(noted.into_iter().take(room));
        addrs
    }

    /// Also while another dial is under way: that one may be to an address where nobody answers.
    fn dial(&mut self, node: NodeId, addrs: Vec<Multiaddr>) {
        self.dial_if(node, addrs, PeerCondition::Disconnected);
    }

    /// The connection that may come of it.
    pub(super) fn dial_if(
        &mut self,
        node: NodeId,
        addrs: Vec<Multiaddr>,
        condition: PeerCondition,
    ) -> Option<ConnectionId> {
        let peer = address::peer_id(node).filter(|_| !addrs.is_empty())?;
        let dial = DialOpts::peer_id(peer).condition(condition).addresses(addrs).build();
        let connection = dial.connection_id();
        match self.swarm.dial(dial) {
            Ok(()) => {
                self.searches.dialled(node, connection);
                Some(connection)
            }
            Err(error) => {
                tracing::debug!(?node, %error, "not dialled");
                None
            }
        }
    }

    /// The dial ends by itself: connected and its streams open, or not.
    fn dial_stranger(&mut self, addr: SocketAddr, answer: oneshot::Sender<MeetOutcome>) {
        let there = self.sessions.iter().find(|(_, live)| self.meetings.remote(live.connection) == Some(addr));
        if let Some((node, _)) = there {
            let _ = answer.send(MeetOutcome::Connected(*node));
            return;
        }
        // Whoever asks knows more than this node.
        self.patience.forget(addr);
        let dial = DialOpts::unknown_peer_id().address(address::quic(addr)).build();
        let connection = dial.connection_id();
        if self.strangers.len() < STRANGERS_MAX && self.swarm.dial(dial).is_ok() {
            self.strangers.insert(connection, answer);
        }
    }

    fn end_stranger(&mut self, connection: ConnectionId, outcome: MeetOutcome) {
        if let Some(answer) = self.strangers.remove(&connection) {
            // Whoever asked may have gone away.
            let _ = answer.send(outcome);
        }
    }

    fn search(&mut self) {
        // A step may make the next one due.
        loop {
            let (swarm, meetings) = (&self.swarm, &self.meetings);
            let is_connected = |node| address::peer_id(node).is_some_and(|peer| swarm.is_connected(&peer));
            let connected = |node| is_connected(node) || meetings.is_trying(node);
            let steps = self.searches.due(Instant::now(), connected);
            if steps.is_empty() {
                return;
            }
            steps.into_iter().for_each(|step| self.do_search_step(step));
        }
    }

    fn do_search_step(&mut self, step: SearchStep) {
        match step {
            SearchStep::Ask(node) => {
                // Without any connection there is no member to ask: Kademlia would only dial those that are looked for already.
                let peer = address::peer_id(node).filter(|_| !self.sessions.is_empty());
                if let Some(peer) = peer {
                    let query = self.swarm.behaviour_mut().kad.get_closest_peers(peer);
                    self.searches.asked(node, query);
                }
            }
            SearchStep::GiveUp(node) => {
                self.budget.failed(node);
                let refused = self.keeper.take_refusal(node);
                let addresses = self.last_addresses(node);
                self.meet(MeetInput::Unreachable { node, addresses });
                self.events.push_back(NetEvent::Unreachable { node, refused });
            }
        }
    }

    fn on_closest(&mut self, query: kad::QueryId, result: kad::GetClosestPeersResult, last: bool) {
        let peers = match result {
            Ok(found) => found.peers,
            Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        let Some(node) = last.then(|| self.searches.answered(query)).flatten() else { return };
        let found = peers.into_iter().find(|found| address::node_id(&found.peer_id) == Some(node));
        self.dial(node, found.map(|found| found.addrs).unwrap_or_default());
    }

    /// Its session ends when it has heard what was said to it, and closes the connection then. Without one there is nothing to be
    /// said.
    fn dismiss(&mut self, node: NodeId, reason: &str) {
        let Some(live) = self.sessions.get(&node) else { return self.drop_peer(node, reason) };
        tracing::info!(?node, reason, "the connection is being closed");
        live.session.dismiss();
        self.meet(MeetInput::Forget(node));
        self.searches.end(node);
        if let Some(peer) = address::peer_id(node) {
            self.swarm.behaviour_mut().kad.remove_peer(&peer);
        }
    }

    fn drop_peer(&mut self, node: NodeId, reason: &str) {
        tracing::info!(?node, reason, "connection closed");
        self.meet(MeetInput::Forget(node));
        self.searches.end(node);
        if let Some(live) = self.sessions.get(&node) {
            live.session.stop();
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
