//! Writing folders: entries in name order are cut into nodes, nodes into nodes above them (spec 05-volume §4).
//!
//! Where a node ends depends on the entries alone. So a rewritten folder shares all nodes that lie between two unchanged
//! ends with the old one, whose blocks are not even read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::volume::{
    BlockRef, DirectoryChild, DirectoryEntry, DirectoryNode, FolderNode, FolderVectors, NODE_BYTES_MAX, NODE_REFS_MAX,
    NodeClaim, WriteKeys, weight,
};

use super::dir::{MergedDirectory, NameSlot};
use super::source::{BlockSource, StepResult, each};
use super::{EntryName, TreeParams};

type PageChanges = BTreeMap<EntryName, Option<DirectoryEntry>>;

/// Seals what a job changed.
pub(super) struct DirectoryPages<'a> {
    keys: &'a WriteKeys,
    copies: u8,
    params: TreeParams,
    /// New blocks, children before parents.
    pub blocks: Vec<Block>,
    sealed: BTreeSet<BlockId>,
    /// Changed folders that were written, by where they lie in memory: one that lies at many places is written once. All of
    /// them live as long as the tree that is being written.
    written: BTreeMap<*const MergedDirectory, FolderNode>,
}

impl<'a> DirectoryPages<'a> {
    pub fn new(keys: &'a WriteKeys, copies: u8, params: TreeParams) -> Self {
        Self { keys, copies, params, blocks: Vec::new(), sealed: BTreeSet::new(), written: BTreeMap::new() }
    }

    /// Seals the changes of a folder and of all folders below it.
    pub fn write(&mut self, source: &mut BlockSource, dir: &MergedDirectory) -> StepResult<FolderNode> {
        let mut changes = PageChanges::new();
        each(&dir.changes, |(name, slot)| {
            let folder = match &slot.dir {
                Some(sub) => Some(self.write_shared(source, sub)?),
                None => None,
            };
            changes.insert(name.clone(), entry(name, slot, folder));
            Ok(())
        })?;
        self.rewrite(source, &dir.folder, changes)
    }

    fn write_shared(&mut self, source: &mut BlockSource, dir: &Arc<MergedDirectory>) -> StepResult<FolderNode> {
        if dir.changes.is_empty() {
            return Ok(dir.folder.clone());
        }
        let place = Arc::as_ptr(dir);
        if let Some(written) = self.written.get(&place) {
            return Ok(written.clone());
        }
        source.charge(dir.changes.len())?;
        let folder = source.deeper(|source| self.write(source, dir))?;
        self.written.insert(place, folder.clone());
        Ok(folder)
    }

    /// Apart from [`Self::write`], whose recursion then costs little stack.
    #[inline(never)]
    fn rewrite(
        &mut self,
        source: &mut BlockSource,
        folder: &FolderNode,
        changes: PageChanges,
    ) -> StepResult<FolderNode> {
        if changes.is_empty() {
            return Ok(folder.clone());
        }
        let mut cut = PageCut { pages: self, levels: Vec::new() };
        match NodeClaim::of_folder(folder) {
            Some(root) => cut.rewrite_root(source, &root, &changes)?,
            None => changes.into_values().flatten().try_for_each(|entry| cut.push(PageItem::Entry(entry)))?,
        }
        let root = cut.finish(source)?;
        let (tree, within) = root.map(|child| (child.node, child.within)).unzip();
        Ok(FolderNode { tree, within: within.unwrap_or_default(), ..folder.clone() })
    }

    fn seal(&mut self, node: DirectoryNode) -> StepResult<BlockRef> {
        let (block, at) = node.seal(self.keys, self.copies)?;
        if self.sealed.insert(at.id) {
            self.blocks.push(block);
        }
        Ok(at)
    }
}

#[inline(never)]
fn entry(name: &EntryName, slot: &NameSlot, folder: Option<FolderNode>) -> Option<DirectoryEntry> {
    let folder = folder.filter(FolderNode::is_alive);
    let is_there = folder.is_some() || !slot.versions.is_empty();
    is_there.then(|| DirectoryEntry { name: name.clone(), versions: slot.versions.clone(), folder })
}

enum PageItem {
    Entry(DirectoryEntry),
    Child(DirectoryChild),
}

impl PageItem {
    fn name(&self) -> &EntryName {
        match self {
            Self::Entry(entry) => &entry.name,
            Self::Child(child) => &child.last,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Entry(entry) => weight(entry),
            Self::Child(child) => weight(child),
        }
    }

    fn refs(&self) -> usize {
        match self {
            Self::Entry(entry) => entry.refs(),
            Self::Child(_) => 1,
        }
    }
}

/// The node being filled on one level.
#[derive(Default)]
struct PageLevel {
    items: Vec<PageItem>,
    bytes: usize,
    refs: usize,
    /// Nodes of this level that are done.
    closed: usize,
}

/// Cuts a stream of items, in name order, into nodes.
struct PageCut<'a, 'b> {
    pages: &'a mut DirectoryPages<'b>,
    levels: Vec<PageLevel>,
}

impl PageCut<'_, '_> {
    /// The root of the old tree has no parent that tells its range, so it is always read.
    fn rewrite_root(&mut self, source: &mut BlockSource, root: &NodeClaim, changes: &PageChanges) -> StepResult<()> {
        let node = source.node(root)?;
        self.rewrite(source, (root, &node), changes, Bound::Unbounded, Bound::Unbounded)
    }

