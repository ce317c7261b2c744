//! A folder while a job works on it: what is stored, and changes on top.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;

use fsdfs_proto::ids::Writer;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{Dot, Entry, File, Folder, Node, Ref, Seen, Version, Within};

use super::source::{Source, Step, Stop, each};
use super::{Attrs, Name};

/// A folder: its stored form, overlaid with the names that changed. An empty slot is a removed name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dir {
    pub folder: Folder,
    pub changes: BTreeMap<Name, Slot>,
}

/// What is under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// Ascending: the last is the newest.
    pub versions: Vec<Version<File>>,
    /// Boxed, because work on a tree goes down by recursion: small slots keep its stack small.
    pub dir: Option<Box<Dir>>,
}

/// The operation a change belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub dot: Dot,
    pub time: Hlc,
}

impl Origin {
    pub fn version<T>(self, value: T) -> Version<T> {
        let Self { dot, time } = self;
        Version { time, writer: dot.writer, value, xattrs: Vec::new(), copies: None, dot }
    }
}

impl Slot {
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty() && self.dir.is_none()
    }
}

impl From<&Entry> for Slot {
    fn from(entry: &Entry) -> Self {
        Self { versions: entry.versions.clone(), dir: entry.folder.clone().map(Dir::stored).map(Box::new) }
    }
}

impl Dir {
    pub fn stored(folder: Folder) -> Self {
        Self { folder, changes: BTreeMap::new() }
    }

    /// A new, empty folder.
    pub fn born(origin: Origin, attrs: Attrs) -> Self {
        let folder = Folder { births: vec![origin.dot], attrs: vec![origin.version(attrs)], ..Folder::default() };
        Self::stored(folder)
    }

    /// A folder without attributes of its own is shown with these.
    pub fn attrs(&self) -> (Attrs, Hlc, Writer) {
        match self.folder.attrs.last() {
            Some(version) => (version.value, version.time, version.writer),
            None => (Attrs { mode: 0o755, mtime_ns: 0 }, Hlc::default(), Writer([0; 8])),
        }
    }

    pub fn get(&self, source: &mut Source, name: &Name) -> Step<Cow<'_, Slot>> {
        match self.changes.get(name) {
            Some(slot) => Ok(Cow::Borrowed(slot)),
            None => self.read(source, name).map(Cow::Owned),
        }
    }

    /// What is under the name, to be changed.
    pub fn slot(&mut self, source: &mut Source, name: &Name) -> Step<&mut Slot> {
        if !self.changes.contains_key(name) {
            let slot = self.read(source, name)?;
            self.changes.insert(name.clone(), slot);
        }
        Ok(self.changes.entry(name.clone()).or_default())
    }

    fn read(&self, source: &mut Source, name: &Name) -> Step<Slot> {
        let mut next = self.folder.tree.map(|tree| (tree, None));
        while let Some((at, level)) = next {
            let node = source.node(at, level)?;
            next = match &*node {
                Node::Leaf(entries) => {
                    let found = entries.binary_search_by(|entry| entry.name.cmp(name));
                    return Ok(found.map_or_else(|_| Slot::default(), |found| Slot::from(&entries[found])));
                }
                Node::Interior { level, children } => {
                    let child = children.partition_point(|child| child.last < *name);
                    children.get(child).map(|child| (child.node, Some(level - 1)))
                }
            };
        }
        Ok(Slot::default())
    }

    pub fn is_empty(&self, source: &mut Source) -> Step<bool> {
        Ok(self.page(source, None, 1)?.is_empty())
    }

    /// The first `max` names behind `after` with what is under them, in name order.
    pub fn page(&self, source: &mut Source, after: Option<&Name>, max: usize) -> Step<Vec<(Name, Slot)>> {
        // Changes may remove as many stored names as there are changes.
        let mut found = BTreeMap::new();
        let mut range = Range { after, want: max.saturating_add(self.changes.len()), skip: &|_| false };
        if let Some(tree) = self.folder.tree {
            range.read(source, tree, None, &mut found)?;
        }
        self.overlay(after, &mut found);
        Ok(found.into_iter().take(max).collect())
    }

    /// All names with what is under them, except in parts that `skip` says to leave out.
    pub fn all(&self, source: &mut Source, skip: &dyn Fn(&Within) -> bool) -> Step<BTreeMap<Name, Slot>> {
        let mut found = BTreeMap::new();
        if let Some(tree) = self.folder.tree {
            Range { after: None, want: usize::MAX, skip }.read(source, tree, None, &mut found)?;
        }
        self.overlay(None, &mut found);
        Ok(found)
    }

    fn overlay(&self, after: Option<&Name>, found: &mut BTreeMap<Name, Slot>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        found.extend(
            self.changes.range::<Name, _>((from, Bound::Unbounded)).map(|(name, slot)| (name.clone(), slot.clone())),
        );
        found.retain(|_, slot| !slot.is_empty());
    }
}

/// A walk over stored entries in name order.
struct Range<'a> {
    after: Option<&'a Name>,
    /// How many more names.
    want: usize,
    skip: &'a dyn Fn(&Within) -> bool,
}

impl Range<'_> {
    fn read(&mut self, source: &mut Source, at: Ref, level: Option<u8>, found: &mut BTreeMap<Name, Slot>) -> Step<()> {
        let node = source.node(at, level)?;
        let (level, children) = match &*node {
            Node::Leaf(entries) => {
                let behind = entries.iter().filter(|entry| self.after.is_none_or(|after| entry.name > *after));
                let before = found.len();
                found.extend(behind.map(|entry| (entry.name.clone(), Slot::from(entry))));
                self.want = self.want.saturating_sub(found.len() - before);
                return Ok(());
            }
            Node::Interior { level, children } => (*level, children),
        };
        let after = self.after;
        let behind = children.iter().filter(|child| after.is_none_or(|after| child.last > *after));
        each(behind, |child| {
            if self.want == 0 || (self.skip)(&child.within) {
                return Ok(());
            }
            let read = self.read(source, child.node, Some(level - 1), found);
            if read == Err(Stop::Missing) {
                // It will yield so many, so that a page asks for all it needs at once.
                self.want = self.want.saturating_sub(usize::try_from(child.count).unwrap_or(usize::MAX));
            }
            read
        })
    }
}

/// A stamp that a moved folder puts on everything below: whatever `since` covers counts as carrying `dot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub dot: Dot,
    pub since: Seen,
}

impl Stamp {
    pub fn apply(&self, dot: Dot) -> Dot {
        if self.since.covers(dot) { self.dot } else { dot }
    }
}
