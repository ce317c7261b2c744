//! Exact shares: how many replicas of a block each site and server should get (spec 03-placement §3, steps 1, 2 and 5).

use std::ops::Range;

use super::branches::{self, BranchTarget};
use super::math::ONE;
use super::share::{ShareBounds, fill, sitefill};
use super::sites::{LiveSite, LiveSites};
use super::straw_race::{RaceCandidate, StrawRace, StrawSource};

/// Everything about a number of copies that does not depend on the block.
#[derive(Clone, Debug, Default)]
pub(super) struct CopyTargets {
    /// N': copies there are servers for.
    pub copies: usize,
    /// In the order of [`LiveSites::sites`].
    pub sites: Vec<SiteTarget>,
    /// Sites that hold a replica of every block; those of `branches` are not among them.
    pub sure: Vec<usize>,
    /// Branches of several sites, if there are as many sites as copies. With fewer sites each has a replica of every block,
    /// also those outside a branch.
    pub branches: Vec<BranchTarget>,
    /// Sites and branches race for the copies beyond their bases: sites under their place in [`LiveSites::sites`],
    /// branches behind them.
    pub race: StrawRace,
}

/// What a site gets.
#[derive(Clone, Debug)]
pub(super) struct SiteTarget {
    /// Whole replicas, always.
    pub base: usize,
    /// Probability of one more, in units of 1/ONE.
    pub frac: u64,
    /// With `base` and with `base + 1` replicas.
    within: [SiteShares; 2],
}

/// How a site's servers share two replicas or more; empty for fewer, where the representative takes all.
#[derive(Clone, Debug, Default)]
pub(super) struct SiteShares {
    /// In the order of the site's servers, in units of 1/ONE replicas.
    pub shares: Vec<u64>,
    /// Servers with a whole share.
    pub whole: Vec<usize>,
    /// The others race for the rest.
    pub race: StrawRace,
}

impl CopyTargets {
    pub fn new(sites: &LiveSites, copies: u8) -> Self {
        let copies = sites.servers.len().min(copies.into());
        let raw = site_targets(sites, copies);
        let target = |(site, raw): (&LiveSite, &u64)| SiteTarget::new(sites, site.servers.clone(), *raw);
        let targets: Vec<SiteTarget> = sites.sites.iter().zip(&raw).map(target).collect();
        let together = if targets.len() >= copies { sites.branches() } else { Vec::new() };
        let branches: Vec<BranchTarget> =
            together.into_iter().map(|branch| BranchTarget::new(sites, branch, &raw)).collect();
        let is_alone = |site: usize| !branches.iter().any(|branch| branch.sites.contains(&site));
        let candidate = |(site, target): (usize, &SiteTarget)| {
            let LiveSite { seed, ref disks, .. } = sites.sites[site];
            // With a base, the representative's arrival is spent on the first replica. Using it again, or the second one's, is biased.
            let by = if target.base == 0 { StrawSource::Disks(disks.clone()) } else { StrawSource::Seed(seed) };
            (target.frac > 0).then_some(RaceCandidate { who: site, p: target.frac, by })
        };
        let alone = || targets.iter().enumerate().filter(|(site, _)| is_alone(*site));
        let mut candidates: Vec<RaceCandidate> = alone().filter_map(candidate).collect();
        candidates.extend(
            branches
                .iter()
                .zip(targets.len()..)
                .filter(|(branch, _)| branch.frac > 0)
                .map(|(branch, who)| RaceCandidate { who, p: branch.frac, by: branch.straws(sites) }),
        );
        let bases = alone().map(|(_, target)| target.base).chain(branches.iter().map(|branch| branch.base));
        let want = copies - bases.sum::<usize>();
        let sure = alone().filter(|(_, target)| target.base > 0).map(|(site, _)| site).collect();
        Self { copies, race: StrawRace::new(sites, &candidates, want), sites: targets, sure, branches }
    }
}

impl CopyTargets {
    /// Whole replicas of what raced under this number.
    pub fn base(&self, who: usize) -> usize {
        match who.checked_sub(self.sites.len()) {
            None => self.sites[who].base,
            Some(branch) => self.branches[branch].base,
        }
    }
}

impl SiteTarget {
    fn new(sites: &LiveSites, servers: Range<usize>, raw: u64) -> Self {
        let (base, frac) = ((raw / ONE) as usize, raw % ONE);
        let upper = if frac > 0 { SiteShares::new(sites, servers.clone(), base + 1) } else { SiteShares::default() };
        Self { base, frac, within: [SiteShares::new(sites, servers, base), upper] }
    }

    /// How the servers share `count` replicas of a block, 2 or more; `count` is the base or one more.
    pub fn within(&self, count: usize) -> &SiteShares {
        &self.within[count - self.base]
    }
}

impl SiteShares {
    fn new(sites: &LiveSites, servers: Range<usize>, count: usize) -> Self {
        if count < 2 {
            return Self::default();
        }
        let live = &sites.servers[servers.clone()];
        let shares =
            fill(&live.iter().map(|server| ShareBounds::up_to_one(server.weight)).collect::<Vec<_>>(), count as u64);
        let share = |server: usize| shares[server - servers.start];
        let whole: Vec<usize> = servers.clone().filter(|server| share(*server) == ONE).collect();
        let candidate = |who: usize| {
            let by = StrawSource::Disks(sites.servers[who].disks.clone());
            (1..ONE).contains(&share(who)).then(|| RaceCandidate { who, p: share(who), by })
        };
        let candidates: Vec<RaceCandidate> = servers.clone().filter_map(candidate).collect();
        Self { race: StrawRace::new(sites, &candidates, count - whole.len()), whole, shares }
    }
}

/// Step 2, in units of 1/ONE replicas.
pub(super) fn site_targets(sites: &LiveSites, copies: usize) -> Vec<u64> {
    if sites.sites.len() >= copies {
        let bounds: Vec<ShareBounds> = sites.sites.iter().map(|site| ShareBounds::up_to_one(site.weight)).collect();
        let mut targets = fill(&bounds, copies as u64);
        branches::bound(sites, copies, &mut targets);
        return targets;
    }
    let weights = |site: &LiveSite| sites.servers[site.servers.clone()].iter().map(|server| server.weight).collect();
    sitefill(&sites.sites.iter().map(weights).collect::<Vec<Vec<u64>>>(), copies as u64)
}
