//! The connection in use with one peer: reads and writes its streams until one of them ends.
//!
//! Between `Up` and `Down` messages of the message stream arrive in order and none is lost, in either direction. Blocks travel
//! on streams of their own and may overtake messages and each other.

mod backpressure;
mod fair_queue;
mod frame;
mod inbox;
mod link_meter;
pub(super) mod streams;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fsdfs_core::facts::FactAllowance;

use fsdfs_core::limits::{
    FACT_MESSAGES_UNDER_WAY_MAX, FETCHES_UNDER_WAY_MAX, QUESTIONS_UNDER_WAY_MAX, RELAY_BLOCKS_WAITING_MAX,
    STORES_UNDER_WAY_MAX,
};
use fsdfs_core::seam::{BlockPayload, TrafficClass};
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{Fact, RawFact};
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::{AttachedBlock, Message};
use futures::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use backpressure::{ANSWERS_OWED_MAX, FETCHED_UNDER_WAY_MAX, PeerBackpressure};
pub(super) use frame::InboundBudget;
use frame::StreamError;
use inbox::{PeerInbox, WaitingPlaces};
use link_meter::LinkMeter;
use streams::PeerStreams;

use super::event::{NetEvent, ProbeMessage};
use super::governor::LinkReport;
use super::handshake::gatekeeper::Gatekeeper;
use super::pacer::{BlockPace, RateGate};
use crate::metrics::NetCounters;

/// Messages that wait for one peer at most. The engine keeps back what it wants to say beyond its own bounds, and nothing more is
/// read from a peer to which too many answers are owed, so this is never reached; were it all the same, messages would not be
/// dropped one by one, which nobody would notice: the session breaks.
const MESSAGES_QUEUED_MAX: usize = 4096;
/// Blocks that wait for one peer at most; never reached either. Their memory is bounded by whoever hands them in.
const BLOCKS_QUEUED_MAX: usize = 2048;

/// Bytes of messages that wait for one peer at most. Its own questions and the facts it wants make 20 MiB; whoever asks for more
/// and takes nothing fills this node's memory.
const MESSAGE_BYTES_QUEUED_MAX: usize = 32 << 20;
/// Facts of one message whose signatures are checked before others get the processor: a millisecond.
const FACTS_CHECKED_AT_ONCE: usize = 16;

const _: () = assert!(
    QUESTIONS_UNDER_WAY_MAX + FETCHES_UNDER_WAY_MAX + FACT_MESSAGES_UNDER_WAY_MAX + ANSWERS_OWED_MAX
        < MESSAGES_QUEUED_MAX - 1024,
    "own questions, facts and answers fit, and a thousand of what comes now and then"
);
// Answers to an earlier connection's questions leave on this one, too.
const _: () = assert!(
    STORES_UNDER_WAY_MAX + 2 * FETCHED_UNDER_WAY_MAX + RELAY_BLOCKS_WAITING_MAX <= BLOCKS_QUEUED_MAX - 64,
    "own blocks, those asked for and those that are passed on fit"
);
/// `Progress` is reported at most this often for each peer: on an uplink of 3 Mbit/s it still comes before the engine asks
/// somebody else for the same block.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// A peer that is sent away has so long to take what was said to it before, and to end the connection itself.
const DISMISSAL_MAX: Duration = Duration::from_secs(1);

/// What all sessions share.
pub(crate) struct SessionHub {
    /// For what concerns no session.
    pub events: mpsc::Sender<NetEvent>,
    pub counters: Arc<NetCounters>,
    pub budget: InboundBudget,
    /// What may leave, and come in.
    pub upload: RateGate,
    pub download: RateGate,
    /// Knows the facts that need no second check.
    keeper: Arc<Gatekeeper>,
    inbox: PeerInbox,
    outboxes: Mutex<BTreeMap<NodeId, PeerOutbox>>,
    /// How fast each may send facts. Stays when its connection ends: a new one would be a way around it.
    allowances: Mutex<BTreeMap<NodeId, FactAllowance>>,
    /// What the engine has nothing to do with.
    probes: mpsc::Sender<ProbeMessage>,
    /// That there is one more peer to which something can be sent.
    opened: watch::Sender<()>,
    started: Instant,
}

