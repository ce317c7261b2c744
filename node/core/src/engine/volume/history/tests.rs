use fsdfs_proto::block::Block;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{Commit, Dot, EntryFlags, FolderNode, MarkSet, VersionVector};

use super::*;
use crate::engine::test_kit::{context, pass, pool};

fn volume() -> VolumeId {
    pool::pool_id().volume()
}

/// A commit of node 0 that names these, and its head.
fn commit(seq: u64, ms: u64, parents: &[BlockId]) -> (Block, Signed<Head>) {
    let dot = Dot { writer: pool::writer(0, 9), seq };
    let mut parents = parents.to_vec();
    parents.sort_unstable();
    let commit = Commit {
        parents,
        time: Hlc { ms, count: 0 },
        dot: Some(dot),
        version_vector: [dot].into_iter().collect::<VersionVector>(),
        flags: EntryFlags::NONE,
        root: FolderNode::default(),
        message: None,
    };
    let keys = pool::keys(1);
    let keys = keys.writer().expect("a writer's");
    let block = commit.seal(keys, 3);
    let head = Commit::head(keys, &pool::key(0), pool::pool_id(), &block, &MarkSet::default()).expect("it is whole");
    (block, head)
}

fn terms(notes: &mut StateNotes, cx: &Context, head: &Signed<Head>) -> (Vec<BlockId>, Vec<BlockId>) {
    let terms = notes.extend(cx, volume(), std::slice::from_ref(head), JobTerms::default());
    let known = terms.history.expect("a commit lists earlier states").known;
    (known.keys().copied().collect(), terms.absent.into_keys().collect())
}

#[test]
fn what_came_or_was_read_needs_no_second_look() {
    let (cx, mut notes) = (context(0, 3), StateNotes::default());
    let (old, _) = commit(1, 1_000, &[]);
    let (block, head) = commit(2, 2_000, &[old.id()]);
    notes.note_head(&cx, &head);
    assert_eq!(terms(&mut notes, &cx, &head).0, [block.id()]);
    notes.note_block(&cx, volume(), old.bytes());
    assert_eq!(terms(&mut notes, &cx, &head).0.len(), 2);
    notes.note_block(&cx, volume(), b"no commit");
    notes.note_block(&cx, VolumeId([7; 32]), old.bytes());
    assert_eq!(terms(&mut notes, &cx, &head).0.len(), 2);
}

#[test]
fn a_stamp_from_next_year_counts_as_what_it_was_first_seen_at() {
    let (mut cx, mut notes) = (context(0, 3), StateNotes::default());
    let first = cx.now.wall;
    let (block, head) = commit(1, first + 400 * 86_400_000, &[]);
    notes.note_head(&cx, &head);
    pass(&mut cx, 60_000);
    notes.note_head(&cx, &head);
    let terms = notes.extend(&cx, volume(), &[head], JobTerms::default());
    let history = terms.history.expect("a commit lists earlier states");
    assert_eq!((history.known[&block.id()].time.ms, history.now_ms), (first, cx.now.wall));
}

#[test]
fn what_is_away_is_not_asked_for_again_until_somebody_comes_up_or_time_has_passed() {
    let (mut cx, mut notes) = (context(0, 3), StateNotes::default());
    let (old, _) = commit(1, 1_000, &[]);
    let (_, head) = commit(2, 2_000, &[old.id()]);
    let away = |notes: &mut StateNotes, cx: &Context| notes.note_absent(cx, volume(), old.id(), BlockAbsence::Away);
    away(&mut notes, &cx);
    notes.note_absent(&cx, volume(), BlockId([9; 32]), BlockAbsence::Away);
    assert_eq!(terms(&mut notes, &cx, &head).1, [old.id()], "a block of the tree is none of its business");
    notes.try_again();
    assert!(terms(&mut notes, &cx, &head).1.is_empty());
    away(&mut notes, &cx);
    pass(&mut cx, STATES_AWAY_MS);
    assert!(terms(&mut notes, &cx, &head).1.is_empty());
    away(&mut notes, &cx);
    notes.note_block(&cx, volume(), old.bytes());
    assert!(terms(&mut notes, &cx, &head).1.is_empty());
}

#[test]
fn notes_are_bounded_and_those_that_the_heads_list_stay() {
    let (cx, mut notes) = (context(0, 3), StateNotes::default());
    let (kept, _) = commit(1, 1_000, &[]);
    let (block, head) = commit(2, 2_000, &[kept.id()]);
    notes.note_block(&cx, volume(), kept.bytes());
    notes.note_head(&cx, &head);
    for seq in 3..STATES_NOTED_MAX as u64 + 5 {
        let known = Arc::make_mut(&mut notes.0.get_mut(&volume()).expect("it has notes").known);
        let note = *known.first_key_value().expect("one").1;
        known.insert(BlockId::of(&seq.to_be_bytes()), note);
    }
    let mut left = terms(&mut notes, &cx, &head).0;
    left.sort_by_key(|id| *id == block.id());
    assert_eq!(left, [kept.id(), block.id()]);
}
