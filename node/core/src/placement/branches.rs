//! Invitation branches for which nobody vouches: no block lies with one of them only (spec 03-placement §3, steps 2 and 4).
//!
//! The sites of a branch stay sites, with the shares they would have; only how many of a block's replicas the branch gets is
//! settled first, so that it is never all of them.

use std::ops::Range;

use super::math::{ONE, PlacementKey, scale};
use super::share::{ShareBounds, fill};
use super::sites::{DiskArrival, LiveSites};
use super::straw_race::{RaceCandidate, StrawRace, StrawSource};

/// What a branch of several sites gets, where there are as many sites as copies.
#[derive(Clone, Debug)]
pub(super) struct BranchTarget {
    /// In [`LiveSites::sites`].
    pub sites: Range<usize>,
    /// Whole replicas, always.
    pub base: usize,
    /// Probability of one more, in units of 1/ONE.
    pub frac: u64,
    /// Its sites, with `base` and with `base + 1` replicas in the branch. Not used where `base` is 0: its
    /// site then is that of the disk that won.
    within: [BranchShares; 2],
}

/// How a branch's sites share a number of replicas, at most one each.
#[derive(Clone, Debug, Default)]
struct BranchShares {
    /// Sites with a whole share.
    whole: Vec<usize>,
    /// The others race for the rest.
    race: StrawRace,
}

impl BranchTarget {
    /// `targets` are those of all sites.
    pub fn new(live: &LiveSites, sites: Range<usize>, targets: &[u64]) -> Self {
        let shares = &targets[sites.clone()];
        let sum: u64 = shares.iter().sum();
        let (base, frac) = ((sum / ONE) as usize, sum % ONE);
        let within = split(shares, frac);
        let within = std::array::from_fn(|more| match (base, frac) {
            (0, _) => BranchShares::default(),
            (_, 0) if more == 1 => BranchShares::default(),
            _ => BranchShares::new(live, &sites, &within[more], base + more),
        });
        Self { sites, base, frac, within }
    }

    /// How it takes part in the race for the replicas beyond the bases.
    pub fn straws(&self, live: &LiveSites) -> StrawSource {
        let seed = live.sites[self.sites.start].branch.map_or(0, |branch| branch.seed);
        if self.base == 0 { StrawSource::Disks(live.disks_of(&self.sites)) } else { StrawSource::Seed(seed) }
    }

    /// The best disks of the sites that get one of `count` replicas, which is the base or one more.
    pub fn place(&self, live: &LiveSites, count: usize, key: PlacementKey) -> Vec<DiskArrival> {
        let within = &self.within[count - self.base];
        let whole = within.whole.iter().map(|&site| live.first(live.sites[site].disks.clone(), key));
        whole.chain(within.race.winners(key).into_iter().map(|winner| winner.arrival)).collect()
    }

    /// The shares of its sites when it gets `count` replicas.
    #[cfg(test)]
    pub fn shares(&self, targets: &[u64], count: usize) -> Vec<u64> {
        split(&targets[self.sites.clone()], self.frac)[count - self.base].clone()
    }
}

impl BranchShares {
    fn new(live: &LiveSites, sites: &Range<usize>, shares: &[u64], count: usize) -> Self {
        let share = |site: usize| shares[site - sites.start];
        let whole: Vec<usize> = sites.clone().filter(|site| share(*site) == ONE).collect();
        let candidate = |who: usize| {
            let by = StrawSource::Disks(live.sites[who].disks.clone());
            (1..ONE).contains(&share(who)).then(|| RaceCandidate { who, p: share(who), by })
        };
        let candidates: Vec<RaceCandidate> = sites.clone().filter_map(candidate).collect();
        Self { race: StrawRace::new(live, &candidates, count - whole.len()), whole }
    }
}

/// Shares whose sum ends in `frac`, as the mean of two lists: with whole sums, the second one replica more, and it happens
/// with probability `frac`. No share is below 0 or above one replica, so none is lost or doubled by the mixing.
pub(super) fn split(shares: &[u64], frac: u64) -> [Vec<u64>; 2] {
    if frac == 0 {
        return [shares.to_vec(), Vec::new()];
    }
    let most = |share: u64| scale(ONE - share, ONE, ONE - frac).min(scale(share, ONE, frac)).min(ONE);
    let bounds = shares.iter().map(|share| ShareBounds { weight: *share, least: 0, most: most(*share) });
    let more = fill(&bounds.collect::<Vec<_>>(), 1);
    let pairs = || shares.iter().zip(&more);
    [
        pairs().map(|(share, more)| share - (frac * more).div_ceil(ONE)).collect(),
        pairs().map(|(share, more)| share + (ONE - frac) * more / ONE).collect(),
    ]
}

/// The targets of all sites once no branch holds all replicas of a block on average, either. What is above goes to the
/// others, in proportion to their weights: without it the rounding to whole replicas would hand it back.
pub(super) fn bound(live: &LiveSites, copies: usize, targets: &mut [u64]) {
    let most = (copies.max(1) as u64 - 1) * ONE;
    let crowded =
        |sites: &Range<usize>| sites.len() < targets.len() && targets[sites.clone()].iter().sum::<u64>() > most;
    // Two branches cannot have more than that each.
    let Some(branch) = live.branches().into_iter().find(crowded).filter(|_| copies >= 2) else { return };
    let refill = |targets: &mut [u64], sites: &[usize], copies: usize| {
        let bounds: Vec<ShareBounds> =
            sites.iter().map(|site| ShareBounds::up_to_one(live.sites[*site].weight)).collect();
        sites.iter().zip(fill(&bounds, copies as u64)).for_each(|(site, share)| targets[*site] = share);
    };
    let (inside, outside): (Vec<usize>, Vec<usize>) = (0..targets.len()).partition(|site| branch.contains(site));
    refill(targets, &inside, copies - 1);
    refill(targets, &outside, 1);
}
