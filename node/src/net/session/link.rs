//! The streams of one connection: a task reads or writes each of them.
//!
//! A link that is replaced runs dry: its writers finish what they have begun, end their streams, and wait until the peer has read
//! them to the end. Its readers read to the end. What is said on the new one is read when the messages of the old one are through,
//! so their order is kept; blocks need none.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fsdfs_core::seam::{BlockPayload, TrafficClass};
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Message;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::backpressure::PeerBackpressure;
use super::drain::DrainWatch;
use super::frame::{self, StreamError};
use super::hub::SessionHub;
use super::inbox::{PeerInbox, WaitingPlaces};
use super::link_news::is_about_meetings;
use super::outbox::{OutboxQueues, QueuedBlock};
use super::streams::{LinkPath, PeerStreams, SessionStream};
use super::turns::BlockTurns;
use crate::net::event::{NetEvent, ProbeMessage};
use crate::net::pacer::BlockPace;

/// `Progress` is reported at most this often for each peer: on an uplink of 3 Mbit/s it still comes before the engine asks
/// somebody else for the same block.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// How often it is looked whether a link that runs dry still does.
const DRAIN_PERIOD: Duration = Duration::from_millis(100);

/// What all links of a session share.
pub(super) struct LinkContext {
    pub hub: Arc<SessionHub>,
    pub node: NodeId,
    pub queues: OutboxQueues,
    /// No more blocks leave, and no messages behind those that wait.
    pub dismissal: CancellationToken,
    backpressure: PeerBackpressure,
    /// Of the messages that were read.
    places: WaitingPlaces,
    /// When `Progress` was reported last.
    progress: Mutex<Option<Instant>>,
}

/// Which stream came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamEnd {
    /// The peer says no more.
    MessagesIn,
    /// The peer has read all that was said.
    MessagesOut,
    BlocksIn,
    BlocksOut,
}

/// The tasks of a connection's streams. Dropped, they stop.
pub(super) struct Link {
    tasks: JoinSet<Result<StreamEnd, StreamError>>,
    /// Its writers are to end.
    replaced: CancellationToken,
    /// All messages of the peer on this link have been read.
    heard_out: CancellationToken,
    /// What was said here has been read by the peer.
    is_read_out: bool,
    path: Option<Arc<dyn LinkPath>>,
}

impl LinkContext {
    pub fn new(hub: Arc<SessionHub>, node: NodeId, queues: OutboxQueues, dismissal: CancellationToken) -> Self {
        let (backpressure, places, progress) = Default::default();
        Self { hub, node, queues, dismissal, backpressure, places, progress }
    }

    /// Reports that bytes of blocks move. May be lost when the receiver is behind: the next slice reports again.
    fn note_progress(&self, inbox: &PeerInbox) {
        let now = Instant::now();
        let mut last = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| now.duration_since(last) >= PROGRESS_EVERY)
            && inbox.try_push(self.node, NetEvent::Progress { node: self.node }, &self.places)
        {
            *last = Some(now);
        }
    }

    /// A message has left; if it was an answer, a question that waited for it is next.
    fn note_sent(&self, sent: &Message) {
        if let Some(message) = self.backpressure.on_sent(sent) {
            let event = NetEvent::Message { from: self.node, message, payload: BlockPayload::None };
            self.hub.inbox.push_now(self.node, event);
        }
    }
}

impl Link {
    /// Its messages are read after those of the link before.
    pub fn start<S: SessionStream>(
        context: &Arc<LinkContext>,
        streams: PeerStreams<S>,
        before: Option<&CancellationToken>,
    ) -> Self {
        let (mut tasks, replaced, heard_out) = (JoinSet::new(), CancellationToken::new(), CancellationToken::new());
        let (inbound, outbound) = (streams.inbound, streams.outbound);
        let messages = read_messages(Arc::clone(context), inbound.messages, before.cloned(), heard_out.clone());
        tasks.spawn(messages);
        for stream in inbound.blocks {
            tasks.spawn(read_blocks(Arc::clone(context), stream));
        }
        tasks.spawn(write_messages(Arc::clone(context), outbound.messages, replaced.clone()));
        let (last, turns) = (outbound.blocks.len().saturating_sub(1), Arc::<BlockTurns>::default());
        for (number, stream) in outbound.blocks.into_iter().enumerate() {
            let place = (number == last, Arc::clone(&turns));
            tasks.spawn(write_blocks(Arc::clone(context), stream, place, replaced.clone()));
        }
        context.queues.link.follow(streams.path.clone());
        Self { tasks, replaced, heard_out, is_read_out: false, path: streams.path }
    }

