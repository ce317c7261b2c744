//! Writes what `get` brings, so that nothing outside of the destination can ever change.
//!
//! Names come from other people. Every step goes from an open folder to a single name in it and never through a symlink
//! (`O_NOFOLLOW`), no matter by whom and when; so there is no path to check and no moment to miss.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use fsdfs_proto::control::ExtendedAttribute;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, Timespec, Timestamps, fchmod, fstat, futimens, mkdirat, openat, statat,
};
use rustix::io::Errno;

use super::{LocalAttributes, special, xattrs};

/// Set-user-id, set-group-id and sticky bits are somebody else's idea of who may do what here.
const MODE_KEPT: u32 = 0o777;

/// Permission bits that what comes from elsewhere never gets: as `tar` without `-p` and `cp` do, what this user takes from all
/// new files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeMask(u32);

impl ModeMask {
    /// Nothing but what nobody should get: every other bit comes as it was put.
    pub const EXACT: Self = Self(0);

    /// The umask of this process. To be asked for before other threads make files: it cannot be read without being set.
    pub fn of_process() -> Self {
        let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
        rustix::process::umask(mask);
        Self(mask.bits() & MODE_KEPT)
    }

    /// What a file or folder gets of a mode.
    pub(super) fn apply(self, mode: u32) -> Mode {
        Mode::from_raw_mode(mode & MODE_KEPT & !self.0)
    }
}

/// Why something was not written. What stood there before still stands.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The store sent a name that no honest node sends.
    #[error("its name is not one that a file can have")]
    HostileName,
    /// Something of another kind has the name.
    #[error("{0} is in the way; move it away and get this again")]
    InTheWay(&'static str),
    /// A file with other content has the name, and it may not be replaced.
    #[error("kept the existing file; --force replaces it")]
    Kept,
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for WriteError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

impl WriteError {
    /// Whether everything else would fail, too: disk full, read-only, quota used up, disk broken.
    pub fn is_final(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            Self::Io(error) => {
                matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem)
                    || error.raw_os_error() == Some(Errno::IO.raw_os_error())
            }
            _ => false,
        }
    }

    /// What helps when nothing else can be written either.
    pub fn way_out(&self) -> &'static str {
        match self {
            Self::Io(error) => way_out(error.kind()),
            Self::HostileName | Self::InTheWay(_) | Self::Kept => "",
        }
    }
}

/// What helps where nothing can be written.
fn way_out(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::StorageFull => "free space on that disk, or name a folder on another one",
        io::ErrorKind::QuotaExceeded => "remove files of this user there, or name a folder on another disk",
        io::ErrorKind::ReadOnlyFilesystem => "that file system is read-only: name a folder on another one",
        io::ErrorKind::PermissionDenied => "name a folder that this user may write into",
        io::ErrorKind::NotADirectory => "part of that path is a file: name another folder",
        _ => "the disk may be failing, see the system's log; name a folder on another one",
    }
}

/// What helps where this folder cannot be made or opened.
pub fn folder_way_out(error: &io::Error) -> &'static str {
    way_out(error.kind())
}

pub(super) type WriteResult<T> = Result<T, WriteError>;

/// What becomes of a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverwritePolicy {
    /// It stays.
    Keep,
    /// It is replaced.
    Replace,
}

/// What is there under a name, compared with what comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExistingEntry {
    /// Nothing.
    Free,
    /// A file of this size and time: taken to be the same.
    Same,
    /// Another file or a symlink.
    Other,
    /// Something that no file replaces.
    Blocked(&'static str),
}

/// An open folder at or below the destination. Clones share the handle.
#[derive(Clone, Debug)]
pub struct LocalFolder {
    fd: Arc<OwnedFd>,
    /// For all that is written into it.
    mask: ModeMask,
}

