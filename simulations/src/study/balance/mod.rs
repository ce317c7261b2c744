//! How evenly disks fill, and how much fits until the first one is full.

mod page;

use super::family::PlacementKind;
use super::network::{OverlayNetwork, TB, block};
use super::page::StudyPage;
use super::share::{best_volume, shares};
use super::work::StudyWork;

/// Copies that are tried.
const COPIES: [u8; 5] = [1, 2, 3, 5, 14];
/// Servers of the random pools.
const SERVERS: [usize; 7] = [3, 4, 6, 10, 20, 30, 100];
/// Servers and houses of random pools in which houses have several servers.
const SHARED: [(usize, usize); 4] = [(8, 4), (30, 12), (8, 2), (12, 2)];
/// Random pools of each size.
const DRAWN: u64 = 4;
/// Spread of the random sizes: a sixth of the servers have more than 2.7 times the middle one.
const SIGMA: f64 = 1.0;
const BLOCKS: u64 = 120_000;

/// What one function makes of one pool.
struct BalanceCase {
    pool: String,
    kind: PlacementKind,
    copies: u8,
    network: OverlayNetwork,
}

/// Its balance.
struct LoadBalance {
    /// Load of each disk / its exact share; 1 is perfect.
    loads: Vec<f64>,
    /// Root of the mean square of the deviations from 1, weighted with the shares.
    rms: f64,
    /// Squared deviations in units of what chance alone would make; 1 is perfect.
    chi2_per_disk: f64,
    /// Blocks with fewer servers than they should have.
    thin: f64,
    /// Volume when the first disk is full / best possible.
    usable: f64,
    /// The same as the exact shares have it: with so many blocks that chance plays no part.
    exact: f64,
}

/// The study.
pub fn study(work: &StudyWork) -> StudyPage {
    let cases = cases(work.seed);
    let balances = work.map("filling pools", &cases, |case| balance(case, work));
    page::page(&BalanceTable(cases.iter().zip(&balances).collect()))
}

fn households() -> Vec<(&'static str, Vec<u32>)> {
    let tb = |sizes: &[u32]| sizes.iter().map(|size| size * TB).collect();
    vec![
        ("16/8/4/2/2/1/1 TB", tb(&[16, 8, 4, 2, 2, 1, 1])),
        ("8/4/4/2/2 TB", tb(&[8, 4, 4, 2, 2])),
        ("five of 4 TB", tb(&[4; 5])),
        ("one of 20, nine of 2 TB", tb(&[20, 2, 2, 2, 2, 2, 2, 2, 2, 2])),
    ]
}

fn drawn(servers: usize) -> String {
    format!("{servers} random servers")
}

fn shared(servers: usize, sites: usize) -> String {
    format!("{servers} random servers in {sites} houses")
}

fn cases(seed: u64) -> Vec<BalanceCase> {
    let mut cases = separate(seed);
    for (servers, sites) in SHARED {
        let network = |nr| OverlayNetwork::random(seed << 16 | nr << 8 | servers as u64, servers, sites, SIGMA);
        // The others know nothing of houses.
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

/// Each server in a house of its own.
fn separate(seed: u64) -> Vec<BalanceCase> {
    let mut pools: Vec<(String, OverlayNetwork)> =
        households().into_iter().map(|(name, sizes)| (name.to_owned(), OverlayNetwork::houses(seed, &sizes))).collect();
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

/// All cases with what became of them.
struct BalanceTable<'a>(Vec<(&'a BalanceCase, &'a LoadBalance)>);

impl<'a> BalanceTable<'a> {
    fn of(
        &self,
        kind: PlacementKind,
        pool: &str,
        copies: u8,
    ) -> impl Iterator<Item = (&'a BalanceCase, &'a LoadBalance)> {
        let wanted = move |case: &BalanceCase| case.kind == kind && case.pool == pool && case.copies == copies;
        self.0.iter().copied().filter(move |(case, _)| wanted(case))
    }

    /// Over all pools of that name.
    fn usable(&self, kind: PlacementKind, pool: &str, copies: u8) -> f64 {
        mean(self.of(kind, pool, copies).map(|(_, balance)| balance.usable))
    }
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / f64::max(count, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_study_runs_and_repeats_itself() {
        let pages = [study(&StudyWork::tiny(1)), study(&StudyWork::tiny(1))];
        assert_eq!(pages[0].markdown(1), pages[1].markdown(1));
    }

    #[test]
    fn our_loads_are_exact_where_straw2_is_not() {
        let network = OverlayNetwork::houses(1, &[16, 8, 4, 2, 2, 1, 1].map(|size| size * TB));
        let case = |kind| BalanceCase { pool: String::new(), kind, copies: 3, network: network.clone() };
        let work = StudyWork::new(1, "");
        let balances = [PlacementKind::Ours, PlacementKind::Straw2].map(|kind| balance(&case(kind), &work).rms);
        assert!(balances[0] < 0.02 && balances[1] > 0.1, "{balances:?}");
    }
}
