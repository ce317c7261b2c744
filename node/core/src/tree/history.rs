//! Earlier states: which of them a commit lists, and reading one.
//!
//! A commit names the heads that it was made from and, beside them, the earlier states that are kept: so one hop from the
//! newest head leads to all of them. What to keep is chosen among the heads and all that these name.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::BlockId;
use fsdfs_proto::volume::{Commit, EntryVersion, FileAttributes, HistoryRules, NAME_RESERVED, STATES_MAX, VolumeKeys};

use super::dir::{MergedDirectory, NameSlot};
use super::ladder::{StateNote, ladder};
use super::operation::{HistoryState, VolumeHistory};
use super::source::{BlockSource, StepResult, each};
use super::terms::{BlockAbsence, JobTerms};
use super::{EditError, EntryName, TreeError};
use crate::limits::STATES_ASKED_MAX;

/// States that a commit may list: the heads that stand, and those that they name.
#[derive(Default)]
pub(super) struct KeptStates {
    /// Those of which something is known.
    known: BTreeMap<BlockId, StateNote>,
    /// Their commits cannot be had now: they are kept without being judged, as far as there is place for them, in this order.
    unjudged: Vec<BlockId>,
    /// Those of both that no head names: only this node remembers them.
    remembered: BTreeSet<BlockId>,
    now_ms: u64,
    hour_ms: u64,
}

impl KeptStates {
    /// What these commits name, those that were used before first: a head can name what there is not, and must not have the place
    /// of what others name. A state that is nowhere can never be read again, and is let go.
    pub fn of(
        source: &mut BlockSource,
        (keys, hour_ms): (&VolumeKeys, u64),
        terms: &JobTerms,
        heads: &[&(BlockId, Commit)],
    ) -> StepResult<Self> {
        let Some(history) = &terms.history else { return Ok(Self::default()) };
        let now_ms = history.now_ms;
        let known = heads.iter().map(|(id, commit)| (*id, StateNote::of(commit, now_ms)));
        let known: BTreeMap<BlockId, StateNote> = known.collect();
        let named = || heads.iter().flat_map(|(_, commit)| &commit.parents).copied();
        let listed: BTreeSet<BlockId> = named().chain(known.keys().copied()).collect();
        let remembered: BTreeSet<BlockId> = history.remembered.difference(&listed).copied().collect();
        let mut kept = Self { known, unjudged: Vec::new(), remembered: remembered.clone(), now_ms, hour_ms };
        let (mut seen, mut asked) = (BTreeSet::new(), 0);
        each(remembered.into_iter().chain(named()).filter(|id| seen.insert(*id)), |id| {
            if kept.known.contains_key(&id) {
                return Ok(());
            }
            if let Some(note) = history.known.get(&id) {
                kept.known.insert(id, *note);
                return Ok(());
            }
            if asked == STATES_ASKED_MAX {
                kept.unjudged.push(id);
                return Ok(());
            }
            asked += 1;
            match source.commit(id)?.map(|block| StateNote::of_block(keys, block.bytes(), now_ms)) {
                Ok(Ok(note)) => drop(kept.known.insert(id, note)),
                Err(BlockAbsence::Away) => kept.unjudged.push(id),
                // No commit at all, or nowhere.
                Ok(Err(_)) | Err(BlockAbsence::Nowhere) => {}
            }
            Ok(())
        })?;
        Ok(kept)
    }

    /// Those that the next commit lists, but for those that are dropped.
    pub fn listed(mut self, rules: &HistoryRules, dropped: &BTreeSet<BlockId>) -> BTreeSet<BlockId> {
        self.known.retain(|id, _| !dropped.contains(id));
        let mut listed: BTreeSet<BlockId> =
            ladder((self.now_ms, self.hour_ms), rules, &self.known).into_keys().collect();
        let place = STATES_MAX.saturating_sub(listed.len());
        listed.extend(self.unjudged.into_iter().filter(|id| !dropped.contains(id)).take(place));
        debug_assert!(self.remembered.is_empty(), "what a node remembers is its own affair");
        debug_assert!(listed.len() <= STATES_MAX, "a ladder has at most so many rungs");
        listed
    }

