//! Reads a local tree for `put`: one open folder a level, in the order in which a volume keeps names, so that what shares a block
//! there comes together. Memory grows with the names of the folders that are open, not with the tree.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fsdfs_proto::control::{ExtendedAttribute, HOLE_BYTES};
use fsdfs_proto::volume::PATH_NAMES_MAX;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::unfinished::is_unfinished;
use super::xattrs::{self, NotKept};
use super::{FollowLinks, LocalAttributes, special};

/// What a scan finds, parents before their content.
#[derive(Debug)]
pub struct FoundEntry {
    /// Names from the source down; empty = the source itself.
    pub path: Vec<Vec<u8>>,
    /// As they were when it was found.
    pub attrs: LocalAttributes,
    /// Extended attributes of users.
    pub xattrs: Vec<ExtendedAttribute>,
    /// What else it has that is not kept.
    pub not_kept: NotKept,
    /// What it is.
    pub what: FoundKind,
}

/// A kind of entry.
#[derive(Debug)]
pub enum FoundKind {
    /// Its content follows.
    Folder,
    /// Open for reading.
    File(SourceFile),
    /// With its target.
    Link(Vec<u8>),
}

impl FoundEntry {
    fn of(stat: &Stat, (xattrs, not_kept): (Vec<ExtendedAttribute>, NotKept), what: FoundKind) -> Self {
        let is_others = stat.st_uid != rustix::process::geteuid().as_raw();
        let not_kept = NotKept { owners: is_others.into(), ..not_kept };
        Self { path: Vec::new(), attrs: LocalAttributes::of(stat), xattrs, not_kept, what }
    }
}

/// What a scan could not take along. It goes on with the rest.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", crate::text::escape::name(shown))]
pub struct SkippedEntry {
    /// The path for people.
    pub shown: Vec<u8>,
    /// Why.
    #[source]
    pub why: SkipReason,
}

/// Why something was not taken along.
#[derive(Debug, thiserror::Error)]
pub enum SkipReason {
    /// Pipes, sockets and devices have no content. Not a failure in a folder; as a source of its own it is one.
    #[error("skipped: it is {0}, not a file")]
    Special(&'static str),
    /// A symlink that was to be followed points at nothing.
    #[error("it is a symlink to something that does not exist")]
    Dangling,
    /// A symlink that was to be followed points at a folder that it lies in.
    #[error("it is a symlink to a folder above it, so following it would not end")]
    Loop,
    /// What an interrupted `get` left behind is no content. Not a failure.
    #[error("skipped: an interrupted get left it behind; repeat that get to complete it")]
    Unfinished,
    /// The store must not be put into itself. Not a failure.
    #[error("skipped: fsdfs itself keeps its data there")]
    OwnData,
    /// No path in the store has so many names.
    #[error("left out with all that is below: a path in the store has at most {PATH_NAMES_MAX} names")]
    TooDeep,
    /// The system refused.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

impl From<Errno> for SkipReason {
    fn from(errno: Errno) -> Self {
        Self::Unreadable(errno.into())
    }
}

/// A file opened before it is read, so that a file renamed over it meanwhile does not mix in.
#[derive(Debug)]
pub struct SourceFile {
    /// To be read by offset: handles to one file share their position.
    pub file: File,
    /// When it was opened.
    pub size: u64,
    /// Its number on its file system, if it has several names.
    pub shared_inode: Option<u64>,
    /// It takes less space than its size says: it may have holes.
    pub is_sparse: bool,
    stamp: FileStamp,
}

/// What changes when content changes: size, modification time, status time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileStamp {
    size: i64,
    times: [(i64, u64); 2],
}

fn stamp(stat: &Stat) -> FileStamp {
    let times = [(stat.st_mtime, stat.st_mtime_nsec), (stat.st_ctime, stat.st_ctime_nsec)];
    FileStamp { size: stat.st_size, times }
}

/// What became of a file since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// Nothing: whatever size it tells, what can be read is its content. (Files of /proc tell 0, those of /sys a page.)
    Unchanged,
    /// It is longer than it was.
    Grown,
    /// Anything else.
    Changed,
}

