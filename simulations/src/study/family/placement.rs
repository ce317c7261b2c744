//! What every function in the album does.

use fsdfs_proto::ids::BlockId;

use crate::study::network::MemberIndex;

/// A placement function, prepared for one state of a pool.
pub trait Placement: Sync {
    /// The members that hold a block. Fewer than `copies`, or one of them twice, where the pool breaks the function's constraints.
    fn holders(&self, block: BlockId, copies: u8) -> Vec<MemberIndex>;

    /// The members in the order in which a reader asks them; only the holders if the function knows no further.
    fn order(&self, block: BlockId, copies: u8) -> Vec<MemberIndex> {
        self.holders(block, copies)
    }
}
