//! What waits for one peer until a stream takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fsdfs_core::limits::{
    FACT_MESSAGES_UNDER_WAY_MAX, FETCHES_UNDER_WAY_MAX, QUESTIONS_UNDER_WAY_MAX, RELAY_BLOCKS_WAITING_MAX,
    STORES_UNDER_WAY_MAX,
};
use fsdfs_core::seam::TrafficClass;
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::RawFact;
use fsdfs_proto::message::Message;
use fsdfs_proto::message::repair::{Holding, IdPrefix, IdPrint};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::backpressure::{ANSWERS_OWED_MAX, FETCHED_UNDER_WAY_MAX};
use super::link_meter::LinkMeter;

/// Messages that wait for one peer at most. The engine keeps back what it wants to say beyond its own bounds, and nothing more is
/// read from a peer to which too many answers are owed, so this is never reached; were it all the same, messages would not be
/// dropped one by one, which nobody would notice: the session breaks.
const MESSAGES_QUEUED_MAX: usize = 4096;
/// Blocks that wait for one peer at most; never reached either. Their memory is bounded by whoever hands them in.
const BLOCKS_QUEUED_MAX: usize = 2048;

/// Bytes of messages that wait for one peer at most. Its own questions and the facts it wants make 20 MiB; whoever asks for more
/// and takes nothing fills this node's memory.
const MESSAGE_BYTES_QUEUED_MAX: usize = 32 << 20;

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

/// Where messages for a peer wait for its streams.
pub(super) struct PeerOutbox {
    /// Whose it is.
    pub session: u64,
    messages: mpsc::Sender<Message>,
    blocks: mpsc::Sender<QueuedBlock>,
    /// Apart: what is sent slowly must not stand before what a user waits for.
    repairs: mpsc::Sender<QueuedBlock>,
    /// Of the messages that wait.
    bytes: Arc<AtomicUsize>,
    pub link: Arc<LinkMeter>,
    overflow: CancellationToken,
    /// It takes too little of what it asked for.
    unread: CancellationToken,
}

/// A block with the message that announces it, and for whom it moves.
pub(super) struct QueuedBlock {
    pub message: Message,
    pub block: Block,
    pub class: TrafficClass,
}

/// The receiving ends of a [`PeerOutbox`]: whichever stream is idle takes the next. They outlive the streams of one connection.
pub(super) struct OutboxQueues {
    messages: Mutex<mpsc::Receiver<Message>>,
    blocks: Mutex<mpsc::Receiver<QueuedBlock>>,
    repairs: Mutex<mpsc::Receiver<QueuedBlock>>,
    bytes: Arc<AtomicUsize>,
    pub link: Arc<LinkMeter>,
    pub overflow: CancellationToken,
    pub unread: CancellationToken,
}

/// Both ends, of the session with this number.
pub(super) fn open(session: u64) -> (PeerOutbox, OutboxQueues) {
    let (messages, messages_out) = mpsc::channel(MESSAGES_QUEUED_MAX);
    let (blocks, blocks_out) = mpsc::channel(BLOCKS_QUEUED_MAX);
    let (repairs, repairs_out) = mpsc::channel(BLOCKS_QUEUED_MAX);
    let (overflow, unread) = (CancellationToken::new(), CancellationToken::new());
    let (bytes, link) = (Arc::<AtomicUsize>::default(), Arc::<LinkMeter>::default());
    let queues = OutboxQueues {
        messages: Mutex::new(messages_out),
        blocks: Mutex::new(blocks_out),
        repairs: Mutex::new(repairs_out),
        bytes: Arc::clone(&bytes),
        link: Arc::clone(&link),
        overflow: overflow.clone(),
        unread: unread.clone(),
    };
    (PeerOutbox { session, messages, blocks, repairs, bytes, link, overflow, unread }, queues)
}

impl PeerOutbox {
    /// Never blocks.
    pub fn push(&self, message: Message, block: Option<Block>, class: TrafficClass) {
        let is_full = match block {
            // Whoever has blocks sent through others can make this node say more than the writer takes; that one goes by its own
            // clock, and a connection must not break for it.
            None if is_of_chains(&message) && self.messages.capacity() < MESSAGES_QUEUED_MAX / 2 => return,
            None => {
                let bytes = queued_bytes(&message);
                if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MESSAGE_BYTES_QUEUED_MAX {
                    self.unread.cancel();
                }
                matches!(self.messages.try_send(message), Err(mpsc::error::TrySendError::Full(_)))
            }
            Some(block) => {
                let queue = if class == TrafficClass::Repair { &self.repairs } else { &self.blocks };
                let queued = QueuedBlock { message, block, class };
                matches!(queue.try_send(queued), Err(mpsc::error::TrySendError::Full(_)))
            }
        };
        if is_full {
            self.overflow.cancel();
        }
    }
}

impl OutboxQueues {
    /// The next message; none if no more will come. A call that is dropped took none.
    pub async fn next_message(&self) -> Option<Message> {
        self.messages.lock().await.recv().await
    }

    /// The same, if one waits.
    pub fn waiting_message(&self) -> Option<Message> {
        // Somebody else takes messages already.
        self.messages.try_lock().ok()?.try_recv().ok()
    }

    /// A message has left.
    pub fn note_left(&self, message: &Message) {
        self.bytes.fetch_sub(queued_bytes(message), Ordering::Relaxed);
    }

    /// The next block. Those of repair have the last stream, which takes others only if there are none: they never hold up more
    /// than that one. A call that is dropped took none.
    pub async fn next_block(&self, is_last_stream: bool) -> Option<QueuedBlock> {
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
        Message::Assure(assure) => assure.ids.len() * ID,
        Message::AssureReply(reply) => reply.copies.len() * 16,
        Message::Prove(asked) => asked.ids.len() * ID,
        Message::ProveReply(reply) => reply.held.len(),
        Message::ListBlocksReply(reply) => reply.records.len() * (ID + 4),
        Message::Prints(asked) => asked.prefixes.len() * size_of::<IdPrefix>(),
        Message::PrintsReply(reply) => reply.sums.len() * size_of::<IdPrint>(),
        Message::Holdings(asked) => asked.have.len() * size_of::<u64>(),
        Message::HoldingsReply(reply) => {
            reply.items.len() * size_of::<Holding>() + reply.lacks.len() * size_of::<u16>()
        }
        Message::Offer(offer) => offer.items.len() * size_of::<Holding>(),
        Message::OfferReply(reply) => reply.outcomes.len(),
        _ => 0,
    };
    size_of::<Message>() + contents
}
