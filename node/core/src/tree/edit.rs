//! Changes to a tree. Each is made whole or not at all: everything is looked up before anything is changed.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use fsdfs_proto::ids::BlockId;
use fsdfs_proto::volume::{
    Dot, EntryVersion, NAME_RESERVED, NAME_STANDS_FOR, PATH_NAMES_MAX, VersionVector, VolumeKeys, check_name,
    check_xattrs, is_reserved_xattr,
};

use super::alias::{self, BlockAlias};
use super::dir::{EntryOrigin, MergedDirectory, NameSlot};
use super::merge::MergeState;
use super::source::{BlockSource, MissingOrError, StepResult, each};
use super::{EditError, EditOutcome, EntryName, FileAttributes, FileNode, TreeEdit, TreeError, Xattr};

/// Permissions of a folder that was made without saying which.
const FOLDER_MODE: u32 = 0o755;

/// Makes changes, all under one dot.
pub(super) struct TreeEditor<'a, 'b> {
    pub source: &'a mut BlockSource<'b>,
    pub root: MergedDirectory,
    /// Everything below, which a moved folder's stamp covers.
    pub version_vector: VersionVector,
    pub origin: EntryOrigin,
    /// Open earlier states.
    pub keys: &'a VolumeKeys,
    /// Earlier states that the commit may list.
    pub states: &'a BTreeSet<BlockId>,
    /// Those of them that it is not to list.
    pub dropped: BTreeSet<BlockId>,
}

impl<'a, 'b> TreeEditor<'a, 'b> {
    pub fn new(
        source: &'a mut BlockSource<'b>,
        state: MergeState,
        origin: EntryOrigin,
        (keys, states): (&'a VolumeKeys, &'a BTreeSet<BlockId>),
    ) -> Self {
        let MergeState { root, version_vector } = state;
        Self { source, root, version_vector, origin, keys, states, dropped: BTreeSet::new() }
    }

    /// Makes the changes in order, those of the numbers that `takes` says.
    pub fn run(
        &mut self,
        edits: &[TreeEdit],
        takes: &dyn Fn(usize) -> bool,
    ) -> StepResult<Vec<Result<EditOutcome, EditError>>> {
        let mut outcomes = Vec::with_capacity(edits.len());
        each(edits.iter().enumerate(), |(number, edit)| {
            if !takes(number) {
                outcomes.push(Err(EditError::Unreadable));
                return Ok(());
            }
            self.source.begin_part();
            self.source.changing = false;
            outcomes.push(match self.edit(edit) {
                Err(MissingOrError::Refused(error)) => Err(error),
                // It fails alone: others' changes of this commit have nothing to do with that folder.
                Err(MissingOrError::Failed(error)) if is_of_one_folder(&error) && !self.source.changing => {
                    Err(EditError::Unreadable)
                }
                other => Ok(other?),
            });
            Ok(())
        })?;
        Ok(outcomes)
    }

    fn edit(&mut self, edit: &TreeEdit) -> StepResult<EditOutcome> {
        match edit {
            TreeEdit::Put { path, file, xattrs } => self.put(path, file, xattrs),
            TreeEdit::MakeDir { path, attrs, xattrs, fresh } => {
                self.make_dir(path, attrs.map(|attrs| (attrs, &xattrs[..])), *fresh)
            }
            TreeEdit::Remove { path, recursive } => self.remove(path, *recursive),
            TreeEdit::Move { from, to } => self.rename(from, to),
            TreeEdit::Restore { state, from, to, replace } => self.restore(*state, from, to, *replace),
            TreeEdit::KeepHistory(rules) => self.keep_history(rules),
            TreeEdit::DropStates(states) => self.drop_states(states),
        }
    }

    /// A write supersedes all versions of its name. Written to the shown name of another version, it takes that version out
    /// and makes the name a real one.
    fn put(&mut self, path: &[EntryName], file: &FileNode, xattrs: &[Xattr]) -> StepResult<EditOutcome> {
        check_path(path)?;
        check_not_reserved(path)?;
        file.check().and_then(|()| check_xattrs(xattrs)).map_err(|_| EditError::BadFile)?;
        let (name, parents) = path.split_last().ok_or(EditError::IsAFolder)?;
        let origin = self.origin;
        if let Some((source, dir)) = self.folder(parents)? {
            let slot = dir.get(source, name)?;
            if slot.dir.is_some() {
                return Err(EditError::IsAFolder.into());
            }
            if matches!(&slot.versions[..], [version] if version.value == *file && version.xattrs == xattrs) {
                return Ok(EditOutcome::Unchanged);
            }
            if slot.is_empty() {
                source.changing = true;
                take_alias(dir, source, name, origin)?;
            }
        }
        self.source.changing = true;
        let (source, dir) = self.folder_made(parents)?;
        dir.slot(source, name)?.versions = vec![origin.version(file.clone(), xattrs)];
        Ok(EditOutcome::Changed)
    }

