//! The two sides of a test: the transport, and a peer that does without it.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fsdfs_proto::ids::{Key, NodeId};
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::PeerId;
use libp2p::core::muxing::{StreamMuxerEvent, StreamMuxerExt as _};
use libp2p::core::transport::{DialOpts, ListenerId, PortUse, TransportError, TransportEvent};
use libp2p::core::{Endpoint as ConnectionRole, Transport as _};
use libp2p::identity::Keypair;
use libp2p_tls::certificate;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::rustls::pki_types::CertificateDer;
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig};

use super::super::address::{quic, socket_addr};
use super::super::muxer::{QuicMuxer, QuicStream};
use super::super::upgrade::Upgrade;
use super::super::{QuicError, QuicSettings, QuicTransport};
use crate::net::socket::{SocketEvents, SocketHandle};

/// Nothing on loopback takes so long, except on a machine that is busy with other things.
pub(in crate::net) const PATIENCE: Duration = Duration::from_secs(60);
pub(in crate::net) const OPTIONS: DialOpts = DialOpts { role: ConnectionRole::Dialer, port_use: PortUse::Reuse };

pub(in crate::net) async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("not in time")
}

/// The transport, listening.
pub(in crate::net) struct Side {
    pub transport: QuicTransport,
    pub listener: ListenerId,
    pub at: SocketAddr,
    pub node: NodeId,
    pub socket: SocketHandle,
    pub events: SocketEvents,
    key: Keypair,
}

impl Side {
    pub(in crate::net) async fn listen() -> Self {
        Self::listen_as(Keypair::generate_ed25519(), "127.0.0.1:0".parse().unwrap()).await
    }

    pub(in crate::net) async fn listen_as(key: Keypair, at: SocketAddr) -> Self {
        let node = NodeId(key.public().try_into_ed25519().unwrap().to_bytes());
        let (socket, events) = SocketHandle::new(Key([7; 32]), node);
        let transport = QuicTransport::new(&key, QuicSettings::default(), Default::default(), socket.clone()).unwrap();
        let listener = ListenerId::next();
        let mut side = Self { transport, listener, at, node, socket, events, key };
        side.transport.listen_on(listener, quic(at)).unwrap();
        let TransportEvent::NewAddress { listen_addr, .. } = side.event().await else { panic!("no address") };
        side.at = socket_addr(&listen_addr).unwrap();
        side
    }

    pub(in crate::net) fn peer(&self) -> PeerId {
        self.key.public().to_peer_id()
    }

    pub(in crate::net) async fn event(&mut self) -> TransportEvent<Upgrade, QuicError> {
        in_time(poll_fn(|cx| Pin::new(&mut self.transport).poll(cx))).await
    }

    /// The next who dials and tells who it is.
    pub(in crate::net) async fn accept(&mut self) -> (PeerId, QuicMuxer) {
        self.try_accept().await.expect("a handshake")
    }

    pub(in crate::net) async fn try_accept(&mut self) -> Result<(PeerId, QuicMuxer), QuicError> {
        self.incoming().await.0.await
    }

    /// The next handshake, and where its dialler is seen.
    pub(in crate::net) async fn incoming(&mut self) -> (Upgrade, SocketAddr) {
        loop {
            if let TransportEvent::Incoming { upgrade, send_back_addr, .. } = self.event().await {
                return (upgrade, socket_addr(&send_back_addr).expect("an address of this transport"));
            }
        }
    }

    pub(in crate::net) fn dial(&mut self, to: SocketAddr) -> Upgrade {
        self.try_dial(to).expect("an address to dial")
    }

    pub(in crate::net) fn try_dial(&mut self, to: SocketAddr) -> Result<Upgrade, TransportError<QuicError>> {
        self.transport.dial(quic(to), OPTIONS)
    }
}

/// What libp2p's own transport is made of.
pub(in crate::net) struct LibraryPeer {
    pub endpoint: Endpoint,
    key: Keypair,
}

impl LibraryPeer {
    pub(in crate::net) fn new() -> Self {
        let key = Keypair::generate_ed25519();
        let tls = QuicServerConfig::try_from(libp2p_tls::make_server_config(&key).unwrap()).unwrap();
        let server = ServerConfig::with_crypto(Arc::new(tls));
        Self { endpoint: Endpoint::server(server, "127.0.0.1:0".parse().unwrap()).unwrap(), key }
    }

    pub(in crate::net) fn at(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    pub(in crate::net) fn peer(&self) -> PeerId {
        self.key.public().to_peer_id()
    }

    pub(in crate::net) async fn accept(&self) -> Connection {
        in_time(async { self.endpoint.accept().await.unwrap().await.unwrap() }).await
    }

    pub(in crate::net) async fn dial(&self, to: SocketAddr) -> Connection {
        self.dial_with(to, self.tls(|_| {})).await.expect("a handshake")
    }

    /// Its TLS, with a change.
    pub(in crate::net) fn tls(&self, change: impl FnOnce(&mut quinn::rustls::ClientConfig)) -> QuicClientConfig {
        let mut tls = libp2p_tls::make_client_config(&self.key, None).unwrap();
        change(&mut tls);
        QuicClientConfig::try_from(tls).unwrap()
    }

    pub(in crate::net) async fn dial_with(
        &self,
        to: SocketAddr,
        tls: QuicClientConfig,
    ) -> Result<Connection, quinn::ConnectionError> {
        in_time(self.endpoint.connect_with(ClientConfig::new(Arc::new(tls)), to, "l").unwrap()).await
    }
}

pub(in crate::net) fn peer_of(connection: &Connection) -> PeerId {
    let certs = connection.peer_identity().unwrap().downcast::<Vec<CertificateDer<'static>>>().unwrap();
    certificate::parse(&certs[0]).unwrap().peer_id()
}

pub(in crate::net) async fn inbound(muxer: &mut QuicMuxer) -> QuicStream {
    in_time(poll_fn(|cx| muxer.poll_inbound_unpin(cx))).await.unwrap()
}

pub(in crate::net) async fn outbound(muxer: &mut QuicMuxer) -> QuicStream {
    in_time(poll_fn(|cx| muxer.poll_outbound_unpin(cx))).await.unwrap()
}

pub(in crate::net) async fn event_of(muxer: &mut QuicMuxer) -> Result<StreamMuxerEvent, QuicError> {
    in_time(poll_fn(|cx| muxer.poll_unpin(cx))).await
}

pub(in crate::net) async fn close(muxer: &mut QuicMuxer) -> Result<(), QuicError> {
    in_time(poll_fn(|cx| muxer.poll_close_unpin(cx))).await
}

/// A connection with one stream, which the connection is dropped with.
pub(in crate::net) struct TestLink {
    muxer: QuicMuxer,
    stream: Option<QuicStream>,
}

impl TestLink {
    pub(in crate::net) fn new(muxer: QuicMuxer) -> Self {
        Self { muxer, stream: None }
    }

    /// The other side sees the stream by its first byte.
    pub(in crate::net) async fn open(&mut self) {
        let mut stream = outbound(&mut self.muxer).await;
        in_time(stream.write_all(&[0])).await.unwrap();
        self.stream = Some(stream);
    }

    pub(in crate::net) async fn accept(&mut self) {
        let mut stream = inbound(&mut self.muxer).await;
        in_time(stream.read_exact(&mut [0])).await.unwrap();
        self.stream = Some(stream);
    }

    pub(in crate::net) fn stream(&mut self) -> &mut QuicStream {
        self.stream.as_mut().expect("it was opened")
    }
}
