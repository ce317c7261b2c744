//! Whose a home folder is: whoever may write to it decides what this node is, whom it talks to and who may control it. So it has
//! to be its user's alone, and nothing in it may lead elsewhere.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::error::{HomeError, HomeFault};
use crate::files::{FileError, at};

/// Names in a home folder that are this node's. The default storage folder is the store's to look at.
const OWN_NAMES: [&str; 8] =
    ["lock", "config.toml", "config.toml.new", "pool", "pool.new", "pool.replaced", "pool.withdrawn", "run"];
/// Folders below `pool` at most: it has one, of the log.
const DEPTH_MAX: usize = 4;
/// Bits of a mode that let others than the owner write.
const WRITABLE_BY_OTHERS: u32 = 0o022;
const WRITABLE_BY_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// What counts of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EntryRights {
    owner: u32,
    mode: u32,
    is_link: bool,
}

impl From<&Metadata> for EntryRights {
    fn from(found: &Metadata) -> Self {
        Self { owner: found.uid(), mode: found.mode() & 0o7777, is_link: found.is_symlink() }
    }
}

/// Whether `dir`, which exists, can be the home of this user's node.
pub(super) fn check(dir: &Path) -> Result<(), HomeError> {
    let me = rustix::process::geteuid().as_raw();
    let named: EntryRights = (&fs::symlink_metadata(dir).map_err(at("examine", dir))?).into();
    // The folder itself may stand elsewhere, if it was its user or root who laid the link.
    if named.is_link && named.owner != me && named.owner != 0 {
        return Err(HomeFault::Foreign { path: dir.to_owned(), owner: named.owner }.into());
    }
    let found: EntryRights = (&fs::metadata(dir).map_err(at("examine", dir))?).into();
    check_folder(dir, found, me)?;
    // As named, and where links lead.
    let real = fs::canonicalize(dir).map_err(at("examine", dir))?;
    for way in [dir, &real] {
        check_way(&way_to(way)?, me)?;
    }
    let inside = InsideCheck { me, is_closed: found.mode & 0o077 == 0 };
    OWN_NAMES.iter().try_for_each(|name| inside.check(&dir.join(name), DEPTH_MAX))
}

/// The home folder belongs to this user; also root's node is not run from a folder that somebody else can change.
fn check_folder(path: &Path, found: EntryRights, me: u32) -> Result<(), HomeFault> {
    if found.owner != me {
        return Err(HomeFault::Foreign { path: path.to_owned(), owner: found.owner });
    }
    check_mode(path, found)
}

fn check_mode(path: &Path, found: EntryRights) -> Result<(), HomeFault> {
    match found.mode & WRITABLE_BY_OTHERS {
        0 => Ok(()),
        _ => Err(HomeFault::Shared { path: path.to_owned(), mode: found.mode & 0o777 }),
    }
}

/// A folder above the home folder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FolderAbove {
    path: PathBuf,
    /// The name itself, which may be a link.
    named: EntryRights,
    /// The folder.
    found: EntryRights,
}

/// From the root on.
fn way_to(dir: &Path) -> Result<Vec<FolderAbove>, FileError> {
    let mut above: Vec<&Path> = dir.ancestors().skip(1).collect();
    above.reverse();
    let one = |path: &Path| {
        let named = fs::symlink_metadata(path).map_err(at("examine", path))?;
        let found = fs::metadata(path).map_err(at("examine", path))?;
        Ok(FolderAbove { path: path.to_owned(), named: (&named).into(), found: (&found).into() })
    };
    above.into_iter().map(one).collect()
}

/// Whose the folders above are is the administrator's decision. But that everybody may exchange what is in them is none, and what
/// lies in one as `/tmp`, where everybody may make folders, was not decided by anybody: it has to be this user's or root's.
fn check_way(way: &[FolderAbove], me: u32) -> Result<(), HomeFault> {
    let mut is_public = false;
    for FolderAbove { path, named, found } in way {
        let stranger = [named.owner, found.owner].into_iter().find(|owner| *owner != me && *owner != 0);
        match stranger {
            Some(owner) if is_public => return Err(HomeFault::Foreign { path: path.clone(), owner }),
            _ => {}
        }
        if found.mode & WRITABLE_BY_ALL != 0 {
            if found.mode & STICKY == 0 {
                return Err(HomeFault::InPublic { path: path.clone(), mode: found.mode });
            }
            is_public = true;
        }
    }
    Ok(())
}

/// Looks at what lies in a home folder.
#[derive(Clone, Copy, Debug)]
struct InsideCheck {
    me: u32,
    /// Nobody else may enter the folder, so what modes its files have, such as an editor's, does not matter.
    is_closed: bool,
}

impl InsideCheck {
    fn check(self, path: &Path, depth: usize) -> Result<(), HomeError> {
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(at("examine", path))?,
        };
        self.check_entry(path, (&found).into())?;
        // In `run` lies the link to a socket with a short path, which clients check themselves.
        if found.is_dir() && depth > 0 && !path.ends_with("run") {
            for entry in fs::read_dir(path).map_err(at("list", path))? {
                self.check(&entry.map_err(at("list", path))?.path(), depth - 1)?;
            }
        }
        Ok(())
    }

    /// What root wrote there is as good as its user's.
    fn check_entry(self, path: &Path, found: EntryRights) -> Result<(), HomeFault> {
        if found.is_link {
            return Err(HomeFault::Link { path: path.to_owned() });
        }
        if found.owner != self.me && found.owner != 0 {
            return Err(HomeFault::Foreign { path: path.to_owned(), owner: found.owner });
        }
        if self.is_closed { Ok(()) } else { check_mode(path, found) }
    }
}

#[cfg(test)]
mod tests;
