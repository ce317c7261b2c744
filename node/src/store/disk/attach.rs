//! Taking possession of a home folder and of disks: locks and superblocks.

use std::any::Any;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fsdfs_proto::codec::FormatError;
use fsdfs_proto::ids::{DiskId, DiskNonce};
use fsdfs_proto::record::{DiskList, KnownDisk, Superblock};

use crate::store::config::{DiskConfig, IfMissing, StoreConfig};
use crate::store::error::StoreError;
use crate::store::fs::{FileSystem, create_dir, publish, read_small};

const SUPERBLOCK: &str = "superblock";
const DISKS: &str = "disks";
/// A superblock or a list of disks at most.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A segment in which nothing was written yet.
const EMPTY_BYTES_MAX: u64 = fsdfs_proto::record::SEGMENT_HEADER_BYTES as u64;

/// Held while the process uses a folder.
pub(crate) type FolderLock = Box<dyn Any + Send + Sync>;

/// What came of attaching a disk.
pub(crate) enum AttachOutcome {
    /// It is this node's.
    Attached(Superblock, FolderLock),
    /// The node goes on without it.
    Offline(io::Error),
}

/// Excludes other processes.
pub(crate) fn lock(file_system: &dyn FileSystem, dir: &Path) -> Result<io::Result<FolderLock>, StoreError> {
    match file_system.lock(&dir.join("lock")) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(StoreError::InUse { path: dir.into() }),
        other => Ok(other),
    }
}

/// The disks this home folder has known.
pub(crate) fn known_disks(file_system: &dyn FileSystem, home: &Path) -> Result<DiskList, StoreError> {
    let path = home.join(DISKS);
    let bytes = read_small(file_system, &path, FILE_BYTES_MAX).map_err(|error| home_error(home, error))?;
    bytes.map_or_else(|| Ok(DiskList::default()), |bytes| DiskList::decode(&bytes).map_err(format_error(&path)))
}

/// Remembers them.
pub(crate) fn remember(file_system: &dyn FileSystem, home: &Path, known: &DiskList) -> Result<(), StoreError> {
    publish(file_system, home, DISKS, &known.encode()).map_err(|error| home_error(home, error))
}

/// What attaching would say of these folders, without changing anything: the node would go on without these.
pub(crate) fn check_folders(
    file_system: &dyn FileSystem,
    home: &Path,
    disks: &[DiskConfig],
) -> Result<Vec<(PathBuf, io::Error)>, StoreError> {
    let mut known = known_disks(file_system, home)?;
    check_paths(file_system, disks, &mut known)?;
    let mut missing = Vec::new();
    for disk in disks {
        let found = match superblock(file_system, disk)? {
            Ok(None) => check_bare(file_system, disk, &known)?,
            found => found.map(drop),
        };
        missing.extend(found.err().map(|error| (disk.path.clone(), error)));
    }
    Ok(missing)
}

/// What a folder says that it is; the inner error is for a disk the node goes on without.
pub(crate) fn superblock(
    file_system: &dyn FileSystem,
    disk: &DiskConfig,
) -> Result<io::Result<Option<Superblock>>, StoreError> {
    let file = disk.path.join(SUPERBLOCK);
    let bytes = match read_small(file_system, &file, FILE_BYTES_MAX) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error)),
    };
    match Superblock::decode(&bytes).map_err(format_error(&file)) {
        Ok(found) => Ok(Ok(Some(found))),
        Err(damaged) if disk.if_missing == IfMissing::Skip => Ok(Err(io::Error::other(damaged))),
        Err(damaged) => Err(damaged),
    }
}

/// Whether a folder is not used because nothing is there.
pub(crate) fn is_bare(error: &io::Error) -> bool {
    let why = error.get_ref().and_then(|why| why.downcast_ref::<StoreError>());
    matches!(why, Some(StoreError::Missing { .. }))
}

/// Attaches one disk and notes it in `known`. A foreign disk is the owner's mistake and an error, as is a copy of one that
/// is `attached`; a disk that does not answer is not.
pub(crate) fn attach(
    file_system: &dyn FileSystem,
    config: &StoreConfig,
    disk: &DiskConfig,
    known: &mut DiskList,
    attached: &[(DiskId, PathBuf)],
) -> Result<AttachOutcome, StoreError> {
    let path = &disk.path;
    let superblock = match superblock(file_system, disk)? {
        Ok(found) => found,
        Err(error) => return Ok(AttachOutcome::Offline(error)),
    };
    match &superblock {
        Some(found) => check_found(config, path, found, attached)?,
        None => {
            if let Err(error) = check_bare(file_system, disk, known)? {
                return Ok(AttachOutcome::Offline(error));
            }
        }
    }
    if let Err(error) = create_dir(file_system, path) {
        return Ok(AttachOutcome::Offline(error));
    }
    let lock = match lock(file_system, path)? {
        Ok(lock) => lock,
        Err(error) => return Ok(AttachOutcome::Offline(error)),
    };
    let place = known.0.iter().find(|known| known.path == path.as_os_str().as_bytes()).map(|known| known.nonce);
    match take_over(file_system, config, path, (superblock, place), known)? {
        Ok(superblock) => Ok(AttachOutcome::Attached(superblock, lock)),
        Err(error) => Ok(AttachOutcome::Offline(error)),
    }
}

