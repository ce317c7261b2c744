//! Small files that must not be lost or half written: read with a bound, written beside and renamed, durable with their folder.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Bytes of a small file at most: far more than any honest one, little enough to read at once.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Readable by the owner only.
pub const SECRET: u32 = 0o600;

/// A file or folder of this machine that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}", path = .path.display())]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// With what.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// Makes a [`FileError`] of a system error.
pub fn at<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> FileError + 'a {
    move |source| FileError { action, path: path.to_owned(), source }
}

/// A small file.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let read = || {
        let mut bytes = Vec::new();
        let length = File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if length as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other("it is far larger than such a file can be"));
        }
        Ok(bytes)
    };
    read().map_err(at("read", path))
}

/// The text of a small file.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    String::from_utf8(read(path)?).map_err(|_| at("read", path)(io::Error::other("it is not UTF-8 text")))
}

/// On return the file is complete and survives a power cut; before that, nobody sees it.
pub fn publish(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        // The mode of `open` does not reach a file that a killed process left behind.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(at("write", path))?;
    sync_parent(path)
}

/// A rename lives in the folder, so the folder needs its own sync.
pub fn sync_parent(path: &Path) -> Result<(), FileError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(at("sync", parent))
}

/// Makes a folder for its owner only, and its parents. An existing one is left as it is.
pub fn make_private_folder(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at("make the folder", path))
}

/// Free bytes for this user on the file system of `path`, or of its nearest parent that exists.
pub fn free_bytes(path: &Path) -> Result<u64, FileError> {
    let stat = file_system(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes of that file system, used or free.
pub fn size_bytes(path: &Path) -> Result<u64, FileError> {
    let stat = file_system(path)?;
    Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
}

fn file_system(path: &Path) -> Result<rustix::fs::StatVfs, FileError> {
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    rustix::fs::statvfs(existing).map_err(|error| at("ask for the free space of", existing)(error.into()))
}
