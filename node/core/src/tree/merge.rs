//! Merging two states without a common ancestor (spec 05-volume §7).
//!
//! A state is a tree and what it has seen. A version (or a folder's birth) that only one side has is kept iff the other side
//! has not seen its dot: then it is new to that side, else that side removed it. Where a moved folder lies above, the dot that
//! counts is the stamped one. `proto-spec/check/merge_model.py` is the same in a page of Python, over plain maps.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use fsdfs_proto::volume::{
    BIRTHS_MAX, BlockRef, DirectoryNode, Dot, EntryVersion, FolderNode, FolderVectors, NodeClaim,
    VERSION_VECTOR_WRITERS_MAX, VERSIONS_MAX, VersionVector,
};

use super::EntryName;
use super::dir::{EntryStamp, MergedDirectory, NameSlot};
use super::source::{BlockSource, MissingOrError, StepResult, each, is_lost};

/// A tree, and every operation that went into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MergeState {
    pub version_vector: VersionVector,
    pub root: MergedDirectory,
}

/// Where a merge reads, and what it found.
struct MergeSource<'s, 'a> {
    source: &'s mut BlockSource<'a>,
    memo: MergeMemo,
}

impl<'a> Deref for MergeSource<'_, 'a> {
    type Target = BlockSource<'a>;

    fn deref(&self) -> &BlockSource<'a> {
        self.source
    }
}

impl DerefMut for MergeSource<'_, '_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.source
    }
}

impl MergeSource<'_, '_> {
    /// Runs a step one folder deeper.
    fn deeper<T>(&mut self, step: impl FnOnce(&mut Self) -> StepResult<T>) -> StepResult<T> {
        self.source.enter()?;
        let done = step(self);
        self.source.leave();
        done
    }
}

/// What became of stored folders that one merge has come to. The same folder may lie at as many places as somebody likes, for
/// equal folders are equal blocks: the work is to be as much as there are folders, not as there are places.
#[derive(Default)]
struct MergeMemo(BTreeMap<Box<MemoKey>, StepResult<Option<Arc<MergedDirectory>>>>);

/// A step of a merge whose outcome depends on nothing else. Boxed, for recursion is to cost little stack.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MemoKey {
    /// What is left of a folder of one side, below these stamps. True: the side is ours.
    Pruned(bool, Vec<EntryStamp>, FolderNode),
    /// Both sides of a folder below these stamps.
    Both(Vec<EntryStamp>, FolderNode, FolderNode),
    /// A folder below one more stamp.
    Restamped(EntryStamp, FolderNode),
}

/// Takes a step once. Also that it lacks blocks is remembered: within one run none come.
fn once(
    source: &mut MergeSource,
    key: Option<Box<MemoKey>>,
    step: impl FnOnce(&mut MergeSource) -> StepResult<Option<Arc<MergedDirectory>>>,
) -> StepResult<Option<Arc<MergedDirectory>>> {
    let Some(key) = key else { return step(source) };
    if let Some(known) = source.memo.0.get(&key) {
        return known.clone();
    }
    let done = step(source);
    source.memo.0.insert(key, done.clone());
    done
}

/// Only folders that nothing was changed in are told apart by what is stored of them.
fn is_stored(dir: &MergedDirectory) -> bool {
    dir.changes.is_empty() && dir.folder.tree.is_some()
}

#[inline(never)]
fn pruned_key(side: bool, above: &[EntryStamp], dir: &MergedDirectory) -> Option<Box<MemoKey>> {
    is_stored(dir).then(|| Box::new(MemoKey::Pruned(side, above.to_vec(), dir.folder.clone())))
}

#[inline(never)]
fn both_key(above: &[EntryStamp], ours: &MergedDirectory, theirs: &MergedDirectory) -> Option<Box<MemoKey>> {
    let folders = || (ours.folder.clone(), theirs.folder.clone());
    (is_stored(ours) && is_stored(theirs))
        .then(folders)
        .map(|(ours, theirs)| Box::new(MemoKey::Both(above.to_vec(), ours, theirs)))
}

#[inline(never)]
fn restamped_key(stamp: &EntryStamp, dir: &MergedDirectory) -> Option<Box<MemoKey>> {
    is_stored(dir).then(|| Box::new(MemoKey::Restamped(stamp.clone(), dir.folder.clone())))
}

