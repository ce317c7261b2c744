//! Where a scrub of one disk is, and when what each segment holds was last known to be right.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use fsdfs_proto::record::{SCRUB_BYTES_MAX, ScrubBook};

use crate::store::fs::{FileSystem, publish, read_small};

/// In the disk's folder.
const FILE: &str = "scrub";

/// See the module. All times are wall milliseconds.
#[derive(Debug, Default)]
pub(crate) struct ScrubProgress {
    book: ScrubBook,
    /// Of each segment: its current records were written, or found right, then or later.
    verified: BTreeMap<u64, u64>,
    is_changed: bool,
}

impl ScrubProgress {
    /// What the disk has; nothing if it cannot be read.
    pub fn load(file_system: &dyn FileSystem, dir: &Path) -> Self {
        let read = read_small(file_system, &dir.join(FILE), SCRUB_BYTES_MAX).ok().flatten();
        let book = read.and_then(|bytes| ScrubBook::decode(&bytes).ok()).unwrap_or_default();
        Self { verified: book.verified.iter().copied().collect(), book, is_changed: false }
    }

    /// The segment is about to be made: all that it will hold is written later.
    pub fn born(&mut self, segment: u64, now: u64) {
        self.verified.insert(segment, now);
        self.is_changed = true;
    }

    /// See the module; none if it is not known.
    pub fn verified_at(&self, segment: u64) -> Option<u64> {
        self.verified.get(&segment).copied()
    }

    /// When the round began.
    pub fn begun(&self) -> u64 {
        self.book.begun
    }

    /// What is shown.
    pub fn book(&self) -> &ScrubBook {
        &self.book
    }

    /// The round is over and the next one not due.
    pub fn is_resting(&self) -> bool {
        self.book.ended >= self.book.begun && self.book.ended > 0
    }

    /// The segment to be read next. A round begins if the last one ended and began long enough ago, or in the future: the clock was put
    /// back.
    pub fn due(&mut self, segments: &BTreeSet<u64>, now: u64, round_ms: u64) -> Option<u64> {
        let is_first = self.book.begun == 0;
        let is_over = now.checked_sub(self.book.begun).is_none_or(|since| since >= round_ms);
        if is_first || self.is_resting() && is_over {
            self.book = ScrubBook { begun: now, next: 0, bad: 0, bad_before: self.book.bad, ..self.book.clone() };
            if is_first {
                self.book.bad_before = 0;
            }
            self.verified.retain(|segment, _| segments.contains(segment));
            self.is_changed = true;
        } else if self.is_resting() {
            return None;
        }
        segments.range(self.book.next..).next().copied()
    }

    /// The segment was given up.
    pub fn gone(&mut self, segment: u64) {
        self.is_changed |= self.verified.remove(&segment).is_some();
    }

    /// The segment was read; from when on it is known to be right, if it is.
    pub fn done(&mut self, segment: u64, verified: Option<u64>, bad: u64) {
        if let Some(at) = verified {
            self.verified.insert(segment, at);
        }
        self.book.next = segment.saturating_add(1);
        self.book.bad += bad;
        self.is_changed = true;
    }

    /// Whether the last one is read; then how many bad ones the round found.
    pub fn end_if_done(&mut self, last: u64, now: u64) -> Option<u64> {
        if self.is_resting() || last >= self.book.next {
            return None;
        }
        // A clock that was put back meanwhile would make the round endless.
        self.book.ended = now.max(self.book.begun);
        self.is_changed = true;
        Some(self.book.bad)
    }

    /// What to save, if anything changed since it was last asked.
    pub fn take_changed(&mut self) -> Option<ScrubBook> {
        let verified = self.verified.iter().map(|(segment, at)| (*segment, *at)).collect();
        std::mem::take(&mut self.is_changed).then(|| ScrubBook { verified, ..self.book.clone() })
    }
}

/// Makes it durable.
pub(crate) fn save(file_system: &dyn FileSystem, dir: &Path, book: &ScrubBook) -> io::Result<()> {
    publish(file_system, dir, FILE, &book.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: u64 = 1_000;

    fn set(segments: &[u64]) -> BTreeSet<u64> {
        segments.iter().copied().collect()
    }

    #[test]
    fn a_round_reads_each_segment_once_and_the_next_one_waits_for_its_time() {
        let mut scrub = ScrubProgress::default();
        let segments = set(&[1, 2, 5]);
        let mut read = Vec::new();
        while let Some(segment) = scrub.due(&segments, 100, ROUND) {
            read.push(segment);
            scrub.done(segment, Some(100), u64::from(segment == 2));
            if let Some(bad) = scrub.end_if_done(5, 200) {
                assert_eq!((bad, segment), (1, 5));
            }
        }
        assert_eq!(read, [1, 2, 5]);
        assert!(scrub.is_resting());
        assert_eq!(scrub.due(&segments, 1_099, ROUND), None);
        assert_eq!(scrub.due(&segments, 1_100, ROUND), Some(1));
        assert_eq!((scrub.book().bad, scrub.book().bad_before), (0, 1));
    }

    #[test]
    fn it_goes_on_where_it_was_and_forgets_segments_that_went() {
        let mut scrub = ScrubProgress::default();
        scrub.born(9, 50);
        assert_eq!(scrub.due(&set(&[1, 2]), 100, ROUND), Some(1));
        assert_eq!(scrub.verified_at(9), None);
        scrub.done(1, Some(100), 0);
        let book = scrub.take_changed().expect("something changed");
        assert_eq!(scrub.take_changed(), None);
        let verified = book.verified.iter().copied().collect();
        let mut again = ScrubProgress { book, verified, is_changed: false };
        assert_eq!(again.due(&set(&[1, 2]), 5_000, ROUND), Some(2));
        assert_eq!(again.verified_at(1), Some(100));
    }

    #[test]
    fn a_clock_that_is_put_back_begins_a_round_and_what_could_not_be_read_is_not_verified() {
        let mut scrub = ScrubProgress::default();
        assert_eq!(scrub.due(&set(&[1]), 9_000, ROUND), Some(1));
        scrub.done(1, None, 0);
        assert_eq!(scrub.end_if_done(1, 8_000), Some(0));
        assert_eq!(scrub.verified_at(1), None);
        assert_eq!(scrub.due(&set(&[1]), 8_500, ROUND), Some(1));
    }
}
