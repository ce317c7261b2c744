//! Empties disks of a node that stays: copies what is on them to its other disks, one by one, behind what users do.
//!
//! Promise: "may be unplugged" is said of a disk when one walk through all of its records, since the begin of which nothing was
//! written there, found each copy that can be read on another disk that works, durably and with all that was known of it here.
//! Nothing is deleted: space comes free with the disk, and a disk that is about to fail takes no records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use fsdfs_core::seam::ReadDone;
use fsdfs_proto::ids::{BlockId, DiskId};

use super::disk::draining::{BlockAmount, DrainProgress, EmptyWalk};
use super::disk::handle::{DiskHandle, DiskHealth};
use super::disk::job::{AdoptDone, AdoptJob, DiskJob, WriteRejection};
use super::disk::room::RoomFor;
use super::disk_set::DiskSet;
use super::index::IndexEntry;
use super::threads::LOOK_AGAIN;
use crate::metrics::DrainState;

/// Records looked at in one go.
const PAGE: usize = 256;
/// Bytes on their way from one disk to others at most, and one block.
const BYTES_UNDER_WAY_MAX: u64 = 16 << 20;
/// As long as a block was read or written for somebody so lately, half of the time is theirs.
const BUSY: Duration = Duration::from_secs(1);
/// An index takes seconds to be loaded, and minutes to be made.
const INDEX_WAIT: Duration = Duration::from_millis(500);
/// A rate is that of this time, or of longer.
const RATE_OVER: Duration = Duration::from_secs(5);

/// For the thread.
pub(crate) enum DrainJob {
    /// Exactly these are to be emptied.
    Disks(Vec<DiskId>),
    Stop,
}

/// The thread.
pub(crate) struct Drainer {
    shared: Arc<DiskSet>,
    jobs: Receiver<DrainJob>,
    wanted: BTreeSet<DiskId>,
}

/// A walk ends early: the store is closed.
struct Stopped;

/// What became of a walk through a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WalkDone {
    /// Everything was found elsewhere, or is now; another walk has to see it.
    Copied,
    /// Nothing was left.
    Clean,
    /// What is left finds no place for now.
    Stuck,
}

impl Drainer {
    pub fn new(shared: Arc<DiskSet>, jobs: Receiver<DrainJob>) -> Self {
        Self { shared, jobs, wanted: BTreeSet::new() }
    }

    /// Until the store is closed.
    pub fn run(mut self) {
        loop {
            let wait = if self.wanted.is_empty() { None } else { Some(self.next_wait()) };
            if self.waits(wait).is_err() {
                return;
            }
            for disk in self.drained() {
                if is_empty(&self.shared, &disk) {
                    continue;
                }
                match self.walk(&disk) {
                    Ok(done) => disk.drain(|drain| drain.is_stuck = done == WalkDone::Stuck),
                    Err(Stopped) => return,
                }
            }
        }
    }

    /// At once as long as there is something to do; soon where an index is being made.
    fn next_wait(&self) -> Duration {
        let wait = |disk: &Arc<DiskHandle>| {
            if is_empty(&self.shared, disk) || disk.health() == DiskHealth::Offline {
                LOOK_AGAIN
            } else if disk.index().is_none() {
                INDEX_WAIT
            } else {
                disk.drain(|drain| if drain.is_stuck { LOOK_AGAIN } else { Duration::ZERO })
            }
        };
        self.drained().iter().map(wait).min().unwrap_or(LOOK_AGAIN)
    }

    fn drained(&self) -> Vec<Arc<DiskHandle>> {
        self.shared.disks().into_iter().filter(|disk| self.wanted.contains(&disk.id)).collect()
    }

    /// Takes in what is wanted meanwhile. Disks that came are marked, too.
    fn waits(&mut self, so_long: Option<Duration>) -> Result<(), Stopped> {
        let job = match so_long {
            None => self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(time) => self.jobs.recv_timeout(time),
        };
        match job {
            Ok(DrainJob::Disks(disks)) => self.wanted = disks.into_iter().collect(),
            Err(RecvTimeoutError::Timeout) => {}
            Ok(DrainJob::Stop) | Err(RecvTimeoutError::Disconnected) => return Err(Stopped),
        }
        let mut is_news = false;
        for disk in &self.shared.disks() {
            let is_wanted = self.wanted.contains(&disk.id);
            is_news |= disk.drain(|drain| {
                let is_new = drain.is_wanted != is_wanted;
                if is_new {
                    *drain = DrainProgress { is_wanted, ..DrainProgress::default() };
                }
                is_new
            });
        }
        if is_news {
            self.shared.report_changes();
        }
        Ok(())
    }

