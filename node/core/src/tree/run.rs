//! Running jobs: heads in, blocks and a head out.

use fsdfs_proto::block::Block;
use fsdfs_proto::codec::{FormatError, bound};
use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, PoolId};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{
    Commit, CommitView, Dot, EntryFlags, FolderNode, PARENTS_MAX, VERSION_VECTOR_WRITERS_MAX, VersionVector,
    VolumeKeys, WriteKeys,
};

use super::block_map::BlockMap;
use super::dir::{EntryOrigin, MergedDirectory};
use super::edit::TreeEditor;
use super::error::TreeError;
use super::job::{EditJob, JobDone, MergeJob, QueryJob, TreeJob, WalkJob};
use super::known::KnownFolder;
use super::merge::{MergeState, merge};
use super::pages::DirectoryPages;
use super::query::query;
use super::source::{BlockSource, MissingOrError, StepResult};
use super::walk::walk;

impl TreeJob {
    /// Runs it on what it was given so far.
    pub fn run(&self) -> JobDone {
        match self {
            Self::Edit(job) => job.run(),
            Self::Merge(job) => job.run(),
            Self::Query(job) => job.run(),
            Self::Walk(job) => job.run(),
        }
    }

    /// Adds fetched blocks for the next run.
    pub fn give(&mut self, blocks: impl IntoIterator<Item = Block>) {
        self.blocks_mut().extend(blocks.into_iter().map(|block| (block.id(), block)));
    }

    /// The blocks it may use.
    pub fn blocks_mut(&mut self) -> &mut BlockMap {
        match self {
            Self::Edit(EditJob { blocks, .. })
            | Self::Merge(MergeJob { blocks, .. })
            | Self::Query(QueryJob { blocks, .. })
            | Self::Walk(WalkJob { blocks, .. }) => blocks,
        }
    }
}

/// Runs a job that makes blocks, which needs a writer's keys.
fn write(
    keys: &VolumeKeys,
    blocks: &BlockMap,
    step: impl FnOnce(&WriteKeys, &mut BlockSource) -> StepResult<JobDone>,
) -> JobDone {
    let Some(writer) = keys.writer() else { return JobDone::Failed(TreeError::ReadOnly) };
    let mut source = BlockSource::new(keys.volume, blocks);
    let done = step(writer, &mut source);
    finish(source, done, JobDone::Failed)
}

impl EditJob {
    /// Merges the heads and makes the changes on top, as one commit.
    pub fn run(&self) -> JobDone {
        write(&self.keys, &self.blocks, |keys, source| self.step(keys, source))
    }

    fn step(&self, keys: &WriteKeys, source: &mut BlockSource) -> StepResult<JobDone> {
        let heads = HeadTrees::open(&self.keys, &self.heads)?;
        heads.check_writable()?;
        let state = heads.merged(source)?;
        let dot = Dot { writer: self.dot.0, seq: self.dot.1 };
        bound(!state.version_vector.covers(dot), "the sequence number of a change: it was used before")?;
        let base = state.root.clone();
        let mut version_vector = state.version_vector.clone();
        version_vector.add(dot);
        let mut editor = TreeEditor::new(source, state, EntryOrigin { dot, time: self.hlc });
        let outcomes = editor.run(&self.edits)?;
        let root = editor.root;
        let mut pages = DirectoryPages::new(keys, self.copies, self.params);
        let folder = pages.write(source, &root)?;
        if !self.heads.is_empty() && is_unchanged(&base, &root, &folder, &heads) {
            return Ok(JobDone::Edited { blocks: Vec::new(), head: None, outcomes });
        }
        let commit = heads.next(folder, version_vector, Some(dot), self.hlc)?;
        let (blocks, head) = publish(keys, self.pool, &commit, self.copies, new_blocks(pages, source));
        Ok(JobDone::Edited { blocks, head: Some(head), outcomes })
    }
}

impl MergeJob {
    /// Merges the heads into a commit that is nobody's operation.
    pub fn run(&self) -> JobDone {
        write(&self.keys, &self.blocks, |keys, source| self.step(keys, source))
    }

    fn step(&self, keys: &WriteKeys, source: &mut BlockSource) -> StepResult<JobDone> {
        let heads = HeadTrees::open(&self.keys, &self.heads)?;
        heads.check_writable()?;
        bound(heads.commits.len() >= 2, "the heads of a merge")?;
        let state = heads.merged(source)?;
        let mut pages = DirectoryPages::new(keys, self.copies, self.params);
        let folder = pages.write(source, &state.root)?;
        let commit = heads.next(folder, state.version_vector, None, Hlc::default())?;
        let (blocks, head) = publish(keys, self.pool, &commit, self.copies, new_blocks(pages, source));
        Ok(JobDone::Merged { blocks, head })
    }
}

