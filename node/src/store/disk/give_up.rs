//! Segments in which nothing current is left are deleted whole: the only way in which bytes of blocks become free.
//!
//! Promise: after a rebuild of the index from what is left, nothing that was deleted is there again, and nothing that is there is known
//! otherwise than before, whenever the power goes.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::mem;

use fsdfs_proto::ids::BlockId;
use fsdfs_proto::record::{RecordHeader, RecordKind};

use crate::store::disk::appender::{Appender, CommitLeftover};
use crate::store::disk::attach;
use crate::store::disk::handle::DiskHealth;
use crate::store::disk::job::DiskJob;
use crate::store::error::StoreNotice;
use crate::store::index::{BlockIndex, IndexError, IndexWatermark};
use crate::store::segment::{self, scan::SegmentScan};

/// Deletions that are said once more in one commit.
const BURIED_AT_ONCE: usize = 1_024;

/// What a segment is still needed for.
enum SegmentUse {
    /// The last word about this block, or its bytes, stand there.
    Needed(BlockId),
    /// Nobody knows what is in it, or it is not to be touched.
    Unknown,
    /// These were deleted in it, and nothing else is said that counts.
    Nothing(Vec<RecordHeader>),
}

enum GiveUpError {
    Disk(io::Error),
    Index(IndexError),
}

impl From<io::Error> for GiveUpError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<IndexError> for GiveUpError {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl Appender {
    /// Deletes those of the segments that lost copies in which nothing is left. `now` is wall milliseconds.
    pub(super) fn give_up_emptied(&mut self, index: &dyn BlockIndex, now: u64, left: &mut CommitLeftover) {
        for number in mem::take(&mut self.emptied) {
            match self.give_up(index, number, now, left) {
                Ok(()) => {}
                Err(GiveUpError::Index(error)) => return self.disk.invalidate_index(&error),
                Err(GiveUpError::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(GiveUpError::Disk(error)) => {
                    self.failed(&error);
                    return;
                }
            }
        }
    }

    fn give_up(
        &mut self,
        index: &dyn BlockIndex,
        number: u64,
        now: u64,
        left: &mut CommitLeftover,
    ) -> Result<(), GiveUpError> {
        let deleted = match self.use_of(index, number)? {
            SegmentUse::Needed(id) => {
                self.kept_for.insert(number, id);
                return Ok(());
            }
            SegmentUse::Unknown => return Ok(()),
            SegmentUse::Nothing(deleted) => deleted,
        };
        let dir = attach::segments(&self.disk.path);
        let others = self.disk.file_system.list(&dir)?;
        let has_older = others.iter().filter_map(|(name, _)| segment::number_of(name)).any(|other| other < number);
        // An older segment may hold a copy of what was deleted here: without this it would be there again.
        for part in deleted.chunks(BURIED_AT_ONCE).filter(|_| has_older) {
            if !self.bury(index, part, now, left) {
                return Ok(());
            }
        }
        if !has_older {
            // That the older ones are gone must be durable before what was said about them goes, too.
            self.disk.file_system.sync_dir(&dir)?;
        }
        let path = dir.join(segment::file_name(number));
        let bytes = others.iter().find(|(name, _)| segment::number_of(name) == Some(number)).map_or(0, |(_, len)| *len);
        self.disk.file_system.remove(&path)?;
        self.disk.file_system.sync_dir(&dir)?;
        self.disk.counters.syncs.add(1);
        self.disk.forget_segment(number);
        self.kept_for.remove(&number);
        self.disk.update_usage(|usage| usage.segments = usage.segments.saturating_sub(bytes));
        self.disk.note_room();
        (self.disk.notices)(StoreNotice::SegmentFreed { path: self.disk.path.clone(), segment: number, bytes });
        Ok(())
    }

    /// Whether it is said durably.
    fn bury(&mut self, index: &dyn BlockIndex, deleted: &[RecordHeader], now: u64, left: &mut CommitLeftover) -> bool {
        let known = |header: &&RecordHeader| matches!(index.get(&header.id), Ok(None));
        let expected = deleted.iter().filter(known).count() as u64;
        let before = self.watermark.sequence;
        let mut queue = VecDeque::from([DiskJob::Bury(deleted.to_vec())]);
        // It may have to begin a new segment first.
        while !queue.is_empty() && self.disk.index().is_some() && self.disk.health() == DiskHealth::Good {
            self.run(index, &mut queue, now, left);
        }
        self.watermark.sequence >= before + expected
    }

    /// What stands in it, held against the index. The newest segments are left alone: their numbers must not be used again.
    fn use_of(&self, index: &dyn BlockIndex, number: u64) -> Result<SegmentUse, GiveUpError> {
        let is_old = number < self.watermark.segment && self.watermark.segment != IndexWatermark::NOWHERE;
        let is_written_to = self.active.as_ref().is_some_and(|active| active.number <= number);
        if !is_old || is_written_to || self.disk.is_incomplete() {
            return Ok(SegmentUse::Unknown);
        }
        if let Some(id) = self.kept_for.get(&number)
            && index.get(id)?.is_some_and(|entry| entry.segment == number)
        {
            return Ok(SegmentUse::Needed(*id));
        }
        let file = self.disk.segment(number)?;
        let scan = SegmentScan { file: &*file, disk: self.disk.id, number, check_from: u64::MAX };
        let Some(records) = scan.sealed()? else { return Ok(SegmentUse::Unknown) };
        let mut deleted = BTreeMap::new();
        for (offset, header) in records {
            let entry = index.get(&header.id)?;
            let is_needed = match header.kind {
                RecordKind::Block => {
                    entry.as_ref().is_some_and(|entry| (entry.segment, entry.offset) == (number, offset))
                }
                // The last word about the block; or one of those that the later ones do not repeat: that it is condemned, or damaged.
                RecordKind::Renewal | RecordKind::Condemn | RecordKind::SetAside => {
                    entry.as_ref().is_some_and(|entry| entry.sequence == header.sequence || !entry.is_held())
                }
                RecordKind::Delete => false,
                RecordKind::Fact | RecordKind::Unknown(_) => return Ok(SegmentUse::Unknown),
            };
            if is_needed {
                return Ok(SegmentUse::Needed(header.id));
            }
            if header.kind == RecordKind::Delete && entry.is_none() {
                deleted.insert(header.id, header);
            }
        }
        Ok(SegmentUse::Nothing(deleted.into_values().collect()))
    }
}