    /// Goes through all that is on a disk.
    fn walk(&mut self, disk: &Arc<DiskHandle>) -> Result<WalkDone, Stopped> {
        let disks = self.shared.disks();
        let on = disks.iter().filter(|other| other.id != disk.id && takes(other)).map(|other| other.id).collect();
        let before = EmptyWalk { commits: disk.commits(), on };
        let (mut after, mut found, mut unreadable, mut done) = (None, BlockAmount::default(), 0, WalkDone::Clean);
        let is_first = disk.drain(|drain| drain.left.is_none());
        loop {
            let Some(index) = disk.index().filter(|_| is_readable(disk)) else { return Ok(WalkDone::Stuck) };
            let page = match index.list(after.as_ref(), PAGE) {
                Ok(page) => page,
                Err(error) => {
                    disk.invalidate_index(&error);
                    return Ok(WalkDone::Stuck);
                }
            };
            after = page.last().map(|(id, _)| *id).or(after);
            let is_last = page.len() < PAGE;
            let left: Vec<_> = page.into_iter().filter(|(id, entry)| is_left(&self.shared, disk, id, entry)).collect();
            left.iter().for_each(|(_, entry)| found.add(entry.len));
            // The first walk counts, so that it can be said how long it takes.
            if !is_first && !left.is_empty() {
                done = worse(done, self.copy(disk, left, &mut unreadable)?);
            }
            self.waits(Some(Duration::ZERO))?;
            if !disk.is_drained() {
                return Ok(WalkDone::Copied);
            }
            if is_last {
                break;
            }
        }
        disk.drain(|drain| {
            if is_first {
                (drain.left, drain.since) = (Some(found), Some(Instant::now()));
            } else if done == WalkDone::Clean {
                drain.left = Some(BlockAmount::default());
            }
            drain.unreadable = unreadable;
            drain.empty = (found.blocks == unreadable).then_some(before);
        });
        Ok(if is_first { WalkDone::Copied } else { done })
    }

    /// Copies these to the other disks, a few at a time. What the disk does not give back any more is counted.
    fn copy(
        &mut self,
        disk: &Arc<DiskHandle>,
        mut left: Vec<(BlockId, IndexEntry)>,
        unreadable: &mut u64,
    ) -> Result<WalkDone, Stopped> {
        let mut done = WalkDone::Clean;
        while !left.is_empty() {
            let begun = Instant::now();
            let mut bytes = 0;
            let some = left.iter().take_while(|(_, entry)| {
                let is_room = bytes < BYTES_UNDER_WAY_MAX;
                bytes += u64::from(entry.len);
                is_room
            });
            let some = some.count();
            let batch: Vec<_> = left.drain(..some).collect();
            done = worse(done, copy_some(&self.shared, disk, batch, unreadable));
            let is_busy = self.shared.idle_for() < BUSY;
            self.waits(Some(if is_busy { begun.elapsed() } else { Duration::ZERO }))?;
            if done == WalkDone::Stuck || !disk.is_drained() {
                break;
            }
        }
        Ok(done)
    }
}

