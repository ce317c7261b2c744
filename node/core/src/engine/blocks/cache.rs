//! Tree blocks lately used, least recently used first out. Data blocks are never kept: the page cache does that better.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::BlockId;

use crate::limits::CACHE_BYTES_MAX;

/// See the module. Both maps have the same blocks.
#[derive(Default)]
pub(super) struct BlockCache {
    /// With the number of their last use.
    blocks: BTreeMap<BlockId, (u64, Block)>,
    /// The same by last use, the oldest first.
    used: BTreeSet<(u64, BlockId)>,
    /// Of all blocks together, at most [`CACHE_BYTES_MAX`] between two calls.
    bytes: usize,
    /// Grows with each use, so no two uses have the same number.
    uses: u64,
}

impl BlockCache {
    /// A hit is a use.
    pub fn get(&mut self, id: &BlockId) -> Option<Block> {
        let block = self.blocks.get(id)?.1.clone();
        self.touch(*id);
        Some(block)
    }

    /// Takes it in, or notes that it was used; then makes room.
    pub fn put(&mut self, block: &Block) {
        // A block of this id has these bytes already: nothing is ever replaced.
        if !self.blocks.contains_key(&block.id()) {
            self.bytes += block.bytes().len();
            self.blocks.insert(block.id(), (self.uses, block.clone()));
        }
        self.touch(block.id());
        while self.bytes > CACHE_BYTES_MAX {
            let Some((_, oldest)) = self.used.pop_first() else { break };
            if let Some((_, block)) = self.blocks.remove(&oldest) {
                self.bytes -= block.bytes().len();
            }
        }
        debug_assert_eq!(self.blocks.len(), self.used.len(), "each block has one last use");
    }

    /// It was used just now.
    fn touch(&mut self, id: BlockId) {
        self.uses += 1;
        if let Some((use_, _)) = self.blocks.get_mut(&id) {
            self.used.remove(&(*use_, id));
            *use_ = self.uses;
            self.used.insert((self.uses, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Eight of them fill the cache.
    fn block(number: u8) -> Block {
        Block::new(Bytes::from(vec![number; CACHE_BYTES_MAX / 8]))
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let blocks: Vec<Block> = (0..10).map(block).collect();
        let mut cache = BlockCache::default();
        blocks[..8].iter().for_each(|block| cache.put(block));
        assert_eq!(cache.get(&blocks[0].id()), Some(blocks[0].clone()));
        cache.put(&blocks[2]);
        blocks[8..].iter().for_each(|block| cache.put(block));
        let kept: Vec<usize> = (0..10).filter(|number| cache.blocks.contains_key(&blocks[*number].id())).collect();
        assert_eq!(kept, [0, 2, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn bytes_are_bounded_and_counted_once() {
        let mut cache = BlockCache::default();
        for number in (0..20).chain(0..20).flat_map(|number| [number, number]) {
            cache.put(&block(number));
            let held: usize = cache.blocks.values().map(|(_, block)| block.bytes().len()).sum();
            assert!(cache.bytes == held && held <= CACHE_BYTES_MAX);
            assert_eq!(cache.blocks.len(), cache.used.len());
        }
    }

    #[test]
    fn what_is_not_kept_is_not_found() {
        let mut cache = BlockCache::default();
        assert_eq!(cache.get(&block(1).id()), None);
        assert!(cache.used.is_empty(), "a miss is no use");
    }
}
