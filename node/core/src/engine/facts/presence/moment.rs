//! When something was seen, on both clocks.

use crate::seam::Now;

/// Which of two came first, the monotonic clock says: nobody sets it. What stored times are compared with is the wall clock:
/// the monotonic one stands still while a machine sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub mono: u64,
    pub wall: u64,
}

impl Moment {
    /// So long before this one.
    pub fn before(self, ms: u64) -> Self {
        Self { mono: self.mono.saturating_sub(ms), wall: self.wall.saturating_sub(ms) }
    }

    /// How long ago it is at the most: of two clocks that disagree one slept, or was set.
    pub fn age_ms(self, now: Now) -> u64 {
        now.mono.saturating_sub(self.mono).max(now.wall.saturating_sub(self.wall))
    }
}

/// A wall clock that is late behind a jump: what is handled right after a sleep came before it.
#[derive(Default)]
pub(super) struct LateWall {
    /// How far the wall clock was ahead of the monotonic one at the last two looks.
    ahead: [Option<i128>; 2],
}

impl LateWall {
    /// The clocks are looked at again; a jump counts from the second look after it on.
    pub fn look(&mut self, now: Now) {
        self.ahead = [self.ahead[1], Some(ahead_ms(now))];
    }

    /// Now, or earlier.
    pub fn moment(&self, now: Now) -> Moment {
        let ahead = self.ahead.iter().flatten().copied().fold(ahead_ms(now), i128::min);
        let wall = u64::try_from(i128::from(now.mono) + ahead).unwrap_or_default();
        debug_assert!(wall <= now.wall, "never later than the clock shows");
        Moment { mono: now.mono, wall }
    }
}

fn ahead_ms(now: Now) -> i128 {
    i128::from(now.wall) - i128::from(now.mono)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_makes_what_was_before_it_older_and_what_follows_at_once_no_younger() {
        let mut wall = LateWall::default();
        let before = Now { mono: 1_000, wall: 50_000 };
        assert_eq!(wall.moment(before), Moment { mono: 1_000, wall: 50_000 });
        wall.look(before);
        let after = Now { mono: 1_010, wall: 90_010 };
        assert_eq!(wall.moment(after), Moment { mono: 1_010, wall: 50_010 }, "it may have come before the sleep");
        assert_eq!(wall.moment(before).age_ms(after), 40_010);
        wall.look(after);
        assert_eq!(wall.moment(after).wall, 50_010);
        wall.look(after);
        assert_eq!(wall.moment(after).wall, 90_010);
        let set_back = Now { mono: 1_020, wall: 10 };
        assert_eq!(wall.moment(set_back).wall, 10);
        assert_eq!(wall.moment(after).age_ms(set_back), 10);
    }
}
