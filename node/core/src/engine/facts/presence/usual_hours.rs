//! In which hours of the week a member is usually up.

use bytes::Bytes;
use fsdfs_proto::record::WEEK_HOURS;

use crate::limits::HOUR_MS;

/// A share that nothing is known of.
const UNKNOWN: u8 = 255;
/// Looks in an hour at least, for the hour to count.
const LOOKS_MIN: u32 = 10;
/// Of an hour the last four weeks count: a new week has a quarter of the weight.
const WEEKS: i32 = 4;
/// An hour that is further ahead is no reason to wait.
const AHEAD_HOURS: u64 = 24;

/// Learnt by looking. Hours are counted from Monday 00:00 UTC; the first of 1970 was a Thursday.
#[derive(Clone, Debug)]
pub(super) struct UsualHours {
    /// Percent, or [`UNKNOWN`].
    shares: [u8; WEEK_HOURS],
    /// The hour that goes on, since 1970, and the looks in it: how often the member was up, and how many there were.
    current: (u64, u32, u32),
}

impl Default for UsualHours {
    fn default() -> Self {
        Self { shares: [UNKNOWN; WEEK_HOURS], current: (0, 0, 0) }
    }
}

impl UsualHours {
    /// As an earlier start left them; nothing is known from what has another length.
    pub fn resume(shares: &[u8]) -> Self {
        let shares = shares.try_into().unwrap_or([UNKNOWN; WEEK_HOURS]);
        Self { shares, current: (0, 0, 0) }
    }

    pub fn shares(&self) -> Bytes {
        Bytes::copy_from_slice(&self.shares)
    }

    /// A look at the member, at that time.
    pub fn look(&mut self, wall: u64, is_up: bool) {
        let hour = wall / HOUR_MS;
        if hour != self.current.0 {
            self.close();
            self.current = (hour, 0, 0);
        }
        self.current.1 += u32::from(is_up);
        self.current.2 += 1;
    }

    /// Until when it is to be back that went away at that time: the first hour after that one in which it is usually up, if
    /// there is one within a day, and an hour to come back in. (It may go to bed early.)
    pub fn expected_by(&self, fell_wall: u64, usual_percent: u8) -> Option<u64> {
        let hour = fell_wall / HOUR_MS;
        let is_usual = |ahead: u64| {
            let share = self.shares[of_week(hour + ahead)];
            share != UNKNOWN && share >= usual_percent
        };
        let ahead = (1..=AHEAD_HOURS).find(|ahead| is_usual(*ahead))?;
        Some((hour + ahead + 1) * HOUR_MS)
    }

    /// The hour that went on is over.
    fn close(&mut self) {
        let (hour, up, looks) = self.current;
        if looks < LOOKS_MIN {
            return;
        }
        debug_assert!(up <= looks, "it was up in some of the looks");
        let share = i32::try_from(100 * u64::from(up) / u64::from(looks)).unwrap_or(100);
        let before = &mut self.shares[of_week(hour)];
        let next = match *before {
            UNKNOWN => share,
            known => {
                let step = share - i32::from(known);
                // Rounded away from zero, so that what is always so becomes 0 or 100.
                i32::from(known) + (step + step.signum() * (WEEKS - 1)) / WEEKS
            }
        };
        *before = u8::try_from(next.clamp(0, 100)).unwrap_or(100);
    }
}

fn of_week(hour: u64) -> usize {
    usize::try_from((hour + 3 * 24) % (7 * 24)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::USUAL_PERCENT;

    const MINUTE: u64 = 60_000;

    /// Up but from 23 to 7 o'clock, for so many days.
    fn sleeper(days: u64) -> UsualHours {
        let mut hours = UsualHours::default();
        for minute in 0..days * 24 * 60 {
            let hour = minute / 60 % 24;
            hours.look(minute * MINUTE, (7..23).contains(&hour));
        }
        hours
    }

    #[test]
    fn who_sleeps_at_night_is_expected_in_the_morning() {
        let hours = sleeper(8);
        let day = 8 * 24;
        assert_eq!(
            hours.expected_by((day - 1) * HOUR_MS - 1, USUAL_PERCENT),
            Some((day + 8) * HOUR_MS),
            "an hour after it is up"
        );
        assert_eq!(
            hours.expected_by((day + 12) * HOUR_MS + 1, USUAL_PERCENT),
            Some((day + 14) * HOUR_MS),
            "it is usually up"
        );
    }

    #[test]
    fn of_who_was_never_seen_nothing_is_expected() {
        assert_eq!(UsualHours::default().expected_by(5 * HOUR_MS, USUAL_PERCENT), None);
        let mut hours = UsualHours::default();
        (0..8 * 24 * 60).for_each(|minute| hours.look(minute * MINUTE, false));
        assert_eq!(hours.expected_by(8 * 24 * HOUR_MS, USUAL_PERCENT), None, "it was never up");
    }

    #[test]
    fn a_month_makes_other_hours_usual_ones() {
        let mut hours = sleeper(8);
        for minute in 8 * 24 * 60..50 * 24 * 60 {
            hours.look(minute * MINUTE, true);
        }
        let night = (50 * 24 + 2) * HOUR_MS;
        assert_eq!(hours.expected_by(night, USUAL_PERCENT), Some(night + 2 * HOUR_MS));
        let again = UsualHours::resume(&hours.shares());
        assert_eq!(again.expected_by(night, USUAL_PERCENT), Some(night + 2 * HOUR_MS));
    }

    #[test]
    fn weeks_begin_on_mondays() {
        assert_eq!(of_week(0), 3 * 24, "1970-01-01 was a Thursday");
        assert_eq!(of_week(4 * 24), 0);
    }
}
