//! Manifests lately read. A reader of many ranges of one file would otherwise fetch and hash its manifest for each of them:
//! from another site one more round trip, and up to 200 KiB.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::BlockId;

/// At most 8 MiB: a manifest of the greatest fan-out has 1,024 links and references.
const MANIFESTS_MAX: usize = 32;

/// The last used stands at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Manifests(Arc<Mutex<VecDeque<Block>>>);

impl Manifests {
    pub fn get(&self, id: &BlockId) -> Option<Block> {
        let mut known = self.known();
        let place = known.iter().position(|block| block.id() == *id)?;
        let block = known.remove(place)?;
        known.push_back(block.clone());
        Some(block)
    }

    pub fn keep(&self, block: &Block) {
        let mut known = self.known();
        known.retain(|other| other.id() != block.id());
        known.push_back(block.clone());
        if known.len() > MANIFESTS_MAX {
            known.pop_front();
        }
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<Block>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: usize) -> Block {
        Block::new(number.to_be_bytes().to_vec().into())
    }

    #[test]
    fn the_longest_unused_goes_first() {
        let manifests = Manifests::default();
        (0..MANIFESTS_MAX).for_each(|number| manifests.keep(&block(number)));
        assert_eq!(manifests.get(&block(0).id()), Some(block(0)));
        manifests.keep(&block(MANIFESTS_MAX));
        assert_eq!(manifests.get(&block(1).id()), None);
        assert_eq!(manifests.get(&block(0).id()), Some(block(0)));
        assert_eq!(manifests.known().len(), MANIFESTS_MAX);
    }
}
