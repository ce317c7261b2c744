//! Directory nodes out of the blocks a job was given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fsdfs_proto::codec::FormatError;
use fsdfs_proto::ids::{BlockId, Key, VolumeId};
use fsdfs_proto::volume::{BlockRef, DirectoryNode};

use super::{BlockMap, EditError, TreeError};

/// Why a step does not end in a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MissingOrError {
    /// Blocks are missing; the source noted which.
    Missing,
    /// The tree is not readable.
    Failed(TreeError),
    /// An edit cannot be made. Nothing was changed by it.
    Refused(EditError),
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

impl From<EditError> for MissingOrError {
    fn from(error: EditError) -> Self {
        Self::Refused(error)
    }
}

/// Opens each node once a run and notes what is missing.
pub(super) struct BlockSource<'a> {
    pub volume: VolumeId,
    pub blocks: &'a BlockMap,
    nodes: BTreeMap<BlockRef, Arc<DirectoryNode>>,
    missing: BTreeSet<BlockId>,
    depth: usize,
}

impl<'a> BlockSource<'a> {
    pub fn new(volume: VolumeId, blocks: &'a BlockMap) -> Self {
        Self { volume, blocks, nodes: BTreeMap::new(), missing: BTreeSet::new(), depth: 0 }
    }

    /// A node; `level` is what its parent says, none for the root of a folder.
    pub fn node(&mut self, at: BlockRef, level: Option<u8>) -> StepResult<Arc<DirectoryNode>> {
        let node = match self.nodes.get(&at) {
            Some(node) => Arc::clone(node),
            None => self.open(at)?,
        };
        if level.is_some_and(|level| level != node.level()) {
            return Err(FormatError::OutOfBounds { what: "the level of a directory's node" }.into());
        }
        Ok(node)
    }

    fn open(&mut self, at: BlockRef) -> StepResult<Arc<DirectoryNode>> {
        let Some(block) = self.blocks.get(&at.id) else {
            self.missing.insert(at.id);
            return Err(MissingOrError::Missing);
        };
        let node = Arc::new(DirectoryNode::open(self.volume, at, block)?);
        self.nodes.insert(at, Arc::clone(&node));
        Ok(node)
    }

    /// Runs a step one folder deeper.
    pub fn deeper<T>(&mut self, step: impl FnOnce(&mut Self) -> StepResult<T>) -> StepResult<T> {
        if self.depth == TREE_DEPTH_MAX {
            return Err(FormatError::OutOfBounds { what: "the depth of the tree" }.into());
        }
        self.depth += 1;
        let done = step(self);
        self.depth -= 1;
        done
    }

    /// Whether the block was read as a part of the heads' trees, so that it lies in one that stands. (That a job was given it
    /// says less: it may come from a change that failed.)
    pub fn has_read(&self, id: BlockId) -> bool {
        let from = BlockRef { id, key: Key([0; 32]) };
        self.nodes.range(from..).next().is_some_and(|(at, _)| at.id == id)
    }

    /// What the run lacked, ascending.
    pub fn missing(self) -> Vec<BlockId> {
        self.missing.into_iter().collect()
    }
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
