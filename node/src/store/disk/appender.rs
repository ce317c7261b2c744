//! The writing half of a disk: takes everything that is queued, appends it, syncs once, then acknowledges.
//!
//! Without threads and clocks, so that the tests can drive it operation by operation.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use fsdfs_core::seam::{DiskDone, WriteDone};
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::Possession;
use fsdfs_proto::record::{LogEntry, RecordHeader, RecordKind};

use crate::clock::wall_ms;
use crate::store::disk::append_batch::AppendBatch;
use crate::store::disk::attach;
use crate::store::disk::handle::{DiskHandle, DiskHealth};
use crate::store::disk::job::{AdoptDone, DiskJob, WriteJob, WriteRejection};
use crate::store::disk::staging::{StagingPlan, plan, present};
use crate::store::error::{StoreNotice, is_full};
use crate::store::index::{BlockIndex, IndexBatch, IndexError, IndexWatermark, PlacedRecord};
use crate::store::log::LogFolder;
use crate::store::segment::ActiveSegment;

/// Owned by the writer thread of a disk.
///
/// `next_sequence` is above every sequence number on the disk, `next_segment` above every segment's number; neither is used
/// twice, not even after an error. `watermark` is what the index was told last. While `active` is none, a batch begins a
/// new segment.
pub(crate) struct Appender {
    pub disk: Arc<DiskHandle>,
    pub log: LogFolder,
    pub active: Option<ActiveSegment>,
    pub next_segment: u64,
    pub next_sequence: u64,
    pub watermark: IndexWatermark,
    /// Times the index was given up since the start.
    pub index_rebuilds: u32,
    /// The index lies on the disk and will be whole when it is closed.
    pub index_kept: bool,
    /// The copy of the log could not be written.
    pub log_failed: bool,
}

/// What a commit leaves to its caller.
#[derive(Default)]
pub(crate) struct CommitLeftover {
    /// For another disk.
    pub rejected: Vec<(WriteJob, WriteRejection)>,
    /// Not begun, because the index must be made anew first.
    pub waiting: VecDeque<DiskJob>,
    /// Records of a segment that is compacted, of those that were to be moved.
    pub moved: usize,
}

impl Appender {
    /// Before [`Appender::recover`].
    pub fn new(disk: Arc<DiskHandle>, log: LogFolder) -> Self {
        let watermark = IndexWatermark::empty(disk.id);
        Self {
            disk,
            log,
            active: None,
            next_segment: 1,
            next_sequence: 1,
            watermark,
            index_rebuilds: 0,
            index_kept: false,
            log_failed: false,
        }
    }

    /// Carries out the jobs; each is durable before it is answered. `now` is wall milliseconds.
    pub fn commit(&mut self, jobs: impl IntoIterator<Item = DiskJob>, now: u64) -> CommitLeftover {
        let mut left = CommitLeftover::default();
        let (mut queue, mut copies, mut slices, mut removals) = (VecDeque::new(), Vec::new(), Vec::new(), Vec::new());
        for job in jobs {
            match job {
                DiskJob::Slice(slice) => slices.push(slice),
                DiskJob::Remove(removal) => removals.push(removal),
                DiskJob::Log(_) | DiskJob::SealLog | DiskJob::Compact(_) => copies.push(job),
                DiskJob::Rebuild | DiskJob::Stop => {}
                other => queue.push_back(other),
            }
        }
        self.carry_out(queue, now, &mut left);
        // Behind what others wait for.
        for slice in slices {
            self.compact(slice, now, &mut left);
        }
        removals.iter().for_each(|removal| self.remove(removal));
        self.copy_log(copies);
        self.disk.note_room();
        debug_assert!(left.waiting.is_empty() || self.disk.index().is_none(), "only a missing index makes jobs wait");
        left
    }

    /// Carries out jobs in as many runs as it takes: each is as much as fits into the segment that is open then.
    pub(super) fn carry_out(&mut self, mut queue: VecDeque<DiskJob>, now: u64, left: &mut CommitLeftover) {
        while !queue.is_empty() {
            if self.disk.health() != DiskHealth::Good {
                reject_all(&mut queue, WriteRejection::Failed, left);
            } else if let Some(index) = self.disk.index() {
                self.run(&index, &mut queue, now, left);
            } else {
                left.waiting = queue;
                return;
            }
        }
    }

