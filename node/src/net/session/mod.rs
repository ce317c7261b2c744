//! What goes on with one peer from `Up` to `Down`: reads and writes the streams of the connection in use until one of them ends,
//! and moves to those of another connection that goes on where this one ends.
//!
//! Between `Up` and `Down` messages of the message stream arrive in order and none is lost, in either direction. Blocks travel
//! on streams of their own and may overtake messages and each other.

mod backpressure;
mod drain;
mod fair_queue;
mod frame;
mod hub;
mod inbox;
mod link;
mod link_meter;
mod link_news;
pub(super) mod links;
mod outbox;
pub(super) mod streams;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::NodeId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(super) use frame::InboundBudget;
use frame::StreamError;
pub(crate) use hub::SessionHub;
use link::{DrainingLink, Link, LinkContext, StreamEnd};
pub(super) use link_news::LinkNewsListener;
use streams::{PeerStreams, SessionStream};

use super::event::NetEvent;

/// A peer that is sent away has so long to take what was said to it before, and to end the connection itself.
const DISMISSAL_MAX: Duration = Duration::from_secs(1);
/// A peer that has ended its streams here uses another connection already; so long its streams may take to open on this side.
const MOVE_MAX: Duration = Duration::from_secs(2);
/// A connection that has run dry is kept so long: several losses in a row are made up for meanwhile.
const LINGER: Duration = Duration::from_secs(3);

/// A session as the transport's loop knows it. Its task reports `Up` first and `Down` last, and both exactly once; between
/// them the outbox of the peer is this session's.
pub(crate) struct Session<S> {
    stop: CancellationToken,
    dismissal: CancellationToken,
    handovers: mpsc::UnboundedSender<Handover<S>>,
    task: JoinHandle<()>,
}

/// What is to be done when a connection has run dry.
type OnDrained = Box<dyn FnOnce() + Send>;

/// The streams of a connection that goes on where the one before ends, and what is to be done when that one has run dry.
struct Handover<S> {
    streams: PeerStreams<S>,
    on_drained: OnDrained,
}

impl<S: SessionStream> Session<S> {
    /// Takes the session into use as soon as the one before it is over. `on_end` is called when it has reported `Down`.
    pub(crate) fn start(
        hub: &Arc<SessionHub>,
        node: NodeId,
        streams: PeerStreams<S>,
        facts: Vec<Fact>,
        before: Option<Self>,
        on_end: impl FnOnce() + Send + 'static,
    ) -> Self {
        let (stop, dismissal, hub) = (CancellationToken::new(), CancellationToken::new(), Arc::clone(hub));
        let (handovers, next) = mpsc::unbounded_channel();
        let ends = SessionEnds { stop: stop.clone(), dismissal: dismissal.clone(), next };
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                before.end().await;
            }
            run(&hub, node, streams, facts, ends).await;
            on_end();
        });
        Self { stop, dismissal, handovers, task }
    }

    /// Moves it to the streams of another connection. `on_drained` is called some time after the old connection has run dry. Gives
    /// the streams back if the session is over.
    pub(crate) fn hand_over(
        &self,
        streams: PeerStreams<S>,
        on_drained: impl FnOnce() + Send + 'static,
    ) -> Result<(), PeerStreams<S>> {
        let handover = Handover { streams, on_drained: Box::new(on_drained) };
        self.handovers.send(handover).map_err(|refused| refused.0.streams)
    }

    /// Stops it when the messages that wait have left, and the peer has read them or had a second for it; `Down` follows.
    pub(crate) fn dismiss(&self) {
        self.dismissal.cancel();
    }

    /// Stops it; `Down` follows.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Stops it and waits until it has reported `Down`.
    pub(crate) async fn end(self) {
        self.stop();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a session failed");
        }
    }
}

/// What a session is told by the transport's loop.
struct SessionEnds<S> {
    stop: CancellationToken,
    dismissal: CancellationToken,
    next: mpsc::UnboundedReceiver<Handover<S>>,
}

