//! The index in memory: for the tests on the fake disk, and for a disk that can be read but has no room for an index.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use crate::store::index::{IndexEngine, IndexError, IndexPairs};

/// Gone with the process.
#[derive(Default)]
pub(crate) struct MemoryIndex(Mutex<SortedPairs>);

type SortedPairs = BTreeMap<Vec<u8>, Vec<u8>>;

impl MemoryIndex {
    fn lock(&self) -> Result<MutexGuard<'_, SortedPairs>, IndexError> {
        self.0.lock().map_err(|_| IndexError("a thread panicked in the index".into()))
    }
}

impl IndexEngine for MemoryIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.lock()?.get(key).cloned())
    }

    fn between(&self, after: &[u8], before: &[u8], max: usize) -> Result<IndexPairs, IndexError> {
        let pairs = self.lock()?;
        let range = pairs.range::<[u8], _>((Bound::Excluded(after), Bound::Excluded(before)));
        Ok(range.take(max).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn apply(&self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), IndexError> {
        let mut pairs = self.lock()?;
        for (key, value) in changes {
            match value {
                Some(value) => pairs.insert(key, value),
                None => pairs.remove(&key),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), IndexError> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn close(&self) -> Result<(), IndexError> {
        Ok(())
    }
}
