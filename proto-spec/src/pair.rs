//! What two nodes alone can compute: the sums by which they compare what both hold (spec 04-wire, "Comparing").
//!
//! Who makes block ids could make two sets of them whose plain hashes have the same sum, and so hide that a copy is missing. The
//! hashes are keyed, and the key is the pair's: a Diffie-Hellman secret of both identities, so that it needs no message, is the same
//! after a restart, and is known to nobody else. (That a signing key may serve for this, too: Thormarker, "On using the same key
//! pair for Ed25519 and an X25519 based KEM", 2021.)

use ed25519_dalek::{SigningKey, VerifyingKey};

use crate::ids::{BlockId, IdSum, Key, NodeId, PoolId};
use crate::label;
use crate::message::Redundancy;
use crate::message::repair::IdPrint;

/// Key of the sums between two nodes of a pool.
///
/// ```
/// use ed25519_dalek::SigningKey;
/// use fsdfs_proto::ids::{NodeId, PoolId};
/// use fsdfs_proto::pair::PairKey;
///
/// let [a, b] = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
/// let node = |key: &SigningKey| NodeId(key.verifying_key().to_bytes());
/// let pool = PoolId([7; 32]);
/// assert_eq!(PairKey::new(pool, &a, node(&b)), PairKey::new(pool, &b, node(&a)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairKey(Key);

impl PairKey {
    /// Of the owner of `key` and another node; the other one computes the same. None: no node can have this id.
    pub fn new(pool: PoolId, key: &SigningKey, other: NodeId) -> Option<Self> {
        let theirs = VerifyingKey::from_bytes(&other.0).ok()?;
        let shared = theirs.to_montgomery() * key.to_scalar();
        let own = NodeId(key.verifying_key().to_bytes());
        let mut hash = blake3::Hasher::new_keyed(&shared.to_bytes());
        hash.update(label::key::PAIR.as_bytes()).update(&[0]).update(&pool.0);
        hash.update(&own.min(other).0).update(&own.max(other).0);
        Some(Self(Key(*hash.finalize().as_bytes())))
    }

    /// What one block adds to a sum.
    pub fn print(&self, id: BlockId, redundancy: Redundancy) -> BlockPrint {
        let mut hash = blake3::Hasher::new_keyed(&self.0.0);
        hash.update(&id.0);
        match redundancy {
            Redundancy::Replicas(copies) => hash.update(&[1, copies]),
            Redundancy::Stripe(shard) => {
                hash.update(&[2]).update(&shard.stripe.0).update(&[shard.index, shard.k, shard.m])
            }
        };
        let first = hash.finalize().as_bytes()[..16].try_into().expect("32 bytes have 16");
        BlockPrint(u128::from_be_bytes(first))
    }
}

/// The keyed hash of a block's id and redundancy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockPrint(u128);

impl BlockPrint {
    /// Its first 8 bytes: enough to tell apart the blocks of a range.
    pub fn short(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

impl IdPrint {
    /// Of no blocks.
    pub const NONE: Self = Self { count: 0, sum: IdSum([0; 16]) };

    /// One block more.
    pub fn add(&mut self, print: BlockPrint) {
        self.count = self.count.wrapping_add(1);
        self.sum = IdSum(u128::from_be_bytes(self.sum.0).wrapping_add(print.0).to_be_bytes());
    }

    /// One block less.
    pub fn take(&mut self, print: BlockPrint) {
        self.count = self.count.wrapping_sub(1);
        self.sum = IdSum(u128::from_be_bytes(self.sum.0).wrapping_sub(print.0).to_be_bytes());
    }

    /// Of these blocks and those together.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        let sum = u128::from_be_bytes(self.sum.0).wrapping_add(u128::from_be_bytes(other.sum.0));
        Self { count: self.count.wrapping_add(other.count), sum: IdSum(sum.to_be_bytes()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: PoolId = PoolId([7; 32]);
    const THREE: Redundancy = Redundancy::Replicas(3);

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn node(seed: u8) -> NodeId {
        NodeId(key(seed).verifying_key().to_bytes())
    }

    fn pair(one: u8, other: u8) -> PairKey {
        PairKey::new(POOL, &key(one), node(other)).expect("a node's id")
    }

    #[test]
    fn both_sides_compute_the_same_and_no_other_pair_does() {
        assert_eq!(pair(1, 2), pair(2, 1));
        assert!(pair(1, 2) != pair(1, 3) && pair(1, 2) != pair(2, 3));
        assert_ne!(PairKey::new(PoolId([8; 32]), &key(1), node(2)), Some(pair(1, 2)));
        // No point of the curve has this.
        let mut id = [0; 32];
        id[0] = 2;
        assert_eq!(PairKey::new(POOL, &key(1), NodeId(id)), None);
    }

    #[test]
    fn a_sum_depends_on_what_is_in_it_and_not_on_the_order() {
        let prints = [1, 2, 3].map(|number| pair(1, 2).print(BlockId([number; 32]), THREE));
        let sum = |which: &[usize]| {
            which.iter().fold(IdPrint::NONE, |mut sum, index| {
                sum.add(prints[*index]);
                sum
            })
        };
        assert_eq!(sum(&[0, 1, 2]), sum(&[2, 0, 1]));
        assert_ne!(sum(&[0, 1]), sum(&[0, 2]));
        let mut less = sum(&[0, 1, 2]);
        less.take(prints[1]);
        assert_eq!((less, sum(&[0]).with(&sum(&[2]))), (sum(&[0, 2]), sum(&[0, 2])));
        assert_ne!(pair(1, 2).print(BlockId([1; 32]), Redundancy::Replicas(2)), prints[0], "the redundancy counts");
    }
}
