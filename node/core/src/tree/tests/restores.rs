//! Earlier states: listed, read, and brought back.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::BlockId;
use fsdfs_proto::volume::{Commit, CommitView, Dot, HistoryRules, MarkSet, XATTR_HISTORY};

use super::super::{HistoryState, StateNote, VolumeHistory, ladder};
use super::{
    EditError, EditOutcome, FileAttributes, JobDone, QueryResult, TestWriter, TreeEdit, TreeError, TreeItemKind,
    TreeJob, TreeQuery, keys, path, writer_of,
};

use crate::limits::STATES_ASKED_MAX;

const HOUR: u64 = 3_600_000;

fn writer() -> TestWriter {
    TestWriter { lists_states: true, ..TestWriter::new(b'A') }
}

/// The only head's commit.
fn now(peer: &TestWriter) -> BlockId {
    let [head] = &peer.heads[..] else { panic!("several heads") };
    CommitView::of_head(head.value()).unwrap().id
}

fn named(peer: &TestWriter) -> BTreeSet<BlockId> {
    let heads = peer.heads.iter().map(|head| CommitView::of_head(head.value()).unwrap());
    heads.flat_map(|head| head.parents().collect::<Vec<_>>()).collect()
}

fn history(peer: &mut TestWriter) -> VolumeHistory {
    match peer.query(TreeQuery::History).unwrap() {
        QueryResult::History(history) => history,
        other => panic!("{other:?}"),
    }
}

fn restore(state: BlockId, from: &str, to: &str, replace: bool) -> TreeEdit {
    TreeEdit::Restore { state, from: path(from), to: path(to), replace }
}

fn restored(peer: &mut TestWriter, state: BlockId, from: &str, to: &str) -> Result<EditOutcome, EditError> {
    peer.edit(&[restore(state, from, to, false)]).remove(0)
}

/// Three writers change a tree for weeks, apart for hours or days and then together again.
#[test]
fn every_listed_state_shows_what_it_showed_and_the_ladder_of_one_line_is_whole() {
    for (seed, writers) in [(1, 1), (2, 1), (3, 3), (4, 3), (5, 3)] {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut all: Vec<TestWriter> = vec![writer()];
        for name in 1..writers {
            let other = all[0].fork(b'A' + name);
            all.push(other);
        }
        let (mut shown, mut notes) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..120 {
            let hours = rng.u64(0..18);
            for peer in &mut all {
                peer.clock += hours * HOUR + rng.u64(0..HOUR);
            }
            let at = rng.usize(0..all.len());
            let name = format!("/d{}/f{}", rng.u8(0..3), rng.u8(0..9));
            if rng.u8(0..3) == 0 {
                let _ = all[at].remove(&name);
            } else {
                all[at].put(&name, &rng.u32(..).to_string());
            }
            if rng.bool() && writers > 1 {
                let from = all[rng.usize(0..all.len())].clone();
                all[at].hear(&from);
                all[at].merge();
            }
            let tree = all[at].tree();
            let commit = Commit::open(&keys(), &all[at].heads[0].value().commit).unwrap();
            notes.insert(now(&all[at]), StateNote::of(&commit, all[at].clock));
            shown.insert(now(&all[at]), tree);
        }
        for peer in &mut all {
            let found = history(peer);
            assert!(found.states.len() > 20, "{}", found.states.len());
            for HistoryState { id, note, .. } in &found.states {
                assert!(note.is_some());
                if let Some(expected) = shown.get(id) {
                    assert_eq!(peer.tree_at(Some(*id)), *expected, "seed {seed}");
                }
            }
            if writers == 1 {
                let kept = ladder((peer.clock, HOUR), &HistoryRules::DEFAULT, &notes);
                let listed: BTreeSet<BlockId> =
                    found.states.iter().filter(|state| state.rung.is_some()).map(|state| state.id).collect();
                let listed: BTreeSet<_> = listed.into_iter().filter(|id| notes.contains_key(id)).collect();
                assert_eq!(listed, kept.into_keys().collect());
            }
        }
    }
}

#[test]
fn a_removed_file_comes_back_with_name_mode_time_and_the_folders_above_it() {
    let mut peer = writer();
    let attrs = FileAttributes { mode: 0o700, mtime_ns: 9 };
    peer.one(TreeEdit::MakeDir { path: path("/a/b"), attrs: Some(attrs), xattrs: Vec::new(), fresh: false });
    peer.put("/a/b/f", "one");
    let (before, was) = (now(&peer), peer.entry("/a/b/f").unwrap());
    peer.remove("/a").unwrap();
    assert_eq!(peer.entry("/a/b/f"), Err(TreeError::NotFound));
    assert_eq!(restored(&mut peer, before, "/a/b/f", "/a/b/f"), Ok(EditOutcome::Changed));
    assert_eq!(peer.entry("/a/b/f").unwrap(), was);
    assert_eq!(peer.entry("/a/b").unwrap().attrs, attrs);
    assert_eq!(restored(&mut peer, before, "/a/b/f", "/a/b/f"), Ok(EditOutcome::Unchanged));
    assert_eq!(restored(&mut peer, before, "/a/b/f", "/new/g"), Ok(EditOutcome::Changed));
    assert_eq!(peer.tree(), ["/a/", "/a/b/", "/a/b/f=one", "/new/", "/new/g=one"]);
}

