//! Picking some of many with exact probabilities (spec 03-placement §2, "race"), looking only at those that can win.
//!
//! Brewer's rates change after each winner, but none ever exceeds `p * ONE / rest` with `rest = ONE - p - slack`: it is at its highest
//! when the probabilities sum to the places that are left, and `slack` is what they fall short of that. So an item that needs the time e
//! at unit rate does not win before the time `e * rest / p` (in units of 1/ONE), and in the order of these times each round looks at a few only.

use super::math::{ONE, product, scale};
use super::sites::DiskArrival;

/// An item in a race.
#[derive(Clone, Copy, Debug)]
pub(super) struct RaceEntrant {
    /// Its place among the items: the smaller one wins a tie.
    pub place: usize,
    /// With which disk, and when that comes up.
    pub arrival: DiskArrival,
    /// What is left until its clock rings, if it ran at unit rate: an exponential number below 2^63.
    e: u64,
    /// Its probability of winning, in units of 1/ONE; between 0 and 1, both excluded.
    p: u64,
    /// It does not win earlier.
    bound: u64,
    /// Rounds that are taken off `e`.
    rounds: usize,
}

/// A round that was won.
struct RaceRound {
    sum: u64,
    remaining: u64,
    /// The winner's e and rate: their quotient is the time the round took.
    e: u64,
    rate: u64,
}

/// Time within which all places are won in about 99 of 100 races, if most chances are small: winners then come at one a `places`-th of the
/// time that one of them takes on average, and the more there are, the less their sum varies. 2^40 is one halving.
pub(super) fn limit(places: usize) -> u64 {
    (2 << 40) + (6 << 40) / (places as u64).max(1)
}

/// By how much probabilities of this sum fall short of the places (fill rounds down).
pub(super) fn slack(sum: u64, places: usize) -> u64 {
    (places as u64 * ONE).saturating_sub(sum)
}

/// The least e that cannot win before `limit`, if there is one.
pub(super) fn latest(limit: u64, p: u64, slack: u64) -> Option<u128> {
    match rest(p, slack) {
        0 => None,
        rest => Some(product(limit, p).div_ceil(rest.into())),
    }
}

fn rest(p: u64, slack: u64) -> u64 {
    (ONE - p).saturating_sub(slack)
}

impl RaceEntrant {
    pub fn new(place: usize, e: u64, p: u64, slack: u64, arrival: DiskArrival) -> Self {
        debug_assert!(0 < p && p < ONE);
        let bound = product(e, (rest(p, slack) << 32) / p) >> 32;
        Self { place, arrival, e, p, bound: u64::try_from(bound).unwrap_or(u64::MAX), rounds: 0 }
    }

    fn catch_up(&mut self, rounds: &[RaceRound]) {
        for round in &rounds[self.rounds..] {
            self.e -= scale(rate(self.p, round.sum, round.remaining), round.e, round.rate);
        }
        self.rounds = rounds.len();
    }
}

/// Picks `places` of the entrants, each with its probability exactly, and returns them in order of winning; nothing if
/// that takes longer than `limit`, before which no item that is not among the entrants may be able to win.
///
/// Fixed rates from a closed formula look simpler than Brewer's and are off by 2 to 14 % with few servers.
pub(super) fn race(
    mut entrants: Vec<RaceEntrant>,
    mut sum: u64,
    places: usize,
    limit: u64,
) -> Option<Vec<RaceEntrant>> {
    entrants.sort_unstable_by_key(|entrant| entrant.bound);
    let (mut rounds, mut winners, mut time) = (Vec::with_capacity(places), Vec::with_capacity(places), 0);
    for remaining in (1..=places as u64).rev() {
        let Some((first, rate, end)) = first(&mut entrants, &rounds, sum, remaining, time) else { break };
        if end > limit {
            return None;
        }
        let winner = entrants.remove(first);
        rounds.push(RaceRound { sum, remaining, e: winner.e, rate });
        (sum, time) = (sum - winner.p, end);
        winners.push(winner);
    }
    (winners.len() == places || limit == u64::MAX).then_some(winners)
}

/// Who arrives first, the smaller place on a tie: its index, its rate, and a time by which the round is over.
fn first(
    entrants: &mut [RaceEntrant],
    rounds: &[RaceRound],
    sum: u64,
    remaining: u64,
    time: u64,
) -> Option<(usize, u64, u64)> {
    let mut best: Option<(usize, u64, u64)> = None;
    for next in 0..entrants.len() {
        if best.is_some_and(|(.., end)| entrants[next].bound > end) {
            break;
        }
        entrants[next].catch_up(rounds);
        let RaceEntrant { e, p, place, .. } = entrants[next];
        let rate = rate(p, sum, remaining);
        let is_better = best.is_none_or(|(best, best_rate, _)| {
            let (own, other) = (product(e, best_rate), product(entrants[best].e, rate));
            own < other || (own == other && place < entrants[best].place)
        });
        if is_better {
            best = Some((next, rate, time_after(time, e, rate)));
        }
    }
    best
}

/// `time + e / rate` in units of 1/ONE, rounded up.
fn time_after(time: u64, e: u64, rate: u64) -> u64 {
    let taken = product(e, ONE) / u128::from(rate) + 1;
    time.saturating_add(u64::try_from(taken).unwrap_or(u64::MAX))
}

/// Brewer's rate of an item with probability `p` when `remaining` places are left and the probabilities sum to `sum`.
fn rate(p: u64, sum: u64, remaining: u64) -> u64 {
    match sum.checked_sub(remaining * p) {
        None | Some(0) => 1 << 62,
        Some(rest) => scale(p, sum - p, rest),
    }
}
