//! The index of a disk: where each block lies. A cache of the segments and nothing more; whenever it errs it is thrown
//! away and made anew.

pub(super) mod memory_index;
pub(super) mod sled_index;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use fsdfs_core::seam::{CopyChange, CopyState, DiskCopy};
use fsdfs_proto::codec::{CanonicalCodec, FormatError, decode, encode};
use fsdfs_proto::ids::{BlockId, DiskId};
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::record::{RecordHeader, RecordInfo, RecordKind, add_redundancy};
use serde::{Deserialize, Serialize};

/// The index cannot be used: it panicked, failed, or holds what was never put in. Remedy: rebuild it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct IndexError(pub String);

/// An ordered map on the disk, from block ids to entries. A trait because the engine must stay exchangeable (sled is in
/// its last release) and because sled cannot run on the tests' fake disk.
pub(crate) trait BlockIndex: Send + Sync {
    /// One entry.
    fn get(&self, id: &BlockId) -> Result<Option<IndexEntry>, IndexError>;
    /// At most `max` entries with ids after this one, ascending.
    fn list(&self, after: Option<&BlockId>, max: usize) -> Result<Vec<(BlockId, IndexEntry)>, IndexError>;
    /// All changes and the watermark, or nothing.
    fn apply(&self, changes: &IndexChanges, watermark: &IndexWatermark) -> Result<(), IndexError>;
    /// The last one applied.
    fn watermark(&self) -> Result<Option<IndexWatermark>, IndexError>;
    /// Bytes on the disk.
    fn bytes(&self) -> u64;
    /// Makes everything durable. Afterwards every call is an error.
    fn close(&self) -> Result<(), IndexError>;
}

/// Where indexes come from.
pub(crate) trait IndexFactory: Send + Sync {
    /// The index in this folder; with `fresh` an empty one, and what was there is put aside.
    fn open(&self, dir: &Path, fresh: bool) -> Result<Arc<dyn BlockIndex>, IndexError>;
    /// Removes what was put aside.
    fn drop_aside(&self, dir: &Path);
}

/// What changes; `None` removes.
pub(crate) type IndexChanges = BTreeMap<BlockId, Option<IndexEntry>>;

/// How far the segments are indexed, and what the index adds up to.
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
    /// Entries.
    pub blocks: u64,
    /// Bytes of the records they point at.
    pub live_bytes: u64,
}

impl CanonicalCodec for IndexWatermark {}

impl IndexWatermark {
    /// As the segment: a segment was left out and later ones were not, so the index cannot be completed, only made anew.
    /// Read belatedly, a good copy in that segment would be taken for an old one if its block was renewed since.
    pub const NOWHERE: u64 = u64::MAX;

    /// Nothing is indexed.
    pub fn empty(disk: DiskId) -> Self {
        Self { disk, segment: 0, offset: 0, sequence: 0, blocks: 0, live_bytes: 0 }
    }
}

/// What the index knows of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexEntry {
    /// Where its record begins.
    pub segment: u64,
    /// Where its record begins.
    pub offset: u64,
    /// The record's header.
    pub head_len: u16,
    /// The block.
    pub len: u32,
    /// [`IndexEntry::DAMAGED`], [`IndexEntry::CONDEMNED`].
    pub flags: u8,
    /// Of the last record about the block.
    pub sequence: u64,
    /// See [`RecordInfo`].
    pub first_seen: u64,
    /// See [`RecordInfo`].
    pub renewed: u64,
    /// See [`RecordInfo`].
    pub receipt: BlockReceipt,
    /// See [`RecordInfo`].
    pub redundancies: Vec<Redundancy>,
}

impl CanonicalCodec for IndexEntry {}

impl IndexEntry {
    /// Its bytes do not fit its id.
    pub const DAMAGED: u8 = 1;
    /// About to be deleted.
    pub const CONDEMNED: u8 = 2;

