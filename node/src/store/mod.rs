//! The store: blocks in segment files on one or several disks, facts in a log in the home folder and on every disk.
//!
//! The segments are the truth; the index (sled) only says where in them a block lies and is rebuilt whenever in doubt.
//! One writer thread a disk takes everything that is queued, appends it, syncs once and then answers. What is answered
//! survives a power cut; what fails is never retried on the same file. The formats are spec 06-store.

mod compaction;
mod config;
mod disk;
mod disk_set;
mod drain;
mod error;
mod fs;
mod index;
mod late;
mod links;
mod log;
mod placed;
mod scrub;
mod segment;
#[cfg(test)]
mod tests;
mod threads;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fsdfs_core::seam::{DiskDone, DiskRequest, DiskState, LinksDone, ReadDone, WriteDone};
use fsdfs_proto::block::BLOCK_BYTES_MAX;
use fsdfs_proto::ids::{BlockId, DiskId};
use fsdfs_proto::message::Possession;
use fsdfs_proto::message::repair::AssuredCopy;
use fsdfs_proto::record::{LogEntry, log_entry};

use compaction::Compactor;
pub use config::{DiskConfig, IfMissing, SEGMENT_BYTES, StoreConfig};
use disk::appender::Appender;
use disk::attach::{self, FolderLock};
use disk::begin;
use disk::handle::{DiskHandle, NoticeSink};
use disk::job::{CollectJob, DeleteJob, DiskJob, DiskReply, WriteJob};
use disk::open::DiskOpener;
use disk_set::{DiskSet, ReaderJob};
use drain::{DrainJob, Drainer};
pub use error::{StoreError, StoreNotice};
use fs::FileSystem;
use index::IndexFactory;
pub use late::BegunDisk;
use late::{AttachJob, DiskWriters, LateDisks};
use links::LinkCache;
use log::LogFolder;
use scrub::Scrubber;
use threads::HomeJob;

use crate::metrics::{DiskUsage, DrainState, MissingDisk, ScrubState, StoreCounters, StoreGauges, StoreMetrics};

/// Threads that read: enough to keep a hard disk's queue busy, few enough not to bury it.
const READERS: usize = 4;
/// What opening found.
#[derive(Debug)]
pub struct OpenedStore {
    /// The union of all logs.
    pub entries: Vec<LogEntry>,
    /// Disks that serve. Their indexes may still be loading, see [`Store::wait_ready`].
    pub disks: Vec<DiskState>,
    /// Storage folders that have none.
    pub missing: Vec<MissingDisk>,
    /// Not all that was logged in the home folder is there. The disks' copies have it, unless there is none: sequence
    /// numbers may have been used that nobody knows of.
    pub log_damaged: bool,
}

/// Handle to the store; clones are the same store. It is closed with the last of them.
#[derive(Clone)]
pub struct Store(Arc<StoreThreads>);

struct StoreThreads {
    shared: Arc<DiskSet>,
    home: Sender<HomeJob>,
    readers: Sender<ReaderJob>,
    /// To the thread that looks for disks which were not there at the start.
    attach: Sender<AttachJob>,
    /// Ends the thread that looks for damage.
    scrub: Sender<()>,
    /// Ends the thread that frees space.
    compaction: Sender<()>,
    /// To the thread that empties disks.
    drain: Sender<DrainJob>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    writers: DiskWriters,
    _home_lock: FolderLock,
}

impl Store {
    /// Opens home and disks, making them if need be, and starts the threads. Indexes load behind it: until one has, its
    /// disk answers "not yet". `notices` is called from the store's threads and must not block.
    pub fn open(
        config: &StoreConfig,
        notices: impl Fn(StoreNotice) + Send + Sync + 'static,
    ) -> Result<(Self, OpenedStore), StoreError> {
        Self::open_on(
            Arc::new(fs::os_fs::OsFileSystem),
            Arc::new(index::sled_index::SledIndexes),
            config,
            Arc::new(notices),
        )
    }