impl SourceFile {
    fn new(fd: OwnedFd, stat: &Stat) -> Self {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let shared_inode = (stat.st_nlink > 1).then_some(stat.st_ino);
        // Of a size without any blocks some file systems keep the content elsewhere; it is small then.
        let is_sparse = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512) + HOLE_BYTES <= size;
        Self { file: fd.into(), size, shared_inode, is_sparse, stamp: stamp(stat) }
    }

    /// A second handle to the same file that can tell whether it changed since it was opened.
    pub fn watch(&self) -> io::Result<ChangeWatch> {
        Ok(ChangeWatch { file: self.file.try_clone()?, stamp: self.stamp })
    }
}

/// Tells whether a file changed while it was read.
#[derive(Debug)]
pub struct ChangeWatch {
    file: File,
    stamp: FileStamp,
}

impl ChangeWatch {
    /// Compares size and times with what they were.
    pub fn change(&self) -> FileChange {
        match fstat(&self.file) {
            Ok(stat) => since(self.stamp, stamp(&stat)),
            Err(_) => FileChange::Changed,
        }
    }

    /// The same file as it is now.
    pub fn reopen(&self) -> io::Result<(SourceFile, LocalAttributes)> {
        let file = self.file.try_clone()?;
        let stat = fstat(&file)?;
        Ok((SourceFile::new(file.into(), &stat), LocalAttributes::of(&stat)))
    }
}

fn since(before: FileStamp, now: FileStamp) -> FileChange {
    match now {
        _ if now == before => FileChange::Unchanged,
        // A file that tells no size has no times that mean anything either.
        _ if now.size == 0 && before.size == 0 => FileChange::Unchanged,
        _ if now.size > before.size => FileChange::Grown,
        _ => FileChange::Changed,
    }
}

/// Folders that are not to be entered, by device and inode: fsdfs's own.
pub type OwnFolders = BTreeSet<(u64, u64)>;

