//! Receipts: whose block it is, signed by whom it is charged to (spec 02-block §7).

use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};

use crate::ids::{BlockId, NodeId, PoolId, Signature};
use crate::label::sign;
use crate::signed::{message, verify};

/// "This block I put": `[member, signature]`. It travels with the block, is kept beside it, and goes on with every copy, so that
/// nobody can bring blocks in another's name, or in nobody's.
///
/// ```
/// use ed25519_dalek::SigningKey;
/// use fsdfs_proto::ids::{BlockId, PoolId};
/// use fsdfs_proto::receipt::BlockReceipt;
///
/// let (pool, key) = (PoolId([1; 32]), SigningKey::from_bytes(&[2; 32]));
/// let receipt = BlockReceipt::sign(pool, &key, BlockId([3; 32]));
/// assert!(receipt.is_valid(pool, BlockId([3; 32])));
/// assert!(!receipt.is_valid(pool, BlockId([4; 32])));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockReceipt {
    /// The member that put it, and that it is charged to.
    pub member: NodeId,
    /// Of that member's key. Whether it fits is not known before [`BlockReceipt::is_valid`] was asked.
    pub signature: Signature,
}

impl BlockReceipt {
    /// Of a block that the owner of `key` puts.
    pub fn sign(pool: PoolId, key: &SigningKey, id: BlockId) -> Self {
        let signature = key.sign(&message(sign::RECEIPT, pool, &id.0));
        Self { member: NodeId(key.verifying_key().to_bytes()), signature: Signature(signature.to_bytes()) }
    }

    /// Whether the member that it names signed it for this block.
    pub fn is_valid(&self, pool: PoolId, id: BlockId) -> bool {
        verify(self.member.into(), &message(sign::RECEIPT, pool, &id.0), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: PoolId = PoolId([1; 32]);
    const ID: BlockId = BlockId([3; 32]);

    fn receipt(seed: u8) -> BlockReceipt {
        BlockReceipt::sign(POOL, &SigningKey::from_bytes(&[seed; 32]), ID)
    }

    #[test]
    fn nobody_signs_in_the_name_of_another() {
        let forged = BlockReceipt { member: receipt(2).member, ..receipt(4) };
        assert!(receipt(2).is_valid(POOL, ID) && !forged.is_valid(POOL, ID));
    }

    #[test]
    fn it_is_of_one_block_in_one_pool() {
        assert!(!receipt(2).is_valid(PoolId([9; 32]), ID));
        assert!(!receipt(2).is_valid(POOL, BlockId([9; 32])));
    }
}
