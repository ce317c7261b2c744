//! Disks that are not there when the store is opened: not mounted, failing, or the process had no descriptor left. They are
//! taken in when they can be. And those that are begun in the place of lost ones.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use fsdfs_proto::ids::DiskId;
use fsdfs_proto::record::log_entry;

use super::config::StoreConfig;
use super::disk::appender::Appender;
use super::disk::attach;
use super::disk::handle::{NoticeSink, is_shortage};
use super::disk::job::DiskJob;
use super::disk::open::{DiskOpener, OpenedDisk};
use super::disk_set::DiskSet;
use super::error::{StoreError, StoreNotice};
use super::fs::FileSystem;
use super::index::IndexFactory;
use super::threads::{self, LOOK_AGAIN};
use crate::metrics::{MissingDisk, StoreCounters};

/// The writer threads of all disks.
#[derive(Clone, Default)]
pub(super) struct DiskWriters(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl DiskWriters {
    /// One more.
    pub fn start(&self, appender: Appender, jobs: Receiver<DiskJob>, shared: &Arc<DiskSet>) -> io::Result<()> {
        let shared = shared.clone();
        let name = format!("store-disk-{}", appender.disk.id.short());
        let thread = thread::Builder::new().name(name).spawn(move || threads::run(appender, &jobs, &shared))?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// To be waited for.
    pub fn take(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What opening a disk takes.
pub(super) struct LateDisks {
    pub file_system: Arc<dyn FileSystem>,
    pub indexes: Arc<dyn IndexFactory>,
    pub config: StoreConfig,
    pub notices: NoticeSink,
    pub counters: Arc<StoreCounters>,
}

/// For the thread that takes in disks.
pub(super) enum AttachJob {
    /// Begin a new disk in a storage folder whose disk is lost.
    Begin {
        path: PathBuf,
        done: Box<dyn FnOnce(Result<BegunDisk, StoreError>) + Send>,
    },
    Stop,
}

/// A disk that was begun in the place of lost ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BegunDisk {
    /// The new one.
    pub disk: DiskId,
    /// Those that are given up.
    pub given_up: Vec<DiskId>,
}

impl LateDisks {
    /// Looks again and again for those that are not there, and begins new ones, until the store is closed.
    pub fn run(&self, jobs: &Receiver<AttachJob>, shared: &Arc<DiskSet>, writers: &DiskWriters) {
        loop {
            let all_are_there = shared.missing().is_empty();
            let job = if all_are_there { jobs.recv().map_err(Into::into) } else { jobs.recv_timeout(LOOK_AGAIN) };
            match job {
                Ok(AttachJob::Begin { path, done }) => done(self.begin(path, shared, writers)),
                Err(RecvTimeoutError::Timeout) => self.look(shared, writers),
                Ok(AttachJob::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&self, shared: &Arc<DiskSet>, writers: &DiskWriters) {
        for disk in &self.config.disks {
            let known = shared.disks();
            let attached: Vec<(DiskId, PathBuf)> = known.iter().map(|disk| (disk.id, disk.path.clone())).collect();
            if attached.iter().any(|(_, path)| *path == disk.path) {
                continue;
            }
            match self.opener().late(disk, &attached) {
                Ok(opened) => match self.take_in(opened, shared, writers) {
                    Ok(()) => (self.notices)(StoreNotice::Back { path: disk.path.clone() }),
                    Err(error) => {
                        let disk = disk.path.display();
                        tracing::warn!(%disk, %error, "the disk is there, but the system gives no thread for it");
                    }
                },
                Err(missing) => {
                    let MissingDisk { path, why, .. } = missing.clone();
                    if shared.note_missing(missing) {
                        (self.notices)(StoreNotice::NotAttached { path, why });
                    }
                }
            }
        }
    }

    fn begin(&self, path: PathBuf, shared: &Arc<DiskSet>, writers: &DiskWriters) -> Result<BegunDisk, StoreError> {
        if let Some(lost) = shared.disks().into_iter().find(|disk| disk.path == path) {
            match attach::answers(&*self.file_system, &path, &lost.superblock) {
                Ok(()) => return Err(StoreError::StillThere { path, disk: lost.id }),
                Err(error) if is_shortage(&error) => return Err(StoreError::System(error)),
                // That it is lost may not have been noticed yet.
                Err(error) => lost.give_up(&error),
            }
            lost.unlock();
            // It has to be known to be away before it can be given up.
            shared.report_changes();
        }
        let (opened, given_up) = self.opener().begin(&path)?;
        let disk = opened.0.disk.id;
        // Before the disk itself, so that the others hear of both at once.
        (self.notices)(StoreNotice::GivenUp(given_up.clone()));
        self.take_in(opened, shared, writers).map_err(StoreError::System)?;
        (self.notices)(StoreNotice::Begun { path, disk });
        Ok(BegunDisk { disk, given_up })
    }

    fn take_in(&self, opened: OpenedDisk, shared: &Arc<DiskSet>, writers: &DiskWriters) -> io::Result<()> {
        let (appender, jobs, entries) = opened;
        let handle = appender.disk.clone();
        let path = handle.path.clone();
        let entries = entries.iter().map(|payload| log_entry(payload)).collect();
        writers.start(appender, jobs, shared)?;
        if let Some(lost) = shared.add(handle) {
            // Nothing is to be written in its name: what it closes lies where the new one is.
            lost.set_index(None);
            let _ = lost.queue.send(DiskJob::Stop);
        }
        shared.report_changes();
        // The log in the home folder may have been lost since.
        (self.notices)(StoreNotice::LogCopy { path, entries });
        Ok(())
    }

    fn opener(&self) -> DiskOpener<'_> {
        DiskOpener {
            file_system: self.file_system.clone(),
            indexes: self.indexes.clone(),
            config: &self.config,
            notices: self.notices.clone(),
            counters: self.counters.clone(),
        }
    }
}