async fn run<S: SessionStream>(
    hub: &Arc<SessionHub>,
    node: NodeId,
    streams: PeerStreams<S>,
    facts: Vec<Fact>,
    mut ends: SessionEnds<S>,
) {
    let queues = hub.open_outbox(node);
    hub.inbox.push_now(node, NetEvent::Up { node, facts });
    hub.news.opened(node);
    let context = Arc::new(LinkContext::new(Arc::clone(hub), node, queues, ends.dismissal.clone()));
    let mut links = SessionLinks::start(&context, streams);
    let why = links.run(&context, &mut ends).await;
    let misbehaved = matches!(why, Err(StreamError::WrongSignature(_)));
    report(node, why);
    ends.next.close();
    hub.links.ended(node, links.number);
    while let Ok(late) = ends.next.try_recv() {
        hub.links.ended(node, late.streams.number);
    }
    hub.close_outbox(node);
    // No message may follow `Down`, so every stream must have stopped before.
    links.stop().await;
    if misbehaved {
        hub.inbox.push_now(node, NetEvent::Misbehaved { node });
    }
    hub.inbox.push_now(node, NetEvent::Down { node });
}

/// The link in use, and the one before it as long as something is under way there.
struct SessionLinks {
    number: u64,
    link: Link,
    before: Option<(DrainingLink, OnDrained)>,
    /// The peer has ended a stream of the link: it moves to another one, which has to be seen here by then.
    moving_until: Option<tokio::time::Instant>,
}

impl SessionLinks {
    fn start<S: SessionStream>(context: &Arc<LinkContext>, streams: PeerStreams<S>) -> Self {
        let number = streams.number;
        Self { number, link: Link::start(context, streams, None), before: None, moving_until: None }
    }

    /// Until the session ends; why.
    async fn run<S: SessionStream>(
        &mut self,
        context: &Arc<LinkContext>,
        ends: &mut SessionEnds<S>,
    ) -> Result<(), StreamError> {
        let hub = &context.hub;
        loop {
            tokio::select! {
                () = ends.stop.cancelled() => return Ok(()),
                () = ends.dismissal.cancelled() => {
                    // No messages follow those that wait: the peer takes them in, and closes the connection.
                    hub.close_outbox(context.node);
                    let _ = timeout(DISMISSAL_MAX, self.link.read_out()).await;
                    return Ok(());
                }
                () = context.queues.unread.cancelled() => return Err(StreamError::Unread),
                () = context.queues.overflow.cancelled() => return Err(StreamError::Overflow),
                Some(next) = ends.next.recv() => self.move_to(context, next)?,
                drained = drained(&mut self.before) => {
                    drained?;
                    self.finish_move(context);
                }
                () = until(self.moving_until) => return Ok(()),
                Some(ended) = self.link.next_end() => {
                    if self.is_over(context, ended?) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn move_to<S: SessionStream>(
        &mut self,
        context: &Arc<LinkContext>,
        Handover { streams, on_drained }: Handover<S>,
    ) -> Result<(), StreamError> {
        if self.before.is_some() {
            return Err(StreamError::NotDrained);
        }
        self.number = streams.number;
        self.moving_until = None;
        self.before = Some((self.link.replace(context, streams), on_drained));
        Ok(())
    }

    fn finish_move(&mut self, context: &LinkContext) {
        tracing::debug!(node = ?context.node, "moved to another connection");
        context.hub.links.drained(context.node);
        let Some((_, on_drained)) = self.before.take() else { return };
        // The peer has yet to see that all it sent has been read: it would take the end of the connection for a loss.
        tokio::spawn(async move {
            sleep(LINGER).await;
            on_drained();
        });
    }

    /// Whether the session ends with this stream.
    fn is_over(&mut self, context: &LinkContext, ended: StreamEnd) -> bool {
        tracing::trace!(node = ?context.node, ?ended, "a stream ended");
        self.moving_until.get_or_insert_with(|| tokio::time::Instant::now() + MOVE_MAX);
        !context.hub.links.is_moving(context.node)
    }

    async fn stop(&mut self) {
        self.link.stop().await;
        if let Some((before, _)) = &mut self.before {
            before.stop().await;
        }
    }
}

async fn drained(before: &mut Option<(DrainingLink, OnDrained)>) -> Result<(), StreamError> {
    match before {
        Some((before, _)) => before.end().await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn report(node: NodeId, ended: Result<(), StreamError>) {
    match ended {
        Ok(()) => tracing::debug!(?node, "the connection was closed"),
        Err(StreamError::Io(error)) => tracing::debug!(?node, %error, "connection lost"),
        Err(StreamError::NotDrained) => tracing::debug!(?node, "what was under way did not reach the new connection"),
        Err(error @ (StreamError::Overflow | StreamError::Failed(_))) => {
            tracing::error!(?node, "connection closed: {error}");
        }
        Err(error) => tracing::warn!(?node, "connection closed: {error}"),
    }
}