    /// Nobody waits for the copy of the log, and somebody for the blocks: it comes behind them, and shares one sync. With one for
    /// each head of a member that writes without end, a block would wait for hundreds.
    fn copy_log(&mut self, jobs: Vec<DiskJob>) {
        let mut entries = Vec::new();
        for job in jobs {
            match job {
                DiskJob::Log(more) => entries.extend(more.iter().cloned()),
                DiskJob::SealLog => {
                    self.append_copies(&mut entries);
                    self.log.seal();
                }
                DiskJob::Compact(keep) => {
                    self.append_copies(&mut entries);
                    self.log(|log| log.compact(&keep));
                }
                _ => {}
            }
        }
        self.append_copies(&mut entries);
    }

    fn append_copies(&mut self, entries: &mut Vec<LogEntry>) {
        if !entries.is_empty() {
            let entries = mem::take(entries);
            self.log(|log| log.append(&entries));
        }
    }

    /// Takes from the queue what fits into the open segment, and commits it.
    pub(super) fn run(
        &mut self,
        index: &BlockIndex,
        queue: &mut VecDeque<DiskJob>,
        now: u64,
        left: &mut CommitLeftover,
    ) {
        if let Err(error) = self.open_segment() {
            let reject = self.failed(&error);
            return reject_all(queue, reject, left);
        }
        let mut run = AppendBatch::default();
        let mut batch = IndexBatch::new(index, self.watermark);
        let mut segment_full = false;
        while let Some(job) = queue.pop_front() {
            let active = self.active.as_ref().expect("opened above; only a write that fails takes it away");
            match plan(&self.disk, active, &job, &run, &batch, now) {
                Ok(StagingPlan::Append(records)) => {
                    if let Err(error) = self.stage(job, records, &mut run, &mut batch) {
                        self.disk.invalidate_index(&error);
                        break;
                    }
                }
                Ok(StagingPlan::NoRoom) => reject(job, WriteRejection::Full, left),
                Ok(StagingPlan::NextSegment) => {
                    queue.push_front(job);
                    segment_full = true;
                    break;
                }
                Err(error) => {
                    self.disk.invalidate_index(&error);
                    queue.push_front(job);
                    break;
                }
            }
        }
        self.finish(run, &batch, left);
        if let Some(active) = self.active.take_if(|_| segment_full)
            && let Err(error) = self.seal(active)
        {
            self.failed(&error);
        }
    }

    fn open_segment(&mut self) -> io::Result<()> {
        if self.active.is_none() {
            let number = self.next_segment;
            let dir = attach::segments(&self.disk.path);
            self.next_segment += 1;
            self.disk.scrub(|scrub| scrub.born(number, wall_ms()));
            let active = ActiveSegment::create(&*self.disk.file_system, &dir, self.disk.id, number)?;
            self.disk.grew(number, active.end);
            self.active = Some(active);
        }
        Ok(())
    }

    fn seal(&self, active: ActiveSegment) -> io::Result<()> {
        let number = active.number;
        let footer = active.seal()?;
        self.disk.counters.syncs.add(1);
        self.disk.counters.bytes.add(footer);
        let index = self.disk.index().map_or(0, |index| index.bytes());
        self.disk.grew(number, footer);
        self.disk.update_usage(|usage| usage.index = index);
        Ok(())
    }

