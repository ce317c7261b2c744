//! Sums over what this node and one other member are both assigned, by the first bits of the ids (spec 04-wire, "Comparing").

use std::collections::BTreeMap;

use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::message::repair::{IdPrefix, IdPrint, PRINT_CHILDREN};
use fsdfs_proto::pair::PairKey;

/// Bits that the children of a prefix have more than the prefix.
const CHILD_BITS: u16 = PRINT_CHILDREN.ilog2() as u16;

/// Of what this node holds. Memory: some 40 bytes for each bucket with blocks in it.
#[derive(Debug)]
pub(in crate::engine) struct PairTable {
    key: PairKey,
    /// A bucket has the blocks whose ids begin with the same so many bits; 16 at most.
    bits: u16,
    /// No empty ones.
    buckets: BTreeMap<u16, IdPrint>,
    all: IdPrint,
}

impl PairTable {
    pub fn new(key: PairKey, bits: u16) -> Self {
        debug_assert!((CHILD_BITS..=16).contains(&bits), "two bytes of an id");
        Self { key, bits, buckets: BTreeMap::new(), all: IdPrint::NONE }
    }

    pub fn pair_key(&self) -> &PairKey {
        &self.key
    }

    pub fn add(&mut self, id: BlockId, redundancy: Redundancy) {
        let print = self.key.print(id, redundancy);
        self.all.add(print);
        self.buckets.entry(bucket(&id, self.bits)).or_insert(IdPrint::NONE).add(print);
    }

    pub fn take(&mut self, id: BlockId, redundancy: Redundancy) {
        let print = self.key.print(id, redundancy);
        self.all.take(print);
        let sum = self.buckets.entry(bucket(&id, self.bits)).or_insert(IdPrint::NONE);
        sum.take(print);
        if *sum == IdPrint::NONE {
            self.buckets.remove(&bucket(&id, self.bits));
        }
    }

    /// Over all.
    pub fn all(&self) -> IdPrint {
        self.all
    }

    /// One sum for each value of the next four bits; none: the table is not so fine.
    pub fn children(&self, prefix: &IdPrefix) -> Option<[IdPrint; PRINT_CHILDREN]> {
        let left = self.bits.checked_sub(prefix.bits + CHILD_BITS)?;
        let mut sums = [IdPrint::NONE; PRINT_CHILDREN];
        // 16 bits have room for the first bucket behind the last only in a wider number.
        let first = u32::from(bucket(&prefix.from, self.bits)) >> (left + CHILD_BITS) << (left + CHILD_BITS);
        let last = first + (1 << (left + CHILD_BITS)) - 1;
        let narrow = |number: u32| u16::try_from(number).expect("a bucket of 16 bits at most");
        for (number, sum) in self.buckets.range(narrow(first)..=narrow(last)) {
            let child = (u32::from(*number) - first) >> left;
            let child = &mut sums[usize::try_from(child).expect("below 16")];
            *child = child.with(sum);
        }
        Some(sums)
    }
}

/// The first bits of an id, as a number.
fn bucket(id: &BlockId, bits: u16) -> u16 {
    u16::from_be_bytes([id.0[0], id.0[1]]) >> (16 - bits)
}

/// The prefix of a child.
pub(in crate::engine) fn child_of(prefix: &IdPrefix, number: usize) -> IdPrefix {
    let mut from = prefix.from;
    let (byte, shift) = (usize::from(prefix.bits / 8), 4 - prefix.bits % 8);
    from.0[byte] |= u8::try_from(number).expect("below 16") << shift;
    IdPrefix { bits: prefix.bits + CHILD_BITS, from }
}

/// The last id that begins with it.
pub(in crate::engine) fn last_of(prefix: &IdPrefix) -> BlockId {
    let mut last = prefix.from;
    for (index, byte) in last.0.iter_mut().enumerate() {
        let begin = u16::try_from(8 * index).expect("32 bytes");
        let free = 8 - prefix.bits.saturating_sub(begin).min(8);
        *byte |= u8::try_from((1u16 << free) - 1).expect("8 bits");
    }
    last
}

/// The last id before those that begin with it; none: there is none.
pub(in crate::engine) fn before(prefix: &IdPrefix) -> Option<BlockId> {
    let mut id = prefix.from;
    for byte in id.0.iter_mut().rev() {
        let (less, borrows) = byte.overflowing_sub(1);
        *byte = less;
        if !borrows {
            return Some(id);
        }
    }
    None
}

/// Of all ids.
pub(in crate::engine) const ROOT: IdPrefix = IdPrefix { bits: 0, from: BlockId([0; 32]) };

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use fsdfs_proto::ids::{NodeId, PoolId};

    use super::*;

    const THREE: Redundancy = Redundancy::Replicas(3);

    fn table(bits: u16) -> PairTable {
        let keys = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let other = NodeId(keys[1].verifying_key().to_bytes());
        PairTable::new(PairKey::new(PoolId([7; 32]), &keys[0], other).expect("a node's id"), bits)
    }

    fn id(first: u8, second: u8) -> BlockId {
        let mut id = [9; 32];
        (id[0], id[1]) = (first, second);
        BlockId(id)
    }

    #[test]
    fn children_are_what_their_parent_is_at_every_depth() {
        for bits in [4, 8, 12, 16] {
            let mut table = table(bits);
            let ids = (0..=255).map(|number: u8| id(number.wrapping_mul(37), number.wrapping_mul(91)));
            ids.clone().for_each(|id| table.add(id, THREE));
            let (mut parents, mut depth) = (vec![(ROOT, table.all())], 0);
            while depth + CHILD_BITS <= bits {
                let mut next = Vec::new();
                for (prefix, sum) in parents {
                    let children = table.children(&prefix).expect("fine enough");
                    assert_eq!(children.iter().fold(IdPrint::NONE, IdPrint::with), sum);
                    next.extend(children.iter().enumerate().map(|(at, sum)| (child_of(&prefix, at), *sum)));
                }
                (parents, depth) = (next, depth + CHILD_BITS);
            }
            for (prefix, sum) in &parents {
                let within = ids.clone().filter(|id| (prefix.from..=last_of(prefix)).contains(id)).count();
                assert_eq!(sum.count, within as u64, "{prefix:?}");
                assert_eq!(table.children(prefix), None, "not so fine");
            }
        }
    }

    #[test]
    fn what_came_and_went_leaves_nothing() {
        let mut table = table(16);
        table.add(id(1, 1), THREE);
        table.add(id(1, 2), THREE);
        table.take(id(1, 1), THREE);
        table.take(id(1, 2), THREE);
        assert_eq!((table.all(), table.buckets.len()), (IdPrint::NONE, 0));
    }

    #[test]
    fn a_range_begins_behind_the_one_before() {
        assert_eq!(before(&ROOT), None);
        let second = child_of(&ROOT, 1);
        assert_eq!(before(&second), Some(last_of(&child_of(&ROOT, 0))));
        let deep = child_of(&child_of(&second, 0), 3);
        assert_eq!((deep.bits, deep.from.0[..2].to_vec()), (12, vec![0x10, 0x30]));
        assert_eq!(last_of(&deep).0[..3], [0x10, 0x3f, 0xff]);
    }
}
