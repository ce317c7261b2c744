//! Commits beside heads that cannot be used.

use fsdfs_proto::ids::Key;
use fsdfs_proto::volume::{BlockRef, Commit, Dot, EntryFlags, FolderNode, FolderVectors, MarkSet, VersionVector};

use super::*;

/// A head that covers what stands, and whose folders are nowhere.
fn poison(seen: &[Signed<Head>]) -> Signed<Head> {
    let own = Dot { writer: pool::writer(1, 77), seq: 1 };
    let mut version_vector = VersionVector::default();
    let views = seen.iter().map(|head| CommitView::of_head(head.value()).expect("a head"));
    views.for_each(|view| version_vector.add_all(&view.extra.version_vector));
    version_vector.add(own);
    let mut within = FolderVectors::default();
    within.add(own);
    let tree = Some(BlockRef { id: BlockId([7; 32]), key: Key([7; 32]) });
    let root = FolderNode { tree, within, ..FolderNode::default() };
    let (flags, time) = (EntryFlags::NONE, Default::default());
    let commit = Commit { parents: Vec::new(), time, dot: Some(own), version_vector, flags, root, message: None };
    let keys = pool::keys(1);
    let writer = keys.writer().expect("made from the write secret");
    let mut marks = MarkSet::default();
    seen.iter().for_each(|head| marks.add_head(head.value()));
    Commit::head(writer, &pool::key(1), pool::pool_id(), &commit.seal(writer, 3), &marks).expect("all is marked")
}

#[test]
fn a_head_whose_folders_are_nowhere_stops_no_write_and_the_next_one_covers_it() {
    let mut bench = Bench::new(0);
    bench.edited(1, "a");
    let bad = poison(&bench.cx.facts.heads(volume()));
    bench.cx.facts.insert(bad.clone().into());
    bench.commits.on_head(&mut bench.cx, &mut bench.heads, &mut bench.writer, &bad);
    bench.cx.facts.drain_new();
    assert_eq!(bench.cx.facts.heads(volume()), std::slice::from_ref(&bad), "the facts know nothing else");
    let reply = bench.edited(2, "b");
    assert_eq!(reply.edits, [Ok(EditOutcome::Changed)]);
    // The write went on from what stood before; the next operation makes an end of the other, by itself if nobody writes.
    bench.commit(|commits, parts| commits.on_merge_due(parts, volume()));
    bench.run();
    let heads = bench.cx.facts.heads(volume());
    assert_eq!(heads.len(), 1);
    let view = CommitView::of_head(heads[0].value()).expect("a head");
    assert!(CommitView::of_head(bad.value()).expect("a head").is_superseded_by(&view));
    let reply = bench.edited(3, "a");
    assert_eq!(reply.edits, [Ok(EditOutcome::Unchanged)], "nothing is lost");
    assert!(bench.heads.quarantine.standing(&bench.cx).next().is_none());
}
