//! One disk as every thread sees it: its index, its open files, its books. Only its writer thread changes what is on it.

mod space;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use fsdfs_core::seam::{DiskCondition, ReadDone};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, DiskId};
use fsdfs_proto::record::{RECORD_HEAD_BYTES_MAX, RecordHeader, Superblock};
use rustix::io::Errno;

use crate::metrics::{DiskUsage, StoreCounters};
use crate::store::disk::attach::{self, FolderLock};
use crate::store::disk::books::SegmentBooks;
use crate::store::disk::draining::DrainProgress;
use crate::store::disk::job::DiskJob;
use crate::store::disk::room;
use crate::store::error::StoreNotice;
use crate::store::fs::{FileHandle, FileSystem, read_range};
use crate::store::index::{BlockIndex, IndexEntry, IndexError, IndexFactory};
use crate::store::scrub::ScrubProgress;
use crate::store::segment;

/// Open segments kept for reading, a disk. A disk of 10 TB has 40,000 segments and a process often 1,024 descriptors.
const OPEN_FILES_MAX: usize = 64;
/// Places that could not be read and are remembered until the disk is looked at again.
const UNREADABLE_MAX: usize = 64;

/// Tells whoever opened the store what happens to it.
pub(crate) type NoticeSink = Arc<dyn Fn(StoreNotice) + Send + Sync>;

/// How a disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DiskHealth {
    #[default]
    Good,
    /// A write, a sync or a read failed: it takes nothing new, reads are tried.
    Failing,
    /// It does not answer, or answers as another disk.
    Offline,
}

/// One disk.
pub(crate) struct DiskHandle {
    pub id: DiskId,
    pub path: PathBuf,
    pub superblock: Superblock,
    pub quota_bytes: u64,
    pub segment_bytes: u64,
    pub file_system: Arc<dyn FileSystem>,
    pub indexes: Arc<dyn IndexFactory>,
    pub counters: Arc<StoreCounters>,
    pub notices: NoticeSink,
    /// To its writer.
    pub queue: Sender<DiskJob>,
    index: RwLock<Option<BlockIndex>>,
    files: Mutex<OpenFiles>,
    status: Mutex<DiskStatus>,
    books: Mutex<SegmentBooks>,
    lock: Mutex<Option<FolderLock>>,
    scrub: Mutex<ScrubProgress>,
    drain: Mutex<DrainProgress>,
    /// Commits since the start.
    commits: AtomicU64,
    /// Times its index was loaded.
    recoveries: AtomicU64,
}

#[derive(Default)]
struct DiskStatus {
    health: DiskHealth,
    /// It is failing because nothing may be written to it.
    read_only: bool,
    /// Set while there is no room for blocks.
    full: Option<DiskCondition>,
    /// The process lacks descriptors or memory.
    short: bool,
    /// Segments that were left out of the index: what the index does not know may be here all the same.
    left_out: BTreeSet<u64>,
    /// Copies that could not be read since the disk was looked at; at most [`UNREADABLE_MAX`].
    unreadable: BTreeMap<BlockId, IndexEntry>,
    usage: DiskUsage,
}

#[derive(Default)]
struct OpenFiles {
    files: BTreeMap<u64, (Arc<dyn FileHandle>, u64)>,
    uses: u64,
}

/// What every disk of a store shares, and what one was found to be.
pub(crate) struct DiskParts {
    pub path: PathBuf,
    pub superblock: Superblock,
    pub quota_bytes: u64,
    pub segment_bytes: u64,
    pub file_system: Arc<dyn FileSystem>,
    pub indexes: Arc<dyn IndexFactory>,
    pub counters: Arc<StoreCounters>,
    pub notices: NoticeSink,
    pub queue: Sender<DiskJob>,
    pub lock: FolderLock,
}