    /// Feeds what lies between two names, old entries and changes, into the cut.
    fn rewrite(
        &mut self,
        source: &mut BlockSource,
        (claim, node): (&NodeClaim, &DirectoryNode),
        changes: &PageChanges,
        from: Bound<&EntryName>,
        to: Bound<&EntryName>,
    ) -> StepResult<()> {
        let (level, children) = match node {
            DirectoryNode::Leaf(entries) => {
                return self.overlay(entries, changes, from, to);
            }
            DirectoryNode::Interior { level, children } => (level - 1, children),
        };
        let mut from = from;
        each(children.iter().enumerate(), |(at, child)| {
            // What comes behind the last name belongs to the last child.
            let to = if at + 1 == children.len() { to } else { Bound::Included(&child.last) };
            let range = (std::mem::replace(&mut from, Bound::Excluded(&child.last)), to);
            if changes.range::<EntryName, _>(range).next().is_none() && self.is_between_nodes(level) {
                return self.reuse(level, child.clone());
            }
            let Some(below) = claim.child(node, at) else { return Ok(()) };
            let node = source.node(&below)?;
            self.rewrite(source, (&below, &node), changes, range.0, range.1)
        })
    }

    fn overlay(
        &mut self,
        entries: &[DirectoryEntry],
        changes: &PageChanges,
        from: Bound<&EntryName>,
        to: Bound<&EntryName>,
    ) -> StepResult<()> {
        let mut merged: BTreeMap<&EntryName, &DirectoryEntry> =
            entries.iter().map(|entry| (&entry.name, entry)).collect();
        for (name, change) in changes.range::<EntryName, _>((from, to)) {
            match change {
                Some(entry) => merged.insert(name, entry),
                None => merged.remove(name),
            };
        }
        merged.into_values().try_for_each(|entry| self.push(PageItem::Entry(entry.clone())))
    }

    /// Whether nodes up to this level begin here, so that an old one that begins here too can be taken over whole.
    fn is_between_nodes(&self, level: u8) -> bool {
        self.levels.iter().take(usize::from(level) + 1).all(|level| level.items.is_empty())
    }

    fn reuse(&mut self, level: u8, child: DirectoryChild) -> StepResult<()> {
        self.level(level).closed += 1;
        self.add(level + 1, PageItem::Child(child))
    }

    fn push(&mut self, item: PageItem) -> StepResult<()> {
        self.add(0, item)
    }

    fn add(&mut self, at: u8, item: PageItem) -> StepResult<()> {
        let (bytes, refs) = (item.weight(), item.refs());
        let level = self.level(at);
        if !level.items.is_empty() && (level.bytes + bytes > NODE_BYTES_MAX || level.refs + refs > NODE_REFS_MAX) {
            self.close(at)?;
        }
        let target = self.pages.params.nodes;
        let level = self.level(at);
        let ends = target.ends_node(at, item.name(), bytes, level.bytes + bytes);
        level.items.push(item);
        level.bytes += bytes;
        level.refs += refs;
        // A node above others has at least two children, else a tree of tiny nodes would never come to an end.
        if ends && (at == 0 || level.items.len() >= 2) {
            self.close(at)?;
        }
        Ok(())
    }

    fn close(&mut self, at: u8) -> StepResult<()> {
        let level = self.level(at);
        let (items, closed) = (std::mem::take(&mut level.items), level.closed + 1);
        *level = PageLevel { closed, ..PageLevel::default() };
        let child = self.seal(at, items)?;
        self.add(at + 1, PageItem::Child(child))
    }

    fn level(&mut self, at: u8) -> &mut PageLevel {
        let at = usize::from(at);
        if self.levels.len() <= at {
            self.levels.resize_with(at + 1, PageLevel::default);
        }
        &mut self.levels[at]
    }
}

impl PageCut<'_, '_> {
    fn seal(&mut self, level: u8, items: Vec<PageItem>) -> StepResult<DirectoryChild> {
        let last = items.last().expect("only a node with items is closed").name().clone();
        let (mut entries, mut children) = (Vec::new(), Vec::new());
        let (mut count, mut within) = (0u64, FolderVectors::default());
        for item in items {
            match item {
                PageItem::Entry(entry) => {
                    entry.add_to(&mut within);
                    count += 1;
                    entries.push(entry);
                }
                PageItem::Child(child) => {
                    within.add_all(&child.within);
                    count = count.saturating_add(child.count);
                    children.push(child);
                }
            }
        }
        let node = if level == 0 { DirectoryNode::Leaf(entries) } else { DirectoryNode::Interior { level, children } };
        Ok(DirectoryChild { last, node: self.pages.seal(node)?, count, within })
    }

    /// Closes what is open, level by level, until one node is left.
    fn finish(mut self, source: &mut BlockSource) -> StepResult<Option<DirectoryChild>> {
        for at in 0.. {
            let is_top = self.levels.len() <= usize::from(at) + 1;
            let level = self.level(at);
            match (is_top && level.closed == 0, level.items.len()) {
                (true, 0) => return Ok(None),
                (true, 1) if at > 0 => return self.narrowed(source, at - 1),
                (_, 0) => {}
                _ => self.close(at)?,
            }
        }
        unreachable!("each level has at most half as many nodes as the one below")
    }

    /// The root at this level. An old node that is taken over as the root may have a single child, where a tree written
    /// afresh would begin with that child.
    fn narrowed(&mut self, source: &mut BlockSource, level: u8) -> StepResult<Option<DirectoryChild>> {
        let Some(PageItem::Child(mut root)) = self.level(level + 1).items.pop() else { return Ok(None) };
        let mut level = level;
        while level > 0 && !self.pages.sealed.contains(&root.node.id) {
            let node = source.node(&NodeClaim::of_child(&root, level))?;
            match &**node {
                DirectoryNode::Interior { children, .. } if children.len() == 1 => root = children[0].clone(),
                _ => break,
            }
            level -= 1;
        }
        Ok(Some(root))
    }
}
