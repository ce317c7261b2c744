//! The network: authenticated connections to the members of one pool, over QUIC.
//!
//! Knows nothing of blocks' meaning, placement or disks. A task owns the connections; the [`Net`] handle and the events are
//! all that the daemon's loop sees. Whoever does not pass the gate is never mentioned to it.
//!
//! Sessions, handshake and discovery are written for any transport of byte streams. The transport itself is one folder,
//! `libp2p`, on what stands in `quic`: another one takes its place by implementing the same two functions, `start` and
//! `wait_for_port`.

mod command;
mod config;
mod discovery;
mod event;
mod findings;
mod governor;
mod handshake;
mod libp2p;
mod line;
mod meet;
mod meeter;
mod moving;
mod pacer;
mod portmap;
mod quic;
mod reach;
mod session;
mod shaper;
mod socket;
#[cfg(test)]
mod tests;
mod way_out;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use fsdfs_core::seam::TrafficClass;
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Message;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

pub use command::PathMeter;
use command::{NetCommand, OwnAddresses};
pub use config::{NetConfig, NetError};
use discovery::book_file::BookFile;
pub use event::NetEvent;
pub use findings::{AddressTranslation, MappingProtocol, MappingState, MeetOutcome, Reachability};
pub use handshake::answers::{GateAnswers, GateAnswersWatch};
pub use handshake::gatekeeper::{GateIdentity, Gatekeeper};
pub use handshake::rejection::HandshakeRejected;
use line::LineKeeper;
pub use meeter::Meeter;
use portmap::PortMapping;
pub use portmap::{RouterAnswer, read_answer as read_port_map_answer};
use reach::ReachParts;
pub use reach::{ProvenReach, ReachMeter, ReachReport};
use session::{InboundBudget, SessionHub};
pub use socket::RelayedPair;
use socket::{SocketEvents, SocketHandle};

use crate::metrics::TrafficMeter;

/// Handle to the network. Nothing here blocks. Dropping it closes all connections.
pub struct Net {
    /// The address asked for, with the port it got.
    listen: SocketAddr,
    driver: JoinHandle<()>,
    /// Hands on what peers say.
    _forward: AbortOnDropHandle<()>,
    /// Keeps what moves within its bounds.
    _line: AbortOnDropHandle<()>,
    hub: Arc<SessionHub>,
    addresses: Arc<OwnAddresses>,
    socket: SocketHandle,
    mapping: Option<PortMapping>,
    _reach: AbortOnDropHandle<()>,
    book: Arc<BookFile>,
    _book_keeping: AbortOnDropHandle<()>,
    /// Unbounded, because nothing that is asked for may be forgotten; the daemon asks rarely (once for each peer and search).
    commands: mpsc::UnboundedSender<NetCommand>,
}

impl Net {
    /// Starts listening. `events` is to be read without pause: while it is full, what peers say waits, each of them for its turn.
    /// It should be short, for in it there are no turns any more.
    pub async fn start(
        config: NetConfig,
        keeper: Arc<Gatekeeper>,
        events: mpsc::Sender<NetEvent>,
    ) -> Result<Self, NetError> {
        let budget = InboundBudget::new(config.inbound_bytes_max);
        let (probes, messages) = mpsc::channel(reach::MESSAGES_WAITING_MAX);
        let hub = Arc::new(SessionHub::new(events, budget, Arc::clone(&keeper), probes));
        let forwarding = Arc::clone(&hub);
        let forward = AbortOnDropHandle::new(tokio::spawn(async move { forwarding.forward().await }));
        let (socket, socket_events) = SocketHandle::new(*keeper.secret(), keeper.node());
        let SocketEvents { knocks, probes: packets, ended } = socket_events;
        let relay = config.relay.then(|| socket.clone());
        let line = LineKeeper::new(Arc::clone(&hub), Arc::clone(&config.bandwidth), relay);
        let (forwarder, paced) = (socket.forwarder(), Arc::clone(&hub));
        let line = AbortOnDropHandle::new(tokio::spawn(async move {
            let lent = forwarder.run(&paced.upload, &paced.download);
            tokio::join!(line.run(), paced.upload.run(), paced.download.run(), lent);
        }));
        let addresses = Arc::new(OwnAddresses::default());
        let book = BookFile::open(config.book.clone());
        let (commands, orders) = mpsc::unbounded_channel();
        let net = libp2p::Attachment {
            keeper: Arc::clone(&keeper),
            hub: Arc::clone(&hub),
            addresses: Arc::clone(&addresses),
            book: Arc::clone(&book),
            commands: orders,
            orders: commands.downgrade(),
            socket: socket.clone(),
            packets: (knocks, ended),
        };
        let (listen, driver) = libp2p::start(&config, net).await?;
        let mapping = config.port_mapping.then(|| PortMapping::start(listen, keeper.key(), &addresses));
        let named = config.named;
        let (known, sessions) = (Arc::clone(&addresses), Arc::clone(&hub));
        let parts =
            ReachParts { named, addresses: known, hub: sessions, keeper, socket: socket.clone(), messages, packets };
        Ok(Self {
            listen,
            driver,
            _forward: forward,
            _line: line,
            hub,
            addresses,
            socket,
            mapping: mapping.flatten(),
            _reach: reach::start(parts),
            _book_keeping: book.keep(),
            book,
            commands,
        })
    }

