//! The index in memory: for the tests on the fake disk, and for a disk that can be read but has no room for an index.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use fsdfs_proto::ids::BlockId;

use crate::store::index::{BlockIndex, IndexChanges, IndexEntry, IndexError, IndexWatermark};

/// Gone with the process.
#[derive(Default)]
pub(crate) struct MemoryIndex(Mutex<MemoryState>);

type MemoryState = (BTreeMap<BlockId, IndexEntry>, Option<IndexWatermark>);

impl MemoryIndex {
    fn lock(&self) -> Result<MutexGuard<'_, MemoryState>, IndexError> {
        self.0.lock().map_err(|_| IndexError("a thread panicked in the index".into()))
    }
}

impl BlockIndex for MemoryIndex {
    fn get(&self, id: &BlockId) -> Result<Option<IndexEntry>, IndexError> {
        Ok(self.lock()?.0.get(id).cloned())
    }

    fn list(&self, after: Option<&BlockId>, max: usize) -> Result<Vec<(BlockId, IndexEntry)>, IndexError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.lock()?;
        let range = entries.0.range::<BlockId, _>((from, Bound::Unbounded));
        Ok(range.take(max).map(|(id, entry)| (*id, entry.clone())).collect())
    }

    fn apply(&self, changes: &IndexChanges, watermark: &IndexWatermark) -> Result<(), IndexError> {
        let mut entries = self.lock()?;
        for (id, change) in changes {
            match change {
                Some(entry) => entries.0.insert(*id, entry.clone()),
                None => entries.0.remove(id),
            };
        }
        entries.1 = Some(*watermark);
        Ok(())
    }

    fn watermark(&self) -> Result<Option<IndexWatermark>, IndexError> {
        Ok(self.lock()?.1)
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn close(&self) -> Result<(), IndexError> {
        Ok(())
    }
}
