//! Random histories of three writers: nothing is lost that no operation removed, and the order of merges does not matter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fsdfs_proto::ids::{NodeId, Writer};
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{Dot, EntryVersion};

use super::super::alias;
use super::super::dir::{EntryOrigin, EntryStamp, MergedDirectory, NameSlot};
use super::super::edit::TreeEditor;
use super::super::merge::{MergeState, merge};
use super::super::source::BlockSource;
use super::{BlockMap, EditOutcome, EntryName, FileAttributes, FileContent, TreeEdit, TreePath, inline, keys, name};

const HISTORIES: u64 = 6_000;
const STEPS: usize = 25;
const WRITERS: usize = 3;

/// What a random operation may aim at.
#[derive(Default)]
struct NamePlaces {
    dirs: Vec<TreePath>,
    entries: Vec<TreePath>,
}

fn places(source: &mut BlockSource, dir: &MergedDirectory, path: &TreePath, found: &mut NamePlaces) {
    let at = |name: &EntryName| path.iter().chain([name]).cloned().collect::<TreePath>();
    found.dirs.push(path.clone());
    for (name, slot) in &dir.changes {
        let shown = alias::shown(dir, source, name, slot).unwrap();
        found.entries.extend(shown.iter().map(|alias| at(&alias.name)));
        if let Some(sub) = &slot.dir {
            found.entries.push(at(name));
            places(source, sub, &at(name), found);
        }
    }
}

/// A random edit; a put writes `content`.
fn edit(random: &mut fastrand::Rng, places: &NamePlaces, content: u32) -> TreeEdit {
    let into = |random: &mut fastrand::Rng, names: u8| -> TreePath {
        let dir = &places.dirs[random.usize(..places.dirs.len())];
        dir.iter().cloned().chain([name(&format!("f{}", random.u8(..names)))]).collect()
    };
    let kind = random.u8(..100);
    if kind < 40 || places.entries.is_empty() {
        return TreeEdit::Put { path: into(random, 3), file: inline(&content.to_string()), xattrs: Vec::new() };
    }
    let entry = places.entries[random.usize(..places.entries.len())].clone();
    match kind {
        40..50 => TreeEdit::MakeDir { path: into(random, 2), attrs: None, xattrs: Vec::new(), fresh: false },
        50..53 => TreeEdit::MakeDir {
            path: entry,
            attrs: Some(FileAttributes { mode: u32::from(kind), mtime_ns: 0 }),
            xattrs: Vec::new(),
            fresh: false,
        },
        53..70 => TreeEdit::Remove { path: entry, recursive: true },
        _ => TreeEdit::Move { from: entry, to: into(random, 4) },
    }
}

/// How often each content is in a tree.
fn contents(dir: &MergedDirectory, found: &mut BTreeMap<u32, usize>) {
    for slot in dir.changes.values() {
        for version in &slot.versions {
            let FileContent::Inline(bytes) = &version.value.content else { panic!("all contents are small") };
            let number = str::from_utf8(bytes).unwrap().parse().unwrap();
            *found.entry(number).or_insert(0) += 1;
        }
        slot.dir.iter().for_each(|sub| contents(sub, found));
    }
}

/// The tree with all stamps applied, so that lazy and explicit forms compare equal.
#[derive(Debug, PartialEq, Eq)]
struct CanonicalTree {
    births: BTreeSet<Dot>,
    attrs: BTreeSet<EntryVersion<FileAttributes>>,
    names: BTreeMap<EntryName, (BTreeSet<String>, Option<CanonicalTree>)>,
}

fn canon(dir: &MergedDirectory, above: &[EntryStamp]) -> CanonicalTree {
    let stamped = |dot: Dot, stamps: &[EntryStamp]| stamps.iter().fold(dot, |dot, stamp| stamp.apply(dot));
    let mut stamps = above.to_vec();
    if let [dot] = dir.folder.births[..]
        && !dir.folder.since.is_empty()
    {
        stamps.insert(0, EntryStamp { dot, since: dir.folder.since.clone() });
    }
    let versions = |slot: &NameSlot| {
        let line = |version: &EntryVersion<_>| format!("{:?} {:?}", stamped(version.dot, &stamps), version.value);
        slot.versions.iter().map(line).collect()
    };
    let filled = dir.changes.iter().filter(|(_, slot)| !slot.is_empty());
    let names = filled
        .map(|(name, slot)| (name.clone(), (versions(slot), slot.dir.as_ref().map(|sub| canon(sub, &stamps)))))
        .collect();
    let attrs = dir.folder.attrs.iter();
    CanonicalTree {
        births: dir.folder.births.iter().map(|birth| stamped(*birth, above)).collect(),
        attrs: attrs.map(|version| EntryVersion { dot: stamped(version.dot, &stamps), ..version.clone() }).collect(),
        names,
    }
}

