//! A disk for tests: keeps what is durable apart from what is merely written, per file and per directory entry, and can
//! be cut, filled up or broken at any single operation.

#![allow(clippy::unwrap_used)]

mod data;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::store::fs::{FileHandle, FileSystem};
use data::{FileData, FileUpdate};
pub(crate) use data::{PowerCut, SECTOR};

/// Which operations fail.
#[derive(Clone, Debug)]
pub(crate) struct DiskFault {
    /// Operations that change or sync something, or only reads.
    pub reads: bool,
    /// The first that fails, counted from 1.
    pub at: u64,
    /// All after it fail as well.
    pub lasting: bool,
    /// Only below this path.
    pub below: PathBuf,
    /// With this.
    pub error: i32,
}

pub(crate) const EIO: i32 = 5;
pub(crate) const EROFS: i32 = 30;
pub(crate) const ENOSPC: i32 = 28;

#[derive(Clone, Default)]
pub(crate) struct FakeFileSystem(Arc<Mutex<FakeState>>);

#[derive(Clone, Default)]
struct FakeState {
    files: Vec<FileData>,
    live: BTreeMap<PathBuf, FakeNode>,
    durable: BTreeMap<PathBuf, FakeNode>,
    pending: Vec<NameChange>,
    locks: BTreeSet<PathBuf>,
    session: u64,
    changes: u64,
    reads: u64,
    cut_at: Option<u64>,
    off: bool,
    fault: Option<DiskFault>,
    /// Bytes of files that cannot be read.
    bad: Vec<(PathBuf, Range<usize>)>,
    free: Option<u64>,
    /// Files that were written or synced again after a sync of them had failed.
    retried: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq)]
enum FakeNode {
    Dir,
    File(usize),
}

/// A change of the entries of one folder that is not durable yet.
#[derive(Clone)]
struct NameChange {
    dir: PathBuf,
    entries: Vec<(PathBuf, Option<FakeNode>)>,
}

impl FakeFileSystem {
    fn state(&self) -> MutexGuard<'_, FakeState> {
        self.0.lock().unwrap()
    }

    /// Operations so far that changed or synced something.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// The power goes in the middle of this operation, counted from now.
    pub fn cut_after(&self, operations: u64) {
        let mut state = self.state();
        state.cut_at = Some(state.changes + operations);
    }

    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// From now on operations fail as said; `at` counts from now.
    pub fn break_with(&self, fault: Option<DiskFault>) {
        let mut state = self.state();
        state.fault = fault.map(|fault| {
            let so_far = if fault.reads { state.reads } else { state.changes };
            DiskFault { at: so_far + fault.at, ..fault }
        });
    }

    /// From now on these bytes of a file cannot be read, as on a bad sector.
    pub fn spoil(&self, path: &Path, bytes: Range<usize>) {
        self.state().bad.push((path.into(), bytes));
    }

    /// Everything can be read again.
    pub fn unspoil(&self) {
        self.state().bad.clear();
    }

    /// What the file system says is free.
    pub fn set_free(&self, bytes: u64) {
        self.state().free = Some(bytes);
    }

    /// What looked like a cut was the death of the process: the page cache is as it was.
    pub fn power_without_loss(&self) {
        let mut state = self.state();
        (state.off, state.cut_at) = (false, None);
        state.locks.clear();
    }

    /// Another disk in the same state.
    pub fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.state().clone())))
    }

    /// Bytes written to one file and not synced, at most.
    pub fn unsynced_bytes(&self) -> usize {
        let bytes = |data: &FileData| data.unsynced.iter().map(FileUpdate::len).sum();
        self.state().files.iter().map(bytes).max().unwrap_or(0)
    }

    /// Files that were written or synced again after a sync of them had failed, instead of being given up.
    pub fn retried(&self) -> Vec<PathBuf> {
        self.state().retried.clone()
    }

    /// Power comes back.
    pub fn restart(&self, cut: PowerCut) {
        let mut state = self.state();
        let mut rng = fastrand::Rng::with_seed(if let PowerCut::Tear(seed) = cut { seed } else { 0 });
        state.files.iter_mut().for_each(|data| data.cut(cut, &mut rng));
        let pending = std::mem::take(&mut state.pending);
        let mut stopped = BTreeSet::new();
        for change in pending {
            let kept = match cut {
                PowerCut::Lose => false,
                PowerCut::Keep
                | PowerCut::Prefix(_)
                | PowerCut::Zeroed(_)
                | PowerCut::Without(_)
                | PowerCut::Only(_) => true,
                PowerCut::Tear(_) => !stopped.contains(&change.dir) && rng.bool(),
            };
            if kept {
                apply(&mut state.durable, change.entries);
            } else {
                stopped.insert(change.dir);
            }
        }
        let kept = state.durable.clone();
        let reachable = |path: &Path| path.ancestors().skip(1).all(|dir| is_dir(&kept, dir));
        state.durable.retain(|path, _| reachable(path));
        state.live = state.durable.clone();
        state.locks.clear();
        state.session += 1;
        (state.off, state.cut_at, state.fault) = (false, None, None);
    }

    /// Changes a file behind the store's back.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let Some(FakeNode::File(file)) = state.live.get(path).copied() else { panic!("no file {}", path.display()) };
        let data = &mut state.files[file];
        change(&mut data.live);
        data.durable.clone_from(&data.live);
    }

    /// Makes a folder vanish as if it were unmounted.
    pub fn unmount(&self, dir: &Path) {
        let mut state = self.state();
        state.live.retain(|path, _| !path.starts_with(dir) || path == dir);
        state.durable.retain(|path, _| !path.starts_with(dir) || path == dir);
        state.pending.retain(|change| !change.dir.starts_with(dir));
    }

    /// Brings back what [`FakeFileSystem::unmount`] took away, as it was in a fork that was made before.
    pub fn mount_again(&self, before: &Self, dir: &Path) {
        let before = before.state();
        let mut state = self.state();
        for (path, node) in before.live.range(dir.to_owned()..).filter(|(path, _)| path.starts_with(dir)) {
            state.live.insert(path.clone(), *node);
            state.durable.insert(path.clone(), *node);
        }
        state.session += 1;
    }

    /// Files below a folder.
    pub fn files(&self, dir: &Path) -> Vec<PathBuf> {
        let state = self.state();
        state
            .live
            .iter()
            .filter(|(path, node)| path.starts_with(dir) && **node != FakeNode::Dir)
            .map(|(path, _)| path.clone())
            .collect()
    }
}

