//! A connection and its streams, as libp2p's swarm drives them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, FutureExt as _};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use tokio::time::{Instant, Sleep, sleep};

use super::address;
use super::error::QuicError;

/// Bytes that may wait in a connection, acknowledged by nobody: at least, so that a line that wakes up finds something to send.
pub(super) const SEND_WINDOW_BYTES_MIN: u64 = 512 << 10;
/// At most: what a peer that takes nothing costs in memory. 650 Mbit/s at a round trip of 100 ms take 8 MiB twice.
const SEND_WINDOW_BYTES_MAX: u64 = 16 << 20;

/// How often a connection is looked after.
const UPKEEP: Duration = Duration::from_secs(1);
/// While its window grows: in a second it could double once only.
const UPKEEP_GROWING: Duration = Duration::from_millis(100);

type Streams = Result<(SendStream, RecvStream), ConnectionError>;

/// A connection that is established. Dropping it closes it, once its streams are dropped, too.
pub(in crate::net) struct QuicMuxer {
    connection: Connection,
    accepting: Option<BoxFuture<'static, Streams>>,
    opening: Option<BoxFuture<'static, Streams>>,
    closing: Option<BoxFuture<'static, ConnectionError>>,
    /// Where the peer was when that was last looked at.
    remote: SocketAddr,
    send_window: u64,
    upkeep: Pin<Box<Sleep>>,
}

impl QuicMuxer {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            remote: connection.remote_address(),
            connection,
            accepting: None,
            opening: None,
            closing: None,
            send_window: SEND_WINDOW_BYTES_MIN,
            upkeep: Box::pin(sleep(UPKEEP)),
        }
    }

    /// Lets twice wait what may be on its way: the line never runs dry, and what is behind it can still be cancelled. With 32 MB a
    /// small message waits a second behind blocks on 20 Mbit/s. Whether the window grew.
    fn fit_send_window(&mut self) -> bool {
        let fitting = send_window(self.connection.stats().path.cwnd);
        let before = std::mem::replace(&mut self.send_window, fitting);
        if fitting != before {
            self.connection.set_send_window(fitting);
        }
        fitting > before
    }

    /// The peer's new address, if it has moved.
    fn moved(&mut self) -> Option<SocketAddr> {
        let now = self.connection.remote_address();
        (std::mem::replace(&mut self.remote, now) != now).then_some(now)
    }
}

fn send_window(congestion_window: u64) -> u64 {
    congestion_window.saturating_mul(2).clamp(SEND_WINDOW_BYTES_MIN, SEND_WINDOW_BYTES_MAX)
}

impl StreamMuxer for QuicMuxer {
    type Substream = QuicStream;
    type Error = QuicError;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<QuicStream, QuicError>> {
        let Self { connection, accepting, .. } = self.get_mut();
        poll_stream(accepting, cx, || {
            let connection = connection.clone();
            async move { connection.accept_bi().await }.boxed()
        })
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<QuicStream, QuicError>> {
        let Self { connection, opening, .. } = self.get_mut();
        poll_stream(opening, cx, || {
            let connection = connection.clone();
            async move { connection.open_bi().await }.boxed()
        })
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), QuicError>> {
        let Self { connection, closing, .. } = self.get_mut();
        let closing = closing.get_or_insert_with(|| {
            let connection = connection.clone();
            connection.close(0u32.into(), &[]);
            async move { connection.closed().await }.boxed()
        });
        Poll::Ready(match ready!(closing.poll_unpin(cx)) {
            ConnectionError::LocallyClosed => Ok(()),
            error => Err(error.into()),
        })
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, QuicError>> {
        let this = self.get_mut();
        loop {
            ready!(this.upkeep.as_mut().poll(cx));
            let pause = if this.fit_send_window() { UPKEEP_GROWING } else { UPKEEP };
            this.upkeep.as_mut().reset(Instant::now() + pause);
            if let Some(remote) = this.moved() {
                return Poll::Ready(Ok(StreamMuxerEvent::AddressChange(address::quic(remote))));
            }
        }
    }
}

fn poll_stream(
    pending: &mut Option<BoxFuture<'static, Streams>>,
    cx: &mut Context<'_>,
    start: impl FnOnce() -> BoxFuture<'static, Streams>,
) -> Poll<Result<QuicStream, QuicError>> {
    let streams = ready!(pending.get_or_insert_with(start).poll_unpin(cx));
    *pending = None;
    let (send, receive) = streams?;
    Poll::Ready(Ok(QuicStream { send, receive, closed: None }))
}

/// Both directions of one stream.
pub(in crate::net) struct QuicStream {
    send: SendStream,
    receive: RecvStream,
    /// How closing went: quinn says so once, libp2p asks again.
    closed: Option<Result<(), io::ErrorKind>>,
}

impl AsyncRead for QuicStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        AsyncRead::poll_read(Pin::new(&mut self.get_mut().receive), cx, buf)
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.get_mut().send), cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.get_mut().send), cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(closed) = this.closed {
            return Poll::Ready(closed.map_err(io::Error::from));
        }
        let closed = ready!(AsyncWrite::poll_close(Pin::new(&mut this.send), cx));
        this.closed = Some(closed.as_ref().map(|()| ()).map_err(io::Error::kind));
        Poll::Ready(closed)
    }
}

#[cfg(test)]
mod tests {
    use super::{SEND_WINDOW_BYTES_MAX, SEND_WINDOW_BYTES_MIN, send_window};

    #[test]
    fn what_waits_is_twice_what_is_on_its_way() {
        assert_eq!(send_window(0), SEND_WINDOW_BYTES_MIN);
        assert_eq!(send_window(1 << 20), 2 << 20);
        assert_eq!(send_window(u64::MAX), SEND_WINDOW_BYTES_MAX);
    }
}
