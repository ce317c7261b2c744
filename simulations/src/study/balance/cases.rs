//! Which pools are tried, and what becomes of each.

use crate::study::family::PlacementKind;
use crate::study::network::{OverlayNetwork, TB};

/// Copies that are tried.
pub const COPIES: [u8; 5] = [1, 2, 3, 5, 14];
/// Servers of the random pools.
pub const SERVERS: [usize; 7] = [3, 4, 6, 10, 20, 30, 100];
/// Servers and sites of random pools in which sites have several servers.
pub const SHARED: [(usize, usize); 4] = [(8, 4), (30, 12), (8, 2), (12, 2)];
/// Random pools of each size.
pub const DRAWN: u64 = 4;
/// Spread of the random sizes: a sixth of the servers have more than 2.7 times the middle one.
pub const SIGMA: f64 = 1.0;

/// What one function makes of one pool.
pub struct BalanceCase {
    pub pool: String,
    pub kind: PlacementKind,
    pub copies: u8,
    pub network: OverlayNetwork,
}

/// Its balance.
pub struct LoadBalance {
    /// Load of each disk / its exact share; 1 is perfect.
    pub loads: Vec<f64>,
    /// Root of the mean square of the deviations from 1, weighted with the shares.
    pub rms: f64,
    /// Squared deviations in units of what chance alone would make; 1 is perfect.
    pub chi2_per_disk: f64,
    /// Blocks with fewer servers than they should have.
    pub thin: f64,
    /// Volume when the first disk is full / best possible.
    pub usable: f64,
    /// The same as the exact shares have it: with so many blocks that chance plays no part.
    pub exact: f64,
}

pub fn home_pools() -> Vec<(&'static str, Vec<u32>)> {
    let tb = |sizes: &[u32]| sizes.iter().map(|size| size * TB).collect();
    vec![
        ("16/8/4/2/2/1/1 TB", tb(&[16, 8, 4, 2, 2, 1, 1])),
        ("8/4/4/2/2 TB", tb(&[8, 4, 4, 2, 2])),
        ("five of 4 TB", tb(&[4; 5])),
        ("one of 20, nine of 2 TB", tb(&[20, 2, 2, 2, 2, 2, 2, 2, 2, 2])),
    ]
}

pub fn drawn(servers: usize) -> String {
    format!("{servers} random servers")
}

pub fn shared(servers: usize, sites: usize) -> String {
    format!("{servers} random servers at {sites} sites")
}

/// All cases with what became of them.
pub struct BalanceTable<'a>(pub Vec<(&'a BalanceCase, &'a LoadBalance)>);

impl<'a> BalanceTable<'a> {
    pub fn of(
        &self,
        kind: PlacementKind,
        pool: &str,
        copies: u8,
    ) -> impl Iterator<Item = (&'a BalanceCase, &'a LoadBalance)> {
        let wanted = move |case: &BalanceCase| case.kind == kind && case.pool == pool && case.copies == copies;
        self.0.iter().copied().filter(move |(case, _)| wanted(case))
    }

    /// Over all pools of that name.
    pub fn usable(&self, kind: PlacementKind, pool: &str, copies: u8) -> f64 {
        mean(self.of(kind, pool, copies).map(|(_, balance)| balance.usable))
    }
}

pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / f64::max(count, 1.0)
}
