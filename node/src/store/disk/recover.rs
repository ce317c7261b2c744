//! Making the index know every record of the disk: at the start, and whenever the index failed.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use fsdfs_proto::codec::encode;
use fsdfs_proto::ids::DiskId;
use fsdfs_proto::record::{RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentFooter};

use crate::store::disk::appender::Appender;
use crate::store::disk::attach;
use crate::store::disk::books::KnownSegment;
use crate::store::disk::handle::{DiskHandle, DiskHealth};
use crate::store::error::StoreNotice;
use crate::store::fs::around::ReadAround;
use crate::store::fs::{publish, read_small, remove_if_there};
use crate::store::index::memory_index::MemoryIndex;
use crate::store::index::{BlockIndex, IndexBatch, IndexError, IndexWatermark, SegmentBook};
use crate::store::segment::scan::{ScanResult, SegmentScan};
use crate::store::segment::{self, ActiveSegment};

/// While the index is open: the session in which it was opened. When it was closed: up to where it went.
const SESSION: &str = "index.session";
/// Begins [`SESSION`] of an index that was closed.
const CLOSED: &[u8] = b"closed ";
/// Changes handed to the index at once.
const BATCH_ENTRIES: usize = 4096;
/// Indexes on the disk made anew since the start at most; whoever fails more often fails always.
const REBUILDS_MAX: u32 = 3;
/// An index of more than so many bytes, and [`ENTRY_BYTES_MAX`] for each of its entries, is rebuilt at a start.
const INDEX_BYTES_MAX: u64 = 64 << 20;
/// Four times what an entry has: twice as much is what the engine takes for one when it was just written.
const ENTRY_BYTES_MAX: u64 = 4 * 240;
/// Progress is told this often during a rebuild.
const PROGRESS_STEPS: u64 = 20;

/// Which index to use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IndexChoice {
    /// The one on the disk.
    Kept,
    /// A new one on the disk.
    Fresh,
    /// One in memory: better than a disk that cannot be read because it has no room for an index.
    InMemory,
}

enum RecoveryError {
    Disk(io::Error),
    Index(IndexError),
}

impl From<io::Error> for RecoveryError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl From<IndexError> for RecoveryError {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

fn index_dir(disk: &DiskHandle) -> PathBuf {
    disk.path.join("index")
}

impl Appender {
    /// Opens the index or makes it anew, takes in what it does not know yet, and finds the segment to go on with.
    /// `distrust` says why the index on the disk must not be used. Afterwards the disk has an index or is out.
    pub fn recover(&mut self, distrust: Option<String>) {
        self.active = None;
        self.index_rebuilds += u32::from(distrust.is_some());
        let mut distrust = distrust.or_else(|| self.broken_session());
        for choice in [IndexChoice::Kept, IndexChoice::Fresh, IndexChoice::InMemory] {
            let skip = match choice {
                IndexChoice::Kept => distrust.is_some(),
                IndexChoice::Fresh => self.index_rebuilds > REBUILDS_MAX,
                IndexChoice::InMemory => false,
            };
            if skip {
                continue;
            }
            match self.load(choice, distrust.as_deref()) {
                Ok(()) => return,
                Err(RecoveryError::Index(error)) => distrust = Some(error.to_string()),
                Err(RecoveryError::Disk(error)) => return self.disk.give_up(&error),
            }
        }
        self.disk.give_up(&io::Error::other(distrust.unwrap_or_default()));
    }

    /// The index is whole and closed: the next start trusts it if it is still the same.
    pub fn end_session(&self) -> io::Result<()> {
        if !self.index_kept {
            return Ok(());
        }
        let closed = [CLOSED, &encode(&self.watermark)].concat();
        publish(&*self.disk.file_system, &self.disk.path, SESSION, &closed)
    }