    /// Gives the records their places and sequence numbers, and remembers whom to answer.
    fn stage(
        &mut self,
        job: DiskJob,
        records: Vec<(RecordHeader, Bytes)>,
        run: &mut AppendBatch,
        batch: &mut IndexBatch<'_>,
    ) -> Result<(), IndexError> {
        let done =
            if records.iter().any(|(_, payload)| !payload.is_empty()) { WriteDone::New } else { WriteDone::Already };
        let renewed = match &job {
            DiskJob::Renew(renew) => present(renew, batch)?,
            _ => Vec::new(),
        };
        let collected = match &job {
            DiskJob::Collect(collect) => {
                let planned: BTreeSet<BlockId> = records.iter().map(|(header, _)| header.id).collect();
                collect.copies.iter().map(|(id, ..)| planned.contains(id)).collect()
            }
            _ => Vec::new(),
        };
        let is_deleted = !records.is_empty();
        let before = run.bytes;
        for (header, payload) in records {
            let active = self.active.as_ref().expect("a run begins with an open segment");
            let header = RecordHeader { sequence: self.next_sequence, ..header };
            let head = header.encode(&active.marker);
            let head_len = u16::try_from(head.len()).expect("a header is at most RECORD_HEAD_BYTES_MAX long");
            let (segment, offset) = (active.number, active.end + run.bytes);
            let placed = PlacedRecord { segment, offset, head_len, header, whole: true };
            batch.record(&placed)?;
            self.next_sequence += 1;
            run.bytes += (head.len() + payload.len()) as u64;
            run.footer_bytes += head.len() as u64;
            run.records.push((placed, head, payload));
        }
        match job {
            DiskJob::Write(write) => run.writes.push((write, done)),
            DiskJob::Renew(renew) => run.renewed.push((renew.gather, renewed)),
            DiskJob::Delete(delete) => run.deleted.push((delete.answer, is_deleted)),
            DiskJob::Collect(collect) => run.collected.push((collect.answer, collected)),
            DiskJob::Adopt(adopt) => run.adopted.push(adopt),
            DiskJob::Move(moved) => {
                if matches!(moved.header.kind, RecordKind::Fact | RecordKind::Unknown(_)) {
                    batch.supersede_unknown(moved.segment, moved.head_len, &moved.header)?;
                }
                run.moved += 1;
                run.moved_bytes += run.bytes - before;
            }
            _ => {}
        }
        Ok(())
    }

    /// One write, one sync, then the index, then the answers.
    fn finish(&mut self, run: AppendBatch, batch: &IndexBatch<'_>, left: &mut CommitLeftover) {
        if !run.records.is_empty() {
            if let Err(error) = self.append(&run) {
                let why = self.failed(&error);
                left.rejected.extend(run.writes.into_iter().map(|(write, _)| (write, why)));
                run.adopted.iter().for_each(|adopt| adopt.answer(AdoptDone::Rejected(why)));
                return;
            }
            // Before anybody can find them in a list, so that whoever counts lists knows what they have in common.
            let mut copies = batch.copies();
            // What came from another disk of this node was on it before, and is now.
            let is_adopted = |id| run.adopted.iter().any(|adopt| Some(adopt.block.id()) == id);
            copies.retain(|change| change.before.is_some() || !is_adopted(change.id()));
            if !copies.is_empty() {
                (self.disk.notices)(StoreNotice::Changed(copies));
            }
            match batch.apply() {
                Ok(watermark) => {
                    self.watermark = watermark;
                    self.disk.note_books(batch.books(), &watermark);
                }
                // The records are durable all the same: only finding them has to wait.
                Err(error) => self.disk.invalidate_index(&error),
            }
            // Who walks through the index afterwards has seen it, who began before has to walk again.
            self.disk.note_commit();
        }
        left.moved += run.moved;
        self.disk.counters.compacted.add(run.moved_bytes);
        for (write, done) in run.writes {
            write.send(done);
        }
        for adopt in &run.adopted {
            adopt.answer(AdoptDone::Durable(adopt.block.id()));
        }
        for (gather, places) in run.renewed {
            places.iter().for_each(|place| gather.set(*place, Possession::Yes));
        }
        for (answer, is_deleted) in run.deleted {
            answer.send(DiskDone::Deleted(is_deleted));
        }
        for (answer, taken) in run.collected {
            answer.send(DiskDone::Collected(taken));
        }
    }

