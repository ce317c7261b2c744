use fsdfs_proto::message::CapabilityRequest;

use super::*;
use crate::engine::test_kit::pool::node;
use crate::engine::test_kit::{connect, context, effects, events, pass, revoke, sent};
use crate::limits::SHUN_MS_MIN;

/// Node 1 is connected to node 0 and owes the answer to `waiters`.
fn asked(waiters: &[u64]) -> (Context, Vec<RequestId>) {
    let mut cx = context(0, 3);
    let peer = connect(&mut cx, 1);
    let requests = waiters.iter().map(|op| ask(&mut cx, peer, *op)).collect();
    effects(&mut cx);
    (cx, requests)
}

fn ask(cx: &mut Context, peer: NodeId, op: u64) -> RequestId {
    let volume = cx.pool.volume();
    let mut number = 0;
    let message = |request| {
        number = request;
        Message::Capability(CapabilityRequest { request, volume, epoch: None })
    };
    cx.ask(peer, Waiter::Client(op), message);
    number
}

/// So much later the peer is looked at.
fn look(cx: &mut Context, ms: u64, moves_block: bool) {
    pass(cx, ms);
    Connections::default().on_peer_due(cx, node(1), |_| moves_block);
}

/// Ends of questions since the last call: (lost, op).
fn ends(cx: &mut Context) -> Vec<(bool, u64)> {
    let end = |event| match event {
        Event::PeerSilent { waiter: Waiter::Client(op), .. } => (false, op),
        Event::RequestLost { waiter: Waiter::Client(op), .. } => (true, op),
        other => panic!("connections raise nothing else: {other:?}"),
    };
    events(cx).into_iter().map(end).collect()
}

fn pings(cx: &mut Context) -> Vec<u64> {
    let number = |(_, message)| if let Message::Ping(number) = message { Some(number) } else { None };
    sent(cx).into_iter().filter_map(number).collect()
}

/// Attempts that are due, and in how many milliseconds.
fn dials(cx: &mut Context) -> Vec<(NodeId, u64)> {
    let mut dials = Vec::new();
    while let Some(at) = cx.timers.next() {
        if let Some(Timer::Dial(node)) = cx.timers.due(at) {
            dials.push((node, at - cx.now.mono));
        }
    }
    dials
}

/// Two nodes, the one with the smaller id first.
fn pair() -> (u8, u8) {
    if node(0) < node(1) { (0, 1) } else { (1, 0) }
}

#[test]
fn a_peer_that_owes_an_answer_is_silent_after_a_second_and_not_before() {
    let (mut cx, _) = asked(&[1, 2]);
    look(&mut cx, SILENT_MS - 1, false);
    assert!(cx.peers.responsive(node(1)));
    assert_eq!(ends(&mut cx), []);
    look(&mut cx, 1, false);
    assert!(!cx.peers.responsive(node(1)) && cx.peers.is_up(node(1)));
    assert_eq!(ends(&mut cx), [(false, 1), (false, 2)]);
    look(&mut cx, PEER_TICK_MS, false);
    assert_eq!(ends(&mut cx), [], "it falls silent once");
}

#[test]
fn progress_keeps_a_peer_from_falling_silent() {
    let (mut cx, _) = asked(&[1]);
    pass(&mut cx, SILENT_MS - 1);
    cx.peers.note_alive(node(1), cx.now.mono);
    look(&mut cx, SILENT_MS - 1, false);
    assert_eq!(ends(&mut cx), []);
    look(&mut cx, 1, false);
    assert_eq!(ends(&mut cx), [(false, 1)]);
}

#[test]
fn quiet_before_the_question_does_not_count() {
    let mut cx = context(0, 3);
    let peer = connect(&mut cx, 1);
    pass(&mut cx, 10 * SILENT_MS);
    ask(&mut cx, peer, 1);
    look(&mut cx, SILENT_MS - 1, false);
    assert_eq!(ends(&mut cx), []);
}

#[test]
fn whoever_owes_nothing_is_not_watched() {
    let (mut cx, requests) = asked(&[1]);
    assert_eq!(cx.answered(node(1), requests[0]), Some(Waiter::Client(1)));
    look(&mut cx, 10 * SILENT_MS, false);
    assert!(cx.peers.responsive(node(1)));
    assert!(effects(&mut cx).is_empty());
}

