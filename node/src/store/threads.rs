//! The threads: one writer a disk, one for the log in the home folder, a few readers.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use fsdfs_core::seam::DiskDone;
use fsdfs_proto::record::LogEntry;

use crate::store::disk::appender::{Appender, for_disks};
use crate::store::disk::handle::DiskHealth;
use crate::store::disk::job::{DiskJob, DiskReply};
use crate::store::disk_set::DiskSet;
use crate::store::error::{StoreNotice, is_full};
use crate::store::log::LogFolder;

/// Payload committed at once at most: a few hundred milliseconds of a hard disk, so that the first of a long queue does
/// not wait for the last.
const COMMIT_BYTES_MAX: usize = 32 << 20;
/// Jobs committed at once at most.
const COMMIT_JOBS_MAX: usize = 4096;
/// A block behind which others were said to come waits so long for the next one. A commit of a thousand small blocks takes some
/// fifty milliseconds to arrive, and would cost as many syncs as happen to fit in there; the writer waits for its last
/// block anyway. Longer pauses are those of a slow line, or of a sender that died.
const MORE_WAIT: Duration = Duration::from_millis(40);

/// How often a disk that is full, failing or gone is looked at again: within a minute, whatever it was.
pub(crate) const LOOK_AGAIN: Duration = if cfg!(test) { Duration::from_millis(300) } else { Duration::from_secs(20) };

/// The writer of a disk; runs until it is told to stop.
pub(crate) fn run(mut appender: Appender, jobs: &Receiver<DiskJob>, shared: &DiskSet) {
    appender.recover(None);
    shared.report_changes();
    let mut looked = Instant::now();
    loop {
        let batch = match jobs.recv_timeout(LOOK_AGAIN.saturating_sub(looked.elapsed())) {
            Ok(first) => gather(first, jobs, MORE_WAIT),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if looked.elapsed() >= LOOK_AGAIN {
            appender.look_again();
            looked = Instant::now();
        }
        let stop = batch.iter().any(|job| matches!(job, DiskJob::Stop));
        let mut waiting: VecDeque<DiskJob> =
            batch.into_iter().filter_map(|job| shared.route_known(&appender.disk, job)).collect();
        loop {
            let left = appender.commit(waiting, now_ms());
            for (write, why) in left.rejected {
                shared.route_rejected(&appender.disk, write, why);
            }
            waiting = left.waiting;
            if appender.disk.index().is_some() || appender.disk.health() == DiskHealth::Offline {
                break;
            }
            appender.recover(Some("it failed".into()));
        }
        shared.report_changes();
        if stop {
            return appender.close();
        }
    }
}

/// What is queued by now, up to a bound: the group of a group commit. If all of it are blocks behind which others come at
/// once, those too.
fn gather(first: DiskJob, jobs: &Receiver<DiskJob>, more_wait: Duration) -> Vec<DiskJob> {
    let mut batch = vec![first];
    let (mut bytes, mut more) = (0, true);
    while bytes < COMMIT_BYTES_MAX && batch.len() < COMMIT_JOBS_MAX {
        match batch.last() {
            Some(DiskJob::Write(write)) => {
                bytes += write.block.bytes().len();
                more &= write.more;
            }
            Some(DiskJob::Stop) => break,
            // Nobody waits for these.
            Some(DiskJob::Log(_) | DiskJob::SealLog | DiskJob::Compact(_)) => {}
            _ => more = false,
        }
        let next = jobs.try_recv().ok();
        let Some(next) = next.or_else(|| if more { jobs.recv_timeout(more_wait).ok() } else { None }) else { break };
        batch.push(next);
    }
    batch
}

/// For the thread of the log in the home folder.
pub(crate) enum HomeJob {
    Append(Vec<LogEntry>, DiskReply),
    Compact(Vec<LogEntry>),
    Stop,
}

/// The log in the home folder.
struct HomeLog {
    log: LogFolder,
    /// The last write failed.
    failed: bool,
    /// When its reserve was last looked after.
    looked: Option<Instant>,
    /// A compaction was asked for and has not come.
    asked: bool,
}

/// The writer of the log in the home folder.
pub(crate) fn run_log(log: LogFolder, jobs: &Receiver<HomeJob>, shared: &DiskSet) {
    let mut log = HomeLog { log, failed: false, looked: None, asked: false };
    log.look_after_reserve();
    while let Ok(first) = jobs.recv() {
        let (mut entries, mut answers, mut stop) = (Vec::new(), Vec::new(), false);
        let mut next = Some(first);
        while let Some(job) = next.take() {
            match job {
                HomeJob::Append(more, answer) => {
                    entries.extend(more);
                    answers.push(answer);
                }
                HomeJob::Compact(keep) => compact_home(&mut log, &keep, shared),
                HomeJob::Stop => stop = true,
            }
            next = if stop { None } else { jobs.try_recv().ok() };
        }
        if !answers.is_empty() {
            append_home(&mut log, &entries, answers, shared);
        }
        if stop {
            return;
        }
    }
}

fn append_home(home: &mut HomeLog, entries: &[LogEntry], answers: Vec<DiskReply>, shared: &DiskSet) {
    let done = home.tried(shared, |log| match log.append(entries) {
        Err(error) if is_full(&error) && log.use_reserve() => log.append(entries),
        done => done,
    });
    for answer in answers {
        answer.send(DiskDone::Logged(done));
    }
    // The copies come after the answer: they are insurance against the loss of the home folder, not part of the promise.
    if done {
        shared.to_disks(for_disks(entries), DiskJob::Log);
    }
    if home.log.is_long() && !std::mem::replace(&mut home.asked, true) {
        // Behind the answers: whoever says what to keep knows all that is sealed now.
        home.log.seal();
        shared.to_disks(Vec::new(), |_| DiskJob::SealLog);
        (shared.notices)(StoreNotice::LogLong { path: home.log.dir().into() });
    }
}

fn compact_home(home: &mut HomeLog, keep: &[LogEntry], shared: &DiskSet) {
    home.asked = false;
    home.tried(shared, |log| log.compact(keep));
    shared.to_disks(for_disks(keep), DiskJob::Compact);
}

impl HomeLog {
    /// Makes the reserve, at the start and when it was used and there is room again.
    fn look_after_reserve(&mut self) {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_AGAIN) {
            self.log.keep_reserve();
            self.looked = Some(Instant::now());
        }
    }

    /// Whether it was done. That it fails, and that it no longer does, is said once: everything that is written asks for it.
    fn tried(&mut self, shared: &DiskSet, act: impl FnOnce(&mut LogFolder) -> io::Result<()>) -> bool {
        let before = self.log.syncs;
        let done = act(&mut self.log);
        self.look_after_reserve();
        shared.counters.syncs.add(self.log.syncs - before);
        let failed_before = std::mem::replace(&mut self.failed, done.is_err());
        let path = self.log.dir().into();
        match &done {
            Err(error) if !failed_before => (shared.notices)(StoreNotice::LogFailed { path, error: error.to_string() }),
            Ok(()) if failed_before => (shared.notices)(StoreNotice::LogBack { path }),
            _ => {}
        }
        done.is_ok()
    }
}

