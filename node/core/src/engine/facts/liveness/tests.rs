use super::*;
use crate::engine::test_kit::pool::{beat, node};
use crate::engine::test_kit::{connect, context, pass};

/// Node 0, which just heard the first heartbeat of node 1.
fn heard() -> (Context, Liveness) {
    let (cx, mut liveness) = (context(0, 3), Liveness::default());
    assert!(!liveness.note(&cx, beat(1, 1, 1).value()), "nothing is known of it");
    (cx, liveness)
}

#[test]
fn a_member_is_away_a_minute_after_its_last_heartbeat_and_not_before() {
    let (mut cx, mut liveness) = heard();
    pass(&mut cx, AWAY_MS - 1);
    assert!(liveness.is_present(&cx, node(1)));
    pass(&mut cx, 1);
    assert!(!liveness.is_present(&cx, node(1)));
    assert!(!liveness.note(&cx, beat(1, 1, 2).value()), "it was there all the time");
    assert!(liveness.is_present(&cx, node(1)), "it beats again");
    assert!(!liveness.is_present(&cx, node(2)), "of this one nothing was ever heard");
}

#[test]
fn this_node_and_whoever_is_connected_are_present() {
    let (mut cx, liveness) = heard();
    let peer = connect(&mut cx, 2);
    pass(&mut cx, 10 * AWAY_MS);
    assert!(liveness.is_present(&cx, cx.me) && liveness.is_present(&cx, peer));
    cx.peers.note_alive(peer, cx.now.mono);
    cx.peers.on_down(peer);
    pass(&mut cx, AWAY_MS - 1);
    assert!(liveness.is_present(&cx, peer), "it may be on its way to another address");
    pass(&mut cx, 1);
    assert!(!liveness.is_present(&cx, peer));
}

#[test]
fn quiet_counts_from_the_later_of_heartbeat_and_message() {
    let (mut cx, mut liveness) = heard();
    assert_eq!(liveness.quiet_ms(&cx, node(2)), None, "never heard of");
    cx.peers.add(node(2));
    assert_eq!(liveness.quiet_ms(&cx, node(2)), None, "dialled only");
    pass(&mut cx, 1_000);
    assert_eq!(liveness.quiet_ms(&cx, node(1)), Some(1_000));
    connect(&mut cx, 1);
    pass(&mut cx, 50);
    assert_eq!(liveness.quiet_ms(&cx, node(1)), Some(50), "it came up");
    pass(&mut cx, 50);
    assert!(liveness.note(&cx, beat(1, 2, 1).value()), "another boot");
    assert_eq!(liveness.quiet_ms(&cx, node(1)), Some(0), "somebody passed on its heartbeat");
}
