//! Contents of files, for gateways: pieces in, a [`FileContent`] out; a [`FileContent`] and a range in, pieces out (spec 05-volume §5).

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use bytes::Bytes;
use fsdfs_proto::block::Block;
use fsdfs_proto::codec::bound;
use fsdfs_proto::ids::VolumeId;
use fsdfs_proto::volume::{Manifest, WriteKeys, open_data_in_place};

use super::{BlockRef, FileContent, TreeError, TreeParams};

/// Builds the tree above the chunks of a file while they come. Holds at most one manifest a level.
pub struct FileWriter {
    keys: WriteKeys,
    params: TreeParams,
    copies: u8,
    size: u64,
    /// The manifests being filled, those of chunks first.
    levels: Vec<ChunkFilling>,
}

/// None: a hole.
#[derive(Default)]
struct ChunkFilling {
    children: Vec<Option<BlockRef>>,
    size: u64,
}

/// Equal pieces that follow each other.
#[derive(Clone, Copy)]
struct EqualPieces {
    piece: Option<BlockRef>,
    piece_bytes: u64,
    count: u64,
}

impl FileWriter {
    /// For an empty file. `copies` is the redundancy of the blocks below a manifest.
    pub fn new(keys: WriteKeys, params: TreeParams, copies: u8) -> Self {
        Self { keys, params, copies, size: 0, levels: Vec::new() }
    }

    /// Takes the next chunk of `bytes` of plaintext. Returns manifests that are complete now and have to be stored.
    ///
    /// # Panics
    /// If an earlier chunk was not full, or this one is empty or too long.
    pub fn push(&mut self, chunk: BlockRef, bytes: usize) -> Vec<Block> {
        self.check_full();
        assert!((1..=self.params.chunk_bytes).contains(&bytes), "a chunk is neither empty nor too long");
        let mut blocks = Vec::new();
        self.add(0, EqualPieces { piece: Some(chunk), piece_bytes: bytes as u64, count: 1 }, &mut blocks);
        self.size += bytes as u64;
        blocks
    }

    /// Takes so many whole chunks of zeros, which need no block. Returns manifests that are complete now. What it costs grows with
    /// the depth of the file, not with its size.
    ///
    /// # Panics
    /// As [`FileWriter::push`] does.
    pub fn push_hole(&mut self, chunks: u64) -> Vec<Block> {
        self.check_full();
        let chunk_bytes = self.params.chunk_bytes as u64;
        let mut blocks = Vec::new();
        self.add(0, EqualPieces { piece: None, piece_bytes: chunk_bytes, count: chunks }, &mut blocks);
        self.size += chunks * chunk_bytes;
        blocks
    }

    fn check_full(&self) {
        let full = self.params.chunk_bytes as u64;
        assert!(self.size.is_multiple_of(full), "only the last chunk of a file may be short");
    }

    /// Where the content is, its length, and the manifests that remain to be stored, children before parents.
    pub fn finish(mut self) -> (FileContent, u64, Vec<Block>) {
        let mut blocks = Vec::new();
        for level in 0.. {
            let is_top = level + 1 == self.levels.len();
            match self.levels.get(level).map(|filling| &filling.children[..]) {
                None => return (FileContent::Inline(Bytes::new()), 0, blocks),
                Some(&[Some(root)]) if is_top => return (tree(root, level), self.size, blocks),
                // A file is never a hole only: somebody has to say how large it is.
                Some(_) if is_top => {
                    let (block, root) = self.seal(level);
                    blocks.push(block);
                    return (tree(root, level + 1), self.size, blocks);
                }
                Some(_) => self.close(level, &mut blocks),
            }
        }
        unreachable!("each level has at most half as many blocks as the one below")
    }

    /// A full manifest is closed when its next sibling begins, not before: it may be the root.
    fn add(&mut self, level: usize, pieces: EqualPieces, blocks: &mut Vec<Block>) {
        let EqualPieces { piece, piece_bytes, count: mut left } = pieces;
        let fan_out = self.params.fan_out as u64;
        while left > 0 {
            if self.levels.len() == level {
                self.levels.push(ChunkFilling::default());
            }
            let filled = self.levels[level].children.len() as u64;
            if filled == fan_out {
                self.close(level, blocks);
            } else if filled == 0 && piece.is_none() && left > fan_out {
                let whole = (left - 1) / fan_out;
                let above = EqualPieces { piece: None, piece_bytes: piece_bytes * fan_out, count: whole };
                self.add(level + 1, above, blocks);
                left -= whole * fan_out;
            } else {
                let now = left.min(fan_out - filled);
                let filling = &mut self.levels[level];
                filling.children.extend(std::iter::repeat_n(piece, usize::try_from(now).expect("at most the fan-out")));
                filling.size += now * piece_bytes;
                left -= now;
            }
        }
    }

