//! The heads that a job works on: which of them can be used, and what they come to together.
//!
//! A head is what some writer made it. One that does not open, whose root folder breaks the rules, or that costs too much must
//! not keep the others from being shown and written on: the job ends and names it, and is run again without it.

use std::collections::BTreeSet;

use fsdfs_proto::codec::{FormatError, bound};
use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{
    Commit, CommitView, Dot, EntryFlags, EntryVersion, FileAttributes, FolderNode, MarkSet, NodeClaim, PARENTS_MAX,
    VERSION_VECTOR_WRITERS_MAX, VersionVector, VolumeKeys,
};

use super::HeadFault;
use super::dir::MergedDirectory;
use super::error::TreeError;
use super::history::KeptStates;
use super::merge::{MergeState, differing_nodes, merge};
use super::source::{BlockSource, MissingOrError, StepResult, each};
use super::terms::{BlockAbsence, JobTerms};
use crate::limits::{CLOCK_OFF_MS_MAX, COVERED_HEADS_MAX, COVERED_WRITERS_MAX, ROOT_NODES_MAX};

/// Whether a job makes a commit on top of the heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobKind {
    Read,
    Write,
}

/// What an operation gives its commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct OperationStamp {
    pub dot: Dot,
    pub time: Hlc,
}

/// The commits of the heads, in the order of their ids, in which they are merged.
pub(super) struct HeadTrees {
    commits: Vec<(BlockId, Commit)>,
    /// Of all that they include.
    marks: MarkSet,
    /// Those that an earlier job could use.
    good: BTreeSet<BlockId>,
}

impl HeadTrees {
    /// Opens them all, or says which cannot be used. Of more than one commit can name, those that were used before come first:
    /// ids can be made to measure, and must not decide whose changes are shown.
    pub fn open(
        source: &mut BlockSource,
        (keys, heads): (&VolumeKeys, &[Signed<Head>]),
        terms: &JobTerms,
        kind: JobKind,
    ) -> StepResult<Self> {
        let good: BTreeSet<BlockId> = terms.good.iter().map(|head| BlockId::of(&head.value().commit)).collect();
        let mut commits: Vec<(BlockId, Commit)> = Vec::with_capacity(heads.len());
        let mut faults = Vec::new();
        for head in heads {
            match open(keys, head.value(), kind) {
                Ok((id, _)) if terms.has_strangers(head.value()) => faults.push((id, HeadFault::TooManyWriters)),
                Ok(commit) => commits.push(commit),
                Err(error) => faults.push((BlockId::of(&head.value().commit), fault_of(error))),
            }
        }
        commits.sort_by_key(|(id, _)| *id);
        commits.dedup_by_key(|(id, _)| *id);
        let is_of_these = |before: &&Signed<Head>| heads.iter().any(|head| head.value().epoch == before.value().epoch);
        let known = seen_by_all(terms.good.iter().filter(is_of_these));
        // Those that bring few writers come first: one that brings many must not take the place of what others go on writing.
        commits.sort_by_cached_key(|(id, commit)| (!good.contains(id), beside(commit, &known), *id));
        faults.extend(beyond_writers(&mut commits, known));
        if kind == JobKind::Write {
            commits.truncate(PARENTS_MAX.saturating_sub(terms.covered.len()).max(1));
        }
        let is_new = commits.iter().any(|(id, _)| !good.contains(id));
        let known = terms.good.iter().filter(|_| is_new);
        let bases: Vec<FolderNode> =
            known.filter_map(|head| Some(open(keys, head.value(), kind).ok()?.1.root)).collect();
        let checked = each(commits.iter().filter(|(id, _)| !good.contains(id)), |(id, commit)| {
            match check_root(source, &commit.root, &bases) {
                Err(MissingOrError::Failed(error)) => {
                    faults.push((*id, HeadFault::of(&error).ok_or(MissingOrError::Failed(error))?));
                    Ok(())
                }
                other => other,
            }
        });
        if !faults.is_empty() {
            return Err(MissingOrError::BadHeads(faults));
        }
        checked?;
        commits.sort_by_key(|(id, _)| *id);
        let mut marks = MarkSet::default();
        heads.iter().for_each(|head| marks.add_head(head.value()));
        Ok(Self { commits, marks, good })
    }