/// Where messages for a peer wait for its streams.
struct PeerOutbox {
    messages: mpsc::Sender<Message>,
    blocks: mpsc::Sender<QueuedBlock>,
    /// Apart: what is sent slowly must not stand before what a user waits for.
    repairs: mpsc::Sender<QueuedBlock>,
    /// Of the messages that wait.
    bytes: Arc<AtomicUsize>,
    link: Arc<LinkMeter>,
    overflow: CancellationToken,
    /// It takes too little of what it asked for.
    unread: CancellationToken,
}

/// A block with the message that announces it, and for whom it moves.
struct QueuedBlock {
    message: Message,
    block: Block,
    class: TrafficClass,
}

/// Blocks that wait for whichever stream is idle. Those of repair have the last stream, which takes others only if there are
/// none: they never hold up more than that one.
struct BlockQueues {
    blocks: AsyncMutex<mpsc::Receiver<QueuedBlock>>,
    repairs: AsyncMutex<mpsc::Receiver<QueuedBlock>>,
}

impl BlockQueues {
    /// None: no more will come.
    async fn next(&self, is_last_stream: bool) -> Option<QueuedBlock> {
        let block = async { self.blocks.lock().await.recv().await };
        if !is_last_stream {
            return block.await;
        }
        let repair = async { self.repairs.lock().await.recv().await };
        tokio::select! {
            biased;
            Some(repair) = repair => Some(repair),
            block = block => block,
        }
    }
}

/// The receiving ends of an [`PeerOutbox`].
struct OutboxQueues {
    messages: mpsc::Receiver<Message>,
    blocks: BlockQueues,
    link: Arc<LinkMeter>,
    bytes: Arc<AtomicUsize>,
    overflow: CancellationToken,
    unread: CancellationToken,
}

/// What a session asks of the transport's streams.
pub(crate) trait SessionStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> SessionStream for S {}

/// A session as the transport's loop knows it. Its task reports `Up` first and `Down` last, and both exactly once; between
/// them the outbox of the peer is this session's.
pub(crate) struct Session {
    stop: CancellationToken,
    dismissal: CancellationToken,
    task: JoinHandle<()>,
}

impl SessionHub {
    pub(crate) fn new(
        events: mpsc::Sender<NetEvent>,
        budget: InboundBudget,
        keeper: Arc<Gatekeeper>,
        probes: mpsc::Sender<ProbeMessage>,
    ) -> Self {
        Self {
            inbox: PeerInbox::new(events.clone()),
            events,
            counters: Arc::default(),
            budget,
            upload: RateGate::open(),
            download: RateGate::open(),
            keeper,
            outboxes: Mutex::default(),
            allowances: Mutex::default(),
            probes,
            opened: watch::Sender::default(),
            started: Instant::now(),
        }
    }

    /// Hands what peers say on to the loop, each in its turn. Never ends while there is one.
    pub(crate) async fn forward(&self) {
        self.inbox.forward().await;
    }

    /// Never blocks. Without a session the message is dropped; `Down` has said, or will say, so.
    pub(crate) fn send(&self, to: NodeId, message: Message, block: Option<Block>, class: TrafficClass) {
        let announced = message.attached();
        if announced != block.as_ref().map(AttachedBlock::from) {
            tracing::error!(?to, ?message, "a message and its block do not fit together; not sent");
            return;
        }
        let outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(outbox) = outboxes.get(&to) else { return };
        let full = match block {
            // Whoever has blocks sent through others can make this node say more than the writer takes; that one goes by its own
            // clock, and a connection must not break for it.
            None if is_of_chains(&message) && outbox.messages.capacity() < MESSAGES_QUEUED_MAX / 2 => return,
            None => {
                let bytes = queued_bytes(&message);
                if outbox.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MESSAGE_BYTES_QUEUED_MAX {
                    outbox.unread.cancel();
                }
                matches!(outbox.messages.try_send(message), Err(mpsc::error::TrySendError::Full(_)))
            }
            Some(block) => {
                let queue = if class == TrafficClass::Repair { &outbox.repairs } else { &outbox.blocks };
                let queued = QueuedBlock { message, block, class };
                matches!(queue.try_send(queued), Err(mpsc::error::TrySendError::Full(_)))
            }
        };
        if full {
            outbox.overflow.cancel();
        }
    }

