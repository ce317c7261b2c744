//! Heads that are kept, and when they are told.

use fsdfs_proto::identity::Heartbeat;
use fsdfs_proto::volume::Dot;

use super::*;
use crate::engine::test_kit::{connect, context, pass, pool};
use crate::facts::tests::pool::{node, rules};

fn volume() -> VolumeId {
    pool::pool_id().volume()
}

fn ids(numbers: &[u8]) -> BTreeSet<BlockId> {
    numbers.iter().map(|number| BlockId([*number; 32])).collect()
}

fn current(heads: &LocalHeads, cx: &Context) -> Vec<Signed<Head>> {
    heads.current(cx, volume())
}

fn entries(heads: &LocalHeads) -> Vec<UnpublishedEntry> {
    let entry = |entry| match entry {
        LogEntry::Unpublished(entry) => entry,
        other => panic!("{other:?}"),
    };
    heads.entries(&context(0, 3)).map(entry).collect()
}

#[test]
fn a_kept_head_is_shown_here_and_not_among_the_facts() {
    let (cx, mut heads) = (context(0, 3), LocalHeads::default());
    let head = pool::head(1, &[(9, 1)]);
    heads.keep(volume(), head.clone(), ids(&[1]));
    assert_eq!((current(&heads, &cx), cx.facts.heads(volume())), (vec![head], Vec::new()));
}

#[test]
fn a_kept_head_hides_those_it_was_made_of_and_stands_beside_others() {
    let (mut cx, mut heads) = (context(0, 3), LocalHeads::default());
    let (base, own, other) = (pool::head(1, &[(4, 1)]), pool::head(1, &[(9, 1), (4, 1)]), pool::head(1, &[(5, 1)]));
    cx.facts.insert(base.into());
    heads.keep(volume(), own.clone(), ids(&[1]));
    assert_eq!(current(&heads, &cx), [own]);
    cx.facts.insert(other.into());
    assert_eq!(current(&heads, &cx).len(), 2);
}

#[test]
fn a_superseded_head_is_dropped_and_one_that_stands_is_kept() {
    let (mut cx, mut heads) = (context(0, 3), LocalHeads::default());
    heads.keep(volume(), pool::head(1, &[(9, 1)]), ids(&[1]));
    cx.facts.insert(pool::head(1, &[(5, 1)]).into());
    heads.drop_superseded(&cx);
    assert!(!heads.is_empty(), "the other knows nothing of it");
    cx.facts.insert(pool::head(1, &[(5, 2), (9, 1)]).into());
    heads.drop_superseded(&cx);
    assert!(heads.is_empty());
}

/// It took the same heads together as somebody else did, who had the key of the new epoch: kept as outdated, it was brought into
/// that epoch again and again, for there was nothing to merge (household seed 197).
#[test]
fn a_merge_that_others_published_in_the_epoch_that_began_meanwhile_is_not_kept() {
    let (mut cx, mut heads) = (context(0, 3), LocalHeads::default());
    let dots = [9, 5].map(|number| (0, Dot { writer: pool::writer(0, number), seq: 1 }));
    cx.facts.insert(pool::epoch(&pool::root(), 2, Vec::new()).into());
    cx.facts.insert(pool::merge_by(1, 2, &dots).into());
    heads.keep_if_it_stands(&cx, volume(), pool::merge_by(0, 1, &dots), ids(&[1]));
    assert!(heads.is_empty() && !heads.is_to_recommit(&cx, volume()));
    heads.keep_if_it_stands(&cx, volume(), pool::head(1, &[(9, 2), (5, 1)]), ids(&[1]));
    assert!(heads.is_to_recommit(&cx, volume()), "an operation that the others know nothing of");
}

#[test]
fn a_log_brings_back_what_was_kept() {
    let mut heads = LocalHeads::default();
    heads.keep(volume(), pool::head(1, &[(9, 1)]), ids(&[1, 2]));
    let mut cx = context(0, 3);
    let mut again = LocalHeads::default();
    again.replay(&mut cx, entries(&heads));
    let own = again.unpublished(volume()).expect("kept");
    assert_eq!((own.head.clone(), own.under_replicated.clone()), (pool::head(1, &[(9, 1)]), ids(&[1, 2])));
}

