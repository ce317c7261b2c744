//! Ageing: a copy that repair makes is as old as what it is a copy of, keeps its lease, and asks for no more copies.
//!
//! Ages travel as ages, so they are compared only while no clock has been wrong.

use crate::world::observed::MadeCopy;

/// What waits for its turn grows no older meanwhile, milliseconds.
const WAITED_MS: u64 = 45 * 60_000;

/// Whether clocks can be compared.
#[derive(Debug, Default)]
pub struct AgeingChecker {
    clock_jumped: bool,
}

impl AgeingChecker {
    /// A clock was set.
    pub fn clock_jumped(&mut self) {
        self.clock_jumped = true;
    }

    /// Repair made a copy. What is wrong about it.
    pub fn copy_made(&self, made: &MadeCopy) -> Option<String> {
        let (block, node) = (made.block.short(), made.machine);
        if made.copies.1 > made.copies.0 {
            let (before, after) = made.copies;
            return Some(format!("the copy of {block} on node {node} wants {after} copies, not {before}"));
        }
        if self.clock_jumped {
            return None;
        }
        let what = [("age", made.age_ms), ("lease", made.lease_ms)];
        let younger = what.into_iter().find(|(_, (before, after))| after + WAITED_MS < *before)?;
        let (what, (before, after)) = younger;
        Some(format!("the copy of {block} on node {node} has an {what} of {} s, not {} s", after / 1000, before / 1000))
    }
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::ids::BlockId;

    use super::*;

    #[test]
    fn a_copy_is_no_younger_and_asks_for_no_more() {
        let hours = |hours: u64| hours * 3_600_000;
        let made = MadeCopy {
            machine: 1,
            block: BlockId([1; 32]),
            copies: (3, 3),
            age_ms: (hours(5), hours(5)),
            lease_ms: (hours(4), hours(4)),
        };
        let mut checker = AgeingChecker::default();
        assert_eq!(checker.copy_made(&made), None);
        let greedy = MadeCopy { copies: (3, 4), ..made };
        let young = MadeCopy { age_ms: (hours(5), 0), ..made };
        let renewed = MadeCopy { lease_ms: (hours(4), 0), ..made };
        for wrong in [greedy, young, renewed] {
            assert!(checker.copy_made(&wrong).is_some(), "{wrong:?}");
        }
        checker.clock_jumped();
        assert_eq!(checker.copy_made(&young), None);
    }
}
