//! Scrub: all that lies on the disks is read and compared with its id, segment by segment, so that damage is found while other
//! members still have copies.
//!
//! Promise: each current record is read once a round, in a bounded number of bytes a second and behind what users do; a bad one is
//! marked as a read marks it. The place is kept over restarts.

mod book;
mod pace;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use fsdfs_core::seam::ReadDone;

use crate::clock::wall_ms;
use crate::metrics::ScrubState;
use crate::store::disk::attach;
use crate::store::disk::handle::{DiskHandle, DiskHealth};
use crate::store::disk_set::DiskSet;
use crate::store::error::StoreNotice;
use crate::store::segment::{self, scan::SegmentScan};
pub(crate) use book::ScrubProgress;
use pace::{PaceAnswer, ScrubPace};

/// How often it is looked whether a round is due, and whether users are still busy.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The place is saved when so much time passed; what was read since is read again after a crash.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// The thread that reads.
pub(crate) struct Scrubber {
    shared: Arc<DiskSet>,
    /// A whole round takes no longer.
    round: Duration,
    /// Ends it.
    stop: Receiver<()>,
    saved: Instant,
}

/// Why the reading of a segment ended early.
enum Interrupted {
    /// The store is closed.
    Stopped,
    /// The disk is out, or its index is being made: the segment is read from its beginning when that is over.
    NotNow,
    /// It cannot be read.
    Failed(io::Error),
}

impl From<io::Error> for Interrupted {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// What the reading of a segment found.
#[derive(Default)]
struct SegmentFound {
    bad: u64,
    /// Something could not be read, and nobody knows what it is like.
    is_unknown: bool,
}

impl Scrubber {
    pub fn new(shared: Arc<DiskSet>, round: Duration, stop: Receiver<()>) -> Self {
        Self { shared, round, stop, saved: Instant::now() }
    }

    /// Until the store is closed.
    pub fn run(mut self) {
        loop {
            let mut idle = true;
            for disk in &self.shared.disks() {
                if disk.index().is_none() || disk.health() == DiskHealth::Offline {
                    continue;
                }
                match self.step(disk) {
                    Ok(worked) => idle &= !worked,
                    Err(Interrupted::Failed(error)) => {
                        tracing::debug!(disk = %disk.path.display(), %error, "a segment could not be checked");
                    }
                    Err(Interrupted::NotNow) => {}
                    Err(Interrupted::Stopped) => return self.save(true),
                }
            }
            self.save(false);
            if idle && self.waits(LOOK_AGAIN) {
                return self.save(true);
            }
        }
    }

    /// Reads the next segment, if one is due. Whether there was one.
    fn step(&self, disk: &DiskHandle) -> Result<bool, Interrupted> {
        let now = wall_ms();
        let segments = segments(disk)?;
        let round_ms = u64::try_from(self.round.as_millis()).unwrap_or(u64::MAX);
        let due = disk.scrub(|scrub| {
            let known: BTreeSet<u64> = segments.iter().map(|(number, _)| *number).collect();
            scrub.due(&known, now, round_ms)
        });
        let Some(number) = due else {
            self.end_if_done(disk, &segments);
            return Ok(false);
        };
        let total: u64 = segments.iter().map(|(_, len)| len).sum();
        let before: u64 = segments.iter().filter(|(other, _)| *other < number).map(|(_, len)| len).sum();
        let pace = ScrubPace::new(self.round, total, before, disk.scrub(|scrub| now.saturating_sub(scrub.begun())));
        let found = match self.segment(disk, number, &pace) {
            Err(Interrupted::Failed(error)) => {
                // The next round tries again; that this one ends matters more.
                disk.scrub(|scrub| scrub.done(number, None, 0));
                return Err(error.into());
            }
            other => other?,
        };
        disk.scrub(|scrub| scrub.done(number, (!found.is_unknown).then_some(now), found.bad));
        self.end_if_done(disk, &segments);
        Ok(true)
    }

    fn end_if_done(&self, disk: &DiskHandle, segments: &[(u64, u64)]) {
        let Some((last, _)) = segments.last() else { return };
        if let Some(bad) = disk.scrub(|scrub| scrub.end_if_done(*last, wall_ms())) {
            (self.shared.notices)(StoreNotice::Scrubbed { path: disk.path.clone(), bad });
        }
    }