    /// The next stream that ends. One that ended with an error makes the connection useless. A call that is dropped took none.
    pub async fn next_end(&mut self) -> Option<Result<StreamEnd, StreamError>> {
        let ended = self.tasks.join_next().await?;
        let ended = ended.unwrap_or_else(|error| Err(StreamError::Failed(error.to_string())));
        self.is_read_out |= matches!(ended, Ok(StreamEnd::MessagesOut));
        Some(ended)
    }

    /// The peer has read all messages, of which no more come, or its connection ended.
    pub async fn read_out(&mut self) {
        while !self.is_read_out && matches!(self.next_end().await, Some(Ok(_))) {}
    }

    /// Stops all that is left of it.
    pub async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Another link goes on: this one runs dry.
    pub fn replace<S: SessionStream>(&mut self, context: &Arc<LinkContext>, streams: PeerStreams<S>) -> DrainingLink {
        let next = Self::start(context, streams, Some(&self.heard_out));
        let before = std::mem::replace(self, next);
        before.replaced.cancel();
        let mut ticks = interval(DRAIN_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        DrainingLink { link: before, watch: DrainWatch::new(Instant::now()), ticks }
    }
}

/// A link that runs dry.
pub(super) struct DrainingLink {
    link: Link,
    watch: DrainWatch,
    ticks: tokio::time::Interval,
}

impl DrainingLink {
    /// All has arrived, in both directions; or the connection ended before, or is given up. A call that is dropped may be repeated.
    pub async fn end(&mut self) -> Result<(), StreamError> {
        loop {
            tokio::select! {
                ended = self.link.next_end() => match ended {
                    None => return Ok(()),
                    Some(ended) => drop(ended?),
                },
                _ = self.ticks.tick() => {
                    let packets = self.link.path.as_ref().and_then(|path| path.packets()).map(|packets| packets.came);
                    let said = self.link.is_read_out && self.link.heard_out.is_cancelled();
                    if self.watch.gives_up(Instant::now(), packets, said) {
                        return Err(StreamError::NotDrained);
                    }
                }
            }
        }
    }

