use fsdfs_proto::identity::Card;

use super::*;
use crate::engine::test_kit::pool::{beat, card, gone, key, node, pool_id, remove};
use crate::engine::test_kit::{connect, context, pass, revoke};
use crate::limits::AWAY_MS;

fn report(cx: &Context, liveness: &Liveness, number: u8) -> MemberReport {
    let (presence, relays) = (&PresenceWatch::default(), &Relays::default());
    let parts = MemberParts { cx, liveness, presence, relays };
    let found = members(&parts).members.into_iter().find(|member| member.node == node(number));
    found.expect("the facts know it")
}

fn presence(cx: &Context, number: u8) -> Presence {
    report(cx, &Liveness::default(), number).presence
}

#[test]
fn everyone_is_listed_by_name_and_this_node_is_marked() {
    let (cx, liveness) = (&context(1, 3), &Liveness::default());
    let (presence, relays) = (&PresenceWatch::default(), &Relays::default());
    let list = members(&MemberParts { cx, liveness, presence, relays });
    let names: Vec<(&str, bool)> = list.members.iter().map(|member| (&member.name[..], member.me)).collect();
    assert_eq!(names, [("node0", false), ("node1", true), ("node2", false)]);
    assert_eq!(list.tickets.len(), 2, "one for each newcomer");
    assert!(list.tickets.iter().all(|ticket| (ticket.uses, ticket.used, ticket.revoked) == (1, 1, false)));
}

#[test]
fn a_member_is_shown_as_its_card_says() {
    let member = report(&context(0, 3), &Liveness::default(), 1);
    assert_eq!((&member.name[..], &member.site[..]), ("node1", "site1"));
    assert_eq!(member.addrs, ["192.0.2.1:4001"]);
    assert_eq!(member.disks.iter().map(|(_, gib)| *gib).collect::<Vec<_>>(), [100]);
    assert_eq!(member.invited_by, node(0).into());
}

#[test]
fn before_its_card_is_heard_a_member_has_its_short_id_for_a_name() {
    let mut cx = context(0, 3);
    cx.facts = crate::engine::test_kit::pool::TestPool::of(3).facts;
    let member = report(&cx, &Liveness::default(), 1);
    assert_eq!(member.name, node(1).short());
    assert!(member.site.is_empty() && member.addrs.is_empty() && member.disks.is_empty());
}

#[test]
fn sentences_tell_a_member_from_those_that_borrow_its_name() {
    let mut cx = context(0, 4);
    for (number, name) in [(1, "anna"), (2, "Anna\u{3164}"), (3, "deadbeef")] {
        let named = Card { name: name.into(), ..card(number, 2, &[(number, 100)], 0).value().clone() };
        cx.facts.insert(Signed::sign(pool_id(), &key(number), named).into());
    }
    let label = |cx: &Context, number: u8| (report(cx, &Liveness::default(), number).label, cx.name_of(node(number)));
    let with_id = |name: &str, number: u8| format!("{name} ({})", node(number).short());
    assert_eq!(label(&cx, 1), (with_id("anna", 1), with_id("anna", 1)));
    assert_eq!(label(&cx, 2).0, with_id("Anna\u{3164}", 2));
    assert_eq!(label(&cx, 3).0, "name:deadbeef");
    assert_eq!(label(&cx, 0).0, "node0");
    assert_eq!(report(&cx, &Liveness::default(), 2).name, "Anna\u{3164}", "programs get what the card says");
    revoke(&mut cx, 2);
    assert_eq!(label(&cx, 1).0, "anna", "a revoked member's name is nobody's");
}

#[test]
fn presence_is_the_pools_word_where_it_has_one() {
    let mut cx = context(0, 6);
    for number in 1..6 {
        connect(&mut cx, number);
    }
    assert_eq!(presence(&cx, 1), Presence::Up);
    cx.facts.insert(remove(0, 2).into());
    revoke(&mut cx, 3);
    assert_eq!((presence(&cx, 2), presence(&cx, 3)), (Presence::Removed, Presence::Revoked), "though connected");
    cx.peers.on_down(node(1));
    assert_eq!(presence(&cx, 1), Presence::Up, "it was heard just now");
    pass(&mut cx, AWAY_MS);
    assert_eq!(presence(&cx, 1), Presence::Away);
    assert_eq!(presence(&cx, 0), Presence::Up, "this node");
}

#[test]
fn a_majority_declares_a_member_gone() {
    let mut cx = context(0, 5);
    cx.facts.insert(beat(4, 1, 1).into());
    for issuer in 0..2 {
        cx.facts.insert(gone(issuer, 4, (1, 1)).into());
    }
    assert_eq!(presence(&cx, 4), Presence::Away, "two of five");
    cx.facts.insert(gone(2, 4, (1, 1)).into());
    assert_eq!(presence(&cx, 4), Presence::Departed);
}

#[test]
fn a_silent_peer_counts_as_present_but_not_as_connected() {
    let mut cx = context(0, 3);
    let peer = connect(&mut cx, 1);
    let state = cx.peers.get_mut(peer).expect("connected");
    (state.silent, state.rtt_ms) = (true, Some(12));
    let member = report(&cx, &Liveness::default(), 1);
    assert_eq!((member.presence, member.connected, member.rtt_ms), (Presence::Up, false, Some(12)));
    cx.peers.on_down(peer);
    assert_eq!(report(&cx, &Liveness::default(), 1).rtt_ms, None, "of a connection that is gone");
}

#[test]
fn how_long_a_member_was_not_heard_of_is_told_in_seconds() {
    let (mut cx, mut liveness) = (context(0, 3), Liveness::default());
    assert_eq!(report(&cx, &liveness, 1).heard_s, None);
    liveness.note(&cx, beat(1, 1, 1).value());
    pass(&mut cx, AWAY_MS + 999);
    let member = report(&cx, &liveness, 1);
    assert_eq!((member.heard_s, member.presence), (Some(60), Presence::Away));
}

#[test]
fn the_last_card_counts() {
    let mut cx = context(0, 3);
    cx.facts.insert(card(1, 2, &[(1, 7)], 0).into());
    assert_eq!(report(&cx, &Liveness::default(), 1).disks[0].1, 7);
}
