use std::sync::Arc;

use fsdfs_proto::message::Redundancy;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{CommitView, Dot, LinkClass};

use super::super::dir::{EntryOrigin, MergedDirectory, NameSlot};
use super::super::merge::{MergeState, merge};
use super::super::pages::DirectoryPages;
use super::super::source::BlockSource;
use super::{
    BlockMap, EditError, EditOutcome, FileAttributes, HeadFault, JobDone, JobTerms, TestWriter, TreeEdit, TreeJob,
    TreeParams, WalkJob, inline, name, path,
};

/// Two writers that start from the same tree.
fn pair(files: &[&str]) -> (TestWriter, TestWriter) {
    let mut one = TestWriter::new(b'A');
    for file in files {
        one.put(file, "old");
    }
    let two = one.fork(b'B');
    (one, two)
}

/// Lets both hear of each other and merge; they have to end with equal heads.
fn meet(one: &mut TestWriter, two: &mut TestWriter) -> Vec<String> {
    one.hear(&two.clone());
    two.hear(one);
    let shown = one.tree();
    one.merge();
    two.merge();
    assert_eq!(one.heads, two.heads, "equal heads merge to equal bytes");
    assert_eq!(one.tree(), shown, "several heads are shown as they will be merged");
    shown
}

#[test]
fn changes_in_different_places_are_both_there() {
    let (mut one, mut two) = pair(&["/a/f", "/b/f"]);
    one.put("/a/f", "1");
    two.put("/b/f", "2");
    two.put("/c", "3");
    assert_eq!(meet(&mut one, &mut two), ["/a/", "/a/f=1", "/b/", "/b/f=2", "/c=3"]);
}

#[test]
fn an_edit_beats_a_removal() {
    let (mut one, mut two) = pair(&["/a/f", "/a/g"]);
    one.put("/a/f", "1");
    two.remove("/a").unwrap();
    assert_eq!(meet(&mut one, &mut two), ["/a/", "/a/f=1"]);
}

#[test]
fn an_edit_inside_a_moved_folder_stays_at_the_old_place() {
    let (mut one, mut two) = pair(&["/d/f", "/d/g"]);
    one.rename("/d", "/e").unwrap();
    two.put("/d/f", "new");
    assert_eq!(meet(&mut one, &mut two), ["/d/", "/d/f=new", "/e/", "/e/f=old", "/e/g=old"]);
}

#[test]
fn a_moved_folder_is_new_to_whoever_removed_it() {
    let (mut one, mut two) = pair(&["/d/x/f", "/d/g"]);
    one.rename("/d", "/e").unwrap();
    two.remove("/d").unwrap();
    assert_eq!(meet(&mut one, &mut two), ["/e/", "/e/g=old", "/e/x/", "/e/x/f=old"]);
}

#[test]
fn concurrent_versions_have_names_of_their_own() {
    let (mut one, mut two) = pair(&["/f.txt"]);
    one.put("/f.txt", "1");
    two.put("/f.txt", "2");
    two.put("/f.txt", "2 later");
    let conflict = &format!("/f (conflict {} 2023-11-14 22.13.23).txt", one.writer.short());
    assert_eq!(meet(&mut one, &mut two), ["/f.txt=2 later".into(), format!("{conflict}=1")]);
    let shown = one.entry(conflict).unwrap();
    assert_eq!(shown.conflict_of, Some(name("f.txt")));
    assert_eq!(shown.writer, one.writer);

    let mut removed = one.clone();
    removed.remove(conflict).unwrap();
    assert_eq!(removed.tree(), ["/f.txt=2 later"]);
    assert_eq!(removed.remove(conflict), Err(EditError::NotFound));

    let mut superseded = one.clone();
    superseded.put("/f.txt", "3");
    assert_eq!(superseded.tree(), ["/f.txt=3"]);

    let mut kept = one.clone();
    kept.remove("/f.txt").unwrap();
    assert_eq!(kept.tree(), [format!("{conflict}=1")], "removing one shown name leaves the other");

    let mut moved = one.clone();
    moved.rename(conflict, "/g").unwrap();
    assert_eq!(moved.tree(), ["/f.txt=2 later", "/g=1"]);

    let mut written = one.clone();
    written.put(conflict, "3");
    assert_eq!(written.tree(), [format!("{conflict}=3"), "/f.txt=2 later".into()]);
    assert_eq!(written.put(conflict, "3"), EditOutcome::Unchanged);
}

