use std::collections::BTreeSet;

use fsdfs_proto::identity::{Card, Heartbeat};
use fsdfs_proto::signed::Signed;

use super::*;
use crate::engine::test_kit::pool::{beat, card, features, gone, node};
use crate::engine::test_kit::{asked_of_disk, connect, context, effects, events, pass, sent};
use crate::seam::Effect;

/// Node 0 of six, connected to all others.
/// Node 0, connected to five others, each of which hears the others.
fn connected() -> Context {
    let mut cx = context(0, 6);
    for number in 1..6 {
        let peer = connect(&mut cx, number);
        let others = (1..6).map(node).filter(|other| *other != peer);
        cx.peers.get_mut(peer).expect("connected").hears = Some(others.collect());
    }
    cx
}

fn new_card() -> Signed<Card> {
    card(1, 2, &[(1, 100)], 0)
}

fn new_beat(counter: u64) -> Signed<Heartbeat> {
    beat(1, 1, counter)
}

/// Node 1 sends a fact and waits for request 7: how the log's token rates it.
fn rated(fact: impl Into<Fact>) -> bool {
    let mut cx = context(0, 3);
    Gossip::default().on_facts(&mut cx, node(1), 7, &[fact.into().raw()]);
    match asked_of_disk(&mut cx)[..] {
        [(_, Waiter::Gossip(GossipToken::Ack { valid, .. }))] => valid,
        ref other => panic!("an answer passes through the log: {other:?}"),
    }
}

/// Whether node 1's facts are acknowledged as durable if the log's write ends so.
fn acked(cx: &mut Context, gossip: &mut Gossip, valid: bool, durable: bool) -> bool {
    gossip.on_logged(cx, &GossipToken::Ack { to: node(1), request: 7, valid }, durable);
    let acks: Vec<FactsAck> = effects(cx).into_iter().filter_map(ack).collect();
    assert_eq!((acks.len(), acks[0].request), (1, 7), "every request is answered");
    acks[0].durable
}

fn ack(effect: Effect) -> Option<FactsAck> {
    match effect {
        Effect::Send { message: Message::FactsAck(ack), .. } => Some(ack),
        _ => None,
    }
}

/// Who is told of a fact that came from node 1, or that is this node's own.
fn told(fact: impl Into<Fact>, from: Option<u8>) -> Vec<NodeId> {
    let mut cx = connected();
    Gossip::default().insert_facts(&mut cx, vec![fact.into()], from.map(node));
    sent(&mut cx).into_iter().map(|(to, _)| to).collect()
}

#[test]
fn facts_are_logged_before_they_are_acknowledged() {
    let (mut cx, mut gossip) = (context(0, 3), Gossip::default());
    connect(&mut cx, 1);
    let raw = Fact::from(new_card()).raw();
    gossip.on_facts(&mut cx, node(1), 7, std::slice::from_ref(&raw));
    let out = effects(&mut cx);
    let [Effect::Disk { request: DiskRequest::Log { entries }, token }] = &out[..] else {
        panic!("nothing but the log is asked: {out:?}")
    };
    assert_eq!(entries[..], [LogEntry::Fact(raw)]);
    assert_eq!(token.0, Waiter::Gossip(GossipToken::Ack { to: node(1), request: 7, valid: true }));
    assert!(acked(&mut cx, &mut gossip, true, true));
}

#[test]
fn what_cannot_be_used_here_is_not_acknowledged_as_durable() {
    assert!(rated(new_card()));
    assert!(rated(card(1, 1, &[(1, 100)], 0)), "known");
    assert!(rated(card(1, 0, &[(1, 50)], 0)), "superseded by a later one");
    assert!(!rated(gone(1, 1, (1, 1))), "nobody says that of itself");
    assert!(!rated(card(9, 1, &[], 0)), "a stranger's: it may become valid later");
}

#[test]
fn one_bad_fact_spoils_the_answer_but_not_the_others() {
    let (mut cx, mut gossip) = (context(0, 3), Gossip::default());
    let facts = [Fact::from(gone(1, 1, (1, 1))).raw(), Fact::from(new_card()).raw()];
    gossip.on_facts(&mut cx, node(1), 7, &facts);
    let asked = asked_of_disk(&mut cx);
    let [(DiskRequest::Log { entries }, Waiter::Gossip(token))] = &asked[..] else { panic!("one write: {asked:?}") };
    assert_eq!(entries.len(), 1);
    assert_eq!(*token, GossipToken::Ack { to: node(1), request: 7, valid: false });
    assert!(!acked(&mut cx, &mut gossip, false, true));
}

