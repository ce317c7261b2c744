//! What the place that refers to a directory's node says of it, and must be so (spec 05-volume §4).
//!
//! Names of a node lie between the names of its neighbours. So no node can stand at two places of one folder, and who reads a
//! folder reads each of its nodes once, whatever its writer made up. `count` and `within` are what merges and listings go by
//! without reading: they must be what is there.

use super::directory::{DirectoryChild, DirectoryNode};
use super::entry::{EntryName, FolderNode};
use super::header::BlockRef;
use super::version_vector::FolderVectors;
use crate::codec::{FormatError, bound};

/// What a node is found to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSummary {
    /// Names in it.
    pub count: u64,
    /// The dots of everything in it and below, as its own items tell.
    pub within: FolderVectors,
}

/// A reference to a node, and what is said of the node there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeClaim {
    /// Where.
    pub at: BlockRef,
    /// All its names come behind this one.
    after: Option<EntryName>,
    /// Its last name; the root of a folder may end anywhere.
    last: Option<EntryName>,
    /// Its level; the root of a folder may have any.
    level: Option<u8>,
    /// Names in it; the entry of a folder does not say.
    count: Option<u64>,
    within: FolderVectors,
}

impl NodeSummary {
    /// Of a node: one pass over its items.
    pub fn of(node: &DirectoryNode) -> Self {
        let mut summary = Self::default();
        match node {
            DirectoryNode::Leaf(entries) => {
                summary.count = entries.len() as u64;
                entries.iter().for_each(|entry| entry.add_to(&mut summary.within));
            }
            DirectoryNode::Interior { children, .. } => {
                for child in children {
                    summary.count = summary.count.saturating_add(child.count);
                    summary.within.add_all(&child.within);
                }
            }
        }
        summary
    }
}

impl NodeClaim {
    /// Of the root of a folder's entries; none if it has no entries.
    pub fn of_folder(folder: &FolderNode) -> Option<Self> {
        let within = folder.within.clone();
        folder.tree.map(|at| Self { at, after: None, last: None, level: None, count: None, within })
    }

    /// Of a node at this level whose neighbours are not at hand.
    pub fn of_child(child: &DirectoryChild, level: u8) -> Self {
        Self {
            at: child.node,
            after: None,
            last: Some(child.last.clone()),
            level: Some(level),
            count: Some(child.count),
            within: child.within.clone(),
        }
    }

    /// Of the child with this number, of the node that this one is of; none if it has no such child.
    pub fn child(&self, node: &DirectoryNode, number: usize) -> Option<Self> {
        let DirectoryNode::Interior { level, children } = node else { return None };
        let child = children.get(number)?;
        let before = number.checked_sub(1).and_then(|before| children.get(before));
        let after = before.map(|before| before.last.clone()).or_else(|| self.after.clone());
        Some(Self { after, ..Self::of_child(child, level.saturating_sub(1)) })
    }

    /// spec 05-volume §4: "A reader MUST refuse a node of which its place does not tell the truth"
    pub fn check(&self, node: &DirectoryNode, summary: &NodeSummary) -> Result<(), FormatError> {
        bound(self.level.is_none_or(|level| level == node.level()), "the level of a directory's node")?;
        let (first, last) = match node {
            DirectoryNode::Leaf(entries) => {
                (entries.first().map(|entry| &entry.name), entries.last().map(|entry| &entry.name))
            }
            // Its least name is not known before the node below is read, which is held to the same bound.
            DirectoryNode::Interior { children, .. } => {
                (children.first().map(|child| &child.last), children.last().map(|child| &child.last))
            }
        };
        let behind = self.after.as_ref().is_none_or(|after| first.is_some_and(|first| first > after));
        let ends = self.last.as_ref().is_none_or(|said| last == Some(said));
        bound(behind && ends, "the names in a directory's node")?;
        let counted = self.count.is_none_or(|count| count == summary.count);
        bound(counted && self.within == summary.within, "what is said of a directory's node")
    }
}

#[cfg(test)]
mod tests;