impl DiskHandle {
    /// Without an index yet.
    pub fn new(parts: DiskParts) -> Self {
        let DiskParts {
            path,
            superblock,
            quota_bytes,
            segment_bytes,
            file_system,
            indexes,
            counters,
            notices,
            queue,
            lock,
        } = parts;
        let reserve = room::reserve_bytes(segment_bytes);
        let scrub = ScrubProgress::load(&*file_system, &path);
        let usage = DiskUsage { quota: quota_bytes, reserve, ..DiskUsage::default() };
        Self {
            id: superblock.disk(),
            path,
            superblock,
            quota_bytes,
            segment_bytes,
            file_system,
            indexes,
            counters,
            notices,
            queue,
            index: RwLock::new(None),
            files: Mutex::default(),
            status: Mutex::new(DiskStatus { usage, ..DiskStatus::default() }),
            books: Mutex::default(),
            lock: Mutex::new(Some(lock)),
            scrub: Mutex::new(scrub),
            drain: Mutex::default(),
            commits: AtomicU64::new(0),
            recoveries: AtomicU64::new(0),
        }
    }

    /// Reads a block and checks its hash.
    pub fn read(&self, id: &BlockId) -> ReadDone {
        let entry = match self.look_up(id) {
            Ok(Some(entry)) if entry.is_whole() => entry,
            Ok(Some(_)) => return ReadDone::Damaged,
            Ok(None) => return ReadDone::No,
            Err(unknown) => return unknown,
        };
        match self.read_payload(&entry) {
            Ok(bytes) => {
                self.counters.reads.add(1);
                let block = Block::new(bytes);
                if block.id() == *id { ReadDone::Found(block) } else { self.damaged(id, &entry) }
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.damaged(id, &entry),
            // Its segment was given up since it was looked up.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.look_up(id) != Ok(Some(entry.clone())) => {
                self.read(id)
            }
            Err(error) => {
                self.note_unreadable(id, entry);
                self.fail(&error);
                ReadDone::Failed
            }
        }
    }

    /// Whether it is one bad place or the whole disk is found out when the disk is looked at again.
    fn note_unreadable(&self, id: &BlockId, entry: IndexEntry) {
        let mut status = self.status();
        if status.unreadable.len() < UNREADABLE_MAX {
            status.unreadable.insert(*id, entry);
        }
    }

    /// If the disk answers again: a copy that still cannot be read is damaged, and others have to replace it.
    pub fn quarantine_unreadable_if_good(&self) {
        if self.health() != DiskHealth::Good {
            return;
        }
        let unreadable = std::mem::take(&mut self.status().unreadable);
        for (id, entry) in unreadable {
            // It may have been compacted since, and then another copy was read.
            let is_current = matches!(self.look_up(&id), Ok(Some(now)) if now.is_at(entry.segment, entry.offset));
            match self.read_payload(&entry) {
                Err(error) if is_current && !is_shortage(&error) => self.quarantine(&id, &entry),
                _ => {}
            }
        }
    }

    /// The entry, or what to answer as long as that is not known. What a disk that is out held is not here.
    pub fn look_up(&self, id: &BlockId) -> Result<Option<IndexEntry>, ReadDone> {
        let Some(index) = self.index().filter(|_| self.health() != DiskHealth::Offline) else {
            return Err(self.unknown());
        };
        match index.get(id) {
            Ok(None) if self.is_incomplete() => Err(self.unknown()),
            Ok(entry) => Ok(entry),
            Err(error) => {
                self.invalidate_index(&error);
                Err(self.unknown())
            }
        }
    }

    /// What to answer without an index.
    pub fn unknown(&self) -> ReadDone {
        if self.health() == DiskHealth::Offline { ReadDone::Failed } else { ReadDone::NotYet }
    }

    /// The index, unless it is being made.
    pub fn index(&self) -> Option<BlockIndex> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For the writer, when the index knows all records, or no longer.
    pub fn set_index(&self, index: Option<BlockIndex>) {
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = index;
    }