    /// Whether [`Store::open`] would use these folders; those without which it would open, and why. Changes nothing, and may be
    /// asked while a store is open.
    pub fn check_folders(home: &Path, disks: &[DiskConfig]) -> Result<Vec<(PathBuf, String)>, StoreError> {
        let missing = attach::check_folders(&fs::os_fs::OsFileSystem, home, disks)?;
        Ok(missing.into_iter().map(|(path, error)| (path, error.to_string())).collect())
    }

    /// Begins a new disk in this storage folder, in the place of one that is lost, while no store is open. For one that is, see
    /// [`Store::begin_disk`].
    pub fn begin_disk_of(config: &StoreConfig, path: &Path) -> Result<BegunDisk, StoreError> {
        let file_system = fs::os_fs::OsFileSystem;
        let home_error = |error| attach::home_error(&config.home, error);
        fs::create_dir(&file_system, &config.home).map_err(home_error)?;
        let _lock = attach::lock(&file_system, &config.home)?.map_err(home_error)?;
        let begun = begin::begin(&file_system, config, path)?;
        Ok(BegunDisk { disk: begun.superblock.disk(), given_up: begun.given_up })
    }

    /// Begins a new disk in this storage folder, in the place of one that is lost. `done` is called once, from a thread of the
    /// store, unless that is closed.
    pub fn begin_disk(&self, path: PathBuf, done: impl FnOnce(Result<BegunDisk, StoreError>) + Send + 'static) {
        let _ = self.0.attach.send(AttachJob::Begin { path, done: Box::new(done) });
    }

    /// Never blocks. `done` is called once, from a thread of the store, and must not block either.
    pub fn submit(&self, request: DiskRequest, done: impl FnOnce(DiskDone) + Send + 'static) {
        if matches!(request, DiskRequest::Write { .. } | DiskRequest::Read { .. }) {
            self.0.shared.note_used();
        }
        // A send fails only when the store is closed; then the answer is dropped and says so itself.
        match request {
            DiskRequest::Write { block, redundancy, first_seen, lease, receipt, disk, more } => {
                let answer = DiskReply::new(done, DiskDone::Written(WriteDone::Failed));
                // No reader would take its record for one; the wire refuses such a block before it comes here.
                if !(1..=BLOCK_BYTES_MAX).contains(&block.bytes().len()) {
                    return;
                }
                let (tried, full, routed) = (Vec::new(), false, false);
                let write =
                    WriteJob { block, redundancy, first_seen, lease, receipt, more, answer, tried, full, routed };
                self.0.shared.route(disk, write);
            }
            DiskRequest::Mend { block } => {
                let answer = DiskReply::new(done, DiskDone::Written(WriteDone::Failed));
                let _ = self.0.readers.send(ReaderJob::Mend(block, answer));
            }
            DiskRequest::Read { id } => {
                let answer = DiskReply::new(done, DiskDone::Read(ReadDone::Failed));
                let _ = self.0.readers.send(ReaderJob::Read(id, answer));
            }
            DiskRequest::Have { ids, renew } => {
                let answer = DiskReply::new(done, DiskDone::Have(vec![Possession::NotYet; ids.len()]));
                let _ = self.0.readers.send(ReaderJob::Have(ids, renew, answer));
            }
            DiskRequest::Assure { ids } => {
                let answer = DiskReply::new(done, DiskDone::Assured(vec![AssuredCopy::UNKNOWN; ids.len()]));
                let _ = self.0.readers.send(ReaderJob::Assure(ids, answer));
            }
            DiskRequest::List { after, max } => {
                let answer = DiskReply::new(done, DiskDone::List(Vec::new()));
                let _ = self.0.readers.send(ReaderJob::List(after, max, answer));
            }
            DiskRequest::Copies { after, max } => {
                let answer = DiskReply::new(done, DiskDone::Copies(None));
                let _ = self.0.readers.send(ReaderJob::Copies(after, max, answer));
            }
            DiskRequest::Segment { disk, segment } => {
                let answer = DiskReply::new(done, DiskDone::Segment(Vec::new()));
                let _ = self.0.readers.send(ReaderJob::Segment(disk, segment, answer));
            }
            DiskRequest::Delete { disk, copies } => {
                let answer = DiskReply::new(done, DiskDone::Deleted(false));
                self.0.shared.delete(disk, DeleteJob { copies, answer });
            }
            DiskRequest::Collect { disk, copies } => {
                let answer = DiskReply::new(done, DiskDone::Collected(vec![false; copies.len()]));
                self.0.shared.collect(disk, CollectJob { copies, answer });
            }
            DiskRequest::Links { ids } => {
                let answer = DiskReply::new(done, DiskDone::Links(vec![LinksDone::NotYet; ids.len()]));
                let _ = self.0.readers.send(ReaderJob::Links(ids, answer));
            }
            DiskRequest::KeepLinks { block } => {
                let answer = DiskReply::new(done, DiskDone::LinksKept);
                let _ = self.0.readers.send(ReaderJob::KeepLinks(block, answer));
            }
            DiskRequest::Log { entries } => {
                let answer = DiskReply::new(done, DiskDone::Logged(false));
                let _ = self.0.home.send(HomeJob::Append(entries, answer));
            }
        }
    }

