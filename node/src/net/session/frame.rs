//! What lies on a stream: `be32(len) message`, and behind a message that announces a block the block's bytes
//! (spec 04-wire, "What follows on a stream").
//!
//! A QUIC stream that is dropped looks like one that ended well, so nothing here is taken for complete because the
//! stream ended: lengths say how much must come, and a block's hash says whether it is the one that was announced.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fsdfs_core::facts::WrongSignature;
use fsdfs_core::seam::BlockPayload;
use fsdfs_proto::block::Block;
use fsdfs_proto::codec::{self, FormatError};
use fsdfs_proto::ids::BlockHasher;
use fsdfs_proto::message::{AttachedBlock, MESSAGE_BYTES_MAX, Message};
use futures::io::BufReader;
use futures::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::net::pacer::BlockPace;

/// Bytes hashed or written between two looks at anything else: 64 KiB take about 30 microseconds to hash.
const SLICE_BYTES: usize = 64 * 1024;
/// Bytes of a stream read ahead: a small message and its block, or a dozen packets of a large one, come with one look at the
/// connection instead of one for each packet. Four streams for each peer have such a buffer.
const READ_AHEAD_BYTES: usize = 16 * 1024;
/// Most messages fit, with their length: a block's announcement, an answer, a ping.
const USUAL_BYTES: usize = 256;
/// Length in front of a message.
const HEAD_BYTES: usize = 4;
/// A frame that has begun and of which nothing comes for so long is given up, with its connection. It holds memory; a
/// line that is only slow delivers something in this time.
const STALL_MAX: Duration = Duration::from_secs(20);

/// A stream ended. The connection is of no use without it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// The connection broke, or the peer closed it.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The peer sent what no honest peer sends.
    #[error("it sent bytes that are not a message: {0}")]
    Garbage(#[from] FormatError),
    /// This node made a message that no peer would take. Its fault.
    #[error("this node wanted to send a message of {0} bytes")]
    TooLong(usize),
    /// Nobody needs so many blocks at once.
    #[error("{0} of its questions for blocks wait, because it does not take the answers, and it asks on")]
    TooMany(usize),
    /// No honest peer passes such a fact on.
    #[error("it sent {0}")]
    WrongSignature(#[from] WrongSignature),
    /// A message or block stopped in the middle.
    #[error("it stopped in the middle of a message or block")]
    Stalled,
    /// A stream goes one way.
    #[error("it answers on streams that go the other way")]
    Backwards,
    /// What was under way on the connection before did not arrive.
    #[error("its old connection ended before all had arrived")]
    NotDrained,
    /// It asks for more and more.
    #[error("it asks for more and more, and takes too little of it")]
    Unread,
    /// The engine keeps to its bounds.
    #[error("more waits for this peer than may. This is a bug in fsdfs; report it")]
    Overflow,
    /// A task panicked.
    #[error("a stream failed: {0}")]
    Failed(String),
}

/// The right to hold inbound blocks in memory, in bytes, shared by all peers.
#[derive(Clone)]
pub(crate) struct InboundBudget(Arc<Semaphore>);

impl InboundBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    async fn take(&self, bytes: u32) -> OwnedSemaphorePermit {
        Arc::clone(&self.0).acquire_many_owned(bytes).await.expect("the budget is never closed")
    }
}

/// A stream as the reading functions want it.
pub(crate) fn buffered<L: AsyncRead>(stream: L) -> BufReader<L> {
    BufReader::with_capacity(READ_AHEAD_BYTES, stream)
}

/// The next message; none if the peer ended the stream between two.
pub(crate) async fn read_message(
    stream: &mut (impl AsyncBufRead + Unpin),
) -> Result<Option<(Message, usize)>, StreamError> {
    if stream.fill_buf().await?.is_empty() {
        return Ok(None);
    }
    let mut head = Vec::with_capacity(HEAD_BYTES);
    take_in(stream, HEAD_BYTES, |slice| head.extend_from_slice(slice)).await?;
    let len = head.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
    codec::bound((1..=MESSAGE_BYTES_MAX).contains(&len), "the length of a message")?;
    let mut bytes = Vec::with_capacity(len);
    take_in(stream, len, |slice| bytes.extend_from_slice(slice)).await?;
    Ok(Some((codec::decode(&bytes)?, HEAD_BYTES + len)))
}