    /// Of all that the next commit includes, but for its own number.
    pub fn marks(&self, covered: &[Signed<Head>]) -> MarkSet {
        let mut marks = self.marks.clone();
        covered.iter().for_each(|head| marks.add_head(head.value()));
        marks
    }

    /// Earlier states that the next commit may list, beside the heads themselves.
    pub fn states(&self, source: &mut BlockSource, of: (&VolumeKeys, u64), terms: &JobTerms) -> StepResult<KeptStates> {
        let mut heads: Vec<&(BlockId, Commit)> = self.commits.iter().collect();
        heads.sort_by_key(|(id, _)| !self.good.contains(id));
        KeptStates::of(source, of, terms, &heads)
    }

    /// Those of the heads.
    pub fn ids(&self) -> BTreeSet<BlockId> {
        self.commits.iter().map(|(id, _)| *id).collect()
    }

    /// The attributes of the root that count in their merge.
    pub fn root_attrs(&self) -> Option<&EntryVersion<FileAttributes>> {
        self.commits.iter().flat_map(|(_, commit)| &commit.root.attrs).max()
    }

    pub fn len(&self) -> usize {
        self.commits.len()
    }

    /// The stored root of the only head, if there is one only.
    pub fn only_root(&self) -> Option<&FolderNode> {
        match &self.commits[..] {
            [(_, commit)] => Some(&commit.root),
            _ => None,
        }
    }

    /// What they show together.
    pub fn merged(&self, source: &mut BlockSource) -> StepResult<MergeState> {
        let shared = self.shared_numbers();
        let mut states = self.commits.iter().map(|(_, commit)| state(commit, &shared));
        let first = states.next().unwrap_or_default();
        let merged = states.try_fold(first, |merged, state| {
            source.begin_part();
            merge(source, &merged, &state)
        });
        let merged = merged.map(|merged| MergeState { version_vector: self.version_vector(), ..merged });
        match merged {
            Err(MissingOrError::Failed(error)) if self.commits.len() > 1 => Err(self.blame(source, error)),
            other => other,
        }
    }

    /// Numbers under which two of the heads made different changes: somebody used another's, or a machine was copied.
    fn shared_numbers(&self) -> BTreeSet<Dot> {
        let operations = || self.commits.iter().filter_map(|(id, commit)| Some((id, commit, commit.dot?)));
        let mut shared = BTreeSet::new();
        for (id, commit, dot) in operations() {
            let is_shared = |(other, twin, _): (&BlockId, &Commit, Dot)| {
                other != id && twin.version_vector == commit.version_vector
            };
            if operations().any(is_shared) {
                shared.insert(dot);
            }
        }
        shared
    }

    /// What they include together.
    fn version_vector(&self) -> VersionVector {
        let mut all = VersionVector::default();
        self.commits.iter().for_each(|(_, commit)| all.add_all(&commit.version_vector));
        all
    }

    /// Which heads a merge is to do without.
    fn blame(&self, source: &mut BlockSource, error: TreeError) -> MissingOrError {
        match &error {
            TreeError::Absent(id, BlockAbsence::Away) => {
                let (id, fault) = (*id, HeadFault::Absent(*id, BlockAbsence::Away));
                let needs = |commit: &Commit| source.leads_to(&commit.root, id);
                let needing: Vec<BlockId> =
                    self.commits.iter().filter(|(_, commit)| needs(commit)).map(|(id, _)| *id).collect();
                // What all of them need says nothing of any of them.
                if needing.is_empty() || needing.len() == self.commits.len() {
                    return error.into();
                }
                MissingOrError::BadHeads(needing.into_iter().map(|id| (id, fault.clone())).collect())
            }
            TreeError::TooCostly => match self.too_costly(source) {
                Some(id) => MissingOrError::BadHeads(vec![(id, HeadFault::TooCostly)]),
                None => error.into(),
            },
            _ => error.into(),
        }
    }

