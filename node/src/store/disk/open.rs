//! Opening the disks of a store, before any thread runs.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use bytes::Bytes;
use fsdfs_proto::ids::DiskId;
use fsdfs_proto::record::{DiskList, Superblock};

use crate::metrics::{MissingDisk, StoreCounters};
use crate::store::config::{DiskConfig, IfMissing, StoreConfig};
use crate::store::disk::appender::Appender;
use crate::store::disk::attach::{self, AttachOutcome, FolderLock};
use crate::store::disk::begin::{self, BegunFolder};
use crate::store::disk::handle::{DiskHandle, DiskParts, NoticeSink};
use crate::store::disk::job::DiskJob;
use crate::store::error::{StoreError, StoreNotice};
use crate::store::fs::{FileSystem, create_dir};
use crate::store::index::IndexFactory;
use crate::store::log::{self, LogFolder};

/// Segments of a disk are at most this part of its quota, so that the reserve of two is not half of a small disk.
const SEGMENT_PART: u64 = 32;
/// No segment is planned smaller than four of the greatest blocks.
const SEGMENT_BYTES_MIN: u64 = 4 << 20;

/// A disk's writer before its thread runs, and what the log on the disk holds.
pub(crate) type OpenedDisk = (Appender, Receiver<DiskJob>, Vec<Bytes>);

/// Opens disks.
pub(crate) struct DiskOpener<'a> {
    pub file_system: Arc<dyn FileSystem>,
    pub indexes: Arc<dyn IndexFactory>,
    pub config: &'a StoreConfig,
    pub notices: NoticeSink,
    pub counters: Arc<StoreCounters>,
}

impl DiskOpener<'_> {
    /// The writer of each disk that answers, and what the log on it holds; and the folders without one.
    pub fn disks(&self) -> Result<(Vec<OpenedDisk>, Vec<MissingDisk>), StoreError> {
        let (file_system, home) = (&*self.file_system, &self.config.home);
        let before = attach::known_disks(file_system, home)?;
        let mut known = before.clone();
        attach::check_paths(file_system, &self.config.disks, &mut known)?;
        let (mut opened, mut attached, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for (place, disk) in self.config.disks.iter().enumerate() {
            if self.config.disks[..place].iter().any(|other| other.path == disk.path) {
                return Err(StoreError::Twice { path: disk.path.clone() });
            }
            let path = disk.path.clone();
            let away = |error: io::Error| missing.push(missing_disk(path, &error));
            match attach::attach(file_system, self.config, disk, &mut known, &attached)? {
                AttachOutcome::Offline(error) => away(error),
                AttachOutcome::Attached(superblock, lock) => {
                    attached.push((superblock.disk(), disk.path.clone()));
                    match self.disk(disk, superblock, lock) {
                        Ok(parts) => opened.push(parts),
                        Err(error) => away(error),
                    }
                }
            }
        }
        if known != before {
            attach::remember(file_system, home, &known)?;
        }
        for missing in &mut missing {
            missing.disk = disk_of(&known, &missing.path, &attached);
            let MissingDisk { path, why, .. } = missing.clone();
            (self.notices)(StoreNotice::NotAttached { path, why });
        }
        Ok((opened, missing))
    }

    fn disk(&self, disk: &DiskConfig, superblock: Superblock, lock: FolderLock) -> io::Result<OpenedDisk> {
        let segments = attach::segments(&disk.path);
        create_dir(&*self.file_system, &segments)?;
        let (log, entries) = self.log(&log::folder(&disk.path))?;
        let (queue, jobs) = mpsc::channel();
        let quota_bytes = self.quota_bytes(disk);
        let parts = DiskParts {
            path: disk.path.clone(),
            superblock,
            quota_bytes,
            segment_bytes: segment_bytes(self.config.segment_bytes, quota_bytes),
            file_system: self.file_system.clone(),
            indexes: self.indexes.clone(),
            counters: self.counters.clone(),
            notices: self.notices.clone(),
            queue,
            lock,
        };
        let disk = DiskHandle::new(parts);
        let used: u64 = self.file_system.list(&segments)?.iter().map(|(_, len)| len).sum();
        disk.update_usage(|usage| usage.segments = used);
        Ok((Appender::new(Arc::new(disk), log), jobs, entries))
    }
}