    fn make_dir(
        &mut self,
        path: &[EntryName],
        attrs: Option<(FileAttributes, &[Xattr])>,
        fresh: bool,
    ) -> StepResult<EditOutcome> {
        check_path(path)?;
        check_not_reserved(path)?;
        let check = |(attrs, xattrs): &(FileAttributes, &[Xattr])| attrs.check().and_then(|()| check_xattrs(xattrs));
        attrs.iter().try_for_each(check).map_err(|_| EditError::BadFile)?;
        let origin = self.origin;
        let is_there = self.folder(path).map(|folder| folder.is_some());
        let is_file = is_there == Err(EditError::NotAFolder.into());
        if fresh && (is_there == Ok(true) || is_file && self.exists(path)?) {
            return Err(EditError::Exists.into());
        }
        let is_there = is_there?;
        self.source.changing = true;
        let (_, dir) = self.folder_made(path)?;
        // What is the store's own, such as the rules of the history, stays.
        let own = dir
            .folder
            .attrs
            .last()
            .into_iter()
            .flat_map(|version| &version.xattrs)
            .filter(|own| is_reserved_xattr(own));
        let own: Vec<Xattr> = own.cloned().collect();
        let attrs = attrs.map(|(attrs, xattrs)| {
            let mut xattrs = Cow::Borrowed(xattrs);
            if !own.is_empty() {
                xattrs.to_mut().extend(own);
                xattrs.to_mut().sort();
            }
            (attrs, xattrs)
        });
        match attrs {
            Some((attrs, xattrs)) if !matches!(&dir.folder.attrs[..], [version] if version.value == attrs && version.xattrs[..] == xattrs[..]) =>
            {
                dir.folder.attrs = vec![origin.version(attrs, &xattrs)];
                Ok(EditOutcome::Changed)
            }
            _ if is_there => Ok(EditOutcome::Unchanged),
            _ => Ok(EditOutcome::Changed),
        }
    }

    fn remove(&mut self, path: &[EntryName], recursive: bool) -> StepResult<EditOutcome> {
        let (name, parents) = path.split_last().ok_or(EditError::IntoItself)?;
        let origin = self.origin;
        let (source, dir) = self.folder(parents)?.ok_or(EditError::NotFound)?;
        let slot = dir.get(source, name)?;
        if slot.is_empty() {
            alias::find(dir, source, name)?.ok_or(EditError::NotFound)?;
            source.changing = true;
            take_alias(dir, source, name, origin)?;
            self.adopt(parents)?;
            return Ok(EditOutcome::Changed);
        }
        if let Some(sub) = &slot.dir {
            if !recursive && !sub.is_empty(source)? {
                return Err(EditError::NotEmpty.into());
            }
            source.changing = true;
            dir.slot(source, name)?.dir = None;
        } else {
            // What was shown beside it stays under the names it was shown by.
            let aliases = alias::shown(dir, source, name, &slot)?;
            source.changing = true;
            dir.changes.insert(name.clone(), NameSlot::default());
            store_aliases(dir, aliases.into_iter().skip(1), origin);
        }
        self.adopt(parents)?;
        Ok(EditOutcome::Changed)
    }

    /// A folder that lives on through its content only must not vanish when a user takes the last name out of it.
    fn adopt(&mut self, path: &[EntryName]) -> StepResult<()> {
        let dot = self.origin.dot;
        if let Some((_, dir)) = self.folder(path)?
            && dir.folder.births.is_empty()
            && !path.is_empty()
        {
            dir.folder.births = vec![dot];
        }
        Ok(())
    }

