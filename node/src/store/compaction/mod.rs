//! Compaction: what is left of segments in which much is dead is copied behind the newest records, and they are deleted. The only way
//! in which bytes of blocks become free.
//!
//! Promise: what can be read stays what it is, damaged copies stay where they are and are reported, and at no time more than the rest
//! of one segment of each disk lies there twice. A thread reads and decides; a disk's writer copies between its commits, in slices
//! that users hardly notice ([`pace`]), checks once more that nothing counts in the segment, and deletes it.

mod pace;
mod rest;
mod victim;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use fsdfs_proto::ids::BlockId;

use super::disk::handle::{DiskHandle, DiskHealth, is_shortage};
use super::disk::job::CompactionDone;
use super::disk_set::DiskSet;
use super::threads::LOOK_AGAIN;
pub(crate) use rest::{CompactionJob, Interrupted};
use rest::{RestOfSegment, RestStep};

/// How often it is looked whether something is worth it.
const LOOK_FOR_VICTIM: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(1) };

/// The thread.
pub(crate) struct Compactor {
    shared: Arc<DiskSet>,
    /// Ends it.
    stop: Receiver<()>,
    /// By their folders: a disk that takes the place of a lost one may have its id.
    disks: BTreeMap<PathBuf, PacedCompaction>,
}

struct PacedCompaction {
    disk: Arc<DiskHandle>,
    compaction: DiskCompaction,
    not_before: Instant,
}

/// The compaction of one disk: at most one segment at a time.
#[derive(Default)]
pub(crate) struct DiskCompaction {
    rest: Option<RestOfSegment>,
    /// Segments that cannot go as long as a damaged copy lies there; none: as long as this process runs.
    kept: BTreeMap<u64, Option<BlockId>>,
}

/// The store is closed.
struct Stopped;

impl Compactor {
    pub fn new(shared: Arc<DiskSet>, stop: Receiver<()>) -> Self {
        Self { shared, stop, disks: BTreeMap::new() }
    }

    /// Until the store is closed.
    pub fn run(mut self) {
        loop {
            let mut is_idle = true;
            for disk in self.shared.disks() {
                match self.step(&disk) {
                    Ok(worked) => is_idle &= !worked,
                    Err(Stopped) => return,
                }
            }
            if is_idle && self.waits(LOOK_FOR_VICTIM).is_err() {
                return;
            }
        }
    }

    /// One slice, if anything is worth it. Whether there was one.
    fn step(&mut self, disk: &Arc<DiskHandle>) -> Result<bool, Stopped> {
        let now = Instant::now();
        let new = || PacedCompaction { disk: disk.clone(), compaction: DiskCompaction::default(), not_before: now };
        let paced = self.disks.entry(disk.path.clone()).or_insert_with(new);
        if !Arc::ptr_eq(&paced.disk, disk) {
            *paced = new();
        }
        let PacedCompaction { compaction, not_before, .. } = paced;
        if now < *not_before {
            return Ok(false);
        }
        let slice = pace::next(self.shared.idle_for(), disk.is_low());
        let (job, answer) = match compaction.next(disk, slice.bytes) {
            Ok(Some(job)) => job,
            Ok(None) => return Ok(false),
            Err(Interrupted) => {
                *not_before = now + LOOK_AGAIN;
                return Ok(false);
            }
        };
        let begun = Instant::now();
        let _ = disk.queue.send(job);
        // Its writer answers, or drops the question.
        let answer = answer.recv();
        if compaction.done(answer.ok()).is_err() {
            *not_before = now + LOOK_AGAIN;
        }
        self.waits(begun.elapsed() * slice.rest)?;
        Ok(true)
    }

    fn waits(&self, so_long: Duration) -> Result<(), Stopped> {
        match self.stop.recv_timeout(so_long) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Stopped),
        }
    }
}

impl DiskCompaction {
    /// What the writer is to do next; none as long as nothing is worth it.
    pub fn next(&mut self, disk: &DiskHandle, bytes: u64) -> Result<Option<CompactionJob>, Interrupted> {
        // A disk that its owner has emptied takes no records: it may be about to fail.
        let is_ready = disk.health() == DiskHealth::Good && !disk.is_incomplete() && !disk.is_drained();
        let Some(index) = disk.index().filter(|_| is_ready) else {
            self.rest = None;
            return Ok(None);
        };
        // What was read of a segment belongs to the disk as it was then.
        self.rest.take_if(|rest| rest.recoveries != disk.recoveries());
        loop {
            if self.rest.is_none() {
                let Some(number) = self.choose(disk) else { return Ok(None) };
                self.open(disk, number)?;
            }
            let Some(rest) = &mut self.rest else { continue };
            let number = rest.number;
            match rest.next(disk, &index, bytes) {
                Ok(RestStep::Job(job)) => return Ok(Some(job)),
                Ok(RestStep::Kept(why)) => {
                    self.kept.insert(number, why);
                    self.rest = None;
                }
                Err(Interrupted) => {
                    self.rest = None;
                    return Err(Interrupted);
                }
            }
        }
    }

    /// One that cannot be read is no reason to leave all others as they are.
    fn open(&mut self, disk: &DiskHandle, number: u64) -> Result<(), Interrupted> {
        match RestOfSegment::open(disk, number) {
            Ok(rest) => self.rest = Some(rest),
            Err(error) if is_shortage(&error) => return Err(Interrupted),
            Err(error) => {
                tracing::warn!(segment = number, %error, "a segment cannot be read to compact it; it stays");
                self.kept.insert(number, None);
            }
        }
        Ok(())
    }

    /// What became of the last job; none: no one knows.
    pub fn done(&mut self, done: Option<CompactionDone>) -> Result<(), Interrupted> {
        let Some(rest) = &mut self.rest else { return Ok(()) };
        match done {
            Some(CompactionDone::Durable) if rest.is_removed() => self.rest = None,
            Some(CompactionDone::Durable) => {}
            Some(CompactionDone::Refused) if rest.is_removed() => {
                tracing::warn!(segment = rest.number, "something in a compacted segment counts still; it stays");
                self.kept.insert(rest.number, None);
                self.rest = None;
            }
            Some(CompactionDone::Refused) | None => {
                self.rest = None;
                return Err(Interrupted);
            }
        }
        Ok(())
    }

    fn choose(&mut self, disk: &DiskHandle) -> Option<u64> {
        self.kept.retain(|number, why| {
            let is_there =
                |id: &BlockId| disk.look_up(id).is_ok_and(|entry| entry.is_some_and(|entry| entry.segment == *number));
            why.as_ref().is_none_or(is_there)
        });
        let (total, is_low) = (disk.usage().segments, disk.is_low());
        let skipped = |number: u64| self.kept.contains_key(&number);
        disk.books(|books| victim::choose(books, total, is_low, skipped)).map(|(number, _)| number)
    }
}
