//! What connections are made with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use fsdfs_proto::packet::RELAYED_HEAD_BYTES;
use libp2p::identity::Keypair;
use quinn::congestion::{ControllerFactory, CubicConfig};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, ConnectionIdGenerator, EndpointConfig, MtuDiscoveryConfig, ServerConfig, TransportConfig};
use quinn_proto::HashedConnectionIdGenerator;

use super::control::{self, DrainClock};
use super::error::QuicError;
use super::pending::PENDING_VALIDATED_MAX;
use super::tls;
use crate::config::CongestionControl;
use crate::net::session::streams::BLOCK_STREAMS;
use crate::net::socket::is_virtual;

/// Unacknowledged bytes on one stream: 8 MiB fill 650 Mbit/s at a round trip of 100 ms.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// Of a node that takes in less: what lies in its windows the sender takes for moved, and waits for the answer only so long.
/// The windows of eight peers that send at once are read in three seconds.
const STREAM_WINDOWS_PER_S: u64 = 8;
/// A packet, its followers, and some messages.
const STREAM_WINDOW_BYTES_MIN: u32 = 64 << 10;
/// Unacknowledged bytes on a connection; bounds what a peer can make this node buffer.
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
const _: () = assert!(
    CONNECTION_WINDOW_BYTES as usize >= (BLOCK_STREAMS + 1) * STREAM_WINDOW_BYTES as usize,
    "blocks that are not read must leave a window for messages"
);
/// Streams that a peer may have open. A connection has four for messages and blocks, and for moments those of other protocols.
const PEER_STREAMS_MAX: u32 = 256;

/// A peer that is gone without a word (power cut, cable) is noticed after this. The engine stops relying on it after one
/// second already; this only frees the connection and lets the peer be dialled anew. A peer whose program was restarted
/// is noticed at its first answer, which resets the connection.
const IDLE_TIMEOUT_MS: u32 = 10_000;
/// Three may be lost within [`IDLE_TIMEOUT_MS`]. Also keeps the mapping of a NAT router open (30 s and more).
const KEEP_ALIVE: Duration = Duration::from_millis(2_500);
/// Of the side that was dialled: a packet of the other one comes first, and one from here is not needed then.
const KEEP_ALIVE_DIALLED: Duration = Duration::from_millis(3_000);

/// Every path of QUIC carries this (RFC 9000, 14); larger packets are tried later, one at a time.
const MTU_BYTES_AT_FIRST: u16 = 1200;
/// The payload of UDP over IPv6 on Ethernet is 1,452 bytes.
const MTU_BYTES_MAX: u16 = 1452;
/// Of them, what a relay needs.
const RELAYED_HEAD: u16 = RELAYED_HEAD_BYTES as u16;

/// First packets that quinn keeps until the listener has looked at them, and the bytes behind such a packet. The listener
/// looks at once, so more is a flood.
const INCOMING_MAX: usize = 4 * PENDING_VALIDATED_MAX;
const INCOMING_BYTES_MAX: u64 = 64 << 10;
const INCOMING_BYTES_OF_ALL_MAX: u64 = 16 << 20;

/// Infos of HKDF, only for this node: nobody else ever makes the same bytes.
const RESET_KEY: &str = "fsdfs/2/reset";
const CONNECTION_IDS: &str = "fsdfs/2/connection-ids";

/// What its owner may choose.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::net) struct QuicSettings {
    pub congestion: CongestionControl,
    /// Bytes per second that are taken in at most.
    pub download_max: Option<u64>,
}

/// What all connections of a node share.
pub(super) struct QuicConfig {
    key: Keypair,
    client: ClientConfig,
    client_relayed: ClientConfig,
    pub server: ServerConfig,
    server_relayed: Arc<ServerConfig>,
}