    /// Whether something can be sent to it now.
    pub(crate) fn is_open(&self, node: NodeId) -> bool {
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&node)
    }

    /// Told whenever there is one more such peer.
    pub(crate) fn watch_opened(&self) -> watch::Receiver<()> {
        self.opened.subscribe()
    }

    fn open_outbox(&self, node: NodeId) -> OutboxQueues {
        let (messages, messages_out) = mpsc::channel(MESSAGES_QUEUED_MAX);
        let (blocks, blocks_out) = mpsc::channel(BLOCKS_QUEUED_MAX);
        let (repairs, repairs_out) = mpsc::channel(BLOCKS_QUEUED_MAX);
        let (overflow, unread) = (CancellationToken::new(), CancellationToken::new());
        let bytes = Arc::<AtomicUsize>::default();
        let (told, asked) = (overflow.clone(), unread.clone());
        let link = Arc::new(LinkMeter::with_pings());
        let (of_link, of_bytes) = (Arc::clone(&link), Arc::clone(&bytes));
        let outbox =
            PeerOutbox { messages, blocks, repairs, bytes: of_bytes, link: of_link, overflow: told, unread: asked };
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner).insert(node, outbox);
        self.opened.send_replace(());
        let blocks = BlockQueues { blocks: AsyncMutex::new(blocks_out), repairs: AsyncMutex::new(repairs_out) };
        OutboxQueues { messages: messages_out, blocks, link, bytes, overflow, unread }
    }

    fn close_outbox(&self, node: NodeId) {
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// What went over each connection since the last time, and how long it took. `is_held`: repair waits for its line.
    pub(super) fn links(&self, is_held: bool) -> Vec<LinkReport> {
        let reports: Vec<_> = {
            let outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
            outboxes.iter().map(|(node, outbox)| outbox.link.report(*node, is_held)).collect()
        };
        let ask = |(report, question): (LinkReport, Option<Message>)| {
            question.into_iter().for_each(|ping| self.send(report.node, ping, None, TrafficClass::User));
            report
        };
        reports.into_iter().map(ask).collect()
    }

    /// A message has left; if it was an answer, a question that waited for it is next.
    fn take_next(&self, backpressure: &PeerBackpressure, from: NodeId, sent: &Message) {
        if let Some(message) = backpressure.on_sent(sent) {
            self.inbox.push_now(from, NetEvent::Message { from, message, payload: BlockPayload::None });
        }
    }

    /// Messages never wait, but what is left for blocks is less by them.
    fn note_message_out(&self, bytes: usize) {
        self.counters.message_out.add(bytes as u64);
        self.upload.note_moved(bytes);
    }

    /// Facts that a peer sent: waits until it may send so many, then checks the signatures of those that are not known.
    async fn check_facts(&self, from: NodeId, facts: &mut [RawFact]) -> Result<(), StreamError> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let bytes = facts.iter().map(RawFact::payload_len).sum();
        let wait_ms = {
            let mut allowances = self.allowances.lock().unwrap_or_else(PoisonError::into_inner);
            allowances.entry(from).or_insert_with(|| FactAllowance::full(now)).spend(now, facts.len(), bytes)
        };
        if wait_ms > 0 {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
        let known = self.keeper.facts();
        for part in facts.chunks_mut(FACTS_CHECKED_AT_ONCE) {
            known.check_signatures(part)?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// Said to the writer of a block about what others sent here.
fn is_of_chains(message: &Message) -> bool {
    matches!(message, Message::RelayedStoreReply(_) | Message::NotRelayed(_))
}

/// About how many bytes a message takes while it waits.
fn queued_bytes(message: &Message) -> usize {
    const ID: usize = 32;
    let facts = |facts: &[RawFact]| facts.iter().map(|fact| fact.payload_len() + 2 * ID).sum::<usize>();
    let contents = match message {
        Message::Facts(batch) => facts(&batch.facts),
        Message::HeadsReply(reply) => facts(&reply.facts),
        Message::Summary(summary) => summary.ids.len() * ID,
        Message::Want(want) => want.ids.len() * ID,
        Message::Have(have) => have.ids.len() * ID,
        Message::Heard(heard) => heard.members.len() * (ID + 8),
        Message::Heads(heads) => heads.known.len() * ID,
        Message::ListBlocksReply(reply) => reply.records.len() * (ID + 4),
        _ => 0,
    };
    size_of::<Message>() + contents
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
        let (stop, dismissal, hub) = (CancellationToken::new(), CancellationToken::new(), Arc::clone(hub));
        let ends = (stop.clone(), dismissal.clone());
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                before.end().await;
            }
            run(&hub, node, streams, facts, ends).await;
            on_end();
        });
        Self { stop, dismissal, task }
    }

    /// Stops it when the messages that wait have left, and the peer has closed its side or had a second for it; `Down` follows.
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

