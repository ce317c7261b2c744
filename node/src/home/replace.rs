//! How `pool/` comes into being and how another takes its place, so that being killed at any step does no harm.
//!
//! A pool is staged in `pool.new`, complete and synced, before a rename makes it count. To replace one, the old folder is
//! first renamed to `pool.replaced`; from then on the next process that locks the home carries the exchange to its end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fsdfs_proto::identity::SecretKey;
use fsdfs_proto::ids::PoolId;
use fsdfs_proto::record::Superblock;

use super::error::HomeError;
use super::folder::{LockedHome, REPLACED};
use super::identity::{self, Identity};
use super::instance::Instance;
use crate::config::Config;
use crate::files::{self, FileError, at};

/// What the store makes in a storage folder. The superblock goes last: a removal that was killed is carried on as long as it tells
/// whose the folder is.
const OF_THE_STORE: [&str; 8] =
    ["segments", "log", "index", "index.aside", "index.session", "lock", "superblock.tmp", "superblock"];

const STAGED: &str = "pool.new";

impl LockedHome {
    pub(super) fn stage(&self, identity: &Identity, root: Option<&SecretKey>) -> Result<(), FileError> {
        let folder = self.dir().join(STAGED);
        remove_folder(&folder)?;
        files::make_private_folder(&folder)?;
        Instance::make(&folder)?;
        identity.write(&folder, root)
    }

    pub(super) fn publish_stage(&self) -> Result<(), FileError> {
        self.rename(STAGED, "pool")
    }

    pub(super) fn exchange(&self) -> Result<(), HomeError> {
        self.rename("pool", REPLACED)?;
        self.finish_replacement()
    }

    /// Carries an exchange to its end and removes what was staged and never counted.
    pub(super) fn finish_replacement(&self) -> Result<(), HomeError> {
        let folder = |name: &str| self.dir().join(name);
        if folder(REPLACED).exists() {
            if !folder("pool").exists() {
                self.rename(STAGED, "pool")?;
            }
            self.remove_blocks_of_replaced(&folder(REPLACED))?;
            remove_folder(&folder(REPLACED))?;
        }
        Ok(remove_folder(&folder(STAGED))?)
    }

    /// The storage folders of a pool that was left; those of any other pool stay as they are.
    fn remove_blocks_of_replaced(&self, replaced: &Path) -> Result<(), HomeError> {
        let Some(pool) = identity::pool_in(replaced) else { return Ok(()) };
        for storage in Config::load(self.dir())?.storage {
            if pool_of_disk(&storage.path) == Some(pool) {
                remove_blocks(&storage.path)?;
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

/// The pool in a disk's superblock; none if it has none that can be read.
fn pool_of_disk(path: &Path) -> Option<PoolId> {
    let bytes = files::read(&path.join("superblock")).ok()?;
    Superblock::decode(&bytes).ok().map(|superblock| superblock.pool)
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
