//! The chapter's function word by word: everybody races in every round (spec 03-placement §2, "race"; §3, steps 3 to 6).

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

/// Step 4: replicas of each site.
fn counts(view: &ClusterMap, copies: u8, key: PlacementKey, arrivals: &[DiskArrival]) -> Vec<usize> {
    let targets = view.targets(copies);
    let mut counts: Vec<usize> = targets.sites.iter().map(|target| target.base).collect();
    let want = targets.copies - counts.iter().sum::<usize>();
    let racing: Vec<usize> = (0..counts.len()).filter(|site| targets.sites[*site].frac > 0).collect();
    let runner = |&site: &usize| site_runner(&view.sites.sites[site], &targets.sites[site], key, arrivals);
    for winner in race(racing.iter().map(runner).collect(), want) {
        counts[racing[winner]] += 1;
    }
    counts
}

fn site_runner(site: &LiveSite, target: &SiteTarget, key: PlacementKey, arrivals: &[DiskArrival]) -> PlainItem {
    let e = if target.base == 0 {
        let earlier = |x: DiskArrival, y: DiskArrival| if y.is_before(&x) { y } else { x };
        let first = arrivals[site.servers.clone()].iter().copied().reduce(earlier).expect("a site has a server");
        scale(first.e, site.weight, first.weight)
    } else {
        key.exponential(site.seed)
    };
    PlainItem { e, p: target.frac }
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