    /// Whether this is a good copy, condemned or not.
    pub fn is_whole(&self) -> bool {
        self.flags & Self::DAMAGED == 0
    }

    /// Whether possession questions are answered yes.
    pub fn is_held(&self) -> bool {
        self.flags == 0
    }

    /// Whether nothing would be lost if the other entry of the same block, on another disk, were lost.
    pub fn covers(&self, other: &Self) -> bool {
        let has = |wanted: &Redundancy| {
            let mut redundancies = self.redundancies.clone();
            !add_redundancy(&mut redundancies, *wanted)
        };
        self.is_held()
            && self.first_seen <= other.first_seen
            && self.renewed >= other.renewed
            && other.redundancies.iter().all(has)
    }

    /// Bytes of its record.
    pub fn record_bytes(&self) -> u64 {
        u64::from(self.head_len) + u64::from(self.len)
    }

    /// What the engine is told.
    pub fn info(&self, id: BlockId) -> RecordInfo {
        let Self { len, first_seen, renewed, receipt, .. } = *self;
        RecordInfo { id, len, redundancies: self.redundancies.clone(), first_seen, renewed, receipt }
    }

    /// What the engine is told when it changes.
    pub fn copy(&self, id: BlockId) -> DiskCopy {
        let state = match self.flags {
            0 => CopyState::Held,
            flags if flags & Self::DAMAGED != 0 => CopyState::Damaged,
            _ => CopyState::Condemned,
        };
        DiskCopy { info: self.info(id), state }
    }

    /// Value in the index, with a checksum over key and value: an engine that returns another key's value or flips a bit
    /// is found out.
    pub fn to_value(&self, id: &BlockId) -> Vec<u8> {
        let mut value = encode(self);
        value.extend_from_slice(&value_crc(id, &value).to_be_bytes());
        value
    }

    /// Reads [`IndexEntry::to_value`].
    pub fn from_value(id: &BlockId, value: &[u8]) -> Result<Self, FormatError> {
        let (body, crc) = value.split_last_chunk::<4>().ok_or_else(|| FormatError::Malformed("too short".into()))?;
        if value_crc(id, body).to_be_bytes() != *crc {
            return Err(FormatError::Malformed("its checksum does not fit".into()));
        }
        decode(body)
    }
}

fn value_crc(id: &BlockId, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&id.0);
    crc.update(body);
    crc.finalize()
}

/// A record as it lies in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacedRecord {
    /// Which segment.
    pub segment: u64,
    /// Where in it.
    pub offset: u64,
    /// Length of its header.
    pub head_len: u16,
    /// Its header.
    pub header: RecordHeader,
    /// False if its payload is known to be damaged.
    pub whole: bool,
}

/// Changes gathered on top of an index before they are applied at once.
pub(crate) struct IndexBatch<'a> {
    index: &'a dyn BlockIndex,
    changes: IndexChanges,
    /// What is in the index of the blocks that change.
    before: IndexChanges,
    /// As it will be.
    pub watermark: IndexWatermark,
}

impl<'a> IndexBatch<'a> {
    /// Begins with the index as it is.
    pub fn new(index: &'a dyn BlockIndex, watermark: IndexWatermark) -> Self {
        Self { index, changes: IndexChanges::new(), before: IndexChanges::new(), watermark }
    }

    /// The entry, as the changes so far leave it.
    pub fn get(&self, id: &BlockId) -> Result<Option<IndexEntry>, IndexError> {
        match self.changes.get(id) {
            Some(changed) => Ok(changed.clone()),
            None => self.index.get(id),
        }
    }

