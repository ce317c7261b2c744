//! The writer's part in compaction: copies what is left of a segment behind its newest records, and deletes the segment.
//!
//! Promise: after a rebuild of the index from what is left, nothing that was deleted is there again, and nothing that is there is known
//! otherwise than before, whenever the power goes. What is copied is durable before the segment goes; that it is gone is durable
//! before a delete record is dropped for which it was needed.

use std::io;

use fsdfs_proto::ids::BlockId;

use crate::store::disk::appender::{Appender, CommitLeftover};
use crate::store::disk::attach;
use crate::store::disk::handle::DiskHealth;
use crate::store::disk::job::{CompactionDone, DiskJob, RemoveJob, SliceJob};
use crate::store::error::StoreNotice;
use crate::store::index::{BlockIndex, IndexBatch, IndexError, IndexWatermark, SegmentBook};
use crate::store::segment;

/// Tombstones that are changed at once.
const STRUCK_AT_ONCE: usize = 4_096;

enum RemoveError {
    Disk(io::Error),
    Index(IndexError),
}

impl From<io::Error> for RemoveError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<IndexError> for RemoveError {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl Appender {
    /// Copies records. `now` is wall milliseconds.
    pub(super) fn compact(&mut self, slice: SliceJob, now: u64, left: &mut CommitLeftover) {
        if self.disk.index().is_none() {
            return;
        }
        debug_assert!(left.waiting.is_empty(), "what waits for an index waits for all that comes behind it");
        let (wanted, before) = (slice.records.len(), left.moved);
        self.carry_out(slice.records.into_iter().map(DiskJob::Move).collect(), now, left);
        // They would be copied when the index was rebuilt; but their segment is looked at again then.
        left.waiting.clear();
        let is_done = left.moved - before == wanted;
        // The channel has a place for the answer, and who asked may have ended.
        let _ = slice.done.try_send(if is_done { CompactionDone::Durable } else { CompactionDone::Refused });
    }

    /// Deletes a segment in which nothing counts any more.
    pub(super) fn remove(&mut self, job: &RemoveJob) {
        let Some(index) = self.disk.index().filter(|_| self.disk.health() == DiskHealth::Good) else { return };
        let done = match self.remove_from(&index, job) {
            Ok(true) => CompactionDone::Durable,
            Ok(false) => CompactionDone::Refused,
            Err(RemoveError::Index(error)) => return self.disk.invalidate_index(&error),
            Err(RemoveError::Disk(error)) => {
                self.failed(&error);
                return;
            }
        };
        let _ = job.done.try_send(done);
    }

    fn remove_from(&mut self, index: &BlockIndex, job: &RemoveJob) -> Result<bool, RemoveError> {
        let number = job.segment;
        // The newest segments are left alone: their numbers must not be used again.
        let is_old = number < self.watermark.segment && self.watermark.segment != IndexWatermark::NOWHERE;
        let is_written_to = self.active.as_ref().is_some_and(|active| active.number <= number);
        let is_dead = index.book(number)?.is_none_or(SegmentBook::is_empty);
        if !is_old || is_written_to || !is_dead || self.disk.is_incomplete() {
            return Ok(false);
        }
        // Should the process end, its index must not lead there, nor lack a deletion that is said nowhere any more.
        index.flush()?;
        let dir = attach::segments(&self.disk.path);
        self.disk.file_system.remove(&dir.join(segment::file_name(number)))?;
        let bytes = self.disk.books(|books| books.get(number)).map_or(0, |segment| segment.len);
        self.disk.update_usage(|usage| usage.segments = usage.segments.saturating_sub(bytes));
        self.disk.forget_segment(number);
        self.disk.file_system.sync_dir(&dir)?;
        self.disk.counters.syncs.add(1);
        self.disk.counters.freed.add(bytes);
        self.strike(index, &[number], &job.deleted)?;
        (self.disk.notices)(StoreNotice::SegmentFreed { path: self.disk.path.clone(), segment: number, bytes });
        Ok(true)
    }

    /// These segments are gone, durably: no copy of these deleted blocks lies there any more.
    pub(super) fn strike(&mut self, index: &BlockIndex, gone: &[u64], deleted: &[BlockId]) -> Result<(), IndexError> {
        let mut parts = deleted.chunks(STRUCK_AT_ONCE).peekable();
        loop {
            let mut batch = IndexBatch::new(index, self.watermark);
            for id in parts.next().unwrap_or_default() {
                gone.iter().try_for_each(|segment| batch.strike(*id, *segment))?;
            }
            let is_last = parts.peek().is_none();
            if is_last {
                gone.iter().for_each(|segment| batch.drop_book(*segment));
            }
            self.watermark = batch.apply()?;
            self.disk.note_books(batch.books(), &self.watermark);
            if is_last {
                return Ok(());
            }
        }
    }

    /// Segments that were deleted before the process ended, of which the index does not know yet that they are gone. That they are is
    /// durable.
    pub(super) fn strike_missing(&mut self, index: &BlockIndex, segments: &[(u64, u64)]) -> Result<(), IndexError> {
        let is_there = |number: u64| segments.binary_search_by_key(&number, |(number, _)| *number).is_ok();
        let gone: Vec<u64> =
            index.books()?.iter().map(|(number, _)| *number).filter(|number| !is_there(*number)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let (mut deleted, mut after) = (Vec::new(), None);
        loop {
            let page = index.tombstones(after.as_ref(), STRUCK_AT_ONCE)?;
            let is_last = page.len() < STRUCK_AT_ONCE;
            after = page.last().map(|(id, _)| *id);
            let lay_there = page.iter().filter(|(_, stone)| stone.copies.iter().any(|copy| gone.contains(copy)));
            deleted.extend(lay_there.map(|(id, _)| *id));
            if is_last {
                return self.strike(index, &gone, &deleted);
            }
        }
    }
}
