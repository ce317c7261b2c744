use fsdfs_proto::identity::{Cert, consented, newcomer_cert};
use fsdfs_proto::time::Hlc;

use super::*;
use crate::engine::test_kit::pool::{TestPool, card, key, node, pool_id, public, root, ticket_key};
use crate::engine::test_kit::{connect, context, effects, events};
use crate::facts::{GateRefusal, TicketRedemption};
use crate::seam::Effect;

const OP: OpId = 6;

#[test]
fn a_reason_is_cut_between_characters() {
    assert_eq!(cut("lost laptop".into()), "lost laptop");
    assert_eq!(cut("x".repeat(300)).len(), REASON_BYTES_MAX);
    let umlauts = cut("x".to_owned() + &"ä".repeat(150));
    assert_eq!((umlauts.len(), umlauts.chars().count()), (199, 100));
}

/// Node 0 of this pool.
fn founder(pool: TestPool) -> Context {
    let mut cx = context(0, 1);
    cx.facts = pool.facts;
    cx.facts.drain_new();
    cx
}

/// The report, and the statements that were made for it.
fn revoked(cx: &mut Context, subject: PublicKey, with_invited: bool) -> RevocationReport {
    revoke(
        cx,
        &mut Gossip::default(),
        OP,
        RevocationOrder { subject, with_invited, reason: "left".into(), root: None },
    );
    match events(cx).pop() {
        Some(Event::Reply { op: OP, reply: Reply::Revoked(report) }) => *report,
        other => panic!("a report: {other:?}"),
    }
}

fn refused(cx: &mut Context, subject: PublicKey) -> Refusal {
    revoke(
        cx,
        &mut Gossip::default(),
        OP,
        RevocationOrder { subject, with_invited: false, reason: String::new(), root: None },
    );
    match effects(cx).pop() {
        Some(Effect::Reply { op: OP, reply: Reply::Refused(refusal) }) => refusal,
        other => panic!("a refusal: {other:?}"),
    }
}

fn status(cx: &Context, number: u8) -> MemberStatus {
    cx.facts.members()[&node(number)].status
}

/// What the gate says to a newcomer with ticket `ticket` of node `issuer`.
fn at_the_gate(cx: &Context, pool: &TestPool, issuer: u8, ticket: usize, newcomer: u8) -> Result<(), GateRefusal> {
    let chain = pool.chain_by(issuer, ticket, newcomer);
    cx.facts.judge(0, node(newcomer), &chain, &[]).map(|_| ())
}

#[test]
fn a_member_is_revoked_by_those_above_it_and_by_nobody_else() {
    for (me, subject, allowed) in [(0, 1, true), (1, 0, false), (1, 2, false), (0, 9, false)] {
        let mut cx = context(me, 3);
        if allowed {
            let report = revoked(&mut cx, node(subject).into(), false);
            assert_eq!((report.revoked, report.staying), (vec![node(subject)], vec![]));
            assert_eq!(status(&cx, subject), MemberStatus::Revoked);
            assert!(cx.facts.get(&report.id).is_some());
        } else {
            assert_eq!(refused(&mut cx, node(subject).into()), Refusal::NotAllowed, "{me} revokes {subject}");
        }
    }
}

#[test]
fn the_answer_names_those_who_know_and_those_who_do_not_yet() {
    let mut cx = context(0, 4);
    connect(&mut cx, 2);
    let report = revoked(&mut cx, node(1).into(), false);
    assert_eq!((report.told, report.unaware), (vec![node(2)], vec![node(3)]));
}

/// Node 1 invited node 2 and has three more tickets: an unused one, one with uses left by which node 3 came, one by which
/// somebody was let in who was never heard of.
fn inviter() -> (TestPool, [usize; 4]) {
    let mut pool = TestPool::of(2);
    let tickets = [pool.ticket(1, 1, 0), pool.ticket(1, 5, 0), pool.ticket(1, 5, 0), pool.ticket(1, 5, 0)];
    pool.join(1, tickets[0], 2, 9);
    pool.join(0, tickets[2], 3, 9);
    pool.join(1, tickets[3], 4, 9);
    for number in 0..4 {
        pool.say(card(number, 1, &[], 0));
    }
    (pool, tickets)
}

#[test]
fn those_whom_a_revoked_member_invited_stay_and_its_tickets_admit_nobody() {
    let (pool, tickets) = inviter();
    let mut cx = founder(pool.clone());
    for ticket in [tickets[1], tickets[2]] {
        assert_eq!(at_the_gate(&cx, &pool, 1, ticket, 9), Ok(()), "open before");
    }
    let report = revoked(&mut cx, node(1).into(), false);
    assert_eq!(
        [status(&cx, 1), status(&cx, 2), status(&cx, 3)],
        [MemberStatus::Revoked, MemberStatus::Member, MemberStatus::Member]
    );
    let staying: std::collections::BTreeSet<NodeId> = report.staying.into_iter().collect();
    assert_eq!((staying, report.tickets_ended), ([node(2), node(3)].into(), 3));
    for ticket in tickets {
        let newcomer = 10 + u8::try_from(ticket).expect("few");
        assert_eq!(at_the_gate(&cx, &pool, 1, ticket, newcomer), Err(GateRefusal::Revoked), "ticket {ticket}");
    }
    assert!(cx.facts.tickets().iter().filter(|ticket| ticket.issuer == node(1).into()).all(|ticket| ticket.revoked));
}

