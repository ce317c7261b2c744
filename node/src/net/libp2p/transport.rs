//! QUIC with the gate inside.

use std::sync::Arc;

use libp2p::PeerId;
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::identity::Keypair;

use super::gate;
use crate::net::handshake::gatekeeper::Gatekeeper;
use crate::net::quic::{DialPatience, QuicError, QuicPaths, QuicSettings, QuicTransport};
use crate::net::socket::SocketHandle;

/// Fails only for a key that is none.
pub(super) fn build(
    key: &Keypair,
    keeper: Arc<Gatekeeper>,
    settings: QuicSettings,
    known: (Arc<QuicPaths>, Arc<DialPatience>),
    socket: SocketHandle,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, QuicError> {
    let quic = QuicTransport::new(key, settings, known, socket)?;
    let quic = quic.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    Ok(quic.and_then(move |(peer, muxer), _| gate::pass(keeper, peer, muxer)).boxed())
}