async fn run<S: SessionStream>(
    hub: &Arc<SessionHub>,
    node: NodeId,
    streams: PeerStreams<S>,
    facts: Vec<Fact>,
    (stop, dismissal): (CancellationToken, CancellationToken),
) {
    let (queues, is_local) = (hub.open_outbox(node), streams.is_local);
    let (overflow, unread) = (queues.overflow.clone(), queues.unread.clone());
    hub.inbox.push_now(node, NetEvent::Up { node, facts, is_local });
    let mut tasks = start_streams(hub, node, streams, (queues, dismissal.clone()));
    let mut misbehaved = false;
    tokio::select! {
        () = stop.cancelled() => {}
        () = dismissal.cancelled() => {
            // No messages follow those that wait: the peer, if it is honest, takes them in, sees that, and closes the connection.
            hub.close_outbox(node);
            let _ = timeout(DISMISSAL_MAX, tasks.ended()).await;
        }
        () = unread.cancelled() => {
            tracing::warn!(?node, "connection closed: it asks for more and more, and takes too little of it");
        }
        () = overflow.cancelled() => {
            tracing::error!(?node, "more waits for this peer than may; its connection is closed. This is a bug in fsdfs; report it");
        }
        ended = tasks.any.join_next() => {
            misbehaved = matches!(ended, Some(Ok(Err(StreamError::WrongSignature(_)))));
            report(node, ended);
        }
    }
    hub.close_outbox(node);
    // No message may follow `Down`, so every stream must have stopped before.
    tasks.any.shutdown().await;
    if misbehaved {
        hub.inbox.push_now(node, NetEvent::Misbehaved { node });
    }
    hub.inbox.push_now(node, NetEvent::Down { node });
}

/// One for each stream. The first that ends, ends the session.
struct StreamTasks {
    any: JoinSet<Result<(), StreamError>>,
    /// Those of them that write messages.
    writers: Vec<tokio::task::Id>,
}

