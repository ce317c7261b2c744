//! Names of files that are not whole yet, and what becomes of those that a killed `get` left behind.
//!
//! ```text
//! .fsdfs-get-0123456789abcdef           bytes so far; locked (`flock`) as long as somebody writes it
//! .fsdfs-get-0123456789abcdef.blocks    of a large file: what was verified of it (see `journal`)
//! ```
//!
//! A large file has the same temporary name each time, so the next `get` of it goes on there. Others are removed by the next
//! `get` into their folder; so are large ones that nobody went on with for a week.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fsdfs_proto::ids::BlockId;
use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat, flock, fstat, linkat, openat, renameat,
    renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::write::{LocalFolder, OverwritePolicy, WriteError};

const PREFIX: &str = ".fsdfs-get-";
const JOURNAL: &str = ".blocks";
/// Who stopped a large get and wants to go on does so within days; then its space is worth more.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Whether a file of this name is a part of one that is not whole: it is no content of anybody's.
pub fn is_unfinished(name: &[u8]) -> bool {
    let number = name.strip_prefix(PREFIX.as_bytes());
    let number = number.map(|number| number.strip_suffix(JOURNAL.as_bytes()).unwrap_or(number));
    number.is_some_and(|number| number.len() == 16 && number.iter().all(u8::is_ascii_hexdigit))
}

/// A temporary name. It is removed when it is dropped, unless it was renamed or is to be kept.
#[derive(Debug)]
pub(super) struct TemporaryName {
    folder: LocalFolder,
    name: String,
    has_journal: bool,
    on_drop: OnDrop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnDrop {
    Remove,
    /// It is another file's now, or waits for the next get.
    Leave,
}

impl TemporaryName {
    /// One that nobody uses.
    pub fn random(folder: &LocalFolder) -> Self {
        Self::named(folder, format!("{PREFIX}{:016x}", fastrand::u64(..)))
    }

    /// Always the same for this file of this folder.
    pub fn of(folder: &LocalFolder, name: &[u8]) -> Self {
        let digest = BlockId::of(name).to_string();
        Self::named(folder, format!("{PREFIX}{}", &digest[..16]))
    }

    fn named(folder: &LocalFolder, name: String) -> Self {
        Self { folder: folder.clone(), name, has_journal: false, on_drop: OnDrop::Remove }
    }

    /// Where it is.
    pub fn folder(&self) -> &LocalFolder {
        &self.folder
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// A new file, locked where there are locks. None if another process that sweeps here was faster.
    pub fn create(&self) -> Result<Option<OwnedFd>, Errno> {
        let fd = self.open(OFlags::CREATE | OFlags::EXCL)?;
        let is_free = !matches!(flock(&fd, FlockOperation::NonBlockingLockExclusive), Err(Errno::WOULDBLOCK));
        Ok((is_free && fstat(&fd)?.st_nlink > 0).then_some(fd))
    }

    /// The file of an earlier get, or a new one, locked. None if that is not possible: somebody writes it, or it is something
    /// else than a file of this user.
    pub fn open_or_create(&self) -> Result<Option<OwnedFd>, Errno> {
        match self.open(OFlags::CREATE) {
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO | Errno::ACCESS) => Ok(None),
            other => other.map(|fd| is_locked_and_own(&fd).then_some(fd)),
        }
    }

    fn open(&self, how: OFlags) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | how;
        openat(&self.folder, &self.name, flags, Mode::RUSR | Mode::WUSR)
    }

    /// The journal beside it, as far as it is this user's.
    pub fn journal(&mut self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::CREATE;
        let fd = openat(&self.folder, self.journal_name(), flags, Mode::RUSR | Mode::WUSR)?;
        self.has_journal = is_own_file(&fstat(&fd)?);
        if self.has_journal { Ok(fd) } else { Err(Errno::EXIST) }
    }

    fn journal_name(&self) -> String {
        format!("{}{JOURNAL}", self.name)
    }

