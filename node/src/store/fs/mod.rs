//! The thin boundary to files. Two implementations: the real file system, and the fake disk of the tests, which keeps
//! what is durable apart from what is merely written and can be cut at every operation. A killed process cannot show a
//! missing sync; only that can.

pub(super) mod around;
#[cfg(test)]
pub(super) mod fake_fs;
pub(super) mod os_fs;

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What the store needs of a file system.
pub(crate) trait FileSystem: Send + Sync {
    /// A new file, open for reading and writing; fails if the name is taken. Durable only after [`FileSystem::sync_dir`].
    fn create(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>>;
    /// An existing file, for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>>;
    /// An existing file, for reading and writing.
    fn open_writable(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>>;
    /// Names and lengths of the files in a folder, ascending by name.
    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>>;
    /// Whether there is a folder.
    fn is_dir(&self, dir: &Path) -> bool;
    /// A new folder in one that exists; only its owner may enter it. Durable only after [`FileSystem::sync_dir`] of the parent.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;
    /// Gives a file another name, in the same folder; replaces what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that can still be written, as the file system says.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// Bytes of the file system, used or free.
    fn size_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// Bytes of all below this folder, and of the folder itself, as `du --apparent-size` counts them; 0 if it is not there.
    fn tree_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// Excludes every other process until the result is dropped. `WouldBlock` if another holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;
    /// Names the time within which nothing written to this folder's disk can have been lost: the boot of the machine and
    /// the mount. None if that cannot be told.
    fn session(&self, dir: &Path) -> Option<String>;
}

/// An open file.
pub(crate) trait FileHandle: Send + Sync {
    /// Writes all parts one behind the other. After an error any part of them may have been written.
    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()>;
    /// Fills the buffer; less only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Fills the buffer's free capacity behind what is in it; less only at the end of the file. Takes memory that nobody has
    /// written to, which [`FileHandle::read_at`] cannot.
    fn read_to_spare(&self, buffer: &mut Vec<u8>, offset: u64) -> io::Result<()>;
    /// Makes the bytes and the length durable. After an error nothing is known of what was written since the last time.
    fn sync_data(&self) -> io::Result<()>;
    /// Its length.
    fn len(&self) -> io::Result<u64>;
    /// Cuts it.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes durable what can be read, or makes unreadable what is not durable: after a failed sync the page cache may
    /// hold bytes that the disk never got.
    fn sync_or_discard(&self) -> io::Result<()>;
}

/// A folder with its parents, durable on return; fine if it exists.
///
/// Each folder is made durable before one is made in it. So of those that are there only the deepest may be in doubt, left
/// by a process that was killed in between: it is synced as well.
pub(crate) fn create_dir(file_system: &dyn FileSystem, dir: &Path) -> io::Result<()> {
    let mut missing: Vec<&Path> = dir.ancestors().filter(|dir| !dir.as_os_str().is_empty()).collect();
    let there = missing.iter().position(|dir| file_system.is_dir(dir));
    missing.truncate(there.map_or(missing.len(), |there| there + 1));
    for dir in missing.into_iter().rev() {
        match file_system.make_dir(dir) {
            Err(error) if !file_system.is_dir(dir) => return Err(error),
            _ => sync_parent(file_system, dir)?,
        }
    }
    Ok(())
}

fn sync_parent(file_system: &dyn FileSystem, dir: &Path) -> io::Result<()> {
    let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(()) };
    match file_system.sync_dir(parent) {
        // A folder that may be entered but not listed, as `/home` of some machines, or one of a file system that knows no
        // sync. Neither is of our making.
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => Ok(()),
        other => other,
    }
}

/// Writes a small file whole: before this returns no reader sees it, afterwards it survives a power cut.
pub(crate) fn publish(file_system: &dyn FileSystem, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    remove_if_there(file_system, &temporary)?;
    let file = file_system.create(&temporary)?;
    file.write_at(&[bytes], 0)?;
    file.sync_data()?;
    file_system.rename(&temporary, &dir.join(name))?;
    // The name lives in the folder, so the folder needs its own sync.
    file_system.sync_dir(dir)
}

/// Removes a file that may not exist.
pub(crate) fn remove_if_there(file_system: &dyn FileSystem, path: &Path) -> io::Result<()> {
    match file_system.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Reads a small file; `None` if there is none. More than `bytes_max` is an error.
pub(crate) fn read_small(file_system: &dyn FileSystem, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match file_system.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let len = file.len()?;
    if len > bytes_max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is {len} bytes long", path.display())));
    }
    read_range(&*file, 0, len).map(Some)
}

/// Exactly these bytes; a file that ends before them is an error. The caller has bounded `len`.
pub(crate) fn read_range(file: &dyn FileHandle, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    let mut bytes = Vec::with_capacity(len);
    file.read_to_spare(&mut bytes, offset)?;
    // The allocator may have given more room than was asked for.
    bytes.truncate(len);
    if bytes.len() == len { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
