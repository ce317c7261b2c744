//! Who is a member, and who no longer is.

use fsdfs_proto::identity::Revocation;
use fsdfs_proto::signed::Signed;

use super::super::{GateRefusal, InsertOutcome, MemberStatus};
use super::pool::{TestPool, admins, beat, card, features, gone, node, pool_id, public, remove, ticket_key};

#[test]
fn a_ticket_that_expired_after_use_does_not_lock_out_who_used_it() {
    let mut pool = TestPool::new();
    let ticket = pool.ticket(0, 1, 1000);
    pool.join(0, ticket, 1, 500);

    let chain = pool.facts.chain_of(node(1)).expect("a member");
    let judged = pool.facts.judge(99_999, node(1), &chain, &[]).expect("let in");
    assert_eq!(judged.redeem, None);
    assert_eq!(pool.standing(1), Some(MemberStatus::Member));
}

#[test]
fn an_expired_ticket_without_admission_opens_nothing() {
    let mut pool = TestPool::new();
    let ticket = pool.ticket(0, 1, 1000);
    let chain = pool.chain_by(0, ticket, 1);
    assert_eq!(pool.facts.judge(1001, node(1), &chain, &[]), Err(GateRefusal::TicketExpired));
    let judged = pool.facts.judge(1000, node(1), &chain, &[]).expect("in time");
    assert!(judged.redeem.is_some());
}

#[test]
fn surplus_users_of_a_ticket_are_guests_in_the_order_of_their_admissions() {
    let mut pool = TestPool::new();
    let ticket = pool.ticket(0, 1, 0);
    pool.join(0, ticket, 1, 20);
    assert_eq!(pool.standing(1), Some(MemberStatus::Member));
    pool.join(0, ticket, 2, 10);
    assert_eq!(pool.standing(1), Some(MemberStatus::Guest));
    assert_eq!(pool.standing(2), Some(MemberStatus::Member));
}

#[test]
fn a_guest_cannot_date_anybody_before_those_who_came_earlier() {
    let mut pool = TestPool::new();
    let ticket = pool.ticket(0, 1, 0);
    pool.join(0, ticket, 1, 20);
    pool.join(0, ticket, 2, 100);
    assert_eq!(pool.standing(2), Some(MemberStatus::Guest));
    assert_eq!(pool.join(2, ticket, 3, 10), InsertOutcome::Waiting, "earlier than its witness");
    assert_eq!(pool.standing(1), Some(MemberStatus::Member));
}

#[test]
fn removing_a_member_keeps_whom_it_invited() {
    let mut pool = TestPool::new();
    let first = pool.ticket(0, 1, 0);
    pool.join(0, first, 1, 10);
    let second = pool.ticket(1, 1, 0);
    pool.join(1, second, 2, 20);
    let keep = pool.facts.signed_by(node(1).into());
    pool.revoke(0, node(1).into(), keep);
    assert_eq!(pool.standing(1), Some(MemberStatus::Revoked));
    assert_eq!(pool.standing(2), Some(MemberStatus::Member));

    let chain = pool.facts.chain_of(node(2)).expect("a member");
    assert!(pool.facts.judge(99, node(2), &chain, &[]).is_ok());
}

#[test]
fn a_revocation_without_keep_takes_the_subtree() {
    let mut pool = TestPool::new();
    let first = pool.ticket(0, 1, 0);
    pool.join(0, first, 1, 10);
    let second = pool.ticket(1, 1, 0);
    pool.join(1, second, 2, 20);
    let chain = pool.facts.chain_of(node(2)).expect("a member");
    pool.revoke(0, node(1).into(), Vec::new());
    assert_eq!(pool.standing(2), Some(MemberStatus::Revoked));
    assert_eq!(pool.facts.judge(99, node(2), &chain, &[]), Err(GateRefusal::Revoked));
}

