//! The blocks that a job is given.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::BlockId;

/// Blocks a job may use. A clone shares them until one side changes: several hundred go along with every commit and query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockMap(Arc<BTreeMap<BlockId, Block>>);

impl BlockMap {
    /// Without blocks.
    pub fn new() -> Self {
        Self::default()
    }
}

impl FromIterator<(BlockId, Block)> for BlockMap {
    fn from_iter<I: IntoIterator<Item = (BlockId, Block)>>(blocks: I) -> Self {
        Self(Arc::new(blocks.into_iter().collect()))
    }
}

impl Deref for BlockMap {
    type Target = BTreeMap<BlockId, Block>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for BlockMap {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Arc::make_mut(&mut self.0)
    }
}
