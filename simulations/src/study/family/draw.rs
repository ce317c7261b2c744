//! Pseudo-random numbers of the album: one hash for all of them, so that hashing is not what they differ in.

use fsdfs_proto::ids::BlockId;

/// A block's source of numbers.
#[derive(Clone, Copy)]
pub(super) struct WeightedDraw(u64);

/// Larger than any sub-cluster, so that steps of one of them never meet within it.
const PRIMES: [u64; 16] = [
    10_007, 10_009, 10_037, 10_039, 10_061, 10_067, 10_069, 10_079, 10_091, 10_093, 10_099, 10_103, 10_111, 10_133,
    10_139, 10_141,
];

impl WeightedDraw {
    pub fn new(salt: u64, block: BlockId) -> Self {
        let (first, _) = block.0.split_first_chunk().expect("32 bytes begin with 16");
        let both = u128::from_be_bytes(*first);
        Self(mix(mix(salt ^ (both >> 64) as u64) ^ both as u64))
    }

    /// The source for one of many things.
    pub fn of(self, label: u64) -> Self {
        Self(mix(self.0 ^ mix(label.wrapping_add(0x9e37_79b9_7f4a_7c15))))
    }

    /// Uniform.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Uniform below `limit`.
    pub fn below(self, limit: u64) -> u64 {
        ((u128::from(self.0) * u128::from(limit)) >> 64) as u64
    }

    /// True with probability `part / whole`.
    pub fn chance(self, part: u64, whole: u64) -> bool {
        self.below(whole) < part
    }

    pub fn prime(self) -> u64 {
        PRIMES[self.below(PRIMES.len() as u64) as usize]
    }
}

/// The finaliser of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
