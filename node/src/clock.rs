//! The two clocks, and the check that the wall clock is not absurd.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use fsdfs_core::seam::Now;

/// Updated with releases: no wall clock that is right shows an earlier time.
const RELEASED: &str = "2026-05-01T00:00:00Z";

/// The wall clock shows a time before this program was made. Signed stamps of such a node would confuse the whole pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this machine's clock says {shown}, but fsdfs {version} was released after {RELEASED}: set the clock right \
     ('timedatectl set-ntp true', or 'date -s'), then start again", version = env!("CARGO_PKG_VERSION")
)]
pub struct ClockTooEarly {
    shown: jiff::Timestamp,
}

/// Wall milliseconds since 1970.
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Fails if the wall clock cannot be right.
pub fn check_wall_clock() -> Result<(), ClockTooEarly> {
    check(jiff::Timestamp::now())
}

fn check(shown: jiff::Timestamp) -> Result<(), ClockTooEarly> {
    let released: jiff::Timestamp = RELEASED.parse().expect("a constant, checked by a test");
    if shown < released { Err(ClockTooEarly { shown }) } else { Ok(()) }
}

/// Both clocks of one run of the daemon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn now(self) -> Now {
        let mono = u64::try_from(self.0.elapsed().as_millis()).expect("584 million years");
        Now { mono, wall: wall_ms() }
    }

    /// The instant of a monotonic time that the engine named.
    pub fn instant(self, mono: u64) -> tokio::time::Instant {
        (self.0 + std::time::Duration::from_millis(mono)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_the_release_is_named() {
        let error = check(jiff::Timestamp::UNIX_EPOCH).expect_err("1970");
        assert!(error.to_string().starts_with("this machine's clock says 1970-01-01T00:00:00Z"), "{error}");
        assert_eq!(check(jiff::Timestamp::now()), Ok(()));
    }
}