#[test]
fn known_facts_are_not_logged_again_but_their_answer_waits_for_the_log() {
    let (mut cx, mut gossip) = (context(0, 3), Gossip::default());
    let known = [Fact::from(card(1, 1, &[(1, 100)], 0)).raw()];
    gossip.on_facts(&mut cx, node(1), 0, &known);
    assert!(effects(&mut cx).is_empty(), "nobody waits");
    gossip.on_facts(&mut cx, node(1), 7, &known);
    let asked = asked_of_disk(&mut cx);
    assert!(matches!(&asked[..], [(DiskRequest::Log { entries }, _)] if entries.is_empty()), "{asked:?}");
    assert!(events(&mut cx).is_empty());
}

#[test]
fn of_a_boot_only_the_first_heartbeat_is_logged() {
    let (mut cx, mut gossip) = (context(0, 3), Gossip::default());
    for (counter, writes) in [(1, 1), (2, 0), (3, 0)] {
        gossip.insert_facts(&mut cx, vec![new_beat(counter).into()], Some(node(1)));
        assert_eq!(asked_of_disk(&mut cx).len(), writes, "heartbeat {counter}");
        assert_eq!(events(&mut cx).len(), 1);
    }
}

#[test]
fn new_facts_are_told_to_the_machines_above_once() {
    let (mut cx, mut gossip) = (context(0, 3), Gossip::default());
    let before = cx.facts_version;
    gossip.insert_facts(&mut cx, vec![new_card().into(), new_beat(1).into()], None);
    let raised = events(&mut cx);
    assert!(matches!(&raised[..], [Event::FactsInserted(facts)] if facts.len() == 2), "{raised:?}");
    assert!(cx.facts_version > before);
    let after = cx.facts_version;
    gossip.insert_facts(&mut cx, vec![new_card().into()], None);
    assert!(events(&mut cx).is_empty());
    assert_eq!(cx.facts_version, after);
}

#[test]
fn statements_go_to_everyone_but_whom_they_came_from() {
    assert_eq!(told(features(0, 2), Some(1)).len(), 4);
    assert!(!told(features(0, 2), Some(1)).contains(&node(1)));
    assert_eq!(told(features(0, 2), None).len(), 5);
}

#[test]
fn heartbeats_go_on_to_a_few_and_cards_to_nobody() {
    let few = told(new_beat(1), Some(1));
    assert_eq!(few.len(), HEARTBEAT_FAN_OUT);
    assert!(!few.contains(&node(1)));
    assert!(told(new_card(), Some(1)).is_empty(), "its maker sent it to everyone");
    assert!(told(beat(0, 1, 1), None).is_empty(), "one's own is announced");
}

#[test]
fn a_fact_of_this_node_is_announced_to_all_who_are_connected() {
    let mut cx = connected();
    cx.peers.on_down(node(3));
    Gossip::default().announce(&mut cx, &beat(0, 1, 1).into(), &[]);
    let to: Vec<NodeId> = sent(&mut cx).into_iter().map(|(to, _)| to).collect();
    assert_eq!(to, cx.peers.up());
    let [got_it, others @ ..] = to.as_slice() else { panic!("nobody listens") };
    Gossip::default().announce(&mut cx, &beat(0, 1, 2).into(), &[*got_it]);
    let to: Vec<NodeId> = sent(&mut cx).into_iter().map(|(to, _)| to).collect();
    assert_eq!(to, others, "who got it already is left out");
    assert_eq!(to.len(), 3);
}

#[test]
fn nothing_is_confirmed_while_the_log_is_behind() {
    let (mut cx, mut gossip) = (context(0, 3), Gossip::default());
    gossip.on_logged(&mut cx, &GossipToken::Log, false);
    let out = effects(&mut cx);
    assert!(matches!(out[..], [Effect::Notice(Notice::LogFailed)]), "{out:?}");
    assert!(!acked(&mut cx, &mut gossip, true, true), "something earlier is missing");
    gossip.on_logged(&mut cx, &GossipToken::Log, false);
    assert!(effects(&mut cx).is_empty(), "said once");
    gossip.on_logged(&mut cx, &GossipToken::Relog, false);
    assert!(!acked(&mut cx, &mut gossip, true, true));
    gossip.on_logged(&mut cx, &GossipToken::Relog, true);
    assert!(acked(&mut cx, &mut gossip, true, true), "all is written again");
    assert!(!acked(&mut cx, &mut gossip, true, false));
}

#[test]
fn a_node_whose_identity_runs_twice_confirms_nothing() {
    let (mut cx, mut gossip) = (context(0, 3), Gossip::default());
    cx.duplicate_identity = true;
    assert!(!acked(&mut cx, &mut gossip, true, true));
}

