//! One disk as every thread sees it: its index, its open files, its books. Only its writer thread changes what is on it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use fsdfs_core::seam::{DiskState, ReadDone};
use fsdfs_proto::block::{BLOCK_BYTES_MAX, Block};
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::record::{RECORD_HEAD_BYTES_MAX, RecordHeader, Superblock};
use rustix::io::Errno;

use crate::metrics::{DiskUsage, StoreCounters};
use crate::store::disk::attach::{self, FolderLock};
use crate::store::disk::job::DiskJob;
use crate::store::error::StoreNotice;
use crate::store::fs::{FileHandle, FileSystem, read_range};
use crate::store::index::{BlockIndex, IndexEntry, IndexError, IndexFactory};
use crate::store::segment;

/// Open segments kept for reading, a disk. A disk of 10 TB has 40,000 segments and a process often 1,024 descriptors.
const OPEN_FILES_MAX: usize = 64;
/// Segments' worth of space that blocks never take: compaction needs room to make room.
const RESERVE_SEGMENTS: u64 = 2;
/// Renewals may use half of it: a full disk must still be able to promise that it keeps what it has.
const RESERVE_SEGMENTS_RENEWAL: u64 = 1;

/// Tells whoever opened the store what happens to it.
pub(crate) type NoticeSink = Arc<dyn Fn(StoreNotice) + Send + Sync>;

/// How a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DiskHealth {
    Good,
    /// A write, a sync or a read failed: it takes nothing new, reads are tried.
    Failing,
    /// It does not answer, or answers as another disk.
    Offline,
}

/// One disk.
pub(crate) struct DiskHandle {
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
    index: RwLock<Option<Arc<dyn BlockIndex>>>,
    files: Mutex<OpenFiles>,
    status: Mutex<DiskStatus>,
    _lock: FolderLock,
}

struct DiskStatus {
    health: DiskHealth,
    /// A segment was left out of the index: what the index does not know may be here all the same.
    incomplete: bool,
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
        let reserve = RESERVE_SEGMENTS * segment_bytes;
        let usage = DiskUsage { quota: quota_bytes, reserve, ..DiskUsage::default() };
        Self {
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
            status: Mutex::new(DiskStatus { health: DiskHealth::Good, incomplete: false, usage }),
            _lock: lock,
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
            Err(error) => {
                self.fail(&error);
                ReadDone::Failed
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
    pub fn index(&self) -> Option<Arc<dyn BlockIndex>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For the writer, when the index knows all records, or no longer.
    pub fn set_index(&self, index: Option<Arc<dyn BlockIndex>>) {
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
                let IndexEntry { segment, offset, .. } = *entry;
                (self.notices)(StoreNotice::Damaged { path: self.path.clone(), id: *id, segment, offset });
                let _ = self.queue.send(DiskJob::Quarantine { id: *id, segment, offset });
                ReadDone::Damaged
            }
        }
    }

    fn record_at(&self, entry: &IndexEntry) -> Option<RecordHeader> {
        let file = self.segment(entry.segment).ok()?;
        let mut head = vec![0; RECORD_HEAD_BYTES_MAX];
        let read = file.read_at(&mut head, entry.offset).ok()?;
        let marker = *head[..read].first_chunk::<8>()?;
        RecordHeader::decode(&head[..read], &marker).ok().map(|(header, _)| header)
    }

    fn segment(&self, number: u64) -> io::Result<Arc<dyn FileHandle>> {
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

    /// Something on the disk failed. It is out if it no longer answers, else it is only read. If it was the process that
    /// ran out of something, the disk is as good as before.
    pub fn fail(&self, error: &io::Error) {
        if is_shortage(error) {
            return tracing::warn!(disk = %self.path.display(), %error, "the disk could not be used");
        }
        let health = match attach::answers(&*self.file_system, &self.path, &self.superblock) {
            Ok(()) => DiskHealth::Failing,
            Err(unknown) if is_shortage(&unknown) => DiskHealth::Failing,
            Err(_) => DiskHealth::Offline,
        };
        self.set_health(health, error);
    }

    /// A segment cannot be read. The disk takes nothing new until the next start, because nobody knows which sequence
    /// numbers that segment holds.
    pub fn leave_out(&self, error: &io::Error) {
        self.status().incomplete = true;
        self.fail(error);
        self.set_health(DiskHealth::Failing, error);
    }

    /// All segments are about to be read again.
    pub fn leave_out_none(&self) {
        self.status().incomplete = false;
    }

    /// Whether a segment was left out.
    pub fn is_incomplete(&self) -> bool {
        self.status().incomplete
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
            worse
        };
        let (path, error) = (self.path.clone(), error.to_string());
        match health {
            DiskHealth::Failing if worse => (self.notices)(StoreNotice::Failing { path, error }),
            DiskHealth::Offline if worse => (self.notices)(StoreNotice::Offline { path, error }),
            _ => {}
        }
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

    /// Bytes that blocks (or only renewals) may still take.
    pub fn room(&self, for_blocks: bool) -> u64 {
        let free = self.file_system.free_bytes(&self.path).unwrap_or(0);
        let usage = self.usage();
        let kept = if for_blocks { RESERVE_SEGMENTS } else { RESERVE_SEGMENTS_RENEWAL } * self.segment_bytes;
        usage.quota.saturating_sub(usage.used()).min(free).saturating_sub(kept)
    }

    /// What the engine is told; `None` if the disk is out.
    pub fn state(&self) -> Option<DiskState> {
        let health = self.health();
        let read_only =
            health != DiskHealth::Good || self.room(true) < (BLOCK_BYTES_MAX + RECORD_HEAD_BYTES_MAX) as u64;
        (health != DiskHealth::Offline).then(|| DiskState {
            id: self.superblock.disk,
            attach_generation: self.superblock.attach_generation,
            quota_bytes: self.quota_bytes,
            used_bytes: self.usage().used(),
            read_only,
        })
    }
}

/// Descriptors or memory, of the process or the machine.
fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    shortages.iter().any(|shortage| error.raw_os_error() == Some(shortage.raw_os_error()))
}
