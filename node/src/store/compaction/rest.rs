//! What is left of a segment that is compacted.

use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc;

use bytes::Bytes;
use fsdfs_core::seam::ReadDone;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::record::{RecordHeader, RecordKind};

use crate::store::disk::handle::DiskHandle;
use crate::store::disk::job::{CompactionDone, DiskJob, RemoveJob, SliceJob};
use crate::store::disk::moving::{MovedRecord, RecordUse, use_of};
use crate::store::fs::read_range;
use crate::store::index::{BlockIndex, IndexError};
use crate::store::segment::scan::SegmentScan;

/// Records looked at in one go at most, so that a segment full of dead ones is not gone through while users wait for its disk.
const RECORDS_AT_ONCE: usize = 4_096;

/// A segment whose records are gone through in order.
pub(super) struct RestOfSegment {
    pub number: u64,
    /// How often the disk had been read as at a start.
    pub recoveries: u64,
    records: Vec<(u64, RecordHeader)>,
    /// The first that was not looked at.
    next: usize,
    /// Records that this version does not understand and that were copied, by their places.
    copied: BTreeSet<u64>,
    /// A copy in it is damaged.
    damaged: Option<BlockId>,
    is_removed: bool,
}

/// For the disk's writer, and where the answer comes.
pub(crate) type CompactionJob = (DiskJob, mpsc::Receiver<CompactionDone>);

/// It cannot go on now: the disk is full or fails, or its index is being made. What was copied stays so.
#[derive(Debug)]
pub(crate) struct Interrupted;

/// What follows.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub(super) enum RestStep {
    Job(CompactionJob),
    /// The segment cannot go, because of this damaged copy or for a reason that does not pass.
    Kept(Option<BlockId>),
}

impl From<IndexError> for Interrupted {
    fn from(error: IndexError) -> Self {
        tracing::debug!(%error, "a segment is not compacted now");
        Self
    }
}

impl From<io::Error> for Interrupted {
    fn from(error: io::Error) -> Self {
        tracing::debug!(%error, "a segment is not compacted now");
        Self
    }
}

impl RestOfSegment {
    /// Reads what stands in it: its footer, or all if it has none.
    pub fn open(disk: &DiskHandle, number: u64) -> io::Result<Self> {
        let file = disk.segment(number)?;
        let mut records = Vec::new();
        let scan = SegmentScan { file: &*file, disk: disk.id, number, check_from: u64::MAX };
        scan.run(|placed, _| {
            records.push((placed.offset, placed.header.clone()));
            io::Result::Ok(())
        })?;
        let recoveries = disk.recoveries();
        Ok(Self { number, recoveries, records, next: 0, copied: BTreeSet::new(), damaged: None, is_removed: false })
    }

    /// Its removal was asked for.
    pub fn is_removed(&self) -> bool {
        self.is_removed
    }

    /// Copies of what counts, so many bytes at most or one record; then the removal.
    pub fn next(&mut self, disk: &DiskHandle, index: &BlockIndex, bytes: u64) -> Result<RestStep, Interrupted> {
        while self.next < self.records.len() {
            let slice = self.slice(disk, index, bytes)?;
            if !slice.is_empty() {
                let (done, answer) = mpsc::sync_channel(1);
                return Ok(RestStep::Job((DiskJob::Slice(SliceJob { records: slice, done }), answer)));
            }
        }
        if self.damaged.is_some() {
            return Ok(RestStep::Kept(self.damaged));
        }
        match self.deleted(index)? {
            Some(deleted) => {
                self.is_removed = true;
                let (done, answer) = mpsc::sync_channel(1);
                Ok(RestStep::Job((DiskJob::Remove(RemoveJob { segment: self.number, deleted, done }), answer)))
            }
            None => Ok(RestStep::Kept(None)),
        }
    }

    fn slice(&mut self, disk: &DiskHandle, index: &BlockIndex, bytes: u64) -> Result<Vec<MovedRecord>, Interrupted> {
        let (mut slice, mut taken, end) = (Vec::new(), 0, self.next + RECORDS_AT_ONCE);
        while taken < bytes && self.next < self.records.len().min(end) {
            let (offset, header) = self.records[self.next].clone();
            self.next += 1;
            let payload = match self.use_of(index, offset, &header)? {
                RecordUse::Dead => None,
                RecordUse::Damaged => {
                    self.damaged = Some(header.id);
                    None
                }
                RecordUse::Copy(_) => self.block(disk, &header)?,
                RecordUse::Word(_) | RecordUse::Deletion => Some(Bytes::new()),
                RecordUse::Unknown => {
                    self.copied.insert(offset);
                    Some(self.unknown(disk, offset, &header)?)
                }
            };
            let Some(payload) = payload else { continue };
            let head_len = head_len(&header);
            taken += u64::from(head_len) + payload.len() as u64;
            slice.push(MovedRecord { segment: self.number, offset, head_len, header, payload });
        }
        Ok(slice)
    }

    /// A block, its hash checked; none if it is damaged, or not here any more. That it is damaged is reported as with any read.
    fn block(&mut self, disk: &DiskHandle, header: &RecordHeader) -> Result<Option<Bytes>, Interrupted> {
        match disk.read(&header.id) {
            ReadDone::Found(block) => Ok(Some(block.bytes().clone())),
            ReadDone::Damaged => {
                self.damaged = Some(header.id);
                Ok(None)
            }
            ReadDone::No => Ok(None),
            ReadDone::Failed | ReadDone::NotYet => Err(Interrupted),
        }
    }

    /// What a later version wrote, verbatim.
    fn unknown(&self, disk: &DiskHandle, offset: u64, header: &RecordHeader) -> Result<Bytes, Interrupted> {
        let file = disk.segment(self.number)?;
        let payload = read_range(&*file, offset + u64::from(head_len(header)), header.payload_len.into())?;
        Ok(payload.into())
    }

    /// Deleted blocks of which copies lie here; none if something here counts still. What counts for nothing never does again, so this
    /// holds when the writer comes to it.
    fn deleted(&self, index: &BlockIndex) -> Result<Option<Vec<BlockId>>, IndexError> {
        let mut deleted = BTreeSet::new();
        for (offset, header) in &self.records {
            match self.use_of(index, *offset, header)? {
                RecordUse::Dead => {}
                RecordUse::Unknown if self.copied.contains(offset) => {}
                _ => return Ok(None),
            }
            let lies_here = header.kind == RecordKind::Block
                && index.tombstone(&header.id)?.is_some_and(|tombstone| tombstone.copies.contains(&self.number));
            if lies_here {
                deleted.insert(header.id);
            }
        }
        Ok(Some(deleted.into_iter().collect()))
    }

    fn use_of(&self, index: &BlockIndex, offset: u64, header: &RecordHeader) -> Result<RecordUse, IndexError> {
        use_of((self.number, offset), header, index.get(&header.id)?, || index.tombstone(&header.id))
    }
}

fn head_len(header: &RecordHeader) -> u16 {
    u16::try_from(header.encode(&[0; 8]).len()).expect("a header is at most RECORD_HEAD_BYTES_MAX long")
}
