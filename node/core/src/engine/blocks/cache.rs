//! Tree blocks lately used, least recently used first out. Data blocks are never kept: the page cache does that better.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::BlockId;

use crate::limits::CACHE_BYTES_MAX;

#[derive(Default)]
pub(super) struct BlockCache {
    blocks: BTreeMap<BlockId, (u64, Block)>,
    used: BTreeSet<(u64, BlockId)>,
    bytes: usize,
    uses: u64,
}

impl BlockCache {
    pub fn get(&mut self, id: &BlockId) -> Option<Block> {
        let block = self.blocks.get(id)?.1.clone();
        self.touch(*id);
        Some(block)
    }

    pub fn put(&mut self, block: &Block) {
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
    }

    fn touch(&mut self, id: BlockId) {
        self.uses += 1;
        if let Some((use_, _)) = self.blocks.get_mut(&id) {
            self.used.remove(&(*use_, id));
            *use_ = self.uses;
            self.used.insert((self.uses, id));
        }
    }
}
