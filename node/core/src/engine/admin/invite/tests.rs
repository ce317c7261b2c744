use super::*;
use crate::engine::test_kit::pool::{TestPool, key, public};
use crate::engine::test_kit::{connect, context, effects, events};
use crate::seam::Effect;

const OP: OpId = 6;

/// The throw-away key of a ticket.
fn ticket_key() -> PublicKey {
    public(&key(150))
}

fn terms(role: Role, uses: u32) -> TicketTerms {
    TicketTerms { subject: ticket_key(), role, redeem_by: 7, uses, weight_max: 0 }
}

/// The answer to the command: refused at once, or raised so that it comes after all that follows from the statement.
fn refused(cx: &mut Context) -> Option<Refusal> {
    let refusal = |effect| match effect {
        Effect::Reply { op: OP, reply: Reply::Refused(refusal) } => Some(refusal),
        other => panic!("a refusal has no other effect: {other:?}"),
    };
    let mut refusals: Vec<Refusal> = effects(cx).into_iter().filter_map(refusal).collect();
    assert!(refusals.len() <= 1 && events(cx).is_empty());
    refusals.pop()
}

fn invited(cx: &mut Context, terms: TicketTerms) -> Vec<Signed<Cert>> {
    invite(cx, &mut Gossip::default(), OP, terms);
    match events(cx).pop() {
        Some(Event::Reply { op: OP, reply: Reply::Invited(made) }) => made.chain,
        other => panic!("a chain: {other:?}"),
    }
}

#[test]
fn a_ticket_is_certified_by_this_node_and_known_before_the_answer() {
    let mut cx = context(1, 3);
    let own = cx.facts.chain_of(cx.me).expect("a member");
    invite(&mut cx, &mut Gossip::default(), OP, terms(Role::Full, 2));
    let raised = events(&mut cx);
    let [Event::FactsInserted(facts), Event::Reply { op: OP, reply: Reply::Invited(made) }] = &raised[..] else {
        panic!("first the fact, then the answer: {raised:?}")
    };
    let chain = &made.chain;
    let ticket = chain.last().expect("not empty");
    assert_eq!(facts[..], [Fact::from(ticket.clone())]);
    assert_eq!(chain[..own.len()], own[..], "the chain shows why this node may");
    let (cert, me) = (ticket.value(), own.last().expect("not empty").value());
    assert_eq!((cert.kind, cert.issuer, cert.subject), (CertKind::Ticket, cx.me.into(), ticket_key()));
    assert_eq!((cert.uses, cert.redeem_by, cert.depth), (2, 7, me.depth - 1));
    assert!(cert.may_invite);
    let logged = effects(&mut cx);
    assert!(matches!(logged[..], [Effect::Disk { .. }]), "logged, and nobody is answered yet: {logged:?}");
}

#[test]
fn a_ticket_admits_one_at_least_and_passes_on_inviting_to_full_members_only() {
    for (role, may_invite) in [(Role::Full, true), (Role::Reader, false), (Role::StorageOnly, false)] {
        let ticket = invited(&mut context(1, 3), terms(role, 0)).pop().expect("not empty");
        let cert = ticket.value();
        assert_eq!((cert.role, cert.may_invite, cert.uses), (role, may_invite, 1));
    }
}

#[test]
fn a_ticket_says_how_much_storage_is_believed() {
    for (weight_max, stated) in [(0, 0), (500, 500)] {
        let ticket = invited(&mut context(1, 3), TicketTerms { weight_max, ..terms(Role::Full, 1) });
        assert_eq!(ticket.last().expect("not empty").value().weight_gib_max, stated);
    }
}

#[test]
fn a_stranger_cannot_invite() {
    let mut stranger = context(9, 3);
    invite(&mut stranger, &mut Gossip::default(), OP, terms(Role::Full, 1));
    assert_eq!(refused(&mut stranger), Some(Refusal::NotAllowed));
}

#[test]
fn a_clock_that_is_far_off_makes_no_tickets() {
    for (off_ms, minutes) in [(CLOCK_OFF_MS_MAX, None), (CLOCK_OFF_MS_MAX + 60_000, Some(11))] {
        for sign in [1, -1] {
            let mut cx = context(1, 3);
            let off = sign * i64::try_from(off_ms).expect("minutes");
            for number in [0, 2] {
                let peer = connect(&mut cx, number);
                cx.peers.get_mut(peer).expect("connected").clock_is_off(off, cx.now);
            }
            invite(&mut cx, &mut Gossip::default(), OP, terms(Role::Full, 1));
            let Some(minutes) = minutes else {
                assert!(matches!(events(&mut cx).last(), Some(Event::Reply { reply: Reply::Invited(_), .. })));
                continue;
            };
            assert_eq!(refused(&mut cx), Some(Refusal::ClockOff(minutes)));
        }
    }
}

#[test]
fn a_guest_cannot_invite() {
    let mut pool = TestPool::new();
    let ticket = pool.ticket(0, 1, 0);
    pool.join(0, ticket, 1, 1);
    pool.join(0, ticket, 2, 2);
    let guest = (1..3).find(|number| pool.standing(*number) == Some(MemberStatus::Guest)).expect("one too many");
    for (me, refusal) in [(guest, Some(Refusal::Guest)), (3 - guest, None)] {
        let mut cx = context(me, 1);
        cx.facts = pool.facts.clone();
        cx.facts.drain_new();
        invite(&mut cx, &mut Gossip::default(), OP, terms(Role::Full, 1));
        if refusal.is_some() {
            assert_eq!(refused(&mut cx), refusal);
        }
        assert_eq!(cx.facts.tickets().len(), if me == guest { 1 } else { 2 });
    }
}
