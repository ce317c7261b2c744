use super::*;
use crate::engine::test_kit::pool::{TestPool, card, node, vouch};
use crate::engine::test_kit::{connect, context, pass, revoke, sent};

const QUESTION: KeyQuestion = (5, None);

/// Node 0 of so many, each a holder of the volume's id, connected to `up` of them; the last one is the newcomer.
fn pool(nodes: u8, up: &[u8]) -> Context {
    let mut cx = context(0, nodes);
    up.iter().for_each(|number| {
        connect(&mut cx, *number);
    });
    cx
}

fn check(cx: &mut Context, grants: &mut KeyGrants, newcomer: u8) -> GrantVerdict {
    grants.check(cx, &Liveness::default(), node(newcomer), QUESTION)
}

/// Who is asked about whom.
fn asked(cx: &mut Context) -> Vec<(NodeId, NodeId)> {
    let about = |(to, message)| match message {
        Message::Entitled(request) => Some((to, request.node)),
        _ => None,
    };
    sent(cx).into_iter().filter_map(about).collect()
}

#[test]
fn in_a_pool_of_two_or_three_one_that_knows_is_enough() {
    for (nodes, up) in [(2, vec![]), (3, vec![])] {
        let mut cx = pool(nodes, &up);
        assert_eq!(check(&mut cx, &mut KeyGrants::default(), nodes - 1), GrantVerdict::Known, "{nodes}");
        assert!(asked(&mut cx).is_empty());
    }
}

#[test]
fn of_three_holders_two_have_to_know() {
    let mut cx = pool(4, &[1, 2]);
    let mut grants = KeyGrants::default();
    assert_eq!(check(&mut cx, &mut grants, 3), GrantVerdict::Asking);
    assert_eq!(asked(&mut cx), [(node(1), node(3)), (node(2), node(3))]);
    assert_eq!(grants.on_answer(node(1), node(3), false), None, "the other one may know");
    assert_eq!(grants.on_answer(node(1), node(3), true), None, "who said no has answered");
    assert_eq!(grants.on_answer(node(2), node(3), true), Some((vec![QUESTION], true)));
    assert_eq!(check(&mut cx, &mut grants, 3), GrantVerdict::Known, "from now on");
}

#[test]
fn whoever_is_known_to_too_few_gets_nothing_now() {
    let mut cx = pool(4, &[1, 2]);
    let mut grants = KeyGrants::default();
    check(&mut cx, &mut grants, 3);
    assert_eq!(grants.on_answer(node(1), node(3), false), None);
    assert_eq!(grants.on_answer(node(2), node(3), false), Some((vec![QUESTION], false)));
    assert_eq!(grants.on_answer(node(2), node(3), true), None, "too late");
    assert_eq!(check(&mut cx, &mut grants, 3), GrantVerdict::Asking, "another time");
}

#[test]
fn holders_that_failed_their_audits_are_not_asked() {
    let mut cx = pool(5, &[1, 2, 3]);
    let holders = holders(&cx, &Liveness::default(), node(4));
    let liar = *holders.iter().find(|holder| **holder != cx.me).expect("three of four");
    cx.peers.get_mut(liar).expect("connected").distrusted = true;
    let mut grants = KeyGrants::default();
    assert_eq!(check(&mut cx, &mut grants, 4), GrantVerdict::Asking);
    assert!(asked(&mut cx).iter().all(|(holder, _)| *holder != liar), "another one takes its place");
}

#[test]
fn a_part_of_the_pool_that_is_cut_off_hands_out_nothing() {
    let mut cx = pool(4, &[]);
    assert_eq!(check(&mut cx, &mut KeyGrants::default(), 3), GrantVerdict::NotNow);
    // A pool whose others sleep for long takes in newcomers all the same.
    pass(&mut cx, LONG_AWAY_MS);
    assert_eq!(check(&mut cx, &mut KeyGrants::default(), 3), GrantVerdict::Known);
}

#[test]
fn a_holder_says_what_its_facts_say() {
    let mut cx = context(0, 3);
    let mut race = TestPool::new();
    let ticket = race.ticket(0, 1, 0);
    race.join(0, ticket, 1, 1);
    race.join(0, ticket, 2, 2);
    race.say(card(1, 1, &[], 0));
    let says = |cx: &mut Context, number| {
        KeyGrants::serve(cx, node(1), &EntitledRequest { request: 9, node: node(number) });
        match sent(cx).pop() {
            Some((_, Message::EntitledReply(EntitledReply { request: 9, entitled }))) => entitled,
            other => panic!("an answer: {other:?}"),
        }
    };
    assert!(says(&mut cx, 1) && !says(&mut cx, 9));
    revoke(&mut cx, 1);
    assert!(!says(&mut cx, 1));
    cx.facts = race.facts;
    assert_eq!((says(&mut cx, 1), says(&mut cx, 2)), (true, false), "one of the two came too late");
}

