//! QUIC with the gate inside.

use std::sync::Arc;
use std::time::Duration;

use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::identity::Keypair;
use libp2p::{PeerId, quic};

use super::gate;
use crate::net::handshake::gatekeeper::Gatekeeper;
use crate::net::packets::FilteringRuntime;
use crate::net::session::streams::BLOCK_STREAMS;

/// Unacknowledged bytes on one stream: 8 MiB fill 650 Mbit/s at a round trip of 100 ms.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// Unacknowledged bytes on a connection; bounds what a peer can make this node buffer.
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
const _: () = assert!(
    CONNECTION_WINDOW_BYTES as usize >= (BLOCK_STREAMS + 1) * STREAM_WINDOW_BYTES as usize,
    "blocks that are not read must leave a window for messages"
);

/// A peer that is gone without a word (power cut, cable) is noticed after this. The engine stops relying on it after one
/// second already; this only frees the connection and lets the peer be dialled anew. A peer whose program was restarted
/// is noticed at its first answer, which resets the connection.
const IDLE_TIMEOUT_MS: u32 = 10_000;
/// Three may be lost within [`IDLE_TIMEOUT_MS`]. Also keeps the mapping of a NAT router open (30 s and more).
const KEEP_ALIVE: Duration = Duration::from_millis(2_500);
/// TLS. With the gate's own timeout this bounds how long a dial takes.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn build(
    key: &Keypair,
    keeper: Arc<Gatekeeper>,
    runtime: FilteringRuntime,
) -> Boxed<(PeerId, StreamMuxerBox)> {
    let mut config = quic::Config::new(key);
    config.handshake_timeout = HANDSHAKE_TIMEOUT;
    config.max_idle_timeout = IDLE_TIMEOUT_MS;
    config.keep_alive_interval = KEEP_ALIVE;
    config.max_stream_data = STREAM_WINDOW_BYTES;
    config.max_connection_data = CONNECTION_WINDOW_BYTES;
    config.runtime = Some(Arc::new(runtime));
    quic::tokio::Transport::new(config)
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .and_then(move |(peer, muxer), _| gate::pass(keeper, peer, muxer))
        .boxed()
}
