//! Which items take part in a race, prepared once per map: for most blocks nearly all are known not to win from their straw alone.

use std::ops::Range;

use super::math::{PlacementKey, exponential, least_draw, scale};
use super::race::{RaceEntrant, latest, limit, race, slack};
use super::sites::{DiskArrival, LiveSites};

/// The items that race for places.
#[derive(Clone, Debug, Default)]
pub(super) struct StrawRace {
    /// Nearly all that is read for a block.
    straws: Vec<Straw>,
    /// What belongs to each straw; the straws of an item stand together.
    straw_items: Vec<StrawItem>,
    items: Vec<RaceItem>,
    /// The sum of the items' probabilities.
    sum: u64,
    places: usize,
    limit: u64,
}

/// An item that takes part: with chance `p` in units of 1/ONE, 0 and 1 excluded.
pub(super) struct RaceCandidate {
    /// What the caller calls it.
    pub who: usize,
    pub p: u64,
    pub by: StrawSource,
}

/// What an exponential number is drawn from.
pub(super) enum StrawSource {
    /// The best of these disks.
    Disks(Range<usize>),
    /// A seed of its own.
    Seed(u64),
}

/// Which item won, and with which disk.
pub(super) struct RaceWinner {
    pub who: usize,
    pub arrival: DiskArrival,
}

#[derive(Clone, Copy, Debug)]
struct Straw {
    seed: u64,
    /// No smaller draw can win within the limit.
    least: u64,
}

#[derive(Clone, Copy, Debug)]
struct StrawItem {
    item: usize,
    weight: u64,
    disk: usize,
}

#[derive(Clone, Copy, Debug)]
struct RaceItem {
    who: usize,
    p: u64,
    weight: u64,
}

impl StrawRace {
    pub fn new(sites: &LiveSites, candidates: &[RaceCandidate], places: usize) -> Self {
        let sum = candidates.iter().map(|candidate| candidate.p).sum();
        let mut field = Self { sum, places, limit: limit(places), ..Self::default() };
        for RaceCandidate { who, p, by } in candidates {
            match by {
                StrawSource::Disks(disks) => {
                    let weight = sites.disks[disks.clone()].iter().map(|disk| disk.weight).sum();
                    field.items.push(RaceItem { who: *who, p: *p, weight });
                    for disk in disks.clone() {
                        field.enter(sites.disks[disk].weight, sites.disks[disk].seed, disk);
                    }
                }
                StrawSource::Seed(seed) => {
                    field.items.push(RaceItem { who: *who, p: *p, weight: 1 });
                    field.enter(1, *seed, usize::MAX);
                }
            }
        }
        field
    }

    /// A disk of the last item.
    fn enter(&mut self, weight: u64, seed: u64, disk: usize) {
        let item = self.items.len() - 1;
        let RaceItem { p, weight: all, .. } = self.items[item];
        let least = latest(self.limit, p, slack(self.sum, self.places)).map_or(0, |latest| {
            // `e * all / weight`, rounded down, reaches `latest` from here on.
            let e = (latest * u128::from(weight)).div_ceil(u128::from(all));
            u64::try_from(e).map_or(0, least_draw)
        });
        self.straws.push(Straw { seed, least });
        self.straw_items.push(StrawItem { item, weight, disk });
    }

    /// The winners for a block, in order of winning.
    pub fn winners(&self, key: PlacementKey) -> Vec<RaceWinner> {
        if self.places == 0 {
            return Vec::new();
        }
        let with_all = || race(self.entrants(key, |_, _| true), self.sum, self.places, u64::MAX);
        let entrants = self.within_limit(key).or_else(with_all).unwrap_or_default();
        let winner =
            |entrant: &RaceEntrant| RaceWinner { who: self.items[entrant.place].who, arrival: entrant.arrival };
        entrants.iter().map(winner).collect()
    }

    /// The winners, unless this is the one block in a hundred whose race takes longer than the limit.
    pub fn within_limit(&self, key: PlacementKey) -> Option<Vec<RaceEntrant>> {
        race(self.entrants(key, |straw, u| u >= straw.least), self.sum, self.places, self.limit)
    }

    /// Each item of which a disk passes, with its best.
    fn entrants(&self, key: PlacementKey, passes: impl Fn(&Straw, u64) -> bool) -> Vec<RaceEntrant> {
        let mut firsts: Vec<(usize, DiskArrival)> = Vec::with_capacity(32);
        for (straw, draw) in self.straws.iter().zip(&self.straw_items) {
            let u = key.draw(straw.seed);
            if !passes(straw, u) {
                continue;
            }
            let arrival = DiskArrival { e: exponential(u), weight: draw.weight, disk: draw.disk };
            match firsts.last_mut() {
                Some((item, first)) if *item == draw.item => {
                    if arrival.is_before(first) {
                        *first = arrival;
                    }
                }
                _ => firsts.push((draw.item, arrival)),
            }
        }
        firsts.into_iter().map(|(item, arrival)| self.entrant(item, arrival)).collect()
    }

    fn entrant(&self, place: usize, arrival: DiskArrival) -> RaceEntrant {
        let RaceItem { p, weight, .. } = self.items[place];
        let e = if weight == arrival.weight { arrival.e } else { scale(arrival.e, weight, arrival.weight) };
        RaceEntrant::new(place, e, p, slack(self.sum, self.places), arrival)
    }
}