impl LocalFolder {
    /// Opens the destination itself. Its path is the user's own word, so symlinks in it are followed.
    pub fn open(path: &Path, mask: ModeMask) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { fd: Arc::new(openat(CWD, path, flags, Mode::empty())?), mask })
    }

    /// The mode that something gets here.
    pub(super) fn mode(&self, attrs: LocalAttributes) -> Mode {
        self.mask.apply(attrs.mode)
    }

    /// The folder `name` in this one, which must be a real folder.
    pub fn enter(&self, name: &[u8]) -> WriteResult<Self> {
        check(name)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd: Arc::new(fd), mask: self.mask }),
            // Which of the two a symlink gives depends on the kernel.
            Err(Errno::NOTDIR | Errno::LOOP) => Err(WriteError::InTheWay(self.kind(name)?)),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Like [`LocalFolder::enter`], making it first if there is nothing. It is private until its attributes are set.
    pub fn make(&self, name: &[u8]) -> WriteResult<(Self, bool)> {
        check(name)?;
        let made = match mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(errno.into()),
        };
        Ok((self.enter(name)?, made))
    }

    /// Gives this folder its final attributes; call it after everything in it is written.
    pub fn finish(&self, attrs: LocalAttributes) -> WriteResult<()> {
        fchmod(&self.fd, self.mode(attrs))?;
        Ok(futimens(&self.fd, &times(attrs.mtime_ns))?)
    }

    /// Gives this folder extended attributes. False if some cannot be had here.
    pub fn set_xattrs(&self, xattrs: &[ExtendedAttribute]) -> bool {
        xattrs::write(self, xattrs)
    }

    /// Gives a file that is here already extended attributes.
    pub fn set_xattrs_of(&self, name: &[u8], xattrs: &[ExtendedAttribute]) -> bool {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        xattrs.is_empty() || openat(&self.fd, name, flags, Mode::empty()).is_ok_and(|fd| xattrs::write(fd, xattrs))
    }

    /// What stands under `name`, compared with a file of `size` and `attrs`. A file that is the same gets the wanted mode.
    pub fn standing(&self, name: &[u8], size: u64, attrs: LocalAttributes) -> WriteResult<ExistingEntry> {
        let Some(stat) = self.stat(name)? else { return Ok(ExistingEntry::Free) };
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if is_same(&stat, size, attrs) => {
                self.correct_mode(name, &stat, attrs)?;
                ExistingEntry::Same
            }
            FileType::RegularFile | FileType::Symlink => ExistingEntry::Other,
            _ => ExistingEntry::Blocked(special(stat.st_mode)),
        })
    }

    pub(super) fn stat(&self, name: &[u8]) -> WriteResult<Option<Stat>> {
        check(name)?;
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn kind(&self, name: &[u8]) -> WriteResult<&'static str> {
        Ok(self.stat(name)?.map_or("something", |stat| special(stat.st_mode)))
    }

    fn correct_mode(&self, name: &[u8], stat: &Stat, attrs: LocalAttributes) -> WriteResult<()> {
        let mode = self.mode(attrs);
        if stat.st_mode & 0o7777 == mode.bits() {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = openat(&self.fd, name, flags, Mode::empty())?;
        let now = fstat(&fd)?;
        if (now.st_dev, now.st_ino) == (stat.st_dev, stat.st_ino) {
            fchmod(&fd, mode)?;
        }
        Ok(())
    }
}

impl AsFd for LocalFolder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A single name, which cannot lead out of its folder.
pub(super) fn check(name: &[u8]) -> WriteResult<()> {
    let bad = name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0);
    if bad { Err(WriteError::HostileName) } else { Ok(()) }
}

fn is_same(stat: &Stat, size: u64, attrs: LocalAttributes) -> bool {
    u64::try_from(stat.st_size) == Ok(size) && LocalAttributes::of(stat).mtime_ns == attrs.mtime_ns
}

