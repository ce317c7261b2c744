//! Which blocks of this node are known to lack copies, or to have some to spare.
//!
//! Puts, reads and repair write it; `status` reads it. It is what owners are told, and never decides what is sent.

use std::collections::BTreeMap;

use fsdfs_proto::ids::BlockId;

use crate::limits::UNDER_REPLICATED_MAX;

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct ReplicationLog {
    /// Blocks this node put or looked at that lack copies on the servers that should have them, at most
    /// [`UNDER_REPLICATED_MAX`], and how many copies fewer than asked for there are anywhere, as far as known.
    under_replicated: BTreeMap<BlockId, usize>,
    /// Copies beyond those asked for, fewest and most, of the blocks that were compared and that lack none.
    spare: Option<(usize, usize)>,
}

impl ReplicationLog {
    /// `missing` copies are known to be missing; none: it is complete, or not this node's to say.
    pub fn note(&mut self, id: BlockId, missing: Option<usize>) {
        match missing {
            Some(missing) => {
                // At the bound the number is "at least"; what is known already is kept up to date.
                let known = self.under_replicated.contains_key(&id);
                if known || self.under_replicated.len() < UNDER_REPLICATED_MAX {
                    self.under_replicated.insert(id, missing);
                }
            }
            None => {
                self.under_replicated.remove(&id);
            }
        }
        debug_assert!(self.under_replicated.len() <= UNDER_REPLICATED_MAX);
    }

    /// Repair found so many holders that lack a block, at least.
    pub fn note_lacking(&mut self, id: BlockId, missing: usize) {
        let known = self.under_replicated.get(&id).copied().unwrap_or_default();
        self.note(id, Some(missing.max(known)));
    }

    /// Blocks that are known to lack copies.
    pub fn ids(&self) -> Vec<BlockId> {
        self.under_replicated.keys().copied().collect()
    }

    /// A put of a block that this node keeps ended with so many copies.
    pub fn note_put(&mut self, id: BlockId, copies: usize, target: usize) {
        match target.checked_sub(copies) {
            Some(missing) if missing > 0 => self.note(id, Some(missing)),
            _ => self.note_complete(id, copies.saturating_sub(target)),
        }
    }

    fn note_complete(&mut self, id: BlockId, spare: usize) {
        self.note(id, None);
        self.note_spare(spare);
    }

    /// Of some block there are so many copies more than asked for.
    pub fn note_spare(&mut self, spare: usize) {
        let (least, most) = self.spare.unwrap_or((spare, spare));
        self.spare = Some((least.min(spare), most.max(spare)));
    }

    /// Everything is compared again.
    pub fn forget_spare(&mut self) {
        self.spare = None;
    }

    pub fn is_under_replicated(&self, id: BlockId) -> bool {
        self.under_replicated.contains_key(&id)
    }

    /// Blocks that are known to lack copies.
    pub fn pending(&self) -> u64 {
        self.under_replicated.len() as u64
    }

    /// Copies less those asked for (K - N), of the blocks of this node that were put or compared since the start: fewest and
    /// most.
    pub fn margin(&self) -> Option<(i64, i64)> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let short = self.under_replicated.values().map(|missing| -number(*missing));
        let spare = self.spare.iter().flat_map(|(least, most)| [number(*least), number(*most)]);
        let all = || short.clone().chain(spare.clone());
        all().min().zip(all().max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: BlockId = BlockId([1; 32]);
    const TWO: BlockId = BlockId([2; 32]);

    #[test]
    fn the_margin_spans_what_lacks_and_what_is_spare() {
        let mut log = ReplicationLog::default();
        assert_eq!(log.margin(), None);
        log.note_put(ONE, 3, 3);
        assert_eq!(log.margin(), Some((0, 0)));
        log.note_put(TWO, 1, 3);
        assert_eq!((log.margin(), log.pending()), (Some((-2, 0)), 1));
        log.note_put(TWO, 4, 3);
        assert_eq!((log.margin(), log.pending()), (Some((0, 1)), 0));
        log.forget_spare();
        assert_eq!(log.margin(), None);
    }

    #[test]
    fn what_is_complete_is_forgotten() {
        let mut log = ReplicationLog::default();
        log.note(ONE, Some(1));
        assert!(log.is_under_replicated(ONE));
        log.note(ONE, None);
        assert!(!log.is_under_replicated(ONE));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_known_blocks_are_updated_at_the_bound() {
        let id =
            |number: usize| BlockId([&[7; 24][..], &(number as u64).to_be_bytes()].concat().try_into().expect("32"));
        let mut log = ReplicationLog::default();
        (0..UNDER_REPLICATED_MAX + 5).for_each(|number| log.note(id(number), Some(1)));
        assert_eq!(log.pending(), UNDER_REPLICATED_MAX as u64);
        log.note(id(0), Some(2));
        assert_eq!(log.margin(), Some((-2, -1)));
        log.note(id(0), None);
        log.note(ONE, Some(3));
        assert!(log.is_under_replicated(ONE), "there is room again");
    }
}
