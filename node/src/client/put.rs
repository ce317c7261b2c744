//! A stream of bytes into sealed, durable blocks.

use std::future;
use std::time::Duration;

use bytes::Bytes;
use fsdfs_core::seam::{Command, Copies, PutOutcome, Refusal, Reply};
use fsdfs_core::tree::content::FileWriter;
use fsdfs_core::tree::{BlockRef, FileContent, TreeParams};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::VolumeId;
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::volume::{ChunkBuffer, WriteKeys};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use tokio::sync::oneshot;

use super::error::{BodyError, ClientError};
use super::handle::{Client, answer};
use super::memory::{Memory, Permit, SMALL_BYTES};
use super::request::VolumeState;
use crate::crypto_pool::JobPanicked;

/// Blocks of one put under way at once: sealing, sending and the others' disks overlap, and a holder syncs several at a time.
/// Measured for 1 GiB on three nodes: 8 cost 1,760 syncs, 16 cost 1,400 and 25 MiB of memory more, 32 cost 1,000 and 45 MiB.
const IN_FLIGHT: usize = 16;

/// The key of a new epoch is waited for so long: commands end within 10 s.
const KEY_PATIENCE: Duration = Duration::from_secs(6);

/// What the blocks of one file came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadSummary {
    /// The outcome of the block that is worst off; none if the file has no block of its own.
    pub worst: Option<PutOutcome>,
    /// Bytes of blocks that were not there before.
    pub uploaded_bytes: u64,
}

/// Plaintext, and the right to hold it.
struct PlainChunk {
    bytes: ChunkBuffer,
    permit: Permit,
}

impl Client {
    /// Makes the content of a file durable; it is not in any folder yet. Its size, where it is, how durable.
    /// `more`: other files follow at once, and may share a sync with it.
    pub async fn store(
        &self,
        volume: VolumeId,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
        more: bool,
    ) -> Result<(u64, FileContent, UploadSummary), ClientError> {
        let params = TreeParams::DEFAULT;
        let mut chunks = std::pin::pin!(cut(&self.memory, body, params.chunk_bytes));
        let first = chunks.try_next().await?;
        let Some(first) = first else { return Ok((0, FileContent::Inline(Bytes::new()), UploadSummary::default())) };
        if first.bytes.len() <= params.inline_bytes {
            // The chunk is not full, so it is the only one.
            let content = FileContent::Inline(Bytes::copy_from_slice(first.bytes.plaintext()));
            return Ok((first.bytes.len() as u64, content, UploadSummary::default()));
        }
        let (keys, copies) = self.writing(volume).await?;
        let mut writer = FileWriter::new(keys.clone(), params, copies);
        let mut tally = UploadSummary::default();
        let sealed = futures::stream::once(future::ready(Ok(first)))
            .chain(chunks)
            .map_ok(|chunk| self.store_chunk(keys.clone(), copies, (chunk, more)))
            .try_buffered(IN_FLIGHT);
        let mut sealed = std::pin::pin!(sealed);
        while let Some((at, bytes, stored)) = sealed.try_next().await? {
            tally.add(stored);
            self.store_manifests(writer.push(at, bytes), copies, &mut tally).await?;
        }
        let (content, size, manifests) = writer.finish();
        self.store_manifests(manifests, copies, &mut tally).await?;
        Ok((size, content, tally))
    }

    /// The key of a new epoch may be on its way: nobody is to notice, so it is waited for.
    async fn writing(&self, volume: VolumeId) -> Result<(WriteKeys, u8), ClientError> {
        let mut shared = self.shared.clone();
        let is_ready = |state: &VolumeState| {
            let has_older = state.keys.as_ref().is_some_and(|keys| keys.volume == volume && keys.writer().is_none());
            !(has_older && state.lacks_write_key == Refusal::NoKey)
        };
        // Without it the state says why not.
        let _ = tokio::time::timeout(KEY_PATIENCE, shared.wait_for(is_ready)).await;
        let shared = self.shared.borrow();
        let keys = shared.keys.as_ref().filter(|keys| keys.volume == volume);
        let keys = keys.and_then(|keys| keys.writer()).ok_or_else(|| shared.lacks_write_key.clone())?;
        Ok((keys.clone(), shared.copies))
    }

    async fn store_chunk(
        &self,
        keys: WriteKeys,
        copies: u8,
        (chunk, more): (PlainChunk, bool),
    ) -> Result<(BlockRef, usize, StoredBlock), ClientError> {
        let PlainChunk { bytes, permit } = chunk;
        let len = bytes.len();
        let (prepared, pending) = self.prepare();
        let (sealed, at) = oneshot::channel();
        let redundancy = Redundancy::Replicas(copies);
        // The thread that seals gives the block to the engine itself: a way back to this task first would only cost time.
        let seal = move || {
            if !prepared.is_abandoned() {
                let (block, at) = bytes.seal(&keys);
                let _ = sealed.send((at, block.bytes().len() as u64));
                // From here on the sealed bytes hold the permit, until the last holder of a clone drops them.
                prepared.give(Command::PutBlock { block: block.guarded(permit), redundancy, more });
            }
        };
        self.pool.start(seal).await?;
        let reply = pending.wait().await;
        let (at, block_len) = at.await.map_err(|_| JobPanicked)?;
        let stored = StoredBlock::by(answer!(reply? => PutBlock)?, block_len)?;
        Ok((at, len, stored))
    }

