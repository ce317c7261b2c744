//! A stream of bytes into sealed, durable blocks. Zeros become holes, which have none.

use std::future;
use std::ops::Range;
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
use super::lease::UploadLease;
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
    /// Bytes that were not there before, of blocks and (once the commit is known) of contents that lie in folders.
    pub uploaded_bytes: u64,
}

/// Plaintext, and the right to hold it.
struct PlainChunk {
    bytes: ChunkBuffer,
    permit: Permit,
}

/// What a file is made of, in order.
enum FilePiece {
    Chunk(PlainChunk),
    /// So many whole chunks of zeros.
    Hole(u64),
}

/// A piece that is where it belongs.
enum StoredPiece {
    Chunk(BlockRef, usize, StoredBlock),
    Hole(u64),
}

impl Client {
    /// Makes the content of a small file durable, as [`Client::store`] does. `more`: others follow at once, and may share a sync
    /// with it.
    pub async fn store_small(
        &self,
        volume: VolumeId,
        content: Bytes,
        more: bool,
    ) -> Result<(u64, FileContent, UploadSummary), ClientError> {
        let first_bytes = content.len();
        let body = futures::stream::iter([Ok(content)]);
        self.store_pieces(
            volume,
            cut(&self.memory, body, TreeParams::DEFAULT.chunk_bytes, first_bytes),
            Vec::new(),
            more,
        )
        .await
    }

    /// Makes the content of a file durable; it is not in any folder yet. Its size, where it is, how durable. The body lacks the
    /// zeros of holes, which are whole chunks, ascending.
    pub async fn store(
        &self,
        volume: VolumeId,
        body: impl Stream<Item = Result<Bytes, BodyError>> + Send,
        holes: Vec<Range<u64>>,
    ) -> Result<(u64, FileContent, UploadSummary), ClientError> {
        let chunks = cut(&self.memory, body, TreeParams::DEFAULT.chunk_bytes, SMALL_BYTES);
        self.store_pieces(volume, chunks, holes, false).await
    }

    async fn store_pieces(
        &self,
        volume: VolumeId,
        chunks: impl Stream<Item = Result<PlainChunk, ClientError>> + Send,
        holes: Vec<Range<u64>>,
        more: bool,
    ) -> Result<(u64, FileContent, UploadSummary), ClientError> {
        let params = TreeParams::DEFAULT;
        let mut pieces = std::pin::pin!(with_holes(chunks, holes, params.chunk_bytes));
        let first = match pieces.try_next().await? {
            None => return Ok((0, FileContent::Inline(Bytes::new()), UploadSummary::default())),
            Some(FilePiece::Chunk(first)) if first.bytes.len() <= params.inline_bytes => {
                // The chunk is not full, so it is the only one.
                let content = FileContent::Inline(Bytes::copy_from_slice(first.bytes.plaintext()));
                return Ok((first.bytes.len() as u64, content, UploadSummary::default()));
            }
            Some(first) => first,
        };
        let (keys, copies) = self.writing(volume).await?;
        let mut writer = FileWriter::new(keys.clone(), params, copies);
        let mut tally = UploadSummary::default();
        let mut lease = UploadLease::new(self.shared.borrow().renew_every);
        let stored = futures::stream::once(future::ready(Ok(first)))
            .chain(pieces)
            .map_ok(|piece| self.store_piece(keys.clone(), copies, (piece, more)))
            .try_buffered(IN_FLIGHT);
        let mut stored = std::pin::pin!(stored);
        loop {
            let Ok(next) = tokio::time::timeout_at(lease.due(), stored.try_next()).await else {
                self.renew(&mut lease).await?;
                continue;
            };
            let Some(piece) = next? else { break };
            let manifests = match piece {
                StoredPiece::Hole(chunks) => writer.push_hole(chunks),
                StoredPiece::Chunk(at, bytes, stored) => {
                    tally.add(stored);
                    lease.add(at.id, copies);
                    writer.push(at, bytes)
                }
            };
            self.store_manifests(manifests, copies, (&mut tally, &mut lease)).await?;
        }
        let (content, size, manifests) = writer.finish();
        self.store_manifests(manifests, copies, (&mut tally, &mut lease)).await?;
        self.renew_at_end(&mut lease).await?;
        Ok((size, content, tally))
    }

    async fn store_piece(
        &self,
        keys: WriteKeys,
        copies: u8,
        (piece, more): (FilePiece, bool),
    ) -> Result<StoredPiece, ClientError> {
        match piece {
            FilePiece::Hole(chunks) => Ok(StoredPiece::Hole(chunks)),
            FilePiece::Chunk(chunk) => self.store_chunk(keys, copies, (chunk, more)).await,
        }
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
    ) -> Result<StoredPiece, ClientError> {
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
        Ok(StoredPiece::Chunk(at, len, stored))
    }

    /// One in a thousand chunks, and small: their sealing needs no thread of its own.
    async fn store_manifests(
        &self,
        blocks: Vec<Block>,
        copies: u8,
        (tally, lease): (&mut UploadSummary, &mut UploadLease),
    ) -> Result<(), ClientError> {
        for block in blocks {
            lease.add(block.id(), copies);
            tally.add(self.store_block(block, copies).await?);
        }
        Ok(())
    }

    /// Fails unless at least one server has it durably.
    pub(super) async fn store_block(&self, block: Block, copies: u8) -> Result<StoredBlock, ClientError> {
        let len = block.bytes().len() as u64;
        StoredBlock::by(self.put_block(block, Redundancy::Replicas(copies)).await?, len)
    }
}