#[test]
fn a_quiet_peer_is_pinged_and_a_silent_one_less_often() {
    let (mut cx, _) = asked(&[1]);
    look(&mut cx, PING_AFTER_MS - 1, false);
    assert_eq!(pings(&mut cx).len(), 0);
    look(&mut cx, 1, false);
    assert_eq!(pings(&mut cx).len(), 1);
    look(&mut cx, PING_AFTER_MS - 1, false);
    assert_eq!(pings(&mut cx).len(), 0, "one is under way");
    look(&mut cx, 1, false);
    assert_eq!(pings(&mut cx).len(), 1, "it may have been lost");
    look(&mut cx, SILENT_MS - 2 * PING_AFTER_MS, false);
    assert_eq!(pings(&mut cx).len(), 1);
    look(&mut cx, SILENT_MS - 1, false);
    assert_eq!(pings(&mut cx).len(), 0, "silent");
    look(&mut cx, 1, false);
    assert_eq!(pings(&mut cx).len(), 1);
}

#[test]
fn a_late_answer_of_a_silent_peer_counts() {
    let (mut cx, requests) = asked(&[1]);
    look(&mut cx, SILENT_MS, false);
    assert_eq!(ends(&mut cx), [(false, 1)]);
    assert_eq!(cx.answered(node(1), requests[0]), Some(Waiter::Client(1)));
}

#[test]
fn a_stalled_question_is_lost_once_though_the_peer_answers_pings() {
    let (mut cx, requests) = asked(&[1]);
    pass(&mut cx, STALL_MS - 1);
    cx.peers.note_alive(node(1), cx.now.mono);
    look(&mut cx, 0, false);
    assert_eq!(ends(&mut cx), []);
    look(&mut cx, 1, false);
    assert_eq!(ends(&mut cx), [(true, 1)]);
    assert_eq!(cx.answered(node(1), requests[0]), None, "the answer comes too late");
    assert_eq!(cx.peers.get(node(1)).map(|peer| peer.owed), Some(0));
    look(&mut cx, STALL_MS, false);
    assert_eq!(ends(&mut cx), []);
}

#[test]
fn a_block_excuses_its_own_question_as_long_as_it_moves_and_others_for_a_while() {
    for (moves_block, lost_after) in [(true, 20_000 + STALL_MS), (false, TRANSFER_GRACE_MS_MAX + STALL_MS)] {
        let (mut cx, _) = asked(&[1]);
        let begun = cx.now.mono;
        let mut lost_at = None;
        while lost_at.is_none() && cx.now.mono < begun + 60_000 {
            cx.peers.note_alive(node(1), cx.now.mono);
            if cx.now.mono <= begun + 20_000 {
                cx.peers.note_moved(node(1), cx.now.mono);
            }
            look(&mut cx, 100, moves_block);
            lost_at = ends(&mut cx).contains(&(true, 1)).then(|| cx.now.mono - begun);
        }
        assert_eq!(lost_at, Some(lost_after), "moves a block: {moves_block}");
    }
}

#[test]
fn a_connection_that_breaks_or_is_replaced_loses_every_question() {
    for replaced in [false, true] {
        let (mut cx, _) = asked(&[1, 2]);
        let mut connections = Connections::default();
        if replaced {
            connections.on_up(&mut cx, node(1));
        } else {
            assert!(connections.on_down(&mut cx, node(1)));
        }
        assert_eq!(ends(&mut cx), [(true, 1), (true, 2)]);
        assert_eq!(cx.peers.is_up(node(1)), replaced);
        assert_eq!(cx.peers.get(node(1)).map(|peer| (peer.owed, peer.owes_since)), Some((0, None)));
    }
    let mut cx = context(0, 3);
    assert!(!Connections::default().on_down(&mut cx, node(2)), "nobody knew it");
}

#[test]
fn members_are_dialled_and_the_smaller_id_goes_first() {
    let (small, large) = pair();
    for (me, other, wait) in [(small, large, 1), (large, small, DIAL_TIEBREAK_MS)] {
        let mut cx = context(me, 2);
        Connections::default().dial_members(&mut cx);
        assert_eq!(dials(&mut cx), [(node(other), wait)]);
        Connections::default().dial_members(&mut cx);
        assert_eq!(dials(&mut cx), [], "it is known already");
    }
}

#[test]
fn attempts_come_later_and_later() {
    let (small, large) = pair();
    for (me, other, tiebreak) in [(small, large, 0), (large, small, DIAL_TIEBREAK_MS)] {
        let (mut cx, mut connections) = (context(me, 2), Connections::default());
        for pause in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            connections.on_unreachable(&mut cx, node(other));
            let [(to, wait)] = dials(&mut cx)[..] else { panic!("one attempt is due") };
            assert_eq!(to, node(other));
            assert!((pause..=pause * 3 / 2).contains(&(wait - tiebreak)), "{wait} after a pause of {pause}");
        }
        connections.dial_soon(&mut cx, node(other));
        assert_eq!(dials(&mut cx), [(node(other), DIAL_MS_MIN)], "heard of again");
    }
}