    /// The first head that cannot be merged into those before it. Heads that were used before come first: the one that came
    /// last is not to decide which others are shown.
    fn too_costly(&self, source: &mut BlockSource) -> Option<BlockId> {
        let (known, new): (Vec<_>, Vec<_>) = self.commits.iter().partition(|(id, _)| self.good.contains(id));
        let shared = self.shared_numbers();
        let mut merged: Option<MergeState> = None;
        source.begin_again();
        for (id, commit) in known.into_iter().chain(new) {
            let next = state(commit, &shared);
            source.begin_part();
            merged = Some(match merged {
                None => next,
                Some(merged) => match merge(source, &merged, &next) {
                    Ok(merged) => merged,
                    Err(_) => return Some(*id),
                },
            });
        }
        None
    }

    /// The commit that comes of them. `covered`: heads that it makes an end of. `listed`: earlier states, as far as there is place
    /// for them.
    pub fn next(
        &self,
        root: FolderNode,
        mut version_vector: VersionVector,
        stamp: Option<OperationStamp>,
        (covered, listed): (&[Signed<Head>], BTreeSet<BlockId>),
    ) -> Result<Commit, FormatError> {
        let mut parents = self.ids();
        for view in covered.iter().filter_map(|head| CommitView::of_head(head.value()).ok()) {
            version_vector.add_all(&view.extra.version_vector);
            parents.insert(view.id);
        }
        bound(parents.len() <= PARENTS_MAX, "the parents of a commit")?;
        let place = PARENTS_MAX - parents.len();
        let listed: Vec<BlockId> = listed.into_iter().filter(|id| !parents.contains(id)).take(place).collect();
        parents.extend(listed);
        bound(version_vector.dots().len() <= VERSION_VECTOR_WRITERS_MAX, "the writers of a volume")?;
        // Whoever has a copy of this node's key can make later incarnations of it: a head of theirs, covered, would include this
        // operation before it is made.
        let own = stamp.is_none_or(|stamp| version_vector.get(stamp.dot.writer) == stamp.dot.seq);
        bound(own, "the number of a change: a head in the name of this node goes beyond it")?;
        // Times never run backwards along a line of commits, but for those that no clock of the pool can have said: one of them
        // would be the time of all commits from then on.
        let (dot, own) = (stamp.map(|stamp| stamp.dot), stamp.map(|stamp| stamp.time).unwrap_or_default());
        let believable = |time: &Hlc| stamp.is_none() || time.ms <= own.ms.saturating_add(CLOCK_OFF_MS_MAX);
        let time = self.commits.iter().map(|(_, commit)| commit.time).filter(believable).fold(own, Ord::max);
        let parents = parents.into_iter().collect();
        Ok(Commit { parents, time, dot, version_vector, flags: EntryFlags::NONE, root, message: None })
    }
}

/// Of heads of which nothing can be made: those that the next operation on top of `heads` may name as parents and cover.
///
/// What a commit covers it claims to include. A head that says it includes more of a writer than anybody has heard of would,
/// covered, make an end of that writer's changes which are still on their way; such a head stays quarantined instead.
pub fn coverable(heads: &[Signed<Head>], lost: Vec<Signed<Head>>) -> Vec<Signed<Head>> {
    let views = heads.iter().filter_map(|head| CommitView::of_head(head.value()).ok());
    let mut seen = VersionVector::default();
    views.for_each(|view| seen.add_all(&view.extra.version_vector));
    let mut chosen = Vec::new();
    for head in lost {
        let Ok(view) = CommitView::of_head(head.value()) else { continue };
        let dots = view.extra.version_vector.dots();
        let unknown = dots.iter().filter(|dot| seen.get(dot.writer) == 0).count();
        let exceeds =
            |dot: &Dot| seen.get(dot.writer) > 0 && !seen.covers(*dot) && view.extra.writer != Some(dot.writer);
        // Its own operation is no other's, but must not end what its writer still has on its way.
        let own_next =
            |dot: &Dot| view.extra.writer == Some(dot.writer) && dot.seq > seen.get(dot.writer).saturating_add(1);
        let fits = unknown <= COVERED_WRITERS_MAX && seen.dots().len() + unknown < VERSION_VECTOR_WRITERS_MAX;
        if fits && !dots.iter().any(|dot| exceeds(dot) || own_next(dot)) && chosen.len() < COVERED_HEADS_MAX {
            seen.add_all(&view.extra.version_vector);
            chosen.push(head);
        }
    }
    chosen
}