    /// After a crash of the machine sled may have lost anything: its `flush` does not reach the platter. After one of the
    /// process alone it has not, because the page cache lives on.
    fn broken_session(&self) -> Option<String> {
        let disk = &self.disk;
        let noted = read_small(&*disk.file_system, &disk.path.join(SESSION), 4096).ok()??;
        let session = disk.file_system.session(&disk.path);
        let trusted = noted.starts_with(CLOSED) || session.is_some_and(|now| now.as_bytes() == noted);
        (!trusted).then(|| "the machine stopped without closing it".into())
    }

    fn load(&mut self, choice: IndexChoice, why: Option<&str>) -> Result<(), RecoveryError> {
        let disk = self.disk.clone();
        let segments = self.segments()?;
        // The last start may have been killed before it made the name of its last segment durable.
        if let Err(error) = disk.file_system.sync_dir(&attach::segments(&disk.path)) {
            // Nothing may be appended to it then, whatever the reason.
            disk.fail(&io::Error::other(error));
        }
        let (index, start) = open_index(&disk, choice, &segments)?;
        let rebuilt = choice != IndexChoice::Kept && !segments.is_empty();
        if rebuilt {
            let why = why.unwrap_or("it is missing").to_string();
            (disk.notices)(StoreNotice::RebuildStarted { path: disk.path.clone(), why });
        }
        disk.leave_out_none();
        self.watermark = start;
        self.index_kept = choice != IndexChoice::InMemory;
        let last = segments.last().map_or(0, |(number, _)| *number);
        self.next_segment = self.next_segment.max(last + 1);
        let total = segments.len() as u64;
        for (done, (number, _)) in segments.iter().enumerate().skip_while(|(_, (number, _))| *number < start.segment) {
            self.take_in(&index, *number, *number == last)?;
            let done = done as u64 + 1;
            if rebuilt && done * PROGRESS_STEPS / total != (done - 1) * PROGRESS_STEPS / total {
                (disk.notices)(StoreNotice::RebuildProgress { path: disk.path.clone(), done, total });
            }
        }
        self.next_sequence = self.next_sequence.max(self.watermark.sequence + 1);
        if rebuilt {
            disk.indexes.drop_aside(&index_dir(&disk));
        }
        if disk.health() == DiskHealth::Good {
            // Their folder was made durable above.
            self.strike_missing(&index, &segments)?;
        }
        self.count_usage(&index)?;
        disk.set_index(Some(index));
        disk.note_room();
        (disk.notices)(StoreNotice::Ready { path: disk.path.clone(), blocks: self.watermark.blocks, rebuilt });
        Ok(())
    }

    /// Numbers and lengths, ascending.
    fn segments(&self) -> io::Result<Vec<(u64, u64)>> {
        let files = self.disk.file_system.list(&attach::segments(&self.disk.path))?;
        Ok(files.into_iter().filter_map(|(name, len)| Some((segment::number_of(&name)?, len))).collect())
    }

    /// One segment. If it cannot be read it is left out, as long as the disk answers at all: the next start tries again.
    fn take_in(&mut self, index: &BlockIndex, number: u64, last: bool) -> Result<(), RecoveryError> {
        match self.walk(index, number, last) {
            Err(RecoveryError::Disk(error)) => {
                self.disk.leave_out(number, &error);
                if self.disk.health() == DiskHealth::Offline { Err(RecoveryError::Disk(error)) } else { Ok(()) }
            }
            other => other,
        }
    }

    fn walk(&mut self, index: &BlockIndex, number: u64, last: bool) -> Result<(), RecoveryError> {
        let disk = self.disk.clone();
        let file = disk.file_system.open(&attach::segments(&disk.path).join(segment::file_name(number)))?;
        // What a killed process had written but not synced counts only once it is durable.
        file.sync_or_discard()?;
        // Asked for each stretch that cannot be read: what a disk that is gone does not give back is not lost.
        let works = || attach::answers(&*disk.file_system, &disk.path, &disk.superblock).is_ok();
        let around = ReadAround::new(&*file, &works);
        let (walked, footer) = self.index_records(index, &around, number, last)?;
        let lost = around.lost_bytes();
        let (path, segment) = (disk.path.clone(), number);
        if lost > 0 {
            (disk.notices)(StoreNotice::Unreadable { path, segment, bytes: lost });
        } else if walked.skipped > 0 {
            (disk.notices)(StoreNotice::Skipped { path, segment, bytes: walked.skipped });
        }
        if last && lost > 0 {
            // Nothing is cut off or written behind what may have been acknowledged; and the sequence numbers in it, of which
            // nobody knows, are not used again.
            let records = lost / RECORD_HEADER_BYTES as u64 + 1;
            self.next_sequence = self.next_sequence.max(self.watermark.sequence + records + 1);
        } else if last
            && disk.health() == DiskHealth::Good
            && let Err(error) = self.go_on_with(number, &walked, footer)
        {
            disk.fail(&error);
        }
        Ok(())
    }

