//! Copies here, and copies that were here, that no head needs, as this node's last mark found.
//!
//! Promise: repair compares only what all holders need alike, and brings back nothing that this node collected. What no state needs is
//! deleted by each holder when its own mark says so, hours apart at worst; and of the states that heads name no more each holder
//! remembers those that stood when it looked.

use std::collections::BTreeMap;

use fsdfs_proto::ids::BlockId;
use fsdfs_proto::record::RecordInfo;

use crate::limits::UNNEEDED_NOTED_MAX;

/// What a mark found of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum CopyNeed {
    /// Heads, or the states that they name, need it; or it is so new that one may be about to.
    Needed,
    /// This node keeps it, and others may not: a state needs it that no head names any more and that this node remembers, or
    /// somebody has asked this node for it.
    Kept,
    /// Nothing.
    Unneeded,
}

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct UnneededBlocks(BTreeMap<BlockId, CopyApart>);

/// A block of which the copies here are not compared. It stays noted when one of them goes: there may be another one.
#[derive(Clone, Copy)]
struct CopyApart {
    /// When a copy was last renewed, in wall milliseconds; condemning it is none.
    renewed: u64,
    /// It is not to be deleted.
    is_kept: bool,
    /// A copy went.
    is_gone: bool,
}

impl UnneededBlocks {
    /// Whether this is to be noted.
    pub fn is_news(&self, id: BlockId, need: CopyNeed) -> bool {
        match self.0.get(&id) {
            None => need != CopyNeed::Needed && self.0.len() < UNNEEDED_NOTED_MAX,
            Some(apart) => apart.need() != need,
        }
    }

    /// What is found of a copy that is here. Beyond the bound a copy counts as needed: it is compared, and may come back in vain.
    pub fn note(&mut self, info: &RecordInfo, need: CopyNeed) {
        let is_kept = need == CopyNeed::Kept;
        let new = CopyApart { renewed: info.renewed, is_kept, is_gone: false };
        if need == CopyNeed::Needed {
            self.0.remove(&info.id);
        } else if self.is_apart(info.id) || self.0.len() < UNNEEDED_NOTED_MAX {
            self.0.entry(info.id).and_modify(|known| known.is_kept = is_kept).or_insert(new);
        }
    }

    /// A copy went.
    pub fn on_gone(&mut self, id: BlockId) {
        if let Some(apart) = self.0.get_mut(&id) {
            apart.is_gone = true;
        }
    }

    /// A copy came. If it is another one than that which is noted, somebody wants it.
    pub fn on_new(&mut self, id: BlockId) {
        if self.0.get(&id).is_some_and(|apart| apart.is_gone) {
            self.0.remove(&id);
        }
    }

    /// All copies here were looked at: these blocks are needed, and may come back.
    pub fn forget_gone(&mut self, needed: impl Fn(BlockId) -> bool) {
        self.0.retain(|id, apart| !apart.is_gone || !needed(*id));
    }

    /// Whether no head needs it.
    pub fn is_apart(&self, id: BlockId) -> bool {
        self.0.contains_key(&id)
    }

    /// Whether no state needed a copy that was last renewed then. Who has one that was renewed later knows more; holders are asked to
    /// renew one after the other, and their clocks are not quite alike, so by an hour: nothing is called unneeded so soon.
    pub fn has(&self, id: BlockId, renewed: u64, hour_ms: u64) -> bool {
        let unneeded = self.0.get(&id).filter(|apart| !apart.is_kept);
        unneeded.is_some_and(|apart| renewed <= apart.renewed.saturating_add(hour_ms))
    }
}

impl CopyApart {
    fn need(self) -> CopyNeed {
        if self.is_kept { CopyNeed::Kept } else { CopyNeed::Unneeded }
    }
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::ids::{NodeId, Signature};
    use fsdfs_proto::receipt::BlockReceipt;

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn info(id: [u8; 32], renewed: u64) -> RecordInfo {
        let receipt = BlockReceipt { member: NodeId([7; 32]), signature: Signature([0; 64]) };
        RecordInfo { id: BlockId(id), len: 1, redundancies: Vec::new(), first_seen: 0, renewed, receipt }
    }

    #[test]
    fn what_is_gone_is_not_brought_back_unless_somebody_asked_for_it_since() {
        let mut unneeded = UnneededBlocks::default();
        let copy = info([7; 32], HOUR);
        assert!(unneeded.is_news(copy.id, CopyNeed::Unneeded) && !unneeded.is_news(copy.id, CopyNeed::Needed));
        unneeded.note(&copy, CopyNeed::Unneeded);
        assert!(!unneeded.is_news(copy.id, CopyNeed::Unneeded) && unneeded.is_apart(copy.id));
        // It is condemned, which is the last time that its record has.
        unneeded.note(&info([7; 32], 100 * HOUR), CopyNeed::Unneeded);
        unneeded.on_new(copy.id);
        assert!(unneeded.is_apart(copy.id), "it goes to another disk");
        unneeded.on_gone(copy.id);
        assert!(unneeded.has(copy.id, 0, HOUR) && unneeded.has(copy.id, 2 * HOUR, HOUR));
        assert!(!unneeded.has(copy.id, 2 * HOUR + 1, HOUR), "somebody asked for it since");
        unneeded.on_new(copy.id);
        assert!(!unneeded.is_apart(copy.id), "it came all the same");
    }

    #[test]
    fn what_is_gone_comes_back_when_a_state_needs_it_again() {
        let mut unneeded = UnneededBlocks::default();
        let (copy, other) = (info([7; 32], HOUR), info([8; 32], HOUR));
        for copy in [&copy, &other] {
            unneeded.note(copy, CopyNeed::Unneeded);
        }
        unneeded.on_gone(copy.id);
        unneeded.forget_gone(|_| true);
        assert!(!unneeded.has(copy.id, HOUR, HOUR));
        assert!(unneeded.has(other.id, HOUR, HOUR), "a copy is here: it is judged by itself");
    }

    #[test]
    fn what_this_node_keeps_is_not_compared_and_not_called_unneeded() {
        let mut unneeded = UnneededBlocks::default();
        let copy = info([7; 32], HOUR);
        unneeded.note(&copy, CopyNeed::Kept);
        assert!(unneeded.is_apart(copy.id) && !unneeded.has(copy.id, 0, HOUR));
        assert!(unneeded.is_news(copy.id, CopyNeed::Unneeded));
    }

    #[test]
    fn what_is_noted_is_bounded() {
        let mut unneeded = UnneededBlocks::default();
        for number in 0..=UNNEEDED_NOTED_MAX {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&(number as u64).to_be_bytes());
            unneeded.note(&info(id, 1), CopyNeed::Unneeded);
        }
        assert_eq!(unneeded.0.len(), UNNEEDED_NOTED_MAX);
    }
}