    /// Stops using the index; the writer makes it anew.
    pub fn invalidate_index(&self, error: &IndexError) {
        tracing::warn!(disk = %self.path.display(), %error, "the index failed");
        self.set_index(None);
        let _ = self.queue.send(DiskJob::Rebuild);
    }

    fn read_payload(&self, entry: &IndexEntry) -> io::Result<Bytes> {
        let file = self.segment(entry.segment)?;
        let payload_at = entry.offset + u64::from(entry.head_len);
        Ok(read_range(&*file, payload_at, u64::from(entry.len))?.into())
    }

    /// The hash does not fit. If another record stands there, it is the index that is wrong.
    fn damaged(&self, id: &BlockId, entry: &IndexEntry) -> ReadDone {
        match self.record_at(entry) {
            Some(header) if header.id != *id => {
                self.invalidate_index(&IndexError(format!("it leads from block {id} to block {}", header.id)));
                self.unknown()
            }
            _ => {
                self.quarantine(id, entry);
                ReadDone::Damaged
            }
        }
    }

    fn quarantine(&self, id: &BlockId, entry: &IndexEntry) {
        let IndexEntry { segment, offset, .. } = *entry;
        (self.notices)(StoreNotice::Damaged { path: self.path.clone(), id: *id, segment, offset });
        let _ = self.queue.send(DiskJob::Quarantine { id: *id, segment, offset });
    }

    fn record_at(&self, entry: &IndexEntry) -> Option<RecordHeader> {
        let file = self.segment(entry.segment).ok()?;
        let mut head = vec![0; RECORD_HEAD_BYTES_MAX];
        let read = file.read_at(&mut head, entry.offset).ok()?;
        let marker = *head[..read].first_chunk::<8>()?;
        RecordHeader::decode(&head[..read], &marker).ok().map(|(header, _)| header)
    }

    pub fn segment(&self, number: u64) -> io::Result<Arc<dyn FileHandle>> {
        let mut open = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        open.uses += 1;
        let uses = open.uses;
        if let Some((file, used)) = open.files.get_mut(&number) {
            *used = uses;
            return Ok(file.clone());
        }
        let file = self.file_system.open(&attach::segments(&self.path).join(segment::file_name(number)))?;
        if open.files.len() >= OPEN_FILES_MAX
            && let Some(oldest) = open.files.iter().min_by_key(|(_, (_, used))| *used).map(|(number, _)| *number)
        {
            open.files.remove(&oldest);
        }
        open.files.insert(number, (file.clone(), uses));
        Ok(file)
    }