/// The modification time, and now as the time of the last access.
pub(super) fn times(mtime_ns: i64) -> Timestamps {
    let last_modification =
        Timespec { tv_sec: mtime_ns.div_euclid(1_000_000_000), tv_nsec: mtime_ns.rem_euclid(1_000_000_000) };
    Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW }, last_modification }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    const ATTRS: LocalAttributes = LocalAttributes { mode: 0o6640, mtime_ns: -1_500_000_001 };

    struct ScratchFolder {
        temp: tempfile::TempDir,
        dest: LocalFolder,
    }

    impl ScratchFolder {
        fn new() -> Self {
            let temp = tempfile::tempdir().expect("temp");
            fs::create_dir(temp.path().join("dest")).expect("dir");
            fs::create_dir(temp.path().join("outside")).expect("dir");
            let dest = LocalFolder::open(&temp.path().join("dest"), ModeMask(0o022)).expect("open");
            Self { temp, dest }
        }

        /// The same folder under another umask.
        fn under(&self, mask: ModeMask) -> LocalFolder {
            LocalFolder::open(&self.temp.path().join("dest"), mask).expect("open")
        }

        fn path(&self, name: &str) -> std::path::PathBuf {
            self.temp.path().join("dest").join(name)
        }

        fn write(&self, name: &[u8], content: &[u8], existing: OverwritePolicy) -> WriteResult<()> {
            let mut incoming = self.dest.begin(name, content.len() as u64)?;
            incoming.write(content)?;
            incoming.publish(ATTRS, existing)
        }

        fn names(&self) -> Vec<String> {
            let list = fs::read_dir(self.temp.path().join("dest")).expect("list");
            let mut names: Vec<_> =
                list.map(|entry| entry.expect("entry").file_name().into_string().expect("text")).collect();
            names.sort();
            names
        }

        fn outside_is_empty(&self) -> bool {
            fs::read_dir(self.temp.path().join("outside")).expect("list").next().is_none()
        }
    }

    #[test]
    fn a_file_gets_content_mode_and_time_but_no_setuid() {
        let place = ScratchFolder::new();
        place.write(b"a", b"content", OverwritePolicy::Keep).expect("written");
        let meta = fs::metadata(place.path("a")).expect("there");
        assert_eq!(fs::read(place.path("a")).expect("read"), b"content");
        assert_eq!(meta.permissions().mode() & 0o7777, 0o640);
        assert_eq!((meta.mtime(), meta.mtime_nsec()), (-2, 499_999_999));
        assert_eq!(place.dest.standing(b"a", 7, ATTRS).expect("stat"), ExistingEntry::Same);
        assert_eq!(place.dest.standing(b"a", 8, ATTRS).expect("stat"), ExistingEntry::Other);
    }

    #[test]
    fn the_umask_holds_for_files_and_folders_also_for_those_that_are_here() {
        let place = ScratchFolder::new();
        let mode = |name: &str| fs::metadata(place.path(name)).expect("there").mode() & 0o7777;
        let open = LocalAttributes { mode: 0o7777, mtime_ns: 5 };
        for (mask, expected) in [(ModeMask(0o022), 0o755), (ModeMask(0o077), 0o700), (ModeMask::EXACT, 0o777)] {
            let dest = place.under(mask);
            let mut incoming = dest.begin(b"file", 1).expect("begun");
            incoming.write(b"x").expect("written");
            incoming.publish(open, OverwritePolicy::Replace).expect("published");
            dest.make(b"folder").expect("made").0.finish(open).expect("finished");
            assert_eq!((mode("file"), mode("folder")), (expected, expected), "{mask:?}");
        }
        // Whoever gets again what is here already gets the mode that a new file would have.
        assert_eq!(place.dest.standing(b"file", 1, open).expect("stat"), ExistingEntry::Same);
        assert_eq!(mode("file"), 0o755);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let place = ScratchFolder::new();
        for name in [&b".."[..], b".", b"", b"../outside/x", b"a/b", b"/etc/x", b"a\0b"] {
            assert!(
                matches!(place.write(name, b"x", OverwritePolicy::Replace), Err(WriteError::HostileName)),
                "{name:?}"
            );
            assert!(matches!(place.dest.make(name), Err(WriteError::HostileName)), "{name:?}");
            assert!(
                matches!(place.dest.link(name, b"x", 0, OverwritePolicy::Replace), Err(WriteError::HostileName)),
                "{name:?}"
            );
        }
        assert!(place.names().is_empty() && place.outside_is_empty());
    }

    #[test]
    fn a_symlink_in_the_destination_leads_nowhere() {
        let place = ScratchFolder::new();
        symlink("../outside", place.path("folder")).expect("link");
        symlink("../outside/file", place.path("file")).expect("link");
        assert!(matches!(place.dest.enter(b"folder"), Err(WriteError::InTheWay("a symlink"))));
        assert!(matches!(place.dest.make(b"folder"), Err(WriteError::InTheWay("a symlink"))));
        assert!(matches!(place.write(b"file", b"x", OverwritePolicy::Keep), Err(WriteError::Kept)));
        assert!(place.outside_is_empty());
        // With --force the link itself is replaced, not what it points at.
        place.write(b"file", b"x", OverwritePolicy::Replace).expect("replaced");
        assert!(fs::symlink_metadata(place.path("file")).expect("there").is_file());
        assert!(place.outside_is_empty());
    }

    #[test]
    fn existing_files_stay_unless_forced() {
        let place = ScratchFolder::new();
        fs::write(place.path("a"), b"mine").expect("write");
        assert!(matches!(place.write(b"a", b"theirs", OverwritePolicy::Keep), Err(WriteError::Kept)));
        assert_eq!(fs::read(place.path("a")).expect("read"), b"mine");
        place.write(b"a", b"theirs", OverwritePolicy::Replace).expect("forced");
        assert_eq!(fs::read(place.path("a")).expect("read"), b"theirs");
        assert_eq!(place.names(), ["a"], "no temporary names are left");
    }

    #[test]
    fn folders_and_pipes_in_the_way_are_reported_and_left_alone() {
        let place = ScratchFolder::new();
        fs::create_dir(place.path("folder")).expect("dir");
        rustix::fs::mknodat(CWD, place.path("pipe"), FileType::Fifo, Mode::RUSR, 0).expect("fifo");
        assert_eq!(place.dest.standing(b"folder", 0, ATTRS).expect("stat"), ExistingEntry::Blocked("a folder"));
        assert_eq!(place.dest.standing(b"pipe", 0, ATTRS).expect("stat"), ExistingEntry::Blocked("a pipe"));
        assert!(matches!(place.dest.enter(b"pipe"), Err(WriteError::InTheWay("a pipe"))));
        assert!(matches!(
            place.write(b"folder", b"x", OverwritePolicy::Replace),
            Err(WriteError::InTheWay("a folder"))
        ));
        assert!(matches!(
            place.dest.link(b"pipe", b"x", 0, OverwritePolicy::Replace),
            Err(WriteError::InTheWay("a pipe"))
        ));
    }

    #[test]
    fn what_is_not_published_leaves_nothing() {
        let place = ScratchFolder::new();
        let mut incoming = place.dest.begin(b"a", 8).expect("begun");
        incoming.write(b"half").expect("written");
        assert_eq!(place.names().len(), 1);
        drop(incoming);
        assert!(place.names().is_empty());
    }

    #[test]
    fn links_are_made_once_and_never_followed() {
        let place = ScratchFolder::new();
        assert!(place.dest.link(b"l", b"/etc/passwd", 7, OverwritePolicy::Keep).expect("made"));
        assert!(!place.dest.link(b"l", b"/etc/passwd", 7, OverwritePolicy::Keep).expect("the same"));
        assert!(matches!(place.dest.link(b"l", b"other", 7, OverwritePolicy::Keep), Err(WriteError::Kept)));
        assert!(place.dest.link(b"l", b"other", 7, OverwritePolicy::Replace).expect("replaced"));
        assert_eq!(fs::read_link(place.path("l")).expect("link").to_str(), Some("other"));
        assert_eq!(fs::symlink_metadata(place.path("l")).expect("there").mtime_nsec(), 7);
        assert_eq!(place.names(), ["l"]);
    }

    #[test]
    fn a_folder_is_filled_first_and_locked_last() {
        let place = ScratchFolder::new();
        let (inner, made) = place.dest.make(b"inner").expect("made");
        assert!(made);
        let mut incoming = inner.begin(b"file", 1).expect("begun");
        incoming.write(b"x").expect("written");
        incoming.publish(ATTRS, OverwritePolicy::Keep).expect("published");
        inner.finish(LocalAttributes { mode: 0o555, mtime_ns: 5 }).expect("finished");
        let meta = fs::metadata(place.path("inner")).expect("there");
        assert_eq!((meta.mode() & 0o7777, meta.mtime(), meta.mtime_nsec()), (0o555, 0, 5));
        assert!(!place.dest.make(b"inner").expect("entered").1);
        fs::set_permissions(place.path("inner"), fs::Permissions::from_mode(0o755)).expect("mode");
    }

    #[test]
    fn a_same_file_gets_its_mode_back() {
        let place = ScratchFolder::new();
        place.write(b"a", b"x", OverwritePolicy::Keep).expect("written");
        fs::set_permissions(place.path("a"), fs::Permissions::from_mode(0o600)).expect("mode");
        assert_eq!(place.dest.standing(b"a", 1, ATTRS).expect("stat"), ExistingEntry::Same);
        assert_eq!(fs::metadata(place.path("a")).expect("there").mode() & 0o7777, 0o640);
    }

    #[test]
    fn a_full_disk_ends_everything() {
        for (errno, way_out) in [
            (Errno::NOSPC, "free space"),
            (Errno::DQUOT, "remove files of this user"),
            (Errno::ROFS, "read-only"),
            (Errno::IO, "failing"),
        ] {
            let error = WriteError::from(errno);
            assert!(error.is_final() && error.way_out().contains(way_out), "{error}: {}", error.way_out());
        }
        assert!(!WriteError::from(Errno::ACCESS).is_final());
        assert!(!WriteError::Kept.is_final());
    }
}