/// The state that includes both.
pub(super) fn merge(source: &mut BlockSource, ours: &MergeState, theirs: &MergeState) -> StepResult<MergeState> {
    // What is found holds for these two version vectors only.
    let source = &mut MergeSource { source, memo: MergeMemo::default() };
    let sides = MergeSides { ours: &ours.version_vector, theirs: &theirs.version_vector };
    let (our_root, their_root) = (Arc::new(ours.root.clone()), Arc::new(theirs.root.clone()));
    let root = sides.either(source, Some(&our_root), Some(&their_root), &[])?.unwrap_or_default();
    let mut root = Arc::unwrap_or_clone(root);
    // Nobody makes or removes the root, so its attributes are a plain register: the last writer wins.
    let attrs = ours.root.folder.attrs.iter().chain(&theirs.root.folder.attrs).max();
    root.folder.attrs = attrs.cloned().into_iter().collect();
    let mut version_vector = ours.version_vector.clone();
    version_vector.add_all(&theirs.version_vector);
    Ok(MergeState { version_vector, root })
}

/// What each side has seen.
#[derive(Clone, Copy)]
struct MergeSides<'a> {
    ours: &'a VersionVector,
    theirs: &'a VersionVector,
}

impl MergeSides<'_> {
    /// A folder that cannot be read is left as it is, where both sides have it the one that can be: a merge that failed for it
    /// would end all writing to the volume.
    fn either(
        self,
        source: &mut MergeSource,
        ours: Option<&Arc<MergedDirectory>>,
        theirs: Option<&Arc<MergedDirectory>>,
        above: &[EntryStamp],
    ) -> StepResult<Option<Arc<MergedDirectory>>> {
        match self.either_readable(source, ours, theirs, above) {
            Err(MissingOrError::Failed(error)) if is_lost(&error) => Ok(sounder(source, ours, theirs).cloned()),
            other => other,
        }
    }

    fn either_readable(
        self,
        source: &mut MergeSource,
        ours: Option<&Arc<MergedDirectory>>,
        theirs: Option<&Arc<MergedDirectory>>,
        above: &[EntryStamp],
    ) -> StepResult<Option<Arc<MergedDirectory>>> {
        match (ours, theirs) {
            (None, None) => Ok(None),
            (Some(ours), None) => prune(source, ours, above, (true, self.theirs)),
            (None, Some(theirs)) => prune(source, theirs, above, (false, self.ours)),
            (Some(ours), Some(theirs)) if ours == theirs => Ok(Some(Arc::clone(ours))),
            (Some(ours), Some(theirs)) => {
                let key = both_key(above, ours, theirs);
                once(source, key, |source| self.both(source, ours, theirs, above))
            }
        }
    }

    fn both(
        self,
        source: &mut MergeSource,
        ours: &MergedDirectory,
        theirs: &MergedDirectory,
        above: &[EntryStamp],
    ) -> StepResult<Option<Arc<MergedDirectory>>> {
        if births(ours) == births(theirs) {
            return self.contents(source, ours, theirs, &under(ours, above));
        }
        self.with_other_births(source, ours, theirs, above)
    }

    /// Both sides have to speak of explicit dots before their births can be compared.
    #[inline(never)]
    fn with_other_births(
        self,
        source: &mut MergeSource,
        ours: &MergedDirectory,
        theirs: &MergedDirectory,
        above: &[EntryStamp],
    ) -> StepResult<Option<Arc<MergedDirectory>>> {
        let ours = explicit(source, ours.clone(), above)?;
        let theirs = explicit(source, theirs.clone(), above)?;
        let births = self.keep(&ours.folder.births, &theirs.folder.births, |birth| *birth);
        let folder = FolderNode { births: newest(births, BIRTHS_MAX), ..ours.folder.clone() };
        self.contents(source, &MergedDirectory { folder, ..ours }, &theirs, &[])
    }

    /// Merges what lies below two folders into the first, whose births stay.
    fn contents(
        self,
        source: &mut MergeSource,
        ours: &MergedDirectory,
        theirs: &MergedDirectory,
        stamps: &[EntryStamp],
    ) -> StepResult<Option<Arc<MergedDirectory>>> {
        let mut merged = ours.clone();
        merged.folder.attrs = self.versions(&ours.folder.attrs, &theirs.folder.attrs, stamps);
        each(differing(source, ours, theirs)?, |name| {
            let (x, y) = (ours.get(source, &name)?, theirs.get(source, &name)?);
            if x == y {
                return Ok(());
            }
            let versions = self.versions(&x.versions, &y.versions, stamps);
            let dir = source.deeper(|source| self.either(source, x.dir.as_ref(), y.dir.as_ref(), stamps))?;
            let slot = NameSlot { versions, dir };
            if slot != *x {
                merged.changes.insert(name, slot);
            }
            Ok(())
        })?;
        alive(source, merged)
    }

    fn versions<T: Ord + Clone>(
        self,
        ours: &[EntryVersion<T>],
        theirs: &[EntryVersion<T>],
        stamps: &[EntryStamp],
    ) -> Vec<EntryVersion<T>> {
        newest(self.keep(ours, theirs, |version| stamped(version.dot, stamps)), VERSIONS_MAX)
    }

    /// What both sides have, or only one and the other has not seen.
    fn keep<T: Ord + Clone>(self, ours: &[T], theirs: &[T], dot: impl Fn(&T) -> Dot) -> Vec<T> {
        let new = |item: &&T, known: &[T], version_vector: &VersionVector| {
            known.contains(item) || !version_vector.covers(dot(item))
        };
        let ours_kept = ours.iter().filter(|item| new(item, theirs, self.theirs));
        let theirs_kept = theirs.iter().filter(|item| new(item, ours, self.ours));
        ours_kept.chain(theirs_kept).cloned().collect::<BTreeSet<T>>().into_iter().collect()
    }
}

