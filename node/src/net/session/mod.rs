//! The connection in use with one peer: reads and writes its streams until one of them ends.
//!
//! Between `Up` and `Down` messages of the message stream arrive in order and none is lost, in either direction. Blocks travel
//! on streams of their own and may overtake messages and each other.

mod backpressure;
mod frame;
pub(super) mod streams;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fsdfs_core::limits::{
    FACT_MESSAGES_UNDER_WAY_MAX, FETCHES_UNDER_WAY_MAX, QUESTIONS_UNDER_WAY_MAX, STORES_UNDER_WAY_MAX,
};
use fsdfs_core::seam::BlockPayload;
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::{AttachedBlock, Message};
use futures::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use backpressure::{ANSWERS_OWED_MAX, FETCHED_UNDER_WAY_MAX, PeerBackpressure};
pub(super) use frame::InboundBudget;
use frame::StreamError;
use streams::PeerStreams;

use super::event::NetEvent;
use crate::metrics::NetCounters;

/// Messages that wait for one peer at most. The engine keeps back what it wants to say beyond its own bounds, and nothing more is
/// read from a peer to which too many answers are owed, so this is never reached; were it all the same, messages would not be
/// dropped one by one, which nobody would notice: the session breaks.
const MESSAGES_QUEUED_MAX: usize = 4096;
/// Blocks that wait for one peer at most; never reached either. Their memory is bounded by whoever hands them in.
const BLOCKS_QUEUED_MAX: usize = 2048;

const _: () = assert!(
    QUESTIONS_UNDER_WAY_MAX + FETCHES_UNDER_WAY_MAX + FACT_MESSAGES_UNDER_WAY_MAX + ANSWERS_OWED_MAX
        < MESSAGES_QUEUED_MAX - 1024,
    "own questions, facts and answers fit, and a thousand of what comes now and then"
);
// Answers to an earlier connection's questions leave on this one, too.
const _: () = assert!(
    STORES_UNDER_WAY_MAX + 2 * FETCHED_UNDER_WAY_MAX <= BLOCKS_QUEUED_MAX - 64,
    "own blocks and those asked for fit"
);
/// `Progress` is reported at most this often for each peer: on an uplink of 3 Mbit/s it still comes before the engine asks
/// somebody else for the same block.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// What all sessions share.
pub(crate) struct SessionHub {
    pub events: mpsc::Sender<NetEvent>,
    pub counters: Arc<NetCounters>,
    pub budget: InboundBudget,
    outboxes: Mutex<BTreeMap<NodeId, PeerOutbox>>,
}

/// Where messages for a peer wait for its streams.
struct PeerOutbox {
    messages: mpsc::Sender<Message>,
    blocks: mpsc::Sender<(Message, Block)>,
    overflow: CancellationToken,
}

/// The receiving ends of an [`PeerOutbox`].
struct OutboxQueues {
    messages: mpsc::Receiver<Message>,
    blocks: mpsc::Receiver<(Message, Block)>,
    overflow: CancellationToken,
}

/// What a session asks of the transport's streams.
pub(crate) trait SessionStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> SessionStream for S {}

/// A session as the transport's loop knows it. Its task reports `Up` first and `Down` last, and both exactly once; between
/// them the outbox of the peer is this session's.
pub(crate) struct Session {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl SessionHub {
    pub(crate) fn new(events: mpsc::Sender<NetEvent>, budget: InboundBudget) -> Self {
        Self { events, counters: Arc::default(), budget, outboxes: Mutex::default() }
    }

    /// Never blocks. Without a session the message is dropped; `Down` has said, or will say, so.
    pub(crate) fn send(&self, to: NodeId, message: Message, block: Option<Block>) {
        let announced = message.attached();
        if announced != block.as_ref().map(AttachedBlock::from) {
            tracing::error!(?to, ?message, "a message and its block do not fit together; not sent");
            return;
        }
        let outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(outbox) = outboxes.get(&to) else { return };
        let full = match block {
            None => matches!(outbox.messages.try_send(message), Err(mpsc::error::TrySendError::Full(_))),
            Some(block) => {
                matches!(outbox.blocks.try_send((message, block)), Err(mpsc::error::TrySendError::Full(_)))
            }
        };
        if full {
            outbox.overflow.cancel();
        }
    }

    fn open_outbox(&self, node: NodeId) -> OutboxQueues {
        let (messages, messages_out) = mpsc::channel(MESSAGES_QUEUED_MAX);
        let (blocks, blocks_out) = mpsc::channel(BLOCKS_QUEUED_MAX);
        let overflow = CancellationToken::new();
        let outbox = PeerOutbox { messages, blocks, overflow: overflow.clone() };
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner).insert(node, outbox);
        OutboxQueues { messages: messages_out, blocks: blocks_out, overflow }
    }

    fn close_outbox(&self, node: NodeId) {
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// A message has left; if it was an answer, a question that waited for it is next.
    async fn take_next(&self, backpressure: &PeerBackpressure, from: NodeId, sent: &Message) {
        if let Some(message) = backpressure.on_sent(sent) {
            self.tell(NetEvent::Message { from, message, payload: BlockPayload::None }).await;
        }
    }

    async fn tell(&self, event: NetEvent) {
        // Nobody listens only while the program ends.
        let _ = self.events.send(event).await;
    }
}

impl Session {
    /// Takes the session into use as soon as the one before it is over. `on_end` is called when it has reported `Down`.
    pub(crate) fn start<S: SessionStream>(
        hub: &Arc<SessionHub>,
        node: NodeId,
        streams: PeerStreams<S>,
        facts: Vec<Fact>,
        before: Option<Self>,
        on_end: impl FnOnce() + Send + 'static,
    ) -> Self {
        let (stop, hub) = (CancellationToken::new(), Arc::clone(hub));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                before.end().await;
            }
            run(&hub, node, streams, facts, stopped).await;
            on_end();
        });
        Self { stop, task }
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