#[test]
fn a_file_beside_a_folder_is_shown_under_a_name_of_its_own() {
    let (mut one, mut two) = pair(&[]);
    one.put("/a.d", "file");
    two.put("/a.d/f", "1");
    let expected = ["/a.d/", "/a.d/f=1", "/a (file).d=file"];
    assert_eq!(meet(&mut one, &mut two), expected);
    assert_eq!(
        one.edit(&[TreeEdit::Put { path: path("/a.d"), file: inline(""), xattrs: Vec::new() }]),
        [Err(EditError::IsAFolder)]
    );
    let mut other = one.clone();
    other.remove("/a.d").unwrap();
    assert_eq!(other.tree(), ["/a.d=file"]);
    one.rename("/a (file).d", "/b").unwrap();
    assert_eq!(one.tree(), ["/a.d/", "/a.d/f=1", "/b=file"]);
}

#[test]
fn shown_names_of_long_names_fit_and_are_found() {
    let long = format!("/{}é{}.tar", "x".repeat(190), "y".repeat(50));
    let (mut one, mut two) = pair(&[&long]);
    one.put(&long, "1");
    two.put(&long, "2");
    let shown = meet(&mut one, &mut two);
    assert_eq!(shown.len(), 2);
    for line in shown {
        let name = line.split('=').next().unwrap();
        assert!(name.len() <= 256 && name.ends_with(".tar"), "{name}");
        one.entry(name).unwrap();
    }
}

/// A folder whose attributes somebody changed is not removed by somebody who has not seen that.
#[test]
fn changed_attributes_keep_a_folder() {
    let (mut one, mut two) = pair(&["/d/f"]);
    one.one(TreeEdit::MakeDir {
        path: path("/d"),
        attrs: Some(FileAttributes { mode: 0o700, mtime_ns: 1 }),
        xattrs: Vec::new(),
        fresh: false,
    });
    two.remove("/d").unwrap();
    assert_eq!(meet(&mut one, &mut two), ["/d/"]);
    assert_eq!(one.entry("/d").unwrap().attrs.mode, 0o700);
}

#[test]
fn a_folder_left_by_its_content_does_not_vanish_with_the_last_name() {
    let (mut one, mut two) = pair(&["/d/f"]);
    one.remove("/d").unwrap();
    two.put("/d/g", "1");
    assert_eq!(meet(&mut one, &mut two), ["/d/", "/d/g=1"]);
    one.remove("/d/g").unwrap();
    assert_eq!(one.tree(), ["/d/"]);
}

