//! Opens the streams of a connection: one substream a direction for messages and [`BLOCK_STREAMS`](crate::net::session::streams::BLOCK_STREAMS) for blocks, once.
//!
//! Two nodes that dial each other at the same moment have two connections. Only one node may decide which of them is
//! used, else each keeps the one the other closes: the node with the smaller id **leads**. It opens its streams on every
//! new connection and gives each connection a growing number; the other node answers with its own streams under the same
//! number. On both sides the greatest number is the connection in use, so a connection that one side still takes for
//! alive never keeps a fresh one out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fsdfs_proto::ids::NodeId;
use futures::future::BoxFuture;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _};
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour, Stream,
    StreamProtocol, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};

use super::address;
use crate::net::session::streams::{PeerStreams, STREAMS};

/// A peer that passed the gate and opens no streams for so long is closed.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// On the wire since version 2; the word there is older than that for the streams.
const PROTOCOL: StreamProtocol = StreamProtocol::new("/fsdfs/2/lanes");

/// What became of a connection's streams.
#[derive(Debug)]
pub(super) struct StreamsEvent {
    pub node: NodeId,
    pub connection: ConnectionId,
    pub streams: Result<PeerStreams<Stream>, &'static str>,
}

/// Numbers connections and reports their streams once. A number that was given is never given again.
pub(super) struct StreamsBehaviour {
    own: NodeId,
    /// Grows also over restarts, as far as the wall clock does: a peer may still believe in a connection of the last run.
    next: u64,
    events: VecDeque<StreamsEvent>,
}

impl StreamsBehaviour {
    pub(super) fn new(own: NodeId) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_ms = u64::try_from(since_1970.as_millis()).unwrap_or(0);
        Self { own, next: start_ms << 20, events: VecDeque::new() }
    }

    fn handler(&mut self, peer: PeerId, remote: &Multiaddr) -> Result<StreamsHandler, ConnectionDenied> {
        let node = address::node_id(&peer).ok_or_else(|| ConnectionDenied::new("a key that is not Ed25519"))?;
        let number = (self.own < node).then(|| {
            self.next += 1;
            self.next
        });
        Ok(StreamsHandler::new(number, address::is_local(remote)))
    }
}

impl NetworkBehaviour for StreamsBehaviour {
    type ConnectionHandler = StreamsHandler;
    type ToSwarm = StreamsEvent;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(peer, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handler(peer, remote)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, streams: THandlerOutEvent<Self>) {
        if let Some(node) = address::node_id(&peer) {
            self.events.push_back(StreamsEvent { node, connection, streams });
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<StreamsEvent, THandlerInEvent<Self>>> {
        // Events come only from `on_connection_handler_event`, after which the swarm polls again.
        self.events.pop_front().map_or(Poll::Pending, |event| Poll::Ready(ToSwarm::GenerateEvent(event)))
    }
}

/// One connection's streams while they open. Afterwards it does nothing: the streams keep the connection alive.
pub(super) struct StreamsHandler {
    /// Known from the start to the leader, from the first stream to the other node.
    number: Option<u64>,
    is_local: bool,
    requested: usize,
    outbound: Vec<Stream>,
    inbound: Vec<Stream>,
    outcome: Option<Result<PeerStreams<Stream>, &'static str>>,
    reported: bool,
    deadline: Pin<Box<tokio::time::Sleep>>,
}

impl StreamsHandler {
    fn new(number: Option<u64>, is_local: bool) -> Self {
        Self {
            number,
            is_local,
            requested: 0,
            outbound: Vec::with_capacity(STREAMS),
            inbound: Vec::with_capacity(STREAMS),
            outcome: None,
            reported: false,
            deadline: Box::pin(tokio::time::sleep(OPEN_TIMEOUT)),
        }
    }

    fn take_in(&mut self, stream: Stream, number: u64) {
        if *self.number.get_or_insert(number) != number {
            self.outcome = Some(Err("two numbers for one connection"));
        } else if self.inbound.len() < STREAMS {
            self.inbound.push(stream);
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let (Some(number), STREAMS, STREAMS) = (self.number, self.outbound.len(), self.inbound.len()) {
            let (outbound, inbound) = (std::mem::take(&mut self.outbound), std::mem::take(&mut self.inbound));
            let is_local = self.is_local;
            self.outcome = Some(Ok(PeerStreams { number, is_local, outbound, inbound }));
        }
    }
}

impl ConnectionHandler for StreamsHandler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Result<PeerStreams<Stream>, &'static str>;
    type InboundProtocol = StreamUpgrade;
    type OutboundProtocol = StreamUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<StreamUpgrade> {
        SubstreamProtocol::new(StreamUpgrade { number: 0 }, ())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<StreamUpgrade, (), Self::ToBehaviour>> {
        if self.reported {
            return Poll::Pending;
        }
        if self.deadline.as_mut().poll(cx).is_ready() {
            self.outcome = Some(Err("its streams did not open in time"));
        }
        if let Some(outcome) = self.outcome.take() {
            self.reported = true;
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(outcome));
        }
        match self.number {
            Some(number) if self.requested < STREAMS => {
                self.requested += 1;
                let protocol = SubstreamProtocol::new(StreamUpgrade { number }, ());
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
            }
            _ => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, StreamUpgrade, StreamUpgrade>) {
        match event {
            _ if self.reported => {}
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: (stream, number), .. }) => {
                self.take_in(stream, number);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: (stream, _), .. }) => {
                self.outbound.push(stream);
                self.finish();
            }
            ConnectionEvent::DialUpgradeError(_) | ConnectionEvent::ListenUpgradeError(_) => {
                self.outcome = Some(Err("a stream failed to open"));
            }
            _ => {}
        }
    }
}

/// Puts the connection's number at the beginning of a stream, and behind it that of the connection which goes on here: none
/// does yet. The opener writes them, so that the stream becomes visible.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamUpgrade {
    number: u64,
}

impl UpgradeInfo for StreamUpgrade {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(PROTOCOL)
    }
}

type UpgradeFuture = BoxFuture<'static, io::Result<(Stream, u64)>>;

impl InboundUpgrade<Stream> for StreamUpgrade {
    type Output = (Stream, u64);
    type Error = io::Error;
    type Future = UpgradeFuture;

    fn upgrade_inbound(self, mut stream: Stream, _: StreamProtocol) -> UpgradeFuture {
        async move {
            let (mut number, mut goes_on) = ([0; 8], [0; 8]);
            stream.read_exact(&mut number).await?;
            // A connection that ends is the end of what was under way on it, whatever the peer could do.
            stream.read_exact(&mut goes_on).await?;
            Ok((stream, u64::from_be_bytes(number)))
        }
        .boxed()
    }
}

impl OutboundUpgrade<Stream> for StreamUpgrade {
    type Output = (Stream, u64);
    type Error = io::Error;
    type Future = UpgradeFuture;

    fn upgrade_outbound(self, mut stream: Stream, _: StreamProtocol) -> UpgradeFuture {
        async move {
            stream.write_all(&[self.number, 0].map(u64::to_be_bytes).concat()).await?;
            stream.flush().await?;
            Ok((stream, self.number))
        }
        .boxed()
    }
}
