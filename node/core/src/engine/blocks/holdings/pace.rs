//! How fast a node that is to hold nothing hands over what it has.

use std::collections::VecDeque;

/// Between two samples, at least.
const SAMPLE_MS: u64 = 10_000;
/// Ten minutes.
const SAMPLES: usize = 60;

/// How many bytes were left at some moments, in monotonic milliseconds.
#[derive(Debug, Default)]
pub(super) struct HandOverPace(VecDeque<(u64, u64)>);

impl HandOverPace {
    pub fn note(&mut self, now: u64, left: u64) {
        if self.0.back().is_some_and(|(at, _)| now < at + SAMPLE_MS) {
            return;
        }
        if self.0.len() == SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back((now, left));
        debug_assert!(self.0.len() <= SAMPLES, "samples are bounded");
    }

    /// None while it is not known, and when there is not less than there was.
    pub fn per_s(&self, now: u64, left: u64) -> Option<u64> {
        let (since, before) = *self.0.front()?;
        let ms = now.saturating_sub(since);
        let fewer = before.checked_sub(left).filter(|fewer| *fewer > 0 && ms >= SAMPLE_MS)?;
        u64::try_from(u128::from(fewer) * 1000 / u128::from(ms)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_the_last_ten_minutes() {
        let mut pace = HandOverPace::default();
        pace.note(0, 10_000);
        assert_eq!(pace.per_s(1_000, 9_000), None, "too early to say");
        assert_eq!(pace.per_s(10_000, 9_000), Some(100));
        assert_eq!(pace.per_s(10_000, 10_500), None, "more came than went");
        for step in 1..=SAMPLES as u64 {
            pace.note(step * SAMPLE_MS, 9_000);
        }
        assert_eq!(pace.per_s(700_000, 9_000), None, "what was long ago counts no more");
    }
}
