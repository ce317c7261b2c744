//! Opening the disks of a store, before any thread runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use bytes::Bytes;
use fsdfs_proto::ids::DiskId;
use fsdfs_proto::record::Superblock;

use crate::metrics::StoreCounters;
use crate::store::config::{DiskConfig, StoreConfig};
use crate::store::disk::appender::Appender;
use crate::store::disk::attach::{self, AttachOutcome, FolderLock};
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
    /// The writer of each disk that answers, and what the log on it holds.
    pub fn disks(&self) -> Result<Vec<OpenedDisk>, StoreError> {
        let (file_system, home) = (&*self.file_system, &self.config.home);
        let before = attach::known_disks(file_system, home)?;
        let mut known = before.clone();
        let skipped = attach::check_paths(file_system, &self.config.disks, &mut known)?;
        let (mut opened, mut attached) = (Vec::new(), Vec::new());
        for (place, disk) in self.config.disks.iter().enumerate() {
            if self.config.disks[..place].iter().any(|other| other.path == disk.path) {
                return Err(StoreError::Twice { path: disk.path.clone() });
            }
            let path = disk.path.clone();
            let away = |error: io::Error| (self.notices)(StoreNotice::NotAttached { path, error: error.to_string() });
            if let Some((_, why)) = skipped.iter().find(|(path, _)| *path == disk.path) {
                away(io::Error::other(why.to_string()));
                continue;
            }
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
        Ok(opened)
    }

    fn disk(&self, disk: &DiskConfig, superblock: Superblock, lock: FolderLock) -> io::Result<OpenedDisk> {
        let segments = attach::segments(&disk.path);
        create_dir(&*self.file_system, &segments)?;
        let (log, entries) = self.log(&log::folder(&disk.path))?;
        let (queue, jobs) = mpsc::channel();
        let parts = DiskParts {
            path: disk.path.clone(),
            superblock,
            quota_bytes: disk.quota_bytes,
            segment_bytes: segment_bytes(self.config.segment_bytes, disk.quota_bytes),
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
    /// A disk that could not be attached at the start, if it is there by now. None is begun: a folder that is still empty may
    /// be one on which nothing is mounted yet.
    pub fn late(&self, disk: &DiskConfig, attached: &[(DiskId, PathBuf)]) -> Option<OpenedDisk> {
        let (file_system, home) = (&*self.file_system, &self.config.home);
        if !attach::is_there(file_system, &disk.path) {
            return None;
        }
        let opened = || -> Result<io::Result<OpenedDisk>, StoreError> {
            let before = attach::known_disks(file_system, home)?;
            let mut known = before.clone();
            Ok(match attach::attach(file_system, self.config, disk, &mut known, attached)? {
                AttachOutcome::Offline(error) => Err(error),
                AttachOutcome::Attached(superblock, lock) => {
                    if known != before {
                        attach::remember(file_system, home, &known)?;
                    }
                    let mut opened = self.disk(disk, superblock, lock);
                    if let Ok((appender, ..)) = &mut opened {
                        appender.log.leave_old_files();
                    }
                    opened
                }
            })
        };
        match opened().and_then(|opened| opened.map_err(StoreError::System)) {
            Ok(opened) => Some(opened),
            Err(error) => {
                tracing::debug!(disk = %disk.path.display(), %error, "the disk cannot be used yet");
                None
            }
        }
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

/// Small disks get small segments.
fn segment_bytes(wanted: u64, quota: u64) -> u64 {
    wanted.min((quota / SEGMENT_PART).max(SEGMENT_BYTES_MIN))
}
