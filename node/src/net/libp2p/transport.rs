//! QUIC with the gate inside.

use std::sync::Arc;

use libp2p::PeerId;
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::identity::Keypair;

use super::gate;
use crate::net::handshake::gatekeeper::Gatekeeper;
use crate::net::quic::{PacketFilter, QuicError, QuicSettings, QuicTransport};

/// Fails only for a key that is none.
pub(super) fn build(
    key: &Keypair,
    keeper: Arc<Gatekeeper>,
    settings: QuicSettings,
    filter: PacketFilter,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, QuicError> {
    let quic = QuicTransport::new(key, settings, filter)?;
    let quic = quic.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    Ok(quic.and_then(move |(peer, muxer), _| gate::pass(keeper, peer, muxer)).boxed())
}
