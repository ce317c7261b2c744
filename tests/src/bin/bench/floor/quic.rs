//! quinn without anything around it, with the TLS and the windows that libp2p-quic gives it. These stay, so that floors of one machine
//! can be compared over time; the node's own transport has others.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use libp2p::identity::Keypair;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, Endpoint, RecvStream, TransportConfig};
use sha2::{Digest as _, Sha256};

use crate::percentile::median;
use crate::source::{DataSource, PIECE};

/// Of libp2p-quic 0.14 (`Config::new`).
const STREAM_WINDOW: u32 = 10_000_000;
/// Of libp2p-quic 0.14 (`Config::new`).
const CONNECTION_WINDOW: u32 = 15_000_000;
const FETCHES: usize = 200;

/// Two ends on loopback.
struct QuicPair {
    dialler: Connection,
    listener: Connection,
    _endpoints: [Endpoint; 2],
}

impl QuicPair {
    async fn connect() -> Result<Self> {
        let (own, other) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let transport = transport();
        let tls = QuicServerConfig::try_from(libp2p_tls::make_server_config(&other)?)?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
        config.transport_config(transport.clone()).migration(false);
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Endpoint::server(config, any)?;
        let tls = QuicClientConfig::try_from(libp2p_tls::make_client_config(&own, Some(other.public().to_peer_id()))?)?;
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        config.transport_config(transport);
        let client = Endpoint::client(any)?;
        let dial = client.connect_with(config, server.local_addr()?, "l")?;
        let accept = async { anyhow::Ok(server.accept().await.context("no connection")?.await?) };
        let (dialler, listener) = tokio::join!(dial, accept);
        Ok(Self { dialler: dialler?, listener: listener?, _endpoints: [client, server] })
    }
}

fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(STREAM_WINDOW.into()).receive_window(CONNECTION_WINDOW.into());
    transport.allow_spin(false).datagram_receive_buffer_size(None);
    transport.keep_alive_interval(Some(Duration::from_secs(5)));
    Arc::new(transport)
}

/// Sends so many bytes over one stream; the receiver hashes them.
pub async fn bulk(bytes: u64) -> Result<()> {
    let pair = QuicPair::connect().await?;
    let listener = pair.listener.clone();
    let receive = tokio::spawn(async move {
        let mut stream = listener.accept_uni().await?;
        drain(&mut stream).await
    });
    let mut stream = pair.dialler.open_uni().await?;
    let source = DataSource::new(6);
    for number in 0..bytes / PIECE as u64 {
        stream.write_all(&source.piece(number)).await?;
    }
    stream.finish()?;
    receive.await?
}

async fn drain(stream: &mut RecvStream) -> Result<()> {
    let mut hasher = Sha256::new();
    while let Some(chunk) = stream.read_chunk(usize::MAX, true).await? {
        hasher.update(&chunk.bytes);
    }
    std::hint::black_box(hasher.finalize());
    Ok(())
}

/// Median of asking for a piece, getting and hashing it.
pub async fn fetch_ms() -> Result<f64> {
    let pair = QuicPair::connect().await?;
    let listener = pair.listener.clone();
    let serve = tokio::spawn(async move {
        let source = DataSource::new(7);
        while let Ok((mut answer, mut question)) = listener.accept_bi().await {
            question.read_to_end(1).await?;
            answer.write_all(&source.piece(1)).await?;
            answer.finish()?;
        }
        anyhow::Ok(())
    });
    let mut took_ms = Vec::new();
    for _ in 0..FETCHES {
        let begun = Instant::now();
        let (mut question, mut answer) = pair.dialler.open_bi().await?;
        question.finish()?;
        drain(&mut answer).await?;
        took_ms.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    serve.abort();
    Ok(median(&mut took_ms))
}
