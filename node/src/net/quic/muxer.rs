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

use super::error::QuicError;
use super::paths::PathEntryGuard;
use super::{address, control};

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
    _path: PathEntryGuard,
}

impl QuicMuxer {
    pub(super) fn new(connection: Connection, path: PathEntryGuard) -> Self {
        Self {
            remote: connection.remote_address(),
            connection,
            accepting: None,
            opening: None,
            closing: None,
            send_window: control::send_window(0),
            upkeep: Box::pin(sleep(UPKEEP)),
            _path: path,
        }
    }

    /// Lets as much wait as fits what may be on its way. Whether that grew.
    fn fit_send_window(&mut self) -> bool {
        let fitting = control::send_window(self.connection.stats().path.cwnd);
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
        this.closed = Some(closed.as_ref().copied().map_err(io::Error::kind));
        Poll::Ready(closed)
    }
}
