//! How long it takes to prepare a map and to find the holders of a block. Wall-clock times: they differ from run to run.

use std::hint::black_box;
use std::time::Instant;

use super::{MODELLED, SIMULATED};
use crate::study::network::{Network, block};
use crate::study::work::Work;

/// Best of so many rounds, so that what else the machine does counts little.
const ROUNDS: u64 = 9;
const LOOKUPS: u64 = 100;

/// Times for one size of pool.
pub struct Times {
    pub members: usize,
    /// To prepare a map after it changed, once per change.
    pub map_us: f64,
    /// To find the three holders of a block.
    pub lookup_us: f64,
}

pub fn timings(work: &Work) -> Vec<Times> {
    let sizes: Vec<usize> = SIMULATED.into_iter().chain(MODELLED).collect();
    sizes.into_iter().map(|members| times(members, work.seed)).collect()
}

fn times(members: usize, seed: u64) -> Times {
    let network = Network::random(seed, members, members, 1.0);
    let servers = network.view().servers().to_vec();
    let prepare = || {
        let view = fsdfs_core::placement::ClusterMap::new(servers.clone());
        view.capacity(3);
        view
    };
    let view = prepare();
    let lookup = |round| (0..LOOKUPS).for_each(|nr| drop(black_box(view.holders(block(round, nr), 3))));
    Times { members, map_us: best(|_| drop(black_box(prepare()))), lookup_us: best(lookup) / LOOKUPS as f64 }
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
