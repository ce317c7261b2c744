//! The open streams of a connection, whatever transport they come from.

/// Substreams for blocks in each direction. Three keep a line busy while one waits for a disk, and their flow-control
/// windows together stay below the connection's, so a stalled block never stops a message (see `transport`).
pub(crate) const BLOCK_STREAMS: usize = 3;
/// Streams in each direction: one for messages, the others for blocks.
pub(crate) const STREAMS: usize = 1 + BLOCK_STREAMS;

/// The open streams of a connection.
#[derive(Debug)]
pub(crate) struct PeerStreams<S> {
    /// The greatest number of a pair of nodes is the connection in use.
    pub number: u64,
    /// The peer's address is one of a local network.
    pub is_local: bool,
    /// Written here; the first is for messages.
    pub outbound: Vec<S>,
    /// Written by the peer.
    pub inbound: Vec<S>,
}