    /// A segment is gone: what is held open of it would keep its bytes.
    pub fn forget_segment(&self, number: u64) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).files.remove(&number);
        self.scrub(|scrub| scrub.gone(number));
    }

    /// Files that were opened lead to what was there then.
    pub fn forget_files(&self) {
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = OpenFiles::default();
    }

    /// Takes the folder for this process once more: what was mounted there meanwhile may have another lock.
    pub fn lock_again(&self) -> io::Result<()> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        // This process's own lock would be in the way.
        *lock = None;
        *lock = Some(attach::lock(&*self.file_system, &self.path).map_err(io::Error::other)??);
        Ok(())
    }

    /// Holds the folder no more.
    pub fn unlock(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Something on the disk failed. It is out if it no longer answers, else it is only read. If it was the process that
    /// ran out of something, the disk is as good as before.
    pub fn fail(&self, error: &io::Error) {
        if is_shortage(error) {
            return self.note_shortage(Some(error));
        }
        let health = match attach::answers(&*self.file_system, &self.path, &self.superblock) {
            Ok(()) => DiskHealth::Failing,
            Err(unknown) if is_shortage(&unknown) => DiskHealth::Failing,
            Err(_) => DiskHealth::Offline,
        };
        self.set_health(health, error);
    }

    /// The process ran out of descriptors or memory, or it has some again. Said once each.
    pub fn note_shortage(&self, error: Option<&io::Error>) {
        let before = std::mem::replace(&mut self.status().short, error.is_some());
        let path = self.path.clone();
        match error {
            Some(error) if !before => (self.notices)(StoreNotice::Short { path, error: error.to_string() }),
            None if before => (self.notices)(StoreNotice::ShortNoMore { path }),
            _ => {}
        }
    }

    /// Whether the process lacked something when the disk was last used.
    pub fn is_short(&self) -> bool {
        self.status().short
    }

    /// A segment cannot be read. The disk takes nothing new until it can, because nobody knows which sequence numbers that
    /// segment holds.
    pub fn leave_out(&self, segment: u64, error: &io::Error) {
        self.status().left_out.insert(segment);
        self.fail(error);
        self.set_health(DiskHealth::Failing, error);
    }

    /// All segments are about to be read again.
    pub fn leave_out_none(&self) {
        self.status().left_out.clear();
    }

    /// Segments that were left out.
    pub fn left_out(&self) -> BTreeSet<u64> {
        self.status().left_out.clone()
    }

    /// Whether a segment was left out.
    pub fn is_incomplete(&self) -> bool {
        !self.status().left_out.is_empty()
    }

    /// What was wrong with it is over.
    pub fn revive(&self) {
        let mut status = self.status();
        let before = std::mem::take(&mut status.health);
        status.read_only = false;
        drop(status);
        if before != DiskHealth::Good {
            (self.notices)(StoreNotice::Back { path: self.path.clone() });
        }
    }

    /// Takes it out.
    pub fn give_up(&self, error: &io::Error) {
        self.set_health(DiskHealth::Offline, error);
    }

    fn set_health(&self, health: DiskHealth, error: &io::Error) {
        let worse = {
            let mut status = self.status();
            let worse = health > status.health;
            status.health = status.health.max(health);
            if worse {
                status.read_only = health == DiskHealth::Failing && is_read_only(error);
            }
            worse
        };
        let (path, read_only, error) = (self.path.clone(), is_read_only(error), error.to_string());
        match health {
            DiskHealth::Failing if worse && read_only => (self.notices)(StoreNotice::ReadOnly { path, error }),
            DiskHealth::Failing if worse => (self.notices)(StoreNotice::Failing { path, error }),
            DiskHealth::Offline if worse => (self.notices)(StoreNotice::Offline { path, error }),
            _ => {}
        }
    }

    /// When the records of a segment were all written, or found right, at the earliest; none if it is not known.
    pub fn verified_at(&self, segment: u64) -> Option<u64> {
        self.scrub(|scrub| scrub.verified_at(segment))
    }

    /// How far it was read to find damage.
    pub fn scrub<T>(&self, call: impl FnOnce(&mut ScrubProgress) -> T) -> T {
        call(&mut self.scrub.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How far it is emptied, if its owner wants that.
    pub fn drain<T>(&self, call: impl FnOnce(&mut DrainProgress) -> T) -> T {
        call(&mut self.drain.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Its owner wants it to be emptied: it gets nothing new.
    pub fn is_drained(&self) -> bool {
        self.drain(|drain| drain.is_wanted)
    }

    /// Something is on it, durably, that was not before.
    pub fn note_commit(&self) {
        self.commits.fetch_add(1, Ordering::AcqRel);
    }

    /// Another number means that something was written meanwhile.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Acquire)
    }

    /// How it is.
    pub fn health(&self) -> DiskHealth {
        self.status().health
    }

    /// Where its bytes are.
    pub fn usage(&self) -> DiskUsage {
        self.status().usage
    }

    /// For the writer.
    pub fn update_usage(&self, change: impl FnOnce(&mut DiskUsage)) {
        change(&mut self.status().usage);
    }

    fn status(&self) -> MutexGuard<'_, DiskStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing may be written: the file system is mounted so, or the folder is not ours any more.
fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// Descriptors or memory, of the process or the machine.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    shortages.iter().any(|shortage| error.raw_os_error() == Some(shortage.raw_os_error()))
}
