//! Commits across a change of keys.

use super::*;
use crate::limits::KEY_AWAITED_MS_MAX;

/// The founder's node begins epoch 2 from these heads, and this node has its key.
fn new_epoch(bench: &mut Bench, frozen: &[Signed<Head>]) {
    let mut frozen: Vec<BlockId> = frozen.iter().map(|head| BlockId::of(&head.value().commit)).collect();
    frozen.sort_unstable();
    bench.cx.facts.insert(pool::epoch(&pool::root(), 2, frozen).into());
    bench.cx.facts.drain_new();
    let keys = pool::keys(2).with_others([&pool::keys(1)]);
    bench.cx.readable.extend(keys.writer().map(fsdfs_proto::volume::WriteKeys::write_pk));
    bench.cx.keys.insert(volume(), keys);
}

#[test]
fn what_a_new_epoch_began_without_is_brought_into_it_by_those_who_went_by_it() {
    let mut bench = Bench::new(0);
    bench.edited(1, "a");
    let frozen = bench.cx.facts.heads(volume());
    bench.edited(2, "b");
    let late = bench.cx.facts.heads(volume());
    new_epoch(&mut bench, &frozen);
    // The others have it still.
    frozen.iter().for_each(|head| {
        bench.cx.facts.insert(head.clone().into());
    });
    bench.cx.facts.drain_new();
    assert_eq!(bench.cx.facts.heads(volume()), frozen);
    assert_eq!(bench.heads.current(&bench.cx, volume()), late, "a node never shows less than it did");
    assert!(bench.commit(|commits, parts| commits.on_merge_due(parts, volume())));
    bench.run();
    let heads = bench.cx.facts.heads(volume());
    assert_eq!(heads.iter().map(|head| head.value().epoch).collect::<Vec<_>>(), [2]);
    let seen = |heads: &[Signed<Head>]| crate::facts::FactSet::version_vector_of(&heads[0]);
    assert_eq!(seen(&heads), seen(&late), "nothing is lost");
    assert!(!bench.heads.is_to_recommit(&bench.cx, volume()));
}

/// There was nothing to merge it with, and the volume had no head (household seed 59).
#[test]
fn it_is_brought_into_the_epoch_although_what_that_began_from_is_nowhere() {
    let mut bench = Bench::new(0);
    bench.edited(1, "a");
    let frozen = bench.cx.facts.heads(volume());
    bench.edited(2, "b");
    let late = bench.cx.facts.heads(volume());
    new_epoch(&mut bench, &frozen);
    assert_eq!(bench.cx.facts.heads(volume()), []);
    assert!(bench.commit(|commits, parts| commits.on_merge_due(parts, volume())));
    bench.run();
    let heads = bench.cx.facts.heads(volume());
    assert_eq!(heads.iter().map(|head| head.value().epoch).collect::<Vec<_>>(), [2]);
    let seen = |heads: &[Signed<Head>]| crate::facts::FactSet::version_vector_of(&heads[0]);
    assert!(seen(&heads).covers_all(&seen(&late)), "nothing is lost");
    assert!(!bench.heads.is_to_recommit(&bench.cx, volume()));
}

#[test]
fn what_another_one_wrote_with_an_old_key_is_not_brought_into_a_new_epoch() {
    let mut bench = Bench::new(0);
    bench.edited(1, "a");
    let frozen = bench.cx.facts.heads(volume());
    new_epoch(&mut bench, &frozen);
    bench.cx.facts.insert(pool::head_by(2, 1, &[(9, 9)]).into());
    bench.cx.facts.drain_new();
    assert_eq!(bench.heads.current(&bench.cx, volume()), frozen);
    assert!(!bench.heads.is_to_recommit(&bench.cx, volume()));
}

#[test]
fn a_head_that_was_never_published_is_brought_into_a_new_epoch() {
    let mut bench = Bench::new(0);
    bench.edited(1, "a");
    let frozen = bench.cx.facts.heads(volume());
    bench.peers = StoreOutcome::Full;
    bench.edited(2, "b");
    assert!(bench.heads.unpublished(volume()).is_some());
    new_epoch(&mut bench, &frozen);
    bench.peers = StoreOutcome::Stored;
    bench.commit(|commits, parts| commits.on_merge_due(parts, volume()));
    bench.run();
    let heads = bench.cx.facts.heads(volume());
    assert_eq!(heads.iter().map(|head| head.value().epoch).collect::<Vec<_>>(), [2]);
    assert!(bench.heads.is_empty());
}

#[test]
fn what_is_written_while_a_new_key_is_on_its_way_waits_for_it() {
    let mut bench = Bench::new(0);
    bench.edited(1, "a");
    let frozen = bench.cx.facts.heads(volume());
    new_epoch(&mut bench, &frozen);
    let keys = bench.cx.keys[&volume()].clone();
    bench.cx.keys.insert(volume(), pool::keys(1).reading());
    bench.edit(2, &["b"]);
    bench.begin();
    assert!(bench.replies.is_empty(), "nobody is to notice");
    bench.cx.keys.insert(volume(), keys);
    bench.begin();
    assert_eq!(bench.reply(2).edits, [Ok(EditOutcome::Changed)]);
    // It does not wait for ever.
    bench.cx.keys.insert(volume(), pool::keys(1).reading());
    bench.edit(3, &["c"]);
    bench.begin();
    pass(&mut bench.cx, KEY_AWAITED_MS_MAX);
    bench.begin();
    check_refused(&bench.reply(3), Refusal::NoKey);
}
