//! What of each segment of a disk counts: which one is worth compacting, and where the bytes are.

use std::collections::BTreeMap;

use crate::store::index::SegmentBook;

/// Segments with their lengths and what of them counts. The sum of the dead bytes is kept, so that asking for it costs nothing.
///
/// Segments from `newest` on, the one that is written to among them, are not to be compacted: their numbers must not be used again.
#[derive(Debug, Default)]
pub(crate) struct SegmentBooks {
    segments: BTreeMap<u64, KnownSegment>,
    newest: u64,
    dead: u64,
    condemned: u64,
}

/// A segment and what of it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KnownSegment {
    /// Of its file.
    pub len: u64,
    pub book: SegmentBook,
}

impl KnownSegment {
    /// Bytes that are free once it was compacted.
    pub fn dead(&self) -> u64 {
        self.book.dead(self.len)
    }

    /// Bytes of copies that are about to be deleted. While a segment grows its footer is not there yet.
    fn condemned(&self) -> u64 {
        self.book.condemned.min(self.len)
    }
}

impl SegmentBooks {
    /// All segments of a disk.
    pub fn new(segments: impl IntoIterator<Item = (u64, KnownSegment)>, newest: u64) -> Self {
        let mut books = Self { newest, ..Self::default() };
        for (number, segment) in segments {
            books.set(number, Some(segment));
        }
        books
    }

    /// What counts of it is this now; none: it is gone.
    pub fn note(&mut self, number: u64, book: Option<SegmentBook>) {
        let known = self.segments.get(&number).copied().unwrap_or_default();
        self.set(number, book.map(|book| KnownSegment { book, ..known }));
    }

    /// So many bytes were written to it.
    pub fn grew(&mut self, number: u64, bytes: u64) {
        let known = self.segments.get(&number).copied().unwrap_or_default();
        self.set(number, Some(KnownSegment { len: known.len + bytes, ..known }));
    }

    /// Records go to this one from now on.
    pub fn set_newest(&mut self, number: u64) {
        self.newest = self.newest.max(number);
    }

    /// One of them.
    pub fn get(&self, number: u64) -> Option<KnownSegment> {
        self.segments.get(&number).copied()
    }

    /// Those that may be compacted, ascending.
    pub fn sealed(&self) -> impl Iterator<Item = (u64, KnownSegment)> + '_ {
        self.segments.range(..self.newest).map(|(number, segment)| (*number, *segment))
    }

    /// Bytes of segments that compaction frees.
    pub fn dead(&self) -> u64 {
        self.dead
    }

    /// Bytes of copies that are about to be deleted.
    pub fn condemned(&self) -> u64 {
        self.condemned
    }

    fn set(&mut self, number: u64, after: Option<KnownSegment>) {
        let before = match after {
            Some(after) => self.segments.insert(number, after),
            None => self.segments.remove(&number),
        };
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        debug_assert!(
            self.dead >= before.dead() && self.condemned >= before.condemned(),
            "what goes was counted when it came"
        );
        self.dead = self.dead + after.dead() - before.dead();
        self.condemned = self.condemned + after.condemned() - before.condemned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(len: u64, live: u64, condemned: u64) -> KnownSegment {
        KnownSegment { len, book: SegmentBook { live, condemned } }
    }

    #[test]
    fn the_sums_follow_the_segments() {
        let mut books = SegmentBooks::new([(1, segment(1_112, 400, 100)), (2, segment(300, 200, 0))], 2);
        assert_eq!((books.dead(), books.condemned()), (500, 100));
        books.note(1, Some(SegmentBook { live: 300, condemned: 0 }));
        books.note(2, Some(SegmentBook { live: 900, condemned: 0 }));
        assert_eq!((books.dead(), books.condemned()), (700, 0), "one that grows is not full of dead bytes");
        books.grew(2, 1_000);
        assert_eq!(books.dead(), 700 + 288);
        books.note(1, None);
        assert_eq!((books.dead(), books.get(1)), (288, None));
    }

    #[test]
    fn what_is_written_to_is_not_compacted() {
        let mut books = SegmentBooks::new((1..=3).map(|number| (number, segment(1_000, 0, 0))), 3);
        let numbers = |books: &SegmentBooks| books.sealed().map(|(number, _)| number).collect::<Vec<_>>();
        assert_eq!(numbers(&books), [1, 2]);
        books.grew(4, 64);
        books.set_newest(4);
        assert_eq!(numbers(&books), [1, 2, 3]);
    }
}
