//! A machine's two clocks, as wrong as real ones.

use fsdfs_core::seam::Now;

use crate::world::queue::Micros;

/// Wall time at which every world begins: 2026-01-01T00:00:00Z, later than any build date a check could compare with.
pub const EPOCH_MS: u64 = 1_767_225_600_000;

/// Monotonic since boot; wall with an offset that may jump. Both run fast or slow together, as one crystal drives them.
#[derive(Clone, Copy, Debug)]
pub struct MachineClock {
    booted: Micros,
    /// Parts per million fast (or slow, negative).
    pub drift_ppm: i64,
    /// How far the wall clock is ahead (or behind, negative), in milliseconds.
    pub skew_ms: i64,
}

impl MachineClock {
    /// A clock of a machine that boots at the beginning of the world.
    pub fn new(drift_ppm: i64, skew_ms: i64) -> Self {
        Self { booted: 0, drift_ppm, skew_ms }
    }

    /// The monotonic clock starts over.
    pub fn boot(&mut self, at: Micros) {
        self.booted = at;
    }

    /// What both clocks show.
    pub fn now(&self, at: Micros) -> Now {
        let wall = EPOCH_MS.saturating_add(self.drifted(at) / 1000);
        Now { mono: self.drifted(at - self.booted) / 1000, wall: wall.saturating_add_signed(self.skew_ms) }
    }

    /// The first world time at which the monotonic clock shows `mono`.
    pub fn when(&self, mono: u64) -> Micros {
        let target = mono.saturating_mul(1000);
        let estimate = u128::from(target) * 1_000_000 / u128::from(1_000_000u64.saturating_add_signed(self.drift_ppm));
        let mut elapsed = u64::try_from(estimate).unwrap_or(u64::MAX / 4).min(u64::MAX / 4);
        while self.drifted(elapsed) < target && elapsed < u64::MAX / 4 {
            elapsed += 1;
        }
        self.booted + elapsed
    }

    fn drifted(&self, elapsed: Micros) -> Micros {
        let off = i128::from(elapsed) * i128::from(self.drift_ppm) / 1_000_000;
        elapsed.saturating_add_signed(i64::try_from(off).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_when_its_time_has_come_and_not_before() {
        for drift_ppm in [-400, 0, 3, 400] {
            let mut clock = MachineClock::new(drift_ppm, 0);
            clock.boot(7_777_777);
            for mono in [0, 1, 999, 1_000, 123_456_789] {
                let at = clock.when(mono);
                assert!(clock.now(at).mono >= mono, "drift {drift_ppm}, mono {mono}");
                assert!(at == 7_777_777 || clock.now(at - 1).mono < mono, "drift {drift_ppm}, mono {mono}: too late");
            }
        }
    }
}
