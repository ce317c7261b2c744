//! Reads a local tree for `put`: one open folder a level, in the order in which a volume keeps names, so that what shares a block
//! there comes together. Memory grows with the names of the folders that are open, not with the tree.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fsdfs_proto::control::ExtendedAttribute;
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
        Self { file: fd.into(), size, shared_inode, stamp: stamp(stat) }
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
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn names(scan: TreeScan) -> (BTreeSet<String>, Vec<String>) {
        let mut found = BTreeSet::new();
        let mut skipped = Vec::new();
        for item in scan {
            match item {
                Ok(entry) => {
                    let path =
                        entry.path.iter().map(|name| crate::text::escape::name(name)).collect::<Vec<_>>().join("/");
                    let kind = match entry.what {
                        FoundKind::Folder => "/".to_owned(),
                        FoundKind::File(open) => format!(" {}", open.size),
                        FoundKind::Link(target) => format!(" -> {}", crate::text::escape::name(&target)),
                    };
                    found.insert(path + &kind);
                }
                Err(skip) => skipped.push(skip.to_string()),
            }
        }
        (found, skipped)
    }

    #[test]
    fn everything_is_found_once() {
        let temp = tempfile::tempdir().expect("temp");
        let root = temp.path().join("root");
        fs::create_dir_all(root.join("a/b/c")).expect("dirs");
        fs::create_dir(root.join("empty")).expect("dir");
        fs::write(root.join("a/file"), b"12345").expect("file");
        fs::write(root.join("line\nbreak"), b"").expect("file");
        fs::write(root.join(OsStr::from_bytes(b"caf\xe9")), b"1").expect("file");
        symlink("/etc/passwd", root.join("out")).expect("link");
        symlink("gone", root.join("a/b/dangling")).expect("link");
        rustix::fs::mknodat(CWD, root.join("pipe"), FileType::Fifo, Mode::RUSR, 0).expect("fifo");

        let (found, skipped) = names(TreeScan::new(&root, OwnFolders::new(), FollowLinks::Never).expect("readable"));
        let expected = [
            "/",
            "a/",
            "a/b/",
            "a/b/c/",
            "a/b/dangling -> gone",
            "a/file 5",
            "caf\\xe9 1",
            "empty/",
            "line\\nbreak 0",
            "out -> /etc/passwd",
        ];
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), expected);
        assert_eq!(skipped, [format!("{}/pipe: skipped: it is a pipe, not a file", root.display())]);
    }

    /// As a volume keeps them: by the bytes of each name, a folder with all in it at its own name's place.
    #[test]
    fn names_come_in_the_order_in_which_a_volume_keeps_them() {
        let temp = tempfile::tempdir().expect("temp");
        fs::create_dir_all(temp.path().join("b/x")).expect("dirs");
        for name in ["c", "a", "b.txt", "B", "b/z", "b/y", "b/x/1", "10", "9"] {
            fs::write(temp.path().join(name), b"").expect("file");
        }
        fs::write(temp.path().join(OsStr::from_bytes(b"\xff")), b"").expect("file");
        let found = TreeScan::new(temp.path(), OwnFolders::new(), FollowLinks::Never).expect("readable").flatten();
        let paths: Vec<Vec<u8>> = found.map(|entry| entry.path.join(&b'/')).collect();
        let expected: [&[u8]; 13] =
            [b"", b"10", b"9", b"B", b"a", b"b", b"b/x", b"b/x/1", b"b/y", b"b/z", b"b.txt", b"c", b"\xff"];
        assert_eq!(paths, expected);
    }

    #[test]
    fn a_symlink_as_source_is_a_link_unless_a_slash_follows() {
        let temp = tempfile::tempdir().expect("temp");
        fs::create_dir(temp.path().join("real")).expect("dir");
        symlink("real", temp.path().join("link")).expect("link");
        let (found, _) =
            names(TreeScan::new(&temp.path().join("link"), OwnFolders::new(), FollowLinks::Never).expect("readable"));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [" -> real"]);
        let slash = temp.path().join("link").into_os_string();
        let slash = [slash.as_bytes(), b"/"].concat();
        let (found, _) = names(
            TreeScan::new(Path::new(OsStr::from_bytes(&slash)), OwnFolders::new(), FollowLinks::Never)
                .expect("readable"),
        );
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["/"]);
    }

    #[test]
    fn own_folders_are_left_out() {
        let temp = tempfile::tempdir().expect("temp");
        fs::create_dir_all(temp.path().join("store/segments")).expect("dir");
        let own = own_folder(&temp.path().join("store")).into_iter().collect();
        let (found, skipped) = names(TreeScan::new(temp.path(), own, FollowLinks::Never).expect("readable"));
        assert_eq!(found.len(), 1);
        assert!(skipped[0].ends_with("store: skipped: fsdfs itself keeps its data there"), "{skipped:?}");
    }

    #[test]
    fn what_an_interrupted_get_left_is_no_content() {
        let temp = tempfile::tempdir().expect("temp");
        for name in [".fsdfs-get-0123456789abcdef", ".fsdfs-get-0123456789abcdef.blocks", ".fsdfs-get-mine"] {
            fs::write(temp.path().join(name), b"half").expect("file");
        }
        let (found, skipped) =
            names(TreeScan::new(temp.path(), OwnFolders::new(), FollowLinks::Never).expect("readable"));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["/", ".fsdfs-get-mine 4"]);
        assert_eq!(skipped.len(), 2);
        let one = temp.path().join(".fsdfs-get-0123456789abcdef");
        assert!(matches!(
            TreeScan::new(&one, OwnFolders::new(), FollowLinks::Never),
            Err(SkippedEntry { why: SkipReason::Unfinished, .. })
        ));
    }

    #[test]
    fn the_rest_goes_on_behind_a_locked_folder() {
        let temp = tempfile::tempdir().expect("temp");
        fs::create_dir(temp.path().join("locked")).expect("dir");
        fs::write(temp.path().join("open"), b"1").expect("file");
        fs::set_permissions(temp.path().join("locked"), fs::Permissions::from_mode(0o000)).expect("mode");
        let (found, skipped) =
            names(TreeScan::new(temp.path(), OwnFolders::new(), FollowLinks::Never).expect("readable"));
        assert!(found.contains("open 1"));
        // Root reads everything.
        assert_eq!(skipped.len(), usize::from(!rustix::process::geteuid().is_root()));
        fs::set_permissions(temp.path().join("locked"), fs::Permissions::from_mode(0o700)).expect("mode");
    }

    #[test]
    fn paths_longer_than_the_system_allows_are_read() {
        let temp = tempfile::tempdir().expect("temp");
        let name = "n".repeat(255);
        let mut fd = openat(CWD, temp.path(), OFlags::DIRECTORY, Mode::empty()).expect("open");
        for _ in 0..40 {
            rustix::fs::mkdirat(&fd, &name, Mode::RWXU).expect("mkdir");
            fd = openat(&fd, &name, OFlags::DIRECTORY, Mode::empty()).expect("open");
        }
        assert_eq!(
            TreeScan::new(temp.path(), OwnFolders::new(), FollowLinks::Never)
                .expect("readable")
                .filter(Result::is_ok)
                .count(),
            41
        );
        // The standard library removes such a tree, too: it also goes by handles.
    }

    #[test]
    fn what_lies_too_deep_for_the_store_is_not_entered() {
        let temp = tempfile::tempdir().expect("temp");
        fs::create_dir_all(temp.path().join("a/b/c/d/e")).expect("dirs");
        fs::write(temp.path().join("a/b/file"), b"1").expect("file");
        let scan = TreeScan::new(temp.path(), OwnFolders::new(), FollowLinks::Never).expect("readable");
        let scan = scan.below(PATH_NAMES_MAX - 2);
        let (found, skipped) = names(scan);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["/", "a/", "a/b/"]);
        assert_eq!(skipped.len(), 2, "the folder and the file: {skipped:?}");
        assert!(skipped.iter().all(|skipped| skipped.contains("at most 256 names")));
    }

    #[test]
    fn names_of_one_file_are_known_by_their_number() {
        let temp = tempfile::tempdir().expect("temp");
        fs::write(temp.path().join("a"), b"1").expect("file");
        fs::write(temp.path().join("alone"), b"1").expect("file");
        fs::hard_link(temp.path().join("a"), temp.path().join("b")).expect("linked");
        let mut inodes = Vec::new();
        for found in TreeScan::new(temp.path(), OwnFolders::new(), FollowLinks::Never).expect("readable").flatten() {
            if let FoundKind::File(file) = found.what {
                inodes.extend(file.shared_inode);
            }
        }
        assert!(inodes.len() == 2 && inodes[0] == inodes[1], "{inodes:?}");
    }

    #[test]
    fn a_change_while_reading_is_noticed() {
        let temp = tempfile::tempdir().expect("temp");
        let path = temp.path().join("file");
        fs::write(&path, b"before").expect("file");
        let found = TreeScan::new(&path, OwnFolders::new(), FollowLinks::Never)
            .expect("readable")
            .next()
            .expect("one")
            .expect("readable");
        let FoundKind::File(open) = found.what else { panic!("a file") };
        let watch = open.watch().expect("dup");
        assert_eq!(watch.change(), FileChange::Unchanged);
        fs::write(&path, b"changed").expect("file");
        assert_eq!(watch.change(), FileChange::Grown);
        assert_eq!(watch.reopen().expect("seek").0.size, 7);
        fs::write(&path, b"less").expect("file");
        assert_eq!(watch.change(), FileChange::Changed);
    }

    #[test]
    fn what_a_change_is() {
        let stamp = |size, time| FileStamp { size, times: [(time, 0), (time, 0)] };
        for (before, now, expected) in [
            (stamp(7, 1), stamp(7, 1), FileChange::Unchanged),
            (stamp(7, 1), stamp(8, 2), FileChange::Grown),
            (stamp(7, 1), stamp(7, 2), FileChange::Changed),
            (stamp(7, 1), stamp(6, 2), FileChange::Changed),
            (stamp(0, 1), stamp(0, 2), FileChange::Unchanged),
            (stamp(0, 1), stamp(1, 2), FileChange::Grown),
        ] {
            assert_eq!(since(before, now), expected, "{before:?} {now:?}");
        }
    }

    /// A link to a folder, one to a file, one to nothing, and one to the folder above.
    fn linked() -> tempfile::TempDir {
        let temp = tempfile::tempdir().expect("temp");
        fs::create_dir_all(temp.path().join("real/inner")).expect("dirs");
        fs::write(temp.path().join("real/file"), b"12345").expect("file");
        symlink("file", temp.path().join("real/to-file")).expect("link");
        symlink("gone", temp.path().join("real/to-nothing")).expect("link");
        symlink("..", temp.path().join("real/inner/up")).expect("link");
        symlink("real", temp.path().join("link")).expect("link");
        temp
    }

    #[track_caller]
    fn check_followed(follow: FollowLinks, found: &[&str], skipped: &[&str]) {
        let temp = linked();
        let link = temp.path().join("link");
        let (names, skips) = names(TreeScan::new(&link, OwnFolders::new(), follow).expect("readable"));
        assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), found);
        let mut skips: Vec<String> = skips.into_iter().map(|skip| skip.replace(&*link.to_string_lossy(), "")).collect();
        skips.sort();
        assert_eq!(skips, skipped);
    }

    #[test]
    fn links_are_followed_as_asked() {
        check_followed(FollowLinks::Never, &[" -> real"], &[]);
        let of_source = ["/", "file 5", "inner/", "inner/up -> ..", "to-file -> file", "to-nothing -> gone"];
        check_followed(FollowLinks::Sources, &of_source, &[]);
        let skipped = [
            "/inner/up: it is a symlink to a folder above it, so following it would not end",
            "/to-nothing: it is a symlink to something that does not exist",
        ];
        check_followed(FollowLinks::All, &["/", "file 5", "inner/", "to-file 5"], &skipped);
    }

    #[test]
    fn a_followed_link_to_a_pipe_or_to_nothing_is_reported() {
        let temp = tempfile::tempdir().expect("temp");
        rustix::fs::mknodat(CWD, temp.path().join("pipe"), FileType::Fifo, Mode::RUSR, 0).expect("fifo");
        symlink("pipe", temp.path().join("link")).expect("link");
        symlink("gone", temp.path().join("dangling")).expect("link");
        let why = |name: &str| {
            TreeScan::new(&temp.path().join(name), OwnFolders::new(), FollowLinks::Sources).err().map(|skip| skip.why)
        };
        assert!(matches!(why("link"), Some(SkipReason::Special("a pipe"))), "{:?}", why("link"));
        assert!(matches!(why("dangling"), Some(SkipReason::Dangling)), "{:?}", why("dangling"));
    }

    #[test]
    fn a_source_that_is_not_there_is_told() {
        let Err(skipped) = TreeScan::new(Path::new("/nowhere/at/all"), OwnFolders::new(), FollowLinks::Never) else {
            panic!("must fail")
        };
        assert!(skipped.to_string().starts_with("/nowhere/at/all: cannot be read: No such file"), "{skipped}");
    }
}
