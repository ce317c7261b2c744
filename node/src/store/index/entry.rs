//! What the index knows of a block, of a deleted one, and of a segment.

use fsdfs_core::seam::{CopyState, DiskCopy};
use fsdfs_proto::codec::CanonicalCodec;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::record::{
    RECORD_KIND_MASK, RecordHeader, RecordInfo, RecordKind, SEGMENT_HEADER_BYTES, TRAILER_BYTES, add_redundancy,
};
use fsdfs_proto::volume::BlockKind;
use serde::{Deserialize, Serialize};

/// Bytes of a sealed segment that are neither records nor their entries in the footer.
const FRAME_BYTES: u64 = (SEGMENT_HEADER_BYTES + TRAILER_BYTES) as u64;

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
    /// Of the last one that said something new: a copy that was merely moved is what it was.
    pub changed: u64,
    /// See [`RecordInfo`].
    pub first_seen: u64,
    /// See [`RecordInfo`].
    pub renewed: u64,
    /// See [`RecordInfo`].
    pub receipt: BlockReceipt,
    /// See [`RecordInfo`].
    pub redundancies: Vec<Redundancy>,
    /// See [`RecordHeader::flags`]: what kind of block it is, and what a later version noted of it.
    pub noted: u16,
    /// The records without which, beside the block's own, a rebuild would not end at this entry; in the order of their sequence.
    pub words: Vec<LastWord>,
    /// Segments in which superseded copies of it lie, ascending. Some may be gone since.
    pub older: Vec<u64>,
}

impl CanonicalCodec for IndexEntry {}

/// A record without payload that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastWord {
    /// Its sequence, which tells it from all others.
    pub sequence: u64,
    /// Where it lies.
    pub segment: u64,
    /// Its length.
    pub head_len: u16,
    /// See [`RecordKind::code`].
    pub kind: u8,
}

impl CanonicalCodec for LastWord {}

impl LastWord {
    /// Bytes that a segment is longer for it when it is sealed.
    pub fn bytes(&self) -> u64 {
        2 * u64::from(self.head_len)
    }
}

impl IndexEntry {
    /// Its bytes do not fit its id.
    pub const DAMAGED: u8 = 1;
    /// About to be deleted.
    pub const CONDEMNED: u8 = 2;

    /// Whether this is a good copy, condemned or not.
    pub fn is_whole(&self) -> bool {
        self.flags & Self::DAMAGED == 0
    }

    /// Whether it is about to be deleted.
    pub fn is_condemned(&self) -> bool {
        self.flags & Self::CONDEMNED != 0
    }

    /// Whether possession questions are answered yes.
    pub fn is_held(&self) -> bool {
        self.flags == 0
    }

    /// What kind of block it is, if that is noted.
    pub fn kind(&self) -> Option<BlockKind> {
        let kinds = [BlockKind::Data, BlockKind::Manifest, BlockKind::Directory, BlockKind::Commit];
        kinds.into_iter().find(|kind| *kind as u16 == self.noted & RECORD_KIND_MASK)
    }

    /// Whether its record is the one at this place.
    pub fn is_at(&self, segment: u64, offset: u64) -> bool {
        (self.segment, self.offset) == (segment, offset)
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

    /// Bytes that a segment is longer for its record when it is sealed.
    pub fn record_bytes(&self) -> u64 {
        2 * u64::from(self.head_len) + u64::from(self.len)
    }

    /// A record without payload that repeats all that is known of the block.
    pub fn header(&self, kind: RecordKind, id: BlockId) -> RecordHeader {
        RecordHeader {
            kind,
            flags: self.noted,
            payload_len: 0,
            id,
            sequence: 0,
            first_seen: self.first_seen,
            renewed: self.renewed,
            receipt: self.receipt,
            redundancies: self.redundancies.clone(),
            payload_crc: 0,
        }
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
            // Condemning is the last time that counts of it.
            _ => CopyState::Condemned { since: self.renewed },
        };
        DiskCopy { info: self.info(id), state }
    }
}

/// What is left of a deleted block as long as a copy of it lies in some segment: without its delete record that copy would count
/// again after a rebuild.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tombstone {
    /// The delete record.
    pub record: LastWord,
    /// Segments in which copies lie, ascending; at least one.
    pub copies: Vec<u64>,
}

impl CanonicalCodec for Tombstone {}

/// What counts of a segment, in bytes that it is longer for it when it is sealed: records, and their entries in the footer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentBook {
    /// Copies, last words about blocks, deletions of blocks of which copies lie in other segments, and what a later version wrote.
    pub live: u64,
    /// Copies that are about to be deleted.
    pub condemned: u64,
}

impl CanonicalCodec for SegmentBook {}

impl SegmentBook {
    /// Nothing in it counts.
    pub fn is_empty(self) -> bool {
        self.kept() == 0
    }

    /// Bytes that would be copied if the segment were compacted.
    pub fn kept(self) -> u64 {
        self.live + self.condemned
    }

    /// Bytes of a segment of this length that are free once it was compacted. Of one that grows: what will be dead when it is sealed.
    pub fn dead(self, len: u64) -> u64 {
        len.saturating_sub(FRAME_BYTES + self.kept())
    }
}
