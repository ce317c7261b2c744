//! The chapter's function word by word: everybody races in every round (spec 03-placement §2, "race"; §3, steps 3 to 6).

use super::super::branches::BranchTarget;
use super::super::math::{ONE, PlacementKey, product, scale};
use super::super::sites::{DiskArrival, LiveSite};
use super::super::targets::SiteTarget;
use super::*;

/// The holders of a block, best first.
pub(super) fn holders(view: &ClusterMap, id: BlockId, copies: u8) -> Vec<BlockHolder> {
    let (sites, targets, key) = (&view.sites, view.targets(copies), PlacementKey::of(id.as_bytes()));
    let arrivals = sites.arrivals(key);
    let mut holders = Vec::new();
    for ((site, target), count) in sites.sites.iter().zip(&targets.sites).zip(counts(view, copies, key, &arrivals)) {
        match count {
            0 => {}
            1 => holders.push(sites.first(site.disks.clone(), key)),
            _ => holders.extend(within(view, site, target, count, &arrivals)),
        }
    }
    sites.sort(&mut holders);
    holders.iter().map(|arrival| sites.holder(arrival)).collect()
}

/// Step 4: replicas of each site. Sites and branches race for what is beyond the bases, then a branch's sites for its share.
fn counts(view: &ClusterMap, copies: u8, key: PlacementKey, arrivals: &[DiskArrival]) -> Vec<usize> {
    let (targets, sites) = (view.targets(copies), &view.sites.sites);
    let branch_of = |site: usize| targets.branches.iter().position(|branch| branch.sites.contains(&site));
    let mut counts: Vec<usize> = targets.sites.iter().map(|target| target.base).collect();
    let mut in_branch: Vec<usize> = targets.branches.iter().map(|branch| branch.base).collect();
    (0..counts.len()).filter(|site| branch_of(*site).is_some()).for_each(|site| counts[site] = 0);
    let want = targets.copies - counts.iter().chain(&in_branch).sum::<usize>();
    let alone = (0..counts.len()).filter(|site| branch_of(*site).is_none() && targets.sites[*site].frac > 0);
    let mut racing: Vec<(usize, PlainItem)> = alone
        .map(|site| (site, runner(&sites[site..=site], targets.sites[site].base, sites[site].seed, key, arrivals)))
        .map(|(site, e)| (site, PlainItem { e, p: targets.sites[site].frac }))
        .collect();
    for (number, branch) in targets.branches.iter().enumerate().filter(|(_, branch)| branch.frac > 0) {
        let together = &sites[branch.sites.clone()];
        let e = runner(together, branch.base, together[0].branch.expect("in a branch").seed, key, arrivals);
        racing.push((counts.len() + number, PlainItem { e, p: branch.frac }));
    }
    for winner in race(racing.iter().map(|(_, item)| *item).collect(), want) {
        match racing[winner].0.checked_sub(counts.len()) {
            None => counts[racing[winner].0] += 1,
            Some(branch) => in_branch[branch] += 1,
        }
    }
    let raw = super::super::targets::site_targets(&view.sites, targets.copies);
    for (branch, count) in targets.branches.iter().zip(in_branch) {
        for site in within_branch(view, branch, &raw, count, arrivals) {
            counts[site] = 1;
        }
    }
    counts
}

/// When sites that stand together come up, at unit rate.
fn runner(sites: &[LiveSite], base: usize, seed: u64, key: PlacementKey, arrivals: &[DiskArrival]) -> u64 {
    if base > 0 {
        return key.exponential(seed);
    }
    let first = first_of(sites, arrivals);
    scale(first.e, sites.iter().map(|site| site.weight).sum(), first.weight)
}

fn first_of(sites: &[LiveSite], arrivals: &[DiskArrival]) -> DiskArrival {
    let earlier = |x: DiskArrival, y: DiskArrival| if y.is_before(&x) { y } else { x };
    let servers = sites.iter().flat_map(|site| arrivals[site.servers.clone()].iter().copied());
    servers.reduce(earlier).expect("a site has a server")
}

