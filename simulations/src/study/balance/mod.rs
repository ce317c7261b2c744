//! How evenly disks fill, and how much fits until the first one is full.

mod cases;
mod page;

use super::family::PlacementKind;
use super::network::{OverlayNetwork, block};
use super::page::StudyPage;
use super::share::{best_volume, shares};
use super::work::StudyWork;
use cases::{
    BalanceCase, BalanceTable, COPIES, DRAWN, LoadBalance, SERVERS, SHARED, SIGMA, drawn, home_pools, mean, shared,
};

/// Blocks in each pool.
const BLOCKS: u64 = 120_000;

/// The study.
pub fn study(work: &StudyWork) -> StudyPage {
    let cases = cases(work.seed);
    let balances = work.map("filling pools", &cases, |case| balance(case, work));
    page::page(&BalanceTable(cases.iter().zip(&balances).collect()))
}

fn cases(seed: u64) -> Vec<BalanceCase> {
    let mut cases = separate(seed);
    for (servers, sites) in SHARED {
        let network = |nr| OverlayNetwork::random(seed << 16 | nr << 8 | servers as u64, servers, sites, SIGMA);
        // The others know nothing of sites.
        let case = |nr| BalanceCase {
            pool: shared(servers, sites),
            kind: PlacementKind::Ours,
            copies: 3,
            network: network(nr),
        };
        cases.extend((0..DRAWN).map(case));
    }
    cases
}

/// Each server at a site of its own.
fn separate(seed: u64) -> Vec<BalanceCase> {
    let mut pools: Vec<(String, OverlayNetwork)> = home_pools()
        .into_iter()
        .map(|(name, sizes)| (name.to_owned(), OverlayNetwork::separate(seed, &sizes)))
        .collect();
    for servers in SERVERS {
        let network = |nr| OverlayNetwork::random(seed << 16 | nr << 8 | servers as u64, servers, servers, SIGMA);
        pools.extend((0..DRAWN).map(|nr| (drawn(servers), network(nr))));
    }
    let mut cases = Vec::new();
    for (pool, network) in pools {
        for copies in COPIES.into_iter().filter(|copies| usize::from(*copies) <= network.members.len()) {
            let case = |kind| BalanceCase { pool: pool.clone(), kind, copies, network: network.clone() };
            cases.extend(PlacementKind::ALL.map(case));
        }
    }
    cases
}

fn balance(case: &BalanceCase, work: &StudyWork) -> LoadBalance {
    let (network, copies) = (&case.network, usize::from(case.copies));
    let function = case.kind.prepare(network);
    let blocks = work.samples(BLOCKS);
    let mut counts = vec![0u64; network.members.len()];
    let mut thin = 0u64;
    for number in 0..blocks {
        let mut holders = function.holders(block(work.seed, number), case.copies);
        holders.sort_unstable();
        holders.dedup();
        thin += u64::from(holders.len() < copies);
        holders.iter().for_each(|id| counts[*id] += 1);
    }
    let shares = shares(network, case.copies);
    let loads: Vec<f64> =
        counts.iter().zip(&shares).map(|(count, share)| *count as f64 / (share * blocks as f64)).collect();
    let square = |(load, share): (&f64, &f64)| share * (load - 1.0) * (load - 1.0);
    let rms = (loads.iter().zip(&shares).map(square).sum::<f64>() / case.copies as f64).sqrt();
    let full = |(member, count): (&super::network::NetworkMember, &u64)| {
        member.weight() as f64 * blocks as f64 / *count as f64
    };
    let volume = network.members.iter().zip(&counts).map(full).fold(f64::INFINITY, f64::min);
    let best = best_volume(network, case.copies);
    LoadBalance {
        chi2_per_disk: chi2_per_disk(&loads, &shares, blocks),
        loads,
        rms,
        thin: thin as f64 / blocks as f64,
        usable: volume / best,
        exact: network.view().capacity(case.copies).usable as f64 / best,
    }
}

/// Over the disks that chance has a say in: those that hold a copy of everything always do.
fn chi2_per_disk(loads: &[f64], shares: &[f64], blocks: u64) -> f64 {
    let free: Vec<f64> = loads
        .iter()
        .zip(shares)
        .filter(|(_, share)| **share < 0.9999)
        .map(|(load, share)| (load - 1.0) * (load - 1.0) * share * blocks as f64 / (1.0 - share))
        .collect();
    mean(free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::network::TB;

    #[test]
    fn the_study_runs_and_repeats_itself() {
        let pages = [study(&StudyWork::tiny(1)), study(&StudyWork::tiny(1))];
        assert_eq!(pages[0].markdown(1), pages[1].markdown(1));
    }

    #[test]
    fn our_loads_are_exact_where_straw2_is_not() {
        let network = OverlayNetwork::separate(1, &[16, 8, 4, 2, 2, 1, 1].map(|size| size * TB));
        let case = |kind| BalanceCase { pool: String::new(), kind, copies: 3, network: network.clone() };
        let work = StudyWork::new(1, "");
        let balances = [PlacementKind::Ours, PlacementKind::Straw2].map(|kind| balance(&case(kind), &work).rms);
        assert!(balances[0] < 0.02 && balances[1] > 0.1, "{balances:?}");
    }
}