    /// Empties these disks, and none else: what is on them is copied to the others.
    pub fn drain(&self, disks: Vec<DiskId>) {
        let _ = self.0.drain.send(DrainJob::Disks(disks));
    }

    /// Reads on the calling thread, which may wait for the disk.
    pub fn read_now(&self, id: &BlockId) -> ReadDone {
        self.0.shared.note_used();
        self.0.shared.read(id)
    }

    /// Replaces what the logs held when the store was opened, or when [`StoreNotice::LogLong`] was said, by `keep`. What is logged
    /// since then stays anyway.
    pub fn compact_log(&self, keep: Vec<LogEntry>) {
        let _ = self.0.home.send(HomeJob::Compact(keep));
    }

    /// Waits until every disk has its index or is out; false if that takes longer.
    pub fn wait_ready(&self, at_most: Duration) -> bool {
        self.0.shared.wait_ready(at_most)
    }

    /// Finishes what was asked, then ends all threads. Later requests are answered with failure.
    pub fn close(self) {
        self.0.stop();
    }

    fn open_on(
        file_system: Arc<dyn FileSystem>,
        indexes: Arc<dyn IndexFactory>,
        config: &StoreConfig,
        notices: NoticeSink,
    ) -> Result<(Self, OpenedStore), StoreError> {
        let home = &config.home;
        let home_error = |error| attach::home_error(home, error);
        fs::create_dir(&*file_system, home).map_err(home_error)?;
        let home_lock = attach::lock(&*file_system, home)?.map_err(home_error)?;
        let (home_log, mut logged) = LogFolder::open(file_system.clone(), log::folder(home)).map_err(home_error)?;
        let log_damaged = home_log.damaged;
        if log_damaged {
            notices(StoreNotice::LogDamaged { path: log::folder(home) });
        }
        let counters = Arc::new(StoreCounters::default());
        let round = config.scrub;
        let links = LinkCache::new(indexes.clone(), home.join(links::FOLDER));
        let late = LateDisks {
            file_system: file_system.clone(),
            indexes: indexes.clone(),
            config: config.clone(),
            notices: notices.clone(),
            counters: counters.clone(),
        };
        let opener = DiskOpener { file_system, indexes, config, notices: notices.clone(), counters: counters.clone() };
        let mut writers = Vec::new();
        let (opened, missing) = opener.disks()?;
        for (appender, jobs, entries) in opened {
            logged.extend(entries);
            writers.push((appender, jobs));
        }
        let disks: Vec<Arc<DiskHandle>> = writers.iter().map(|(appender, _)| appender.disk.clone()).collect();
        let shared = Arc::new(DiskSet::new((disks, missing.clone()), notices, counters, links));
        let handle = StoreThreads::start(shared.clone(), writers, (late, round), (home_log, home_lock))
            .map_err(StoreError::System)?;
        let entries = log::union(logged).iter().map(|payload| log_entry(payload)).collect();
        Ok((Self(Arc::new(handle)), OpenedStore { entries, disks: shared.states(), missing, log_damaged }))
    }
}

impl StoreGauges for Store {
    fn disks(&self) -> Vec<DiskState> {
        self.0.shared.states()
    }