    fn rename(&mut self, from: &[EntryName], to: &[EntryName]) -> StepResult<EditOutcome> {
        check_path(to)?;
        check_not_reserved(from)?;
        check_not_reserved(to)?;
        let (name, parents) = from.split_last().ok_or(EditError::IntoItself)?;
        let (target, target_parents) = to.split_last().ok_or(EditError::IntoItself)?;
        let (source, dir) = self.folder(parents)?.ok_or(EditError::NotFound)?;
        let slot = dir.get(source, name)?;
        let is_alias = slot.is_empty();
        let moved = if is_alias {
            let (_, alias) = alias::find(dir, source, name)?.ok_or(EditError::NotFound)?;
            NameSlot { versions: vec![alias.version], dir: None }
        } else if slot.dir.is_some() {
            NameSlot { versions: Vec::new(), dir: slot.dir.clone() }
        } else {
            slot.into_owned()
        };
        if from == to {
            return Ok(EditOutcome::Unchanged);
        }
        if to.starts_with(from) {
            return Err(if moved.dir.is_some() { EditError::IntoItself } else { EditError::NotAFolder }.into());
        }
        let (source, target_dir) = self.folder(target_parents)?.ok_or(EditError::NotFound)?;
        check_target(target_dir.get(source, target)?.as_ref(), moved.dir.is_some())?;
        self.source.changing = true;
        self.take(parents, name, is_alias, moved.dir.is_some())?;
        self.place(target_parents, target, moved)?;
        Ok(EditOutcome::Changed)
    }

    fn take(&mut self, parents: &[EntryName], name: &EntryName, is_alias: bool, is_dir: bool) -> StepResult<()> {
        let origin = self.origin;
        let (source, dir) = self.folder(parents)?.ok_or(EditError::NotFound)?;
        if is_alias {
            take_alias(dir, source, name, origin)?;
        } else if is_dir {
            dir.slot(source, name)?.dir = None;
        } else {
            dir.slot(source, name)?.versions.clear();
        }
        self.adopt(parents)
    }

    /// Moved content counts as new. A folder's content gets a stamp instead of new dots: moving a million files is O(1).
    pub(super) fn place(&mut self, parents: &[EntryName], name: &EntryName, moved: NameSlot) -> StepResult<()> {
        let (dot, version_vector) = (self.origin.dot, self.version_vector.clone());
        let origin = self.origin;
        let (source, dir) = self.folder(parents)?.ok_or(EditError::NotFound)?;
        if dir.get(source, name)?.is_empty() {
            take_alias(dir, source, name, origin)?;
        }
        let slot = dir.slot(source, name)?;
        match moved.dir {
            Some(mut sub) => {
                let folder = &mut Arc::make_mut(&mut sub).folder;
                folder.births = vec![dot];
                folder.since = version_vector;
                slot.dir = Some(sub);
            }
            None => slot.versions = redotted(moved.versions, dot),
        }
        Ok(())
    }

    /// The folder at a path; none if it does not exist.
    pub(super) fn folder(
        &mut self,
        path: &[EntryName],
    ) -> StepResult<Option<(&mut BlockSource<'b>, &mut MergedDirectory)>> {
        let mut dir = &mut self.root;
        for name in path {
            if dir.get(self.source, name)?.dir.is_none() {
                let is_file = !dir.get(self.source, name)?.is_empty() || alias::find(dir, self.source, name)?.is_some();
                return if is_file { Err(EditError::NotAFolder.into()) } else { Ok(None) };
            }
            dir = Arc::make_mut(dir.slot(self.source, name)?.dir.get_or_insert_default());
            limit_stamp(dir, self.origin.dot, &self.version_vector);
        }
        Ok(Some((self.source, dir)))
    }

    /// The folder at a path that leads over no file. What is missing is made.
    fn folder_made(&mut self, path: &[EntryName]) -> StepResult<(&mut BlockSource<'b>, &mut MergedDirectory)> {
        self.folder_made_as(path, &[])
    }

