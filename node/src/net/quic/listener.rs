//! One address on which QUIC listens.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream};
use if_watch::IfEvent;
use if_watch::tokio::IfWatcher;
use libp2p::core::transport::{ListenerId, TransportEvent};
use quinn::{ConnectError, Endpoint, Incoming, ServerConfig};

use super::address;
use super::error::QuicError;
use super::paths::QuicPaths;
use super::pending::{HandshakeStep, PendingHandshakes};
use super::upgrade::{self, Upgrade};
use crate::net::socket::{BoundAddresses, is_virtual};

/// First packets that are looked at in one go; the swarm has other things to do, too.
const INCOMING_AT_ONCE: usize = 64;

type ListenerEvent = TransportEvent<Upgrade, QuicError>;

/// Ends when its endpoint is closed, and says so last.
pub(super) struct QuicListener {
    id: ListenerId,
    endpoint: Endpoint,
    /// The address asked for, with the port it got; of both families if all interfaces were asked for.
    bound: BoundAddresses,
    /// For connections that come in through a relay.
    relayed: Arc<ServerConfig>,
    accepting: BoxFuture<'static, Option<Incoming>>,
    pending: PendingHandshakes,
    paths: Arc<QuicPaths>,
    /// The machine's addresses come and go; none if one of them was asked for.
    interfaces: Option<IfWatcher>,
    /// That one, until it is reported.
    named: Option<IpAddr>,
    stage: ListenerStage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ListenerStage {
    Open,
    Closing,
    Ended,
}

impl QuicListener {
    pub(super) fn new(
        id: ListenerId,
        endpoint: Endpoint,
        bound: BoundAddresses,
        (relayed, paths): (Arc<ServerConfig>, Arc<QuicPaths>),
    ) -> Result<Self, QuicError> {
        let ip = bound.first().ip();
        let is_any = ip.is_unspecified();
        let interfaces = is_any.then(IfWatcher::new).transpose()?;
        let (accepting, named) = (accept(&endpoint), (!is_any).then_some(ip));
        let (pending, stage) = (PendingHandshakes::default(), ListenerStage::Open);
        Ok(Self { id, endpoint, bound, relayed, accepting, pending, paths, interfaces, named, stage })
    }

    pub(super) fn id(&self) -> ListenerId {
        self.id
    }

    /// None if it cannot reach that address from where it listens.
    pub(super) fn endpoint_to(&self, to: SocketAddr) -> Option<&Endpoint> {
        (self.stage == ListenerStage::Open && self.bound.reaches(to)).then_some(&self.endpoint)
    }

    /// Its connections end with it.
    pub(super) fn close(&mut self) -> bool {
        let was_open = self.stage == ListenerStage::Open;
        if was_open {
            self.stage = ListenerStage::Closing;
            // Ends `accepting`, which wakes whoever waits for it.
            self.endpoint.close(0u32.into(), &[]);
        }
        was_open
    }

    fn poll_interfaces(&mut self, cx: &mut Context<'_>) -> Poll<ListenerEvent> {
        let listener_id = self.id;
        let port = self.bound.first().port();
        let shown = |ip: IpAddr| address::quic(SocketAddr::new(ip, port));
        if let Some(ip) = self.named.take() {
            return Poll::Ready(TransportEvent::NewAddress { listener_id, listen_addr: shown(ip) });
        }
        let Some(interfaces) = &mut self.interfaces else { return Poll::Pending };
        loop {
            let event = ready!(interfaces.poll_if_event(cx));
            let is_own = |ip: IpAddr| self.bound.of(ip).is_some();
            return Poll::Ready(match event {
                Ok(IfEvent::Up(net)) if is_own(net.addr()) => {
                    TransportEvent::NewAddress { listener_id, listen_addr: shown(net.addr()) }
                }
                Ok(IfEvent::Down(net)) if is_own(net.addr()) => {
                    TransportEvent::AddressExpired { listener_id, listen_addr: shown(net.addr()) }
                }
                Ok(_) => continue,
                Err(error) => TransportEvent::ListenerError { listener_id, error: error.into() },
            });
        }
    }

    /// None once the endpoint is closed.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<ListenerEvent>> {
        for _ in 0..INCOMING_AT_ONCE {
            let Some(incoming) = ready!(self.accepting.poll_unpin(cx)) else { return Poll::Ready(None) };
            self.accepting = accept(&self.endpoint);
            if let Some(event) = self.begin(incoming) {
                return Poll::Ready(Some(event));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// None if no handshake begins.
    fn begin(&self, incoming: Incoming) -> Option<ListenerEvent> {
        let from = incoming.remote_address();
        let place = match self.pending.step(incoming.remote_address_validated()) {
            HandshakeStep::Begin(place) => place,
            HandshakeStep::Retry => {
                // Fails only for an address that was shown.
                let _ = incoming.retry();
                return None;
            }
            HandshakeStep::Refuse => {
                incoming.refuse();
                return None;
            }
        };
        let accepted = match is_virtual(from.ip()) {
            true => incoming.accept_with(Arc::clone(&self.relayed)),
            false => incoming.accept(),
        };
        let connecting = accepted.inspect_err(|error| tracing::debug!(%from, %error, "no handshake")).ok()?;
        Some(TransportEvent::Incoming {
            listener_id: self.id,
            upgrade: upgrade::accept(connecting, place, &self.paths),
            local_addr: address::quic(self.bound.of(from.ip().to_canonical()).unwrap_or(self.bound.first())),
            send_back_addr: address::quic(from),
        })
    }
}

impl Stream for QuicListener {
    type Item = ListenerEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ListenerEvent>> {
        let this = self.get_mut();
        if this.stage == ListenerStage::Ended {
            return Poll::Ready(None);
        }
        if this.stage == ListenerStage::Open
            && let Poll::Ready(event) = this.poll_interfaces(cx)
        {
            return Poll::Ready(Some(event));
        }
        let event = ready!(this.poll_incoming(cx)).unwrap_or_else(|| {
            // The socket breaks when its interface goes, for one.
            let was_closed = std::mem::replace(&mut this.stage, ListenerStage::Ended) == ListenerStage::Closing;
            let reason = if was_closed { Ok(()) } else { Err(ConnectError::EndpointStopping.into()) };
            TransportEvent::ListenerClosed { listener_id: this.id, reason }
        });
        Poll::Ready(Some(event))
    }
}

fn accept(endpoint: &Endpoint) -> BoxFuture<'static, Option<Incoming>> {
    let endpoint = endpoint.clone();
    async move { endpoint.accept().await }.boxed()
}
