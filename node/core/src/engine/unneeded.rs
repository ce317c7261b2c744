//! Copies here that no state needed when this node looked last.
//!
//! Promise: repair brings back nothing that this node collected, and asks nobody to complete its copies. Marks of two holders are
//! hours apart at worst, so for a while one has what the other has deleted.

use std::collections::BTreeMap;

use fsdfs_proto::ids::BlockId;

use crate::limits::UNNEEDED_NOTED_MAX;

/// Each with when it was last renewed, in wall milliseconds.
#[derive(Default)]
pub(in crate::engine) struct UnneededBlocks(BTreeMap<BlockId, u64>);

impl UnneededBlocks {
    /// No state needed it. Of what is deleted this is all that is left.
    pub fn note(&mut self, id: BlockId, renewed: u64) {
        if self.0.len() >= UNNEEDED_NOTED_MAX {
            // It comes back once and is collected again.
            self.0.pop_first();
        }
        let known = self.0.entry(id).or_default();
        *known = renewed.max(*known);
    }

    /// A state needs it, or it was put again.
    pub fn forget(&mut self, id: BlockId) {
        self.0.remove(&id);
    }

    /// States were walked: these are needed, whether or not they are here.
    pub fn forget_all(&mut self, needed: impl Fn(BlockId) -> bool) {
        self.0.retain(|id, _| !needed(*id));
    }

    /// Whether no state needed a copy that was last renewed then. Who has one that was renewed later knows more; holders are asked to
    /// renew one after the other, and their clocks are not quite alike, so by an hour: nothing is called unneeded so soon.
    pub fn has(&self, id: BlockId, renewed: u64, hour_ms: u64) -> bool {
        self.0.get(&id).is_some_and(|known| renewed <= known.saturating_add(hour_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn what_was_put_again_is_needed() {
        let mut unneeded = UnneededBlocks::default();
        let (id, other) = (BlockId([7; 32]), BlockId([8; 32]));
        unneeded.note(id, HOUR);
        unneeded.note(other, HOUR);
        assert!(unneeded.has(id, 0, HOUR) && unneeded.has(id, 2 * HOUR, HOUR));
        assert!(!unneeded.has(id, 2 * HOUR + 1, HOUR), "somebody asked for it since");
        unneeded.forget(id);
        assert!(!unneeded.has(id, HOUR, HOUR));
        unneeded.forget_all(|id| id == other);
        assert!(!unneeded.has(other, HOUR, HOUR), "a state needs it");
    }

    #[test]
    fn what_is_noted_is_bounded() {
        let mut unneeded = UnneededBlocks::default();
        for number in 0..=UNNEEDED_NOTED_MAX {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&(number as u64).to_be_bytes());
            unneeded.note(BlockId(id), 1);
        }
        assert_eq!(unneeded.0.len(), UNNEEDED_NOTED_MAX);
    }
}
