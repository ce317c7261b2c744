//! Directory nodes out of the blocks a job was given.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use fsdfs_proto::block::Block;
use fsdfs_proto::codec::FormatError;
use fsdfs_proto::ids::{BlockId, Key, VolumeId};
use fsdfs_proto::volume::{BlockRef, DirectoryEntry, DirectoryNode, FolderNode, NodeClaim, NodeSummary};

use super::terms::{BlockAbsence, CancelFlag, JobBudget, JobTerms};
use super::{BlockMap, EditError, HeadFault, TreeError};

/// Why a step does not end in a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MissingOrError {
    /// Blocks are missing; the source noted which.
    Missing,
    /// The tree is not readable.
    Failed(TreeError),
    /// An edit cannot be made. Nothing was changed by it.
    Refused(EditError),
    /// Heads that the job cannot use: it is to be run again without them.
    BadHeads(Vec<(BlockId, HeadFault)>),
}

pub(super) type StepResult<T> = Result<T, MissingOrError>;

/// Folders inside each other at most. Work on a tree goes down by recursion: a level of a merge takes about 3.5 KiB of stack,
/// and a thread has 2 MiB.
const TREE_DEPTH_MAX: usize = 384;

impl From<FormatError> for MissingOrError {
    fn from(error: FormatError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<TreeError> for MissingOrError {
    fn from(error: TreeError) -> Self {
        Self::Failed(error)
    }
}

impl From<EditError> for MissingOrError {
    fn from(error: EditError) -> Self {
        Self::Refused(error)
    }
}

/// A node, and what it is found to hold.
#[derive(Debug)]
pub(super) struct OpenNode {
    node: DirectoryNode,
    summary: NodeSummary,
}

impl Deref for OpenNode {
    type Target = DirectoryNode;

    fn deref(&self) -> &DirectoryNode {
        &self.node
    }
}

/// Opens each node once a run, holds it to what its place says of it, notes what is missing, and counts the cost.
pub(super) struct BlockSource<'a> {
    pub volume: VolumeId,
    pub blocks: &'a BlockMap,
    nodes: BTreeMap<BlockRef, Arc<OpenNode>>,
    /// References to blocks that are no nodes, or cannot be had.
    unusable: BTreeSet<BlockRef>,
    missing: BTreeSet<BlockId>,
    absent: BTreeMap<BlockId, BlockAbsence>,
    budget: JobBudget,
    cancel: CancelFlag,
    left: JobBudget,
    depth: usize,
    /// An edit has begun to change the tree: what fails now fails the whole job, or half of the edit would be made.
    pub changing: bool,
}

impl<'a> BlockSource<'a> {
    /// Under the terms of every job.
    #[cfg(test)]
    pub fn new(volume: VolumeId, blocks: &'a BlockMap) -> Self {
        Self::under(volume, blocks, &JobTerms::default())
    }

    /// Under the terms of this job.
    pub fn under(volume: VolumeId, blocks: &'a BlockMap, terms: &JobTerms) -> Self {
        Self {
            volume,
            blocks,
            nodes: BTreeMap::new(),
            unusable: BTreeSet::new(),
            missing: BTreeSet::new(),
            absent: terms.absent.clone(),
            budget: terms.budget,
            cancel: terms.cancel.clone(),
            left: terms.budget,
            depth: 0,
            changing: false,
        }
    }

    /// The node at a place, if it is what the place says.
    pub fn node(&mut self, claim: &NodeClaim) -> StepResult<Arc<OpenNode>> {
        self.charge(1)?;
        let node = match self.nodes.get(&claim.at) {
            Some(node) => Arc::clone(node),
            None => self.open(claim.at)?,
        };
        claim.check(&node.node, &node.summary)?;
        Ok(node)
    }

    fn open(&mut self, at: BlockRef) -> StepResult<Arc<OpenNode>> {
        let Some(block) = self.blocks.get(&at.id) else {
            if let Some(absence) = self.absent.get(&at.id) {
                self.unusable.insert(at);
                return Err(TreeError::Absent(at.id, *absence).into());
            }
            self.missing.insert(at.id);
            return Err(MissingOrError::Missing);
        };
        let bytes = block.bytes().len() as u64;
        self.left.bytes = self.left.bytes.checked_sub(bytes).ok_or(TreeError::TooCostly)?;
        let node = DirectoryNode::open(self.volume, at, block).inspect_err(|_| {
            self.unusable.insert(at);
        })?;
        let summary = NodeSummary::of(&node);
        let node = Arc::new(OpenNode { node, summary });
        self.nodes.insert(at, Arc::clone(&node));
        Ok(node)
    }