/// It was kept back, and told when its blocks had copies: the log has both. Taken for unpublished after a restart, it made every
/// write durable in one place until each of those blocks had been asked for again.
#[test]
fn what_was_told_later_is_not_kept_back_again_after_a_restart() {
    let mut heads = LocalHeads::default();
    heads.keep(volume(), pool::head(1, &[(9, 1)]), ids(&[1, 2]));
    let mut cx = context(0, 3);
    cx.facts.insert(pool::head(1, &[(9, 1)]).into());
    let mut again = LocalHeads::default();
    again.replay(&mut cx, entries(&heads));
    assert!(again.is_empty());
    assert_eq!(current(&again, &cx), [pool::head(1, &[(9, 1)])]);
}

#[test]
fn of_several_log_entries_the_newest_head_counts_and_no_block_is_forgotten() {
    let (mut one, mut other) = (LocalHeads::default(), LocalHeads::default());
    one.keep(volume(), pool::head(1, &[(9, 1)]), ids(&[1]));
    other.keep(volume(), pool::head(1, &[(9, 2)]), ids(&[2]));
    let (one, other) = (entries(&one), entries(&other));
    for entries in [[one.clone(), other.clone()].concat(), [other, one].concat()] {
        let (mut cx, mut heads) = (context(0, 3), LocalHeads::default());
        heads.replay(&mut cx, entries);
        let own = heads.unpublished(volume()).expect("kept");
        assert_eq!((own.head.clone(), own.under_replicated.clone()), (pool::head(1, &[(9, 2)]), ids(&[1, 2])));
        assert!(cx.facts.heads(volume()).is_empty());
    }
}

#[test]
fn of_two_log_entries_that_stand_side_by_side_none_is_lost() {
    let (mut one, mut other) = (LocalHeads::default(), LocalHeads::default());
    one.keep(volume(), pool::head(1, &[(8, 1)]), ids(&[1]));
    other.keep(volume(), pool::head(1, &[(9, 1)]), ids(&[2]));
    let (mut cx, mut heads) = (context(0, 3), LocalHeads::default());
    heads.replay(&mut cx, [entries(&one), entries(&other)].concat());
    assert_eq!(current(&heads, &cx).len(), 2);
}

#[test]
fn a_log_entry_that_others_went_on_from_is_dropped() {
    let (mut cx, mut kept) = (context(0, 3), LocalHeads::default());
    kept.keep(volume(), pool::head(1, &[(9, 1)]), ids(&[1]));
    cx.facts.insert(pool::head(1, &[(5, 1), (9, 1)]).into());
    let mut heads = LocalHeads::default();
    heads.replay(&mut cx, entries(&kept));
    assert!(heads.is_empty());
}

#[test]
fn a_head_with_many_blocks_takes_several_log_entries() {
    let id = |number: usize| BlockId([&(number as u64).to_be_bytes()[..], &[0; 24]].concat().try_into().expect("32"));
    for (count, parts) in [(0, 1), (UNDER_REPLICATED_ENTRY_MAX, 1), (UNDER_REPLICATED_ENTRY_MAX + 1, 2)] {
        let blocks: BTreeSet<BlockId> = (0..count).map(id).collect();
        assert_eq!(entries_of(&pool::head(1, &[(9, 1)]), &blocks).count(), parts, "{count} blocks");
    }
}

#[test]
fn a_block_that_has_its_copies_is_waited_for_no_longer() {
    let mut heads = LocalHeads::default();
    heads.keep(volume(), pool::head(1, &[(9, 1)]), ids(&[1, 2]));
    heads.note_replicated(volume(), BlockId([1; 32]));
    heads.note_replicated(volume(), BlockId([7; 32]));
    assert_eq!(heads.take(volume()).map(|own| own.under_replicated), Some(ids(&[2])));
    assert!(heads.take(volume()).is_none());
}