/// The one of two forms of a folder that can be read, as far as that is known; the first if it is as good.
fn sounder<'a>(
    source: &BlockSource,
    ours: Option<&'a Arc<MergedDirectory>>,
    theirs: Option<&'a Arc<MergedDirectory>>,
) -> Option<&'a Arc<MergedDirectory>> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if !source.is_sound(&ours.folder) && source.is_sound(&theirs.folder) => Some(theirs),
        (ours, theirs) => ours.or(theirs),
    }
}

/// What is left of a folder that only one side has: all that the other side has not seen.
fn prune(
    source: &mut MergeSource,
    dir: &Arc<MergedDirectory>,
    above: &[EntryStamp],
    other: (bool, &VersionVector),
) -> StepResult<Option<Arc<MergedDirectory>>> {
    let key = pruned_key(other.0, above, dir);
    match once(source, key, |source| prune_once(source, dir, above, other)) {
        Err(MissingOrError::Failed(error)) if is_lost(&error) => Ok(Some(Arc::clone(dir))),
        done => done,
    }
}

fn prune_once(
    source: &mut MergeSource,
    dir: &Arc<MergedDirectory>,
    above: &[EntryStamp],
    (side, version_vector): (bool, &VersionVector),
) -> StepResult<Option<Arc<MergedDirectory>>> {
    let births = fresh(&dir.folder.births, version_vector, |birth| stamped(*birth, above));
    let stamps = under(dir, above);
    let untouched = births.len() == dir.folder.births.len();
    if untouched && dir.changes.is_empty() {
        let attrs = dir.folder.attrs.iter().all(|version| !version_vector.covers(stamped(version.dot, &stamps)));
        if attrs && stamped_within(&dir.folder.within, &stamps).none_in(version_vector) {
            return Ok(Some(Arc::clone(dir)));
        }
    }
    let slots = dir.all(source, &|within| stamped_within(within, &stamps).all_in(version_vector))?;
    let mut left = unstored(dir, slots);
    if untouched {
        return pruned(source, left, &stamps, (side, version_vector));
    }
    // Its births are gone but content may stay: its stamp has to be made explicit while it is known.
    left = explicit(source, left, above)?;
    left.folder.births = fresh(&left.folder.births, version_vector, |birth| *birth);
    pruned(source, left, &[], (side, version_vector))
}

fn pruned(
    source: &mut MergeSource,
    mut dir: MergedDirectory,
    stamps: &[EntryStamp],
    (side, version_vector): (bool, &VersionVector),
) -> StepResult<Option<Arc<MergedDirectory>>> {
    dir.folder.attrs = fresh(&dir.folder.attrs, version_vector, |version| stamped(version.dot, stamps));
    each(dir.changes.values_mut(), |slot| {
        slot.versions = fresh(&slot.versions, version_vector, |version| stamped(version.dot, stamps));
        slot.dir = match &slot.dir {
            Some(sub) => source.deeper(|source| prune(source, sub, stamps, (side, version_vector)))?,
            None => None,
        };
        Ok(())
    })?;
    dir.changes.retain(|_, slot| !slot.is_empty());
    alive(source, dir)
}

