//! QUIC as libp2p speaks it, of quinn and libp2p-tls alone: for programs that are no honest node, and as a second implementation
//! beside the node's own transport.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Context as _, Result};
use ed25519_dalek::SigningKey;
use futures::{AsyncRead, AsyncWrite};
use libp2p::identity::Keypair;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, RecvStream, SendStream, ServerConfig, TokioRuntime,
    TransportConfig,
};
use tokio::time::timeout;

/// As a member has them: blocks that nobody takes leave room for messages.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 32 << 20;
/// What a program of libp2p gives a handshake.
const DIAL_MAX: Duration = Duration::from_secs(5);

/// A port from which a program dials, and on which it is dialled.
pub struct RawEndpoint(Endpoint);

impl RawEndpoint {
    /// At an address of this machine; port 0 takes a free one.
    pub fn bind(key: &SigningKey, at: SocketAddr) -> Result<Self> {
        let key = Keypair::ed25519_from_bytes(key.to_bytes())?;
        let transport = Arc::new(transport());
        let tls = QuicServerConfig::try_from(libp2p_tls::make_server_config(&key)?)?;
        let mut server = ServerConfig::with_crypto(Arc::new(tls));
        server.transport_config(Arc::clone(&transport));
        let tls = QuicClientConfig::try_from(libp2p_tls::make_client_config(&key, None)?)?;
        let mut client = ClientConfig::new(Arc::new(tls));
        client.transport_config(transport);
        let socket = std::net::UdpSocket::bind(at)?;
        let mut endpoint = Endpoint::new(EndpointConfig::default(), Some(server), socket, Arc::new(TokioRuntime))?;
        endpoint.set_default_client_config(client);
        Ok(Self(endpoint))
    }

    /// With the port that it got.
    pub fn addr(&self) -> SocketAddr {
        self.0.local_addr().expect("the socket is bound")
    }

    /// Whoever answers there is taken.
    pub async fn dial(&self, to: SocketAddr) -> Result<Connection> {
        let dial = self.0.connect(to, "l")?;
        Ok(timeout(DIAL_MAX, dial).await.context("no answer")??)
    }

    /// The next who dials and finishes TLS.
    pub async fn dialled(&self) -> Connection {
        loop {
            let incoming = self.0.accept().await.expect("the endpoint is never closed");
            if let Ok(connection) = incoming.await {
                return connection;
            }
        }
    }
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(STREAM_WINDOW.into()).receive_window(CONNECTION_WINDOW.into());
    transport.max_concurrent_uni_streams(0u32.into()).datagram_receive_buffer_size(None);
    transport.keep_alive_interval(Some(Duration::from_secs(5)));
    transport
}

/// Opens a stream; none if the connection is closed.
pub async fn open(connection: &Connection) -> Option<RawStream> {
    connection.open_bi().await.ok().map(RawStream::new)
}

/// The next one that the peer opens; none if the connection is closed.
pub async fn inbound(connection: &Connection) -> Option<RawStream> {
    connection.accept_bi().await.ok().map(RawStream::new)
}

/// Both directions of a stream.
pub struct RawStream {
    send: SendStream,
    receive: RecvStream,
}

impl RawStream {
    fn new((send, receive): (SendStream, RecvStream)) -> Self {
        Self { send, receive }
    }
}

impl AsyncRead for RawStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        AsyncRead::poll_read(Pin::new(&mut self.receive), cx, buf)
    }
}

impl AsyncWrite for RawStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.send), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.send), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_close(Pin::new(&mut self.send), cx)
    }
}
