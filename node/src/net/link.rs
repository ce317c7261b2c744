//! The connection in use with one peer: reads and writes its lanes until one of them ends.
//!
//! Between `Up` and `Down` messages of the message lane arrive in order and none is lost, in either direction. Blocks travel
//! on lanes of their own and may overtake messages and each other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fsdfs_core::seam::BlockPayload;
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::{AttachedBlock, Message};
use futures::AsyncWriteExt as _;
use libp2p::swarm::{ConnectionId, Stream};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::NetEvent;
use super::fetches::Fetches;
use super::frame::{self, Budget, LaneError};
use super::lanes::Lanes;
use crate::metrics::NetCounters;

/// Messages that wait for one peer at most. More are not dropped one by one, which nobody would notice: the link breaks.
const MESSAGES_QUEUED_MAX: usize = 4096;
/// Blocks that wait for one peer at most. Their memory is bounded by whoever hands them in.
const BLOCKS_QUEUED_MAX: usize = 256;
/// `Progress` is reported at most this often for each peer: on an uplink of 3 Mbit/s it still comes before the engine asks
/// somebody else for the same block.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// What all links share.
pub(super) struct Shared {
    pub events: mpsc::Sender<NetEvent>,
    pub counters: Arc<NetCounters>,
    pub budget: Budget,
    outboxes: Mutex<BTreeMap<NodeId, Outbox>>,
}

/// Where messages for a peer wait for its lanes.
struct Outbox {
    messages: mpsc::Sender<Message>,
    blocks: mpsc::Sender<(Message, Block)>,
    overflow: CancellationToken,
}

/// The receiving ends of an [`Outbox`].
struct Queues {
    messages: mpsc::Receiver<Message>,
    blocks: mpsc::Receiver<(Message, Block)>,
    overflow: CancellationToken,
}

/// A link as the swarm's loop knows it.
pub(super) struct Link {
    pub connection: ConnectionId,
    pub number: u64,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A link ended by itself; its connection is to be closed.
#[derive(Debug)]
pub(super) struct Ended {
    pub node: NodeId,
    pub connection: ConnectionId,
}

impl Shared {
    pub(super) fn new(events: mpsc::Sender<NetEvent>, budget: Budget) -> Self {
        Self { events, counters: Arc::default(), budget, outboxes: Mutex::default() }
    }

    /// Never blocks. Without a link the message is dropped; `Down` has said, or will say, so.
    pub(super) fn send(&self, to: NodeId, message: Message, block: Option<Block>) {
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

    fn open_outbox(&self, node: NodeId) -> Queues {
        let (messages, messages_out) = mpsc::channel(MESSAGES_QUEUED_MAX);
        let (blocks, blocks_out) = mpsc::channel(BLOCKS_QUEUED_MAX);
        let overflow = CancellationToken::new();
        let outbox = Outbox { messages, blocks, overflow: overflow.clone() };
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner).insert(node, outbox);
        Queues { messages: messages_out, blocks: blocks_out, overflow }
    }

    fn close_outbox(&self, node: NodeId) {
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// A message has left; if it was an answer, a question that waited for it is next.
    async fn take_next(&self, fetches: &Fetches, from: NodeId, sent: &Message) {
        if let Some(message) = fetches.left(sent) {
            self.tell(NetEvent::Message { from, message, payload: BlockPayload::None }).await;
        }
    }

    async fn tell(&self, event: NetEvent) {
        // Nobody listens only while the program ends.
        let _ = self.events.send(event).await;
    }
}

impl Link {
    /// Takes the link into use as soon as the one before it is over.
    pub(super) fn start(
        shared: &Arc<Shared>,
        ended: mpsc::UnboundedSender<Ended>,
        node: NodeId,
        connection: ConnectionId,
        lanes: Lanes,
        facts: Vec<Fact>,
        before: Option<Self>,
    ) -> Self {
        let (stop, number, shared) = (CancellationToken::new(), lanes.number, Arc::clone(shared));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                before.end().await;
            }
            run(&shared, node, lanes, facts, stopped).await;
            let _ = ended.send(Ended { node, connection });
        });
        Self { connection, number, stop, task }
    }

    /// Stops it; `Down` follows.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Stops it and waits until it has reported `Down`.
    pub(super) async fn end(self) {
        self.stop();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a link failed");
        }
    }
}

