//! This machine's files: read for `put`, written for `get`. Both go folder by folder through open handles, so that
//! neither a path longer than the system allows nor a symlink slipped in between leads anywhere else.

pub mod holes;
pub mod incoming;
pub mod journal;
mod place;
pub mod scan;
pub mod unfinished;
pub mod write;
pub mod xattrs;

use rustix::fs::Stat;

/// Which symlinks stand for what they point at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FollowLinks {
    /// None: links stay links.
    #[default]
    Never,
    /// Those that were named as sources.
    Sources,
    /// All.
    All,
}

/// Permission bits and modification time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAttributes {
    /// 0 to 0o7777.
    pub mode: u32,
    /// Nanoseconds since 1970, negative before.
    pub mtime_ns: i64,
}

impl LocalAttributes {
    fn of(stat: &Stat) -> Self {
        // Times outside of 1677..2262 do not fit in 64 bits of nanoseconds; the nearest one that does is taken.
        let ns = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
        let mtime_ns = i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX });
        Self { mode: stat.st_mode & 0o7777, mtime_ns }
    }
}

/// What a file that is neither file, folder nor symlink is called.
fn special(mode: u32) -> &'static str {
    use rustix::fs::FileType;
    match FileType::from_raw_mode(mode) {
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symlink",
        FileType::RegularFile => "a file",
        FileType::Unknown => "of an unknown kind",
    }
}