/// The same fact with a bit of its signature changed, as it comes from a peer.
fn spoilt(fact: impl Into<Fact>) -> RawFact {
    let mut bytes = fsdfs_proto::codec::encode(&fact.into().raw());
    let end = bytes.len() - 2;
    bytes[end] ^= 1;
    fsdfs_proto::codec::decode(&bytes).expect("the form is right")
}

#[test]
fn a_fact_whose_signature_is_wrong_ends_the_connection_and_nothing_behind_it_is_looked_at() {
    let (mut cx, mut gossip) = (context(0, 3), Gossip::default());
    let peer = connect(&mut cx, 1);
    let facts = [Fact::from(features(1, 2)).raw(), spoilt(new_card()), Fact::from(features(1, 3)).raw()];
    gossip.on_facts(&mut cx, peer, 0, &facts);
    let ended = |effect: &Effect| matches!(effect, Effect::Disconnect { node, .. } if *node == peer);
    assert_eq!(effects(&mut cx).iter().filter(|effect| ended(effect)).count(), 1);
    assert!(cx.peers.shunned_until(peer, cx.now.mono).is_some());
    assert!(cx.facts.knows(&facts[0]) && !cx.facts.knows(&facts[2]));
}

#[test]
fn of_a_flood_of_heartbeats_few_are_taken_in_and_passed_on() {
    let (mut cx, mut gossip) = (connected(), Gossip::default());
    for counter in 1..1_000 {
        gossip.on_facts(&mut cx, node(1), 0, &[Fact::from(new_beat(counter)).raw()]);
    }
    let told = sent(&mut cx).len();
    assert_eq!(told as u64, HEARTBEATS_AT_ONCE * HEARTBEAT_FAN_OUT as u64);
    pass(&mut cx, crate::limits::HEARTBEAT_MS);
    gossip.on_facts(&mut cx, node(1), 0, &[Fact::from(new_beat(1_000)).raw()]);
    assert_eq!(sent(&mut cx).len(), HEARTBEAT_FAN_OUT, "the next one in its time is");
}

#[test]
fn heads_and_heartbeats_are_no_news_for_the_gate() {
    let (mut cx, mut gossip) = (context(0, 3), Gossip::default());
    let before = (cx.gate_version, cx.facts_version);
    gossip.insert_facts(&mut cx, vec![new_beat(1).into()], Some(node(1)));
    assert!(cx.gate_version == before.0 && cx.facts_version > before.1);
    gossip.insert_facts(&mut cx, vec![features(0, 2).into()], Some(node(1)));
    assert_eq!(cx.gate_version, before.0 + 1, "the gate is told once");
}

#[test]
fn a_card_that_comes_too_soon_is_logged_later_and_not_confirmed_until_then() {
    let (mut cx, mut gossip) = (context(0, 3), Gossip::default());
    let cards = [2, 3].map(|seq| Fact::from(card(1, seq, &[(1, 100)], 0)).raw());
    let logged = |cx: &mut Context| match &asked_of_disk(cx)[..] {
        [(DiskRequest::Log { entries }, Waiter::Gossip(GossipToken::Ack { valid, .. }))] => (entries.len(), *valid),
        other => panic!("an answer passes through the log: {other:?}"),
    };
    for (raw, expected) in [(&cards[0], (1, true)), (&cards[1], (0, false)), (&cards[1], (0, false))] {
        gossip.on_facts(&mut cx, node(1), 7, std::slice::from_ref(raw));
        assert_eq!(logged(&mut cx), expected);
    }
    pass(&mut cx, crate::limits::OTHERS_LOGGED_MS);
    gossip.log_others(&mut cx);
    let asked = asked_of_disk(&mut cx);
    let entries = vec![LogEntry::Fact(cards[1].clone())];
    assert_eq!(asked, [(DiskRequest::Log { entries }, Waiter::Gossip(GossipToken::Log))]);
    gossip.on_facts(&mut cx, node(1), 7, &cards[1..]);
    assert_eq!(logged(&mut cx), (0, true));
}

/// Node 1's card number `seq` comes: whether it is in force now.
fn takes(cx: &mut Context, gossip: &mut Gossip, seq: u64) -> bool {
    let weight = u32::try_from(seq).expect("few cards");
    gossip.on_facts(cx, node(1), 0, &[Fact::from(card(1, seq, &[(1, weight)], 0)).raw()]);
    is_in_force(cx, seq)
}

fn is_in_force(cx: &Context, seq: u64) -> bool {
    cx.facts.members()[&node(1)].card.as_ref().is_some_and(|card| card.value().seq == seq)
}

