use super::*;
use crate::engine::test_kit::pool::{beat, card, features};
use crate::engine::test_kit::{connect, context, events, pass, sent};

#[test]
fn the_next_id_carries() {
    let id = |end: [u8; 2]| FactId([[0; 30].as_slice(), &end].concat().try_into().expect("32 bytes"));
    assert_eq!(next_id(id([0, 7])), id([0, 8]));
    assert_eq!(next_id(id([1, 255])), id([2, 0]));
    assert_eq!(next_id(FactId([255; 32])), FactId([0; 32]), "nothing comes after the last one");
}

/// Two nodes that have not compared facts yet, the one with the smaller id first; both are connected to each other.
fn pair() -> [Context; 2] {
    let mut pair = [context(0, 4), context(1, 4)];
    pair.sort_by_key(|cx| cx.me);
    let [small, large] = [pair[0].me, pair[1].me];
    for (cx, other) in pair.iter_mut().zip([large, small]) {
        cx.synced = false;
        cx.peers.on_up(other, cx.now.mono);
    }
    pair
}

/// Facts come to one node only.
fn learn(cx: &mut Context, fact: impl Into<Fact>) {
    cx.facts.insert(fact.into());
    cx.facts.drain_new();
}

/// Carries messages until nobody says anything; what was said, by the index of who said it.
fn carry(pair: &mut [Context; 2]) -> Vec<(usize, &'static str)> {
    let mut said = Vec::new();
    loop {
        let messages: Vec<(usize, Message)> = (0..2)
            .flat_map(|index| sent(&mut pair[index]).into_iter().map(move |(_, message)| (index, message)))
            .collect();
        if messages.is_empty() {
            return said;
        }
        for (index, message) in messages {
            let from = pair[index].me;
            said.push((index, take_in(&mut pair[1 - index], from, &message)));
        }
    }
}

fn take_in(cx: &mut Context, from: NodeId, message: &Message) -> &'static str {
    let (sync, mut gossip) = (FactSync, Gossip::default());
    match message {
        Message::Digests(digests) => sync.on_digests(cx, from, digests),
        Message::Summary(summary) => sync.on_summary(cx, &mut gossip, from, summary),
        Message::Want(want) => sync.on_want(cx, &mut gossip, from, &want.ids),
        Message::Facts(facts) => gossip.on_facts(cx, from, facts.request, &facts.facts),
        Message::Ping(number) => cx.send(from, Message::Pong(*number)),
        Message::Pong(number) => sync.on_pong(cx, from, *number),
        other => panic!("not of a comparison: {other:?}"),
    }
    match message {
        Message::Digests(_) => "digests",
        Message::Summary(_) => "summary",
        Message::Want(want) if want.ids.is_empty() => "want nothing",
        Message::Want(_) => "want",
        Message::Ping(_) => "ping",
        Message::Pong(_) => "pong",
        _ => "facts",
    }
}

/// How often a comparison was said to have ended.
fn ended(cx: &mut Context) -> usize {
    events(cx).iter().filter(|event| matches!(event, Event::SyncEnded)).count()
}

fn digests(cx: &Context) -> FactDigests {
    let clock = fsdfs_proto::time::Hlc { ms: cx.now.wall, count: 0 };
    FactDigests { gossip: cx.facts.gossip_digest(), map: cx.map_digest, clock }
}

#[test]
fn equal_digests_end_a_comparison_at_once() {
    let mut pair = pair();
    let [small, large] = &mut pair;
    FactSync.send_digests(small, large.me);
    assert_eq!(carry(&mut pair), [(0, "digests")]);
    assert_eq!((pair[1].synced, ended(&mut pair[1])), (true, 1));
    let (from, same) = (pair[0].me, digests(&pair[0]));
    FactSync.on_digests(&mut pair[1], from, &same);
    assert_eq!(ended(&mut pair[1]), 0, "said for the first time only");
}

#[test]
fn whatever_either_lacks_is_known_to_both_in_the_end() {
    let asks = ["summary", "facts", "want", "facts", "want nothing", "ping", "pong"];
    let asks = [0, 1, 1, 0, 0, 0, 1].into_iter().zip(asks);
    for begins in 0..2 {
        let mut pair = pair();
        learn(&mut pair[0], card(2, 2, &[(2, 50)], 0));
        learn(&mut pair[1], features(0, 2));
        let to = pair[1 - begins].me;
        FactSync.send_digests(&mut pair[begins], to);
        let said = carry(&mut pair);
        let mut expected = vec![(begins, "digests")];
        if begins == 0 {
            expected.push((1, "digests"));
        }
        expected.extend(asks.clone());
        assert_eq!(said, expected, "the smaller id asks, whoever begins");
        assert_eq!(pair[0].facts.gossip_digest(), pair[1].facts.gossip_digest());
        for cx in &mut pair {
            let events = events(cx);
            let count = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
            assert_eq!((cx.synced, count(|event| matches!(event, Event::SyncEnded))), (true, 1));
            let exchanged = count(|event| matches!(event, Event::FactsExchanged { .. }));
            assert_eq!(exchanged, 1, "each end knows that both know the same");
            let peers: Vec<(usize, bool)> = cx.peers.iter().map(|(_, peer)| (peer.wants_due, peer.sync_ends)).collect();
            assert_eq!(peers, [(0, false)], "nothing is left of it");
        }
    }
}

#[test]
fn a_newcomer_that_knows_nothing_gets_all() {
    let mut pair = pair();
    pair[0].facts = crate::facts::FactSet::new(pair[0].pool);
    let to = pair[0].me;
    FactSync.send_digests(&mut pair[1], to);
    let said = carry(&mut pair);
    assert_eq!(said[..3], [(1, "digests"), (0, "summary"), (1, "facts")]);
    assert_eq!(pair[0].facts.gossip_digest(), pair[1].facts.gossip_digest());
}