    /// Stops all that is left of it.
    pub async fn stop(&mut self) {
        self.link.stop().await;
    }
}

async fn read_messages(
    context: Arc<LinkContext>,
    stream: impl SessionStream,
    before: Option<CancellationToken>,
    heard_out: CancellationToken,
) -> Result<StreamEnd, StreamError> {
    if let Some(before) = before {
        before.cancelled().await;
    }
    read(&context, stream).await?;
    heard_out.cancel();
    Ok(StreamEnd::MessagesIn)
}

async fn read_blocks(context: Arc<LinkContext>, stream: impl SessionStream) -> Result<StreamEnd, StreamError> {
    read(&context, stream).await?;
    Ok(StreamEnd::BlocksIn)
}

/// To the end of the stream; the peer sees that it was reached.
async fn read(context: &LinkContext, stream: impl SessionStream) -> Result<(), StreamError> {
    let (hub, from) = (&context.hub, context.node);
    let mut stream = frame::buffered(stream);
    while let Some((message, bytes)) = frame::read_message(&mut stream).await? {
        tracing::trace!(?from, ?message, "heard");
        hub.counters.message_in.add(bytes as u64);
        hub.download.note_moved(bytes);
        if is_about_meetings(&message) {
            hub.news.said(from, message).await;
            continue;
        }
        if matches!(message, Message::Probe(_) | Message::ProbeReply(_)) {
            // Beyond what may wait they are not heard: nothing depends on a single one.
            let _ = hub.probes.try_send(ProbeMessage { from, message });
            continue;
        }
        let Some(mut message) = context.backpressure.on_received(message)? else { continue };
        match &mut message {
            Message::Facts(batch) => hub.check_facts(from, &mut batch.facts).await?,
            Message::HeadsReply(reply) => hub.check_facts(from, &mut reply.facts).await?,
            _ => {}
        }
        context.backpressure.reserve(&message).await;
        let payload = match message.attached() {
            None => BlockPayload::None,
            Some(announced) => {
                let class = class_of(&message);
                let moved = |bytes| {
                    hub.counters.add_block(class, true, bytes);
                    context.note_progress(&hub.inbox);
                };
                let pace = BlockPace { gate: &hub.download, class };
                frame::read_block(&mut stream, announced, (&hub.budget, pace), moved).await?
            }
        };
        hub.inbox.push(from, NetEvent::Message { from, message, payload }, &context.places).await;
    }
    stream.into_inner().close().await?;
    Ok(())
}

/// For whom a block moves that comes in. One that was stored elsewhere before completes copies here (spec 04-wire, "age ms").
fn class_of(message: &Message) -> TrafficClass {
    match message {
        Message::Store(store) if store.age_ms > 0 => TrafficClass::Repair,
        _ => TrafficClass::User,
    }
}

async fn write_messages(
    context: Arc<LinkContext>,
    mut stream: impl SessionStream,
    replaced: CancellationToken,
) -> Result<StreamEnd, StreamError> {
    loop {
        let message = tokio::select! {
            biased;
            () = replaced.cancelled() => None,
            message = context.queues.next_message() => message,
        };
        let Some(message) = message else { break };
        let mut next = Some(message);
        while let Some(message) = next {
            context.hub.note_message_out(frame::write_message(&mut stream, &message).await?);
            tracing::trace!(to = ?context.node, ?message, "said");
            context.queues.note_left(&message);
            context.note_sent(&message);
            next = if replaced.is_cancelled() { None } else { context.queues.waiting_message() };
        }
        stream.flush().await?;
    }
    end(stream).await?;
    Ok(StreamEnd::MessagesOut)
}

async fn write_blocks(
    context: Arc<LinkContext>,
    mut stream: impl SessionStream,
    (is_last_stream, turns): (bool, Arc<BlockTurns>),
    replaced: CancellationToken,
) -> Result<StreamEnd, StreamError> {
    let hub = &context.hub;
    loop {
        // Whichever stream is idle takes the next block.
        let next = tokio::select! {
            biased;
            () = replaced.cancelled() => break,
            () = context.dismissal.cancelled() => None,
            next = context.queues.next_block(is_last_stream) => next,
        };
        // The end of this stream would end the peer's session before it has taken in the messages that still come.
        let Some(QueuedBlock { message, block, class }) = next else { return std::future::pending().await };
        let left = AtomicUsize::new(0);
        let moved = |bytes| {
            left.fetch_add(bytes, Ordering::Relaxed);
            hub.counters.add_block(class, false, bytes);
            context.queues.link.add(bytes);
            context.note_progress(&hub.inbox);
        };
        let write = async {
            hub.note_message_out(frame::write_message(&mut stream, &message).await?);
            frame::write_block(&mut stream, &block, BlockPace { gate: &hub.upload, class }, moved).await?;
            Ok::<(), StreamError>(stream.flush().await?)
        };
        match class {
            // It may leave slowly, and has a stream of its own.
            TrafficClass::Repair => write.await?,
            _ => turns.write(&left, write).await?,
        }
        let bytes = block.bytes().len();
        drop(block);
        if let Message::RelayedStore(store) = &message
            && store.origin != hub.keeper.node()
        {
            let (node, member) = (context.node, store.receipt.member);
            hub.inbox.push_now(node, NetEvent::Relayed { node, member, bytes });
        }
        context.note_sent(&message);
    }
    end(stream).await?;
    Ok(StreamEnd::BlocksOut)
}

/// The peer sees that there is no more, and it is seen that it has read all.
async fn end(mut stream: impl SessionStream) -> Result<(), StreamError> {
    stream.close().await?;
    match stream.read(&mut [0]).await? {
        0 => Ok(()),
        _ => Err(StreamError::Backwards),
    }
}
