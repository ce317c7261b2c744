//! What is put into a folder on this machine: files that appear when they are whole, and symlinks.

use rustix::fs::{AtFlags, FileType, readlinkat, symlinkat, utimensat};

use super::incoming::{IncomingFile, LARGE_BYTES};
use super::special;
use super::unfinished::{self, TemporaryName};
use super::write::{LocalFolder, OverwritePolicy, WriteError, WriteResult, check, times};

impl LocalFolder {
    /// Begins a file of about `size` bytes that does not appear under its name before [`IncomingFile::publish`].
    pub fn begin(&self, name: &[u8], size: u64) -> WriteResult<IncomingFile> {
        check(name)?;
        if size < LARGE_BYTES { IncomingFile::small(self, name) } else { IncomingFile::large(self, name) }
    }

    /// Removes what earlier gets that were killed left here.
    pub fn sweep(&self) {
        unfinished::sweep(self);
    }

    /// Makes a symlink. One with the same target counts as made.
    pub fn link(&self, name: &[u8], target: &[u8], mtime_ns: i64, existing: OverwritePolicy) -> WriteResult<bool> {
        check(name)?;
        if let Some(stat) = self.stat(name)? {
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink if readlinkat(self, name, Vec::new())?.as_bytes() == target => return Ok(false),
                FileType::RegularFile | FileType::Symlink if existing == OverwritePolicy::Keep => {
                    return Err(WriteError::Kept);
                }
                FileType::RegularFile | FileType::Symlink => {}
                _ => return Err(WriteError::InTheWay(special(stat.st_mode))),
            }
        }
        let temporary = TemporaryName::random(self);
        symlinkat(target, self, temporary.as_str())?;
        // A file system without times of symlinks is no reason to fail.
        let _ = utimensat(self, temporary.as_str(), &times(mtime_ns), AtFlags::SYMLINK_NOFOLLOW);
        temporary.rename(name, existing).map(|()| true)
    }
}
