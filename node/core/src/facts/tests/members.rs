//! Who is a member, and who no longer is.

use fsdfs_proto::identity::{Card, Cert, Departure, Invitation, Revocation, Role, ticket_cert};
use fsdfs_proto::signed::Signed;

use super::super::{GateRefusal, InsertOutcome, MemberStatus};
use super::pool::{
    TestPool, absence, admins, beat, card, card_of, features, gone, key, node, pool_id, public, remove, ticket_key,
};

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
    assert_eq!(pool.standing(1), Some(MemberStatus::Revoked));
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
    let ticket_pk = public(&ticket_key(ticket));
    pool.revoke(0, ticket_pk, pool.facts.signed_by(ticket_pk));
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
    assert_eq!(pool.say(Signed::sign(pool_id(), &key(1), admission)), InsertOutcome::New);
    assert_eq!(pool.standing(2), Some(MemberStatus::Member));
}

#[test]
fn a_member_that_makes_tickets_for_itself_is_admitted_once() {
    let mut pool = TestPool::of(2);
    let own = pool.ticket(1, 1, 0);
    let chain = pool.chain_by(1, own, 1);
    assert_eq!(pool.facts.judge(0, node(1), &chain, &[]), Err(GateRefusal::BadSubject), "below itself");
    let again = pool.ticket(0, 1, 0);
    let chain = pool.chain_by(0, again, 1);
    let judged = pool.facts.judge(0, node(1), &chain, &[]).expect("a member comes in");
    assert_eq!((judged.redeem, judged.facts.len()), (None, 0), "nobody signs or keeps anything for it");
}

#[test]
fn a_ticket_of_a_wider_role_is_redeemed_by_a_member() {
    let mut pool = TestPool::of(1);
    let narrow = pool.ticket_for(0, Role::StorageOnly);
    pool.join(0, narrow, 1, 5);
    let wide = pool.ticket_for(0, Role::Full);
    let chain = pool.chain_by(0, wide, 1);
    let judged = pool.facts.judge(0, node(1), &chain, &[]).expect("comes in");
    assert!(judged.redeem.is_some());
    pool.join(0, wide, 1, 9);
    assert_eq!(pool.facts.members()[&node(1)].role, Role::Full);
}

#[test]
fn a_certificate_needs_its_subjects_consent() {
    let mut pool = TestPool::of(3);
    let trap = pool.ticket(1, 1, 0);
    let forged = Cert { consent: None, ..pool.member_cert(trap, 2).value().clone() };
    let said = pool.say(Signed::sign(pool_id(), &ticket_key(trap), forged));
    assert!(matches!(said, InsertOutcome::Invalid(_)), "{said:?}");
}

#[test]
fn a_foreign_certificate_of_a_tickets_key_changes_nothing_for_those_who_came_by_it() {
    let mut pool = TestPool::of(3);
    let ticket = pool.ticket(1, 2, 0);
    pool.join(1, ticket, 3, 10);
    let subject = public(&ticket_key(ticket));
    let own = pool.facts.chain_of(node(2)).expect("in").pop().expect("not empty");
    let copy = Invitation { subject, role: Role::Full, redeem_by: 0, uses: 9, weight_gib_max: 0 };
    assert_eq!(pool.say(ticket_cert(pool_id(), &key(2), &own, copy).expect("may")), InsertOutcome::New);
    assert!(pool.facts.may_revoke(node(1).into(), subject), "it is still its ticket");
    pool.revoke(2, subject, Vec::new());
    assert!(pool.facts.tickets().iter().all(|ticket| ticket.revoked == (ticket.issuer == node(2).into())));
    assert_eq!(pool.standing(3), Some(MemberStatus::Member), "not by the other one's ticket");
    pool.revoke(1, subject, Vec::new());
    assert_eq!(pool.standing(3), Some(MemberStatus::Revoked));
}

#[test]
fn an_admission_that_a_revocation_retains_stands_though_its_witness_was_thrown_out() {
    let mut pool = TestPool::of(2);
    let first = pool.ticket(1, 1, 0);
    pool.join(1, first, 2, 10);
    let second = pool.ticket(0, 1, 0);
    pool.join(2, second, 3, 20);
    let admission = pool.facts.admissions_of(node(3)).pop().expect("admitted").id();
    // Everything below 1 is thrown out, the admission that 2 witnessed for another's guest stays.
    pool.revoke(0, node(2).into(), vec![admission]);
    pool.revoke(0, node(1).into(), Vec::new());
    assert_eq!([2, 3].map(|number| pool.standing(number)), [Some(MemberStatus::Revoked), Some(MemberStatus::Member)]);
}

#[test]
fn gone_takes_a_majority_of_the_branches_however_many_heads_one_has() {
    let mut pool = TestPool::of(4);
    let ticket = pool.ticket(1, 12, 0);
    for sybil in 10..22 {
        pool.join(1, ticket, sybil, u64::from(sybil));
    }
    pool.say(beat(3, 1, 7));
    for issuer in (10..22).chain([1]) {
        assert_eq!(pool.say(gone(issuer, 3, (1, 7))), InsertOutcome::New);
    }
    assert_eq!(pool.standing(3), Some(MemberStatus::Member), "one branch of three");
    pool.say(gone(2, 3, (1, 7)));
    assert_eq!(pool.standing(3), Some(MemberStatus::Departed), "two of three");
}

