//! Where one block goes: exact-share weighted RUSH (spec 03-placement §3, steps 3 to 6).

use super::math::PlacementKey;
use super::sites::{DiskArrival, LiveSite, LiveSites};
use super::targets::{CopyTargets, SiteShares};

/// The best disks of the holders, best first.
pub(super) fn place(sites: &LiveSites, targets: &CopyTargets, key: PlacementKey) -> Vec<DiskArrival> {
    let winners = targets.race.winners(key);
    let mut holders = Vec::with_capacity(targets.copies);
    for &site in &targets.sure {
        let target = &targets.sites[site];
        let count = target.base + usize::from(winners.iter().any(|winner| winner.who == site));
        let site: &LiveSite = &sites.sites[site];
        match count {
            1 => holders.push(sites.first(site.disks.clone(), key)),
            _ => holders.extend(within(sites, target.within(count), key)),
        }
    }
    for (branch, who) in targets.branches.iter().zip(targets.sites.len()..) {
        let count = branch.base + usize::from(winners.iter().any(|winner| winner.who == who));
        if branch.base > 0 {
            holders.extend(branch.place(sites, count, key));
        }
    }
    // A site or branch that could have got nothing has raced with the disk that arrives first, and gets one replica there.
    let single = winners.iter().filter(|winner| targets.base(winner.who) == 0);
    holders.extend(single.map(|winner| winner.arrival));
    sites.sort(&mut holders);
    holders
}

/// Step 5 for two or more replicas in one site: servers with a whole share are in, the others race for what is left.
fn within<'a>(
    sites: &'a LiveSites,
    within: &'a SiteShares,
    key: PlacementKey,
) -> impl Iterator<Item = DiskArrival> + 'a {
    let whole = within.whole.iter().map(move |&server| sites.first(sites.servers[server].disks.clone(), key));
    whole.chain(within.race.winners(key).into_iter().map(|winner| winner.arrival))
}
