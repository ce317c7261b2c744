//! Merging two states without a common ancestor (spec 05-volume §7).
//!
//! A state is a tree and what it has seen. A version (or a folder's birth) that only one side has is kept iff the other side
//! has not seen its dot: then it is new to that side, else that side removed it. Where a moved folder lies above, the dot that
//! counts is the stamped one. `proto-spec/check/merge_model.py` is the same in a page of Python, over plain maps.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::volume::{
    BIRTHS_MAX, BlockRef, DirectoryNode, Dot, EntryVersion, FolderNode, FolderVectors, VERSIONS_MAX, VersionVector,
};

use super::EntryName;
use super::dir::{EntryStamp, MergedDirectory, NameSlot};
use super::source::{BlockSource, StepResult, each};

/// A tree, and every operation that went into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MergeState {
    pub version_vector: VersionVector,
    pub root: MergedDirectory,
}

/// The state that includes both.
pub(super) fn merge(source: &mut BlockSource, ours: &MergeState, theirs: &MergeState) -> StepResult<MergeState> {
    let sides = MergeSides { ours: &ours.version_vector, theirs: &theirs.version_vector };
    let mut root = *sides.both(source, &ours.root, &theirs.root, &[])?.unwrap_or_default();
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
    fn either(
        self,
        source: &mut BlockSource,
        ours: Option<&MergedDirectory>,
        theirs: Option<&MergedDirectory>,
        above: &[EntryStamp],
    ) -> StepResult<Option<Box<MergedDirectory>>> {
        match (ours, theirs) {
            (None, None) => Ok(None),
            (Some(ours), None) => prune(source, ours, above, self.theirs),
            (None, Some(theirs)) => prune(source, theirs, above, self.ours),
            (Some(ours), Some(theirs)) => self.both(source, ours, theirs, above),
        }
    }

    fn both(
        self,
        source: &mut BlockSource,
        ours: &MergedDirectory,
        theirs: &MergedDirectory,
        above: &[EntryStamp],
    ) -> StepResult<Option<Box<MergedDirectory>>> {
        if ours == theirs {
            return Ok(Some(Box::new(ours.clone())));
        }
        if births(ours) == births(theirs) {
            return self.contents(source, ours, theirs, &under(ours, above));
        }
        self.with_other_births(source, ours, theirs, above)
    }

    /// Both sides have to speak of explicit dots before their births can be compared.
    #[inline(never)]
    fn with_other_births(
        self,
        source: &mut BlockSource,
        ours: &MergedDirectory,
        theirs: &MergedDirectory,
        above: &[EntryStamp],
    ) -> StepResult<Option<Box<MergedDirectory>>> {
        let ours = explicit(source, ours.clone(), above)?;
        let theirs = explicit(source, theirs.clone(), above)?;
        let births = self.keep(&ours.folder.births, &theirs.folder.births, |birth| *birth);
        let folder = FolderNode { births: newest(births, BIRTHS_MAX), ..ours.folder.clone() };
        self.contents(source, &MergedDirectory { folder, ..ours }, &theirs, &[])
    }

    /// Merges what lies below two folders into the first, whose births stay.
    fn contents(
        self,
        source: &mut BlockSource,
        ours: &MergedDirectory,
        theirs: &MergedDirectory,
        stamps: &[EntryStamp],
    ) -> StepResult<Option<Box<MergedDirectory>>> {
        let mut merged = ours.clone();
        merged.folder.attrs = self.versions(&ours.folder.attrs, &theirs.folder.attrs, stamps);
        each(differing(source, ours, theirs)?, |name| {
            let (x, y) = (ours.get(source, &name)?, theirs.get(source, &name)?);
            if x == y {
                return Ok(());
            }
            let versions = self.versions(&x.versions, &y.versions, stamps);
            let dir = source.deeper(|source| self.either(source, x.dir.as_deref(), y.dir.as_deref(), stamps))?;
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

/// What is left of a folder that only one side has: all that the other side has not seen.
fn prune(
    source: &mut BlockSource,
    dir: &MergedDirectory,
    above: &[EntryStamp],
    version_vector: &VersionVector,
) -> StepResult<Option<Box<MergedDirectory>>> {
    let births = fresh(&dir.folder.births, version_vector, |birth| stamped(*birth, above));
    let stamps = under(dir, above);
    let untouched = births.len() == dir.folder.births.len();
    if untouched && dir.changes.is_empty() {
        let attrs = dir.folder.attrs.iter().all(|version| !version_vector.covers(stamped(version.dot, &stamps)));
        if attrs && stamped_within(&dir.folder.within, &stamps).none_in(version_vector) {
            return Ok(Some(Box::new(dir.clone())));
        }
    }
    let slots = dir.all(source, &|within| stamped_within(within, &stamps).all_in(version_vector))?;
    let mut left = unstored(dir, slots);
    if untouched {
        return pruned(source, left, &stamps, version_vector);
    }
    // Its births are gone but content may stay: its stamp has to be made explicit while it is known.
    left = explicit(source, left, above)?;
    left.folder.births = fresh(&left.folder.births, version_vector, |birth| *birth);
    pruned(source, left, &[], version_vector)
}

fn pruned(
    source: &mut BlockSource,
    mut dir: MergedDirectory,
    stamps: &[EntryStamp],
    version_vector: &VersionVector,
) -> StepResult<Option<Box<MergedDirectory>>> {
    dir.folder.attrs = fresh(&dir.folder.attrs, version_vector, |version| stamped(version.dot, stamps));
    each(dir.changes.values_mut(), |slot| {
        slot.versions = fresh(&slot.versions, version_vector, |version| stamped(version.dot, stamps));
        slot.dir = match &slot.dir {
            Some(sub) => source.deeper(|source| prune(source, sub, stamps, version_vector))?,
            None => None,
        };
        Ok(())
    })?;
    dir.changes.retain(|_, slot| !slot.is_empty());
    alive(source, dir)
}

/// A folder lives by births, attributes or content.
fn alive(source: &mut BlockSource, dir: MergedDirectory) -> StepResult<Option<Box<MergedDirectory>>> {
    let lives = !dir.folder.births.is_empty() || !dir.folder.attrs.is_empty() || !dir.is_empty(source)?;
    Ok(lives.then(|| Box::new(dir)))
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
    source: &mut BlockSource,
    ours: &MergedDirectory,
    theirs: &MergedDirectory,
) -> StepResult<BTreeSet<EntryName>> {
    let mut names: BTreeSet<EntryName> = ours.changes.keys().chain(theirs.changes.keys()).cloned().collect();
    let mut sides = [ours.folder.tree, theirs.folder.tree].map(|tree| tree.into_iter().collect::<BTreeSet<BlockRef>>());
    loop {
        let common: BTreeSet<BlockRef> = sides[0].intersection(&sides[1]).copied().collect();
        sides.iter_mut().for_each(|side| side.retain(|node| !common.contains(node)));
        let mut level = 0;
        each(sides.iter().flatten(), |node| {
            level = level.max(source.node(*node, None)?.level());
            Ok(())
        })?;
        for side in &mut sides {
            *side = opened(source, std::mem::take(side), level, &mut names)?;
        }
        if level == 0 {
            return Ok(names);
        }
    }
}

/// Replaces the nodes of a level by their children, or by their names.
fn opened(
    source: &mut BlockSource,
    side: BTreeSet<BlockRef>,
    level: u8,
    names: &mut BTreeSet<EntryName>,
) -> StepResult<BTreeSet<BlockRef>> {
    let mut next = BTreeSet::new();
    for at in side {
        match &*source.node(at, None)? {
            node if node.level() < level => next.extend([at]),
            DirectoryNode::Leaf(entries) => names.extend(entries.iter().map(|entry| entry.name.clone())),
            DirectoryNode::Interior { children, .. } => next.extend(children.iter().map(|child| child.node)),
        }
    }
    Ok(next)
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
fn explicit(source: &mut BlockSource, dir: MergedDirectory, above: &[EntryStamp]) -> StepResult<MergedDirectory> {
    let mut dir = dir;
    for stamp in above {
        dir = restamped(source, dir, stamp)?;
    }
    pushed(source, dir)
}

/// The folder below one more stamp.
fn restamped(source: &mut BlockSource, mut dir: MergedDirectory, stamp: &EntryStamp) -> StepResult<MergedDirectory> {
    let folder = &mut dir.folder;
    if !folder.births.is_empty() && folder.births.iter().all(|birth| stamp.since.covers(*birth)) {
        folder.births = vec![stamp.dot];
        folder.since.add_all(&stamp.since);
        return Ok(dir);
    }
    // Some birth is newer than the stamp, or there is none: the stamp goes one level deeper.
    let mut dir = pushed(source, dir)?;
    let births: BTreeSet<Dot> = dir.folder.births.iter().map(|birth| stamp.apply(*birth)).collect();
    dir = pushed_by(source, dir, stamp)?;
    dir.folder.births = births.into_iter().collect();
    Ok(dir)
}

/// The same folder with its own stamp made explicit one level down.
fn pushed(source: &mut BlockSource, mut dir: MergedDirectory) -> StepResult<MergedDirectory> {
    let Some(stamp) = own(&dir) else { return Ok(dir) };
    dir.folder.since = VersionVector::default();
    pushed_by(source, dir, &stamp)
}

fn pushed_by(source: &mut BlockSource, mut dir: MergedDirectory, stamp: &EntryStamp) -> StepResult<MergedDirectory> {
    let slots = dir.all(source, &|_| false)?;
    dir.folder.attrs = restamp(&dir.folder.attrs, stamp);
    let mut dir = unstored(&dir, slots);
    each(dir.changes.values_mut(), |slot| {
        slot.versions = restamp(&slot.versions, stamp);
        let sub = slot.dir.take();
        slot.dir = sub.map(|sub| source.deeper(|source| restamped(source, *sub, stamp)).map(Box::new)).transpose()?;
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