    /// From now on it stays if this process ends.
    pub fn keep(&mut self) {
        self.on_drop = OnDrop::Leave;
    }

    /// From now on it goes if this process ends.
    pub fn give_up(&mut self) {
        self.on_drop = OnDrop::Remove;
    }

    /// Gives the file its name.
    pub fn rename(mut self, to: &[u8], existing: OverwritePolicy) -> Result<(), WriteError> {
        let fd = self.folder.as_fd();
        let renamed = match existing {
            OverwritePolicy::Replace => renameat(fd, &self.name, fd, to).map(|()| true),
            OverwritePolicy::Keep => match renameat_with(fd, &self.name, fd, to, RenameFlags::NOREPLACE) {
                // Old and network file systems do not know the flag; a hard link never replaces either.
                Err(Errno::INVAL | Errno::NOSYS) => linkat(fd, &self.name, fd, to, AtFlags::empty()).map(|()| false),
                other => other.map(|()| true),
            },
        };
        match renamed {
            Ok(is_gone) => {
                // The name may be another process's by now.
                if is_gone {
                    self.on_drop = OnDrop::Leave;
                    self.remove_journal();
                } else {
                    self.give_up();
                }
                Ok(())
            }
            Err(Errno::EXIST) => {
                self.give_up();
                Err(WriteError::Kept)
            }
            Err(Errno::ISDIR | Errno::NOTEMPTY) => Err(WriteError::InTheWay("a folder")),
            Err(errno) => Err(errno.into()),
        }
    }

    fn remove_journal(&self) {
        if self.has_journal {
            let _ = unlinkat(&self.folder, self.journal_name(), AtFlags::empty());
        }
    }

    fn remove(&self) {
        self.remove_journal();
        let _ = unlinkat(&self.folder, &self.name, AtFlags::empty());
    }
}

impl Drop for TemporaryName {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::Remove {
            self.remove();
        }
    }
}

/// A file that nobody else writes, that has its name still, and that is this user's alone: whoever shares the folder may
/// have laid a second name of a file from elsewhere there.
fn is_locked_and_own(fd: &OwnedFd) -> bool {
    flock(fd, FlockOperation::NonBlockingLockExclusive).is_ok() && fstat(fd).is_ok_and(|stat| is_own_file(&stat))
}

fn is_own_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        && stat.st_nlink == 1
        && stat.st_uid == rustix::process::geteuid().as_raw()
}

/// What the part of this file that an earlier get left takes up.
pub(super) fn begun_bytes(folder: &LocalFolder, name: &[u8]) -> u64 {
    let mut begun = TemporaryName::of(folder, name);
    begun.keep();
    let found = statat(folder, begun.as_str(), AtFlags::SYMLINK_NOFOLLOW).ok().filter(is_own_file);
    found.and_then(|stat| u64::try_from(stat.st_blocks).ok()).map_or(0, |sectors| sectors.saturating_mul(512))
}

/// Removes what gets that were killed left in a folder. What cannot be removed stays.
pub(super) fn sweep(folder: &LocalFolder) {
    let Ok(listing) = Dir::read_from(folder) else { return };
    for entry in listing.flatten() {
        let Ok(name) = entry.file_name().to_str() else { continue };
        if is_unfinished(name.as_bytes()) {
            sweep_one(folder, name.strip_suffix(JOURNAL).unwrap_or(name));
        }
    }
}

fn sweep_one(folder: &LocalFolder, name: &str) {
    let mut left = TemporaryName::named(folder, name.to_owned());
    left.keep();
    left.has_journal = statat(folder, left.journal_name(), AtFlags::SYMLINK_NOFOLLOW).is_ok();
    // Closed after the removal: as long as it is locked nobody goes on with it.
    let content = left.open(OFlags::empty());
    match &content {
        Ok(fd) if is_locked_and_own(fd) && !(left.has_journal && fstat(fd).is_ok_and(|stat| is_young(&stat))) => {
            left.remove();
        }
        Err(Errno::NOENT) => left.remove_journal(),
        _ => {}
    }
}

