//! How long it takes to prepare a map and to find the holders of a block. Wall-clock times: they differ from run to run.

use std::hint::black_box;
use std::time::Instant;

use super::sizes::{MODELLED, SIMULATED};
use crate::study::network::{OverlayNetwork, block};
use crate::study::work::StudyWork;

/// Best of so many rounds, so that what else the machine does counts little.
const ROUNDS: u64 = 9;
const LOOKUPS: u64 = 100;

/// Times for one size of pool.
pub struct LookupTimes {
    pub members: usize,
    /// To prepare a map after it changed, once per change.
    pub map_us: f64,
    /// To find the three holders of a block.
    pub lookup_us: f64,
}

pub fn timings(work: &StudyWork) -> Vec<LookupTimes> {
    let sizes: Vec<usize> = SIMULATED.into_iter().chain(MODELLED).collect();
    sizes.into_iter().map(|members| times(members, work.seed)).collect()
}

fn times(members: usize, seed: u64) -> LookupTimes {
    let network = OverlayNetwork::random(seed, members, members, 1.0);
    let servers = network.view().servers().to_vec();
    let prepare = || {
        let view = fsdfs_core::placement::ClusterMap::new(servers.clone());
        view.capacity(3);
        view
    };
    let view = prepare();
    let lookup = |round| (0..LOOKUPS).for_each(|nr| drop(black_box(view.holders(block(round, nr), 3))));
    LookupTimes { members, map_us: best(|_| drop(black_box(prepare()))), lookup_us: best(lookup) / LOOKUPS as f64 }
}

/// The shortest of some rounds, in microseconds.
fn best(work: impl Fn(u64)) -> f64 {
    let round = |nr| {
        let start = Instant::now();
        work(nr);
        start.elapsed().as_secs_f64() * 1e6
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}
