//! Rules, servers, volumes, heads.

use fsdfs_proto::identity::{Head, card_flag};
use fsdfs_proto::ids::{DiskId, DiskNonce};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::Dot;

use super::super::{FactSet, InsertOutcome};
use super::pool::{
    TestPool, admins, card, epoch, head, head_by, head_under, key, keys, merge_by, node, pool_id, root, rules, writer,
};
use crate::placement::MapDisk;

#[test]
fn rules_follow_each_other_and_keep_their_floors() {
    let mut pool = TestPool::of(2);
    assert_eq!((pool.facts.rules().copies, pool.facts.rules().gone_days), (3, 14));
    let first = rules(0, 1, None, 2);
    let second = rules(0, 2, Some(first.id()), 4);
    pool.say(second.clone());
    assert_eq!(pool.facts.rules().copies, 3, "its predecessor is not known");
    pool.say(first);
    assert_eq!((pool.facts.rules().copies, pool.facts.rules().gone_days), (4, 1));
    assert_eq!(pool.say(rules(1, 3, Some(second.id()), 1)), InsertOutcome::Waiting, "not an admin");
    let list = pool.said[1].id();
    pool.say(admins(2, Some(list), &[0, 1]));
    assert_eq!(pool.facts.rules().copies, 1, "an admin now");
}

#[test]
fn a_newer_card_wins_and_at_equal_numbers_the_larger_id() {
    let mut pool = TestPool::of(1);
    let (a, b) = (card(0, 3, &[(1, 10)], 0), card(0, 3, &[(1, 20)], 0));
    let (small, large) = if a.id() < b.id() { (a, b) } else { (b, a) };
    assert_eq!(pool.say(small.clone()), InsertOutcome::New);
    assert_eq!(pool.say(large.clone()), InsertOutcome::New);
    assert_eq!(pool.say(small), InsertOutcome::Stale);
    assert_eq!(pool.say(card(0, 2, &[], 0)), InsertOutcome::Stale);
    assert_eq!(pool.facts.members()[&node(0)].card, Some(large));
}

