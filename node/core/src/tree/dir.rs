//! A folder while a job works on it: what is stored, and changes on top.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use fsdfs_proto::ids::Writer;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{
    DirectoryEntry, DirectoryNode, Dot, EntryVersion, FileNode, FolderNode, FolderVectors, NodeClaim, VersionVector,
    Xattr,
};

use super::source::{BlockSource, MissingOrError, StepResult, each};
use super::{EntryName, FileAttributes};

/// A folder: its stored form, overlaid with the names that changed. An empty slot is a removed name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MergedDirectory {
    pub folder: FolderNode,
    pub changes: BTreeMap<EntryName, NameSlot>,
}

/// What is under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NameSlot {
    /// Ascending: the last is the newest.
    pub versions: Vec<EntryVersion<FileNode>>,
    /// Shared, for equal folders at many places are one: what a merge makes of them must not be as many as the places. And
    /// small, because work on a tree goes down by recursion.
    pub dir: Option<Arc<MergedDirectory>>,
}

/// The operation a change belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryOrigin {
    pub dot: Dot,
    pub time: Hlc,
}

impl EntryOrigin {
    pub fn version<T>(self, value: T, xattrs: &[Xattr]) -> EntryVersion<T> {
        let Self { dot, time } = self;
        EntryVersion { time, writer: dot.writer, value, xattrs: xattrs.to_vec(), copies: None, dot }
    }
}

impl NameSlot {
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.dir.is_none()
    }
}

impl From<&DirectoryEntry> for NameSlot {
    fn from(entry: &DirectoryEntry) -> Self {
        Self { versions: entry.versions.clone(), dir: entry.folder.clone().map(MergedDirectory::stored).map(Arc::new) }
    }
}

impl MergedDirectory {
    pub fn stored(folder: FolderNode) -> Self {
        Self { folder, changes: BTreeMap::new() }
    }

    /// A new, empty folder.
    pub fn born(origin: EntryOrigin, attrs: FileAttributes, xattrs: &[Xattr]) -> Self {
        let attrs = vec![origin.version(attrs, xattrs)];
        let folder = FolderNode { births: vec![origin.dot], attrs, ..FolderNode::default() };
        Self::stored(folder)
    }

    /// A folder without attributes of its own is shown with these.
    pub fn attrs(&self) -> (FileAttributes, &[Xattr], Hlc, Writer) {
        match self.folder.attrs.last() {
            Some(version) => (version.value, &version.xattrs, version.time, version.writer),
            None => (FileAttributes { mode: 0o755, mtime_ns: 0 }, &[], Hlc::default(), Writer([0; 16])),
        }
    }

    pub fn get(&self, source: &mut BlockSource, name: &EntryName) -> StepResult<Cow<'_, NameSlot>> {
        match self.changes.get(name) {
            Some(slot) => Ok(Cow::Borrowed(slot)),
            None => self.read(source, name).map(Cow::Owned),
        }
    }

    /// What is under the name, to be changed.
    pub fn slot(&mut self, source: &mut BlockSource, name: &EntryName) -> StepResult<&mut NameSlot> {
        if !self.changes.contains_key(name) {
            let slot = self.read(source, name)?;
            self.changes.insert(name.clone(), slot);
        }
        Ok(self.changes.entry(name.clone()).or_default())
    }

    fn read(&self, source: &mut BlockSource, name: &EntryName) -> StepResult<NameSlot> {
        let mut next = NodeClaim::of_folder(&self.folder);
        while let Some(claim) = next {
            let node = source.node(&claim)?;
            next = match &**node {
                DirectoryNode::Leaf(entries) => {
                    let found = entries.binary_search_by(|entry| entry.name.cmp(name));
                    return Ok(found.map_or_else(|_| NameSlot::default(), |found| NameSlot::from(&entries[found])));
                }
                DirectoryNode::Interior { children, .. } => {
                    claim.child(&node, children.partition_point(|child| child.last < *name))
                }
            };
        }
        Ok(NameSlot::default())
    }

    pub fn is_empty(&self, source: &mut BlockSource) -> StepResult<bool> {
        Ok(self.page(source, None, 1)?.is_empty())
    }

    /// The first `max` names behind `after` with what is under them, in name order.
    pub fn page(
        &self,
        source: &mut BlockSource,
        after: Option<&EntryName>,
        max: usize,
    ) -> StepResult<Vec<(EntryName, NameSlot)>> {
        // Changes may remove as many stored names as there are changes.
        let mut found = BTreeMap::new();
        let mut range = NameRange { after, want: max.saturating_add(self.changes.len()), skip: &|_| false };
        if let Some(root) = NodeClaim::of_folder(&self.folder) {
            range.read(source, &root, &mut found)?;
        }
        self.overlay(after, &mut found);
        Ok(found.into_iter().take(max).collect())
    }

    /// All names with what is under them, except in parts that `skip` says to leave out.
    pub fn all(
        &self,
        source: &mut BlockSource,
        skip: &dyn Fn(&FolderVectors) -> bool,
    ) -> StepResult<BTreeMap<EntryName, NameSlot>> {
        let mut found = BTreeMap::new();
        if let Some(root) = NodeClaim::of_folder(&self.folder) {
            NameRange { after: None, want: usize::MAX, skip }.read(source, &root, &mut found)?;
        }
        self.overlay(None, &mut found);
        Ok(found)
    }

    fn overlay(&self, after: Option<&EntryName>, found: &mut BTreeMap<EntryName, NameSlot>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        found.extend(
            self.changes
                .range::<EntryName, _>((from, Bound::Unbounded))
                .map(|(name, slot)| (name.clone(), slot.clone())),
        );
        found.retain(|_, slot| !slot.is_empty());
    }
}

/// A walk over stored entries in name order.
struct NameRange<'a> {
    after: Option<&'a EntryName>,
    /// How many more names.
    want: usize,
    skip: &'a dyn Fn(&FolderVectors) -> bool,
}

impl NameRange<'_> {
    fn read(
        &mut self,
        source: &mut BlockSource,
        claim: &NodeClaim,
        found: &mut BTreeMap<EntryName, NameSlot>,
    ) -> StepResult<()> {
        let node = source.node(claim)?;
        let children = match &**node {
            DirectoryNode::Leaf(entries) => {
                source.charge(entries.len())?;
                let behind = entries.iter().filter(|entry| self.after.is_none_or(|after| entry.name > *after));
                let before = found.len();
                found.extend(behind.map(|entry| (entry.name.clone(), NameSlot::from(entry))));
                self.want = self.want.saturating_sub(found.len() - before);
                return Ok(());
            }
            DirectoryNode::Interior { children, .. } => children,
        };
        let after = self.after;
        let behind = children.iter().enumerate().filter(|(_, child)| after.is_none_or(|after| child.last > *after));
        each(behind, |(number, child)| {
            if self.want == 0 || (self.skip)(&child.within) {
                return Ok(());
            }
            let Some(below) = claim.child(&node, number) else { return Ok(()) };
            let read = self.read(source, &below, found);
            if read == Err(MissingOrError::Missing) {
                // It will yield so many, so that a page asks for all it needs at once.
                self.want = self.want.saturating_sub(usize::try_from(child.count).unwrap_or(usize::MAX));
            }
            read
        })
    }
}

/// A stamp that a moved folder puts on everything below: whatever `since` covers counts as carrying `dot`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryStamp {
    pub dot: Dot,
    pub since: VersionVector,
}

impl EntryStamp {
    pub fn apply(&self, dot: Dot) -> Dot {
        if self.since.covers(dot) { self.dot } else { dot }
    }
}
