//! The index in memory: for the tests on the fake disk, and for a disk that can be read but has no room for an index.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use fsdfs_proto::ids::BlockId;

use crate::store::index::{Changes, Entry, Index, IndexError, Watermark};

/// Gone with the process.
#[derive(Default)]
pub(crate) struct MemoryIndex(Mutex<Held>);

type Held = (BTreeMap<BlockId, Entry>, Option<Watermark>);

impl MemoryIndex {
    fn lock(&self) -> Result<MutexGuard<'_, Held>, IndexError> {
        self.0.lock().map_err(|_| IndexError("a thread panicked in the index".into()))
    }
}

impl Index for MemoryIndex {
    fn get(&self, id: &BlockId) -> Result<Option<Entry>, IndexError> {
        Ok(self.lock()?.0.get(id).cloned())
    }

    fn list(&self, after: Option<&BlockId>, max: usize) -> Result<Vec<(BlockId, Entry)>, IndexError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.lock()?;
        let range = entries.0.range::<BlockId, _>((from, Bound::Unbounded));
        Ok(range.take(max).map(|(id, entry)| (*id, entry.clone())).collect())
    }

    fn apply(&self, changes: &Changes, watermark: &Watermark) -> Result<(), IndexError> {
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

    fn watermark(&self) -> Result<Option<Watermark>, IndexError> {
        Ok(self.lock()?.1)
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn close(&self) -> Result<(), IndexError> {
        Ok(())
    }
}