impl StreamTasks {
    /// The messages have left, and the peer has ended a stream of its own: it saw that there are no more.
    async fn ended(&mut self) {
        while let Some(ended) = self.any.join_next_with_id().await {
            let id = ended.map_or_else(|error| error.id(), |(id, _)| id);
            if !self.writers.contains(&id) {
                return;
            }
        }
    }
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
    (queues, dismissal): (OutboxQueues, CancellationToken),
) -> StreamTasks {
    let (mut tasks, mut writers) = (JoinSet::new(), Vec::new());
    let progress = Arc::new(ProgressReporter::new(node, queues.link));
    let backpressure = Arc::new(PeerBackpressure::default());
    let bytes = Arc::clone(&queues.bytes);
    for stream in streams.inbound {
        tasks.spawn(read(Arc::clone(hub), Arc::clone(&progress), Arc::clone(&backpressure), stream));
    }
    let blocks = Arc::new(queues.blocks);
    let mut outbound = streams.outbound.into_iter();
    if let Some(stream) = outbound.next() {
        let to_write = (queues.messages, bytes);
        let (hub, progress, backpressure) = (Arc::clone(hub), Arc::clone(&progress), Arc::clone(&backpressure));
        let writer = tasks.spawn(write_messages(hub, progress, backpressure, stream, to_write));
        writers.push(writer.id());
    }
    let last = outbound.len().saturating_sub(1);
    for (number, stream) in outbound.enumerate() {
        let (progress, backpressure) = (Arc::clone(&progress), Arc::clone(&backpressure));
        let to_write = (Arc::clone(&blocks), number == last, dismissal.clone());
        tasks.spawn(write_blocks(Arc::clone(hub), progress, backpressure, stream, to_write));
    }
    StreamTasks { any: tasks, writers }
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
        hub.download.note_moved(bytes);
        if progress.link.takes(&message) {
            continue;
        }
        let Some(mut message) = backpressure.on_received(message)? else { continue };
        match &mut message {
            Message::Facts(batch) => hub.check_facts(from, &mut batch.facts).await?,
            Message::HeadsReply(reply) => hub.check_facts(from, &mut reply.facts).await?,
            _ => {}
        }
        if matches!(message, Message::Probe(_) | Message::ProbeReply(_)) {
            // Beyond what may wait they are not heard: nothing depends on a single one.
            let _ = hub.probes.try_send(ProbeMessage { from, message });
            continue;
        }
        backpressure.reserve(&message).await;
        let payload = match message.attached() {
            None => BlockPayload::None,
            Some(announced) => {
                let class = class_of(&message);
                let moved = |bytes| {
                    hub.counters.add_block(class, true, bytes);
                    progress.made(&hub.inbox);
                };
                let pace = BlockPace { gate: &hub.download, class };
                frame::read_block(&mut stream, announced, (&hub.budget, pace), moved).await?
            }
        };
        hub.inbox.push(from, NetEvent::Message { from, message, payload }, &progress.places).await;
    }
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
    hub: Arc<SessionHub>,
    progress: Arc<ProgressReporter>,
    backpressure: Arc<PeerBackpressure>,
    mut stream: impl SessionStream,
    (mut queue, bytes): (mpsc::Receiver<Message>, Arc<AtomicUsize>),
) -> Result<(), StreamError> {
    while let Some(message) = queue.recv().await {
        let mut next = Some(message);
        while let Some(message) = next {
            // Before it leaves, or its answer might come first.
            progress.link.on_sent(&message);
            hub.note_message_out(frame::write_message(&mut stream, &message).await?);
            bytes.fetch_sub(queued_bytes(&message), Ordering::Relaxed);
            hub.take_next(&backpressure, progress.node, &message);
            next = queue.try_recv().ok();
        }
        stream.flush().await?;
    }
    // The peer sees that there are no more.
    stream.close().await?;
    Ok(())
}

async fn write_blocks(
    hub: Arc<SessionHub>,
    progress: Arc<ProgressReporter>,
    backpressure: Arc<PeerBackpressure>,
    mut stream: impl SessionStream,
    (queues, is_last_stream, dismissal): (Arc<BlockQueues>, bool, CancellationToken),
) -> Result<(), StreamError> {
    loop {
        // Whichever stream is idle takes the next block.
        let next = tokio::select! {
            biased;
            () = dismissal.cancelled() => None,
            next = queues.next(is_last_stream) => next,
        };
        // The end of this stream would end the peer's session before it has taken in the messages that still come.
        let Some(QueuedBlock { message, block, class }) = next else { return std::future::pending().await };
        hub.note_message_out(frame::write_message(&mut stream, &message).await?);
        let moved = |bytes| {
            hub.counters.add_block(class, false, bytes);
            progress.link.add(class, bytes);
            progress.made(&hub.inbox);
        };
        frame::write_block(&mut stream, &block, BlockPace { gate: &hub.upload, class }, moved).await?;
        stream.flush().await?;
        let bytes = block.bytes().len();
        drop(block);
        if let Message::RelayedStore(store) = &message
            && store.origin != hub.keeper.node()
        {
            let (node, member) = (progress.node, store.receipt.member);
            hub.inbox.push_now(node, NetEvent::Relayed { node, member, bytes });
        }
        hub.take_next(&backpressure, progress.node, &message);
    }
}

/// Reports what a connection's peer says, and now and then that bytes of blocks move.
struct ProgressReporter {
    node: NodeId,
    /// Of the messages of this connection.
    places: WaitingPlaces,
    last: Mutex<Option<Instant>>,
    link: Arc<LinkMeter>,
}

impl ProgressReporter {
    fn new(node: NodeId, link: Arc<LinkMeter>) -> Self {
        Self { node, places: WaitingPlaces::default(), last: Mutex::new(None), link }
    }

    /// May be lost when the receiver is behind: the next slice reports again.
    fn made(&self, inbox: &PeerInbox) {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| now.duration_since(last) >= PROGRESS_EVERY)
            && inbox.try_push(self.node, NetEvent::Progress { node: self.node }, &self.places)
        {
            *last = Some(now);
        }
    }
}
