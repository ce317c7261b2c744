//! The threads: one writer a disk, one for the log in the home folder, a few readers.

use std::collections::VecDeque;
use std::sync::mpsc::Receiver;
use std::time::SystemTime;

use fsdfs_core::seam::DiskDone;
use fsdfs_proto::record::LogEntry;

use crate::store::disk::appender::{Appender, for_disks};
use crate::store::disk::handle::DiskHealth;
use crate::store::disk::job::{DiskJob, DiskReply};
use crate::store::disk_set::DiskSet;
use crate::store::error::StoreNotice;
use crate::store::log::LogFolder;

/// Payload committed at once at most: a few hundred milliseconds of a hard disk, so that the first of a long queue does
/// not wait for the last.
const COMMIT_BYTES_MAX: usize = 32 << 20;
/// Jobs committed at once at most.
const COMMIT_JOBS_MAX: usize = 4096;

/// The writer of a disk; runs until it is told to stop.
pub(crate) fn run(mut appender: Appender, jobs: &Receiver<DiskJob>, shared: &DiskSet) {
    appender.recover(None);
    shared.report_changes();
    while let Ok(first) = jobs.recv() {
        let batch = gather(first, jobs);
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

/// What is queued by now, up to a bound: the group of a group commit.
fn gather(first: DiskJob, jobs: &Receiver<DiskJob>) -> Vec<DiskJob> {
    let mut batch = vec![first];
    let mut bytes = 0;
    while bytes < COMMIT_BYTES_MAX && batch.len() < COMMIT_JOBS_MAX {
        bytes += match batch.last() {
            Some(DiskJob::Write(write)) => write.block.bytes().len(),
            Some(DiskJob::Stop) => break,
            _ => 0,
        };
        let Ok(next) = jobs.try_recv() else { break };
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

/// The writer of the log in the home folder.
pub(crate) fn run_log(mut log: LogFolder, jobs: &Receiver<HomeJob>, shared: &DiskSet) {
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

fn append_home(log: &mut LogFolder, entries: &[LogEntry], answers: Vec<DiskReply>, shared: &DiskSet) {
    let before = log.syncs;
    let done = log.append(entries);
    shared.counters.syncs.add(log.syncs - before);
    if let Err(error) = &done {
        report_home(log, error, shared);
    }
    for answer in answers {
        answer.send(DiskDone::Logged(done.is_ok()));
    }
    // The copies come after the answer: they are insurance against the loss of the home folder, not part of the promise.
    if done.is_ok() {
        shared.to_disks(for_disks(entries), DiskJob::Log);
    }
}

fn compact_home(log: &mut LogFolder, keep: &[LogEntry], shared: &DiskSet) {
    let before = log.syncs;
    if let Err(error) = log.compact(keep) {
        report_home(log, &error, shared);
    }
    shared.counters.syncs.add(log.syncs - before);
    shared.to_disks(for_disks(keep), DiskJob::Compact);
}

fn report_home(log: &LogFolder, error: &std::io::Error, shared: &DiskSet) {
    (shared.notices)(StoreNotice::LogFailed { path: log.dir().into(), error: error.to_string() });
}

/// Milliseconds since 1970; a clock before that counts as 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
