//! Exact shares: how many replicas of a block each site and server should get (spec 03-placement §3, steps 1, 2 and 5).

use super::math::ONE;
use super::share::{Bounds, fill, sitefill};
use super::sites::{Live, Site, Sites};

/// Everything about a number of copies that does not depend on the block.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets {
    /// N': copies there are servers for.
    pub copies: usize,
    /// Copies that the sites race for, beyond their bases.
    pub want: usize,
    /// In the order of [`Sites::sites`].
    pub sites: Vec<SiteTarget>,
}

/// What a site gets.
#[derive(Clone, Debug)]
pub(super) struct SiteTarget {
    /// Whole replicas, always.
    pub base: usize,
    /// Probability of one more, in units of 1/ONE.
    pub frac: u64,
    /// Shares of the site's servers when it gets `base` and `base + 1` replicas; empty for fewer than two, where the
    /// representative takes all.
    shares: [Vec<u64>; 2],
}

impl Targets {
    pub fn new(sites: &Sites, copies: u8) -> Self {
        let copies = sites.servers.len().min(copies.into());
        let raw = site_targets(sites, copies);
        let target = |(site, raw): (&Site, &u64)| SiteTarget::new(&sites.servers[site.servers.clone()], *raw);
        let targets: Vec<SiteTarget> = sites.sites.iter().zip(&raw).map(target).collect();
        let want = copies - targets.iter().map(|target| target.base).sum::<usize>();
        Self { copies, want, sites: targets }
    }
}

impl SiteTarget {
    fn new(servers: &[Live], raw: u64) -> Self {
        let (base, frac) = ((raw / ONE) as usize, raw % ONE);
        let upper = if frac > 0 { shares(servers, base + 1) } else { Vec::new() };
        Self { base, frac, shares: [shares(servers, base), upper] }
    }

    /// Shares of the servers when the site gets `count` replicas of a block, 2 or more; `count` is the base or one more.
    pub fn shares(&self, count: usize) -> &[u64] {
        &self.shares[count - self.base]
    }
}

/// Step 2, in units of 1/ONE replicas.
pub(super) fn site_targets(sites: &Sites, copies: usize) -> Vec<u64> {
    if sites.sites.len() >= copies {
        let bounds: Vec<Bounds> = sites.sites.iter().map(|site| Bounds::up_to_one(site.weight)).collect();
        return fill(&bounds, copies as u64);
    }
    let weights = |site: &Site| sites.servers[site.servers.clone()].iter().map(|server| server.weight).collect();
    sitefill(&sites.sites.iter().map(weights).collect::<Vec<Vec<u64>>>(), copies as u64)
}

fn shares(servers: &[Live], count: usize) -> Vec<u64> {
    if count < 2 {
        return Vec::new();
    }
    let bounds: Vec<Bounds> = servers.iter().map(|server| Bounds::up_to_one(server.weight)).collect();
    fill(&bounds, count as u64)
}