    fn close(&mut self, level: usize, blocks: &mut Vec<Block>) {
        let ChunkFilling { children, size } = &self.levels[level];
        if children.is_empty() {
            return;
        }
        let (is_hole, piece_bytes) = (children.iter().all(Option::is_none), *size);
        let piece = if is_hole {
            self.levels[level] = ChunkFilling::default();
            None
        } else {
            let (block, at) = self.seal(level);
            blocks.push(block);
            Some(at)
        };
        self.add(level + 1, EqualPieces { piece, piece_bytes, count: 1 }, blocks);
    }

    /// The manifest that is being filled; another one begins.
    fn seal(&mut self, level: usize) -> (Block, BlockRef) {
        let ChunkFilling { children, size } = std::mem::take(&mut self.levels[level]);
        let number = |size: usize| u32::try_from(size).expect("sizes that shape trees are far below 4 GiB");
        let (chunk_bytes, fan_out) = (number(self.params.chunk_bytes), number(self.params.fan_out));
        let level = u8::try_from(level + 1).expect("a file's size has 64 bits");
        Manifest { level, chunk_bytes, fan_out, size, children }.seal(&self.keys, self.copies)
    }
}

fn tree(root: BlockRef, depth: usize) -> FileContent {
    FileContent::Tree { root, depth: u8::try_from(depth).expect("a file's size has 64 bits") }
}

/// Finds the pieces of a range of a file, opening only the manifests above them.
#[derive(Clone, Debug)]
pub struct FileReader {
    volume: VolumeId,
    range: Range<u64>,
    inline: Option<Bytes>,
    queue: VecDeque<ManifestSubtree>,
}

/// What a [`FileReader`] comes to next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextPart {
    /// Bytes that are at hand.
    Bytes(Bytes),
    /// Fetch this block and [`FileReader::give`] it, then ask again.
    Manifest(BlockRef),
    /// A part of a chunk: fetch its block and [`FilePart::open`] it.
    Part(FilePart),
    /// The range is complete.
    End,
}

/// A part of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePart {
    /// The chunk.
    pub chunk: BlockRef,
    /// Which of its bytes.
    pub bytes: Range<usize>,
    size: usize,
    volume: VolumeId,
}

/// What a walk for holes comes to next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextStretch {
    /// These bytes are zeros that no block stands for.
    Hole(Range<u64>),
    /// These have a block.
    Data(Range<u64>),
    /// Fetch this block and [`FileReader::give`] it, then ask again.
    Manifest(BlockRef),
    /// The range is complete.
    End,
}

/// Zeros of a hole are handed out in pieces of so many.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Bytes of the file from `start` on lie below `root`; without one they are zeros.
#[derive(Clone, Debug)]
struct ManifestSubtree {
    root: Option<BlockRef>,
    level: u8,
    start: u64,
    size: u64,
}

impl FileReader {
    /// For a range of a file of `size` bytes; what lies beyond its end is left out.
    pub fn new(volume: VolumeId, content: &FileContent, size: u64, range: Range<u64>) -> Self {
        let range = range.start.min(size)..range.end.min(size);
        let mut reader = Self { volume, range, inline: None, queue: VecDeque::new() };
        match content {
            FileContent::Inline(bytes) | FileContent::Symlink(bytes) => reader.inline = Some(bytes.clone()),
            FileContent::Tree { root, depth } => {
                let subtree = ManifestSubtree { root: Some(*root), level: *depth, start: 0, size };
                reader.queue.extend(subtree.touches(&reader.range).then_some(subtree));
            }
        }
        reader
    }