/// Remembers a folder by what it is, not by its name.
pub fn own_folder(path: &Path) -> Option<(u64, u64)> {
    rustix::fs::stat(path).ok().map(|stat| identity(&stat))
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// A folder that is being walked.
struct OpenFolder {
    fd: OwnedFd,
    identity: (u64, u64),
    /// Those that are still to come, ascending by their bytes.
    names: std::vec::IntoIter<Vec<u8>>,
    /// Why there are no more of them.
    broken: Option<Errno>,
}

impl OpenFolder {
    fn read(fd: OwnedFd, identity: (u64, u64)) -> Result<Self, Errno> {
        let mut names = Vec::new();
        let mut broken = None;
        for entry in Dir::read_from(&fd)? {
            match entry {
                Ok(entry) => names.push(entry.file_name().to_bytes().to_vec()),
                Err(errno) => broken = Some(errno),
            }
        }
        names.retain(|name| name != b"." && name != b"..");
        names.sort_unstable();
        Ok(Self { fd, identity, names: names.into_iter(), broken })
    }
}

/// A walk through one source.
pub struct TreeScan {
    source: Vec<u8>,
    own: OwnFolders,
    /// Names below the source at most.
    names_max: usize,
    follow: FollowLinks,
    /// What the next call hands out: the source itself.
    first: Option<Result<FoundEntry, SkippedEntry>>,
    /// Open folders from the source down; the last is being walked.
    levels: Vec<OpenFolder>,
    /// Names that lead to the last of `levels`.
    path: Vec<Vec<u8>>,
}

impl TreeScan {
    /// Starts at `source`. A symlink is taken as a link, unless links are to be followed or a slash is written behind it.
    pub fn new(source: &Path, own: OwnFolders, follow: FollowLinks) -> Result<Self, SkippedEntry> {
        let mut scan = Self {
            source: source.as_os_str().as_bytes().to_vec(),
            own,
            follow,
            names_max: PATH_NAMES_MAX,
            first: None,
            levels: Vec::new(),
            path: Vec::new(),
        };
        let found = scan.look(None, source.as_os_str().as_bytes());
        scan.first = Some(Ok(found.map_err(|why| scan.skipped(None, why))?));
        Ok(scan)
    }

    /// Its content is to lie below a path of so many names.
    pub fn below(mut self, names: usize) -> Self {
        self.names_max = PATH_NAMES_MAX.saturating_sub(names);
        self
    }

    /// Looks at `name` in the open folder `at`; a folder becomes the last of `levels`.
    fn look(&mut self, at: Option<&OwnedFd>, name: &[u8]) -> Result<FoundEntry, SkipReason> {
        let follows = match self.follow {
            FollowLinks::Never => false,
            FollowLinks::Sources => at.is_none(),
            FollowLinks::All => true,
        };
        let at = at.map_or(CWD, OwnedFd::as_fd);
        // Looked at before it is opened: opening a device or pipe can do things.
        let stat = match statat(at, name, if follows { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW }) {
            Err(Errno::NOENT) if statat(at, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() => {
                return Err(SkipReason::Dangling);
            }
            other => other?,
        };
        let nofollow = if follows { OFlags::empty() } else { OFlags::NOFOLLOW };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | nofollow;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if self.own.contains(&identity(&stat)) => Err(SkipReason::OwnData),
            FileType::Directory => {
                let open = openat(at, name, flags | OFlags::DIRECTORY, Mode::empty())?;
                let identity = identity(&fstat(&open)?);
                // Without links to follow no folder lies in itself.
                if self.levels.iter().any(|level| level.identity == identity) {
                    return Err(SkipReason::Loop);
                }
                let found = FoundEntry::of(&stat, xattrs::read(&open), FoundKind::Folder);
                self.levels.push(OpenFolder::read(open, identity)?);
                Ok(found)
            }
            FileType::RegularFile if is_unfinished(name.rsplit(|byte| *byte == b'/').next().unwrap_or(name)) => {
                Err(SkipReason::Unfinished)
            }
            FileType::RegularFile => {
                let open = openat(at, name, flags, Mode::empty())?;
                let stat = fstat(&open)?;
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => {
                        let xattrs = xattrs::read(&open);
                        Ok(FoundEntry::of(&stat, xattrs, FoundKind::File(SourceFile::new(open, &stat))))
                    }
                    _ => Err(SkipReason::Special(special(stat.st_mode))),
                }
            }
            FileType::Symlink => {
                let target = readlinkat(at, name, Vec::new())?.into_bytes();
                Ok(FoundEntry::of(&stat, (Vec::new(), NotKept::default()), FoundKind::Link(target)))
            }
            _ => Err(SkipReason::Special(special(stat.st_mode))),
        }
    }

    fn next_below(&mut self) -> Option<Result<FoundEntry, SkippedEntry>> {
        loop {
            let folder = self.levels.last_mut()?;
            if let Some(name) = folder.names.next() {
                return Some(self.enter(name));
            }
            let broken = folder.broken.map(|errno| self.skipped(None, errno.into()));
            self.leave();
            if let Some(skipped) = broken {
                return Some(Err(skipped));
            }
        }
    }

    fn enter(&mut self, name: Vec<u8>) -> Result<FoundEntry, SkippedEntry> {
        if self.path.len() >= self.names_max {
            return Err(self.skipped(Some(&name), SkipReason::TooDeep));
        }
        let depth = self.levels.len();
        let fd = self.levels.last().map(|folder| rustix::io::fcntl_dupfd_cloexec(&folder.fd, 3));
        let taken = match fd {
            Some(Ok(fd)) => self.look(Some(&fd), &name),
            Some(Err(errno)) => Err(errno.into()),
            None => unreachable!("enter is called while a folder is open"),
        };
        let mut found = taken.map_err(|why| self.skipped(Some(&name), why))?;
        found.path = self.path.iter().cloned().chain([name.clone()]).collect();
        if self.levels.len() > depth {
            self.path.push(name);
        }
        Ok(found)
    }

    fn leave(&mut self) {
        self.levels.pop();
        self.path.pop();
    }

    fn skipped(&self, name: Option<&[u8]>, why: SkipReason) -> SkippedEntry {
        let mut shown = self.source.clone();
        for name in self.path.iter().map(Vec::as_slice).chain(name) {
            if !shown.ends_with(b"/") {
                shown.push(b'/');
            }
            shown.extend_from_slice(name);
        }
        SkippedEntry { shown, why }
    }
}

impl Iterator for TreeScan {
    type Item = Result<FoundEntry, SkippedEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.first.take().or_else(|| self.next_below())
    }
}

#[cfg(test)]
mod tests;