impl DiskOpener<'_> {
    /// What a folder may take, and no more than its disk has: others place blocks by what this node says it gives. Asked when the
    /// disk is there: where it is missing, the folder is one of another file system.
    fn quota_bytes(&self, disk: &DiskConfig) -> u64 {
        let wanted = disk.quota_bytes;
        match self.file_system.size_bytes(&disk.path) {
            Ok(size) if size < wanted => {
                let (path, size_gib) = (disk.path.display(), size >> 30);
                tracing::warn!("{path} is to give more than its disk has; it gives {size_gib} GiB, all of it");
                size
            }
            _ => wanted,
        }
    }

    /// A disk that could not be attached at the start, if it is there by now. None is begun: a folder that is still empty may
    /// be one on which nothing is mounted yet.
    pub fn late(&self, disk: &DiskConfig, attached: &[(DiskId, PathBuf)]) -> Result<OpenedDisk, MissingDisk> {
        let (file_system, home) = (&*self.file_system, &self.config.home);
        // Whatever the owner wants at a start: this one runs.
        let disk = &DiskConfig { if_missing: IfMissing::Skip, ..disk.clone() };
        let opened = || -> Result<io::Result<OpenedDisk>, StoreError> {
            let before = attach::known_disks(file_system, home)?;
            if let Ok(None) = attach::superblock(file_system, disk)? {
                let bare = attach::check_bare(file_system, disk, &before)?;
                return Ok(Err(bare.err().unwrap_or_else(|| io::ErrorKind::NotFound.into())));
            }
            let mut known = before.clone();
            Ok(match attach::attach(file_system, self.config, disk, &mut known, attached)? {
                AttachOutcome::Offline(error) => Err(error),
                AttachOutcome::Attached(superblock, lock) => {
                    if known != before {
                        attach::remember(file_system, home, &known)?;
                    }
                    self.disk(disk, superblock, lock).map(not_read_yet)
                }
            })
        };
        let opened = opened().map_err(io::Error::other).and_then(|opened| opened);
        opened.map_err(|error| {
            let known = attach::known_disks(file_system, home).unwrap_or_default();
            let disk_there = disk_of(&known, &disk.path, attached);
            MissingDisk { disk: disk_there, ..missing_disk(disk.path.clone(), &error) }
        })
    }

    /// A new disk in the place of one that its owner gives up, and which that is.
    pub fn begin(&self, path: &Path) -> Result<(OpenedDisk, Vec<DiskId>), StoreError> {
        let BegunFolder { superblock, lock, given_up } = begin::begin(&*self.file_system, self.config, path)?;
        let disk = begin::configured(self.config, path)?;
        let opened = self.disk(disk, superblock, lock);
        let opened = opened.map_err(|error| StoreError::Unusable { path: path.into(), error })?;
        Ok((not_read_yet(opened), given_up))
    }

    /// The copy of the log on a disk. The home folder has what cannot be read of it; a newer fsdfs's it may not have.
    fn log(&self, dir: &Path) -> io::Result<(LogFolder, Vec<Bytes>)> {
        LogFolder::open_with(self.file_system.clone(), dir.to_owned(), |error| {
            if error.kind() == io::ErrorKind::InvalidData {
                return Err(error);
            }
            (self.notices)(StoreNotice::LogFailed { path: dir.to_owned(), error: error.to_string() });
            Ok(())
        })
    }
}

/// No process has read yet what its log holds.
fn not_read_yet(mut opened: OpenedDisk) -> OpenedDisk {
    opened.0.log.leave_old_files();
    opened
}

fn missing_disk(path: PathBuf, error: &io::Error) -> MissingDisk {
    MissingDisk { path, disk: None, is_empty: attach::is_bare(error), why: error.to_string() }
}

/// Which disk was last at a path, unless it is somewhere else now.
fn disk_of(known: &DiskList, path: &Path, attached: &[(DiskId, PathBuf)]) -> Option<DiskId> {
    let there = known.0.iter().find(|known| known.path == path.as_os_str().as_bytes())?;
    attached.iter().all(|(disk, _)| *disk != there.disk).then_some(there.disk)
}

/// Small disks get small segments.
fn segment_bytes(wanted: u64, quota: u64) -> u64 {
    wanted.min((quota / SEGMENT_PART).max(SEGMENT_BYTES_MIN))
}
