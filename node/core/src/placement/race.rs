//! Picking some of many with exact probabilities (spec 03-placement §2, "race").

use super::math::{ONE, scale};

/// Somebody in a race.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runner {
    /// Who: its site or server.
    pub who: usize,
    /// When its clock rings, if it ran at unit rate: an exponential number below 2^63.
    pub e: u64,
    /// Its probability of winning, in units of 1/ONE; between 0 and 1, both excluded.
    pub p: u64,
}

/// Picks `places` of the runners, each with its probability exactly. Returns who, in order of winning.
///
/// The rates are Brewer's correction of the probabilities, computed anew after each winner. Fixed rates from a closed
/// formula look simpler and are off by 2 to 14 % with few servers.
pub(super) fn race(mut runners: Vec<Runner>, places: usize) -> Vec<usize> {
    debug_assert!(runners.iter().all(|runner| 0 < runner.p && runner.p < ONE));
    let mut sum: u64 = runners.iter().map(|runner| runner.p).sum();
    let mut winners = Vec::with_capacity(places);
    for wanted in (1..=places as u64).rev() {
        let Some((place, pace)) = first(&runners, sum, wanted) else { break };
        let winner = runners.remove(place);
        winners.push(winner.who);
        if wanted > 1 {
            for other in &mut runners {
                other.e -= scale(rate(other.p, sum, wanted), winner.e, pace);
            }
        }
        sum -= winner.p;
    }
    winners
}

/// Who arrives first, the earlier one in the list on a tie: its place in the list, and its rate.
fn first(runners: &[Runner], sum: u64, wanted: u64) -> Option<(usize, u64)> {
    let mut best: Option<(usize, u64, u64)> = None;
    for (place, &Runner { e, p, .. }) in runners.iter().enumerate() {
        let g = rate(p, sum, wanted);
        if best.is_none_or(|(_, best_e, best_g)| product(e, best_g) < product(best_e, g)) {
            best = Some((place, e, g));
        }
    }
    best.map(|(place, _, g)| (place, g))
}

/// Brewer's rate of a runner with probability `p` when `wanted` places are left and the probabilities sum to `sum`.
fn rate(p: u64, sum: u64, wanted: u64) -> u64 {
    match sum.checked_sub(wanted * p) {
        None | Some(0) => 1 << 62,
        Some(rest) => scale(p, sum - p, rest),
    }
}

fn product(x: u64, y: u64) -> u128 {
    u128::from(x) * u128::from(y)
}