#[test]
fn a_folder_comes_back_whole_in_a_few_blocks_and_counts_as_new() {
    let mut peer = writer();
    let put = |number: u32| TreeEdit::Put {
        path: path(&format!("/d/{number}")),
        file: super::inline(&number.to_string()),
        xattrs: Vec::new(),
    };
    peer.edit(&(0..500).map(put).collect::<Vec<_>>());
    let (before, expected) = (now(&peer), peer.tree());
    let mut other = peer.fork(b'B');
    peer.remove("/d").unwrap();
    // Who removes what it has seen does not remove what comes back without its knowledge.
    other.hear(&peer.clone());
    let job = peer.edit_job(&[restore(before, "/d", "/d", false)]);
    match peer.run(TreeJob::Edit(job)) {
        JobDone::Edited { blocks, head: Some(head), outcomes } => {
            assert_eq!(outcomes, [Ok(EditOutcome::Changed)]);
            assert!(blocks.len() <= 2, "a commit and a root, not {}", blocks.len());
            peer.seq += 1;
            peer.store.extend(blocks.into_iter().map(|block| (block.id(), block)));
            peer.heads = vec![head];
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(peer.tree(), expected);
    other.put("/x", "1");
    peer.hear(&other);
    peer.merge();
    assert_eq!(peer.tree().len(), expected.len() + 1);
}

#[test]
fn what_is_there_now_ends_only_if_that_is_said() {
    let mut peer = writer();
    peer.put("/d/f", "old");
    let before = now(&peer);
    peer.put("/d/f", "new");
    peer.put("/d/g", "more");
    for at in ["/d", "/d/f"] {
        assert_eq!(restored(&mut peer, before, at, at), Err(EditError::Exists));
    }
    peer.one(restore(before, "/d/f", "/d/f", true));
    assert_eq!(peer.tree(), ["/d/", "/d/f=old", "/d/g=more"]);
    peer.one(restore(before, "/d", "/d", true));
    assert_eq!(peer.tree(), ["/d/", "/d/f=old"]);
    peer.one(restore(before, "/", "/as it was", false));
    assert_eq!(peer.tree(), ["/as it was/", "/as it was/d/", "/as it was/d/f=old", "/d/", "/d/f=old"]);
    assert_eq!(restored(&mut peer, before, "/", "/"), Err(EditError::IntoItself));
    assert_eq!(restored(&mut peer, before, "/d", "/d/f/x"), Err(EditError::NotAFolder));
    assert_eq!(restored(&mut peer, before, "/no", "/x"), Err(EditError::NotInState));
    assert_eq!(restored(&mut peer, before, "/d/f/no", "/x"), Err(EditError::NotInState));
    assert_eq!(restored(&mut peer, before, "/d", "/.fsdfs/x"), Err(EditError::ReservedName));
}

#[test]
fn a_conflicting_version_comes_back_alone() {
    let mut one = writer();
    one.put("/f", "one");
    let mut other = one.fork(b'B');
    one.put("/f", "two");
    other.clock += 5;
    other.put("/f", "three");
    one.hear(&other);
    one.merge();
    let (before, names) = (now(&one), one.list("/").into_iter().map(|item| item.name).collect::<Vec<_>>());
    assert_eq!(names.len(), 2);
    for name in &names {
        one.edit(&[TreeEdit::Remove { path: vec![name.clone()], recursive: false }]);
    }
    assert!(one.tree().is_empty());
    let alias = names.iter().find(|name| name.len() > 1).unwrap().clone();
    one.one(TreeEdit::Restore { state: before, from: vec![alias.clone()], to: path("/g"), replace: false });
    assert_eq!(one.list("/").len(), 1);
}

#[test]
fn a_state_that_is_none_of_this_volume_fails_alone() {
    let mut peer = writer();
    peer.put("/f", "1");
    let mut apart = peer.fork(b'B');
    apart.put("/g", "2");
    peer.store.extend(apart.store.clone());
    let not_included = now(&apart);
    let put = TreeEdit::Put { path: path("/h"), file: super::inline("3"), xattrs: Vec::new() };
    let edits = [restore(not_included, "/g", "/g", false), restore(BlockId([7; 32]), "/g", "/g", false), put];
    let mut job = TreeJob::Edit(peer.edit_job(&edits));
    job.give(peer.store.values().cloned());
    let JobDone::Missing(ids) = job.run() else { panic!("its commit is asked for") };
    assert_eq!(ids, [BlockId([7; 32])]);
    for (absence, error) in [
        (super::super::BlockAbsence::Away, EditError::StateUnreadable),
        (super::super::BlockAbsence::Nowhere, EditError::NoSuchState),
    ] {
        let mut job = job.clone();
        job.lacks(BlockId([7; 32]), absence);
        let JobDone::Edited { outcomes, .. } = job.run() else { panic!("others' changes are made") };
        assert_eq!(outcomes, [Err(EditError::NoSuchState), Err(error), Ok(EditOutcome::Changed)]);
    }
}

#[test]
fn a_work_of_many_commits_is_one_state() {
    let mut peer = writer();
    let mut states = Vec::new();
    for number in 0..10 {
        peer.clock += HOUR;
        let mut job = peer.edit_job(&[TreeEdit::Put {
            path: path(&format!("/{number}")),
            file: super::inline("x"),
            xattrs: Vec::new(),
        }]);
        job.work = (2..7).contains(&number).then_some(99);
        match peer.run(TreeJob::Edit(job)) {
            JobDone::Edited { blocks, head: Some(head), .. } => {
                peer.seq += 1;
                peer.store.extend(blocks.into_iter().map(|block| (block.id(), block)));
                peer.heads = vec![head];
            }
            other => panic!("{other:?}"),
        }
        states.push(now(&peer));
    }
    let named = named(&peer);
    let listed: Vec<usize> = (0..10).filter(|number| named.contains(&states[*number])).collect();
    assert_eq!(listed, [0, 1, 6, 7, 8]);
}

#[test]
fn rules_of_a_volume_hold_for_all_commits_and_survive_new_attributes_of_the_root() {
    let mut peer = writer();
    let rules = HistoryRules { hourly: 2, six_hourly: 0, daily: 0, monthly: 0 };
    assert_eq!(peer.one(TreeEdit::KeepHistory(rules)), EditOutcome::Changed);
    assert_eq!(peer.one(TreeEdit::KeepHistory(rules)), EditOutcome::Unchanged);
    let many = HistoryRules { hourly: 97, ..rules };
    assert_eq!(peer.edit(&[TreeEdit::KeepHistory(many)]), [Err(EditError::TooManyStates)]);
    let attrs = Some(FileAttributes { mode: 0o700, mtime_ns: 1 });
    let dir = |attrs| TreeEdit::MakeDir { path: Vec::new(), attrs, xattrs: Vec::new(), fresh: false };
    assert_eq!(peer.one(dir(attrs)), EditOutcome::Changed);
    assert_eq!(peer.one(dir(attrs)), EditOutcome::Unchanged);
    for number in 0..5 {
        peer.clock += HOUR;
        peer.put(&format!("/{number}"), "x");
    }
    let found = history(&mut peer);
    assert_eq!(found.rules, rules);
    // What stands now, the state that it was made from, which is the newest of the hour before.
    assert_eq!(found.states.len(), 2);
    // The root of an earlier state does not bring its rules along.
    let before = now(&peer);
    peer.one(restore(before, "/", "/old", false));
    assert!(peer.entry("/old").unwrap().xattrs.iter().all(|xattr| *xattr.name != *XATTR_HISTORY));
}

#[test]
fn a_state_that_is_dropped_is_listed_no_more_but_for_what_the_next_is_made_from() {
    let mut peer = writer();
    for number in 0..5 {
        peer.clock += HOUR;
        peer.put(&format!("/{number}"), "x");
    }
    let all = history(&mut peer);
    let (newest, old) = (now(&peer), all.states[3].id);
    assert_eq!(peer.edit(&[TreeEdit::DropStates(vec![newest])]), [Err(EditError::NoSuchState)]);
    let before = peer.tree();
    assert_eq!(peer.edit(&[TreeEdit::DropStates(vec![old])]), [Ok(EditOutcome::Changed)]);
    let left = history(&mut peer);
    assert!(left.states.iter().all(|state| state.id != old) && left.states.len() == all.states.len());
    assert_eq!(peer.tree(), before);
    assert_eq!(peer.edit(&[TreeEdit::DropStates(vec![old])]), [Err(EditError::NoSuchState)]);
}

#[test]
fn a_state_that_cannot_be_looked_at_is_kept_unjudged_and_one_that_is_nowhere_is_let_go() {
    let mut peer = writer();
    peer.put("/a", "1");
    let first = now(&peer);
    peer.clock += HOUR;
    peer.put("/b", "1");
    peer.clock += HOUR;
    peer.put("/c", "1");
    assert!(named(&peer).contains(&first));
    for (absence, is_kept) in [(super::super::BlockAbsence::Away, true), (super::super::BlockAbsence::Nowhere, false)] {
        let mut job = TreeJob::Edit(peer.edit_job(&[TreeEdit::Put {
            path: path("/d"),
            file: super::inline("2"),
            xattrs: Vec::new(),
        }]));
        job.give(peer.store.values().filter(|block| block.id() != first).cloned());
        assert!(matches!(job.run(), JobDone::Missing(ids) if ids == [first]));
        job.lacks(first, absence);
        let JobDone::Edited { head: Some(head), .. } = job.run() else { panic!("nothing waits for it") };
        let named: Vec<BlockId> = CommitView::of_head(head.value()).unwrap().parents().collect();
        assert_eq!(named.contains(&first), is_kept);
    }
}

#[test]
fn notes_of_states_say_whose_they_are() {
    let mut peer = writer();
    peer.put("/a", "1");
    let found = history(&mut peer);
    assert_eq!(found.states[0].note.unwrap().writer, Some(writer_of(b'A')));
    assert!(found.states[0].stands && found.states[1..].iter().all(|state| !state.stands));
    assert!(matches!(peer.entry("/a").unwrap().kind, TreeItemKind::File { .. }));
}

/// Somebody with the key of the volume empties it, and lists nothing. What a node remembers is shown, and comes back.
#[test]
fn what_a_stolen_key_emptied_comes_back_from_what_a_node_remembers() {
    let mut peer = writer();
    peer.put("/d/f", "1");
    let (before, expected) = (now(&peer), peer.tree());
    let mut thief = TestWriter { lists_states: false, ..peer.fork(b'B') };
    for _ in 0..3 {
        let _ = thief.remove("/d");
        thief.put("/x", "mine");
    }
    peer.hear(&thief);
    assert!(history(&mut peer).states.iter().all(|state| state.id != before));
    peer.remembers.insert(before);
    let found = history(&mut peer);
    let state = found.states.iter().find(|state| state.id == before).expect("it is remembered");
    assert!(state.remembered && state.rung.is_none() && state.note.is_some());
    assert_eq!(peer.tree_at(Some(before)), expected);
    peer.one(restore(before, "/d", "/d", false));
    assert_eq!(peer.tree(), ["/d/", "/d/f=1", "/x=mine"]);
    assert!(!named(&peer).contains(&before), "what a node remembers is its own affair");
}

/// A head may name what there is not: it costs one round of questions of a bounded number, and takes no other's place.
#[test]
fn names_of_nothing_are_asked_for_in_bounds_and_displace_nothing() {
    let mut peer = writer();
    for number in 0..30 {
        peer.clock += HOUR;
        peer.put(&format!("/{number}"), "x");
    }
    let honest: BTreeSet<BlockId> = named(&peer);
    let mut liars = Vec::new();
    for name in b'B'..b'F' {
        let liar = peer.fork(name);
        let commit = Commit::open(&keys(), &liar.heads[0].value().commit).unwrap();
        let dot = Dot { writer: writer_of(name), seq: 1 };
        let mut version_vector = commit.version_vector.clone();
        version_vector.add(dot);
        let nothing = |number: u8| {
            let mut id = [0; 32];
            id[1..3].copy_from_slice(&[name, number]);
            BlockId(id)
        };
        // As many as a commit can name.
        let parents = (0..=u8::MAX).map(nothing).collect();
        let forged = Commit { parents, dot: Some(dot), version_vector, ..commit };
        let keys = keys();
        let block = forged.seal(keys.writer().unwrap(), 3);
        let mut marks = MarkSet::default();
        liar.heads.iter().for_each(|head| marks.add_head(head.value()));
        liars.push(Commit::head(keys.writer().unwrap(), &super::key_of(name), super::POOL, &block, &marks).unwrap());
    }
    let good = peer.heads.clone();
    peer.heads = liars;
    let put = TreeEdit::Put { path: path("/new"), file: super::inline("1"), xattrs: Vec::new() };
    let mut job = peer.edit_job(&[put]);
    job.terms.good = good.clone();
    job.heads.extend(good);
    let mut job = TreeJob::Edit(job);
    job.give(peer.store.values().cloned());
    let JobDone::Missing(ids) = job.run() else { panic!("it asks for what it does not know") };
    assert!(ids.len() <= STATES_ASKED_MAX, "{}", ids.len());
    ids.iter().for_each(|id| job.lacks(*id, super::super::BlockAbsence::Away));
    let JobDone::Edited { head: Some(head), .. } = job.run() else { panic!("nothing waits for it") };
    let named: BTreeSet<BlockId> = CommitView::of_head(head.value()).unwrap().parents().collect();
    assert!(honest.difference(&named).count() <= 1, "but for what its own hour made way for");
}