/// What one side alone has done to many files costs a merge a few blocks.
#[test]
fn merges_read_only_what_differs() {
    let mut one = TestWriter::new(b'A');
    one.params = TreeParams { nodes: super::nodes(2048, 2048), ..super::TINY };
    let puts: Vec<_> = (0..2000)
        .map(|file| TreeEdit::Put { path: path(&format!("/d/f{file:04}")), file: inline("x"), xattrs: Vec::new() })
        .collect();
    one.edit(&puts);
    let mut two = one.fork(b'B');
    type MergeCase = (&'static str, fn(&mut TestWriter));
    let cases: [MergeCase; 4] = [
        ("a file changed", |peer| assert_eq!(peer.put("/d/f1000", "y"), EditOutcome::Changed)),
        ("a folder moved", |peer| assert_eq!(peer.rename("/d", "/e"), Ok(EditOutcome::Changed))),
        ("a folder removed", |peer| assert_eq!(peer.remove("/d"), Ok(EditOutcome::Changed))),
        ("a folder made", |peer| {
            let puts = (0..2000).map(|file| TreeEdit::Put {
                path: path(&format!("/new/f{file:04}")),
                file: inline("x"),
                xattrs: Vec::new(),
            });
            peer.edit(&puts.collect::<Vec<_>>());
        }),
    ];
    for (what, change) in cases {
        let (mut here, mut there) = (one.clone(), two.clone());
        change(&mut here);
        there.put("/other", "z");
        here.hear(&there);
        here.merge();
        assert!(here.cost.1 <= 12 && here.cost.0 <= 5, "{what}: {:?} rounds and blocks", here.cost);
    }
    // Removed here, one file changed there: the leaf that changed has to be read, the other leaves do not.
    one.remove("/d").unwrap();
    two.put("/d/f1234", "y");
    one.hear(&two);
    one.merge();
    assert!(one.cost.1 <= 6, "{:?}", one.cost);
    assert_eq!(one.tree(), ["/d/", "/d/f1234=y"]);
}

#[test]
fn random_histories_through_blocks() {
    for seed in 0..25 {
        let mut random = fastrand::Rng::with_seed(seed);
        let genesis = TestWriter::new(b'A');
        let mut peers = [genesis.clone(), genesis.fork(b'B'), genesis.fork(b'C')];
        for step in 0..30 {
            let (at, from) = (random.usize(..3), random.usize(..3));
            let mut place = || format!("/{}/{}", random.u8(..3), random.u8(..40));
            let (here, there) = (place(), place());
            let folder = |path: &str| path[..2].to_owned();
            match random.u8(..10) {
                0..5 => drop(peers[at].edit(&[TreeEdit::Put {
                    path: path(&here),
                    file: inline(&step.to_string()),
                    xattrs: Vec::new(),
                }])),
                5 => {
                    let _ = peers[at].rename(&folder(&here), &format!("{}x", folder(&there)));
                }
                6 => {
                    let _ = peers[at].rename(&here, &there);
                }
                7 => {
                    let _ = peers[at].remove(if step % 2 == 0 { &here[..2] } else { &here });
                }
                _ => {
                    let from = peers[from].clone();
                    peers[at].hear(&from);
                    if random.bool() {
                        peers[at].merge();
                    }
                }
            }
        }
        // Whoever merges first, and in whatever steps: everyone ends with the same tree, and then with the same bytes.
        let mut ends: Vec<Vec<String>> = Vec::new();
        for order in [[0, 1, 2], [1, 2, 0], [2, 1, 0]] {
            let mut end = peers[order[0]].clone();
            for other in &order[1..] {
                end.hear(&peers[*other]);
                if order[0] > 0 {
                    end.merge();
                }
            }
            let shown = end.tree();
            end.merge();
            assert_eq!(end.tree(), shown, "seed {seed}");
            ends.push(shown);
        }
        assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}: {ends:#?}");
    }
}

#[test]
fn blocks_of_another_volume_are_refused() {
    let mut peer = TestWriter::new(b'A');
    peer.put("/a/f", "1");
    let mut keys = super::keys();
    keys.volume = fsdfs_proto::ids::VolumeId([1; 32]);
    let query = super::TreeQuery::Entry { path: path("/a") };
    let job = super::QueryJob {
        keys,
        heads: peer.heads.clone(),
        state: None,
        query,
        known: None,
        params: super::TINY,
        terms: JobTerms::default(),
        blocks: BlockMap::new(),
    };
    assert!(matches!(job.run(), JobDone::BadHeads(faults) if matches!(faults[..], [(_, HeadFault::Damaged(_))])));
}

#[test]
fn a_walk_reaches_everything_without_keys() {
    let mut peer = TestWriter::new(b'A');
    peer.put("/a/f", "1");
    peer.put("/a/g", "2");
    let mut job = TreeJob::Walk(WalkJob { heads: peer.heads.clone(), blocks: BlockMap::new() });
    let reached = loop {
        match job.run() {
            JobDone::Missing(ids) => job.give(ids.iter().map(|id| peer.store[id].clone())),
            JobDone::Walked(reached) => break reached,
            other => panic!("{other:?}"),
        }
    };
    // Every block ever written is part of the history, whose rules come later.
    assert_eq!(reached.len(), peer.store.len());
    assert!(
        reached.iter().all(|(id, redundancy)| peer.store.contains_key(id) && *redundancy == Redundancy::Replicas(3))
    );
    let view = CommitView::of_head(peer.heads[0].value()).unwrap();
    assert_eq!(view.links.iter().map(|link| link.class).collect::<Vec<_>>(), [LinkClass::Tree, LinkClass::Parent]);
}

/// Deep trees end in an error, not in an overflow of the stack. A merge leaves what lies too deep to one side.
#[test]
fn a_bottomless_tree_is_refused() {
    let nested = |depth: usize, content: &str, seq: u64| {
        let dot = Dot { writer: super::writer_of(content.as_bytes()[0]), seq };
        let origin = EntryOrigin { dot, time: Hlc::default() };
        let mut dir = MergedDirectory::born(origin, FileAttributes::default(), &[]);
        dir.changes.insert(name("f"), NameSlot { versions: vec![origin.version(inline(content), &[])], dir: None });
        for _ in 0..depth {
            let slot = NameSlot { versions: vec![], dir: Some(Arc::new(dir)) };
            dir = MergedDirectory { changes: [(name("d"), slot)].into(), ..MergedDirectory::default() };
        }
        MergeState { version_vector: [dot].into_iter().collect(), root: dir }
    };
    let blocks = BlockMap::new();
    for (depth, works) in [(380, true), (500, false)] {
        let mut source = BlockSource::new(super::keys().volume, &blocks);
        let merged = merge(&mut source, &nested(depth, "a", 1), &nested(depth, "b", 1)).unwrap();
        let keys = super::keys();
        let mut pages = DirectoryPages::new(keys.writer().unwrap(), 3, super::TINY);
        assert_eq!(pages.write(&mut source, &merged.root).is_ok(), works, "{depth}");
    }
}