#[test]
fn a_member_cannot_revoke_whom_it_did_not_invite_even_with_a_certificate_for_it() {
    let mut pool = TestPool::new();
    let first = pool.ticket(0, 2, 0);
    pool.join(0, first, 1, 10);
    pool.join(0, first, 2, 11);
    let trap = pool.ticket(1, 1, 0);
    pool.join(1, trap, 2, 12);
    assert!(!pool.facts.may_revoke(node(1).into(), node(2).into()));
    pool.revoke(1, node(2).into(), Vec::new());
    assert_eq!(pool.standing(2), Some(MemberStatus::Member));
    assert!(pool.facts.may_revoke(node(0).into(), node(2).into()));
}

#[test]
fn higher_ranks_revoke_lower_ones_and_what_those_signed() {
    let mut pool = TestPool::of(4);
    let first = pool.said[1].id();
    pool.say(admins(2, Some(first), &[0, 1, 2]));
    pool.revoke(2, node(1).into(), Vec::new());
    assert_eq!(pool.standing(1), Some(MemberStatus::Member), "rank 3 stands below rank 2");
    pool.revoke(2, node(3).into(), Vec::new());
    assert_eq!(pool.standing(3), Some(MemberStatus::Revoked));
    pool.revoke(1, node(2).into(), Vec::new());
    assert_eq!(pool.standing(2), Some(MemberStatus::Revoked));
    assert_eq!(pool.standing(3), Some(MemberStatus::Member), "the revocation by a revoked admin was not kept");
}

#[test]
fn an_admin_of_an_earlier_list_stays_above_members() {
    let mut pool = TestPool::of(3);
    let first = pool.said[1].id();
    pool.say(admins(2, Some(first), &[1]));
    assert!(pool.facts.may_revoke(node(1).into(), node(0).into()));
    assert!(pool.facts.may_revoke(node(0).into(), node(2).into()));
    assert!(!pool.facts.may_revoke(node(0).into(), node(1).into()));
}

#[test]
fn a_ticket_key_signs_nothing_but_a_member_certificate() {
    let mut pool = TestPool::of(2);
    let ticket = pool.ticket(0, 1, 0);
    let signer = public(&ticket_key(ticket));
    let revoke = Revocation { version: 1, signer, subject: node(1).into(), reason: String::new(), keep: Vec::new() };
    let said = pool.say(Signed::sign(pool_id(), &ticket_key(ticket), revoke));
    assert!(matches!(said, InsertOutcome::Invalid(_)), "{said:?}");
    assert_eq!(pool.standing(1), Some(MemberStatus::Member));
}

#[test]
fn a_revoked_ticket_admits_nobody_but_keeps_whom_it_admitted() {
    let mut pool = TestPool::new();
    let ticket = pool.ticket(0, 5, 0);
    pool.join(0, ticket, 1, 10);
    let key = public(&ticket_key(ticket));
    pool.revoke(0, key, pool.facts.signed_by(key));
    assert_eq!(pool.standing(1), Some(MemberStatus::Member));
    assert!(pool.facts.tickets()[0].revoked);
    let chain = pool.chain_by(0, ticket, 2);
    assert_eq!(pool.facts.judge(0, node(2), &chain, &[]), Err(GateRefusal::Revoked));
}

#[test]
fn a_used_up_ticket_admits_nobody() {
    let mut pool = TestPool::new();
    let ticket = pool.ticket(0, 1, 0);
    pool.join(0, ticket, 1, 10);
    let chain = pool.chain_by(0, ticket, 2);
    assert_eq!(pool.facts.judge(0, node(2), &chain, &[]), Err(GateRefusal::TicketUsedUp));
    assert_eq!((pool.facts.tickets()[0].used, pool.facts.tickets()[0].uses), (1, 1));
}

#[test]
fn an_admission_shown_at_the_gate_counts_even_if_it_is_news() {
    let mut elsewhere = TestPool::of(2);
    let ticket = elsewhere.ticket(0, 1, 50);
    let mut here = elsewhere.clone();
    elsewhere.join(1, ticket, 2, 40);
    let (chain, shown) = (elsewhere.facts.chain_of(node(2)).expect("in"), elsewhere.facts.admissions_of(node(2)));
    assert_eq!(here.facts.judge(99, node(2), &chain, &[]), Err(GateRefusal::TicketExpired));
    let judged = here.facts.judge(99, node(2), &chain, &shown).expect("admitted elsewhere");
    assert_eq!(judged.redeem, None);
    here.hear(judged.facts);
    assert_eq!(here.standing(2), Some(MemberStatus::Member));
}