#[test]
fn nobody_takes_the_disk_of_another_and_full_nodes_keep_their_weight() {
    let mut pool = TestPool::of(3);
    pool.say(card(0, 1, &[(1, 10)], 0));
    pool.say(card(2, 1, &[(3, 30)], card_flag::READ_ONLY));
    let before = pool.facts.servers();
    // The same nonce on a later card of another node: it is another disk.
    pool.say(card(1, 9, &[(1, 1000)], 0));
    let after = pool.facts.servers();
    assert_eq!([&before[..], &after[..]].map(<[_]>::len), [2, 3]);
    assert!(before.iter().all(|server| after.contains(server)), "{before:?} {after:?}");
    let ids: std::collections::BTreeSet<DiskId> =
        after.iter().flat_map(|server| &server.disks).map(|disk| disk.id).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn rules_cap_what_a_server_may_claim() {
    let mut pool = TestPool::of(1);
    pool.say(card(0, 1, &[(1, 300), (2, 100)], 0));
    let before = pool.facts.map_digest();
    pool.say(rules(0, 1, None, 3));
    let mut weights = by_node(&pool.facts, &[0]);
    weights[0].sort_unstable();
    assert_eq!(weights, [vec![25, 75]]);
    assert_ne!(pool.facts.map_digest(), before);
}

fn by_node(facts: &FactSet, nodes: &[u8]) -> Vec<Vec<u32>> {
    let servers = facts.servers();
    let weights = |disks: &[MapDisk]| disks.iter().map(|disk| disk.weight).collect();
    nodes
        .iter()
        .map(|number| weights(&servers.iter().find(|server| server.id == node(*number)).expect("has a card").disks))
        .collect()
}

#[test]
fn names_and_heartbeats_do_not_change_the_map() {
    let mut pool = TestPool::of(2);
    pool.say(card(0, 1, &[(1, 10)], 0));
    let (map, gossip) = (pool.facts.map_digest(), pool.facts.gossip_digest());
    pool.say(super::pool::beat(0, 1, 1));
    assert_eq!((pool.facts.map_digest(), pool.facts.gossip_digest()), (map, gossip));
    pool.say(card(0, 2, &[(1, 10)], 0));
    assert_eq!(pool.facts.map_digest(), map);
    assert_ne!(pool.facts.gossip_digest(), gossip);
    assert_eq!(pool.facts.servers()[0].disks[0].id, DiskId::of(node(0), DiskNonce([1; 16])));
}

#[test]
fn heads_wait_for_their_epoch_and_give_way_to_those_that_include_them() {
    let mut pool = TestPool::of(1);
    let volume = pool_id().volume();
    let (a, b, both) = (head(1, &[(1, 1)]), head(1, &[(2, 1)]), head(1, &[(1, 1), (2, 1), (3, 1)]));
    assert_eq!(pool.say(a.clone()), InsertOutcome::Waiting);
    pool.say(epoch(&key(0), 1, Vec::new()));
    assert_eq!(pool.facts.heads(volume), std::slice::from_ref(&a));
    pool.say(b.clone());
    assert_eq!(pool.facts.heads(volume).len(), 2);
    pool.say(both.clone());
    assert_eq!(pool.facts.heads(volume), std::slice::from_ref(&both));
    assert_eq!(pool.say(a), InsertOutcome::Stale);
    let news = pool.facts.drain_new();
    assert!(!news.contains(&b.into()), "superseded before anybody heard of it");
    assert!(news.contains(&both.into()));
}

#[test]
fn a_head_under_another_key_is_refused() {
    let mut pool = TestPool::of(1);
    pool.say(epoch(&key(0), 1, Vec::new()));
    let stranger =
        fsdfs_proto::volume::VolumeKeys::from_write_secret(pool_id().volume(), 1, fsdfs_proto::ids::Key([9; 32]));
    let dot = Dot { writer: writer(0, 1), seq: 1 };
    let forged = head_under(&stranger, 0, Vec::new(), Some(dot), &[(0, dot)]);
    assert!(matches!(pool.say(forged), InsertOutcome::Invalid(_)));
}

/// Heads are not charged to anybody's account, and each may have 64 KiB.
#[test]
fn one_author_fills_no_volume_with_heads_in_any_order() {
    let volume = pool_id().volume();
    let many: Vec<_> = (0..100).map(|writer| head_by(1, 1, &[(writer, 1)])).collect();
    let stands = |heads: Vec<&Signed<Head>>| {
        let mut pool = TestPool::of(2);
        pool.say(epoch(&key(0), 1, Vec::new()));
        heads.into_iter().for_each(|head| {
            pool.say(head.clone());
        });
        assert_eq!(pool.say(head_by(0, 1, &[(200, 1)])), InsertOutcome::New, "others have their place");
        pool.facts.heads(volume)
    };
    let (one, other) = (stands(many.iter().collect()), stands(many.iter().rev().collect()));
    assert_eq!((one.len(), one == other), (crate::limits::HEADS_PER_AUTHOR_MAX + 1, true));
}

/// Whoever has the volume's key can sign as as many authors as it likes: all whom nobody knows count as one.
#[test]
fn made_up_authors_take_no_members_place() {
    let mut pool = TestPool::of(2);
    pool.say(epoch(&key(0), 1, Vec::new()));
    let by = |author: u8, number: u16| {
        let dot = Dot { writer: fsdfs_proto::ids::Writer::of(node(author), number.into()), seq: 1 };
        head_under(&keys(1), author, Vec::new(), Some(dot), &[(author, dot)])
    };
    let heads = (20..30u8).flat_map(|author| (0..30).map(move |number| by(author, number)));
    let kept = heads.filter(|head| pool.say(head.clone()) == InsertOutcome::New).count();
    assert_eq!(kept, crate::limits::HEADS_PER_BRANCH_MAX);
    assert!(matches!(pool.say(by(30, 1)), InsertOutcome::Invalid(_)));
    assert_eq!(pool.say(by(1, 1)), InsertOutcome::New, "a member");
}

/// Nodes that merge the same heads make the same commit, each in its own name.
#[test]
fn of_one_commit_published_by_several_one_head_stands_in_any_order() {
    let volume = pool_id().volume();
    let dots = [(0, Dot { writer: writer(0, 1), seq: 1 })];
    let heads = [merge_by(0, 1, &dots), merge_by(1, 1, &dots)];
    let stands = |order: [usize; 2]| {
        let mut pool = TestPool::of(2);
        pool.say(epoch(&key(0), 1, Vec::new()));
        for at in order {
            pool.say(heads[at].clone());
        }
        pool.facts.heads(volume)
    };
    assert_eq!(stands([0, 1]), stands([1, 0]));
    assert_eq!(stands([0, 1]).len(), 1);
}

/// Whoever signs can make as many signatures for one thing as it likes, and each would be another head of one commit.
#[test]
fn a_commit_that_its_author_signs_again_and_again_is_one_head() {
    let mut pool = TestPool::of(2);
    pool.say(epoch(&key(0), 1, Vec::new()));
    let head = merge_by(1, 1, &[(0, Dot { writer: writer(0, 1), seq: 1 })]);
    let again = |byte: u8| {
        let mut value = head.value().clone();
        value.marks[0].signatures[0].0[0] ^= byte;
        Signed::sign(pool_id(), keys(1).writer().expect("made from the write secret").signing_key(), value)
    };
    let before = pool.facts.all().count();
    for byte in 0..20 {
        pool.say(again(byte));
    }
    assert_eq!(pool.facts.heads(pool_id().volume()).len(), 1);
    assert_eq!(pool.facts.all().count(), before + 1);
}

/// They are told of it when a new epoch has begun from that commit, in whatever order.
#[test]
fn of_one_commit_that_an_epoch_began_from_one_head_stands_in_any_order() {
    let volume = pool_id().volume();
    let dots = [(0, Dot { writer: writer(0, 1), seq: 1 })];
    let heads = [merge_by(0, 1, &dots), merge_by(1, 1, &dots)];
    let frozen = fsdfs_proto::ids::BlockId::of(&heads[0].value().commit);
    assert_eq!(frozen, fsdfs_proto::ids::BlockId::of(&heads[1].value().commit), "one commit");
    let stands = |order: [usize; 2]| {
        let mut pool = TestPool::of(2);
        pool.say(epoch(&key(0), 1, Vec::new()));
        pool.say(epoch(&key(0), 2, vec![frozen]));
        for at in order {
            pool.say(heads[at].clone());
        }
        pool.facts.heads(volume)
    };
    assert_eq!(stands([0, 1]), stands([1, 0]));
    assert_eq!(stands([0, 1]).len(), 1);
}

#[test]
fn the_key_of_an_ended_epoch_hides_nothing() {
    let mut pool = TestPool::of(1);
    let volume = pool_id().volume();
    pool.say(epoch(&root(), 1, Vec::new()));
    let last = head(1, &[(1, 1)]);
    pool.say(last.clone());
    let commit = fsdfs_proto::ids::BlockId::of(&last.value().commit);
    pool.say(epoch(&root(), 2, vec![commit]));
    assert_eq!(pool.facts.heads(volume), std::slice::from_ref(&last), "the new epoch starts from it");
    let new = head(2, &[(1, 2)]);
    pool.say(new.clone());
    pool.say(head(1, &[(1, 9), (9, 9)]));
    assert_eq!(pool.facts.heads(volume), [new]);
    assert_eq!(pool.facts.epoch(volume).expect("known").value().epoch, 2);
}

#[test]
fn what_an_epoch_began_from_is_not_hidden_with_an_older_key_or_that_of_an_epoch_begun_elsewhere() {
    let mut pool = TestPool::of(2);
    let volume = pool_id().volume();
    pool.say(epoch(&root(), 1, Vec::new()));
    let last = head(1, &[(1, 1)]);
    let frozen = fsdfs_proto::ids::BlockId::of(&last.value().commit);
    pool.say(last.clone());
    pool.say(epoch(&root(), 2, vec![frozen]));
    // Somebody who is out and has the old key covers everything with it.
    let late = head(1, &[(9, 9), (1, 1)]);
    assert_eq!(pool.say(late.clone()), InsertOutcome::New);
    assert_eq!(pool.facts.heads(volume), std::slice::from_ref(&last));
    assert_eq!(pool.facts.heads_left_out(volume), std::slice::from_ref(&late), "kept, and not shown");
    // The same with the key of an epoch that a lower rank began at the same time.
    let other = fsdfs_proto::volume::VolumeKeys::from_write_secret(volume, 2, fsdfs_proto::ids::Key([9; 32]));
    let elsewhere = fsdfs_proto::identity::VolEpoch {
        signer: node(0).into(),
        write_pk: other.writer().expect("writes").write_pk(),
        read_check: other.read_check(),
        ..epoch(&root(), 2, vec![frozen]).value().clone()
    };
    assert_eq!(pool.say(Signed::sign(pool_id(), &key(0), elsewhere)), InsertOutcome::New);
    let dots = [(1, 9, 9), (0, 1, 1)].map(|(of, number, seq)| (of, Dot { writer: writer(of, number), seq }));
    pool.say(head_under(&other, 1, Vec::new(), Some(dots[0].1), &dots));
    assert_eq!(pool.facts.heads(volume), [last]);
    let new = head(2, &[(1, 2)]);
    pool.say(new.clone());
    assert_eq!(pool.facts.heads(volume), [new]);
}

#[test]
fn epochs_follow_each_other() {
    let mut pool = TestPool::of(1);
    pool.say(epoch(&root(), 1, Vec::new()));
    assert_eq!(pool.say(epoch(&root(), 3, Vec::new())), InsertOutcome::Waiting);
    assert_eq!(pool.facts.epoch(pool_id().volume()).map(|epoch| epoch.value().epoch), Some(1));
    pool.say(epoch(&root(), 2, Vec::new()));
    assert_eq!(pool.facts.epoch(pool_id().volume()).map(|epoch| epoch.value().epoch), Some(3));
}

#[test]
fn whoever_is_out_has_the_key_until_an_epoch_began_for_its_sake() {
    let mut pool = TestPool::of(3);
    pool.say(epoch(&root(), 1, Vec::new()));
    assert!(pool.facts.still_with_key().is_empty());
    pool.revoke(0, node(1).into(), Vec::new());
    assert_eq!(pool.facts.still_with_key(), [node(1)]);
    let without = |number, nodes: Vec<fsdfs_proto::ids::NodeId>| {
        let mut statement = epoch(&key(0), number, Vec::new()).value().clone();
        statement.without = nodes;
        Signed::sign(pool_id(), &key(0), statement)
    };
    pool.say(without(2, vec![node(1)]));
    assert!(pool.facts.still_with_key().is_empty());
    pool.revoke(0, node(2).into(), Vec::new());
    assert_eq!(pool.facts.still_with_key(), [node(2)]);
    pool.say(without(3, vec![node(2)]));
    assert!(pool.facts.still_with_key().is_empty(), "each epoch counts");
}
