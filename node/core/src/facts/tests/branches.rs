//! Who hangs on whom.

use fsdfs_proto::identity::{Invitation, Role, newcomer_cert, ticket_cert};

use super::super::{BranchId, InsertOutcome, MemberStatus, TicketRedemption};
use super::pool::{TestPool, admins, key, node, pool_id, public, ticket_key, vouch};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;

fn branch(pool: &TestPool, number: u8) -> Option<BranchId> {
    pool.facts.branch_of(node(number))
}

fn head(number: u8) -> Option<BranchId> {
    Some(BranchId(node(number)))
}

/// The founder invited 1 and 2; 1 invited 3, 3 invited 4.
fn family() -> TestPool {
    let mut pool = TestPool::of(3);
    let first = pool.ticket(1, 1, 0);
    pool.join(1, first, 3, 10);
    let second = pool.ticket(3, 1, 0);
    pool.join(3, second, 4, 20);
    pool
}

#[test]
fn whoever_an_admin_invited_is_a_branch_with_all_that_hangs_on_it() {
    let pool = family();
    assert_eq!([0, 1, 2, 3, 4].map(|number| branch(&pool, number)), [head(0), head(1), head(2), head(1), head(1)]);
    let branches = pool.facts.branches();
    assert_eq!(branches.len(), 3);
    assert_eq!(branches[&BranchId(node(1))].len(), 3);
    assert_eq!(branch(&pool, 9), None, "nobody");
}

#[test]
fn an_admins_vouch_makes_a_branch_of_its_own_and_nobody_elses_does() {
    let mut pool = family();
    assert_eq!(pool.say(vouch(1, 3)), InsertOutcome::Waiting, "not an admin");
    assert_eq!(branch(&pool, 3), head(1));
    pool.say(vouch(0, 3));
    assert_eq!([1, 3, 4].map(|number| branch(&pool, number)), [head(1), head(3), head(3)]);
}

#[test]
fn a_member_that_becomes_an_admin_is_a_branch_of_its_own() {
    let mut pool = family();
    let first = pool.said[1].id();
    pool.say(admins(2, Some(first), &[0, 4]));
    assert_eq!([3, 4].map(|number| branch(&pool, number)), [head(1), head(4)]);
}

#[test]
fn a_member_that_comes_in_again_and_again_stays_one_branch() {
    let mut pool = TestPool::of(2);
    let ticket = pool.ticket(1, 12, 0);
    for sybil in 10..22 {
        pool.join(1, ticket, sybil, u64::from(sybil));
    }
    assert!((10..22).all(|sybil| branch(&pool, sybil) == head(1)));
    assert_eq!(pool.facts.branches().len(), 2);
}

#[test]
fn an_admins_ticket_makes_no_more_branches_than_it_has_uses() {
    let mut pool = TestPool::of(1);
    let ticket = pool.ticket(0, 1, 0);
    pool.join(0, ticket, 1, 10);
    // Its holder certifies the ticket's key again, for more, and witnesses admissions by both certificates.
    let own = pool.facts.chain_of(node(1)).expect("in").pop().expect("not empty");
    let subject = public(&ticket_key(ticket));
    let more = Invitation { subject, role: Role::Full, redeem_by: 0, uses: 99, weight_gib_max: 0 };
    let more = ticket_cert(pool_id(), &key(1), &own, more).expect("may invite");
    // Its key would stand on its own chain.
    assert!(matches!(pool.say(more.clone()), InsertOutcome::Invalid(_)));
    let sybil = newcomer_cert(pool_id(), &ticket_key(ticket), &more, &key(9)).expect("has room");
    pool.say(sybil.clone());
    for by in [pool.tickets[ticket].id(), more.id()] {
        let redeem = TicketRedemption { ticket: by, member: sybil.id() };
        let admission = pool.facts.admission(node(1), Hlc { ms: 50, count: 0 }, redeem);
        pool.say(Signed::sign(pool_id(), &key(1), admission));
    }
    assert_eq!((pool.standing(9), branch(&pool, 9)), (None, None));
}

#[test]
fn whom_a_removed_member_invited_stays_in_its_branch() {
    let mut pool = family();
    let keep = pool.facts.signed_by(node(1).into());
    pool.revoke(0, node(1).into(), keep);
    assert_eq!(pool.standing(1), Some(MemberStatus::Revoked));
    assert_eq!([3, 4].map(|number| branch(&pool, number)), [head(1), head(1)]);
}