/// A folder lives by births, attributes or content.
fn alive(source: &mut MergeSource, dir: MergedDirectory) -> StepResult<Option<Arc<MergedDirectory>>> {
    let lives = !dir.folder.births.is_empty() || !dir.folder.attrs.is_empty() || !dir.is_empty(source)?;
    Ok(lives.then(|| Arc::new(dir)))
}

fn fresh<T: Clone>(items: &[T], version_vector: &VersionVector, dot: impl Fn(&T) -> Dot) -> Vec<T> {
    items.iter().filter(|item| !version_vector.covers(dot(item))).cloned().collect()
}

fn newest<T>(mut ascending: Vec<T>, max: usize) -> Vec<T> {
    ascending.drain(..ascending.len().saturating_sub(max));
    ascending
}

/// Names that may differ: those in stored leaves that only one side has, and those that changed.
fn differing(
    source: &mut MergeSource,
    ours: &MergedDirectory,
    theirs: &MergedDirectory,
) -> StepResult<BTreeSet<EntryName>> {
    let mut names: BTreeSet<EntryName> = ours.changes.keys().chain(theirs.changes.keys()).cloned().collect();
    differing_nodes(source, [&ours.folder, &theirs.folder], &mut names)?;
    Ok(names)
}

/// Goes down two folders side by side and leaves out what both have: reads, and so checks, every node in which they differ.
pub(super) fn differing_nodes(
    source: &mut BlockSource,
    folders: [&FolderNode; 2],
    names: &mut BTreeSet<EntryName>,
) -> StepResult<()> {
    let mut sides = folders.map(|folder| claims(NodeClaim::of_folder(folder)));
    loop {
        let common: Vec<BlockRef> = sides[0].keys().filter(|node| sides[1].contains_key(node)).copied().collect();
        sides.iter_mut().for_each(|side| side.retain(|node, _| common.binary_search(node).is_err()));
        let mut level = 0;
        each(sides.iter().flat_map(BTreeMap::values), |claim| {
            level = level.max(source.node(claim)?.level());
            Ok(())
        })?;
        for side in &mut sides {
            *side = opened(source, std::mem::take(side), level, names)?;
        }
        if level == 0 {
            return Ok(());
        }
    }
}

/// Replaces the nodes of a level by their children, or by their names.
fn opened(
    source: &mut BlockSource,
    side: NodeClaims,
    level: u8,
    names: &mut BTreeSet<EntryName>,
) -> StepResult<NodeClaims> {
    let mut next = NodeClaims::new();
    for claim in side.into_values() {
        let node = source.node(&claim)?;
        match &**node {
            node if node.level() < level => next.extend(claims(Some(claim))),
            DirectoryNode::Leaf(entries) => {
                source.charge(entries.len())?;
                names.extend(entries.iter().map(|entry| entry.name.clone()));
            }
            DirectoryNode::Interior { .. } => {
                next.extend(claims((0..).map_while(|number| claim.child(&node, number))));
            }
        }
    }
    Ok(next)
}

/// Nodes of one folder. In a folder that follows the rules no node stands twice.
type NodeClaims = BTreeMap<BlockRef, NodeClaim>;

fn claims(of: impl IntoIterator<Item = NodeClaim>) -> NodeClaims {
    of.into_iter().map(|claim| (claim.at, claim)).collect()
}

fn births(dir: &MergedDirectory) -> (&[Dot], &VersionVector) {
    (&dir.folder.births, &dir.folder.since)
}

/// The folder's own stamp, if it has one: only a folder with a single birth does.
fn own(dir: &MergedDirectory) -> Option<EntryStamp> {
    match dir.folder.births[..] {
        [dot] if !dir.folder.since.is_empty() => Some(EntryStamp { dot, since: dir.folder.since.clone() }),
        _ => None,
    }
}

/// The stamps on what lies below the folder, from the inner to the outer.
fn under(dir: &MergedDirectory, above: &[EntryStamp]) -> Vec<EntryStamp> {
    own(dir).into_iter().chain(above.iter().cloned()).collect()
}

fn stamped(dot: Dot, stamps: &[EntryStamp]) -> Dot {
    stamps.iter().fold(dot, |dot, stamp| stamp.apply(dot))
}