async fn run(shared: &Arc<Shared>, node: NodeId, lanes: Lanes, facts: Vec<Fact>, stop: CancellationToken) {
    let queues = shared.open_outbox(node);
    let overflow = queues.overflow.clone();
    shared.tell(NetEvent::Up { node, facts }).await;
    let mut tasks = start_lanes(shared, node, lanes, queues);
    tokio::select! {
        () = stop.cancelled() => {}
        () = overflow.cancelled() => tracing::warn!(?node, "too many messages wait for this peer; its connection is closed"),
        ended = tasks.join_next() => report(node, ended),
    }
    shared.close_outbox(node);
    // No message may follow `Down`, so every lane must have stopped before.
    tasks.shutdown().await;
    shared.tell(NetEvent::Down { node }).await;
}

fn report(node: NodeId, ended: Option<Result<Result<(), LaneError>, tokio::task::JoinError>>) {
    match ended {
        Some(Ok(Err(LaneError::Io(error)))) => tracing::debug!(?node, %error, "connection lost"),
        Some(Ok(Err(error))) => tracing::warn!(?node, "connection closed: {error}"),
        Some(Err(error)) => tracing::error!(?node, %error, "a lane failed"),
        Some(Ok(Ok(()))) | None => tracing::debug!(?node, "the peer closed the connection"),
    }
}

fn start_lanes(shared: &Arc<Shared>, node: NodeId, lanes: Lanes, queues: Queues) -> JoinSet<Result<(), LaneError>> {
    let mut tasks = JoinSet::new();
    let progress = Arc::new(Progress::new(node));
    let fetches = Arc::new(Fetches::default());
    for lane in lanes.inbound {
        tasks.spawn(read(Arc::clone(shared), Arc::clone(&progress), Arc::clone(&fetches), lane));
    }
    let blocks = Arc::new(AsyncMutex::new(queues.blocks));
    let mut outbound = lanes.outbound.into_iter();
    if let Some(lane) = outbound.next() {
        tasks.spawn(write_messages(Arc::clone(shared), node, Arc::clone(&fetches), lane, queues.messages));
    }
    for lane in outbound {
        let (progress, fetches) = (Arc::clone(&progress), Arc::clone(&fetches));
        tasks.spawn(write_blocks(Arc::clone(shared), progress, fetches, lane, Arc::clone(&blocks)));
    }
    tasks
}

async fn read(
    shared: Arc<Shared>,
    progress: Arc<Progress>,
    fetches: Arc<Fetches>,
    lane: Stream,
) -> Result<(), LaneError> {
    let from = progress.node;
    let mut lane = frame::buffered(lane);
    while let Some((message, bytes)) = frame::read_message(&mut lane).await? {
        shared.counters.message_in.add(bytes as u64);
        let Some(message) = fetches.came(message)? else { continue };
        fetches.room_for(&message).await;
        let payload = match message.attached() {
            None => BlockPayload::None,
            Some(announced) => {
                let moved = |bytes| {
                    shared.counters.block_in.add(bytes as u64);
                    progress.made(&shared.events);
                };
                frame::read_block(&mut lane, announced, &shared.budget, moved).await?
            }
        };
        shared.tell(NetEvent::Message { from, message, payload }).await;
    }
    Ok(())
}

async fn write_messages(
    shared: Arc<Shared>,
    to: NodeId,
    fetches: Arc<Fetches>,
    mut lane: Stream,
    mut queue: mpsc::Receiver<Message>,
) -> Result<(), LaneError> {
    while let Some(message) = queue.recv().await {
        let mut next = Some(message);
        while let Some(message) = next {
            shared.counters.message_out.add(frame::write_message(&mut lane, &message).await? as u64);
            shared.take_next(&fetches, to, &message).await;
            next = queue.try_recv().ok();
        }
        lane.flush().await?;
    }
    Ok(())
}

async fn write_blocks(
    shared: Arc<Shared>,
    progress: Arc<Progress>,
    fetches: Arc<Fetches>,
    mut lane: Stream,
    queue: Arc<AsyncMutex<mpsc::Receiver<(Message, Block)>>>,
) -> Result<(), LaneError> {
    loop {
        // Whichever lane is idle takes the next block.
        let next = queue.lock().await.recv().await;
        let Some((message, block)) = next else { return Ok(()) };
        shared.counters.message_out.add(frame::write_message(&mut lane, &message).await? as u64);
        let moved = |bytes| {
            shared.counters.block_out.add(bytes as u64);
            progress.made(&shared.events);
        };
        frame::write_block(&mut lane, &block, moved).await?;
        lane.flush().await?;
        drop(block);
        shared.take_next(&fetches, progress.node, &message).await;
    }
}

/// Reports that bytes of blocks move, now and then.
struct Progress {
    node: NodeId,
    last: Mutex<Option<Instant>>,
}

impl Progress {
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
