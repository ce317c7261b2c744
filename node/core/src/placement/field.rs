//! Who takes part in a race, prepared once per map: of most blocks nearly all are known not to win from their draw alone.

use std::ops::Range;

use super::math::{Key, exponential, least_draw, scale};
use super::race::{Entrant, latest, limit, race, slack};
use super::sites::{Arrival, Sites};

/// Those who race for places.
#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    /// Nearly all that is read for a block.
    lots: Vec<Lot>,
    /// What belongs to each lot; the lots of a runner stand together.
    draws: Vec<Draw>,
    runners: Vec<Runner>,
    /// The sum of the runners' probabilities.
    sum: u64,
    places: usize,
    limit: u64,
}

/// Somebody who takes part: with chance `p` in units of 1/ONE, 0 and 1 excluded.
pub(super) struct Contender {
    /// What the caller calls it.
    pub who: usize,
    pub p: u64,
    pub by: By,
}

/// What an exponential number is drawn from.
pub(super) enum By {
    /// The best of these disks.
    Disks(Range<usize>),
    /// A seed of its own.
    Seed(u64),
}

/// Who won, and with which disk.
pub(super) struct Winner {
    pub who: usize,
    pub arrival: Arrival,
}

#[derive(Clone, Copy, Debug)]
struct Lot {
    seed: u64,
    /// No smaller draw can win within the limit.
    least: u64,
}

#[derive(Clone, Copy, Debug)]
struct Draw {
    runner: usize,
    weight: u64,
    disk: usize,
}

#[derive(Clone, Copy, Debug)]
struct Runner {
    who: usize,
    p: u64,
    weight: u64,
}

impl Field {
    pub fn new(sites: &Sites, contenders: &[Contender], places: usize) -> Self {
        let sum = contenders.iter().map(|contender| contender.p).sum();
        let mut field = Self { sum, places, limit: limit(places), ..Self::default() };
        for Contender { who, p, by } in contenders {
            match by {
                By::Disks(disks) => {
                    let weight = sites.disks[disks.clone()].iter().map(|disk| disk.weight).sum();
                    field.runners.push(Runner { who: *who, p: *p, weight });
                    for disk in disks.clone() {
                        field.enter(sites.disks[disk].weight, sites.disks[disk].seed, disk);
                    }
                }
                By::Seed(seed) => {
                    field.runners.push(Runner { who: *who, p: *p, weight: 1 });
                    field.enter(1, *seed, usize::MAX);
                }
            }
        }
        field
    }

    /// A disk of the last runner.
    fn enter(&mut self, weight: u64, seed: u64, disk: usize) {
        let runner = self.runners.len() - 1;
        let Runner { p, weight: all, .. } = self.runners[runner];
        let least = latest(self.limit, p, slack(self.sum, self.places)).map_or(0, |latest| {
            // `e * all / weight`, rounded down, reaches `latest` from here on.
            let e = (latest * u128::from(weight)).div_ceil(u128::from(all));
            u64::try_from(e).map_or(0, least_draw)
        });
        self.lots.push(Lot { seed, least });
        self.draws.push(Draw { runner, weight, disk });
    }

    /// The winners for a block, in order of winning.
    pub fn winners(&self, key: Key) -> Vec<Winner> {
        if self.places == 0 {
            return Vec::new();
        }
        let everybody = || race(self.entrants(key, |_, _| true), self.sum, self.places, u64::MAX);
        let entrants = self.within_limit(key).or_else(everybody).unwrap_or_default();
        let winner = |entrant: &Entrant| Winner { who: self.runners[entrant.place].who, arrival: entrant.arrival };
        entrants.iter().map(winner).collect()
    }

    /// The winners, unless this is the one block in a hundred whose race takes longer than the limit.
    pub fn within_limit(&self, key: Key) -> Option<Vec<Entrant>> {
        race(self.entrants(key, |lot, u| u >= lot.least), self.sum, self.places, self.limit)
    }

    /// Each runner of which a disk passes, with its best.
    fn entrants(&self, key: Key, passes: impl Fn(&Lot, u64) -> bool) -> Vec<Entrant> {
        let mut firsts: Vec<(usize, Arrival)> = Vec::with_capacity(32);
        for (lot, draw) in self.lots.iter().zip(&self.draws) {
            let u = key.draw(lot.seed);
            if !passes(lot, u) {
                continue;
            }
            let arrival = Arrival { e: exponential(u), weight: draw.weight, disk: draw.disk };
            match firsts.last_mut() {
                Some((runner, first)) if *runner == draw.runner => {
                    if arrival.is_before(first) {
                        *first = arrival;
                    }
                }
                _ => firsts.push((draw.runner, arrival)),
            }
        }
        firsts.into_iter().map(|(runner, arrival)| self.entrant(runner, arrival)).collect()
    }

    fn entrant(&self, place: usize, arrival: Arrival) -> Entrant {
        let Runner { p, weight, .. } = self.runners[place];
        let e = if weight == arrival.weight { arrival.e } else { scale(arrival.e, weight, arrival.weight) };
        Entrant::new(place, e, p, slack(self.sum, self.places), arrival)
    }
}
