//! Brings the network up.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::Swarm;
use libp2p::identity::Keypair;
use libp2p::swarm::{self, SwarmEvent};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::behaviour::NodeBehaviour;
use super::driver::SwarmDriver;
use super::meetings::MeetingsDriver;
use super::moving::MovingWatch;
use super::{address, transport};
use crate::net::command::{NetCommand, OwnAddresses};
use crate::net::config::{NetConfig, NetError};
use crate::net::discovery::book_file::BookFile;
use crate::net::discovery::dial_budget::DialBudget;
use crate::net::discovery::searches::PeerSearches;
use crate::net::event::NetEvent;
use crate::net::handshake::gatekeeper::Gatekeeper;
use crate::net::quic::{DialPatience, QuicPaths, QuicSettings};
use crate::net::session::SessionHub;
use crate::net::session::links::LinkTable;
use crate::net::socket::{EndedSession, PeerPacket, SocketHandle};

/// Connections without streams (a duplicate that lost) are closed after this.
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// The system names the interfaces of a new socket within milliseconds.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);
/// A closed connection is kept for three times its probe timeout (RFC 9000 10.2): milliseconds at home, a second on bad lines.
const PORT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is looked whether the port is free.
const PORT_POLL: Duration = Duration::from_millis(5);

/// What a transport is given: whom it lets in, where its sessions report, and what it is asked.
pub(crate) struct Attachment {
    pub keeper: Arc<Gatekeeper>,
    pub hub: Arc<SessionHub>,
    pub addresses: Arc<OwnAddresses>,
    pub book: Arc<BookFile>,
    pub commands: mpsc::UnboundedReceiver<NetCommand>,
    /// For what the transport's task tells itself from other tasks.
    pub orders: mpsc::WeakUnboundedSender<NetCommand>,
    /// Below the transport: it makes the sockets, and knows where peers behind relays are.
    pub socket: SocketHandle,
    /// What comes out of it for those who meet.
    pub packets: (mpsc::Receiver<PeerPacket>, mpsc::Receiver<EndedSession>),
}

/// Listens, and spawns the task that owns all connections. Returns the address asked for, with the port it got.
pub(crate) async fn start(config: &NetConfig, net: Attachment) -> Result<(SocketAddr, JoinHandle<()>), NetError> {
    probe(config.listen)?;
    let Attachment { keeper, hub, addresses, book, commands, orders, socket, packets } = net;
    let quic = QuicSettings { congestion: config.congestion, download_max: config.bandwidth.download_max() };
    let patience = Arc::<DialPatience>::default();
    let below = (socket.clone(), Arc::clone(&patience));
    let mut swarm = swarm(&keeper, config.mdns, quic, Arc::clone(&hub.links), below)?;
    let first = listen(&mut swarm, config.listen).await?;
    addresses.lock().listening.insert(first);
    let news = hub.take_news().expect("a hub has one network");
    let meetings = MeetingsDriver::new(&keeper, (socket, packets), (news, config.named.clone()));
    let driver = SwarmDriver {
        meetings,
        swarm,
        keeper,
        hub,
        news: addresses.watch(),
        addresses,
        book,
        strangers: BTreeMap::new(),
        orders,
        commands,
        sessions: BTreeMap::new(),
        ended: mpsc::unbounded_channel(),
        searches: PeerSearches::default(),
        budget: DialBudget::default(),
        patience,
        moving: MovingWatch::start(),
        events: VecDeque::from([NetEvent::Listening(first)]),
    };
    Ok((SocketAddr::new(config.listen.ip(), first.port()), tokio::spawn(driver.run())))
}

/// Waits until nobody listens there. QUIC keeps a socket until the peers' last packets are answered, and libp2p does not tell
/// when that is over; a node that starts again in the same process would find its own port in use.
pub(crate) async fn wait_for_port(addr: SocketAddr) {
    let free = async {
        while probe(addr).is_err() {
            sleep(PORT_POLL).await;
        }
    };
    if timeout(PORT_TIMEOUT, free).await.is_err() {
        tracing::warn!(%addr, "the socket of the stopped node is still open");
    }
}

/// libp2p hides the reason why a socket cannot be bound, so it is found out before.
fn probe(addr: SocketAddr) -> Result<(), NetError> {
    match UdpSocket::bind(addr) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(NetError::AddressInUse(addr)),
        Err(source) => Err(NetError::Listen { addr, source }),
    }
}

pub(super) fn swarm(
    keeper: &Arc<Gatekeeper>,
    mdns: bool,
    quic: QuicSettings,
    links: Arc<LinkTable>,
    (socket, patience): (SocketHandle, Arc<DialPatience>),
) -> Result<Swarm<NodeBehaviour>, NetError> {
    let key = Keypair::ed25519_from_bytes(keeper.key().to_bytes()).map_err(|_| NetError::Key)?;
    let paths = Arc::<QuicPaths>::default();
    let transport = transport::build(&key, Arc::clone(keeper), quic, (Arc::clone(&paths), patience), socket);
    let transport = transport.map_err(|_| NetError::Key)?;
    let behaviour = NodeBehaviour::new(&key, keeper, mdns, (links, paths)).map_err(NetError::Mdns)?;
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE_CONNECTION_TIMEOUT);
    Ok(Swarm::new(transport, behaviour, key.public().to_peer_id(), config))
}

/// Waits for the first address: before it is known, a dial would leave from another port than the one listened on.
async fn listen(swarm: &mut Swarm<NodeBehaviour>, addr: SocketAddr) -> Result<SocketAddr, NetError> {
    let failed = |source| NetError::Listen { addr, source };
    swarm.listen_on(address::quic(addr)).map_err(|error| failed(io::Error::other(error)))?;
    let first = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => break address::socket_addr(&address),
                SwarmEvent::ListenerClosed { .. } => break None,
                _ => {}
            }
        }
    };
    let first = timeout(LISTEN_TIMEOUT, first).await.ok().flatten();
    first.ok_or_else(|| failed(io::Error::other("no interface of this machine has an address")))
}
