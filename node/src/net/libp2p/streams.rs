//! Opens the streams of a connection: one substream a direction for messages and [`BLOCK_STREAMS`](crate::net::session::streams::BLOCK_STREAMS) for blocks, once.
//!
//! Two nodes that dial each other at the same moment have two connections. Only one node may decide which of them is
//! used, else each keeps the one the other closes: the node with the smaller id **leads**. It opens its streams on every
//! new connection and gives each connection a growing number; the other node answers with its own streams under the same
//! number. On both sides the greatest number is the connection in use, so a connection that one side still takes for
//! alive never keeps a fresh one out.
//!
//! Behind the number stands that of the connection which goes on here, if both sides still use it: see [`LinkTable`].

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
use crate::net::quic::QuicPaths;
use crate::net::session::links::LinkTable;
use crate::net::session::streams::{LinkPath, PeerStreams, STREAMS, StreamSet};

/// A peer that passed the gate and opens no streams for so long is closed.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a connection that waits looks whether it may go on.
const OFFER_AGAIN: Duration = Duration::from_millis(20);
/// The word there is older than that for the streams.
const PROTOCOL: StreamProtocol = StreamProtocol::new("/fsdfs/3/lanes");

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
    links: Arc<LinkTable>,
    paths: Arc<QuicPaths>,
    events: VecDeque<StreamsEvent>,
}

impl StreamsBehaviour {
    pub(super) fn new(own: NodeId, links: Arc<LinkTable>, paths: Arc<QuicPaths>) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_ms = u64::try_from(since_1970.as_millis()).unwrap_or(0);
        Self { own, next: start_ms << 20, links, paths, events: VecDeque::new() }
    }

    fn handler(&mut self, peer: PeerId, remote: &Multiaddr) -> Result<StreamsHandler, ConnectionDenied> {
        let node = address::node_id(&peer).ok_or_else(|| ConnectionDenied::new("a key that is not Ed25519"))?;
        let (links, path) = (Arc::clone(&self.links), self.paths.find(&peer, remote));
        let mut handler = StreamsHandler::new(node, links, path);
        if self.own < node {
            self.next += 1;
            handler.leads = Some(self.next);
        }
        Ok(handler)
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

/// What both sides write at the beginning of each of their streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConnectionName {
    number: u64,
    /// The number of the connection that goes on here, or 0. The leader offers, the other node repeats it if it agrees.
    goes_on: u64,
}

/// One connection's streams while they open. Afterwards it does nothing: the streams keep the connection alive.
pub(super) struct StreamsHandler {
    node: NodeId,
    links: Arc<LinkTable>,
    path: Option<Arc<dyn LinkPath>>,
    /// The number that the leader gives.
    leads: Option<u64>,
    /// The connection that was in use when this one was made.
    before: Option<u64>,
    /// When the leader asks again whether it may go on.
    retry: Pin<Box<tokio::time::Sleep>>,
    /// What is written here. The leader waits with it while the peer moves to another connection; the other node learns it from the
    /// first stream.
    name: Option<ConnectionName>,
    /// What the peer writes.
    peers: Option<ConnectionName>,
    requested: u8,
    /// By their places; that of messages is 0.
    outbound: BTreeMap<u8, Stream>,
    inbound: BTreeMap<u8, Stream>,
    outcome: Option<Result<PeerStreams<Stream>, &'static str>>,
    reported: bool,
    deadline: Pin<Box<tokio::time::Sleep>>,
}

impl StreamsHandler {
    fn new(node: NodeId, links: Arc<LinkTable>, path: Option<Arc<dyn LinkPath>>) -> Self {
        Self {
            node,
            leads: None,
            before: links.number(node),
            retry: Box::pin(tokio::time::sleep(Duration::ZERO)),
            links,
            path,
            name: None,
            peers: None,
            requested: 0,
            outbound: BTreeMap::new(),
            inbound: BTreeMap::new(),
            outcome: None,
            reported: false,
            deadline: Box::pin(tokio::time::sleep(OPEN_TIMEOUT)),
        }
    }

    /// Of several connections that are made at one time, as when several addresses of a peer are dialled, the dialler takes one and
    /// ends the others: only one at a time is offered. Those that are left when another one is in use are of no use.
    fn lead(&mut self, number: u64, cx: &mut Context<'_>) {
        if self.before.is_some() && self.links.number(self.node).is_some_and(|now| Some(now) != self.before) {
            self.outcome = Some(Err("another connection took over meanwhile"));
        } else if let Ok(goes_on) = self.links.offer(self.node, number, Instant::now()) {
            self.name = Some(ConnectionName { number, goes_on });
        } else {
            while self.retry.as_mut().poll(cx).is_ready() {
                self.retry.as_mut().reset(tokio::time::Instant::now() + OFFER_AGAIN);
            }
        }
    }

