//! What a larger pool costs each of its members. Real engines in the simulator as far as they fit; beyond that a model that is stated.

mod engines;
mod lookup;
mod page;
mod sizes;

use super::page::StudyPage;
use super::work::StudyWork;
use sizes::SIMULATED;

/// The study.
pub fn study(work: &StudyWork) -> StudyPage {
    let pools = work.map("pools of engines", &SIMULATED, |members| engines::measure(*members, work));
    let lookups = lookup::timings(work);
    page::page(&pools, &lookups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_study_runs() {
        let pool = engines::measure(3, &StudyWork::tiny(1));
        assert_eq!(pool.facts, engines::measure(3, &StudyWork::tiny(1)).facts);
        assert!(pool.gossip_bytes_per_day > 0.0 && pool.read.messages > 0);
    }
}
