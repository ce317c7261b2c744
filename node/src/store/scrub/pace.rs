//! How fast a scrub may read.

use std::time::Duration;

/// A round is to end in this part of the time that it may take, in percent: what users do costs some of it.
const ROUND_PERCENT: u64 = 80;
/// A small disk is read no slower, so that a round does not hold files open for days.
const BYTES_PER_S_MIN: u64 = 64 << 10;
/// Users are busy if they moved a block a shorter time ago.
const BUSY: Duration = Duration::from_secs(2);
/// Behind its schedule by more than this part of a round, in percent, it no longer waits for users.
const BEHIND_PERCENT: u64 = 10;

/// The schedule of one segment's reading.
#[derive(Debug)]
pub(crate) struct ScrubPace {
    bytes_per_s: u64,
    is_behind: bool,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PaceAnswer {
    /// Read, after this time.
    Go(Duration),
    /// Ask again later: users move bytes.
    Busy,
}

impl ScrubPace {
    /// Of a disk with `total` bytes, of which those before the segment are read, in a round that began some milliseconds ago.
    pub fn new(round: Duration, total: u64, before: u64, since_ms: u64) -> Self {
        let round_ms = u64::try_from(round.as_millis()).unwrap_or(u64::MAX).max(1);
        let least = u128::from(total) * 1000 * 100 / (u128::from(round_ms) * u128::from(ROUND_PERCENT));
        let bytes_per_s = u64::try_from(least).unwrap_or(u64::MAX).max(BYTES_PER_S_MIN);
        let percent = |part: u64, whole: u64| u128::from(part) * 100 / u128::from(whole.max(1));
        let is_behind = percent(since_ms, round_ms) > percent(before, total) + u128::from(BEHIND_PERCENT);
        Self { bytes_per_s, is_behind }
    }

    /// May so many bytes be read? Users moved something last so long ago.
    pub fn take(&self, bytes: u64, idle_for: Duration) -> PaceAnswer {
        if idle_for < BUSY && !self.is_behind {
            return PaceAnswer::Busy;
        }
        PaceAnswer::Go(Duration::from_secs_f64(bytes as f64 / self.bytes_per_s as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_large_disk_is_read_in_time_and_a_small_one_not_too_slowly() {
        let pace = ScrubPace::new(30 * DAY, 4 << 40, 0, 0);
        let PaceAnswer::Go(wait) = pace.take(1 << 20, LONG) else { panic!("no user is busy") };
        let round = wait * (4 << 20);
        assert!(round < 25 * DAY && round > 20 * DAY, "{round:?}");
        let small = ScrubPace::new(30 * DAY, 1 << 20, 0, 0);
        assert_eq!(small.take(64 << 10, LONG), PaceAnswer::Go(Duration::from_secs(1)));
    }

    #[test]
    fn it_waits_for_users_but_not_for_ever() {
        let (round, ms) = (10 * DAY, 86_400_000);
        let on_time = ScrubPace::new(round, 100, 30, 3 * ms);
        assert_eq!(on_time.take(1, Duration::ZERO), PaceAnswer::Busy);
        assert!(matches!(on_time.take(1, LONG), PaceAnswer::Go(_)));
        let behind = ScrubPace::new(round, 100, 30, 5 * ms);
        assert!(matches!(behind.take(1, Duration::ZERO), PaceAnswer::Go(_)));
    }
}