    fn missing(&self) -> Vec<MissingDisk> {
        self.0.shared.missing().clone()
    }

    fn usage(&self) -> Vec<(PathBuf, DiskId, DiskUsage)> {
        self.0.shared.usages()
    }

    fn measured_usage(&self) -> Vec<(PathBuf, DiskId, DiskUsage)> {
        let measured = |disk: &Arc<DiskHandle>| match disk.measured() {
            Ok(usage) => usage,
            // Of one that is not there, what was known last.
            Err(_) => disk.usage(),
        };
        self.0.shared.disks().iter().map(|disk| (disk.path.clone(), disk.id, measured(disk))).collect()
    }

    fn counters(&self) -> StoreMetrics {
        self.0.shared.counters.read()
    }

    fn drained(&self) -> Vec<DrainState> {
        drain::states(&self.0.shared)
    }

    fn scrub(&self) -> ScrubState {
        scrub::state(&self.0.shared)
    }
}

impl StoreThreads {
    fn start(
        shared: Arc<DiskSet>,
        writers: Vec<(Appender, Receiver<DiskJob>)>,
        (late, round): (LateDisks, Option<Duration>),
        (home_log, home_lock): (LogFolder, FolderLock),
    ) -> io::Result<Self> {
        let (home, home_jobs) = mpsc::channel();
        let (readers, questions) = mpsc::channel();
        let (attach, stopped) = mpsc::channel();
        let (scrub, scrub_stopped) = mpsc::channel();
        let (compaction, compaction_stopped) = mpsc::channel();
        let (drain, drain_jobs) = mpsc::channel();
        let handle = Self {
            shared: shared.clone(),
            home,
            readers,
            attach,
            scrub,
            compaction,
            drain,
            threads: Mutex::default(),
            writers: DiskWriters::default(),
            _home_lock: home_lock,
        };
        for (appender, jobs) in writers {
            handle.writers.start(appender, jobs, &shared)?;
        }
        let (disks, started) = (shared.clone(), handle.writers.clone());
        handle.spawn("attach", move || late.run(&stopped, &disks, &started))?;
        if let Some(round) = round {
            let scrubber = Scrubber::new(shared.clone(), round, scrub_stopped);
            handle.spawn("scrub", move || scrubber.run())?;
        }
        let compactor = Compactor::new(shared.clone(), compaction_stopped);
        handle.spawn("compact", move || compactor.run())?;
        let drainer = Drainer::new(shared.clone(), drain_jobs);
        handle.spawn("drain", move || drainer.run())?;
        let questions = Arc::new(Mutex::new(questions));
        for number in 0..READERS {
            let (shared, questions) = (shared.clone(), questions.clone());
            handle.spawn(&format!("read-{number}"), move || answer(&shared, &questions))?;
        }
        handle.spawn("log", move || threads::run_log(home_log, &home_jobs, &shared))?;
        Ok(handle)
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name(format!("store-{name}")).spawn(run)?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// Readers and the log feed the writers, so they end first.
    fn stop(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let _ = self.attach.send(AttachJob::Stop);
        let _ = self.scrub.send(());
        let _ = self.compaction.send(());
        let _ = self.drain.send(DrainJob::Stop);
        let _ = self.home.send(HomeJob::Stop);
        for _ in 0..READERS {
            let _ = self.readers.send(ReaderJob::Stop);
        }
        join(threads);
        for disk in self.shared.disks() {
            let _ = disk.queue.send(DiskJob::Stop);
        }
        join(self.writers.take());
        self.shared.links.close();
    }
}

impl Drop for StoreThreads {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A reader thread.
fn answer(shared: &DiskSet, questions: &Mutex<Receiver<ReaderJob>>) {
    loop {
        let next = questions.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(ReaderJob::Stop) | Err(_) => return,
            Ok(question) => shared.ask(question),
        }
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    // The last handle may be dropped by an answer, on one of these threads.
    for thread in threads.into_iter().filter(|other| other.thread().id() != thread::current().id()) {
        if thread.join().is_err() {
            tracing::error!("a thread of the store panicked; its disk is checked at the next start");
        }
    }
}