    /// The same; folders that are made get the attributes that they had, as far as these are known.
    pub(super) fn folder_made_as(
        &mut self,
        path: &[EntryName],
        past: &[Vec<EntryVersion<FileAttributes>>],
    ) -> StepResult<(&mut BlockSource<'b>, &mut MergedDirectory)> {
        let origin = self.origin;
        let mtime_ns = i64::try_from(origin.time.ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let attrs = FileAttributes { mode: FOLDER_MODE, mtime_ns };
        let mut dir = &mut self.root;
        for (depth, name) in path.iter().enumerate() {
            let slot = dir.slot(self.source, name)?;
            let was = past.get(depth).and_then(|versions| versions.last());
            let born = || {
                MergedDirectory::born(origin, was.map_or(attrs, |was| was.value), was.map_or(&[], |was| &was.xattrs))
            };
            dir = Arc::make_mut(slot.dir.get_or_insert_with(|| Arc::new(born())));
            limit_stamp(dir, origin.dot, &self.version_vector);
        }
        Ok((self.source, dir))
    }

    fn exists(&mut self, path: &[EntryName]) -> StepResult<bool> {
        let Some((name, parents)) = path.split_last() else { return Ok(true) };
        let Some((source, dir)) = self.folder(parents)? else { return Ok(false) };
        Ok(!dir.get(source, name)?.is_empty() || alias::find(dir, source, name)?.is_some())
    }
}

/// A folder's stamp says what its mover had seen, and nobody proves it. One that claims to have seen this very operation would
/// make it part of the move: whoever has seen the move, and not the operation, would take it for removed. So what the stamp says
/// of this node's writers goes no further than what this node had done.
fn limit_stamp(dir: &mut MergedDirectory, dot: Dot, done: &VersionVector) {
    if !dir.folder.since.covers(dot) {
        return;
    }
    let since = std::mem::take(&mut dir.folder.since);
    let others = since.dots().iter().filter(|other| !other.writer.is_beside(&dot.writer)).copied();
    let own = done.dots().iter().filter(|own| own.writer.is_beside(&dot.writer));
    let own = own.map(|own| Dot { seq: own.seq.min(since.get(own.writer)), ..*own }).filter(|own| own.seq > 0);
    dir.folder.since = others.chain(own).collect();
}

/// Whether an error says something of the folders on one edit's way only.
pub(super) fn is_of_one_folder(error: &TreeError) -> bool {
    matches!(error, TreeError::Damaged(_) | TreeError::TooNew | TreeError::TooCostly)
}

pub(super) fn check_path(path: &[EntryName]) -> Result<(), EditError> {
    if path.len() > PATH_NAMES_MAX {
        return Err(EditError::BadName);
    }
    path.iter().try_for_each(|name| check_name(name)).map_err(|_| EditError::BadName)
}

/// spec 05-volume §3: what lies below this name of the root, and names that stand for what is none, are made by gateways and
/// not by users.
pub(super) fn check_not_reserved(path: &[EntryName]) -> Result<(), EditError> {
    let is_in_root = path.first().is_some_and(|name| **name == *NAME_RESERVED);
    let stands_for = path.iter().any(|name| name.starts_with(NAME_STANDS_FOR));
    if is_in_root || stands_for { Err(EditError::ReservedName) } else { Ok(()) }
}

fn check_target(slot: &NameSlot, moves_dir: bool) -> Result<(), EditError> {
    match (moves_dir, slot.dir.is_some(), slot.versions.is_empty()) {
        (true, false, true) | (false, false, _) => Ok(()),
        (true, ..) => Err(EditError::Exists),
        (false, ..) => Err(EditError::IsAFolder),
    }
}

/// Takes a version out of its entry by the name it is shown under. If it was the newest, the others become entries under the
/// names they were shown by, so that what the user sees changes in this one name only.
fn take_alias(
    dir: &mut MergedDirectory,
    source: &mut BlockSource,
    name: &EntryName,
    origin: EntryOrigin,
) -> StepResult<Option<()>> {
    let Some((base, alias)) = alias::find(dir, source, name)? else { return Ok(None) };
    let slot = dir.get(source, &base)?;
    let aliases = alias::shown(dir, source, &base, &slot)?;
    let slot = dir.slot(source, &base)?;
    if slot.versions.last() == Some(&alias.version) {
        slot.versions.clear();
        store_aliases(dir, aliases.into_iter().skip(1), origin);
    } else {
        slot.versions.retain(|version| *version != alias.version);
    }
    Ok(Some(()))
}

/// Makes shown names real.
fn store_aliases(dir: &mut MergedDirectory, aliases: impl Iterator<Item = BlockAlias>, origin: EntryOrigin) {
    for BlockAlias { name, version } in aliases {
        dir.changes.insert(name, NameSlot { versions: redotted(vec![version], origin.dot), dir: None });
    }
}

fn redotted(versions: Vec<EntryVersion<FileNode>>, dot: Dot) -> Vec<EntryVersion<FileNode>> {
    let mut versions: Vec<_> = versions.into_iter().map(|version| EntryVersion { dot, ..version }).collect();
    versions.sort();
    versions.dedup();
    versions
}
