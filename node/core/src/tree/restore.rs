//! Changes by which something comes back from an earlier state, and those of the history itself.

use fsdfs_proto::ids::BlockId;
use fsdfs_proto::volume::{EntryVersion, HistoryRules, STATES_MAX, XATTR_HISTORY};

use super::alias;
use super::dir::{MergedDirectory, NameSlot};
use super::edit::{TreeEditor, check_not_reserved, check_path};
use super::history::{PastEntry, root_of};
use super::source::{MissingOrError, StepResult};
use super::terms::BlockAbsence;
use super::{EditError, EditOutcome, EntryName, FileNode, TreeError};

impl TreeEditor<'_, '_> {
    /// Like a move out of an earlier state: all of it counts as written now, and a folder of a million files costs one entry.
    pub(super) fn restore(
        &mut self,
        state: BlockId,
        from: &[EntryName],
        to: &[EntryName],
        replace: bool,
    ) -> StepResult<EditOutcome> {
        check_path(to)?;
        check_not_reserved(from)?;
        check_not_reserved(to)?;
        let (name, parents) = to.split_last().ok_or(EditError::IntoItself)?;
        let PastEntry { slot: past, folders } = self.past(state, from)?;
        if let Some((source, dir)) = self.folder(parents)? {
            let slot = dir.get(source, name)?;
            if is_same(&slot, &past) {
                return Ok(EditOutcome::Unchanged);
            }
            let is_there = !slot.is_empty() || alias::find(dir, source, name)?.is_some();
            if is_there && !replace {
                return Err(EditError::Exists.into());
            }
        }
        self.source.changing = true;
        // Folders that are gone come back as they were, if they are the same ones.
        let folders = if from == to { folders } else { Vec::new() };
        let (source, dir) = self.folder_made_as(parents, &folders)?;
        if !dir.get(source, name)?.is_empty() {
            dir.changes.insert(name.clone(), NameSlot::default());
        }
        self.place(parents, name, past)?;
        Ok(EditOutcome::Changed)
    }

    /// What keeps an earlier state from being read is no fault of what is there now, nor of others' changes of this commit.
    fn past(&mut self, state: BlockId, from: &[EntryName]) -> StepResult<PastEntry> {
        let found = root_of(self.source, self.keys, state).and_then(|(commit, root)| {
            // A folder that is put here says that it includes all of it.
            if !self.version_vector.covers_all(&commit.version_vector) {
                return Err(EditError::NoSuchState.into());
            }
            PastEntry::find(self.source, root, from)
        });
        found.map_err(|error| match error {
            MissingOrError::Failed(TreeError::Absent(id, BlockAbsence::Nowhere)) if id == state => {
                EditError::NoSuchState.into()
            }
            MissingOrError::Failed(_) => EditError::StateUnreadable.into(),
            other => other,
        })
    }

    /// The rules stand with the attributes of the root, which every commit carries.
    pub(super) fn keep_history(&mut self, rules: &HistoryRules) -> StepResult<EditOutcome> {
        if rules.states() > STATES_MAX {
            return Err(EditError::TooManyStates.into());
        }
        let (attrs, xattrs, ..) = self.root.attrs();
        if HistoryRules::of_root(xattrs) == *rules {
            return Ok(EditOutcome::Unchanged);
        }
        let mut xattrs: Vec<_> = xattrs.iter().filter(|xattr| *xattr.name != *XATTR_HISTORY).cloned().collect();
        xattrs.push(rules.xattr());
        xattrs.sort();
        fsdfs_proto::volume::check_xattrs(&xattrs).map_err(|_| EditError::BadFile)?;
        self.root.folder.attrs = vec![self.origin.version(attrs, &xattrs)];
        Ok(EditOutcome::Changed)
    }

    pub(super) fn drop_states(&mut self, states: &[BlockId]) -> StepResult<EditOutcome> {
        if states.iter().any(|id| !self.states.contains(id)) {
            return Err(EditError::NoSuchState.into());
        }
        self.dropped.extend(states);
        Ok(if states.is_empty() { EditOutcome::Unchanged } else { EditOutcome::Changed })
    }
}

/// Whether what is there is what was there, by whatever operation it came.
fn is_same(now: &NameSlot, past: &NameSlot) -> bool {
    let values = |slot: &NameSlot| -> Vec<_> { slot.versions.iter().map(value).collect::<Vec<_>>() };
    let dirs = match (&now.dir, &past.dir) {
        (None, None) => true,
        (Some(now), Some(past)) => {
            let attrs =
                |dir: &MergedDirectory| dir.folder.attrs.last().map(|version| (version.value, version.xattrs.clone()));
            now.changes.is_empty()
                && past.changes.is_empty()
                && now.folder.tree == past.folder.tree
                && attrs(now) == attrs(past)
        }
        _ => false,
    };
    dirs && values(now) == values(past)
}

fn value(version: &EntryVersion<FileNode>) -> (FileNode, Vec<super::Xattr>) {
    (version.value.clone(), version.xattrs.clone())
}
