//! A disk that is begun in the place of a lost one, by its owner's word.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use fsdfs_proto::ids::DiskId;
use fsdfs_proto::record::{KnownDisk, Superblock};

use crate::store::config::{DiskConfig, IfMissing, StoreConfig};
use crate::store::disk::attach::{self, FolderLock};
use crate::store::error::StoreError;
use crate::store::fs::{FileSystem, create_dir};

/// A folder with a new superblock, and nothing else yet.
pub(crate) struct BegunFolder {
    pub superblock: Superblock,
    pub lock: FolderLock,
    /// The disks that it takes the place of.
    pub given_up: Vec<DiskId>,
}

/// The storage folder of this path, as the configuration has it.
pub(crate) fn configured<'a>(config: &'a StoreConfig, path: &Path) -> Result<&'a DiskConfig, StoreError> {
    config.disks.iter().find(|disk| disk.path == path).ok_or_else(|| StoreError::NotConfigured {
        path: path.into(),
        folders: config.disks.iter().map(|disk| disk.path.clone()).collect(),
    })
}

/// Writes a new superblock into a folder in which there is no disk any more. A folder with a disk that can be read, whosever it
/// is, or with blocks, is left as it is.
pub(crate) fn begin(
    file_system: &dyn FileSystem,
    config: &StoreConfig,
    path: &Path,
) -> Result<BegunFolder, StoreError> {
    let unusable = |error: io::Error| StoreError::Unusable { path: path.into(), error };
    // What is damaged there is not taken for nothing.
    let disk = DiskConfig { if_missing: IfMissing::Refuse, ..configured(config, path)?.clone() };
    if let Some(found) = attach::superblock(file_system, &disk)?.map_err(unusable)? {
        attach::check_owner(config, path, &found)?;
        return Err(StoreError::StillThere { path: path.into(), disk: found.disk() });
    }
    attach::check_no_segments(file_system, path)?.map_err(unusable)?;
    let mut known = attach::known_disks(file_system, &config.home)?;
    let lost = lost(file_system, config, path, &known.0);
    // Of several that are lost none is surely the one that was here.
    let place = known.0.iter().find(|known| lost == [known.disk]).map(|known| known.nonce);
    known.0.retain(|known| !lost.contains(&known.disk));
    create_dir(file_system, path).map_err(unusable)?;
    let lock = attach::lock(file_system, path)?.map_err(unusable)?;
    let superblock = attach::take_over(file_system, config, path, (None, place), &mut known)?.map_err(unusable)?;
    attach::remember(file_system, &config.home, &known)?;
    Ok(BegunFolder { superblock, lock, given_up: lost })
}

/// The disk that was there. At a path at which none was: those that are at no path of the configuration, of which one was replaced,
/// and is mounted elsewhere now. What is found at another path is not lost.
fn lost(file_system: &dyn FileSystem, config: &StoreConfig, path: &Path, known: &[KnownDisk]) -> Vec<DiskId> {
    let paths = || config.disks.iter().map(|disk| disk.path.as_path());
    let there: Vec<DiskId> = paths().filter_map(|path| attach::disk_in(file_system, path)).collect();
    let is_at = |known: &KnownDisk, path: &Path| known.path == path.as_os_str().as_bytes();
    let is_known = known.iter().any(|known| is_at(known, path));
    let is_lost = |known: &&KnownDisk| match is_known {
        true => is_at(known, path),
        false => !paths().any(|path| is_at(known, path)),
    };
    let lost = known.iter().filter(is_lost).map(|known| known.disk);
    lost.filter(|disk| !there.contains(disk)).collect()
}