#[test]
fn a_card_that_changes_all_the_time_is_taken_in_once_a_minute() {
    let (mut cx, mut gossip) = (context(0, 3), Gossip::default());
    let at_once = (2..20).take_while(|seq| takes(&mut cx, &mut gossip, *seq)).count();
    assert_eq!(at_once as u64, crate::limits::CARDS_AT_ONCE, "a newcomer waits for nothing");
    let last = 1 + crate::limits::CARDS_AT_ONCE;
    for seq in [last + 5, last + 9, last + 7] {
        assert!(!takes(&mut cx, &mut gossip, seq));
    }
    pass(&mut cx, crate::limits::CARD_APART_MS - 1);
    gossip.on_cards_due(&mut cx);
    assert!(is_in_force(&cx, last));
    pass(&mut cx, 1);
    gossip.on_cards_due(&mut cx);
    assert!(is_in_force(&cx, last + 9), "the newest of those that came");
    assert!(!takes(&mut cx, &mut gossip, last + 10), "and the next in a minute");
    pass(&mut cx, 60 * crate::limits::CARD_APART_MS);
    assert!((100..108).all(|seq| takes(&mut cx, &mut gossip, seq)), "a long silence earns no more than that");
    assert!(!takes(&mut cx, &mut gossip, 108));
}

#[test]
fn a_card_that_moves_nothing_never_waits() {
    let (mut cx, mut gossip) = (context(0, 3), Gossip::default());
    (2..10).for_each(|seq| assert!(takes(&mut cx, &mut gossip, seq)));
    for (seq, flags) in (10..60).zip(0..) {
        let card = card(1, seq, &[(1, 9)], fsdfs_proto::identity::card_flag::of_full_percent(flags));
        gossip.on_facts(&mut cx, node(1), 0, &[Fact::from(card).raw()]);
        assert!(is_in_force(&cx, seq), "how full it is");
    }
    assert!(!takes(&mut cx, &mut gossip, 60), "another weight");
}

#[test]
fn a_card_that_has_to_wait_is_not_acknowledged_as_durable() {
    let (mut cx, mut gossip) = (context(0, 3), Gossip::default());
    (2..10).for_each(|seq| assert!(takes(&mut cx, &mut gossip, seq)));
    asked_of_disk(&mut cx);
    gossip.on_facts(&mut cx, node(1), 7, &[Fact::from(card(1, 10, &[(1, 10)], 0)).raw()]);
    let asked = asked_of_disk(&mut cx);
    let [(_, Waiter::Gossip(GossipToken::Ack { valid, .. }))] = &asked[..] else { panic!("an answer: {asked:?}") };
    assert!(!valid);
}

#[test]
fn what_only_the_log_of_a_late_disk_knows_is_logged_and_told() {
    let (mut cx, mut gossip) = (connected(), Gossip::default());
    let known = Fact::from(card(1, 1, &[(1, 100)], 0)).raw();
    let new = Fact::from(new_card()).raw();
    let strange = LogEntry::Unknown(bytes::Bytes::from_static(b"x"));
    gossip.on_log_copy(&mut cx, vec![LogEntry::Fact(known.clone()), strange.clone(), LogEntry::Fact(new.clone())]);
    assert!(matches!(&events(&mut cx)[..], [Event::FactsInserted(facts)] if facts.len() == 1));
    let asked = asked_of_disk(&mut cx);
    let [(DiskRequest::Log { entries }, Waiter::Gossip(GossipToken::Log))] = &asked[..] else {
        panic!("one write of the log: {asked:?}")
    };
    assert_eq!(entries[..], [LogEntry::Fact(new)]);
    gossip.on_log_copy(&mut cx, vec![LogEntry::Fact(known), strange]);
    assert!(effects(&mut cx).is_empty() && events(&mut cx).is_empty(), "nothing new");
}

#[test]
fn a_heartbeat_goes_on_to_those_who_do_not_hear_its_node_themselves() {
    let mut cx = connected();
    cx.peers.get_mut(node(4)).expect("connected").hears = Some([node(2)].into());
    cx.peers.get_mut(node(5)).expect("connected").hears = None;
    for peer in [2, 3] {
        cx.peers.get_mut(node(peer)).expect("connected").hears = Some([node(1)].into());
    }
    let told = |cx: &mut Context, counter, from| {
        Gossip::default().insert_facts(cx, vec![new_beat(counter).into()], Some(node(from)));
        let told: BTreeSet<NodeId> = sent(cx).into_iter().map(|(to, _)| to).collect();
        told
    };
    assert_eq!(told(&mut cx, 1, 1), [node(4), node(5)].into(), "of one it is not known whom it hears");
    assert_eq!(told(&mut cx, 2, 2), [node(1), node(4), node(5)].into(), "its own node says whether it is its own");
}