#[test]
fn holders_that_deny_what_they_must_know_keep_nobody_out_for_long() {
    let mut cx = pool(4, &[1, 2]);
    let mut grants = KeyGrants::default();
    assert_eq!(check(&mut cx, &mut grants, 3), GrantVerdict::Asking);
    // One says no, the other one nothing.
    assert_eq!(grants.on_answer(node(1), node(3), false), None);
    pass(&mut cx, HOLDERS_HEARD_MS - 1);
    assert_eq!(check(&mut cx, &mut grants, 3), GrantVerdict::Asking, "they may not have heard of it");
    pass(&mut cx, 1);
    assert_eq!(check(&mut cx, &mut grants, 3), GrantVerdict::Known);
    // Those that are cut off count all the same.
    let mut cx = context(1, 4);
    for number in [0, 2] {
        connect(&mut cx, number);
    }
    let mut grants = KeyGrants::default();
    check(&mut cx, &mut grants, 3);
    for holder in [0, 2] {
        cx.peers.get_mut(node(holder)).expect("connected").up = false;
        grants.on_answer(node(holder), node(3), false);
    }
    pass(&mut cx, HOLDERS_HEARD_MS);
    assert_eq!(check(&mut cx, &mut grants, 3), GrantVerdict::NotNow);
}

#[test]
fn the_node_of_an_admin_gives_keys_to_whom_it_let_in_itself_if_too_few_holders_are_there() {
    let mut cx = pool(4, &[]);
    let mut grants = KeyGrants::default();
    assert_eq!(check(&mut cx, &mut grants, 3), GrantVerdict::NotNow, "they may be there in a moment");
    pass(&mut cx, HOLDERS_HEARD_MS - 1);
    assert_eq!(check(&mut cx, &mut grants, 3), GrantVerdict::NotNow);
    pass(&mut cx, 1);
    assert_eq!(check(&mut cx, &mut grants, 3), GrantVerdict::Known);
    // A member's that is no admin does not, nor does an admin's whom another one let in.
    let mut other = TestPool::of(4);
    let ticket = other.ticket(0, 1, 0);
    other.join(1, ticket, 4, 50);
    (0..5).for_each(|number| {
        other.say(card(number, 1, &[(number, 100)], 0));
    });
    for me in [0, 1] {
        let mut cx = context(me, 4);
        cx.facts = other.facts.clone();
        cx.refresh_map();
        let mut grants = KeyGrants::default();
        assert_eq!(check(&mut cx, &mut grants, 4), GrantVerdict::NotNow, "{me}");
        pass(&mut cx, HOLDERS_HEARD_MS);
        assert_eq!(check(&mut cx, &mut grants, 4), GrantVerdict::NotNow, "{me}");
    }
}

#[test]
fn whom_an_admin_vouches_for_needs_no_holder_and_a_guest_is_entitled_to_nothing_all_the_same() {
    let mut cx = context(1, 4);
    assert_eq!(check(&mut cx, &mut KeyGrants::default(), 3), GrantVerdict::NotNow);
    cx.facts.insert(vouch(0, 3).into());
    assert_eq!(check(&mut cx, &mut KeyGrants::default(), 3), GrantVerdict::Known);
    let mut race = TestPool::of(2);
    let ticket = race.ticket(0, 1, 0);
    race.join(0, ticket, 2, 5);
    race.join(0, ticket, 3, 6);
    race.say(vouch(0, 3));
    cx.facts = race.facts;
    assert_eq!((level_of(&cx, node(2)).is_some(), level_of(&cx, node(3))), (true, None));
}

#[test]
fn a_newcomer_knows_whom_its_keys_wait_for() {
    let mut cx = context(3, 4);
    assert_eq!(holders_away(&cx, &Liveness::default()).len(), 3);
    connect(&mut cx, 0);
    assert_eq!(holders_away(&cx, &Liveness::default()).len(), 2);
    connect(&mut cx, 1);
    assert!(holders_away(&cx, &Liveness::default()).is_empty(), "two of three are enough");
}