/// A head's state. What has a number that two of the heads used counts as seen by neither: both changes are kept.
fn state(commit: &Commit, shared: &BTreeSet<Dot>) -> MergeState {
    // A writer with nothing left stays listed: it says how far back those of its node go.
    let before = |dot: &Dot| Dot { seq: dot.seq - u64::from(shared.contains(dot)), ..*dot };
    let version_vector = commit.version_vector.dots().iter().map(before).collect();
    MergeState { version_vector, root: MergedDirectory::stored(commit.root.clone()) }
}

fn open(keys: &VolumeKeys, head: &Head, kind: JobKind) -> Result<(BlockId, Commit), FormatError> {
    let id = CommitView::of_head(head)?.id;
    let commit = Commit::open(keys, &head.commit)?;
    match kind {
        JobKind::Read => commit.flags.readable("the volume")?,
        JobKind::Write => commit.flags.writable("the volume")?,
    }
    Ok((id, commit))
}

fn fault_of(error: FormatError) -> HeadFault {
    match error {
        FormatError::TooNew { .. } => HeadFault::TooNew,
        other => HeadFault::Damaged(other),
    }
}

/// What the heads that were used before include, as far as they fit together.
fn seen_by_all<'a>(heads: impl Iterator<Item = &'a Signed<Head>>) -> VersionVector {
    let mut seen = VersionVector::default();
    for view in heads.filter_map(|head| CommitView::of_head(head.value()).ok()) {
        let mut all = seen.clone();
        all.add_all(&view.extra.version_vector);
        if all.dots().len() < VERSION_VECTOR_WRITERS_MAX {
            seen = all;
        }
    }
    seen
}

/// How many writers a commit would bring beside these.
fn beside(commit: &Commit, seen: &VersionVector) -> usize {
    commit.version_vector.dots().iter().filter(|dot| seen.get(dot.writer) == 0).count()
}

/// Takes out heads with which there would be more writers than a commit can name. There must be one more: the next operation
/// may begin an incarnation.
///
/// `seen`: by the heads that were used before, also if they stand no more. What goes on from those brings next to nothing; if
/// it were measured against a crowd that happens to be looked at first, it would be left out for it.
fn beyond_writers(commits: &mut Vec<(BlockId, Commit)>, mut seen: VersionVector) -> Vec<(BlockId, HeadFault)> {
    let mut faults = Vec::new();
    let several = commits.len() > 1;
    commits.retain(|(id, commit)| {
        let mut all = seen.clone();
        all.add_all(&commit.version_vector);
        let fits = !several || all.dots().len() < VERSION_VECTOR_WRITERS_MAX;
        if fits {
            seen = all;
        } else {
            faults.push((*id, HeadFault::TooManyWriters));
        }
        fits
    });
    faults
}

/// Reads what a head's root folder has that none of these has. Deeper folders are held to the rules when somebody comes there:
/// one that breaks them ends nothing but itself.
fn check_root(source: &mut BlockSource, root: &FolderNode, bases: &[FolderNode]) -> StepResult<()> {
    source.begin_part();
    for base in bases {
        match differing_nodes(source, [root, base], &mut BTreeSet::new()) {
            // The base cannot be had any more: that says nothing of this head.
            Err(MissingOrError::Failed(error)) if HeadFault::of(&error).is_some() && source.is_sound(root) => {}
            other => return other,
        }
    }
    let mut next: Vec<NodeClaim> = NodeClaim::of_folder(root).into_iter().collect();
    let mut left = ROOT_NODES_MAX;
    while !next.is_empty() && left > 0 {
        let level: Vec<NodeClaim> = std::mem::take(&mut next).into_iter().take(left).collect();
        left -= level.len();
        each(level, |claim| {
            let node = source.node(&claim)?;
            next.extend((0..).map_while(|number| claim.child(&node, number)));
            Ok(())
        })?;
    }
    Ok(())
}
