//! Which segment is worth compacting.

use crate::store::disk::books::{KnownSegment, SegmentBooks};

/// Of a segment with this part dead, in percent, no more is copied than becomes free.
const DEAD_PERCENT_ALWAYS: u64 = 50;
/// From so many percent of all segments on the disk holds too much beyond what it has to, and [`DEAD_PERCENT_MANY`] is enough.
const ALL_DEAD_PERCENT: u64 = 10;
/// For each byte that becomes free four are copied.
const DEAD_PERCENT_MANY: u64 = 20;
/// On a disk with little room almost anything is worth it; but one that is full for months is not to be copied for each block that
/// goes.
const DEAD_PERCENT_LOW: u64 = 5;

/// The segment with the greatest dead part, if it is worth it. `total` are the bytes of all segments; `is_low`: the disk has little
/// room; `skipped`: segments that cannot go.
pub(super) fn choose(
    books: &SegmentBooks,
    total: u64,
    is_low: bool,
    skipped: impl Fn(u64) -> bool,
) -> Option<(u64, KnownSegment)> {
    let needed = match is_low {
        true => DEAD_PERCENT_LOW,
        false if percent(books.dead(), total) >= ALL_DEAD_PERCENT => DEAD_PERCENT_MANY,
        false => DEAD_PERCENT_ALWAYS,
    };
    let candidates = books.sealed().filter(|(number, segment)| segment.len > 0 && !skipped(*number));
    // Of equal ones the oldest: what it says about others has the least left to be said about.
    let best = candidates.min_by_key(|(_, segment)| u64::MAX - percent(100 * segment.dead(), segment.len))?;
    let is_worth_it = best.1.book.is_empty() || percent(best.1.dead(), best.1.len) >= needed;
    is_worth_it.then_some(best)
}

fn percent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::index::SegmentBook;

    const LEN: u64 = 10_112;

    /// Segments with these hundredths dead, and one that is written to.
    fn books(dead: &[u64]) -> SegmentBooks {
        let segment =
            |dead: u64| KnownSegment { len: LEN, book: SegmentBook { live: 10_000 - 100 * dead, condemned: 0 } };
        let newest = dead.len() as u64 + 1;
        let segments = (1..).zip(dead.iter().map(|dead| segment(*dead))).chain([(newest, segment(0))]);
        SegmentBooks::new(segments, newest)
    }

    fn chosen(dead: &[u64], is_low: bool) -> Option<u64> {
        let total = LEN * (dead.len() as u64 + 1);
        choose(&books(dead), total, is_low, |_| false).map(|(number, _)| number)
    }

    #[test]
    fn half_dead_ones_always_and_the_deadest_first() {
        assert_eq!(chosen(&[0, 0, 0, 60, 0, 70, 0, 0, 0, 0, 0, 0, 0, 0], false), Some(6));
        assert_eq!(chosen(&[0, 0, 0, 45, 0, 0, 0, 0, 0, 0], false), None);
        assert_eq!(chosen(&[100, 100, 0], false), Some(1));
    }

    #[test]
    fn a_fifth_is_enough_when_a_tenth_of_all_is_dead() {
        assert_eq!(chosen(&[25, 30, 0, 0], false), Some(2));
        assert_eq!(chosen(&[15, 15, 15, 15], false), None);
    }

    #[test]
    fn almost_anything_is_enough_where_there_is_little_room() {
        assert_eq!(chosen(&[6, 5, 0, 0], true), Some(1));
        assert_eq!(chosen(&[4, 4, 0, 0], true), None);
    }

    #[test]
    fn what_cannot_go_and_what_is_written_to_is_left_alone() {
        let books = SegmentBooks::new([(1, KnownSegment { len: LEN, ..KnownSegment::default() })], 1);
        assert_eq!(choose(&books, LEN, true, |_| false), None);
        let two = self::books(&[90, 80]);
        assert_eq!(choose(&two, 3 * LEN, false, |number| number == 1).map(|(number, _)| number), Some(2));
    }
}