    /// A commit that is no head, if it can be had.
    pub fn commit(&mut self, id: BlockId) -> StepResult<Result<&'a Block, BlockAbsence>> {
        match (self.blocks.get(&id), self.absent.get(&id)) {
            (Some(block), _) => Ok(Ok(block)),
            (None, Some(absence)) => Ok(Err(*absence)),
            (None, None) => {
                self.missing.insert(id);
                Err(MissingOrError::Missing)
            }
        }
    }

    /// So many names are visited. Every loop over a tree comes by here, so that each job ends.
    pub fn charge(&mut self, names: usize) -> StepResult<()> {
        if self.cancel.is_cancelled() {
            return Err(TreeError::Cancelled.into());
        }
        self.left.names = self.left.names.checked_sub(names as u64).ok_or(TreeError::TooCostly)?;
        Ok(())
    }

    /// The next part of the job may visit as many names as this one might. What was opened stays in memory, and counts.
    pub fn begin_part(&mut self) {
        self.left.names = self.budget.names;
    }

    /// The job is to find out what cost too much.
    pub fn begin_again(&mut self) {
        self.left = self.budget;
    }

    /// Runs a step one folder deeper.
    pub fn deeper<T>(&mut self, step: impl FnOnce(&mut Self) -> StepResult<T>) -> StepResult<T> {
        self.enter()?;
        let done = step(self);
        self.leave();
        done
    }

    /// The work goes one folder deeper.
    pub fn enter(&mut self) -> StepResult<()> {
        if self.depth == TREE_DEPTH_MAX {
            return Err(FormatError::OutOfBounds { what: "the depth of the tree" }.into());
        }
        self.depth += 1;
        Ok(())
    }

    /// And comes back.
    pub fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Whether the block was read as a part of the heads' trees, so that it lies in one that stands. (That a job was given it
    /// says less: it may come from a change that failed.)
    pub fn has_read(&self, id: BlockId) -> bool {
        let from = BlockRef { id, key: Key([0; 32]) };
        self.nodes.range(from..).next().is_some_and(|(at, _)| at.id == id)
    }

    /// All blocks that were read as a part of the heads' trees, ascending.
    pub fn read(&self) -> Vec<BlockId> {
        let mut read: Vec<BlockId> = self.nodes.keys().map(|at| at.id).collect();
        read.dedup();
        read
    }

    /// Whether the folder's own nodes, as far as they were read, are what their places say.
    pub fn is_sound(&self, folder: &FolderNode) -> bool {
        let mut next: Vec<NodeClaim> = NodeClaim::of_folder(folder).into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(claim) = next.pop() {
            if self.unusable.contains(&claim.at) {
                return false;
            }
            let Some(node) = self.nodes.get(&claim.at) else { continue };
            if claim.check(&node.node, &node.summary).is_err() {
                return false;
            }
            if seen.insert(claim.at) {
                next.extend((0..).map_while(|number| claim.child(&node.node, number)));
            }
        }
        true
    }

    /// Whether a block lies below a folder, as far as it was read.
    pub fn leads_to(&self, folder: &FolderNode, id: BlockId) -> bool {
        let mut next: Vec<BlockRef> = folder.tree.into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(at) = next.pop() {
            if at.id == id {
                return true;
            }
            if !seen.insert(at) {
                continue;
            }
            match self.nodes.get(&at).map(|node| &node.node) {
                Some(DirectoryNode::Leaf(entries)) => next.extend(entries.iter().filter_map(folder_tree)),
                Some(DirectoryNode::Interior { children, .. }) => next.extend(children.iter().map(|child| child.node)),
                None => {}
            }
        }
        false
    }

    /// What the run lacked, ascending.
    pub fn missing(self) -> Vec<BlockId> {
        self.missing.into_iter().collect()
    }
}

fn folder_tree(entry: &DirectoryEntry) -> Option<BlockRef> {
    entry.folder.as_ref()?.tree
}

/// Whether a folder that cannot be read is left as it is, so that all others are merged: nothing will ever make it readable.
pub(super) fn is_lost(error: &TreeError) -> bool {
    matches!(error, TreeError::Damaged(_) | TreeError::TooNew | TreeError::Absent(_, BlockAbsence::Nowhere))
}

/// Runs a step for every item. One that lacks blocks does not keep the others from noting what they lack, so that a whole
/// level is fetched at once.
pub(super) fn each<T>(items: impl IntoIterator<Item = T>, mut step: impl FnMut(T) -> StepResult<()>) -> StepResult<()> {
    let mut missing = false;
    for item in items {
        match step(item) {
            Err(MissingOrError::Missing) => missing = true,
            other => other?,
        }
    }
    if missing { Err(MissingOrError::Missing) } else { Ok(()) }
}
