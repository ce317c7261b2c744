//! The index of a disk: where each block lies, what was deleted, and what of each segment counts. A cache of the segments and
//! nothing more; whenever it errs it is thrown away and rebuilt.

mod batch;
mod entry;
pub(super) mod memory_index;
pub(super) mod sled_index;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fsdfs_proto::codec::{CanonicalCodec, FormatError, decode, encode};
use fsdfs_proto::ids::{BlockId, DiskId};
use serde::{Deserialize, Serialize};

pub(crate) use batch::{IndexBatch, PlacedRecord};
pub(crate) use entry::{IndexEntry, LastWord, SegmentBook, Tombstone};

/// The index cannot be used: it panicked, failed, or holds what was never put in. Remedy: rebuild it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct IndexError(pub String);

impl From<FormatError> for IndexError {
    fn from(error: FormatError) -> Self {
        Self(error.to_string())
    }
}

/// Keys with their values.
pub(crate) type IndexPairs = Vec<(Vec<u8>, Vec<u8>)>;

/// An ordered map of bytes on the disk. A trait because the engine must stay exchangeable (sled is in its last release) and
/// because sled cannot run on the tests' fake disk.
pub(crate) trait IndexEngine: Send + Sync {
    /// One value.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;
    /// At most `max` pairs with keys between these two, ascending.
    fn between(&self, after: &[u8], before: &[u8], max: usize) -> Result<IndexPairs, IndexError>;
    /// All of these, or nothing; `None` removes.
    fn apply(&self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), IndexError>;
    /// What was applied outlives the process from now on. A power cut it need not outlive.
    fn flush(&self) -> Result<(), IndexError>;
    /// Bytes on the disk.
    fn bytes(&self) -> u64;
    /// Makes everything durable. Afterwards every call is an error.
    fn close(&self) -> Result<(), IndexError>;
}

/// Where indexes come from.
pub(crate) trait IndexFactory: Send + Sync {
    /// The index in this folder; with `fresh` an empty one, and what was there is put aside.
    fn open(&self, dir: &Path, fresh: bool) -> Result<Arc<dyn IndexEngine>, IndexError>;
    /// Removes what was put aside.
    fn drop_aside(&self, dir: &Path);
}

/// What a key is for: its first byte.
const WATERMARK: u8 = 0;
const ENTRY: u8 = 1;
const TOMBSTONE: u8 = 2;
const BOOK: u8 = 3;

/// What the engine holds, by its meaning.
#[derive(Clone)]
pub(crate) struct BlockIndex(Arc<dyn IndexEngine>);

/// What changes; `None` removes.
#[derive(Clone, Debug, Default)]
pub(crate) struct IndexChanges {
    pub entries: BTreeMap<BlockId, Option<IndexEntry>>,
    pub tombstones: BTreeMap<BlockId, Option<Tombstone>>,
    pub books: BTreeMap<u64, Option<SegmentBook>>,
}

/// How far the segments are indexed, and how much the index holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexWatermark {
    /// The disk: an index copied from another one is noticed.
    pub disk: DiskId,
    /// Records before this place are indexed.
    pub segment: u64,
    /// Offset in it.
    pub offset: u64,
    /// Greatest write sequence indexed.
    pub sequence: u64,
    /// Entries of blocks.
    pub blocks: u64,
    /// Entries of deleted blocks.
    pub tombstones: u64,
}

impl CanonicalCodec for IndexWatermark {}

impl IndexWatermark {
    /// As the segment: a segment was left out and later ones were not, so the index cannot be completed, only rebuilt.
    /// Read belatedly, a good copy in that segment would be taken for an old one if its block was renewed since.
    pub const NOWHERE: u64 = u64::MAX;

    /// Nothing is indexed.
    pub fn empty(disk: DiskId) -> Self {
        Self { disk, segment: 0, offset: 0, sequence: 0, blocks: 0, tombstones: 0 }
    }

    /// Entries of all kinds.
    pub fn entries(&self) -> u64 {
        self.blocks + self.tombstones
    }
}

impl BlockIndex {
    pub fn new(engine: Arc<dyn IndexEngine>) -> Self {
        Self(engine)
    }

    /// The copy of a block.
    pub fn get(&self, id: &BlockId) -> Result<Option<IndexEntry>, IndexError> {
        self.value(&key(ENTRY, &id.0))
    }

    /// What is left of a deleted block.
    pub fn tombstone(&self, id: &BlockId) -> Result<Option<Tombstone>, IndexError> {
        self.value(&key(TOMBSTONE, &id.0))
    }

