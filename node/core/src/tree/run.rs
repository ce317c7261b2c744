//! Running jobs: heads in, blocks and a head out.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use fsdfs_proto::block::Block;
use fsdfs_proto::codec::{FormatError, bound};
use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, PoolId};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::{Commit, Dot, FolderNode, MarkSet, VolumeKeys, WriteKeys, work_message};

use super::block_map::BlockMap;
use super::dir::{EntryOrigin, MergedDirectory};
use super::edit::{TreeEditor, is_of_one_folder};
use super::error::{EditError, TreeError};
use super::heads::{HeadTrees, JobKind, OperationStamp};
use super::history::{root_of, rules_of};
use super::job::{EditJob, JobDone, MergeJob, QueryJob, TreeJob, WalkJob};
use super::known::KnownFolder;
use super::merge::MergeState;
use super::operation::{EditOutcome, QueryResult, TreeQuery};
use super::pages::DirectoryPages;
use super::query::query;
use super::source::{BlockSource, MissingOrError, StepResult};
use super::terms::{BlockAbsence, JobTerms};
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

    /// This block could not be had: the next run goes without it, if it can.
    pub fn lacks(&mut self, id: BlockId, absence: BlockAbsence) {
        let terms = match self {
            Self::Edit(EditJob { terms, .. })
            | Self::Merge(MergeJob { terms, .. })
            | Self::Query(QueryJob { terms, .. }) => terms,
            // A walk says what it lacks, and that is all.
            Self::Walk(_) => return,
        };
        terms.absent.insert(id, absence);
    }

    /// What it was said to lack.
    pub fn absent(&self) -> BTreeMap<BlockId, BlockAbsence> {
        match self {
            Self::Edit(EditJob { terms, .. })
            | Self::Merge(MergeJob { terms, .. })
            | Self::Query(QueryJob { terms, .. }) => terms.absent.clone(),
            Self::Walk(_) => BTreeMap::new(),
        }
    }

    /// The heads it works on.
    pub fn heads(&self) -> &[Signed<Head>] {
        match self {
            Self::Edit(EditJob { heads, .. })
            | Self::Merge(MergeJob { heads, .. })
            | Self::Query(QueryJob { heads, .. })
            | Self::Walk(WalkJob { heads, .. }) => heads,
        }
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
    (blocks, terms): (&BlockMap, &JobTerms),
    step: impl FnOnce(&WriteKeys, &mut BlockSource) -> StepResult<JobDone>,
) -> JobDone {
    let Some(writer) = keys.writer() else { return JobDone::Failed(TreeError::ReadOnly) };
    let mut source = BlockSource::under(keys.volume, blocks, terms);
    let done = step(writer, &mut source);
    finish(source, done, JobDone::Failed)
}

impl EditJob {
    /// Merges the heads and makes the changes on top, as one commit.
    pub fn run(&self) -> JobDone {
        write(&self.keys, (&self.blocks, &self.terms), |keys, source| self.step(keys, source))
    }

    fn step(&self, keys: &WriteKeys, source: &mut BlockSource) -> StepResult<JobDone> {
        let heads = HeadTrees::open(source, (&self.keys, &self.heads), &self.terms, JobKind::Write)?;
        let kept = heads.states(source, (&self.keys, self.params.hour_ms), &self.terms);
        let state = heads.merged(source)?;
        let kept = kept?;
        let dot = Dot { writer: self.dot.0, seq: self.dot.1 };
        bound(!state.version_vector.covers(dot), "the sequence number of a change: it was used before")?;
        let mut version_vector = state.version_vector.clone();
        version_vector.add(dot);
        let states = kept.droppable(&heads.ids());
        let EditedTree { outcomes, root, pages, folder, dropped } = self.edited(keys, source, (&state, &states))?;
        let base = &state.root;
        let is_due =
            self.heads.is_empty() || self.edits.is_empty() || !self.terms.covered.is_empty() || !dropped.is_empty();
        if !is_due && is_unchanged(base, &root, &folder, &heads) {
            return Ok(JobDone::Edited { blocks: Vec::new(), head: None, outcomes });
        }
        let stamp = OperationStamp { dot, time: self.hlc };
        let listed = kept.listed(&rules_of(folder.attrs.last()), &dropped);
        let commit = heads.next(folder, version_vector, Some(stamp), (&self.terms.covered, listed))?;
        let commit = Commit { message: self.work.map(work_message), ..commit };
        let marks = heads.marks(&self.terms.covered);
        let blocks = new_blocks(pages, source);
        let (blocks, head) = publish(keys, (self.pool, &self.author, &marks), &commit, self.copies, blocks)?;
        Ok(JobDone::Edited { blocks, head: Some(head), outcomes })
    }
}

/// A tree with changes, and what was written of it.
struct EditedTree<'a> {
    outcomes: Vec<Result<EditOutcome, EditError>>,
    root: MergedDirectory,
    pages: DirectoryPages<'a>,
    folder: FolderNode,
    /// Earlier states that are not to be listed.
    dropped: BTreeSet<BlockId>,
}

/// What edits are made on: what the heads show, and the earlier states that they list.
type EditBase<'a> = (&'a MergeState, &'a BTreeSet<BlockId>);