/// The block that a message announced, hashed while it comes in. `moved` hears of every slice.
pub(crate) async fn read_block(
    stream: &mut (impl AsyncBufRead + Unpin),
    announced: AttachedBlock,
    (budget, pace): (&InboundBudget, BlockPace<'_>),
    mut moved: impl FnMut(usize),
) -> Result<BlockPayload, StreamError> {
    let mut left = announced.len as usize;
    // What waits for its turn holds no memory, nor the right to it.
    let mut part = pace.take(left.min(SLICE_BYTES)).await;
    // The decoder has checked the length; the permit comes before the memory.
    let permit = budget.take(announced.len).await;
    let mut bytes = Vec::with_capacity(left);
    let mut hasher = BlockHasher::default();
    while left > 0 {
        take_in(stream, part, |slice| {
            // Hashed while it is in the processor's cache, and each byte of the block's own memory is written once.
            hasher.update(slice);
            bytes.extend_from_slice(slice);
            moved(slice.len());
        })
        .await?;
        left -= part;
        tokio::task::yield_now().await;
        part = pace.take(left.min(SLICE_BYTES)).await;
    }
    let block = Block::hashed(Bytes::from(bytes), hasher).guarded(permit);
    Ok(if block.id() == announced.id { BlockPayload::Block(block) } else { BlockPayload::Wrong })
}

/// Writes a message, without its block.
pub(crate) async fn write_message(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &Message,
) -> Result<usize, StreamError> {
    let mut frame = Vec::with_capacity(USUAL_BYTES);
    frame.extend_from_slice(&[0; HEAD_BYTES]);
    codec::encode_onto(&mut frame, message);
    let len = frame.len() - HEAD_BYTES;
    if len > MESSAGE_BYTES_MAX {
        return Err(StreamError::TooLong(len));
    }
    let head = u32::try_from(len).expect("MESSAGE_BYTES_MAX fits in 32 bits").to_be_bytes();
    frame[..HEAD_BYTES].copy_from_slice(&head);
    stream.write_all(&frame).await?;
    Ok(frame.len())
}

/// Writes the block behind its message, straight from its bytes, as they may move.
pub(crate) async fn write_block(
    stream: &mut (impl AsyncWrite + Unpin),
    block: &Block,
    pace: BlockPace<'_>,
    mut moved: impl FnMut(usize),
) -> Result<(), StreamError> {
    let mut rest = &block.bytes()[..];
    while !rest.is_empty() {
        let (slice, behind) = rest.split_at(pace.take(rest.len().min(SLICE_BYTES)).await);
        stream.write_all(slice).await?;
        moved(slice.len());
        rest = behind;
    }
    Ok(())
}

/// Shows the next `len` bytes, in slices as they lie in the stream's buffer.
async fn take_in(
    stream: &mut (impl AsyncBufRead + Unpin),
    len: usize,
    mut take: impl FnMut(&[u8]),
) -> Result<(), StreamError> {
    let mut left = len;
    while left > 0 {
        let read = timeout(STALL_MAX, stream.fill_buf()).await.map_err(|_| StreamError::Stalled)??;
        let slice = &read[..read.len().min(left)];
        if slice.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        take(slice);
        let taken = slice.len();
        stream.consume_unpin(taken);
        left -= taken;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::{
        InboundBudget, SLICE_BYTES, StreamError, buffered, read_block, read_message, write_block, write_message,
    };
    use crate::net::pacer::{BlockPace, RateGate};
    use bytes::Bytes;
    use fsdfs_core::seam::{BlockPayload, TrafficClass};
    use fsdfs_proto::block::Block;
    use fsdfs_proto::ids::BlockId;
    use fsdfs_proto::message::{AttachedBlock, FetchRequest, MESSAGE_BYTES_MAX, Message};
    use futures::io::Cursor;

    fn pace(gate: &RateGate) -> BlockPace<'_> {
        BlockPace { gate, class: TrafficClass::User }
    }

    fn block() -> Block {
        Block::new(Bytes::from(vec![7; 3 * SLICE_BYTES + 5]))
    }

    async fn stream_with(block: &Block) -> Cursor<Vec<u8>> {
        let mut stream = Cursor::new(Vec::new());
        write_block(&mut stream, block, pace(&RateGate::open()), |_| ()).await.unwrap();
        Cursor::new(stream.into_inner())
    }

    #[tokio::test]
    async fn messages_come_out_as_they_went_in() {
        let mut stream = Cursor::new(Vec::new());
        let messages = [Message::Ping(1), Message::Fetch(FetchRequest { request: 2, id: BlockId([3; 32]) })];
        for message in &messages {
            write_message(&mut stream, message).await.unwrap();
        }
        stream.set_position(0);
        for message in messages {
            assert_eq!(read_message(&mut stream).await.unwrap().unwrap().0, message);
        }
        assert!(read_message(&mut stream).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn lengths_are_checked_before_memory_is_reserved() {
        for len in [0, MESSAGE_BYTES_MAX as u32 + 1, u32::MAX] {
            let mut stream = Cursor::new(len.to_be_bytes().to_vec());
            assert!(matches!(read_message(&mut stream).await, Err(StreamError::Garbage(_))), "{len}");
        }
    }

    #[tokio::test]
    async fn a_block_gives_its_memory_back_with_its_last_copy() {
        let (block, budget) = (block(), InboundBudget::new(1 << 20));
        let mut moved = 0;
        let mut stream = stream_with(&block).await;
        let payload =
            read_block(&mut stream, AttachedBlock::from(&block), (&budget, pace(&RateGate::open())), |bytes| {
                moved += bytes;
            })
            .await
            .unwrap();
        assert_eq!(payload, BlockPayload::Block(block.clone()));
        assert_eq!((moved, budget.0.available_permits()), (block.bytes().len(), (1 << 20) - block.bytes().len()));
        drop(payload);
        assert_eq!(budget.0.available_permits(), 1 << 20);
    }

    #[test]
    fn a_block_comes_into_one_buffer_and_a_message_leaves_from_one() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let block = Block::new(Bytes::from(vec![7; 1 << 20]));
        let announced = AttachedBlock::from(&block);
        let mut stream = buffered(runtime.block_on(stream_with(&block)));
        let budget = InboundBudget::new(2 << 20);
        let mut payload = BlockPayload::None;
        let counted = allocation_counter::measure(|| {
            payload = runtime
                .block_on(read_block(&mut stream, announced, (&budget, pace(&RateGate::open())), |_| ()))
                .unwrap();
        });
        assert_eq!(payload, BlockPayload::Block(block));
        assert!(counted.bytes_total < (1 << 20) + 4096, "{} bytes for one block", counted.bytes_total);

        let message = Message::Ping(1);
        let mut stream = Cursor::new(Vec::with_capacity(1024));
        let counted = allocation_counter::measure(|| {
            runtime.block_on(write_message(&mut stream, &message)).unwrap();
        });
        assert!(counted.count_total <= 1, "{counted:?}");
    }

    #[tokio::test]
    async fn messages_and_blocks_come_through_a_stream_that_reads_ahead() {
        let block = block();
        let announced = AttachedBlock::from(&block);
        let mut stream = Cursor::new(Vec::new());
        for _ in 0..2 {
            write_message(&mut stream, &Message::Ping(1)).await.unwrap();
            write_block(&mut stream, &block, pace(&RateGate::open()), |_| ()).await.unwrap();
        }
        stream.set_position(0);
        let (mut stream, budget) = (buffered(stream), InboundBudget::new(1 << 20));
        for _ in 0..2 {
            assert_eq!(read_message(&mut stream).await.unwrap().unwrap().0, Message::Ping(1));
            let payload = read_block(&mut stream, announced, (&budget, pace(&RateGate::open())), |_| ()).await.unwrap();
            assert_eq!(payload, BlockPayload::Block(block.clone()));
        }
        assert!(read_message(&mut stream).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn other_bytes_than_announced_are_dropped_and_short_ones_are_an_error() {
        let (block, budget) = (block(), InboundBudget::new(1 << 20));
        let wrong = AttachedBlock { id: BlockId([0; 32]), ..AttachedBlock::from(&block) };
        let payload = read_block(&mut stream_with(&block).await, wrong, (&budget, pace(&RateGate::open())), |_| ())
            .await
            .unwrap();
        assert_eq!(payload, BlockPayload::Wrong);
        let longer = AttachedBlock { len: wrong.len + 1, ..wrong };
        assert!(
            read_block(&mut stream_with(&block).await, longer, (&budget, pace(&RateGate::open())), |_| ())
                .await
                .is_err()
        );
        assert_eq!(budget.0.available_permits(), 1 << 20);
    }
}
