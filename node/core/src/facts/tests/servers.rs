//! What placement reads: weights as far as they are believed, and branches.

use std::collections::BTreeSet;

use fsdfs_proto::identity::may_issue;
use fsdfs_proto::ids::BlockId;

use super::super::FactSet;
use super::pool::{TestPool, card, node, vouch, vouch_up_to};
use crate::placement::{ClusterMap, MapServer};

fn weight(facts: &FactSet, number: u8) -> Option<u64> {
    facts.servers().iter().find(|server| server.id == node(number)).map(MapServer::weight)
}

#[test]
fn what_an_invitation_does_not_cover_is_not_believed() {
    let mut pool = TestPool::of(1);
    let ticket = pool.ticket_up_to(0, 1, 0, 100);
    pool.join(0, ticket, 1, 10);
    pool.say(card(0, 1, &[(1, 10)], 0));
    for (seq, disks, believed) in
        [(1, &[(1, 60)][..], 60), (2, &[(1, 100)], 100), (3, &[(1, 300), (2, 100)], 100), (4, &[(1, u32::MAX); 1], 100)]
    {
        pool.say(card(1, seq, disks, 0));
        assert_eq!(weight(&pool.facts, 1), Some(believed), "{disks:?}");
        assert_eq!(weight(&pool.facts, 0), Some(10), "others keep what they have");
    }
    assert_eq!(pool.facts.weights_of(node(1)), Some((u64::from(u32::MAX), 100)));
}

#[test]
fn an_admin_may_believe_a_member_more() {
    let mut pool = TestPool::of(2);
    let ticket = pool.ticket_up_to(0, 1, 0, 100);
    pool.join(0, ticket, 2, 10);
    pool.say(card(2, 1, &[(1, 500)], 0));
    pool.say(vouch_up_to(1, 2, 400));
    assert_eq!(weight(&pool.facts, 2), Some(100), "not an admin");
    for (most, believed) in [(0, 100), (50, 100), (300, 300), (200, 300), (900, 500)] {
        pool.say(vouch_up_to(0, 2, most));
        assert_eq!(weight(&pool.facts, 2), Some(believed), "up to {most}");
    }
}

#[test]
fn nobody_passes_on_more_than_it_has() {
    let mut pool = TestPool::of(1);
    let ticket = pool.ticket_up_to(0, 1, 0, 100);
    pool.join(0, ticket, 1, 10);
    let own = pool.facts.chain_of(node(1)).expect("a member").pop().expect("not empty");
    for (limit, may) in [(50, true), (100, true), (101, false), (0, false)] {
        let mut below = own.value().clone();
        (below.depth, below.weight_gib_max) = (own.value().depth - 1, limit);
        assert_eq!(may_issue(own.value(), &below).is_ok(), may, "{limit}");
    }
}

#[test]
fn a_pool_of_friends_has_all_its_space_from_its_first_day() {
    // 16, 8, 4, 2, 2, 1, 1 TB in GiB; the founder has one of the small ones, and all tickets are as they are by default.
    let sizes = [931, 14_901, 7_451, 3_725, 1_863, 1_863, 931];
    let mut pool = TestPool::new();
    for (number, gib) in (0_u8..).zip(sizes) {
        if number > 0 {
            let ticket = pool.ticket_up_to(0, 1, 0, 16 << 10);
            pool.join(0, ticket, number, u64::from(number));
        }
        pool.say(card(number, 1, &[(1, gib)], 0));
    }
    let usable = ClusterMap::new(pool.facts.servers()).capacity(3).usable;
    // Every block has one copy on the largest; two more of each have to fit on the others.
    let possible = (31_665 - 14_901) / 2;
    assert!(usable * 100 >= possible * 97, "{usable} of {possible}");
}

/// The founder invited 1, and 1 all others.
fn friends_of_a_friend() -> TestPool {
    let mut pool = TestPool::of(2);
    let ticket = pool.ticket(1, 4, 0);
    for number in 2..6 {
        pool.join(1, ticket, number, u64::from(number) * 10);
    }
    (0..6).for_each(|number| {
        pool.say(card(number, 1, &[(1, 100)], 0));
    });
    pool
}

#[test]
fn friends_of_a_friend_are_at_as_many_sites_as_they_have_and_never_hold_everything() {
    let mut pool = friends_of_a_friend();
    let branches =
        |pool: &TestPool| -> Vec<bool> { pool.facts.servers().iter().map(|server| server.branch.is_some()).collect() };
    assert_eq!(branches(&pool).iter().filter(|shared| **shared).count(), 5);
    let check = |pool: &TestPool, founder_always: bool| {
        let map = ClusterMap::new(pool.facts.servers());
        let mut with_founder = 0;
        for number in 0..300_u32 {
            let holders = map.holders(BlockId::of(&number.to_be_bytes()), 3);
            let sites: BTreeSet<&str> =
                holders.iter().filter_map(|holder| map.server(holder.node)).map(|server| &*server.site).collect();
            assert_eq!(sites.len(), 3, "as many sites as they have");
            with_founder += usize::from(holders.iter().any(|holder| holder.node == node(0)));
        }
        assert_eq!(with_founder == 300, founder_always, "{with_founder}");
    };
    check(&pool, true);
    let before = pool.facts.map_digest();
    // The founder vouches for each of them: from then on they are bound no more.
    (2..6).for_each(|number| {
        pool.say(vouch(0, number));
    });
    assert!(branches(&pool).iter().all(|shared| !shared), "each is a branch of its own");
    assert_ne!(pool.facts.map_digest(), before, "the map says so");
    check(&pool, false);
}

#[test]
fn two_and_three_hold_everything_whoever_invited_whom() {
    for count in [2, 3] {
        let mut pool = TestPool::of(2);
        let ticket = pool.ticket(1, 1, 0);
        pool.join(1, ticket, 2, 10);
        (0..count).for_each(|number| {
            pool.say(card(number, 1, &[(1, 100)], 0));
        });
        let map = ClusterMap::new(pool.facts.servers());
        assert!(
            (0..100_u32).all(|number| map.holders(BlockId::of(&number.to_be_bytes()), 3).len() == usize::from(count))
        );
        assert_eq!(map.capacity(3).usable, 100);
    }
}
