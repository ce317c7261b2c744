use super::*;
use crate::limits::{EVADED_FORGOTTEN_MS, EVADED_MS_MIN};

const ALICE: NodeId = NodeId([1; 32]);
const BOB: NodeId = NodeId([2; 32]);

/// Alice is connected since 10.
fn peers() -> Peers {
    let mut peers = Peers::default();
    peers.on_up(ALICE, 10);
    peers
}

fn alice(peers: &Peers) -> &PeerState {
    peers.get(ALICE).expect("an entry is never dropped")
}

#[test]
fn an_entry_begins_once_and_not_connected() {
    let mut peers = Peers::default();
    assert!(peers.add(BOB));
    assert!(!peers.add(BOB));
    assert!(!peers.is_up(BOB) && !peers.responsive(BOB) && !peers.any_up());
    assert!(!peers.on_down(ALICE), "nobody knows her");
}

#[test]
fn a_silent_peer_is_connected_but_not_responsive_until_it_speaks() {
    let mut peers = peers();
    peers.get_mut(ALICE).expect("connected").silent = true;
    assert_eq!((peers.up(), peers.responsive(ALICE)), (vec![ALICE], false));
    assert!(peers.note_alive(ALICE, 30), "it was silent until now");
    assert!(!peers.note_alive(ALICE, 31), "it was not silent any more");
    assert_eq!((peers.responsive(ALICE), alice(&peers).heard), (true, 31));
}

#[test]
fn a_new_connection_forgets_everything_but_wrong_blocks() {
    let mut peers = peers();
    peers.owes(ALICE, 11);
    peers.note_wrong_block(ALICE);
    let peer = peers.get_mut(ALICE).expect("connected");
    (peer.silent, peer.ping, peer.rtt_ms, peer.wants_due) = (true, Some((1, 11)), Some(5), 2);
    peers.on_up(ALICE, 40);
    let peer = alice(&peers);
    assert_eq!((peer.up, peer.silent, peer.heard, peer.moved), (true, false, 40, 40));
    assert_eq!((peer.owed, peer.owes_since, peer.ping, peer.rtt_ms, peer.wants_due), (0, None, None, None, 0));
    assert_eq!(peer.wrong_blocks, 1);
}

#[test]
fn a_broken_connection_ends_silence_and_comparison() {
    let mut peers = peers();
    let peer = peers.get_mut(ALICE).expect("connected");
    (peer.silent, peer.sync_ends, peer.wants_due) = (true, true, 3);
    assert!(peers.on_down(ALICE));
    let peer = alice(&peers);
    assert_eq!((peer.up, peer.silent, peer.sync_ends, peer.wants_due), (false, false, false, 0));
    assert!(!peers.any_up() && peers.up().is_empty());
}

#[test]
fn what_is_owed_counts_from_the_oldest_question_or_the_last_answer() {
    let mut peers = peers();
    peers.owes(ALICE, 20);
    peers.owes(ALICE, 25);
    assert_eq!((alice(&peers).owed, alice(&peers).owes_since), (2, Some(20)));
    peers.answered(ALICE, 30);
    assert_eq!((alice(&peers).owed, alice(&peers).owes_since), (1, Some(30)), "it does make progress");
    peers.answered(ALICE, 35);
    assert_eq!((alice(&peers).owed, alice(&peers).owes_since), (0, None));
}

#[test]
fn only_the_pong_of_the_last_ping_measures_the_round_trip() {
    let mut peers = peers();
    peers.get_mut(ALICE).expect("connected").ping = Some((7, 20));
    peers.ponged(ALICE, 6, 25);
    assert_eq!((alice(&peers).ping, alice(&peers).rtt_ms), (Some((7, 20)), None));
    peers.ponged(ALICE, 7, 32);
    assert_eq!((alice(&peers).ping, alice(&peers).rtt_ms), (None, Some(12)));
    peers.ponged(ALICE, 7, 99);
    assert_eq!(alice(&peers).rtt_ms, Some(12), "a second pong says nothing");
}

#[test]
fn a_far_peer_is_asked_when_the_near_one_is_busy() {
    let peer = |rtt_ms, owed| PeerState { rtt_ms, owed, ..PeerState::default() }.wait_expected();
    assert!(peer(Some(10), 0) < peer(Some(30), 0));
    assert!(peer(Some(10), 3) > peer(Some(30), 0));
    assert_eq!(peer(None, 0), 1, "not measured yet counts as near");
}

#[test]
fn clocks_of_connected_peers_count_alone() {
    let mut peers = peers();
    peers.on_up(BOB, 10);
    let now = Now { mono: 20, wall: 1_000 };
    peers.get_mut(ALICE).expect("connected").clock_is_off(5, now);
    peers.get_mut(BOB).expect("connected").clock_is_off(-7, now);
    assert_eq!(peers.clocks_off_ms(now).collect::<Vec<_>>(), [(ALICE, 5), (BOB, -7)]);
    peers.on_down(BOB);
    assert_eq!(peers.clocks_off_ms(now).collect::<Vec<_>>(), [(ALICE, 5)]);
}

/// Peers tell their clocks one after the other; a node whose clock was put right would be refused its writes until all have.
#[test]
fn a_clock_that_is_put_right_is_right_at_once() {
    let mut peers = peers();
    peers.get_mut(ALICE).expect("connected").clock_is_off(3_600_000, Now { mono: 20, wall: 1_000 });
    let later = Now { mono: 30, wall: 3_601_010 };
    assert_eq!(peers.clocks_off_ms(later).collect::<Vec<_>>(), [(ALICE, 0)]);
}

#[test]
fn block_bytes_count_apart_from_messages() {
    let mut peers = peers();
    peers.note_moved(ALICE, 50);
    peers.note_alive(ALICE, 60);
    assert_eq!((peers.moved(ALICE), peers.moved(BOB)), (50, 0));
}

#[test]
fn whoever_did_what_no_honest_node_does_is_shunned_longer_each_time_and_across_connections() {
    let mut peers = peers();
    assert_eq!(peers.shunned_until(ALICE, 0), None);
    let mut now = 100;
    for ms in [1, 2, 4, 8, 16, 16, 16].map(|times| times * SHUN_MS_MIN) {
        peers.shun(ALICE, now);
        peers.on_up(ALICE, now + 1);
        assert_eq!(peers.shunned_until(ALICE, now + ms - 1), Some(now + ms));
        now += ms;
        assert_eq!(peers.shunned_until(ALICE, now), None, "the time is over");
    }
    assert_eq!(peers.shunned_until(BOB, 0), None);
}

#[test]
fn whoever_leaves_questions_unanswered_is_not_waited_for_longer_each_time_and_is_forgiven() {
    let mut peers = peers();
    assert!(peers.is_prompt(ALICE, 0));
    let mut now = 100;
    for ms in [1, 2, 4, 8, 16, 32, 64, 64].map(|times| times * EVADED_MS_MIN) {
        peers.note_evaded(ALICE, now);
        peers.note_evaded(ALICE, now + 1);
        peers.on_up(ALICE, now + 1);
        assert!(!peers.is_prompt(ALICE, now + ms - 1), "several questions that end together are one time");
        now += ms;
        assert!(peers.is_prompt(ALICE, now));
    }
    now += EVADED_FORGOTTEN_MS + 1;
    peers.note_evaded(ALICE, now);
    assert!(peers.is_prompt(ALICE, now + EVADED_MS_MIN), "it begins anew");
    assert!(peers.is_prompt(BOB, now));
}
