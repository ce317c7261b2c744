//! A file, or a range of it, as a stream of bytes in order.

use std::ops::Range;

use bytes::Bytes;
use fsdfs_core::tree::content::{FilePart, FileReader, NextPart, NextStretch};
use fsdfs_core::tree::{FileAttributes, FileBlocks, FileContent, NextBlock, TreeItemKind, TreePath, Xattr};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, VolumeId};
use futures::future::{BoxFuture, ready};
use futures::stream::FuturesOrdered;
use futures::{Stream, StreamExt as _};

use super::error::ClientError;
use super::handle::{Client, Freshness, VolumeView};
use super::memory::Permit;

/// Blocks of one get under way at once, if memory allows: several sites answer at once, and each block passes through disk,
/// line and two checks. With 8, a quarter of two cores stood idle while a node without a copy read.
const WINDOW: usize = 40;

/// Manifests looked at for one answer about holes at most: 64 GiB of a file that has none.
const MANIFESTS_OF_HOLES_MAX: usize = 64;

/// A file, found and ready to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// Which volume.
    pub volume: VolumeId,
    /// Bytes.
    pub size: u64,
    /// Mode and time.
    pub attrs: FileAttributes,
    /// Extended attributes.
    pub xattrs: Vec<Xattr>,
    /// Where its bytes are.
    pub content: FileContent,
    /// What may be newer than this version of it.
    pub freshness: Freshness,
}

impl Client {
    /// Finds a file.
    pub async fn open(&self, of: impl Into<VolumeView>, path: TreePath) -> Result<OpenFile, ClientError> {
        let of = of.into();
        let (volume, (shown, freshness)) = (of.volume, self.entry(of, path).await?);
        match shown.kind {
            TreeItemKind::Dir { .. } => Err(ClientError::NotAFile("a folder")),
            TreeItemKind::File { content: FileContent::Symlink(_), .. } => Err(ClientError::NotAFile("a link")),
            TreeItemKind::File { size, content } => {
                Ok(OpenFile { volume, size, attrs: shown.attrs, xattrs: shown.xattrs, content, freshness })
            }
        }
    }

    /// The bytes of a range that lies within the file.
    pub fn read(
        &self,
        file: &OpenFile,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, ClientError>> + Send + use<> {
        let pieces = FileReader::new(file.volume, &file.content, file.size, range);
        let window = ReadWindow { client: self.clone(), pieces, under_way: FuturesOrdered::new() };
        futures::stream::try_unfold(window, |mut window| async move {
            Ok(window.next().await?.map(|bytes| (bytes, window)))
        })
    }

    /// The ids of all blocks of a content, manifests before what they list. A block that stands for many equal pieces comes once
    /// for each manifest that lists it.
    pub fn block_ids(
        &self,
        volume: VolumeId,
        content: &FileContent,
        size: u64,
    ) -> impl Stream<Item = Result<BlockId, ClientError>> + Send + use<> {
        let blocks = FileBlocks::new(volume, content, size);
        futures::stream::try_unfold((self.clone(), blocks), |(client, mut blocks)| async move {
            let id = match blocks.next_block() {
                NextBlock::End => return Ok(None),
                NextBlock::Chunk(id) => id,
                NextBlock::Manifest(at) => {
                    blocks.give(&client.manifest(at.id).await?)?;
                    at.id
                }
            };
            Ok(Some((id, (client, blocks))))
        })
    }

    /// Where holes are from a place on, `max` of them at most, and how far it was looked: some manifests are enough for one answer, so
    /// that no question is without end.
    pub async fn holes(&self, file: &OpenFile, from: u64, max: usize) -> Result<(Vec<Range<u64>>, u64), ClientError> {
        let mut stretches = FileReader::new(file.volume, &file.content, file.size, from..file.size);
        let (mut holes, mut until, mut manifests): (Vec<Range<u64>>, u64, usize) = (Vec::new(), from, 0);
        loop {
            match stretches.next_stretch() {
                NextStretch::End => return Ok((holes, file.size)),
                NextStretch::Data(data) => until = data.end,
                NextStretch::Hole(hole) => {
                    let is_last = holes.len() == max;
                    match holes.last_mut().filter(|last| last.end == hole.start) {
                        Some(last) => last.end = hole.end,
                        None if is_last => return Ok((holes, hole.start)),
                        None => holes.push(hole.clone()),
                    }
                    until = hole.end;
                }
                NextStretch::Manifest(_) if manifests == MANIFESTS_OF_HOLES_MAX => return Ok((holes, until)),
                NextStretch::Manifest(at) => {
                    manifests += 1;
                    stretches.give(&self.manifest(at.id).await?)?;
                }
            }
        }
    }

    async fn manifest(&self, id: BlockId) -> Result<Block, ClientError> {
        if let Some(known) = self.manifests.get(&id) {
            return Ok(known);
        }
        let block = self.get_block(id).await?;
        self.manifests.keep(&block);
        Ok(block)
    }

    /// The bytes of a part of a chunk. They hold the permit.
    async fn part(self, part: FilePart, permit: Option<Permit>) -> Result<Bytes, ClientError> {
        let block = self.get_block(part.chunk.id).await?;
        let plaintext = self.pool.run(move || part.open(block)).await??;
        Ok(Bytes::from_owner(PermittedBytes { plaintext, _permit: permit }))
    }
}

struct PermittedBytes {
    plaintext: Bytes,
    _permit: Option<Permit>,
}

impl AsRef<[u8]> for PermittedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.plaintext
    }
}

type Fetch = BoxFuture<'static, Result<Bytes, ClientError>>;

/// Keeps some parts of a file under way, in order.
struct ReadWindow {
    client: Client,
    pieces: FileReader,
    under_way: FuturesOrdered<Fetch>,
}

impl ReadWindow {
    async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        self.fill().await?;
        self.under_way.next().await.transpose()
    }

    /// Asks for more. The part that is needed next never waits for memory; those ahead of it are not asked for without: a
    /// reader that stands still then cannot stop the others.
    async fn fill(&mut self) -> Result<(), ClientError> {
        while self.under_way.len() < WINDOW {
            let permit = self.client.memory.ahead();
            if permit.is_none() && !self.under_way.is_empty() {
                break;
            }
            let fetch: Fetch = match self.pieces.next_piece() {
                NextPart::End => break,
                NextPart::Bytes(bytes) => Box::pin(ready(Ok(bytes))),
                NextPart::Part(part) => Box::pin(self.client.clone().part(part, permit)),
                NextPart::Manifest(at) => {
                    self.pieces.give(&self.client.manifest(at.id).await?)?;
                    continue;
                }
            };
            self.under_way.push_back(fetch);
        }
        Ok(())
    }
}
