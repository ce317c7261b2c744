//! The pool's blocks as far as they were listed.

use std::collections::BTreeMap;

use fsdfs_proto::ids::{BlockId, NodeId};

use crate::placement::PlacementRule;
use crate::report::NodeInventory;

/// All ids, counted by their first eight bytes.
const WHOLE: u128 = 1 << 64;

/// Every block of the pool that has an id up to some point, with all members that said that they hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSample {
    listed: Vec<SampledBlock>,
    /// How many of [`WHOLE`] ids were looked at.
    part: u128,
}

/// A block that a member holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampledBlock {
    /// Which.
    pub id: BlockId,
    /// Bytes.
    pub len: u64,
    /// Who said so, ascending.
    pub holders: Vec<NodeId>,
}

impl BlockSample {
    /// Puts lists together. Where one of them breaks off the others are cut, too: beyond, its blocks would seem to lack copies.
    pub fn of(holdings: &[NodeInventory]) -> Self {
        let cut = holdings.iter().filter(|holding| !holding.all);
        let end = cut.filter_map(|holding| holding.blocks.last()).map(|held| held.id).min();
        let mut seen: BTreeMap<BlockId, SampledBlock> = BTreeMap::new();
        for NodeInventory { node, blocks, .. } in holdings {
            for held in blocks.iter().filter(|held| end.is_none_or(|end| held.id <= end)) {
                let block = seen.entry(held.id).or_insert(SampledBlock { id: held.id, len: 0, holders: Vec::new() });
                block.len = block.len.max(held.len.into());
                block.holders.push(*node);
            }
        }
        Self { listed: seen.into_values().collect(), part: end.map_or(WHOLE, up_to) }
    }

    /// At most this many of them.
    pub fn first(&self, count: usize) -> Self {
        match self.listed.get(..count).filter(|seen| seen.len() < self.listed.len()) {
            Some(seen) => Self { listed: seen.to_vec(), part: seen.last().map_or(1, |last| up_to(last.id)) },
            None => self.clone(),
        }
    }

    /// These are all blocks that the members who answered hold.
    pub fn is_whole(&self) -> bool {
        self.part == WHOLE
    }

    /// Those that were listed.
    pub fn listed(&self) -> &[SampledBlock] {
        &self.listed
    }

    /// Ids and bytes.
    pub fn sizes(&self) -> impl Iterator<Item = (BlockId, u64)> {
        self.listed.iter().map(|block| (block.id, block.len))
    }

    /// From these blocks to all of the pool's.
    pub fn whole(&self, listed: u64) -> u64 {
        // Both factors have 64 bits.
        u64::try_from((u128::from(listed) << 64) / self.part).unwrap_or(u64::MAX)
    }

    /// Bytes of all blocks, each counted once.
    pub fn bytes(&self) -> u64 {
        self.whole(self.listed.iter().map(|block| block.len).sum())
    }

    /// Number of all blocks.
    pub fn count(&self) -> u64 {
        self.whole(self.listed.len() as u64)
    }

    /// Copies of the block with fewest and of that with most.
    pub fn copies(&self) -> Option<(usize, usize)> {
        let copies = || self.listed.iter().map(|block| block.holders.len());
        copies().min().zip(copies().max())
    }

    /// Bytes of all blocks that each server should hold.
    pub fn shares(&self, rule: PlacementRule<'_>) -> BTreeMap<NodeId, u64> {
        let mut shares: BTreeMap<NodeId, u64> = BTreeMap::new();
        for (id, bytes) in self.sizes() {
            for holder in rule.view.holders(id, rule.copies) {
                *shares.entry(holder.node).or_default() += bytes;
            }
        }
        shares.into_iter().map(|(node, bytes)| (node, self.whole(bytes))).collect()
    }

    /// Two standard deviations, in thousandths, of `whole` bytes of the pool if chance decides which: as if it was a count of
    /// those blocks that were listed, all as long as the one that the mean byte lies in. None if nothing was listed.
    pub fn error_permille(&self, whole: u64) -> Option<u64> {
        let bytes: u128 = self.listed.iter().map(|block| u128::from(block.len)).sum();
        let squares: u128 = self.listed.iter().map(|block| u128::from(block.len).pow(2)).sum();
        let listed = (u128::from(whole) * (self.part >> 1)) >> 63;
        let blocks = (listed * bytes).checked_div(squares)?.max(1);
        // 2000 / sqrt(blocks), rounded up.
        Some(u64::try_from((4_000_000 / blocks).isqrt() + 1).unwrap_or(u64::MAX))
    }
}

/// How many of [`WHOLE`] ids are not above this one.
fn up_to(id: BlockId) -> u128 {
    let (first, _) = id.0.split_first_chunk().expect("32 bytes begin with 8");
    u128::from(u64::from_be_bytes(*first)) + 1
}