    fn take_in(&mut self, stream: Stream, name: ConnectionName, place: u8) {
        if self.leads.is_some() && self.name.is_none() {
            self.outcome = Some(Err("it opens streams before the one that leads"));
            return;
        }
        let own = *self.name.get_or_insert_with(|| {
            let goes_on = self.links.agree(self.node, name.number, name.goes_on, Instant::now());
            ConnectionName { goes_on, ..name }
        });
        if own.number != name.number || *self.peers.get_or_insert(name) != name {
            self.outcome = Some(Err("two numbers for one connection"));
        } else if usize::from(place) >= STREAMS || self.inbound.insert(place, stream).is_some() {
            self.outcome = Some(Err("a stream that has no place"));
        } else {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let (Some(own), Some(peers)) = (self.name, self.peers) else { return };
        if self.outbound.len() < STREAMS || self.inbound.len() < STREAMS {
            return;
        }
        let sets = (stream_set(&mut self.inbound), stream_set(&mut self.outbound));
        let (Some(inbound), Some(outbound)) = sets else { return };
        let goes_on = if own.goes_on == peers.goes_on { own.goes_on } else { 0 };
        let (number, path) = (own.number, self.path.take());
        self.outcome = Some(Ok(PeerStreams { number, goes_on, outbound, inbound, path }));
    }
}

impl Drop for StreamsHandler {
    fn drop(&mut self) {
        if let Some(name) = self.name {
            self.links.withdraw(self.node, name.number);
        }
    }
}

/// None if there are no streams.
fn stream_set(streams: &mut BTreeMap<u8, Stream>) -> Option<StreamSet<Stream>> {
    let (_, messages) = streams.pop_first()?;
    Some(StreamSet { messages, blocks: std::mem::take(streams).into_values().collect() })
}

impl ConnectionHandler for StreamsHandler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Result<PeerStreams<Stream>, &'static str>;
    type InboundProtocol = ReadName;
    type OutboundProtocol = WriteName;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<ReadName> {
        SubstreamProtocol::new(ReadName, ())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<WriteName, (), Self::ToBehaviour>> {
        if self.reported {
            return Poll::Pending;
        }
        if self.deadline.as_mut().poll(cx).is_ready() {
            self.outcome = Some(Err("its streams did not open in time"));
        }
        if let (Some(number), None, None) = (self.leads, self.name, &self.outcome) {
            self.lead(number, cx);
        }
        if let Some(outcome) = self.outcome.take() {
            self.reported = true;
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(outcome));
        }
        match self.name {
            Some(name) if usize::from(self.requested) < STREAMS => {
                let protocol = SubstreamProtocol::new(WriteName { name, place: self.requested }, ());
                self.requested += 1;
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
            }
            _ => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, ReadName, WriteName>) {
        match event {
            _ if self.reported => {}
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, name, place), ..
            }) => self.take_in(stream, name, place),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: (stream, place), .. }) => {
                self.outbound.insert(place, stream);
                self.finish();
            }
            ConnectionEvent::DialUpgradeError(_) | ConnectionEvent::ListenUpgradeError(_) => {
                self.outcome = Some(Err("a stream failed to open"));
            }
            _ => {}
        }
    }
}

/// Puts the connection's name and the stream's place at the beginning of a stream. The opener writes them, so that the stream
/// becomes visible.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriteName {
    name: ConnectionName,
    place: u8,
}

/// Reads what the peer wrote there.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadName;

impl UpgradeInfo for WriteName {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(PROTOCOL)
    }
}

impl UpgradeInfo for ReadName {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(PROTOCOL)
    }
}

impl InboundUpgrade<Stream> for ReadName {
    type Output = (Stream, ConnectionName, u8);
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Output>>;

    fn upgrade_inbound(self, mut stream: Stream, _: StreamProtocol) -> Self::Future {
        async move {
            let (mut number, mut goes_on, mut place) = ([0; 8], [0; 8], [0; 1]);
            stream.read_exact(&mut number).await?;
            stream.read_exact(&mut goes_on).await?;
            stream.read_exact(&mut place).await?;
            let name = ConnectionName { number: u64::from_be_bytes(number), goes_on: u64::from_be_bytes(goes_on) };
            Ok((stream, name, place[0]))
        }
        .boxed()
    }
}

impl OutboundUpgrade<Stream> for WriteName {
    type Output = (Stream, u8);
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Output>>;

    fn upgrade_outbound(self, mut stream: Stream, _: StreamProtocol) -> Self::Future {
        async move {
            let mut bytes = [self.name.number, self.name.goes_on].map(u64::to_be_bytes).concat();
            bytes.push(self.place);
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            Ok((stream, self.place))
        }
        .boxed()
    }
}