    /// Those that need not be listed: all but the heads, from which the next commit is made.
    pub fn droppable(&self, heads: &BTreeSet<BlockId>) -> BTreeSet<BlockId> {
        self.known.keys().chain(&self.unjudged).filter(|id| !heads.contains(id)).copied().collect()
    }

    /// All of them, for people. `standing`: those that are heads.
    pub fn shown(self, rules: HistoryRules, standing: &BTreeSet<BlockId>) -> VolumeHistory {
        let mut listed = self.known.clone();
        listed.retain(|id, _| !self.remembered.contains(id));
        let kept = ladder((self.now_ms, self.hour_ms), &rules, &listed);
        let mut known: Vec<(BlockId, StateNote)> = self.known.into_iter().collect();
        known.sort_unstable_by_key(|(id, note)| std::cmp::Reverse((note.time, note.operations, *id)));
        let known = known.into_iter().map(|(id, note)| (id, Some(note)));
        let all = known.chain(self.unjudged.into_iter().map(|id| (id, None)));
        let state = |(id, note)| HistoryState {
            id,
            note,
            stands: standing.contains(&id),
            rung: kept.get(&id).copied(),
            remembered: self.remembered.contains(&id),
        };
        VolumeHistory { rules, states: all.map(state).collect() }
    }
}

/// What the attributes of a root say of history.
pub(super) fn rules_of(attrs: Option<&EntryVersion<FileAttributes>>) -> HistoryRules {
    attrs.map_or(HistoryRules::DEFAULT, |version| HistoryRules::of_root(&version.xattrs))
}

/// The root of an earlier state.
pub(super) fn root_of(
    source: &mut BlockSource,
    keys: &VolumeKeys,
    state: BlockId,
) -> StepResult<(Commit, MergedDirectory)> {
    let block = source.commit(state)?.map_err(|absence| TreeError::Absent(state, absence))?;
    let commit = Commit::open(keys, block.bytes())?;
    commit.flags.readable("the volume")?;
    let root = MergedDirectory::stored(commit.root.clone());
    Ok((commit, root))
}

/// What an earlier state has at a path, and the attributes of the folders on the way.
pub(super) struct PastEntry {
    pub slot: NameSlot,
    pub folders: Vec<Vec<EntryVersion<FileAttributes>>>,
}

impl PastEntry {
    /// Looks a stored name up. All of a state is its root, without what is the store's own in it.
    pub fn find(source: &mut BlockSource, mut dir: MergedDirectory, path: &[EntryName]) -> StepResult<Self> {
        let Some((name, parents)) = path.split_last() else {
            dir.changes.insert(EntryName::from_static(NAME_RESERVED), NameSlot::default());
            for version in &mut dir.folder.attrs {
                version.xattrs.retain(|xattr| !fsdfs_proto::volume::is_reserved_xattr(xattr));
            }
            return Ok(Self { slot: NameSlot { versions: Vec::new(), dir: Some(dir.into()) }, folders: Vec::new() });
        };
        let mut folders = Vec::with_capacity(parents.len());
        for parent in parents {
            let slot = dir.get(source, parent)?.into_owned();
            dir = slot.dir.map(std::sync::Arc::unwrap_or_clone).ok_or(EditError::NotInState)?;
            folders.push(dir.folder.attrs.clone());
        }
        let mut slot = dir.get(source, name)?.into_owned();
        if slot.is_empty() {
            let (_, alias) = super::alias::find(&dir, source, name)?.ok_or(EditError::NotInState)?;
            slot.versions = vec![alias.version];
        } else if slot.dir.is_some() {
            slot.versions.clear();
        }
        Ok(Self { slot, folders })
    }
}