#[test]
fn copies_are_made_only_when_somebody_is_there() {
    let (mut cx, mut heads) = (context(0, 3), LocalHeads::default());
    heads.keep(volume(), pool::head(1, &[(9, 1)]), ids(&[1, 2]));
    assert!(heads.to_replicate(&cx, volume()).is_empty());
    connect(&mut cx, 1);
    assert_eq!(heads.to_replicate(&cx, volume()), [BlockId([1; 32]), BlockId([2; 32])]);
}

#[test]
fn the_publish_quorum_is_a_majority_of_n_as_far_as_there_are_servers() {
    for (nodes, quorum) in [(1, 1), (2, 2), (3, 2), (6, 2)] {
        let cx = context(0, nodes);
        assert_eq!(LocalHeads::default().publish_quorum(&cx, &Liveness::default()), quorum, "{nodes} nodes");
    }
    let mut cx = context(0, 6);
    cx.facts.insert(rules(0, 1, None, 5).into());
    assert_eq!(LocalHeads::default().publish_quorum(&cx, &Liveness::default()), usize::from(cx.copies()) / 2 + 1);
}

#[test]
fn members_that_store_nothing_are_no_servers() {
    let heads = LocalHeads::default();
    for (me, storing, quorum) in [(0, 1, 1), (1, 1, 1), (0, 2, 2), (2, 2, 2), (4, 3, 2)] {
        let mut cx = context(me, 5);
        for number in storing..5 {
            // Of none, and one that is drained.
            let disks: &[(u8, u32)] = if number % 2 == 0 { &[] } else { &[(number, 0)] };
            cx.facts.insert(pool::card(number, 2, disks, 0).into());
        }
        cx.refresh_map();
        (0..5).filter(|number| *number != me).for_each(|number| {
            connect(&mut cx, number);
        });
        assert_eq!(heads.publish_quorum(&cx, &Liveness::default()), quorum, "node {me}, of which {storing} store");
    }
}

#[test]
fn servers_long_away_do_not_count_if_somebody_can_be_told() {
    let mut cx = context(0, 2);
    pass(&mut cx, LONG_AWAY_MS);
    let quorum = |cx: &Context| LocalHeads::default().publish_quorum(cx, &Liveness::default());
    assert_eq!(quorum(&cx), 2, "there is nobody to be told");
    cx.peers.on_up(fsdfs_proto::ids::NodeId([0xee; 32]), cx.now.mono);
    assert_eq!(quorum(&cx), 1);
    connect(&mut cx, 1);
    assert_eq!(quorum(&cx), 2, "it is back");
}

/// A drained node that reaches one of two servers waited for the other one, of which it heard every minute (household seed 79). One
/// that reaches no other server waits for those of which it hears: what it alone has would be published (household seed 368).
#[test]
fn a_server_that_only_others_reach_is_waited_for_if_no_other_server_is_reached() {
    let mut cx = context(0, 3);
    connect(&mut cx, 1);
    pass(&mut cx, LONG_AWAY_MS);
    cx.facts.insert(pool::card(0, 2, &[], 0).into());
    cx.refresh_map();
    let mut liveness = Liveness::default();
    liveness.note(&cx, &Heartbeat { version: 1, node: node(2), boot: 1, counter: 1 });
    let quorum = |cx: &Context| LocalHeads::default().publish_quorum(cx, &liveness);
    assert_eq!(quorum(&cx), 1);
    let mut cx = context(0, 3);
    cx.peers.on_up(fsdfs_proto::ids::NodeId([0xee; 32]), cx.now.mono);
    pass(&mut cx, LONG_AWAY_MS);
    assert_eq!(quorum(&cx), 2, "itself and the one of which it hears");
}

#[test]
fn only_confirmed_servers_count_as_copies() {
    let cx = context(0, 3);
    assert_eq!(copies_in(&local_only(&cx)), 1);
    assert_eq!(copies_in(&PutOutcome::Refused(crate::seam::Refusal::NoSpace)), 0);
}