/// The dots that may come of those in `within`: at least all that do.
fn stamped_within(within: &FolderVectors, stamps: &[EntryStamp]) -> FolderVectors {
    let mut result = within.clone();
    for stamp in stamps {
        let Some(spans) = result.spans() else { break };
        let mut next = FolderVectors::default();
        for &(mut span) in spans {
            let covered = stamp.since.get(span.writer);
            if covered >= span.least {
                next.add(stamp.dot);
                let Some(least) = covered.checked_add(1) else { continue };
                span.least = least;
            }
            if span.least <= span.greatest {
                next.add_span(span);
            }
        }
        result = next;
    }
    result
}

/// The same folder with all stamps, those above it and its own, applied one level down. Deeper ones stay lazy.
fn explicit(source: &mut MergeSource, dir: MergedDirectory, above: &[EntryStamp]) -> StepResult<MergedDirectory> {
    let mut dir = dir;
    for stamp in above {
        dir = restamped(source, dir, stamp)?;
    }
    pushed(source, dir)
}

/// The folder below one more stamp.
fn restamped(source: &mut MergeSource, mut dir: MergedDirectory, stamp: &EntryStamp) -> StepResult<MergedDirectory> {
    let births = &dir.folder.births;
    if !births.is_empty() && births.iter().all(|birth| stamp.since.covers(*birth)) {
        let mut since = dir.folder.since.clone();
        since.add_all(&stamp.since);
        if since.dots().len() > VERSION_VECTOR_WRITERS_MAX {
            // More writers than one stamp holds: the inner one is made explicit, which comes to the same.
            dir = pushed(source, dir)?;
            since = stamp.since.clone();
        }
        dir.folder.births = vec![stamp.dot];
        dir.folder.since = since;
        return Ok(dir);
    }
    // Some birth is newer than the stamp, or there is none: the stamp goes one level deeper.
    let mut dir = pushed(source, dir)?;
    let births: BTreeSet<Dot> = dir.folder.births.iter().map(|birth| stamp.apply(*birth)).collect();
    dir = pushed_by(source, dir, stamp)?;
    dir.folder.births = births.into_iter().collect();
    Ok(dir)
}

fn restamped_shared(
    source: &mut MergeSource,
    dir: &Arc<MergedDirectory>,
    stamp: &EntryStamp,
) -> StepResult<Option<Arc<MergedDirectory>>> {
    let key = restamped_key(stamp, dir);
    match once(source, key, |source| {
        restamped(source, MergedDirectory::clone(dir), stamp).map(|dir| Some(Arc::new(dir)))
    }) {
        Err(MissingOrError::Failed(error)) if is_lost(&error) => Ok(Some(Arc::clone(dir))),
        done => done,
    }
}

/// The same folder with its own stamp made explicit one level down.
fn pushed(source: &mut MergeSource, mut dir: MergedDirectory) -> StepResult<MergedDirectory> {
    let Some(stamp) = own(&dir) else { return Ok(dir) };
    dir.folder.since = VersionVector::default();
    pushed_by(source, dir, &stamp)
}

fn pushed_by(source: &mut MergeSource, mut dir: MergedDirectory, stamp: &EntryStamp) -> StepResult<MergedDirectory> {
    let slots = dir.all(source, &|_| false)?;
    dir.folder.attrs = restamp(&dir.folder.attrs, stamp);
    let mut dir = unstored(&dir, slots);
    each(dir.changes.values_mut(), |slot| {
        slot.versions = restamp(&slot.versions, stamp);
        if let Some(sub) = slot.dir.take() {
            slot.dir = source.deeper(|source| restamped_shared(source, &sub, stamp))?;
        }
        Ok(())
    })?;
    Ok(dir)
}

fn restamp<T: Ord + Clone>(versions: &[EntryVersion<T>], stamp: &EntryStamp) -> Vec<EntryVersion<T>> {
    let stamped = |version: &EntryVersion<T>| EntryVersion { dot: stamp.apply(version.dot), ..version.clone() };
    versions.iter().map(stamped).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The folder with nothing stored but these names.
fn unstored(dir: &MergedDirectory, changes: BTreeMap<EntryName, NameSlot>) -> MergedDirectory {
    let folder = FolderNode { tree: None, within: FolderVectors::default(), ..dir.folder.clone() };
    MergedDirectory { folder, changes }
}