fn check_found(
    config: &StoreConfig,
    path: &Path,
    found: &Superblock,
    attached: &[(DiskId, PathBuf)],
) -> Result<(), StoreError> {
    check_owner(config, path, found)?;
    // A card that names one disk twice is believed by no other member.
    match attached.iter().find(|(disk, _)| *disk == found.disk()) {
        Some((disk, other)) => Err(StoreError::Cloned { path: path.into(), other: other.clone(), disk: *disk }),
        None => Ok(()),
    }
}

/// A disk of another pool or node is left as it is.
pub(crate) fn check_owner(config: &StoreConfig, path: &Path, found: &Superblock) -> Result<(), StoreError> {
    if found.pool != config.pool {
        return Err(StoreError::ForeignPool { path: path.into(), found: found.pool });
    }
    if found.owner != config.owner {
        return Err(StoreError::ForeignOwner { path: path.into(), found: found.owner });
    }
    Ok(())
}

/// Whether a superblock may be made in a folder without one; the inner error is for a disk the node goes on without.
pub(crate) fn check_bare(
    file_system: &dyn FileSystem,
    disk: &DiskConfig,
    known: &DiskList,
) -> Result<io::Result<()>, StoreError> {
    let path = &disk.path;
    let lost = match check_no_segments(file_system, path) {
        Ok(Err(error)) => return Ok(Err(error)),
        Err(lost) => lost,
        Ok(Ok(())) => match known.0.iter().find(|known| known.path == path.as_os_str().as_bytes()) {
            Some(lost) if disk.if_missing != IfMissing::Reinitialize => {
                StoreError::Missing { path: path.clone(), disk: lost.disk }
            }
            _ => return Ok(Ok(())),
        },
    };
    if disk.if_missing == IfMissing::Skip { Ok(Err(io::Error::other(lost))) } else { Err(lost) }
}

