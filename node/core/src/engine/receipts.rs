//! Receipts whose signatures were found right lately.
//!
//! A receipt is shown with every offer and every listing of its record, in each pass again, and to check it costs more than all the
//! rest of an offer. What is found is a pure function of what is asked, so nothing else depends on what is remembered.

use std::cell::RefCell;
use std::collections::BTreeMap;

use fsdfs_proto::ids::{BlockId, PoolId};
use fsdfs_proto::receipt::BlockReceipt;

/// Receipts remembered, each in the place that its block's id says: some 600 KB.
const PLACES: u16 = 4_096;

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct RightReceipts(RefCell<BTreeMap<u16, (BlockId, BlockReceipt)>>);

impl RightReceipts {
    /// Whether the member that the receipt names signed it for this block.
    pub fn is_valid(&self, pool: PoolId, id: BlockId, receipt: &BlockReceipt) -> bool {
        let place = u16::from_be_bytes([id.0[0], id.0[1]]) % PLACES;
        if self.0.borrow().get(&place) == Some(&(id, *receipt)) {
            return true;
        }
        let is_valid = receipt.is_valid(pool, id);
        if is_valid {
            self.0.borrow_mut().insert(place, (id, *receipt));
        }
        is_valid
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_kit::pool::{key, pool_id};

    #[test]
    fn only_what_was_found_right_is_right_again() {
        let (right, one, other) = (RightReceipts::default(), BlockId([1; 32]), BlockId([2; 32]));
        let receipt = BlockReceipt::sign(pool_id(), &key(1), one);
        let forged = BlockReceipt { member: BlockReceipt::sign(pool_id(), &key(2), one).member, ..receipt };
        for _ in 0..2 {
            assert!(right.is_valid(pool_id(), one, &receipt));
            assert!(!right.is_valid(pool_id(), other, &receipt) && !right.is_valid(pool_id(), one, &forged));
        }
        // Another block in the same place takes it over, and nothing else.
        let neighbour = BlockId([&[1, 1][..], &[9; 30]].concat().try_into().expect("32 bytes"));
        let its = BlockReceipt::sign(pool_id(), &key(1), neighbour);
        assert!(right.is_valid(pool_id(), neighbour, &its) && right.is_valid(pool_id(), one, &receipt));
    }
}
