//! Substreams of a bare connection, for programs that are no honest node.

use futures::future::poll_fn;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt as _, SubstreamBox};

/// Opens a substream; none if the connection is closed.
pub async fn open(muxer: &mut StreamMuxerBox) -> Option<SubstreamBox> {
    poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await.ok()
}

/// The next one that the peer opens; none if the connection is closed.
pub async fn inbound(muxer: &mut StreamMuxerBox) -> Option<SubstreamBox> {
    poll_fn(|cx| match muxer.poll_inbound_unpin(cx) {
        std::task::Poll::Pending => muxer.poll_unpin(cx).map(|_| None),
        stream => stream.map(Result::ok),
    })
    .await
}
