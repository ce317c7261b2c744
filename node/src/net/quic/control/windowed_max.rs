//! The greatest of the samples of some rounds.

use std::collections::VecDeque;

/// Of what is in it each later one is smaller, so there are few of them.
#[derive(Clone)]
pub(super) struct WindowedMax<T> {
    rounds: u64,
    /// With the rounds they are of.
    falling: VecDeque<(u64, T)>,
}

impl<T: PartialOrd + Copy> WindowedMax<T> {
    /// Samples count in the round they are of and in so many after it.
    pub fn new(rounds: u64) -> Self {
        Self { rounds, falling: VecDeque::new() }
    }

    /// `round` never gets smaller. The last sample stays however old it gets: without new ones nothing else is known.
    pub fn insert(&mut self, round: u64, sample: T) {
        while self.falling.back().is_some_and(|(_, kept)| *kept <= sample) {
            self.falling.pop_back();
        }
        // One for each round is enough, and bounds how many there are.
        if self.falling.back().is_none_or(|(of, _)| *of != round) {
            self.falling.push_back((round, sample));
        }
        while self.falling.front().is_some_and(|(of, _)| of + self.rounds < round) {
            self.falling.pop_front();
        }
    }

    pub fn max(&self) -> Option<T> {
        self.falling.front().map(|(_, sample)| *sample)
    }
}

impl WindowedMax<f64> {
    /// All of them turned out to be too high.
    pub fn scale(&mut self, factor: f64) {
        for (_, sample) in &mut self.falling {
            *sample *= factor;
        }
    }
}