    fn segment(&self, disk: &DiskHandle, number: u64, pace: &ScrubPace) -> Result<SegmentFound, Interrupted> {
        let path = attach::segments(&disk.path).join(segment::file_name(number));
        let file = disk.file_system.open(&path)?;
        let mut found = SegmentFound::default();
        // Payloads are compared below, and only those that count.
        let scan = SegmentScan { file: &*file, disk: disk.id, number, check_from: u64::MAX };
        let scanned = scan.run(|placed, _| {
            let id = placed.header.id;
            let is_current = match disk.look_up(&id) {
                Ok(entry) => entry.is_some_and(|entry| entry.is_at(number, placed.offset) && entry.is_whole()),
                Err(_) => return Err(Interrupted::NotNow),
            };
            if !is_current {
                return Ok(());
            }
            self.take_turn(pace, u64::from(placed.header.payload_len))?;
            match disk.read(&id) {
                ReadDone::Found(_) | ReadDone::No => {}
                ReadDone::Damaged => found.bad += 1,
                ReadDone::Failed | ReadDone::NotYet => found.is_unknown = true,
            }
            Ok(())
        })?;
        found.is_unknown |= scanned.skipped > 0;
        Ok(found)
    }

    /// Waits until so many bytes may be read.
    fn take_turn(&self, pace: &ScrubPace, bytes: u64) -> Result<(), Interrupted> {
        loop {
            let (wait, is_granted) = match pace.take(bytes, self.shared.idle_for()) {
                PaceAnswer::Go(wait) => (wait, true),
                PaceAnswer::Busy => (LOOK_AGAIN, false),
            };
            if self.waits(wait) {
                return Err(Interrupted::Stopped);
            }
            if is_granted {
                return Ok(());
            }
        }
    }

    /// Whether the store was closed meanwhile.
    fn waits(&self, so_long: Duration) -> bool {
        !matches!(self.stop.recv_timeout(so_long), Err(RecvTimeoutError::Timeout))
    }

    fn save(&mut self, now: bool) {
        if !now && self.saved.elapsed() < SAVE_EVERY {
            return;
        }
        self.saved = Instant::now();
        for disk in &self.shared.disks() {
            if disk.health() != DiskHealth::Good {
                continue;
            }
            let Some(book) = disk.scrub(ScrubProgress::take_changed) else { continue };
            if let Err(error) = book::save(&*disk.file_system, &disk.path, &book) {
                tracing::debug!(disk = %disk.path.display(), %error, "the place of the scrub could not be saved");
            }
            // It counts against the quota, as everything there does.
            if let Ok(files) = disk.file_system.list(&disk.path) {
                disk.update_usage(|usage| usage.other = files.iter().map(|(_, len)| len).sum());
            }
        }
    }
}

/// Numbers and lengths, ascending.
fn segments(disk: &DiskHandle) -> io::Result<Vec<(u64, u64)>> {
    let files = disk.file_system.list(&attach::segments(&disk.path))?;
    let mut segments: Vec<(u64, u64)> =
        files.iter().filter_map(|(name, len)| Some((segment::number_of(name)?, *len))).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Of all disks together.
pub(crate) fn state(shared: &DiskSet) -> ScrubState {
    let mut state = ScrubState::default();
    let (mut done, mut total) = (0, 0);
    for disk in &shared.disks() {
        let segments = segments(disk).unwrap_or_default();
        disk.scrub(|scrub| {
            let book = scrub.book();
            total += segments.iter().map(|(_, len)| len).sum::<u64>();
            let is_done = |number: u64| scrub.is_resting() || number < book.next;
            done += segments.iter().filter(|(number, _)| is_done(*number)).map(|(_, len)| len).sum::<u64>();
            state.bad_found += book.bad;
            state.bad_found_before += book.bad_before;
            state.last_ended_ms = match (state.last_ended_ms, book.ended) {
                (_, 0) => None,
                (Some(other), ended) => Some(ended.min(other)),
                (None, ended) => Some(ended),
            };
        });
    }
    state.percent = u8::try_from((done * 100).checked_div(total).unwrap_or(100)).unwrap_or(100);
    state
}