    /// Takes in the records of a segment that the index does not know yet; what was read before an error counts. The
    /// footer is for the last segment only.
    fn index_records(
        &mut self,
        index: &BlockIndex,
        file: &ReadAround<'_>,
        number: u64,
        last: bool,
    ) -> Result<(ScanResult, SegmentFooter), RecoveryError> {
        let disk = self.disk.clone();
        if disk.is_incomplete() {
            self.watermark.segment = IndexWatermark::NOWHERE;
        }
        let start = self.watermark;
        let check_from = if number == start.segment { start.offset } else { 0 };
        let mut footer = SegmentFooter::default();
        let mut damaged = Vec::new();
        let mut batch = IndexBatch::new(index, start);
        let walk = SegmentScan { file, disk: disk.id, number, check_from };
        let walked = walk.run(|placed, head| {
            if last {
                footer.push(placed.offset, head);
            }
            if placed.offset < check_from {
                return Ok(());
            }
            if !placed.whole {
                let (id, segment, offset) = (placed.header.id, placed.segment, placed.offset);
                damaged.push(StoreNotice::Damaged { path: disk.path.clone(), id, segment, offset });
            }
            batch.record(placed)?;
            if batch.len() >= BATCH_ENTRIES {
                let next = IndexBatch::new(index, batch.watermark);
                self.watermark = std::mem::replace(&mut batch, next).apply()?;
            }
            Ok::<(), RecoveryError>(())
        });
        self.watermark = batch.apply()?;
        let walked = walked?;
        // The rest would be cut off, but the index would go on saying that it is there.
        if walked.marker.is_some() && walked.end < check_from {
            let bytes = check_from - walked.end;
            if file.lost_bytes() == 0 {
                (disk.notices)(StoreNotice::Shortened { path: disk.path.clone(), segment: number, bytes });
            }
            return Err(IndexError("it knows more than the segment holds".into()).into());
        }
        // Only now: otherwise the segment is walked once more, and all of it would be said twice.
        damaged.into_iter().for_each(|notice| (disk.notices)(notice));
        Ok((walked, footer))
    }

    /// Cuts off what a power cut left of unacknowledged records, and appends behind the rest.
    fn go_on_with(&mut self, number: u64, walked: &ScanResult, footer: SegmentFooter) -> io::Result<()> {
        let disk = &self.disk;
        let path = attach::segments(&disk.path).join(segment::file_name(number));
        let Some(marker) = walked.marker.filter(|_| walked.open) else {
            // Not even its header: made, but cut before anything in it was promised.
            if walked.marker.is_none() && walked.skipped < (SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES) as u64 {
                remove_if_there(&*disk.file_system, &path)?;
            }
            return Ok(());
        };
        let file = disk.file_system.open_writable(&path)?;
        if walked.torn > 0 {
            file.truncate(walked.end)?;
            file.sync_or_discard()?;
            (disk.notices)(StoreNotice::TornTail { path: disk.path.clone(), segment: number, bytes: walked.torn });
        }
        self.active = Some(ActiveSegment { number, file, marker, end: walked.end, footer, named: true });
        Ok(())
    }

