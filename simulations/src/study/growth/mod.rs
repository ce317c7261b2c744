//! What a larger pool costs each of its members. Real engines in the simulator as far as they fit; beyond that a model that is stated.

mod engines;
mod lookup;
mod page;

use super::page::StudyPage;
use super::work::StudyWork;

/// Members of the simulated pools.
const SIMULATED: [usize; 4] = [10, 30, 100, 200];
/// Members that a model stands for.
const MODELLED: [usize; 2] = [1_000, 10_000];

/// The study.
pub fn study(work: &StudyWork) -> StudyPage {
    let pools = work.map("pools of engines", &SIMULATED, |members| engines::measure(*members, work));
    let lookups = lookup::timings(work);
    page::page(&pools, &lookups)
}

/// A figure that was measured at two sizes, continued as a straight line through them.
fn line((x1, y1): (f64, f64), (x2, y2): (f64, f64), x: f64) -> f64 {
    y1 + (y2 - y1) / (x2 - x1) * (x - x1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_study_runs() {
        let pool = engines::measure(3, &StudyWork::tiny(1));
        assert_eq!(pool.facts, engines::measure(3, &StudyWork::tiny(1)).facts);
        assert!(pool.gossip_bytes_per_day > 0.0 && pool.read.messages > 0);
        assert_eq!(line((1.0, 10.0), (2.0, 20.0), 5.0), 50.0);
    }
}