impl QuicConfig {
    pub(super) fn new(key: &Keypair, settings: QuicSettings) -> Result<Self, QuicError> {
        let (client, server) = tls::configs(key)?;
        let (control, window) = (controllers(settings.congestion), stream_window(settings.download_max));
        let of = |keep_alive, mtu_max| Arc::new(transport(keep_alive, window, mtu_max, Arc::clone(&control)));
        let mtu_relayed = MTU_BYTES_MAX - RELAYED_HEAD;
        let unsuited = |error: quinn::crypto::rustls::NoInitialCipherSuite| {
            QuicError::Tls(quinn::rustls::Error::General(error.to_string()))
        };
        let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(client).map_err(unsuited)?));
        client.transport_config(of(KEEP_ALIVE, MTU_BYTES_MAX));
        let mut client_relayed = client.clone();
        client_relayed.transport_config(of(KEEP_ALIVE, mtu_relayed));
        let mut server = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server).map_err(unsuited)?));
        server.transport_config(of(KEEP_ALIVE_DIALLED, MTU_BYTES_MAX)).migration(true);
        server.max_incoming(INCOMING_MAX);
        server.incoming_buffer_size(INCOMING_BYTES_MAX).incoming_buffer_size_total(INCOMING_BYTES_OF_ALL_MAX);
        let mut server_relayed = server.clone();
        server_relayed.transport_config(of(KEEP_ALIVE_DIALLED, mtu_relayed));
        let server_relayed = Arc::new(server_relayed);
        Ok(Self { key: key.clone(), client, client_relayed, server, server_relayed })
    }

    /// Of a connection to that address.
    pub(super) fn client_to(&self, to: SocketAddr) -> ClientConfig {
        if is_virtual(to.ip()) { self.client_relayed.clone() } else { self.client.clone() }
    }

    /// Of connections that come in through a relay.
    pub(super) fn server_relayed(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server_relayed)
    }

    /// Of the endpoint that listens there. A node that starts again knows the ids of its connections before, and resets those
    /// whose packets still come.
    pub(super) fn listening(&self, addr: SocketAddr) -> EndpointConfig {
        // An endpoint resets what it does not know; should there be two, one must not do so for the connections of the other.
        let secret = |what: &str| {
            let family = if addr.is_ipv4() { "4" } else { "6" };
            self.key.derive_secret(&[what.as_bytes(), b" ", family.as_bytes()].concat())
        };
        let mut config = EndpointConfig::default();
        if let (Some(reset), Some([a, b, c, d, e, f, g, h, ..])) = (secret(RESET_KEY), secret(CONNECTION_IDS)) {
            config.reset_key(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &reset)));
            let ids = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            config.cid_generator(move || {
                Box::new(HashedConnectionIdGenerator::from_key(ids)) as Box<dyn ConnectionIdGenerator>
            });
        }
        plain(config)
    }

    /// Of an endpoint that only dials. Its port is another one each time, so there is nothing to reset.
    pub(super) fn dialling() -> EndpointConfig {
        plain(EndpointConfig::default())
    }
}

/// What is not QUIC is told from it by the second bit of a packet; unless told not to, peers draw that bit by lot.
fn plain(mut config: EndpointConfig) -> EndpointConfig {
    config.grease_quic_bit(false).supported_versions(vec![1]);
    config
}

fn transport(
    keep_alive: Duration,
    stream_window: u32,
    mtu_max: u16,
    control: Arc<dyn ControllerFactory + Send + Sync>,
) -> TransportConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(mtu_max);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(0u32.into())
        .max_concurrent_bidi_streams(PEER_STREAMS_MAX.into())
        .datagram_receive_buffer_size(None)
        .keep_alive_interval(Some(keep_alive))
        .max_idle_timeout(Some(quinn::VarInt::from_u32(IDLE_TIMEOUT_MS).into()))
        .stream_receive_window(stream_window.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into())
        .send_window(control::send_window(0))
        .initial_mtu(MTU_BYTES_AT_FIRST)
        .mtu_discovery_config(Some(mtu))
        .congestion_controller_factory(control)
        .allow_spin(false);
    transport
}

/// How fast a connection may send: the only place that chooses.
fn controllers(chosen: CongestionControl) -> Arc<dyn ControllerFactory + Send + Sync> {
    match chosen {
        CongestionControl::Fsdfs => {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Arc::new(control::Factory::new(Arc::new(DrainClock::new(Instant::now(), since_epoch))))
        }
        CongestionControl::Cubic => Arc::new(CubicConfig::default()),
    }
}

/// For what is taken in within a second at most.
fn stream_window(download_max: Option<u64>) -> u32 {
    let bytes = download_max.map_or(u64::MAX, |rate| rate / STREAM_WINDOWS_PER_S);
    u32::try_from(bytes).unwrap_or(u32::MAX).clamp(STREAM_WINDOW_BYTES_MIN, STREAM_WINDOW_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_in_little_has_small_windows() {
        assert_eq!(stream_window(None), STREAM_WINDOW_BYTES);
        assert_eq!(stream_window(Some(1_000_000_000)), STREAM_WINDOW_BYTES);
        assert_eq!(stream_window(Some(2_000_000)), 250_000);
        assert_eq!(stream_window(Some(32_000)), STREAM_WINDOW_BYTES_MIN);
    }
}