#[derive(Default)]
struct HistoryWorld {
    states: [Arc<MergeState>; WRITERS],
    removed: BTreeSet<u32>,
    /// Contents written so far: 1 to this number.
    written: u32,
    clock: u64,
}

impl HistoryWorld {
    fn step(&mut self, random: &mut fastrand::Rng, source: &mut BlockSource) {
        if random.u8(..4) < 3 {
            return self.change(random.usize(..WRITERS), random, source);
        }
        let (a, b) = (random.usize(..WRITERS), random.usize(..WRITERS));
        self.states[a] = joined(source, &self.states[a], &self.states[b]);
    }

    fn change(&mut self, writer: usize, random: &mut fastrand::Rng, source: &mut BlockSource) {
        let before = Arc::clone(&self.states[writer]);
        let id = Writer::of(NodeId([b'A' + writer as u8; 32]), 1);
        let dot = Dot { writer: id, seq: before.version_vector.get(id) + 1 };
        self.clock += 400;
        let origin = EntryOrigin { dot, time: Hlc { ms: self.clock, count: 0 } };
        let (keys, states) = (keys(), BTreeSet::new());
        let mut editor = TreeEditor::new(source, (*before).clone(), origin, (&keys, &states));
        let mut count = counted(&editor.root);
        // Group commits: several changes under one dot.
        for _ in 0..random.usize(1..3) {
            let mut found = NamePlaces::default();
            places(editor.source, &editor.root, &vec![], &mut found);
            let next = self.written + 1;
            let edit = edit(random, &found, next);
            let is_put = matches!(edit, TreeEdit::Put { .. });
            let outcome = editor.run(&[edit], &|_| true).unwrap().remove(0);
            self.written += u32::from(is_put && outcome == Ok(EditOutcome::Changed));
            let old = std::mem::replace(&mut count, counted(&editor.root));
            let fewer = old.iter().filter(|(content, number)| count.get(content) < Some(number));
            self.removed.extend(fewer.map(|(content, _)| *content));
        }
        let mut root = editor.root;
        tidy(&mut root);
        let mut version_vector = before.version_vector.clone();
        version_vector.add(dot);
        self.states[writer] = Arc::new(MergeState { version_vector, root });
    }

    /// All states merged in an order.
    fn merged(&self, source: &mut BlockSource, order: [usize; WRITERS]) -> Arc<MergeState> {
        let states = order.map(|at| &self.states[at]);
        states[1..].iter().fold(Arc::clone(states[0]), |merged, state| joined(source, &merged, state))
    }
}

fn joined(source: &mut BlockSource, ours: &Arc<MergeState>, theirs: &Arc<MergeState>) -> Arc<MergeState> {
    if ours.version_vector.covers_all(&theirs.version_vector) {
        return Arc::clone(ours);
    }
    if theirs.version_vector.covers_all(&ours.version_vector) {
        return Arc::clone(theirs);
    }
    let mut merged = merge(source, ours, theirs).unwrap();
    tidy(&mut merged.root);
    Arc::new(merged)
}

/// What writing and reading a tree does: removed names and dead folders are gone.
fn tidy(dir: &mut MergedDirectory) {
    for slot in dir.changes.values_mut() {
        slot.dir.iter_mut().for_each(|sub| tidy(Arc::make_mut(sub)));
        slot.dir = slot
            .dir
            .take()
            .filter(|sub| !sub.folder.births.is_empty() || !sub.folder.attrs.is_empty() || !sub.changes.is_empty());
    }
    dir.changes.retain(|_, slot| !slot.is_empty());
}

fn counted(dir: &MergedDirectory) -> BTreeMap<u32, usize> {
    let mut found = BTreeMap::new();
    contents(dir, &mut found);
    found
}

#[test]
fn histories_lose_nothing_and_merge_in_any_order() {
    let blocks = BlockMap::new();
    let mut merged_files = 0;
    for seed in 0..HISTORIES {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut source = BlockSource::new(keys().volume, &blocks);
        let mut world = HistoryWorld::default();
        (0..STEPS).for_each(|_| world.step(&mut random, &mut source));
        let end = world.merged(&mut source, [0, 1, 2]);
        for order in [[1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let other = world.merged(&mut source, order);
            assert_eq!(canon(&end.root, &[]), canon(&other.root, &[]), "seed {seed}: {order:?} gives another tree");
        }
        let found = counted(&end.root);
        let lost: Vec<u32> = (1..=world.written)
            .filter(|content| !found.contains_key(content) && !world.removed.contains(content))
            .collect();
        assert_eq!(lost, [0; 0], "seed {seed}: contents that nobody removed");
        merged_files += found.len();
    }
    assert!(merged_files as u64 > HISTORIES, "histories that end in empty trees would show nothing");
}