/// Reads these, has other disks keep them, and waits until that is durable.
fn copy_some(
    shared: &DiskSet,
    disk: &Arc<DiskHandle>,
    batch: Vec<(BlockId, IndexEntry)>,
    unreadable: &mut u64,
) -> WalkDone {
    let (done, answers) = mpsc::sync_channel(batch.len());
    let mut lens = BTreeMap::new();
    let mut outcome = WalkDone::Clean;
    for (id, entry) in batch {
        let block = match disk.read(&id) {
            ReadDone::Found(block) => block,
            // Other members have it. A disk that fails may not even take the record which says that this copy is none.
            ReadDone::Damaged | ReadDone::Failed | ReadDone::No if is_readable(disk) => {
                *unreadable += 1;
                continue;
            }
            _ => {
                outcome = WalkDone::Stuck;
                break;
            }
        };
        let Some(target) = target(shared, disk, &id) else {
            outcome = WalkDone::Stuck;
            break;
        };
        lens.insert(id, entry.len);
        let _ = target.queue.send(DiskJob::Adopt(AdoptJob { block, entry, done: done.clone() }));
    }
    drop(done);
    let mut durable = 0;
    for answer in answers {
        match answer {
            AdoptDone::Durable(id) => {
                let len = lens.get(&id).copied().unwrap_or_default();
                (durable, outcome) = (durable + 1, worse(outcome, WalkDone::Copied));
                disk.drain(|drain| {
                    drain.copied += u64::from(len);
                    drain.left.iter_mut().for_each(|left| left.take(len));
                });
            }
            AdoptDone::Rejected(WriteRejection::Full | WriteRejection::Failed) => outcome = WalkDone::Stuck,
        }
    }
    // A writer that ended, or whose index failed, answers nothing.
    if durable < lens.len() { WalkDone::Stuck } else { outcome }
}

/// The disk that has the block already, or the roomiest that takes it.
fn target(shared: &DiskSet, from: &DiskHandle, id: &BlockId) -> Option<Arc<DiskHandle>> {
    let disks = shared.disks();
    let others = || disks.iter().filter(|disk| disk.id != from.id && takes(disk));
    let has = |disk: &&Arc<DiskHandle>| matches!(disk.look_up(id), Ok(Some(entry)) if entry.is_whole());
    others().find(has).or_else(|| others().max_by_key(|disk| disk.room(RoomFor::Blocks))).cloned()
}

fn takes(disk: &DiskHandle) -> bool {
    disk.health() == DiskHealth::Good && !disk.is_drained() && disk.index().is_some()
}

fn is_readable(disk: &DiskHandle) -> bool {
    disk.health() != DiskHealth::Offline && disk.index().is_some() && !disk.is_incomplete()
}

/// Whether something would be lost of a block with this disk.
fn is_left(shared: &DiskSet, disk: &DiskHandle, id: &BlockId, entry: &IndexEntry) -> bool {
    let covers = |other: &Arc<DiskHandle>| {
        other.id != disk.id && takes(other) && matches!(other.look_up(id), Ok(Some(there)) if there.covers(entry))
    };
    entry.is_held() && !shared.disks().iter().any(covers)
}

/// Whether nothing is lost with this disk, as of the last walk: nothing was written there since, and no disk that it may rely on
/// has failed.
fn is_empty(shared: &DiskSet, disk: &DiskHandle) -> bool {
    let disks = shared.disks();
    let works = |id: &DiskId| disks.iter().any(|other| other.id == *id && takes(other));
    // Looking at the others takes their locks.
    let walk = disk.drain(|drain| drain.empty.clone().filter(|_| drain.is_wanted));
    walk.is_some_and(|walk| walk.commits == disk.commits() && walk.on.iter().all(works))
}

fn worse(one: WalkDone, other: WalkDone) -> WalkDone {
    match (one, other) {
        (WalkDone::Stuck, _) | (_, WalkDone::Stuck) => WalkDone::Stuck,
        (WalkDone::Copied, _) | (_, WalkDone::Copied) => WalkDone::Copied,
        (WalkDone::Clean, WalkDone::Clean) => WalkDone::Clean,
    }
}

/// Of all disks that are to be emptied.
pub(crate) fn states(shared: &DiskSet) -> Vec<DrainState> {
    let state = |disk: &Arc<DiskHandle>| {
        let is_empty = is_empty(shared, disk);
        disk.drain(|drain| {
            let left = drain.left.unwrap_or_default();
            let rate = drain.since.map(|since| since.elapsed()).filter(|time| *time >= RATE_OVER);
            let rate = rate.and_then(|time| drain.copied.checked_div(time.as_secs().max(1)));
            DrainState {
                disk: disk.id,
                path: disk.path.clone(),
                may_be_unplugged: is_empty,
                is_counted: drain.left.is_some(),
                blocks: left.blocks,
                bytes: left.bytes,
                bytes_per_s: rate.filter(|rate| *rate > 0),
                unreadable: drain.unreadable,
                is_stuck: drain.is_stuck && !is_empty,
            }
        })
    };
    shared.disks().iter().filter(|disk| disk.is_drained()).map(state).collect()
}