/// Which sites of a branch get one of its replicas.
fn within_branch(
    view: &ClusterMap,
    branch: &BranchTarget,
    targets: &[u64],
    count: usize,
    arrivals: &[DiskArrival],
) -> Vec<usize> {
    let sites = &view.sites.sites;
    if branch.base == 0 {
        let first = first_of(&sites[branch.sites.clone()], arrivals);
        let at = branch.sites.clone().filter(|site| sites[*site].disks.contains(&first.disk));
        return at.take(count).collect();
    }
    let shares = branch.shares(targets, count);
    let share = |site: usize| shares[site - branch.sites.start];
    let mut chosen: Vec<usize> = branch.sites.clone().filter(|site| share(*site) == ONE).collect();
    let racing: Vec<usize> = branch.sites.clone().filter(|site| (1..ONE).contains(&share(*site))).collect();
    let item = |&site: &usize| {
        let first = first_of(&sites[site..=site], arrivals);
        PlainItem { e: scale(first.e, sites[site].weight, first.weight), p: share(site) }
    };
    let winners = race(racing.iter().map(item).collect(), count - chosen.len());
    chosen.extend(winners.into_iter().map(|winner| racing[winner]));
    chosen
}

/// Step 5 for two or more replicas in one site.
fn within(
    view: &ClusterMap,
    site: &LiveSite,
    target: &SiteTarget,
    count: usize,
    arrivals: &[DiskArrival],
) -> Vec<DiskArrival> {
    let shares = &target.within(count).shares;
    let share = |server: usize| shares[server - site.servers.start];
    let mut chosen: Vec<usize> = site.servers.clone().filter(|server| share(*server) == ONE).collect();
    let racing: Vec<usize> = site.servers.clone().filter(|server| (1..ONE).contains(&share(*server))).collect();
    let runner = |&server: &usize| {
        let best = arrivals[server];
        PlainItem { e: scale(best.e, view.sites.servers[server].weight, best.weight), p: share(server) }
    };
    let winners = race(racing.iter().map(runner).collect(), count - chosen.len());
    chosen.extend(winners.into_iter().map(|winner| racing[winner]));
    chosen.into_iter().map(|server| arrivals[server]).collect()
}

/// Somebody in a race.
#[derive(Clone, Copy, Debug)]
pub(in crate::placement) struct PlainItem {
    /// When its clock rings, if it ran at unit rate: an exponential number below 2^63.
    pub e: u64,
    /// Its probability of winning, in units of 1/ONE; between 0 and 1, both excluded.
    pub p: u64,
}

/// Indices in order of winning.
pub(in crate::placement) fn race(mut runners: Vec<PlainItem>, places: usize) -> Vec<usize> {
    debug_assert!(runners.iter().all(|runner| 0 < runner.p && runner.p < ONE));
    let mut alive: Vec<usize> = (0..runners.len()).collect();
    let mut sum: u64 = runners.iter().map(|runner| runner.p).sum();
    let mut winners = Vec::with_capacity(places);
    for wanted in (1..=places as u64).rev() {
        let Some((place, winner)) = first(&runners, &alive, sum, wanted) else { break };
        alive.remove(place);
        let (past, pace) = (runners[winner].e, rate(runners[winner].p, sum, wanted));
        for &other in &alive {
            runners[other].e -= scale(rate(runners[other].p, sum, wanted), past, pace);
        }
        sum -= runners[winner].p;
        winners.push(winner);
    }
    winners
}

/// Who arrives first, the earlier one in the list on a tie: its place in `alive`, and itself.
fn first(runners: &[PlainItem], alive: &[usize], sum: u64, wanted: u64) -> Option<(usize, usize)> {
    let mut best: Option<(usize, u64, u64)> = None;
    for (place, &runner) in alive.iter().enumerate() {
        let PlainItem { e, p } = runners[runner];
        let g = rate(p, sum, wanted);
        if best.is_none_or(|(_, best_e, best_g)| product(e, best_g) < product(best_e, g)) {
            best = Some((place, e, g));
        }
    }
    best.map(|(place, ..)| (place, alive[place]))
}

/// Brewer's rate of a runner with probability `p` when `wanted` places are left and the probabilities sum to `sum`.
fn rate(p: u64, sum: u64, wanted: u64) -> u64 {
    match sum.checked_sub(wanted * p) {
        None | Some(0) => 1 << 62,
        Some(rest) => scale(p, sum - p, rest),
    }
}
