//! sled as the index. The only file that names it.
//!
//! Known of sled 0.34.7 and allowed for here: `flush` is not durable (it uses `sync_file_range`), damaged files make it
//! panic, its default cache is large. It is closed durably by syncing its files; after an unclean stop of the machine the
//! caller does not trust it and rebuilds.

use std::fs;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use crate::store::index::{IndexEngine, IndexError, IndexFactory, IndexPairs};

/// Memory for cached pages, a disk. sled goes well past it; its default of 1 GiB would eat a small server.
const CACHE_BYTES: u64 = 16 << 20;
/// How often buffered changes are written out. Losing them costs a scan of the tail, so seldom is fine.
const FLUSH_EVERY_MS: u64 = 2000;

/// Makes sled indexes.
pub(crate) struct SledIndexes;

struct SledIndex {
    path: PathBuf,
    /// `None` once closed.
    db: RwLock<Option<sled::Db>>,
}

impl IndexFactory for SledIndexes {
    fn open(&self, dir: &Path, fresh: bool) -> Result<Arc<dyn IndexEngine>, IndexError> {
        if fresh {
            put_aside(dir).map_err(|error| IndexError(error.to_string()))?;
        }
        make_private(dir).map_err(|error| IndexError(error.to_string()))?;
        let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(Some(FLUSH_EVERY_MS));
        let db = guarded(|| Ok(config.open()?))?;
        close_to_others(dir).map_err(|error| IndexError(error.to_string()))?;
        Ok(Arc::new(SledIndex { path: dir.into(), db: RwLock::new(Some(db)) }))
    }

    fn drop_aside(&self, dir: &Path) {
        // What stays is seen in `used bytes` and removed the next time.
        let _ = remove_any(&aside(dir));
    }
}

fn aside(dir: &Path) -> PathBuf {
    dir.with_extension("aside")
}

fn put_aside(dir: &Path) -> io::Result<()> {
    remove_any(&aside(dir))?;
    match fs::rename(dir, aside(dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The folder, before sled makes it with the rights that the umask leaves: block ids and their places are no others' business.
fn make_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    set_mode(dir, 0o700)
}

/// What sled made in it. Files that it makes later lie in the same folder, which nobody else enters.
fn close_to_others(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            set_mode(&entry.path(), 0o700)?;
            close_to_others(&entry.path())?;
        } else if kind.is_file() {
            set_mode(&entry.path(), 0o600)?;
        }
    }
    Ok(())
}

/// Sets a mode where it differs and can be set: a disk may be mounted read-only, or have no modes. An index is used all the same.
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() || found.permissions().mode() & 0o777 == mode {
        return Ok(());
    }
    match fs::set_permissions(path, fs::Permissions::from_mode(mode)) {
        Err(error) => match error.kind() {
            // sled renames and removes files of its own while it runs.
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            _ => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

/// A folder, or whatever else stands there.
fn remove_any(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Damaged files make sled panic; to the caller that is one more way to be unusable.
fn guarded<T>(call: impl FnOnce() -> Result<T, Box<dyn std::error::Error>>) -> Result<T, IndexError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| IndexError(error.to_string())),
        Err(_) => Err(IndexError("sled panicked".into())),
    }
}

impl SledIndex {
    fn with<T>(&self, call: impl FnOnce(&sled::Db) -> Result<T, Box<dyn std::error::Error>>) -> Result<T, IndexError> {
        let db = self.db.read().map_err(|_| IndexError("a thread panicked in the index".into()))?;
        let db = db.as_ref().ok_or_else(|| IndexError("the index is closed".into()))?;
        guarded(|| call(db))
    }
}

impl IndexEngine for SledIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.with(|db| Ok(db.get(key)?.map(|value| value.to_vec())))
    }

    fn between(&self, after: &[u8], before: &[u8], max: usize) -> Result<IndexPairs, IndexError> {
        let range = (Bound::Excluded(after), Bound::Excluded(before));
        self.with(|db| {
            let pairs = db.range::<&[u8], _>(range).take(max);
            pairs.map(|pair| Ok(pair.map(|(key, value)| (key.to_vec(), value.to_vec()))?)).collect()
        })
    }

    fn apply(&self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), IndexError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.with(|db| Ok(db.apply_batch(batch)?))
    }

    fn flush(&self) -> Result<(), IndexError> {
        self.with(|db| Ok(db.flush().map(drop)?))
    }

    fn bytes(&self) -> u64 {
        folder_bytes(&self.path)
    }

    fn close(&self) -> Result<(), IndexError> {
        let mut open = self.db.write().map_err(|_| IndexError("a thread panicked in the index".into()))?;
        let Some(db) = open.take() else { return Ok(()) };
        guarded(|| {
            db.flush()?;
            drop(db);
            Ok(sync_folder(&self.path)?)
        })
    }
}

fn folder_bytes(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => folder_bytes(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

fn sync_folder(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folder(&entry.path())?;
        } else {
            fs::File::open(entry.path())?.sync_all()?;
        }
    }
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn nobody_else_reads_which_blocks_are_here() {
        let folder = tempfile::tempdir().expect("a folder");
        let (new, old) = (folder.path().join("new"), folder.path().join("old"));
        // As one of before, which was open to all.
        fs::create_dir(&old).expect("made");
        fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).expect("set");
        for dir in [&new, &old] {
            let index = SledIndexes.open(dir, false).expect("opened");
            assert_eq!(mode(dir), 0o700, "{}", dir.display());
            index.close().expect("closed");
        }
    }

    #[test]
    fn what_lies_in_an_index_is_closed_but_no_link_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (index, elsewhere) = (folder.path().join("index"), folder.path().join("elsewhere"));
        fs::create_dir_all(index.join("blobs")).expect("made");
        for path in [&index.join("db"), &index.join("blobs/1"), &elsewhere] {
            fs::write(path, b"").expect("written");
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("set");
        }
        std::os::unix::fs::symlink(&elsewhere, index.join("link")).expect("linked");
        close_to_others(&index).expect("closed");
        assert_eq!((mode(&index.join("db")), mode(&index.join("blobs"))), (0o600, 0o700));
        assert_eq!((mode(&index.join("blobs/1")), mode(&elsewhere)), (0o600, 0o644));
    }
}
