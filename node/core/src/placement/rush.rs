//! Where one block goes: exact-share weighted RUSH (spec 03-placement §3, steps 3 to 6).

use super::math::{Key, ONE, scale};
use super::race::{Runner, race};
use super::sites::{Arrival, Site, Sites};
use super::targets::{SiteTarget, Targets};

/// The holders among `arrivals` (the best disk of each of the sites' servers), as indices, best first.
pub(super) fn place(sites: &Sites, targets: &Targets, key: Key, arrivals: &[Arrival]) -> Vec<usize> {
    let counts = counts(sites, targets, key, arrivals);
    let mut holders = Vec::with_capacity(targets.copies);
    for ((site, target), count) in sites.sites.iter().zip(&targets.sites).zip(counts) {
        match count {
            0 => {}
            1 => holders.push(representative(site, arrivals)),
            _ => holders.extend(within(sites, site, target.shares(count), count, arrivals)),
        }
    }
    holders.sort_by(|x, y| arrivals[*x].order(&arrivals[*y]));
    holders
}

/// Step 4: replicas of each site.
fn counts(sites: &Sites, targets: &Targets, key: Key, arrivals: &[Arrival]) -> Vec<usize> {
    let mut counts: Vec<usize> = targets.sites.iter().map(|target| target.base).collect();
    let racing = (0..counts.len()).filter(|site| targets.sites[*site].frac > 0);
    let runner = |site| Runner {
        who: site,
        e: site_exponential(&sites.sites[site], &targets.sites[site], key, arrivals),
        p: targets.sites[site].frac,
    };
    for winner in race(racing.map(runner).collect(), targets.want) {
        counts[winner] += 1;
    }
    counts
}

fn site_exponential(site: &Site, target: &SiteTarget, key: Key, arrivals: &[Arrival]) -> u64 {
    if target.base == 0 {
        let first = arrivals[representative(site, arrivals)];
        scale(first.e, site.weight, first.weight)
    } else {
        // The representative's arrival is spent on the first replica. Using it again, or the second one's, is biased.
        key.exponential(site.seed)
    }
}

/// The server of a site whose disk arrives first.
fn representative(site: &Site, arrivals: &[Arrival]) -> usize {
    site.servers.clone().min_by(|x, y| arrivals[*x].order(&arrivals[*y])).expect("a site has a live server")
}

/// Step 5 for two or more replicas in one site: servers with a whole share are in, the others race for what is left.
fn within(sites: &Sites, site: &Site, shares: &[u64], count: usize, arrivals: &[Arrival]) -> Vec<usize> {
    let share = |server: usize| shares[server - site.servers.start];
    let mut chosen: Vec<usize> = site.servers.clone().filter(|server| share(*server) == ONE).collect();
    let racing = site.servers.clone().filter(|server| (1..ONE).contains(&share(*server)));
    let runner = |server: usize| {
        let best = arrivals[server];
        Runner { who: server, e: scale(best.e, sites.servers[server].weight, best.weight), p: share(server) }
    };
    chosen.extend(race(racing.map(runner).collect(), count - chosen.len()));
    chosen
}
