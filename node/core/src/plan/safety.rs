//! How many sites may be destroyed and everything is still there, and what lacks copies: sums over blocks that members were asked about.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::repair::{AssuredCopy, AssuredState};

use crate::report::BlockAssurance;

/// Sums over blocks. What nobody said counts as nothing, so that nothing is safer here than it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafetySum {
    /// Blocks that were added.
    pub blocks: u64,
    /// Bytes of those of which a copy was found.
    pub bytes: u64,
    /// Copies on distinct members of the block that has the fewest; none without blocks.
    pub copies_min: Option<u64>,
    /// Distinct sites with a copy of the block that has the fewest.
    pub sites_min: Option<u64>,
    /// Blocks with fewer copies than are wanted.
    pub short_blocks: u64,
    /// Bytes of those of which a copy was found.
    pub short_bytes: u64,
    /// Blocks without any copy.
    pub unreadable_blocks: u64,
    /// Copies that were counted, of all blocks.
    pub copies: u64,
    /// Copies that are damaged, or about to be deleted.
    pub bad_copies: u64,
    /// Members with damaged ones, and how many each has.
    pub damaged: BTreeMap<NodeId, u64>,
    /// Members that said that they have blocks and could not prove it, and of how many.
    pub unproven: BTreeMap<NodeId, u64>,
    /// Assigned holders that said nothing, with the blocks that they are assigned and that are short.
    pub silent: BTreeMap<NodeId, u64>,
    /// Assigned holders that said that they have no good copy, likewise.
    pub lacking: BTreeMap<NodeId, u64>,
    /// Blocks of which each copy was verified at some time.
    pub verified_blocks: u64,
    /// Of their copies the one that was not verified for longest, in hours.
    pub oldest_verified_h: Option<u32>,
}

