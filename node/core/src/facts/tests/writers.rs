//! Who has a place among the writers of a volume.

use fsdfs_proto::identity::Role;

use super::pool::{TestPool, node, vouch};
use crate::limits::WRITERS_PER_BRANCH_MAX;

fn has_place(pool: &TestPool, number: u8) -> bool {
    pool.facts.writers().contains(&node(number))
}

/// `by` lets in these, one after the other.
fn lets_in(pool: &mut TestPool, by: u8, numbers: std::ops::Range<u8>) {
    for number in numbers {
        let ticket = pool.ticket(by, 1, 0);
        pool.join(by, ticket, number, u64::from(number));
    }
}

#[test]
fn friends_and_their_friends_write_down_to_the_fourth_and_no_reader_takes_a_place() {
    let mut pool = TestPool::of(2);
    lets_in(&mut pool, 1, 10..11);
    lets_in(&mut pool, 10, 11..12);
    lets_in(&mut pool, 11, 12..13);
    assert!([0, 1, 10, 11, 12].iter().all(|number| has_place(&pool, *number)));
    let ticket = pool.ticket_for(1, Role::Reader);
    pool.join(1, ticket, 20, 99);
    assert!(!has_place(&pool, 20) && !has_place(&pool, 30));
}

/// Whoever lets itself in again and again has a quarter of a quarter in the end, and takes nothing from others.
#[test]
fn a_member_that_comes_in_many_times_takes_no_place_from_those_that_others_let_in() {
    let mut pool = TestPool::of(3);
    // Node 1 lets in a friend and somebody of bad will, then another friend.
    lets_in(&mut pool, 1, 10..12);
    lets_in(&mut pool, 11, 20..70);
    lets_in(&mut pool, 1, 80..81);
    assert!([0, 1, 2, 10, 11, 80].iter().all(|number| has_place(&pool, *number)));
    let crowd = (20..70).filter(|number| has_place(&pool, *number)).count();
    assert!(crowd < WRITERS_PER_BRANCH_MAX / 4, "{crowd}");
    assert!(pool.facts.writers().len() <= 2 + WRITERS_PER_BRANCH_MAX);
    // What it did stays named where it was named, also when it is out.
    let before = pool.facts.writers();
    pool.revoke(0, node(11).into(), Vec::new());
    assert!(before.is_subset(&pool.facts.writers()));
}

#[test]
fn an_admins_vouch_gives_a_place_to_whom_there_was_none_for() {
    let mut pool = TestPool::of(2);
    lets_in(&mut pool, 1, 10..40);
    let late = (10..40).find(|number| !has_place(&pool, *number)).expect("there is no place for thirty friends of one");
    assert!(late >= 20, "but for more than ten: {late}");
    pool.say(vouch(0, late));
    assert!(has_place(&pool, late));
}