pub(super) struct StoredBlock {
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

/// Pieces of exactly `chunk_bytes`, the last one shorter. Memory is taken before bytes are: for `first_bytes` as long as no more
/// have come.
fn cut<S>(
    memory: &Memory,
    body: S,
    chunk_bytes: usize,
    first_bytes: usize,
) -> impl Stream<Item = Result<PlainChunk, ClientError>>
where
    S: Stream<Item = Result<Bytes, BodyError>>,
{
    let state = (Box::pin(body), Bytes::new(), memory.clone(), true);
    futures::stream::try_unfold(state, move |(mut body, mut rest, memory, is_first)| async move {
        let mut permit = memory.small(first_bytes).await;
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

/// Puts the holes where they belong, and makes others of whole chunks of zeros, so that equal contents are equal whoever reads
/// them. Fails if the content ends before a hole begins.
fn with_holes<S>(
    chunks: S,
    holes: Vec<Range<u64>>,
    chunk_bytes: usize,
) -> impl Stream<Item = Result<FilePiece, ClientError>>
where
    S: Stream<Item = Result<PlainChunk, ClientError>>,
{
    let full = chunk_bytes as u64;
    let state = (Box::pin(chunks), holes.into_iter().peekable(), 0);
    futures::stream::try_unfold(state, move |(mut chunks, mut holes, at)| async move {
        if let Some(hole) = holes.next_if(|hole| hole.start == at) {
            let piece = FilePiece::Hole((hole.end - hole.start) / full);
            return Ok(Some((piece, (chunks, holes, hole.end))));
        }
        let chunk = chunks.try_next().await?;
        let end = at + chunk.as_ref().map_or(0, |chunk| chunk.bytes.len() as u64);
        if let Some(hole) = holes.peek()
            && (chunk.is_none() || hole.start < end || !end.is_multiple_of(full))
        {
            let error = format!("it has {end} bytes, and a hole was to begin at {}", hole.start);
            return Err(ClientError::Body(BodyError(error)));
        }
        Ok(chunk.map(|chunk| {
            let is_hole = chunk.bytes.len() == chunk_bytes && is_zero(chunk.bytes.plaintext());
            let piece = if is_hole { FilePiece::Hole(1) } else { FilePiece::Chunk(chunk) };
            (piece, (chunks, holes, end))
        }))
    })
}

/// Ends at the first byte that is none, and otherwise compares as fast as memory is read.
fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|piece| piece == &ZEROS[..piece.len()])
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one hole")]
mod tests {
    use super::*;

    /// Lengths of chunks; holes in chunks, with a minus.
    async fn pieces(lengths: &[usize], byte: u8, holes: &[Range<u64>]) -> Result<Vec<i64>, ClientError> {
        let chunk = |len: &usize| Ok(Bytes::from(vec![byte; *len]));
        let body: Vec<Result<Bytes, BodyError>> = lengths.iter().map(chunk).collect();
        let memory = Memory::default();
        let chunks = cut(&memory, futures::stream::iter(body), 10, 10);
        let shown = |piece| match piece {
            FilePiece::Chunk(chunk) => i64::try_from(chunk.bytes.len()).expect("small"),
            FilePiece::Hole(chunks) => -i64::try_from(chunks).expect("small"),
        };
        with_holes(chunks, holes.to_vec(), 10).map_ok(shown).try_collect().await
    }

    #[tokio::test]
    async fn holes_stand_where_they_were_and_zeros_become_some() {
        let found = async |lengths: &[usize], byte, holes: &[Range<u64>]| pieces(lengths, byte, holes).await.ok();
        assert_eq!(found(&[25], 7, &[]).await, Some(vec![10, 10, 5]));
        assert_eq!(found(&[25], 0, &[]).await, Some(vec![-1, -1, 5]), "the last one is not whole");
        assert_eq!(found(&[], 7, &[0..40]).await, Some(vec![-4]));
        assert_eq!(found(&[25], 7, &[0..20, 30..100]).await, Some(vec![-2, 10, -7, 10, 5]));
        assert_eq!(found(&[20], 7, &[20..1 << 50]).await, Some(vec![10, 10, -((1 << 50) - 20) / 10]));
        for (lengths, holes) in [(&[9][..], vec![10..20]), (&[], vec![10..20]), (&[15], vec![10..20, 30..40])] {
            assert_eq!(found(lengths, 7, &holes).await, None, "{lengths:?} {holes:?}");
        }
    }

    async fn lengths(pieces: &[usize], chunk_bytes: usize) -> Vec<usize> {
        let pieces: Vec<_> = pieces.iter().map(|len| Ok(Bytes::from(vec![7; *len]))).collect();
        let memory = Memory::default();
        let chunks = cut(&memory, futures::stream::iter(pieces), chunk_bytes, SMALL_BYTES);
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
        let stalled: Vec<_> = futures::future::join_all((0..200).map(|_| memory.small(SMALL_BYTES))).await;
        let large: Vec<_> = (0..80).map(|_| Ok(Bytes::from(vec![7; 1 << 20]))).collect();
        let chunks = cut(&memory, futures::stream::iter(large), 1 << 20, SMALL_BYTES);
        let count = chunks.try_fold(0, |count, _| future::ready(Ok(count + 1))).await.expect("nothing fails");
        assert_eq!((count, stalled.len()), (80, 200));
    }

    #[tokio::test]
    async fn a_thousand_small_files_may_wait_for_one_sync() {
        let memory = Memory::default();
        let waiting = async || futures::future::join_all((0..1_000).map(|_| memory.small(6_000))).await;
        assert_eq!(tokio::time::timeout(Duration::from_secs(60), waiting()).await.expect("room for all").len(), 1_000);
    }
}
