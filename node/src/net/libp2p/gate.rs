//! The gate on a connection of libp2p: between TLS and the swarm.
//!
//! It runs inside the transport. A connection that does not pass never reaches the swarm, so no behaviour opens a
//! protocol on it and nothing of this node is told.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use libp2p::PeerId;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox};

use super::address;
use crate::net::handshake::gatekeeper::Gatekeeper;
use crate::net::handshake::{GATE_TIMEOUT, HandshakeError, shake_hands};

/// Passes the gate on a fresh connection and returns it, or drops it.
pub(super) async fn pass(
    keeper: Arc<Gatekeeper>,
    peer: PeerId,
    mut muxer: StreamMuxerBox,
) -> Result<(PeerId, StreamMuxerBox), HandshakeError> {
    let node = address::node_id(&peer).filter(|node| *node != keeper.node()).ok_or(HandshakeError::NotANode)?;
    let gate = async {
        let mut stream = open(&mut muxer, keeper.node() < node).await?;
        drive(&mut muxer, shake_hands(&keeper, node, &mut stream)).await?
    };
    let outcome = tokio::time::timeout(GATE_TIMEOUT, gate).await.unwrap_or(Err(HandshakeError::Silent));
    match outcome {
        Ok(facts) => keeper.note_admitted(node, facts),
        Err(error) => {
            tracing::debug!(?node, "not let in: {error}");
            if let HandshakeError::RefusedByPeer(why) = error {
                keeper.note_rejected(node, why);
            }
            return Err(error);
        }
    }
    Ok((peer, muxer))
}

/// The node with the smaller id opens the stream. The dialler cannot be the one: after a hole punch both sides, or none,
/// take themselves for it.
async fn open(muxer: &mut StreamMuxerBox, opens: bool) -> Result<SubstreamBox, HandshakeError> {
    poll_fn(|cx| {
        let stream = if opens { muxer.poll_outbound_unpin(cx) } else { muxer.poll_inbound_unpin(cx) };
        match stream {
            Poll::Pending => poll_muxer(muxer, cx).map(Err),
            ready => ready,
        }
    })
    .await
    .map_err(HandshakeError::Io)
}

/// Some muxers move only while they are polled themselves.
async fn drive<T>(muxer: &mut StreamMuxerBox, work: impl Future<Output = T>) -> Result<T, HandshakeError> {
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => poll_muxer(muxer, cx).map(|error| Err(HandshakeError::Io(error))),
    })
    .await
}

/// Ready only with an error; a changed address matters to nobody here.
fn poll_muxer(muxer: &mut StreamMuxerBox, cx: &mut std::task::Context<'_>) -> Poll<io::Error> {
    loop {
        match muxer.poll_unpin(cx) {
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(error),
            Poll::Pending => return Poll::Pending,
        }
    }
}