    /// Changed entries.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Takes in the next record of the disk.
    pub fn record(&mut self, placed: &PlacedRecord) -> Result<(), IndexError> {
        let id = placed.header.id;
        let before = self.get(&id)?;
        let after = follow(before.as_ref(), placed);
        let end = placed.offset + u64::from(placed.head_len) + u64::from(placed.header.payload_len);
        let watermark = &mut self.watermark;
        if watermark.segment != IndexWatermark::NOWHERE {
            (watermark.segment, watermark.offset) = (placed.segment, end);
        }
        watermark.sequence = watermark.sequence.max(placed.header.sequence);
        if after != before {
            if let Some(gone) = &before {
                debug_assert!(
                    watermark.blocks > 0 && watermark.live_bytes >= gone.record_bytes(),
                    "what goes was counted when it came"
                );
                watermark.blocks = watermark.blocks.saturating_sub(1);
                watermark.live_bytes = watermark.live_bytes.saturating_sub(gone.record_bytes());
            }
            if let Some(come) = &after {
                watermark.blocks += 1;
                watermark.live_bytes += come.record_bytes();
            }
            self.before.entry(id).or_insert(before);
            self.changes.insert(id, after);
        }
        Ok(())
    }

    /// What the changes mean for the copies on the disk.
    pub fn copies(&self) -> Vec<CopyChange> {
        let disk = self.watermark.disk;
        let copy = |id: &BlockId, entry: &Option<IndexEntry>| entry.as_ref().map(|entry| entry.copy(*id));
        let change = |(id, after)| CopyChange {
            disk,
            before: self.before.get(id).and_then(|before| copy(id, before)),
            after: copy(id, after),
        };
        self.changes.iter().map(change).collect()
    }

    /// Segments in which a copy lay that is not there any more.
    pub fn emptied(&self) -> BTreeSet<u64> {
        let now = |id: &BlockId| self.changes.get(id).and_then(Option::as_ref).map(|entry| entry.segment);
        let left = self.before.iter().filter_map(|(id, before)| {
            let segment = before.as_ref()?.segment;
            (now(id) != Some(segment)).then_some(segment)
        });
        left.collect()
    }

    /// Hands all changes to the index. Call it only when the records are durable.
    pub fn apply(self) -> Result<IndexWatermark, IndexError> {
        self.index.apply(&self.changes, &self.watermark)?;
        Ok(self.watermark)
    }
}

/// What is known of a block after one more record about it. Records are taken in in the order of their sequence; one
/// that was taken in before changes nothing.
fn follow(before: Option<&IndexEntry>, placed: &PlacedRecord) -> Option<IndexEntry> {
    let header = &placed.header;
    let Some(known) = before else {
        return (header.kind == RecordKind::Block).then(|| fresh(placed));
    };
    if header.sequence <= known.sequence {
        return Some(known.clone());
    }
    let known = IndexEntry { sequence: header.sequence, ..known.clone() };
    match header.kind {
        // A damaged copy does not displace a good one.
        RecordKind::Block if placed.whole || !known.is_whole() => Some(fresh(placed)),
        RecordKind::Renewal => Some(IndexEntry {
            flags: known.flags & !IndexEntry::CONDEMNED,
            first_seen: header.first_seen,
            renewed: header.renewed,
            receipt: header.receipt,
            redundancies: header.redundancies.clone(),
            ..known
        }),
        // Its time is that of the condemnation, from which the second grace counts.
        RecordKind::Condemn => {
            Some(IndexEntry { flags: known.flags | IndexEntry::CONDEMNED, renewed: header.renewed, ..known })
        }
        RecordKind::SetAside => Some(IndexEntry { flags: known.flags | IndexEntry::DAMAGED, ..known }),
        RecordKind::Delete => None,
        RecordKind::Block | RecordKind::Fact | RecordKind::Unknown(_) => Some(known),
    }
}

fn fresh(placed: &PlacedRecord) -> IndexEntry {
    let header = &placed.header;
    IndexEntry {
        segment: placed.segment,
        offset: placed.offset,
        head_len: placed.head_len,
        len: header.payload_len,
        flags: if placed.whole { 0 } else { IndexEntry::DAMAGED },
        sequence: header.sequence,
        first_seen: header.first_seen,
        renewed: header.renewed,
        receipt: header.receipt,
        redundancies: header.redundancies.clone(),
    }
}
