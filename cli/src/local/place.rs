//! What is put into a folder on this machine: files that appear when they are whole, and symlinks.

use rustix::fs::{AtFlags, FileType, Stat, linkat, readlinkat, symlinkat, utimensat};

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

    /// What is here already of a file that an earlier get began.
    pub fn begun_bytes(&self, name: &[u8]) -> u64 {
        unfinished::begun_bytes(self, name)
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

    /// Makes `name` another name of the file `of` in the folder `in_`. False if it has to be written for itself: this file
    /// system has no hard links, or the file is not there.
    pub fn link_again(&self, name: &[u8], (in_, of): (&Self, &[u8]), existing: OverwritePolicy) -> WriteResult<bool> {
        check(name)?;
        check(of)?;
        let is_file = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let Some(file) = in_.stat(of)?.filter(is_file) else { return Ok(false) };
        if let Some(standing) = self.stat(name)? {
            if (standing.st_dev, standing.st_ino) == (file.st_dev, file.st_ino) {
                return Ok(true);
            }
            if existing == OverwritePolicy::Keep {
                return Err(WriteError::Kept);
            }
            if FileType::from_raw_mode(standing.st_mode) == FileType::Directory {
                return Err(WriteError::InTheWay("a folder"));
            }
        }
        let temporary = TemporaryName::random(self);
        match linkat(in_, of, self, temporary.as_str(), AtFlags::empty()) {
            Ok(()) => temporary.rename(name, existing).map(|()| true),
            Err(_) => Ok(false),
        }
    }
}