impl FakeState {
    /// Counts a change. `Ok(true)`: the power goes in the middle of it.
    fn change(&mut self, path: &Path) -> io::Result<bool> {
        if self.off {
            return Err(io::Error::other("the power is off"));
        }
        self.changes += 1;
        let count = self.changes;
        self.fail(false, count, path)?;
        self.off = self.cut_at == Some(count);
        Ok(self.off)
    }

    /// The same for a sync, which a file system that is mounted read-only has nothing against.
    fn sync(&mut self, path: &Path) -> io::Result<bool> {
        match self.change(path) {
            Err(error) if error.raw_os_error() == Some(EROFS) => Ok(false),
            other => other,
        }
    }

    fn read(&mut self, path: &Path) -> io::Result<()> {
        if self.off {
            return Err(io::Error::other("the power is off"));
        }
        self.reads += 1;
        let count = self.reads;
        self.fail(true, count, path)
    }

    fn fail(&self, reads: bool, count: u64, path: &Path) -> io::Result<()> {
        match &self.fault {
            Some(fault) if fault.reads == reads && path.starts_with(&fault.below) => {
                let hit = count == fault.at || fault.lasting && count >= fault.at;
                if hit { Err(io::Error::from_raw_os_error(fault.error)) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    fn entries(&mut self, dir: &Path, entries: Vec<(PathBuf, Option<FakeNode>)>) -> io::Result<()> {
        let cut = self.change(dir)?;
        apply(&mut self.live, entries.clone());
        self.pending.push(NameChange { dir: dir.into(), entries });
        if cut { Err(io::Error::other("the power went")) } else { Ok(()) }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, FakeNode>, entries: Vec<(PathBuf, Option<FakeNode>)>) {
    for (path, node) in entries {
        match node {
            Some(node) => names.insert(path, node),
            None => names.remove(&path),
        };
    }
}

fn is_dir(names: &BTreeMap<PathBuf, FakeNode>, path: &Path) -> bool {
    path == Path::new("/") || names.get(path) == Some(&FakeNode::Dir)
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap().into()
}

fn not_found() -> io::Error {
    io::Error::from_raw_os_error(2)
}

impl FileSystem for FakeFileSystem {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        let mut state = self.state();
        if !is_dir(&state.live, &parent(path)) {
            return Err(not_found());
        }
        if state.live.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(FileData::default());
        state.entries(&parent(path), vec![(path.into(), Some(FakeNode::File(file)))])?;
        Ok(Arc::new(FakeFile { disk: self.clone(), path: path.into(), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        let mut state = self.state();
        state.read(path)?;
        match state.live.get(path) {
            Some(FakeNode::File(file)) => Ok(Arc::new(FakeFile { disk: self.clone(), path: path.into(), file: *file })),
            _ => Err(not_found()),
        }
    }

    fn open_writable(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        let is_read_only = |fault: &DiskFault| fault.error == EROFS && path.starts_with(&fault.below);
        if self.state().fault.as_ref().is_some_and(is_read_only) {
            return Err(io::Error::from_raw_os_error(EROFS));
        }
        self.open(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut state = self.state();
        state.read(dir)?;
        if !is_dir(&state.live, dir) {
            return Err(not_found());
        }
        let mut names = Vec::new();
        for (path, node) in &state.live {
            if let FakeNode::File(file) = node
                && path.parent() == Some(dir)
            {
                let name = path.file_name().unwrap().to_str().unwrap().to_string();
                names.push((name, state.files[*file].live.len() as u64));
            }
        }
        Ok(names)
    }

    fn is_dir(&self, dir: &Path) -> bool {
        is_dir(&self.state().live, dir)
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        if is_dir(&state.live, dir) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.entries(&parent(dir), vec![(dir.into(), Some(FakeNode::Dir))])
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let node = *state.live.get(from).ok_or_else(not_found)?;
        assert_eq!(from.parent(), to.parent(), "the store renames inside a folder only");
        state.entries(&parent(from), vec![(from.into(), None), (to.into(), Some(node))])
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.live.contains_key(path) {
            return Err(not_found());
        }
        state.entries(&parent(path), vec![(path.into(), None)])
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.sync(dir)? {
            return Err(io::Error::other("the power went"));
        }
        if !is_dir(&state.live, dir) {
            return Err(not_found());
        }
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.pending).into_iter().partition(|change| change.dir == dir);
        state.pending = later;
        now.into_iter().for_each(|change| apply(&mut state.durable, change.entries));
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.state().free.unwrap_or(1 << 50))
    }

    fn size_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(1 << 50)
    }

    fn tree_bytes(&self, dir: &Path) -> io::Result<u64> {
        let state = self.state();
        let below = state.live.iter().filter(|(path, _)| path.starts_with(dir));
        Ok(below
            .map(|(_, node)| if let FakeNode::File(file) = node { state.files[*file].live.len() as u64 } else { 0 })
            .sum())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut state = self.state();
        if !is_dir(&state.live, &parent(path)) {
            return Err(not_found());
        }
        if !state.locks.insert(path.into()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(FakeLock { disk: self.clone(), path: path.into() }))
    }

    fn session(&self, _: &Path) -> Option<String> {
        Some(format!("session {}", self.state().session))
    }
}

struct FakeLock {
    disk: FakeFileSystem,
    path: PathBuf,
}

impl Drop for FakeLock {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.path);
    }
}

struct FakeFile {
    disk: FakeFileSystem,
    path: PathBuf,
    file: usize,
}

impl FakeFile {
    fn update(&self, update: FileUpdate) -> io::Result<()> {
        let mut state = self.disk.state();
        let cut = match state.change(&self.path) {
            Ok(cut) => cut,
            Err(error) => {
                // A disk that fills up, or fails, has often taken a part.
                if let (FileUpdate::Write(..), false) = (&update, state.off) {
                    let part = update.begin(update.len() / 2);
                    part.apply(&mut state.files[self.file].live);
                    state.files[self.file].unsynced.push(part);
                }
                return Err(error);
            }
        };
        if matches!(update, FileUpdate::Write(..)) {
            self.note_retry(&mut state);
        }
        let data = &mut state.files[self.file];
        update.apply(&mut data.live);
        data.unsynced.push(update);
        if cut { Err(io::Error::other("the power went")) } else { Ok(()) }
    }
}

impl FakeFile {
    fn note_retry(&self, state: &mut FakeState) {
        if state.files[self.file].given_up {
            state.retried.push(self.path.clone());
        }
    }

    fn sync(&self, state: &mut FakeState) -> io::Result<()> {
        let done = state.sync(&self.path);
        let off = state.off;
        let data = &mut state.files[self.file];
        match done {
            Ok(false) => {
                data.unsynced.drain(..).for_each(|update| update.apply(&mut data.durable));
                Ok(())
            }
            Ok(true) => Err(io::Error::other("the power went")),
            // What Linux does: the pages count as clean now, are still read, and never reach the disk.
            Err(error) => {
                if !off {
                    data.unsynced.clear();
                    data.given_up = true;
                }
                Err(error)
            }
        }
    }
}

impl FileHandle for FakeFile {
    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        self.update(FileUpdate::Write(usize::try_from(offset).unwrap(), parts.concat()))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.read(&self.path)?;
        let bytes = &state.files[self.file].live;
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        let len = buffer.len().min(bytes.len() - from);
        let is_bad =
            |(path, bad): &(PathBuf, Range<usize>)| *path == self.path && bad.start < from + len && from < bad.end;
        if state.bad.iter().any(is_bad) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        buffer[..len].copy_from_slice(&bytes[from..from + len]);
        Ok(len)
    }

    fn read_to_spare(&self, buffer: &mut Vec<u8>, offset: u64) -> io::Result<()> {
        let before = buffer.len();
        buffer.resize(buffer.capacity(), 0);
        let read = self.read_at(&mut buffer[before..], offset);
        buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        read.map(drop)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        self.note_retry(&mut state);
        self.sync(&mut state)
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.read(&self.path)?;
        Ok(state.files[self.file].live.len() as u64)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.update(FileUpdate::Truncate(usize::try_from(len).unwrap()))
    }

    fn sync_or_discard(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        self.sync(&mut state)?;
        let data = &mut state.files[self.file];
        data.live.clone_from(&data.durable);
        data.given_up = false;
        Ok(())
    }
}
