//! How `pool/` comes into being and how another takes its place, so that being killed at any step does no harm.
//!
//! A pool is staged in `pool.new`, complete and synced, before a rename makes it count. To replace one, the old folder is
//! first renamed to `pool.replaced`; from then on the next process that locks the home carries the exchange to its end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fsdfs_proto::ids::{NodeId, PoolId};
use fsdfs_proto::record::Superblock;

use super::error::HomeError;
use super::folder::{LockedHome, REPLACED};
use super::identity::{self, Identity, KeysHere};
use super::instance::Instance;
use crate::config::{Config, Storage};
use crate::files::{self, FileError, at};

/// What the store makes in a storage folder. The superblock goes last: a removal that was killed is carried on as long as it tells
/// whose the folder is.
const OF_THE_STORE: [&str; 10] = [
    "segments",
    "log",
    "scrub",
    "index",
    "index.aside",
    "index.session",
    "lock",
    "probe.tmp",
    "superblock.tmp",
    "superblock",
];

const STAGED: &str = "pool.new";
/// A pool that did not admit this node; what is under this name goes.
const WITHDRAWN: &str = "pool.withdrawn";
/// Beside a storage folder's files: those of a former member, under its short id.
const FORMER: &str = "former-member-";

impl LockedHome {
    pub(super) fn stage(&self, identity: &Identity, keys: &KeysHere) -> Result<(), FileError> {
        let folder = self.dir().join(STAGED);
        remove_folder(&folder)?;
        files::make_private_folder(&folder)?;
        Instance::make(&folder)?;
        identity.write(&folder, keys)
    }

    pub(super) fn publish_stage(&self) -> Result<(), FileError> {
        self.rename(STAGED, "pool")
    }

    pub(super) fn exchange(&self) -> Result<(), HomeError> {
        self.rename("pool", REPLACED)?;
        self.finish_replacement()
    }

    /// Takes back a pool that did not admit this node, with the storage that was made for it. The configuration stays.
    pub fn withdraw(&self) -> Result<(), HomeError> {
        self.rename("pool", WITHDRAWN)?;
        self.finish_withdrawal()
    }

    fn finish_withdrawal(&self) -> Result<(), HomeError> {
        let folder = self.dir().join(WITHDRAWN);
        if folder.exists() {
            self.clear_storage_of(&folder, None)?;
            remove_folder(&folder)?;
        }
        Ok(())
    }

    /// Carries an exchange to its end and removes what was staged and never counted.
    pub(super) fn finish_replacement(&self) -> Result<(), HomeError> {
        let folder = |name: &str| self.dir().join(name);
        if folder(REPLACED).exists() {
            if !folder("pool").exists() {
                self.rename(STAGED, "pool")?;
            }
            self.clear_storage_of(&folder(REPLACED), identity::pool_in(&folder("pool")))?;
            remove_folder(&folder(REPLACED))?;
        }
        self.finish_withdrawal()?;
        Ok(remove_folder(&folder(STAGED))?)
    }

    /// The storage folders of a pool that was left; those of any other pool stay as they are. A member that begins anew in the
    /// same pool may have had the only copy of something, so its blocks are kept aside.
    fn clear_storage_of(&self, left: &Path, entered: Option<PoolId>) -> Result<(), HomeError> {
        let Some(pool) = identity::pool_in(left) else { return Ok(()) };
        for storage in Config::load(self.dir())?.storage {
            match superblock(&storage.path) {
                Some(of) if of.pool == pool && entered == Some(pool) && has_blocks(&storage.path) => {
                    keep_aside(&storage.path, &storage.path.join(former(of.owner)))?;
                }
                Some(of) if of.pool == pool => remove_blocks(&storage.path)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), FileError> {
        let (from, to): (PathBuf, PathBuf) = (self.dir().join(from), self.dir().join(to));
        fs::rename(&from, &to).map_err(at("rename", &from))?;
        files::sync_parent(&to)
    }
}

/// Where blocks will be kept if this node begins anew in its pool: only those folders that have some.
pub fn kept_aside_in(storage: &[Storage], node: NodeId) -> Vec<String> {
    let with_blocks = storage.iter().filter(|storage| has_blocks(&storage.path));
    with_blocks.map(|storage| storage.path.join(former(node)).display().to_string()).collect()
}

/// The name of the folder in a storage folder for blocks of a node that is no member any more.
fn former(node: NodeId) -> String {
    format!("{FORMER}{}", node.short())
}

/// Whose a storage folder is; none if that cannot be read.
fn superblock(path: &Path) -> Option<Superblock> {
    Superblock::decode(&files::read(&path.join("superblock")).ok()?).ok()
}

fn has_blocks(folder: &Path) -> bool {
    let segments = fs::read_dir(folder.join("segments")).into_iter().flatten().flatten();
    segments.into_iter().any(|file| file.metadata().is_ok_and(|meta| meta.len() > 0))
}

/// What was moved already is not there any more, if this is carried on.
fn keep_aside(folder: &Path, aside: &Path) -> Result<(), FileError> {
    files::make_private_folder(aside)?;
    for name in OF_THE_STORE {
        let (from, to) = (folder.join(name), aside.join(name));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at("move aside", &from)(error)),
            _ => {}
        }
    }
    files::sync_parent(&aside.join("superblock"))
}

/// Leaves what the owner keeps beside it, and the folder itself if that cannot go because it is not empty or a disk is mounted on it.
fn remove_blocks(folder: &Path) -> Result<(), FileError> {
    for name in OF_THE_STORE {
        let path = folder.join(name);
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        gone(removed, &path)?;
    }
    // The disk is free for the new pool either way.
    let _ = fs::remove_dir(folder);
    Ok(())
}

fn remove_folder(folder: &Path) -> Result<(), FileError> {
    gone(fs::remove_dir_all(folder), folder)
}

fn gone(removed: io::Result<()>, path: &Path) -> Result<(), FileError> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        _ => Ok(()),
    }
}