    /// One in a thousand chunks, and small: their sealing needs no thread of its own.
    async fn store_manifests(
        &self,
        blocks: Vec<Block>,
        copies: u8,
        tally: &mut UploadSummary,
    ) -> Result<(), ClientError> {
        for block in blocks {
            tally.add(self.store_block(block, copies).await?);
        }
        Ok(())
    }

    async fn store_block(&self, block: Block, copies: u8) -> Result<StoredBlock, ClientError> {
        let len = block.bytes().len() as u64;
        StoredBlock::by(self.put_block(block, Redundancy::Replicas(copies)).await?, len)
    }
}

struct StoredBlock {
    outcome: PutOutcome,
    len: u64,
}

impl StoredBlock {
    fn by(outcome: PutOutcome, len: u64) -> Result<Self, ClientError> {
        match outcome {
            PutOutcome::Refused(refusal) => Err(refusal.into()),
            outcome => Ok(Self { outcome, len }),
        }
    }
}

impl UploadSummary {
    fn add(&mut self, StoredBlock { outcome, len }: StoredBlock) {
        if !copies_of(&outcome).present {
            self.uploaded_bytes += len;
        }
        self.is_as_durable_as(outcome);
    }

    /// Takes in what the blocks of another file came to.
    pub fn merge(&mut self, other: Self) {
        self.uploaded_bytes += other.uploaded_bytes;
        other.worst.into_iter().for_each(|outcome| self.is_as_durable_as(outcome));
    }

    fn is_as_durable_as(&mut self, outcome: PutOutcome) {
        let rank = |outcome: &PutOutcome| {
            let copies = copies_of(outcome);
            (matches!(outcome, PutOutcome::Stored(_)), copies.servers.len(), copies.sites, copies.verified)
        };
        if self.worst.as_ref().is_none_or(|worst| rank(&outcome) < rank(worst)) {
            self.worst = Some(outcome);
        }
    }
}

fn copies_of(outcome: &PutOutcome) -> Copies {
    match outcome {
        PutOutcome::Stored(copies) | PutOutcome::Degraded(copies) => copies.clone(),
        PutOutcome::Refused(_) => Copies::default(),
    }
}

/// Pieces of exactly `chunk_bytes`, the last one shorter. Memory is taken before bytes are.
fn cut<S>(memory: &Memory, body: S, chunk_bytes: usize) -> impl Stream<Item = Result<PlainChunk, ClientError>>
where
    S: Stream<Item = Result<Bytes, BodyError>>,
{
    let state = (Box::pin(body), Bytes::new(), memory.clone(), true);
    futures::stream::try_unfold(state, move |(mut body, mut rest, memory, is_first)| async move {
        let mut permit = memory.small().await;
        let mut is_whole = false;
        let mut chunk = ChunkBuffer::with_capacity(0);
        while chunk.len() < chunk_bytes {
            if rest.is_empty() {
                match body.try_next().await.map_err(ClientError::Body)? {
                    Some(bytes) => rest = bytes,
                    None => break,
                }
            }
            let piece = rest.split_to(rest.len().min(chunk_bytes - chunk.len()));
            // Whatever follows a whole chunk is taken for another one, so that it need not be moved when it grows.
            if (!is_first || chunk.len() + piece.len() > SMALL_BYTES) && !is_whole {
                (permit, is_whole) = (memory.block().await, true);
                chunk.reserve_to(chunk_bytes);
            }
            chunk.extend_from_slice(&piece);
        }
        let chunk = (!chunk.is_empty()).then(|| PlainChunk { bytes: chunk, permit });
        Ok(chunk.map(|chunk| (chunk, (body, rest, memory, false))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lengths(pieces: &[usize], chunk_bytes: usize) -> Vec<usize> {
        let pieces: Vec<_> = pieces.iter().map(|len| Ok(Bytes::from(vec![7; *len]))).collect();
        let memory = Memory::default();
        let chunks = cut(&memory, futures::stream::iter(pieces), chunk_bytes);
        chunks.map_ok(|chunk| chunk.bytes.len()).try_collect().await.expect("nothing fails")
    }

    #[tokio::test]
    async fn chunks_are_full_but_the_last() {
        assert_eq!(lengths(&[], 10).await, [0; 0]);
        assert_eq!(lengths(&[0, 3, 0], 10).await, [3]);
        assert_eq!(lengths(&[10], 10).await, [10]);
        assert_eq!(lengths(&[25, 1, 4], 10).await, [10, 10, 10]);
        assert_eq!(lengths(&[300_000; 4], 1 << 20).await, [1 << 20, 1_200_000 - (1 << 20)]);
    }

    #[tokio::test]
    async fn many_small_puts_and_one_large_one_do_not_wait_for_each_other() {
        let memory = Memory::default();
        let stalled: Vec<_> = futures::future::join_all((0..200).map(|_| memory.small())).await;
        let large: Vec<_> = (0..80).map(|_| Ok(Bytes::from(vec![7; 1 << 20]))).collect();
        let chunks = cut(&memory, futures::stream::iter(large), 1 << 20);
        let count = chunks.try_fold(0, |count, _| future::ready(Ok(count + 1))).await.expect("nothing fails");
        assert_eq!((count, stalled.len()), (80, 200));
    }
}