fn is_young(stat: &Stat) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let written = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or_default());
    now.saturating_sub(written) < KEPT
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Rest {
        temp: tempfile::TempDir,
        folder: LocalFolder,
    }

    impl Rest {
        fn new() -> Self {
            let temp = tempfile::tempdir().expect("temp");
            let folder = LocalFolder::open(temp.path(), crate::local::write::ModeMask::EXACT).expect("open");
            Self { temp, folder }
        }

        fn write(&self, name: &str, age: Duration) {
            let file = fs::File::create(self.temp.path().join(name)).expect("made");
            file.set_modified(SystemTime::now() - age).expect("set");
        }

        fn names(&self) -> Vec<String> {
            let list = fs::read_dir(self.temp.path()).expect("list");
            let mut names: Vec<_> =
                list.map(|entry| entry.expect("entry").file_name().into_string().expect("text")).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn only_names_of_this_form_are_unfinished() {
        for name in [".fsdfs-get-0123456789abcdef", ".fsdfs-get-0123456789abcdef.blocks"] {
            assert!(is_unfinished(name.as_bytes()), "{name}");
        }
        for name in ["fsdfs-get-0123456789abcdef", ".fsdfs-get-", ".fsdfs-get-0123456789abcdeg", ".fsdfs-get-01.blocks"]
        {
            assert!(!is_unfinished(name.as_bytes()), "{name}");
        }
        let rest = Rest::new();
        assert!(is_unfinished(TemporaryName::random(&rest.folder).as_str().as_bytes()));
        assert!(is_unfinished(TemporaryName::of(&rest.folder, b"a").as_str().as_bytes()));
    }

    #[test]
    fn what_nobody_goes_on_with_is_removed() {
        let rest = Rest::new();
        let (now, week) = (Duration::ZERO, KEPT + Duration::from_secs(60));
        for (name, age) in [
            (".fsdfs-get-0000000000000001", now),
            (".fsdfs-get-0000000000000002", now),
            (".fsdfs-get-0000000000000002.blocks", now),
            (".fsdfs-get-0000000000000003", week),
            (".fsdfs-get-0000000000000003.blocks", now),
            (".fsdfs-get-0000000000000004.blocks", now),
            (".fsdfs-get-mine", week),
        ] {
            rest.write(name, age);
        }
        sweep(&rest.folder);
        assert_eq!(
            rest.names(),
            [".fsdfs-get-0000000000000002", ".fsdfs-get-0000000000000002.blocks", ".fsdfs-get-mine"],
            "small ones and old ones went"
        );
    }

    #[test]
    fn what_somebody_writes_stays() {
        let rest = Rest::new();
        let name = TemporaryName::random(&rest.folder);
        let fd = name.create().expect("made").expect("free");
        sweep(&rest.folder);
        assert_eq!(rest.names(), [name.as_str()]);
        let mut again = TemporaryName::named(&rest.folder, name.as_str().into());
        again.keep();
        assert!(again.open_or_create().expect("looked at").is_none(), "it is locked");
        drop(fd);
    }

    #[test]
    fn a_second_name_of_a_file_from_elsewhere_is_not_written_to() {
        let rest = Rest::new();
        let elsewhere = rest.temp.path().join("elsewhere");
        fs::write(&elsewhere, b"theirs").expect("made");
        let mut name = TemporaryName::of(&rest.folder, b"a");
        name.keep();
        fs::hard_link(&elsewhere, rest.temp.path().join(name.as_str())).expect("linked");
        assert!(name.open_or_create().expect("looked at").is_none());
        fs::remove_file(rest.temp.path().join(name.as_str())).expect("removed");
        std::os::unix::fs::symlink(&elsewhere, rest.temp.path().join(name.as_str())).expect("linked");
        assert!(name.open_or_create().expect("looked at").is_none());
        assert_eq!(fs::read(&elsewhere).expect("there"), b"theirs");
    }
}