impl SafetySum {
    /// Counts one more block. `site` is where a member stands.
    pub fn add<'a>(&mut self, block: &BlockAssurance, site: impl Fn(NodeId) -> &'a str) {
        let held: BTreeMap<NodeId, &AssuredCopy> = (block.said.iter())
            .filter(|(_, copy)| copy.state == AssuredState::Held)
            .map(|(node, copy)| (*node, copy))
            .collect();
        let (copies, sites) =
            (held.len() as u64, held.keys().map(|node| site(*node)).collect::<BTreeSet<_>>().len() as u64);
        // A liar names another length; nothing hangs on it but a sum that is shown.
        let bytes = u64::from(held.values().map(|copy| copy.len).min().unwrap_or_default());
        self.blocks += 1;
        self.bytes += bytes;
        self.copies_min = Some(self.copies_min.map_or(copies, |least| least.min(copies)));
        self.sites_min = Some(self.sites_min.map_or(sites, |least| least.min(sites)));
        let is_bad = |copy: &AssuredCopy| matches!(copy.state, AssuredState::Damaged | AssuredState::Condemned);
        self.bad_copies += block.said.iter().filter(|(_, copy)| is_bad(copy)).count() as u64;
        self.copies += copies;
        for (node, _) in block.said.iter().filter(|(_, copy)| copy.state == AssuredState::Damaged) {
            *self.damaged.entry(*node).or_default() += 1;
        }
        for node in &block.unproven {
            *self.unproven.entry(*node).or_default() += 1;
        }
        self.unreadable_blocks += u64::from(copies == 0);
        if copies < u64::from(block.wanted) {
            self.short_blocks += 1;
            self.short_bytes += bytes;
            for node in block.assigned.iter().filter(|node| !held.contains_key(node)) {
                let spoke = block.said.iter().any(|(other, _)| other == node);
                *if spoke { &mut self.lacking } else { &mut self.silent }.entry(*node).or_default() += 1;
            }
        }
        let oldest = held.values().map(|copy| copy.verified_h).collect::<Option<Vec<u32>>>();
        if let Some(oldest) = oldest.and_then(|hours| hours.into_iter().max()) {
            self.verified_blocks += 1;
            self.oldest_verified_h = self.oldest_verified_h.max(Some(oldest));
        }
    }

    /// Sites that may be destroyed at once, whichever they are.
    pub fn sites_may_fail(&self) -> u64 {
        self.sites_min.unwrap_or_default().saturating_sub(1)
    }

    /// A block that was to be read to find further ones, and could not be: it is lost as far as anybody can say, and so may be what it
    /// leads to.
    pub fn note_unreadable(&mut self, blocks: u64) {
        self.unreadable_blocks += blocks;
        if blocks > 0 {
            (self.copies_min, self.sites_min) = (Some(0), Some(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::ids::BlockId;

    use super::*;

    fn copy(state: AssuredState, verified_h: Option<u32>) -> AssuredCopy {
        AssuredCopy { state, len: 100, verified_h }
    }

    fn held(hours: u32) -> AssuredCopy {
        copy(AssuredState::Held, Some(hours))
    }

    fn node(number: u8) -> NodeId {
        NodeId([number; 32])
    }

    /// Members 1 and 2 share a site.
    fn site(node: NodeId) -> &'static str {
        if node.0[0] <= 2 { "cellar" } else { "hill" }
    }

    fn sum(blocks: &[&[(u8, AssuredCopy)]]) -> SafetySum {
        let mut sum = SafetySum::default();
        for said in blocks {
            let said = said.iter().map(|(number, copy)| (node(*number), *copy)).collect();
            let assigned = vec![node(1), node(2), node(3)];
            let unproven = Vec::new();
            sum.add(&BlockAssurance { id: BlockId([1; 32]), wanted: 3, assigned, said, unproven }, site);
        }
        sum
    }

    #[test]
    fn the_worst_block_says_how_many_sites_may_be_destroyed() {
        let all = sum(&[&[(1, held(5)), (2, held(7)), (3, held(1))]]);
        assert_eq!((all.sites_may_fail(), all.copies_min, all.short_blocks, all.bytes), (1, Some(3), 0, 100));
        assert_eq!((all.verified_blocks, all.oldest_verified_h), (1, Some(7)));
        let one_site = sum(&[&[(1, held(5)), (2, held(7)), (3, held(1))], &[(1, held(0)), (2, held(0))]]);
        assert_eq!((one_site.sites_may_fail(), one_site.copies_min, one_site.short_blocks), (0, Some(2), 1));
        assert_eq!(one_site.silent, BTreeMap::from([(node(3), 1)]));
    }

    #[test]
    fn what_is_damaged_or_about_to_go_or_not_said_is_no_copy() {
        let bad = sum(&[&[(1, copy(AssuredState::Damaged, None)), (2, copy(AssuredState::Condemned, None))]]);
        assert_eq!((bad.unreadable_blocks, bad.bad_copies, bad.short_bytes), (1, 2, 0));
        assert_eq!((bad.copies, &bad.damaged), (0, &BTreeMap::from([(node(1), 1)])));
        assert_eq!(bad.lacking.keys().copied().collect::<Vec<_>>(), [node(1), node(2)]);
        assert_eq!((bad.verified_blocks, bad.sites_may_fail()), (0, 0));
    }

    #[test]
    fn who_could_not_prove_what_it_said_is_named() {
        let mut sum = SafetySum::default();
        let said = vec![(node(1), held(0)), (node(3), copy(AssuredState::No, None))];
        let (assigned, unproven) = (vec![node(1), node(3)], vec![node(3)]);
        let block = BlockAssurance { id: BlockId([1; 32]), wanted: 2, assigned, said, unproven };
        (0..2).for_each(|_| sum.add(&block, site));
        assert_eq!((sum.copies, sum.short_blocks, sum.unproven), (2, 2, BTreeMap::from([(node(3), 2)])));
        assert_eq!(sum.lacking, BTreeMap::from([(node(3), 2)]));
    }

    #[test]
    fn copies_on_fallback_holders_count_and_nobody_is_missed_then() {
        let elsewhere = sum(&[&[(1, held(1)), (4, held(1)), (5, held(1))]]);
        assert_eq!((elsewhere.short_blocks, elsewhere.sites_may_fail()), (0, 1));
        assert!(elsewhere.silent.is_empty() && elsewhere.lacking.is_empty());
    }

    #[test]
    fn one_copy_of_unknown_age_leaves_a_block_unverified() {
        let unknown = sum(&[&[(1, held(1)), (2, held(1)), (3, copy(AssuredState::Held, None))]]);
        assert_eq!((unknown.verified_blocks, unknown.oldest_verified_h), (0, None));
    }

    #[test]
    fn what_cannot_be_walked_is_lost() {
        let mut walked = sum(&[&[(1, held(1)), (3, held(1)), (2, held(1))]]);
        walked.note_unreadable(1);
        assert_eq!((walked.unreadable_blocks, walked.sites_may_fail(), walked.copies_min), (1, 0, Some(0)));
        assert_eq!(SafetySum::default().sites_may_fail(), 0);
    }
}