/// Blocks without a superblock are blocks all the same; the inner error is that of the disk.
pub(crate) fn check_no_segments(file_system: &dyn FileSystem, path: &Path) -> Result<io::Result<()>, StoreError> {
    match file_system.list(&segments(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Ok(Err(error)),
        Ok(files) if !files.is_empty() => Err(StoreError::NoSuperblock { path: path.into(), segments: files.len() }),
        _ => Ok(Ok(())),
    }
}

/// Whether an empty disk would be begun while one that this home folder knows is named no more: a slip in a path, most
/// likely, after which everything would be copied anew. Disks that the owner gives up are dropped from `known`.
pub(crate) fn check_paths(
    file_system: &dyn FileSystem,
    disks: &[DiskConfig],
    known: &mut DiskList,
) -> Result<(), StoreError> {
    let read = |path: &Path| read_small(file_system, &path.join(SUPERBLOCK), FILE_BYTES_MAX);
    let found: Vec<(&DiskConfig, io::Result<Option<Vec<u8>>>)> =
        disks.iter().map(|disk| (disk, read(&disk.path))).collect();
    let is_named = |known: &KnownDisk| {
        found.iter().any(|(disk, found)| {
            let there = found.as_ref().ok().and_then(Option::as_ref).and_then(|bytes| Superblock::decode(bytes).ok());
            known.path == disk.path.as_os_str().as_bytes() || there.is_some_and(|there| there.disk() == known.disk)
        })
    };
    let left: Vec<KnownDisk> = known.0.iter().filter(|known| !is_named(known)).cloned().collect();
    let is_new = |path: &Path| known.0.iter().all(|known| known.path != path.as_os_str().as_bytes());
    let begun = found.iter().filter(|(disk, found)| matches!(found, Ok(None)) && is_new(&disk.path));
    let mut given_up = false;
    for (disk, _) in begun {
        let held = |left: &KnownDisk| held_bytes(file_system, Path::new(OsStr::from_bytes(&left.path)));
        let Some((left, bytes)) = left.iter().find_map(|left| Some((left, held(left)?))) else { break };
        let (path, known) = (disk.path.clone(), OsStr::from_bytes(&left.path).into());
        // Whoever wrote the path is there to correct it, so this is no disk to go on without.
        if disk.if_missing != IfMissing::Reinitialize {
            return Err(StoreError::Elsewhere { path, known, bytes });
        }
        given_up = true;
    }
    if given_up {
        known.0.retain(|known| !left.contains(known));
    }
    Ok(())
}

/// Bytes of the segments in a folder; none if it is there and has no block in it.
fn held_bytes(file_system: &dyn FileSystem, disk: &Path) -> Option<u64> {
    match file_system.list(&segments(disk)) {
        Ok(files) => Some(files.iter().map(|(_, len)| len).sum()).filter(|bytes| *bytes > EMPTY_BYTES_MAX),
        // Not mounted, or not to be read: whatever it held.
        Err(_) => Some(0),
    }
}

/// Writes the superblock of a new disk, and notes where it is. One that takes the place of a lost disk has its nonce: with another one
/// it would be assigned other blocks than those that were lost, and the other members would move a third as many as were.
pub(crate) fn take_over(
    file_system: &dyn FileSystem,
    config: &StoreConfig,
    path: &Path,
    (found, place): (Option<Superblock>, Option<DiskNonce>),
    known: &mut DiskList,
) -> Result<io::Result<Superblock>, StoreError> {
    let superblock = match found {
        Some(found) => found,
        None => {
            let new = new_superblock(config, place)?;
            if let Err(error) = publish(file_system, path, SUPERBLOCK, &new.encode()) {
                return Ok(Err(error));
            }
            new
        }
    };
    note(known, &superblock, path);
    Ok(Ok(superblock))
}

/// Notes where a disk is. The one that was there before takes its former place in the list: it is away or was swapped with
/// this one, and that place still is one where a disk must be, not a bare folder.
fn note(known: &mut DiskList, superblock: &Superblock, path: &Path) {
    let (disk, nonce) = (superblock.disk(), superblock.nonce);
    let path = Bytes::copy_from_slice(path.as_os_str().as_bytes());
    let before = known.0.iter().position(|known| known.disk == disk).map(|at| known.0.remove(at).path);
    match before {
        Some(before) => {
            let displaced = known.0.iter_mut().filter(|known| known.path == path);
            displaced.for_each(|known| known.path = before.clone());
        }
        None => known.0.retain(|known| known.path != path),
    }
    known.0.push(KnownDisk { disk, nonce, path });
    known.0.sort_unstable_by_key(|known| known.disk);
}

fn new_superblock(config: &StoreConfig, place: Option<DiskNonce>) -> Result<Superblock, StoreError> {
    let mut random = [0; DiskNonce::LEN];
    getrandom::fill(&mut random).map_err(|error| StoreError::System(io::Error::other(error.to_string())))?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let begun = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    Ok(Superblock { pool: config.pool, nonce: place.unwrap_or(DiskNonce(random)), owner: config.owner, begun })
}

/// Whether the disk still answers as what it was: itself, not a page cache that outlives it.
pub(crate) fn answers(file_system: &dyn FileSystem, path: &Path, superblock: &Superblock) -> io::Result<()> {
    // A sync that fails says nothing about what can be read.
    let _ = file_system.open(&path.join(SUPERBLOCK)).and_then(|file| file.sync_or_discard());
    is_still(file_system, path, superblock)
}

/// The same as far as the page cache knows, so that nothing spins up for it: the folder was emptied, or something else mounted.
pub(crate) fn is_still(file_system: &dyn FileSystem, path: &Path, superblock: &Superblock) -> io::Result<()> {
    match read_small(file_system, &path.join(SUPERBLOCK), FILE_BYTES_MAX)? {
        Some(bytes) if bytes == superblock.encode() => Ok(()),
        Some(_) => Err(io::Error::other("another disk is in its place")),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

/// The disk that a folder says that it is; none if that cannot be told.
pub(crate) fn disk_in(file_system: &dyn FileSystem, path: &Path) -> Option<DiskId> {
    let bytes = read_small(file_system, &path.join(SUPERBLOCK), FILE_BYTES_MAX).ok()??;
    Superblock::decode(&bytes).ok().map(|found| found.disk())
}

/// The folder of a disk's segments.
pub(crate) fn segments(disk: &Path) -> PathBuf {
    disk.join("segments")
}

/// For what went wrong in the home folder.
pub(crate) fn home_error(home: &Path, error: io::Error) -> StoreError {
    StoreError::Home { path: home.into(), error }
}

fn format_error(path: &Path) -> impl Fn(FormatError) -> StoreError + use<> {
    let path = path.to_path_buf();
    move |error| StoreError::Format { path: path.clone(), error }
}