    /// Counts everything that lies on the disk.
    fn count_usage(&self, index: &BlockIndex) -> Result<(), RecoveryError> {
        let disk = &self.disk;
        let segments = self.segments()?;
        let other = disk.file_system.list(&disk.path)?.iter().map(|(_, len)| len).sum();
        let used = segments.iter().map(|(_, len)| len).sum();
        let (log, bytes) = (self.log.bytes, index.bytes());
        disk.update_usage(|usage| (usage.segments, usage.log, usage.index, usage.other) = (used, log, bytes, other));
        let books: BTreeMap<u64, SegmentBook> = index.books()?.into_iter().collect();
        let known = |(number, len): (u64, u64)| {
            let book = books.get(&number).copied().unwrap_or_default();
            (number, KnownSegment { len, book })
        };
        disk.set_books(segments.into_iter().map(known), &self.watermark);
        Ok(())
    }
}

/// The index and up to where it knows the segments.
fn open_index(
    disk: &DiskHandle,
    choice: IndexChoice,
    segments: &[(u64, u64)],
) -> Result<(BlockIndex, IndexWatermark), RecoveryError> {
    let id = disk.id;
    if choice == IndexChoice::InMemory {
        // Names no session, so no later start trusts what lies there. A disk too full for this note keeps the old one.
        let _ = publish(&*disk.file_system, &disk.path, SESSION, b"not used");
        return Ok((BlockIndex::new(Arc::new(MemoryIndex::default())), IndexWatermark::empty(id)));
    }
    let unusable = |error: io::Error| IndexError(error.to_string());
    let noted = read_small(&*disk.file_system, &disk.path.join(SESSION), 4096).map_err(unusable)?;
    // Before the first change: should the machine stop now, the next start must not trust the index.
    let session = disk.file_system.session(&disk.path).unwrap_or_else(|| "unknown".into());
    publish(&*disk.file_system, &disk.path, SESSION, session.as_bytes()).map_err(unusable)?;
    let index = BlockIndex::new(disk.indexes.open(&index_dir(disk), choice == IndexChoice::Fresh)?);
    let watermark = index.watermark()?;
    if choice == IndexChoice::Kept && !segments.is_empty() {
        check_closed(watermark.as_ref(), noted.as_deref())?;
    }
    match watermark {
        Some(watermark) => {
            check_watermark(&watermark, id, segments)?;
            check_size(index.bytes(), watermark.entries())?;
            Ok((index, watermark))
        }
        None if segments.is_empty() || choice == IndexChoice::Fresh => Ok((index, IndexWatermark::empty(id))),
        None => Err(IndexError("it is missing".into()).into()),
    }
}

/// An index that was closed must be as it was then. Whether one that was not is trusted is decided by its session.
fn check_closed(watermark: Option<&IndexWatermark>, noted: Option<&[u8]>) -> Result<(), IndexError> {
    let noted = noted.ok_or_else(|| IndexError("nothing says how it was closed".into()))?;
    let same = |closed| watermark.is_some_and(|watermark| encode(watermark) == closed);
    match noted.strip_prefix(CLOSED) {
        Some(closed) if !same(closed) => Err(IndexError("it is not as it was when it was closed".into())),
        _ => Ok(()),
    }
}

/// An index that is ahead of the segments belongs to another state of the disk.
fn check_watermark(watermark: &IndexWatermark, disk: DiskId, segments: &[(u64, u64)]) -> Result<(), IndexError> {
    if watermark.segment == IndexWatermark::NOWHERE {
        return Err(IndexError("a segment could not be read when it was made".into()));
    }
    let len = segments.iter().find(|(number, _)| *number == watermark.segment).map(|(_, len)| *len);
    let fits = match len {
        Some(len) => len >= watermark.offset,
        None => watermark.segment == 0,
    };
    if watermark.disk == disk && fits { Ok(()) } else { Err(IndexError("it does not fit the segments".into())) }
}

/// Files of the engine never shrink by themselves.
fn check_size(bytes: u64, entries: u64) -> Result<(), IndexError> {
    let most = INDEX_BYTES_MAX + entries.saturating_mul(ENTRY_BYTES_MAX);
    if bytes <= most { Ok(()) } else { Err(IndexError(format!("it takes {} MiB for {entries} entries", bytes >> 20))) }
}