    /// What counts of a segment; none if there is no such segment, or nothing in it ever did.
    pub fn book(&self, segment: u64) -> Result<Option<SegmentBook>, IndexError> {
        self.value(&key(BOOK, &segment.to_be_bytes()))
    }

    /// At most `max` copies with ids after this one, ascending.
    pub fn list(&self, after: Option<&BlockId>, max: usize) -> Result<Vec<(BlockId, IndexEntry)>, IndexError> {
        self.of_blocks(ENTRY, after, max)
    }

    /// The same of what was deleted.
    pub fn tombstones(&self, after: Option<&BlockId>, max: usize) -> Result<Vec<(BlockId, Tombstone)>, IndexError> {
        self.of_blocks(TOMBSTONE, after, max)
    }

    /// Of all segments, ascending.
    pub fn books(&self) -> Result<Vec<(u64, SegmentBook)>, IndexError> {
        let pairs = self.0.between(&[BOOK], &[BOOK + 1], usize::MAX)?;
        let book = |(key, value): &(Vec<u8>, Vec<u8>)| {
            let number = key.get(1..).and_then(|number| number.try_into().ok()).map(u64::from_be_bytes);
            Ok((number.ok_or_else(|| IndexError("no segment has that number".into()))?, open(key, value)?))
        };
        pairs.iter().map(book).collect()
    }

    /// All changes and the watermark, or nothing.
    pub fn apply(&self, changes: &IndexChanges, watermark: &IndexWatermark) -> Result<(), IndexError> {
        let IndexChanges { entries, tombstones, books } = changes;
        let mut pairs = Vec::with_capacity(entries.len() + tombstones.len() + books.len() + 1);
        pairs.extend(entries.iter().map(|(id, entry)| change(key(ENTRY, &id.0), entry.as_ref())));
        pairs.extend(tombstones.iter().map(|(id, stone)| change(key(TOMBSTONE, &id.0), stone.as_ref())));
        pairs.extend(books.iter().map(|(number, book)| change(key(BOOK, &number.to_be_bytes()), book.as_ref())));
        pairs.push(change(key(WATERMARK, &[]), Some(watermark)));
        self.0.apply(pairs)
    }

    /// The last one applied.
    pub fn watermark(&self) -> Result<Option<IndexWatermark>, IndexError> {
        self.value(&key(WATERMARK, &[]))
    }

    /// See [`IndexEngine::flush`].
    pub fn flush(&self) -> Result<(), IndexError> {
        self.0.flush()
    }

    /// Bytes on the disk.
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    /// Makes everything durable. Afterwards every call is an error.
    pub fn close(&self) -> Result<(), IndexError> {
        self.0.close()
    }

    fn value<T: CanonicalCodec>(&self, key: &[u8]) -> Result<Option<T>, IndexError> {
        self.0.get(key)?.map(|value| open(key, &value)).transpose()
    }

    fn of_blocks<T: CanonicalCodec>(
        &self,
        kind: u8,
        after: Option<&BlockId>,
        max: usize,
    ) -> Result<Vec<(BlockId, T)>, IndexError> {
        let after = after.map_or_else(|| vec![kind], |id| key(kind, &id.0));
        let pairs = self.0.between(&after, &[kind + 1], max)?;
        let pair = |(key, value): &(Vec<u8>, Vec<u8>)| {
            let id =
                BlockId::try_from(key.get(1..).unwrap_or_default()).map_err(|error| IndexError(error.to_string()))?;
            Ok((id, open(key, value)?))
        };
        pairs.iter().map(pair).collect()
    }
}

fn key(kind: u8, name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + name.len());
    key.push(kind);
    key.extend_from_slice(name);
    key
}

fn change<T: CanonicalCodec>(key: Vec<u8>, value: Option<&T>) -> (Vec<u8>, Option<Vec<u8>>) {
    let value = value.map(|value| seal(&key, value));
    (key, value)
}

/// With a checksum over key and value: an engine that returns another key's value or flips a bit is found out.
fn seal<T: CanonicalCodec>(key: &[u8], value: &T) -> Vec<u8> {
    let mut bytes = encode(value);
    bytes.extend_from_slice(&checksum(key, &bytes).to_be_bytes());
    bytes
}

fn open<T: CanonicalCodec>(key: &[u8], bytes: &[u8]) -> Result<T, IndexError> {
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or_else(|| IndexError("a value is too short".into()))?;
    if checksum(key, body).to_be_bytes() != *crc {
        return Err(IndexError("the checksum of a value does not fit".into()));
    }
    Ok(decode(body)?)
}

fn checksum(key: &[u8], body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key);
    crc.update(body);
    crc.finalize()
}