#[test]
fn one_comparison_runs_at_a_time_and_ends_with_the_connection() {
    let mut pair = pair();
    learn(&mut pair[1], features(0, 2));
    let (from, theirs) = (pair[1].me, digests(&pair[1]));
    let small = &mut pair[0];
    FactSync.on_digests(small, from, &theirs);
    assert!(matches!(sent(small)[..], [(_, Message::Summary(_))]));
    small.peers.get_mut(from).expect("connected").digests_sent = small.now.mono;
    FactSync.on_digests(small, from, &theirs);
    assert!(sent(small).is_empty(), "it is asking already");
    small.peers.on_down(from);
    small.peers.on_up(from, small.now.mono);
    FactSync.on_digests(small, from, &theirs);
    assert!(matches!(sent(small)[..], [(_, Message::Summary(_))]));
}

#[test]
fn the_larger_id_makes_the_other_ask_at_most_once_in_five_seconds() {
    let mut pair = pair();
    learn(&mut pair[0], features(0, 2));
    let (from, theirs) = (pair[0].me, digests(&pair[0]));
    let large = &mut pair[1];
    for (later, answers) in [(0, 1), (GOSSIP_MS - 1, 0), (1, 1)] {
        pass(large, later);
        FactSync.on_digests(large, from, &theirs);
        let said = sent(large);
        assert_eq!(said.len(), answers);
        assert!(said.iter().all(|(_, message)| matches!(message, Message::Digests(_))));
    }
    assert!(!large.synced);
}

#[test]
fn a_request_with_another_map_leads_to_digests_once_in_five_seconds() {
    let mut cx = context(0, 3);
    let peer = connect(&mut cx, 1);
    let same = cx.map_digest;
    FactSync.compare_maps(&mut cx, peer, same);
    assert!(sent(&mut cx).is_empty());
    for (later, answers) in [(0, 1), (GOSSIP_MS - 1, 0), (1, 1)] {
        pass(&mut cx, later);
        FactSync.compare_maps(&mut cx, peer, Digest([9; 32]));
        assert_eq!(sent(&mut cx).len(), answers);
    }
}

#[test]
fn digests_tell_how_far_the_clocks_are_apart() {
    for (theirs_ms, off) in [(1_000_700, 700), (999_000, -1_000), (u64::MAX, i64::MAX - 1_000_000)] {
        let mut cx = context(0, 3);
        let peer = connect(&mut cx, 1);
        let mut theirs = digests(&cx);
        theirs.clock.ms = theirs_ms;
        FactSync.on_digests(&mut cx, peer, &theirs);
        assert_eq!(cx.peers.clocks_off_ms(cx.now).next(), Some((peer, off)));
    }
}

#[test]
fn digests_go_to_one_connected_peer_every_five_seconds() {
    let mut cx = context(0, 4);
    assert_eq!(FactSync.on_gossip_due(&mut cx), None);
    let peers = [connect(&mut cx, 1), connect(&mut cx, 2)];
    let to = FactSync.on_gossip_due(&mut cx).expect("somebody is connected");
    assert!(peers.contains(&to));
    assert!(matches!(sent(&mut cx)[..], [(node, Message::Digests(_))] if node == to));
    assert_eq!(cx.timers.next(), Some(cx.now.mono + GOSSIP_MS));
}

#[test]
fn a_peer_is_shown_both_heartbeats_so_that_a_twin_is_noticed() {
    let mut cx = context(0, 3);
    learn(&mut cx, beat(0, 5, 2));
    let peer = connect(&mut cx, 1);
    FactSync.show_heartbeats(&mut cx, &mut Gossip::default(), peer);
    assert_eq!(sent(&mut cx).len(), 1, "of the peer none was heard yet");
    learn(&mut cx, beat(1, 7, 1));
    FactSync.show_heartbeats(&mut cx, &mut Gossip::default(), peer);
    let shown: Vec<Message> = sent(&mut cx).into_iter().map(|(_, message)| message).collect();
    let facts = |fact: Fact| Message::Facts(fsdfs_proto::message::FactBatch { request: 0, facts: vec![fact.raw()] });
    assert_eq!(shown, [facts(beat(0, 5, 2).into()), facts(beat(1, 7, 1).into())]);
}

#[test]
fn the_asker_counts_no_exchange_before_the_other_has_what_it_lacked() {
    let mut pair = pair();
    learn(&mut pair[0], features(0, 2));
    let (from, theirs) = (pair[1].me, digests(&pair[1]));
    let asker = &mut pair[0];
    FactSync.on_digests(asker, from, &theirs);
    let began = asker.now.mono;
    pass(asker, 40);
    let mut gossip = Gossip::default();
    FactSync.on_want(asker, &mut gossip, from, &[]);
    assert!(asker.synced, "what the other had is here");
    let ping = sent(asker).into_iter().find_map(|(_, message)| match message {
        Message::Ping(number) => Some(number),
        _ => None,
    });
    let ping = ping.expect("the last message is a ping");
    let exchanged = |cx: &mut Context| -> Vec<u64> {
        let began = |event: &Event| match event {
            Event::FactsExchanged { began, .. } => Some(*began),
            _ => None,
        };
        events(cx).iter().filter_map(began).collect()
    };
    FactSync.on_pong(asker, from, ping ^ 1);
    assert!(exchanged(asker).is_empty());
    FactSync.on_pong(asker, from, ping);
    assert_eq!(exchanged(asker), [began], "each knows what the other had then, not what came since");
    FactSync.on_pong(asker, from, ping);
    assert!(exchanged(asker).is_empty(), "it ends once");
}