    /// The next piece, which is then done with; or the manifest without which it is not known.
    pub fn next_piece(&mut self) -> NextPart {
        if let Some(bytes) = self.inline.take() {
            let end = usize::try_from(self.range.end).map_or(bytes.len(), |end| end.min(bytes.len()));
            let start = usize::try_from(self.range.start).map_or(end, |start| start.min(end));
            return NextPart::Bytes(bytes.slice(start..end));
        }
        let Some(mut next) = self.queue.pop_front() else { return NextPart::End };
        match next.root {
            None => {
                let zeros = next.take_zeros(&self.range);
                if next.size > 0 && next.touches(&self.range) {
                    self.queue.push_front(next);
                }
                NextPart::Bytes(Bytes::from_static(&ZEROS[..zeros]))
            }
            Some(chunk) if next.level == 0 => NextPart::Part(next.part(self.volume, chunk, &self.range)),
            Some(manifest) => {
                self.queue.push_front(next);
                NextPart::Manifest(manifest)
            }
        }
    }

    /// The next stretch that is a hole or has a block of its own, which is then done with; or the manifest without which it is not
    /// known. Nothing is fetched for it but manifests.
    pub fn next_stretch(&mut self) -> NextStretch {
        if self.inline.take().is_some() {
            return NextStretch::Data(self.range.clone());
        }
        let Some(next) = self.queue.pop_front() else { return NextStretch::End };
        let bytes = next.start.max(self.range.start)..(next.start + next.size).min(self.range.end);
        match next.root {
            None => NextStretch::Hole(bytes),
            Some(_) if next.level == 0 => NextStretch::Data(bytes),
            Some(manifest) => {
                self.queue.push_front(next);
                NextStretch::Manifest(manifest)
            }
        }
    }

    /// The first `max` blocks that will be needed, as far as they are known: to be fetched ahead.
    pub fn ahead(&self, max: usize) -> Vec<BlockRef> {
        let mut seen = BTreeSet::new();
        self.queue.iter().filter_map(|subtree| subtree.root).filter(|root| seen.insert(*root)).take(max).collect()
    }

    /// Takes in a manifest that was asked for.
    pub fn give(&mut self, block: &Block) -> Result<(), TreeError> {
        let known =
            |subtree: &ManifestSubtree| subtree.level > 0 && subtree.root.is_some_and(|root| root.id == block.id());
        let Some(at) = self.queue.iter().position(known) else { return Ok(()) };
        let mut behind = self.queue.split_off(at);
        let parent = behind.pop_front().expect("split before it");
        self.queue.extend(parent.children(self.volume, block, &self.range)?);
        self.queue.append(&mut behind);
        Ok(())
    }
}

impl ManifestSubtree {
    fn touches(&self, range: &Range<u64>) -> bool {
        self.start < range.end && range.start < self.start + self.size
    }

    fn children(&self, volume: VolumeId, block: &Block, range: &Range<u64>) -> Result<Vec<Self>, TreeError> {
        let root = self.root.expect("a hole has no manifest");
        let manifest = Manifest::open(volume, root, block)?;
        bound(manifest.level == self.level && manifest.size == self.size, "the level or size of a manifest")?;
        let each = manifest.child_bytes().unwrap_or(u64::MAX);
        let child = |(at, root): (usize, &Option<BlockRef>)| {
            let offset = at as u64 * each;
            Self { root: *root, level: self.level - 1, start: self.start + offset, size: each.min(self.size - offset) }
        };
        Ok(manifest.children.iter().enumerate().map(child).filter(|child| child.touches(range)).collect())
    }

    /// Of a hole: the next zeros in the range, which are then done with.
    fn take_zeros(&mut self, range: &Range<u64>) -> usize {
        let from = self.start.max(range.start);
        let left = (self.start + self.size).min(range.end) - from;
        let zeros = left.min(ZEROS.len() as u64);
        (self.size, self.start) = (self.start + self.size - (from + zeros), from + zeros);
        usize::try_from(zeros).expect("no more than there are at hand")
    }

    fn part(&self, volume: VolumeId, chunk: BlockRef, range: &Range<u64>) -> FilePart {
        let within = |at: u64| usize::try_from(at.clamp(self.start, self.start + self.size) - self.start);
        let fits = "a chunk is at most 1 MiB long";
        let bytes = within(range.start).expect(fits)..within(range.end).expect(fits);
        FilePart { chunk, bytes, size: usize::try_from(self.size).expect(fits), volume }
    }
}

impl FilePart {
    /// Opens the chunk's block, where it lies if nobody else holds it, and takes the part out.
    pub fn open(&self, block: Block) -> Result<Bytes, TreeError> {
        let chunk = open_data_in_place(self.volume, self.chunk, block)?;
        bound(chunk.len() == self.size, "the length of a chunk")?;
        Ok(chunk.slice(self.bytes.clone()))
    }
}
