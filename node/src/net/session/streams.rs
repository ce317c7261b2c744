//! The open streams of a connection, whatever transport they come from.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};

/// Substreams for blocks in each direction. Three keep a line busy while one waits for a disk, and their flow-control
/// windows together stay below the connection's, so a stalled block never stops a message (see `transport`).
pub(crate) const BLOCK_STREAMS: usize = 3;
/// Streams in each direction: one for messages, the others for blocks.
pub(crate) const STREAMS: usize = 1 + BLOCK_STREAMS;

/// What a session asks of the transport's streams.
pub(crate) trait SessionStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> SessionStream for S {}

/// The open streams of a connection.
#[derive(Debug)]
pub(crate) struct PeerStreams<S> {
    /// The greatest number of a pair of nodes is the connection in use.
    pub number: u64,
    /// The connection that goes on here, as both sides wrote; 0: none.
    pub goes_on: u64,
    /// Written here.
    pub outbound: StreamSet<S>,
    /// Written by the peer.
    pub inbound: StreamSet<S>,
    pub path: Option<Arc<dyn LinkPath>>,
}

/// Those of one direction.
#[derive(Debug)]
pub(crate) struct StreamSet<S> {
    pub messages: S,
    pub blocks: Vec<S>,
}

/// Packets of a connection so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PathPackets {
    /// That came and were the peer's: what somebody on the way made of them does not count.
    pub came: u64,
    pub sent: u64,
    /// Of those that were sent, as far as that is known.
    pub lost: u64,
}

/// What a transport knows of the way that a connection takes. Nothing, once the connection is closed.
pub(crate) trait LinkPath: fmt::Debug + Send + Sync {
    /// How long a packet takes there and back, of those that were acknowledged lately.
    fn rtt(&self) -> Option<Duration>;

    /// Packets so far.
    fn packets(&self) -> Option<PathPackets>;

    /// The address of this machine to which the peer sends, if it is the peer that dialled.
    fn local_ip(&self) -> Option<IpAddr>;
}