#[test]
fn who_was_let_in_and_never_spoke_does_not_stay() {
    let (pool, tickets) = inviter();
    let mut cx = founder(pool.clone());
    assert_eq!(status(&cx, 4), MemberStatus::Member);
    revoked(&mut cx, node(1).into(), false);
    assert_eq!(status(&cx, 4), MemberStatus::Revoked);
    assert_eq!(at_the_gate(&cx, &pool, 1, tickets[3], 4), Err(GateRefusal::Revoked));
}

#[test]
fn a_certificate_that_was_signed_in_advance_is_void() {
    let (mut pool, _) = inviter();
    let own = pool.facts.chain_of(node(1)).and_then(|mut chain| chain.pop()).expect("a member");
    let sleeper = Cert {
        subject: node(8).into(),
        issuer: node(1).into(),
        depth: own.value().depth - 1,
        parent: Some(own.id()),
        ..own.value().clone()
    };
    pool.say(Signed::sign(pool_id(), &key(1), consented(sleeper, &key(8))));
    assert_eq!(pool.standing(8), Some(MemberStatus::Member));
    let mut cx = founder(pool);
    revoked(&mut cx, node(1).into(), false);
    assert_eq!(status(&cx, 8), MemberStatus::Revoked);
}

#[test]
fn the_invited_go_too_if_that_is_wanted() {
    let (mut pool, _) = inviter();
    let further = pool.ticket(2, 5, 0);
    pool.join(3, further, 5, 20);
    pool.say(card(5, 1, &[], 0));
    // Let in by one that goes, with a ticket of one that stays.
    let other = pool.ticket(0, 1, 0);
    pool.join(2, other, 6, 30);
    pool.say(card(6, 1, &[], 0));
    let mut cx = founder(pool.clone());
    let report = revoked(&mut cx, node(1).into(), true);
    assert_eq!(report.revoked[0], node(1));
    for number in [1, 2, 3, 5] {
        assert_eq!(status(&cx, number), MemberStatus::Revoked, "{number}");
        assert!(report.revoked.contains(&node(number)), "{number}");
    }
    assert_eq!(status(&cx, 6), MemberStatus::Member, "its witness is out, its invitation stands");
    assert!(report.staying.is_empty());
    assert_eq!(at_the_gate(&cx, &pool, 2, further, 9), Err(GateRefusal::Revoked));
}

#[test]
fn a_use_of_somebody_elses_ticket_does_not_come_back() {
    let mut pool = TestPool::of(2);
    let ticket = pool.ticket(0, 1, 0);
    pool.join(1, ticket, 2, 9);
    let mut cx = founder(pool.clone());
    revoked(&mut cx, node(1).into(), false);
    assert_eq!(at_the_gate(&cx, &pool, 0, ticket, 9), Err(GateRefusal::TicketUsedUp));
}

#[test]
fn the_ticket_of_another_member_is_not_ended_by_a_second_certificate_for_its_key() {
    let mut pool = TestPool::of(3);
    let ticket = pool.ticket(2, 5, 0);
    let own = pool.facts.chain_of(node(1)).and_then(|mut chain| chain.pop()).expect("a member");
    let (issuer, parent) = (node(1).into(), Some(own.id()));
    let forged = Cert { issuer, parent, ..pool.tickets[ticket].value().clone() };
    let forged = Signed::sign(pool_id(), &key(1), forged);
    pool.say(forged.clone());
    pool.tickets.push(forged.clone());
    let member = newcomer_cert(pool_id(), &ticket_key(ticket), &forged, &key(3)).expect("has room");
    pool.say(member.clone());
    let redeem = TicketRedemption { ticket: forged.id(), member: member.id() };
    let admission = pool.facts.admission(node(1), Hlc { ms: 9, count: 0 }, redeem);
    pool.say(Signed::sign(pool_id(), &key(1), admission));
    pool.say(card(3, 1, &[], 0));
    let mut cx = founder(pool.clone());
    revoked(&mut cx, node(1).into(), false);
    assert_eq!(at_the_gate(&cx, &pool, 2, ticket, 9), Ok(()));
}

#[test]
fn a_ticket_can_be_revoked_and_those_who_came_by_it_stay() {
    let mut pool = TestPool::of(1);
    let ticket = pool.ticket(0, 5, 0);
    pool.join(0, ticket, 1, 9);
    let mut cx = founder(pool.clone());
    let report = revoked(&mut cx, public(&ticket_key(ticket)), false);
    assert!(report.revoked.is_empty());
    assert_eq!(status(&cx, 1), MemberStatus::Member);
    assert_eq!(at_the_gate(&cx, &pool, 0, ticket, 9), Err(GateRefusal::Revoked));
    assert!(cx.facts.tickets().iter().all(|ticket| ticket.revoked));
}

#[test]
fn the_root_key_revokes_the_founder_from_any_members_node() {
    let mut cx = context(1, 3);
    assert_eq!(refused(&mut cx, node(0).into()), Refusal::NotAllowed);
    let order = |seed: [u8; 32]| RevocationOrder {
        subject: node(0).into(),
        with_invited: false,
        reason: "burnt".into(),
        root: Some(SecretKey::new(seed)),
    };
    revoke(&mut cx, &mut Gossip::default(), OP, order([9; 32]));
    assert!(matches!(effects(&mut cx).pop(), Some(Effect::Reply { reply: Reply::Refused(Refusal::WrongRootKey), .. })));
    revoke(&mut cx, &mut Gossip::default(), OP, order(root().to_bytes()));
    assert!(matches!(events(&mut cx).pop(), Some(Event::Reply { reply: Reply::Revoked(_), .. })));
    assert_eq!(
        [status(&cx, 0), status(&cx, 1), status(&cx, 2)],
        [MemberStatus::Revoked, MemberStatus::Member, MemberStatus::Member]
    );
}