async fn run<S: SessionStream>(
    hub: &Arc<SessionHub>,
    node: NodeId,
    streams: PeerStreams<S>,
    facts: Vec<Fact>,
    stop: CancellationToken,
) {
    let queues = hub.open_outbox(node);
    let overflow = queues.overflow.clone();
    hub.tell(NetEvent::Up { node, facts }).await;
    let mut tasks = start_streams(hub, node, streams, queues);
    tokio::select! {
        () = stop.cancelled() => {}
        () = overflow.cancelled() => {
            tracing::error!(?node, "more waits for this peer than may; its connection is closed. This is a bug in fsdfs; report it");
        }
        ended = tasks.join_next() => report(node, ended),
    }
    hub.close_outbox(node);
    // No message may follow `Down`, so every stream must have stopped before.
    tasks.shutdown().await;
    hub.tell(NetEvent::Down { node }).await;
}

fn report(node: NodeId, ended: Option<Result<Result<(), StreamError>, tokio::task::JoinError>>) {
    match ended {
        Some(Ok(Err(StreamError::Io(error)))) => tracing::debug!(?node, %error, "connection lost"),
        Some(Ok(Err(error))) => tracing::warn!(?node, "connection closed: {error}"),
        Some(Err(error)) => tracing::error!(?node, %error, "a stream failed"),
        Some(Ok(Ok(()))) | None => tracing::debug!(?node, "the peer closed the connection"),
    }
}

fn start_streams<S: SessionStream>(
    hub: &Arc<SessionHub>,
    node: NodeId,
    streams: PeerStreams<S>,
    queues: OutboxQueues,
) -> JoinSet<Result<(), StreamError>> {
    let mut tasks = JoinSet::new();
    let progress = Arc::new(ProgressReporter::new(node));
    let backpressure = Arc::new(PeerBackpressure::default());
    for stream in streams.inbound {
        tasks.spawn(read(Arc::clone(hub), Arc::clone(&progress), Arc::clone(&backpressure), stream));
    }
    let blocks = Arc::new(AsyncMutex::new(queues.blocks));
    let mut outbound = streams.outbound.into_iter();
    if let Some(stream) = outbound.next() {
        tasks.spawn(write_messages(Arc::clone(hub), node, Arc::clone(&backpressure), stream, queues.messages));
    }
    for stream in outbound {
        let (progress, backpressure) = (Arc::clone(&progress), Arc::clone(&backpressure));
        tasks.spawn(write_blocks(Arc::clone(hub), progress, backpressure, stream, Arc::clone(&blocks)));
    }
    tasks
}

async fn read(
    hub: Arc<SessionHub>,
    progress: Arc<ProgressReporter>,
    backpressure: Arc<PeerBackpressure>,
    stream: impl SessionStream,
) -> Result<(), StreamError> {
    let from = progress.node;
    let mut stream = frame::buffered(stream);
    while let Some((message, bytes)) = frame::read_message(&mut stream).await? {
        hub.counters.message_in.add(bytes as u64);
        let Some(message) = backpressure.on_received(message)? else { continue };
        backpressure.reserve(&message).await;
        let payload = match message.attached() {
            None => BlockPayload::None,
            Some(announced) => {
                let moved = |bytes| {
                    hub.counters.block_in.add(bytes as u64);
                    progress.made(&hub.events);
                };
                frame::read_block(&mut stream, announced, &hub.budget, moved).await?
            }
        };
        hub.tell(NetEvent::Message { from, message, payload }).await;
    }
    Ok(())
}

async fn write_messages(
    hub: Arc<SessionHub>,
    to: NodeId,
    backpressure: Arc<PeerBackpressure>,
    mut stream: impl SessionStream,
    mut queue: mpsc::Receiver<Message>,
) -> Result<(), StreamError> {
    while let Some(message) = queue.recv().await {
        let mut next = Some(message);
        while let Some(message) = next {
            hub.counters.message_out.add(frame::write_message(&mut stream, &message).await? as u64);
            hub.take_next(&backpressure, to, &message).await;
            next = queue.try_recv().ok();
        }
        stream.flush().await?;
    }
    Ok(())
}

async fn write_blocks(
    hub: Arc<SessionHub>,
    progress: Arc<ProgressReporter>,
    backpressure: Arc<PeerBackpressure>,
    mut stream: impl SessionStream,
    queue: Arc<AsyncMutex<mpsc::Receiver<(Message, Block)>>>,
) -> Result<(), StreamError> {
    loop {
        // Whichever stream is idle takes the next block.
        let next = queue.lock().await.recv().await;
        let Some((message, block)) = next else { return Ok(()) };
        hub.counters.message_out.add(frame::write_message(&mut stream, &message).await? as u64);
        let moved = |bytes| {
            hub.counters.block_out.add(bytes as u64);
            progress.made(&hub.events);
        };
        frame::write_block(&mut stream, &block, moved).await?;
        stream.flush().await?;
        drop(block);
        hub.take_next(&backpressure, progress.node, &message).await;
    }
}

/// Reports that bytes of blocks move, now and then.
struct ProgressReporter {
    node: NodeId,
    last: Mutex<Option<Instant>>,
}

impl ProgressReporter {
    fn new(node: NodeId) -> Self {
        Self { node, last: Mutex::new(None) }
    }

    /// May be lost when the receiver is behind: the next slice reports again.
    fn made(&self, events: &mpsc::Sender<NetEvent>) {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| now.duration_since(last) >= PROGRESS_EVERY)
            && events.try_send(NetEvent::Progress { node: self.node }).is_ok()
        {
            *last = Some(now);
        }
    }
}