    /// The UDP port.
    pub fn port(&self) -> u16 {
        self.listen.port()
    }

    /// Queues a message, with the block it announces. Dropped if the peer is not connected. The engine sees to it that no more
    /// waits for a peer than its queue holds; should more do so all the same, the connection is closed: a stream with gaps would
    /// be worse than a broken one.
    pub fn send(&self, to: NodeId, message: Message, block: Option<Block>, class: TrafficClass) {
        self.hub.send(to, message, block, class);
    }

    /// Connects to a member: `addrs` (`HOST:PORT`) first, then what Kademlia knows. Ends in `Up` or `Unreachable`, within
    /// about 15 seconds.
    pub fn find(&self, node: NodeId, addrs: Vec<String>) {
        self.command(NetCommand::Find { node, addrs });
    }

    /// Tells Kademlia and the address book where a member may be. Only numeric addresses count: names are looked up by whoever
    /// dials.
    pub fn learn(&self, node: NodeId, addrs: &[String]) {
        self.command(NetCommand::Learn { node, addrs: addrs.to_vec() });
    }

    /// Closes the connection and forgets the peer's addresses. To be called after [`Gatekeeper::update`], or it may
    /// come in again.
    pub fn drop_peer(&self, node: NodeId, reason: impl Into<String>) {
        self.command(NetCommand::Drop { node, reason: reason.into() });
    }

    /// The same, but what was sent to it before arrives first, if it takes it within a second: a member that was thrown out
    /// should hear of it.
    pub fn dismiss(&self, node: NodeId, reason: impl Into<String>) {
        self.command(NetCommand::Dismiss { node, reason: reason.into() });
    }

    /// Addresses of this machine on which the node listens.
    pub fn listen_addrs(&self) -> Vec<SocketAddr> {
        self.addresses.lock().listening.iter().copied().collect()
    }

    /// This node's addresses as its peers see them, each with how many peers see it.
    pub fn observed(&self) -> BTreeMap<SocketAddr, usize> {
        let mut counted = BTreeMap::new();
        for addr in self.addresses.lock().observed.values() {
            *counted.entry(*addr).or_default() += 1;
        }
        counted
    }

    /// Through whom members are reached, and for whom this node relays, also for those who do not hold the network itself.
    pub fn paths(&self) -> PathMeter {
        PathMeter(Arc::clone(&self.addresses), self.socket.clone())
    }

    /// What is known of the way to this node.
    pub fn reach(&self) -> ReachReport {
        self.reach_meter().read()
    }

    /// The same, also for those who do not hold the network itself.
    pub fn reach_meter(&self) -> ReachMeter {
        ReachMeter(Arc::clone(&self.addresses))
    }

    /// Dials addresses at which it is not known who answers.
    pub fn meeter(&self) -> Meeter {
        Meeter(self.commands.downgrade())
    }

    /// Counts bytes, also for those who do not hold the network itself.
    pub fn traffic(&self) -> TrafficMeter {
        TrafficMeter::new(Arc::clone(&self.hub.counters))
    }

    /// Closes all connections, so that peers know at once, stops, and leaves the port to whoever listens there next.
    pub async fn stop(self) {
        self.command(NetCommand::Stop);
        let unmapped = async {
            if let Some(mapping) = self.mapping {
                mapping.stop().await;
            }
        };
        let _ = tokio::join!(self.driver, unmapped, self.book.save());
        libp2p::wait_for_port(self.listen).await;
    }

    fn command(&self, command: NetCommand) {
        // The task ends only with the program.
        let _ = self.commands.send(command);
    }
}
