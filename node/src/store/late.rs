//! Disks that are not there when the store is opened: not mounted, failing, or the process had no descriptor left. They are
//! taken in when they can be.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use fsdfs_proto::ids::DiskId;
use fsdfs_proto::record::log_entry;

use super::config::StoreConfig;
use super::disk::appender::Appender;
use super::disk::handle::NoticeSink;
use super::disk::job::DiskJob;
use super::disk::open::DiskOpener;
use super::disk_set::DiskSet;
use super::error::StoreNotice;
use super::fs::FileSystem;
use super::index::IndexFactory;
use super::threads::{self, LOOK_AGAIN};
use crate::metrics::StoreCounters;

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

impl LateDisks {
    /// Looks again and again, until all are there or the store is closed.
    pub fn run(&self, stopped: &Receiver<()>, shared: &Arc<DiskSet>, writers: &DiskWriters) {
        while shared.disks().len() < self.config.disks.len() {
            if stopped.recv_timeout(LOOK_AGAIN) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            self.look(shared, writers);
        }
    }

    fn look(&self, shared: &Arc<DiskSet>, writers: &DiskWriters) {
        let opener = DiskOpener {
            file_system: self.file_system.clone(),
            indexes: self.indexes.clone(),
            config: &self.config,
            notices: self.notices.clone(),
            counters: self.counters.clone(),
        };
        for disk in &self.config.disks {
            let known = shared.disks();
            let attached: Vec<(DiskId, PathBuf)> = known.iter().map(|disk| (disk.id, disk.path.clone())).collect();
            if attached.iter().any(|(_, path)| *path == disk.path) {
                continue;
            }
            let Some((appender, jobs, entries)) = opener.late(disk, &attached) else { continue };
            let (handle, path) = (appender.disk.clone(), disk.path.clone());
            let entries = entries.iter().map(|payload| log_entry(payload)).collect();
            if let Err(error) = writers.start(appender, jobs, shared) {
                tracing::warn!(disk = %path.display(), %error, "the disk is there, but the system gives no thread for it");
                continue;
            }
            shared.add(handle);
            shared.report_changes();
            // The log in the home folder may have been lost since.
            (self.notices)(StoreNotice::LogCopy { path: path.clone(), entries });
            (self.notices)(StoreNotice::Back { path });
        }
    }
}
