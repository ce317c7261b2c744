//! Heads of which too few servers have the tree.

use super::*;
use crate::limits::PUBLISH_AGAIN_MS_MAX;

#[test]
fn an_under_replicated_tree_stays_with_its_writer_until_there_are_copies() {
    let mut bench = Bench::new(0);
    bench.peers = StoreOutcome::Failed;
    let reply = bench.edited(1, "a");
    let PutOutcome::Degraded(copies) = &reply.outcome else { panic!("{reply:?}") };
    assert_eq!((&copies.servers[..], bench.published()), (&[bench.cx.me][..], 0));
    assert!(matches!(bench.logged[..], [LogEntry::Own(_), LogEntry::Unpublished(_)]), "{:?}", bench.logged);
    let kept = bench.heads.unpublished(volume()).expect("kept").head.id();

    // Each try asks everybody about all of it.
    for tries in 0..8 {
        let before = bench.cx.now.mono;
        assert!(!bench.commit(|commits, parts| commits.on_merge_due(parts, volume())), "not yet");
        pass(&mut bench.cx, (MERGE_AFTER_MS << tries).min(PUBLISH_AGAIN_MS_MAX) - 1);
        assert!(!bench.commit(|commits, parts| commits.on_merge_due(parts, volume())), "after {before}");
        pass(&mut bench.cx, 1);
        assert!(bench.commit(|commits, parts| commits.on_merge_due(parts, volume())), "after {before}");
        bench.run();
    }
    bench.peers = StoreOutcome::Stored;
    assert!(!bench.commit(|commits, parts| commits.on_merge_due(parts, volume())));
    let Bench { heads, cx, .. } = &mut bench;
    heads.publish_soon(cx);
    assert!(bench.commit(|commits, parts| commits.on_merge_due(parts, volume())), "somebody came up");
    bench.run();
    assert!(bench.heads.is_empty());
    assert_eq!(bench.cx.facts.heads(volume()).iter().map(Signed::id).collect::<Vec<_>>(), [kept]);
}

#[test]
fn the_next_commit_publishes_what_those_before_could_not() {
    let mut bench = Bench::new(0);
    bench.peers = StoreOutcome::Failed;
    bench.edited(1, "a");
    bench.edited(2, "b");
    assert_eq!((bench.published(), bench.heads.volumes().count()), (0, 1), "the newest includes those before");
    bench.peers = StoreOutcome::Stored;
    let reply = bench.edited(3, "a");
    assert_eq!(reply.edits, [Ok(EditOutcome::Unchanged)], "the writer reads its own head");
    bench.edited(4, "c");
    assert_eq!((bench.published(), bench.heads.is_empty()), (1, true));
}