#[test]
fn a_node_that_moved_tries_all_who_are_not_connected_a_few_at_a_time() {
    let (mut cx, mut connections) = (context(0, 12), Connections::default());
    connect(&mut cx, 1);
    (2..12).for_each(|number| {
        cx.peers.add(node(number));
        connections.dial_later(&mut cx, node(number));
    });
    cx.timers = crate::engine::timers::Timers::default();
    connections.dial_anew(&mut cx);
    let mut due = dials(&mut cx);
    due.sort_by_key(|(_, wait)| *wait);
    let waits: Vec<u64> = due.iter().map(|(_, wait)| *wait).collect();
    assert_eq!(waits, [[1; DIALS_AT_ONCE].as_slice(), &[1 + DIAL_GROUP_MS as u64; 2]].concat());
    assert!(due.iter().all(|(to, _)| *to != node(1)), "this one is connected");
    connections.dial_later(&mut cx, node(2));
    let [(_, wait)] = dials(&mut cx)[..] else { panic!("one attempt is due") };
    assert!(wait <= DIAL_MS_MIN * 3 / 2 + DIAL_TIEBREAK_MS, "its pause begins anew");
}

#[test]
fn one_attempt_runs_at_a_time_and_names_all_addresses_once() {
    let (mut cx, mut connections) = (context(0, 3), Connections::default());
    let from_ticket = vec!["198.51.100.1:4001".to_owned(), "192.0.2.1:4001".to_owned()];
    cx.bootstrap.insert(node(1), from_ticket);
    cx.peers.add(node(1));
    connections.on_dial_due(&mut cx, node(1));
    let [Effect::Connect { node: to, addrs }] = &effects(&mut cx)[..] else { panic!("one attempt") };
    assert_eq!((*to, &addrs[..]), (node(1), &["192.0.2.1:4001".to_owned(), "198.51.100.1:4001".to_owned()][..]));
    connections.on_dial_due(&mut cx, node(1));
    assert!(effects(&mut cx).is_empty(), "one is under way");
    connections.on_unreachable(&mut cx, node(1));
    connections.on_dial_due(&mut cx, node(1));
    assert_eq!(effects(&mut cx).len(), 1);
    connections.on_up(&mut cx, node(1));
    connections.on_dial_due(&mut cx, node(1));
    assert!(effects(&mut cx).is_empty(), "connected");
}

#[test]
fn only_members_and_nodes_of_the_ticket_are_dialled() {
    let (mut cx, mut connections) = (context(0, 4), Connections::default());
    revoke(&mut cx, 2);
    cx.bootstrap.insert(node(9), Vec::new());
    for number in [2, 8, 9] {
        cx.peers.add(node(number));
        connections.on_dial_due(&mut cx, node(number));
    }
    let dialled = |effect: &Effect| matches!(effect, Effect::Connect { node: to, .. } if *to == node(9));
    let out = effects(&mut cx);
    assert!(out.len() == 1 && dialled(&out[0]), "neither the revoked one nor the stranger: {out:?}");
}

#[test]
fn whoever_was_revoked_is_disconnected() {
    let mut cx = context(0, 4);
    (1..4).for_each(|number| {
        connect(&mut cx, number);
    });
    revoke(&mut cx, 2);
    Connections::default().disconnect_revoked(&mut cx);
    let out = effects(&mut cx);
    assert!(
        matches!(out[..], [Effect::Disconnect { node: to, reason: "revoked", pause_ms: 0 }] if to == node(2)),
        "{out:?}"
    );
}

#[test]
fn a_peer_that_is_shunned_is_dialled_when_that_is_over_and_not_before() {
    let mut cx = context(0, 3);
    let (peer, mut connections) = (connect(&mut cx, 1), Connections::default());
    shun(&mut cx, peer);
    let out = effects(&mut cx);
    assert!(matches!(out[..], [Effect::Disconnect { node, pause_ms: SHUN_MS_MIN, .. }] if node == peer), "{out:?}");
    connections.on_down(&mut cx, peer);
    connections.dial_later(&mut cx, peer);
    connections.dial_soon(&mut cx, peer);
    cx.timers = crate::engine::timers::Timers::default();
    connections.on_dial_due(&mut cx, peer);
    assert!(effects(&mut cx).is_empty(), "not now");
    assert_eq!(dials(&mut cx), [(peer, SHUN_MS_MIN)]);
    pass(&mut cx, SHUN_MS_MIN);
    connections.on_dial_due(&mut cx, peer);
    assert!(matches!(effects(&mut cx)[..], [Effect::Connect { node, .. }] if node == peer));
}