#[test]
fn nobody_names_a_last_heartbeat_that_was_never_sent() {
    let mut pool = TestPool::of(3);
    let forged = Departure { last: (u64::MAX, u64::MAX), ..gone(0, 2, (1, 7)).value().clone() };
    let said = pool.say(Signed::sign(pool_id(), &key(0), forged));
    assert!(matches!(said, InsertOutcome::Invalid(_)), "{said:?}");
    let none = Departure { proof: None, ..gone(0, 2, (1, 7)).value().clone() };
    assert!(matches!(pool.say(Signed::sign(pool_id(), &key(0), none)), InsertOutcome::Invalid(_)));
}

#[test]
fn a_heartbeat_that_one_voter_proves_is_known_to_those_who_missed_it() {
    let mut pool = TestPool::of(3);
    pool.say(beat(2, 1, 7));
    pool.say(gone(0, 2, (1, 7)));
    pool.say(gone(1, 2, (1, 9)));
    assert_eq!(pool.standing(2), Some(MemberStatus::Member), "0 did not hear the last one");
    pool.say(gone(0, 2, (1, 9)));
    assert_eq!(pool.standing(2), Some(MemberStatus::Departed));
    pool.say(beat(2, 2, 1));
    assert_eq!(pool.standing(2), Some(MemberStatus::Member));
}

#[test]
fn in_a_pool_of_two_neither_calls_the_other_gone() {
    let mut pool = TestPool::of(2);
    pool.say(gone(0, 1, (0, 0)));
    assert_eq!(pool.standing(1), Some(MemberStatus::Member), "one branch of one, and one site of two");
}

#[test]
fn gone_takes_a_majority_of_all_sites_and_ends_with_a_heartbeat() {
    let mut pool = TestPool::of(4);
    (0..4).for_each(|number| {
        pool.say(card(number, 1, &[], 0));
    });
    pool.say(beat(3, 1, 7));
    pool.say(gone(0, 3, (1, 7)));
    pool.say(gone(1, 3, (1, 7)));
    assert_eq!(pool.standing(3), Some(MemberStatus::Member), "two sites of four, as the other half could be");
    pool.say(gone(2, 3, (1, 6)));
    assert_eq!(pool.standing(3), Some(MemberStatus::Member), "the third one missed a heartbeat");
    pool.say(gone(2, 3, (1, 7)));
    assert_eq!(pool.standing(3), Some(MemberStatus::Departed));
    pool.say(beat(3, 1, 8));
    assert_eq!(pool.standing(3), Some(MemberStatus::Member));
}

#[test]
fn a_site_has_one_voice_however_many_nodes_are_there() {
    let mut pool = TestPool::of(6);
    for number in 0..6 {
        let site = ["a", "a", "a", "b", "c", "d"][usize::from(number)];
        let there = Card { site: site.into(), ..card(number, 1, &[], 0).value().clone() };
        pool.say(Signed::sign(pool_id(), &key(number), there));
    }
    for issuer in 0..3 {
        pool.say(gone(issuer, 5, (0, 0)));
    }
    assert_eq!(pool.standing(5), Some(MemberStatus::Member), "three branches, one site of four");
    pool.say(gone(3, 5, (0, 0)));
    assert_eq!(pool.standing(5), Some(MemberStatus::Member), "two sites of four");
    pool.say(gone(4, 5, (0, 0)));
    assert_eq!(pool.standing(5), Some(MemberStatus::Departed));
}

#[test]
fn one_branch_alone_calls_nobody_gone_though_it_is_most_of_the_pool() {
    let mut pool = TestPool::of(2);
    let ticket = pool.ticket(1, 12, 0);
    for friend in 10..20 {
        pool.join(1, ticket, friend, u64::from(friend));
    }
    for issuer in (10..20).chain([1]) {
        pool.say(gone(issuer, 0, (0, 0)));
    }
    assert_eq!(pool.standing(0), Some(MemberStatus::Member));
}

#[test]
fn the_last_absence_counts_and_changes_nothing_for_placement() {
    let mut pool = TestPool::of(2);
    let (map, gossip) = (pool.facts.map_digest(), pool.facts.gossip_digest());
    let say = |pool: &mut TestPool, seq, until| pool.say(absence(1, seq, until));
    assert_eq!(say(&mut pool, 2, 9), InsertOutcome::New);
    assert_eq!(say(&mut pool, 1, 99), InsertOutcome::Stale);
    let until = |pool: &TestPool| pool.facts.members()[&node(1)].absence.as_ref().map(|absence| absence.value().until);
    assert_eq!(until(&pool), Some(9));
    assert_eq!(pool.facts.map_digest(), map);
    assert_ne!(pool.facts.gossip_digest(), gossip, "it is compared");
    say(&mut pool, 3, 0);
    assert_eq!(until(&pool), Some(0));
    pool.say(absence(9, 1, 1));
    assert!(!pool.facts.members().contains_key(&node(9)), "of a stranger it waits");
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
    (0..2).for_each(|number| {
        pool.say(card_of(number, 1, 5));
    });
    pool.say(features(1, 3));
    pool.say(features(0, 2));
    assert_eq!(pool.facts.features(), 3);
}

#[test]
fn a_level_that_some_full_member_does_not_support_says_nothing() {
    let mut pool = TestPool::of(3);
    pool.say(features(1, u32::MAX));
    assert_eq!(pool.facts.features(), 1, "nobody said what it supports");
    pool.say(card_of(0, 1, 4));
    pool.say(card_of(1, 1, 2));
    assert_eq!(pool.facts.features(), 2);
    pool.say(card_of(1, 2, 7));
    assert_eq!(pool.facts.features(), 4, "raised in place, by a newer card");
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