#[test]
fn a_stolen_chain_is_worth_nothing() {
    let pool = TestPool::of(2);
    let chain = pool.facts.chain_of(node(1)).expect("a member");
    assert_eq!(pool.facts.judge(0, node(7), &chain, &[]), Err(GateRefusal::WrongPeer));
}

#[test]
fn an_admission_is_stamped_after_its_witness_came_in() {
    let mut pool = TestPool::new();
    let ticket = pool.ticket(0, 2, 0);
    pool.join(0, ticket, 1, 5000);
    let chain = pool.chain_by(0, ticket, 2);
    let judged = pool.facts.judge(0, node(2), &chain, &[]).expect("redeemable");
    let redeem = judged.redeem.expect("not admitted yet");
    let behind = fsdfs_proto::time::Hlc { ms: 70, count: 0 };
    let admission = pool.facts.admission(node(1), behind, redeem);
    pool.hear(judged.facts);
    assert_eq!(pool.say(Signed::sign(pool_id(), &super::pool::key(1), admission)), InsertOutcome::New);
    assert_eq!(pool.standing(2), Some(MemberStatus::Member));
}

#[test]
fn gone_takes_a_majority_of_the_others_and_ends_with_a_heartbeat() {
    let mut pool = TestPool::of(4);
    pool.say(beat(3, 1, 7));
    pool.say(gone(0, 3, (1, 7)));
    assert_eq!(pool.standing(3), Some(MemberStatus::Member), "one of three");
    pool.say(gone(1, 3, (1, 6)));
    assert_eq!(pool.standing(3), Some(MemberStatus::Member), "the second one missed a heartbeat");
    pool.say(gone(1, 3, (1, 7)));
    assert_eq!(pool.standing(3), Some(MemberStatus::Departed));
    pool.say(beat(3, 1, 8));
    assert_eq!(pool.standing(3), Some(MemberStatus::Member));
}

#[test]
fn a_removed_member_is_a_guest_and_others_cannot_remove_it() {
    let mut pool = TestPool::of(3);
    pool.say(remove(1, 2));
    assert_eq!(pool.standing(2), Some(MemberStatus::Member), "member 1 is not above member 2");
    pool.say(remove(2, 2));
    assert_eq!(pool.standing(2), Some(MemberStatus::Removed));
    let chain = pool.facts.chain_of(node(2)).expect("still certified");
    assert!(pool.facts.judge(0, node(2), &chain, &[]).is_ok(), "it may serve and hand over");
}

#[test]
fn the_feature_level_never_falls() {
    let mut pool = TestPool::of(2);
    assert_eq!(pool.facts.features(), 1);
    pool.say(features(1, 3));
    pool.say(features(0, 2));
    assert_eq!(pool.facts.features(), 3);
}

#[test]
fn a_guest_may_come_in_but_weighs_nothing() {
    let mut pool = TestPool::new();
    let ticket = pool.ticket(0, 1, 1000);
    pool.join(0, ticket, 1, 10);
    pool.join(0, ticket, 2, 20);
    pool.say(card(2, 1, &[(1, 10)], 0));
    let chain = pool.facts.chain_of(node(2)).expect("certified");
    let judged = pool.facts.judge(9999, node(2), &chain, &[]).expect("a guest comes in");
    assert_eq!(judged.redeem, None);
    assert!(pool.facts.servers().is_empty());
}

#[test]
fn nobody_is_above_whom_nobody_knows() {
    let pool = TestPool::of(2);
    assert!(!pool.facts.may_revoke(node(0).into(), node(9).into()));
    assert!(!pool.facts.may_revoke(node(1).into(), node(9).into()));
}