impl EditJob {
    /// An edit that comes to a folder which cannot be read fails alone. That may show when the folder is written only; then
    /// each is tried by itself.
    fn edited<'a>(&self, keys: &'a WriteKeys, source: &mut BlockSource, base: EditBase) -> StepResult<EditedTree<'a>> {
        let all = self.edited_with(keys, source, base, &|_| true);
        if !matches!(&all, Err(MissingOrError::Failed(error)) if is_of_one_folder(error)) {
            return all;
        }
        let mut bad = BTreeSet::new();
        for number in 0..self.edits.len() {
            match self.edited_with(keys, source, base, &|other| other == number) {
                Err(MissingOrError::Failed(error)) if is_of_one_folder(&error) => drop(bad.insert(number)),
                other => drop(other?),
            }
        }
        self.edited_with(keys, source, base, &|number| !bad.contains(&number))
    }

    /// The edits of these numbers; the others are answered as if they had come to a folder that cannot be read.
    fn edited_with<'a>(
        &self,
        keys: &'a WriteKeys,
        source: &mut BlockSource,
        (state, states): EditBase,
        takes: &dyn Fn(usize) -> bool,
    ) -> StepResult<EditedTree<'a>> {
        let origin = EntryOrigin { dot: Dot { writer: self.dot.0, seq: self.dot.1 }, time: self.hlc };
        let mut editor = TreeEditor::new(source, state.clone(), origin, (&self.keys, states));
        let outcomes = editor.run(&self.edits, takes)?;
        let (root, dropped) = (editor.root, editor.dropped);
        let mut pages = DirectoryPages::new(keys, self.copies, self.params);
        source.begin_part();
        let folder = pages.write(source, &root)?;
        Ok(EditedTree { outcomes, root, pages, folder, dropped })
    }
}

impl MergeJob {
    /// Merges the heads into a commit that is nobody's operation.
    pub fn run(&self) -> JobDone {
        write(&self.keys, (&self.blocks, &self.terms), |keys, source| self.step(keys, source))
    }

    fn step(&self, keys: &WriteKeys, source: &mut BlockSource) -> StepResult<JobDone> {
        let heads = HeadTrees::open(source, (&self.keys, &self.heads), &self.terms, JobKind::Write)?;
        bound(heads.len() >= 2, "the heads of a merge")?;
        let kept = heads.states(source, (&self.keys, self.params.hour_ms), &self.terms);
        let state = heads.merged(source)?;
        let listed = kept?.listed(&rules_of(state.root.folder.attrs.last()), &BTreeSet::new());
        let mut pages = DirectoryPages::new(keys, self.copies, self.params);
        source.begin_part();
        let folder = pages.write(source, &state.root)?;
        let commit = heads.next(folder, state.version_vector, None, (&[], listed))?;
        let blocks = new_blocks(pages, source);
        let signs = (self.pool, &self.author, &heads.marks(&[]));
        let (blocks, head) = publish(keys, signs, &commit, self.copies, blocks)?;
        Ok(JobDone::Merged { blocks, head })
    }
}

impl QueryJob {
    /// Reads the heads as if they were merged.
    pub fn run(&self) -> JobDone {
        let mut source = BlockSource::under(self.keys.volume, &self.blocks, &self.terms);
        let done = self.step(&mut source);
        finish(source, done, |error| JobDone::Queried { found: Err(error), folder: None })
    }

    fn step(&self, source: &mut BlockSource) -> StepResult<JobDone> {
        if self.query == TreeQuery::History {
            return self.history(source);
        }
        let from = match (&self.known, self.state) {
            (Some(known), _) => known.clone(),
            (None, Some(state)) => KnownFolder::root(root_of(source, &self.keys, state)?.1),
            (None, None) => {
                let heads = HeadTrees::open(source, (&self.keys, &self.heads), &self.terms, JobKind::Read)?;
                KnownFolder::root(heads.merged(source)?.root)
            }
        };
        source.begin_part();
        let (found, folder) = query(source, &from, &self.query)?;
        Ok(JobDone::Queried { found: Ok(found), folder: Some(folder) })
    }

    fn history(&self, source: &mut BlockSource) -> StepResult<JobDone> {
        let heads = HeadTrees::open(source, (&self.keys, &self.heads), &self.terms, JobKind::Read)?;
        let kept = heads.states(source, (&self.keys, self.params.hour_ms), &self.terms)?;
        let found = kept.shown(rules_of(heads.root_attrs()), &heads.ids());
        Ok(JobDone::Queried { found: Ok(QueryResult::History(found)), folder: None })
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
        Err(MissingOrError::BadHeads(heads)) => JobDone::BadHeads(heads),
        Err(MissingOrError::Missing | MissingOrError::Refused(_)) => JobDone::Missing(source.missing()),
    }
}

/// Whether a change on top of one head left its tree as it was. (With several heads the merge is left to a merge job.)
fn is_unchanged(base: &MergedDirectory, root: &MergedDirectory, written: &FolderNode, heads: &HeadTrees) -> bool {
    match heads.only_root() {
        Some(stored) => stored == written,
        None => base == root,
    }
}

fn new_blocks(pages: DirectoryPages, source: &BlockSource) -> Vec<Block> {
    let mut blocks = pages.blocks;
    blocks.retain(|block| !source.has_read(block.id()));
    blocks
}

fn publish(
    keys: &WriteKeys,
    (pool, author, marks): (PoolId, &SigningKey, &MarkSet),
    commit: &Commit,
    copies: u8,
    mut blocks: Vec<Block>,
) -> Result<(Vec<Block>, Signed<Head>), FormatError> {
    let commit = commit.seal(keys, copies);
    let head = Commit::head(keys, author, pool, &commit, marks)?;
    // Also as a block of its own, for the next commit links to it.
    blocks.push(commit);
    Ok((blocks, head))
}