#[test]
fn a_peer_that_answers_pings_only_is_not_waited_for_again_at_once() {
    let (mut cx, _) = asked(&[1]);
    for _ in 0..STALL_MS / SILENT_MS {
        pass(&mut cx, SILENT_MS - 1);
        cx.peers.note_alive(node(1), cx.now.mono);
        assert!(cx.is_prompt(node(1)), "it may still answer");
        look(&mut cx, 1, false);
    }
    assert_eq!(ends(&mut cx), [(true, 1)]);
    assert!(cx.responsive(node(1)) && !cx.is_prompt(node(1)) && !cx.takes_blocks_now(node(1)));
    pass(&mut cx, crate::limits::EVADED_MS_MIN);
    assert!(cx.is_prompt(node(1)), "it has another chance");
}

#[test]
fn whoever_answers_a_ping_and_not_the_question_before_it_skips_it() {
    let mut cx = context(0, 3);
    let (peer, connections) = (connect(&mut cx, 1), Connections::default());
    let volume = cx.pool.volume();
    let heads = |request| Message::Heads(fsdfs_proto::message::HeadsRequest { request, volume, known: Vec::new() });
    cx.ask(peer, Waiter::Heads(7), heads);
    ask(&mut cx, peer, 1);
    effects(&mut cx);
    // It says something all the while.
    pass(&mut cx, PING_AFTER_MS);
    cx.peers.note_alive(peer, cx.now.mono);
    look(&mut cx, 1, false);
    let number = pings(&mut cx)[0];
    let at = cx.peers.ponged(peer, number, cx.now.mono).expect("the last ping");
    connections.on_pong(&mut cx, peer, at - PING_AFTER_MS - 1);
    assert!(events(&mut cx).is_empty(), "that ping was on its way before");
    connections.on_pong(&mut cx, peer, at);
    let silent = events(&mut cx);
    let skipped = matches!(silent[..], [Event::PeerSilent { waiter: Waiter::Heads(7), .. }]);
    assert!(skipped, "a capability takes other members' answers: {silent:?}");
    assert!(!cx.is_prompt(peer));
}

#[test]
fn what_was_found_out_about_a_member_is_forgotten_with_its_revocation() {
    let mut cx = context(0, 4);
    (1..4).for_each(|number| {
        connect(&mut cx, number);
        cx.peers.note_wrong_block(node(number));
        cx.peers.get_mut(node(number)).expect("connected").distrusted = true;
    });
    cx.peers.on_down(node(3));
    revoke(&mut cx, 2);
    revoke(&mut cx, 3);
    Connections::default().disconnect_revoked(&mut cx);
    let found = |number| cx.peers.get(node(number)).map(|peer| (peer.wrong_blocks, peer.distrusted));
    assert_eq!([1, 2, 3].map(found), [Some((1, true)), Some((0, false)), Some((0, false))], "also of one that is away");
}

#[test]
fn whoever_was_thrown_out_itself_dials_nobody() {
    let mut cx = context(1, 3);
    revoke(&mut cx, 1);
    cx.peers.add(node(2));
    Connections::default().on_dial_due(&mut cx, node(2));
    assert!(effects(&mut cx).is_empty());
    assert_eq!(cx.lacks_write_key(), crate::seam::Refusal::Revoked);
}

#[test]
fn whoever_waits_for_repair_that_is_held_back_here_evades_nothing() {
    for (bytes_per_s, prompt) in [(REPAIR_BYTES_PER_S_MAX, false), (1_000, true)] {
        let mut cx = context(0, 3);
        let peer = connect(&mut cx, 1);
        cx.repair_bytes_per_s = bytes_per_s;
        let volume = cx.pool.volume();
        let message = |request| Message::Capability(CapabilityRequest { request, volume, epoch: None });
        let id = fsdfs_proto::ids::BlockId([1; 32]);
        cx.ask(peer, Waiter::Repair(RepairToken::Pull(id)), message);
        pass(&mut cx, STALL_MS);
        cx.peers.note_alive(peer, cx.now.mono);
        look(&mut cx, 1, true);
        assert!(matches!(events(&mut cx)[..], [Event::RequestLost { .. }]));
        assert_eq!(cx.is_prompt(peer), prompt);
    }
}
