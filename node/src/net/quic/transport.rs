//! Listens and dials for the swarm.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures::StreamExt as _;
use futures::stream::SelectAll;
use libp2p::core::Transport;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use quinn::{Connecting, Endpoint, EndpointConfig, ServerConfig, TokioRuntime};

use super::config::{QuicConfig, QuicSettings};
use super::error::QuicError;
use super::listener::QuicListener;
use super::muxer::QuicMuxer;
use super::paths::QuicPaths;
use super::patience::{DialPatience, DialStep};
use super::upgrade::{self, Upgrade};
use super::{address, tls};
use crate::net::socket::{BoundAddresses, Mux, SocketHandle};
use crate::net::way_out;

/// All endpoints of a node. It dials from where it listens, if it can: that is where it can be found then.
pub(in crate::net) struct QuicTransport {
    config: QuicConfig,
    paths: Arc<QuicPaths>,
    patience: Arc<DialPatience>,
    listeners: SelectAll<QuicListener>,
    /// At most one a family, for addresses that no listener reaches.
    dialers: Vec<(BoundAddresses, Endpoint)>,
    /// Makes the sockets below, and knows where virtual addresses lead.
    socket: SocketHandle,
    /// Of who polls, for a listener that was added since.
    waker: Option<Waker>,
}

impl QuicTransport {
    /// Fails only for a key that is none.
    pub(in crate::net) fn new(
        key: &Keypair,
        settings: QuicSettings,
        (paths, patience): (Arc<QuicPaths>, Arc<DialPatience>),
        socket: SocketHandle,
    ) -> Result<Self, QuicError> {
        Ok(Self {
            config: QuicConfig::new(key, settings)?,
            paths,
            patience,
            listeners: SelectAll::new(),
            dialers: Vec::new(),
            socket,
            waker: None,
        })
    }

    fn listen(&mut self, id: ListenerId, addr: SocketAddr) -> Result<(), QuicError> {
        let socket = self.socket.listen(addr)?;
        let bound = socket.bound();
        let endpoint = endpoint(socket, self.config.listening(addr), Some(self.config.server.clone()))?;
        let shared = (self.config.server_relayed(), Arc::clone(&self.paths));
        self.listeners.push(QuicListener::new(id, endpoint, bound, shared)?);
        self.waker.take().into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn connect(&mut self, to: SocketAddr) -> Result<Connecting, QuicError> {
        let hop = self.socket.next_hop(to).ok_or(QuicError::NoRelay)?;
        if !way_out::leads_to(hop) {
            return Err(QuicError::NoRoute);
        }
        Ok(self.endpoint_to(hop)?.connect_with(self.config.client_to(to), to, tls::SERVER_NAME)?)
    }

    fn endpoint_to(&mut self, to: SocketAddr) -> Result<Endpoint, QuicError> {
        if let Some(endpoint) = self.listeners.iter().find_map(|listener| listener.endpoint_to(to)) {
            return Ok(endpoint.clone());
        }
        if let Some((_, dialer)) = self.dialers.iter().find(|(bound, _)| bound.reaches(to)) {
            return Ok(dialer.clone());
        }
        let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = self.socket.dial_from(SocketAddr::new(any, 0))?;
        let bound = socket.bound();
        let dialer = endpoint(socket, QuicConfig::dialling(), None)?;
        self.dialers.push((bound, dialer.clone()));
        Ok(dialer)
    }
}

impl Transport for QuicTransport {
    type Output = (PeerId, QuicMuxer);
    type Error = QuicError;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    fn listen_on(&mut self, id: ListenerId, addr: Multiaddr) -> Result<(), TransportError<QuicError>> {
        let Some(wanted) = address::endpoint_addr(&addr) else {
            return Err(TransportError::MultiaddrNotSupported(addr));
        };
        self.listen(id, wanted).map_err(TransportError::Other)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.listeners.iter_mut().find(|listener| listener.id() == id).is_some_and(QuicListener::close)
    }

    /// Roles and ports of the options are for hole punching as libp2p does it, which dials from the port that listens anyway.
    fn dial(&mut self, addr: Multiaddr, _: DialOpts) -> Result<Upgrade, TransportError<QuicError>> {
        let to = address::endpoint_addr(&addr).filter(|to| to.port() != 0 && !to.ip().is_unspecified());
        let Some(to) = to else { return Err(TransportError::MultiaddrNotSupported(addr)) };
        match self.patience.step(Instant::now(), to, self.paths.is_empty()) {
            DialStep::Dial(turn) => {
                self.socket.begin_dial(to);
                let connecting = self.connect(to).map_err(TransportError::Other)?;
                Ok(upgrade::dial(connecting, turn, (&self.paths, &self.socket)))
            }
            DialStep::Wait(over) => Ok(upgrade::wait(over)),
            DialStep::Refuse => Err(TransportError::Other(QuicError::TooSoon)),
        }
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Upgrade, QuicError>> {
        let this = self.get_mut();
        if let Poll::Ready(Some(event)) = this.listeners.poll_next_unpin(cx) {
            return Poll::Ready(event);
        }
        this.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// The only place that puts QUIC on a socket.
fn endpoint(socket: Arc<Mux>, config: EndpointConfig, server: Option<ServerConfig>) -> Result<Endpoint, QuicError> {
    Ok(Endpoint::new_with_abstract_socket(config, server, socket, Arc::new(TokioRuntime))?)
}