impl QueryJob {
    /// Reads the heads as if they were merged.
    pub fn run(&self) -> JobDone {
        let mut source = BlockSource::new(self.keys.volume, &self.blocks);
        let done = self.step(&mut source);
        finish(source, done, |error| JobDone::Queried { found: Err(error), folder: None })
    }

    fn step(&self, source: &mut BlockSource) -> StepResult<JobDone> {
        let from = match &self.known {
            Some(known) => known.clone(),
            None => KnownFolder::root(HeadTrees::open(&self.keys, &self.heads)?.merged(source)?.root),
        };
        let (found, folder) = query(source, &from, &self.query)?;
        Ok(JobDone::Queried { found: Ok(found), folder: Some(folder) })
    }
}

impl WalkJob {
    /// Follows the visible links; no key is needed.
    pub fn run(&self) -> JobDone {
        match walk(&self.heads, &self.blocks) {
            Ok(Ok(reached)) => JobDone::Walked(reached),
            Ok(Err(missing)) => JobDone::Missing(missing),
            Err(error) => JobDone::Failed(error.into()),
        }
    }
}

fn finish(source: BlockSource, done: StepResult<JobDone>, failed: impl Fn(TreeError) -> JobDone) -> JobDone {
    match done {
        Ok(done) => done,
        Err(MissingOrError::Failed(error)) => failed(error),
        Err(MissingOrError::Missing | MissingOrError::Refused(_)) => JobDone::Missing(source.missing()),
    }
}

/// The commits of the heads, in the order of their ids, in which they are merged.
struct HeadTrees {
    commits: Vec<(BlockId, Commit)>,
}

impl HeadTrees {
    fn open(keys: &VolumeKeys, heads: &[Signed<Head>]) -> Result<Self, FormatError> {
        let mut commits = Vec::with_capacity(heads.len());
        for head in heads {
            let view = CommitView::of_head(head.value())?;
            commits.push((view.id, Commit::open(keys, &head.value().commit)?));
        }
        commits.sort_by_key(|(id, _)| *id);
        commits.dedup_by_key(|(id, _)| *id);
        commits.truncate(PARENTS_MAX);
        Ok(Self { commits })
    }

    fn check_writable(&self) -> Result<(), FormatError> {
        self.commits.iter().try_for_each(|(_, commit)| commit.flags.writable("the volume"))
    }

    fn merged(&self, source: &mut BlockSource) -> StepResult<MergeState> {
        let mut states = self.commits.iter().map(|(_, commit)| MergeState {
            version_vector: commit.version_vector.clone(),
            root: MergedDirectory::stored(commit.root.clone()),
        });
        let first = states.next().unwrap_or_default();
        states.try_fold(first, |merged, state| merge(source, &merged, &state))
    }

    fn next(
        &self,
        root: FolderNode,
        version_vector: VersionVector,
        dot: Option<Dot>,
        time: Hlc,
    ) -> Result<Commit, FormatError> {
        bound(version_vector.dots().len() <= VERSION_VECTOR_WRITERS_MAX, "the writers of a volume")?;
        let parents = self.commits.iter().map(|(id, _)| *id).collect();
        // Stamps never run backwards along a line of commits.
        let time = self.commits.iter().map(|(_, commit)| commit.time).fold(time, Ord::max);
        Ok(Commit { parents, time, dot, version_vector, flags: EntryFlags::NONE, root, message: None })
    }
}

/// Whether a change on top of one head left its tree as it was. (With several heads the merge is left to a merge job.)
fn is_unchanged(base: &MergedDirectory, root: &MergedDirectory, written: &FolderNode, heads: &HeadTrees) -> bool {
    match &heads.commits[..] {
        [(_, commit)] => commit.root == *written,
        _ => base == root,
    }
}

fn new_blocks(pages: DirectoryPages, source: &BlockSource) -> Vec<Block> {
    let mut blocks = pages.blocks;
    blocks.retain(|block| !source.has_read(block.id()));
    blocks
}

fn publish(
    keys: &WriteKeys,
    pool: PoolId,
    commit: &Commit,
    copies: u8,
    mut blocks: Vec<Block>,
) -> (Vec<Block>, Signed<Head>) {
    let commit = commit.seal(keys, copies);
    let head = Commit::head(keys, pool, &commit);
    // Also as a block of its own, for the next commit links to it.
    blocks.push(commit);
    (blocks, head)
}