    fn append(&mut self, run: &AppendBatch) -> io::Result<()> {
        debug_assert_eq!(run.bytes, run.lengths(), "what is written is what was planned");
        let mut active = self.active.take().expect("a run begins with an open segment");
        let parts: Vec<&[u8]> = run
            .records
            .iter()
            .flat_map(|(_, head, payload)| [&head[..], &payload[..]])
            .filter(|part| !part.is_empty())
            .collect();
        if let Err(error) = active.file.write_at(&parts, active.end) {
            // Nothing of the run was acknowledged. If it can be taken back the segment goes on, else nobody writes behind it.
            if active.file.truncate(active.end).is_ok() && is_full(&error) {
                self.active = Some(active);
            }
            return Err(error);
        }
        if let Err(error) = active.file.sync_data() {
            // The kernel may have dropped the pages and count them as written, so neither they nor a second sync that
            // succeeds can be trusted: the segment ends before them and is never written to again.
            let _ = active.file.truncate(active.end);
            // A process short of memory is no excuse for that, so this error must not look like one.
            return Err(if is_full(&error) { error } else { io::Error::other(error) });
        }
        self.disk.counters.syncs.add(1);
        if !active.named {
            self.disk.file_system.sync_dir(&attach::segments(&self.disk.path))?;
            self.disk.counters.syncs.add(1);
            active.named = true;
        }
        for (placed, head, _) in &run.records {
            debug_assert!(
                placed.segment == active.number && placed.offset >= active.end,
                "records stand where the index says"
            );
            active.footer.push(placed.offset, head);
        }
        active.end += run.bytes;
        self.active = Some(active);
        self.disk.counters.records.add(run.records.len() as u64);
        self.disk.counters.bytes.add(run.bytes);
        self.disk.grew(self.active.as_ref().map_or(0, |active| active.number), run.bytes);
        Ok(())
    }

    /// A full disk is an expected outcome and may have room again; any other error ends its writing.
    pub(super) fn failed(&self, error: &io::Error) -> WriteRejection {
        if is_full(error) {
            return WriteRejection::Full;
        }
        self.disk.fail(error);
        WriteRejection::Failed
    }

    fn log(&mut self, act: impl FnOnce(&mut LogFolder) -> io::Result<()>) {
        if self.disk.health() != DiskHealth::Good {
            return;
        }
        let before = self.log.syncs;
        if let Err(error) = act(&mut self.log) {
            let path = self.disk.path.clone();
            if !mem::replace(&mut self.log_failed, true) {
                (self.disk.notices)(StoreNotice::LogFailed { path, error: error.to_string() });
            }
            if !is_full(&error) {
                self.disk.fail(&error);
            }
        } else if mem::take(&mut self.log_failed) {
            (self.disk.notices)(StoreNotice::LogBack { path: self.disk.path.clone() });
        }
        self.disk.counters.syncs.add(self.log.syncs - before);
        let bytes = self.log.bytes;
        self.disk.update_usage(|usage| usage.log = bytes);
    }

    /// Leaves the disk so that the next start has nothing to repair.
    pub fn close(&mut self) {
        let Some(index) = self.disk.index() else { return };
        self.disk.set_index(None);
        if let Err(error) = index.close() {
            tracing::warn!(disk = %self.disk.path.display(), %error, "the index did not close; the next start rebuilds it");
        } else if let Err(error) = self.end_session() {
            tracing::warn!(disk = %self.disk.path.display(), %error, "the next start rebuilds the index");
        }
    }
}

/// Entries for the copy on a disk: capabilities stay at home, because a disk may be sold.
pub(crate) fn for_disks(entries: &[LogEntry]) -> Vec<LogEntry> {
    entries.iter().filter(|entry| !matches!(entry, LogEntry::Capability(_))).cloned().collect()
}

/// Only writes go to another disk; a renewal that is not done stays "not yet".
fn reject(job: DiskJob, why: WriteRejection, left: &mut CommitLeftover) {
    match job {
        DiskJob::Write(write) => left.rejected.push((write, why)),
        DiskJob::Adopt(adopt) => adopt.answer(AdoptDone::Rejected(why)),
        _ => {}
    }
}

pub(super) fn reject_all(queue: &mut VecDeque<DiskJob>, why: WriteRejection, left: &mut CommitLeftover) {
    for job in mem::take(queue) {
        reject(job, why, left);
    }
}