/// Milliseconds since 1970; a clock before that counts as 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use fsdfs_proto::block::Block;
    use fsdfs_proto::message::Redundancy;

    use super::*;
    use crate::store::disk::job::WriteJob;
    use crate::store::tests::rig::write_job;

    fn write(number: u8, more: bool) -> DiskJob {
        let block = Block::new(vec![number; 100].into());
        DiskJob::Write(WriteJob { more, ..write_job(block, Redundancy::Replicas(2), 1, |_| ()) })
    }

    #[test]
    fn blocks_of_one_commit_are_made_durable_together() {
        let (send, jobs) = mpsc::channel();
        let sender = std::thread::spawn(move || {
            for number in 1..100 {
                std::thread::yield_now();
                send.send(write(number, number < 99)).expect("somebody listens");
            }
            send
        });
        assert_eq!(gather(write(0, true), &jobs, Duration::from_secs(60)).len(), 100);
        drop(sender.join());
    }

    #[test]
    fn nothing_waits_for_a_sender_that_died_or_for_what_others_wait_for() {
        let (send, jobs) = mpsc::channel();
        assert_eq!(gather(write(0, true), &jobs, Duration::ZERO).len(), 1);
        send.send(write(1, false)).expect("somebody listens");
        let hour = Duration::from_secs(3600);
        assert_eq!(gather(write(0, true), &jobs, hour).len(), 2);
        assert_eq!(gather(write(2, false), &jobs, hour).len(), 1);
    }
}
