//! What befalls those that have met.

use std::net::SocketAddr;

use fsdfs_proto::ids::{MeetingId, SessionToken};
use fsdfs_proto::message::Message;
use fsdfs_proto::message::meeting::{MeetOutcome, MeetReply, MeetingCandidates, RelaySession};

use super::homes::{Home, pair};
use super::world::node;
use crate::net::meet::MeetInput;

const SYMMETRIC: [Home; 2] = [Home::Symmetric, Home::Symmetric];

#[test]
fn another_relay_takes_over_from_one_that_dies_silently() {
    let (mut world, [a, b], relays) = pair(SYMMETRIC, &[5, 9]);
    world.find(a, b);
    world.run(3_000);
    let first = world.host(a).shown[&b].unwrap();
    let other = *relays.iter().find(|relay| **relay != first).unwrap();
    world.kill(first);
    let begun = world.now;
    world.run_until(begun + 8_000, |world| world.hosts[&a].shown[&b] == Some(other));
    assert_eq!(world.host(a).shown[&b], Some(other));
    assert!(world.is_linked(a, b));
    world.run(60_000);
    assert!(world.is_linked(a, b) && world.host(b).shown[&a] == Some(other));
}

#[test]
fn another_relay_takes_over_from_one_that_forwards_nothing_and_looks_well() {
    for (a_hears, b_hears) in [(0, 0), (0, 1), (0, 40), (700, 0), (0, 3_000), (3_000, 0)] {
        let (mut world, [a, b], relays) = pair(SYMMETRIC, &[5, 9]);
        world.find(a, b);
        world.run(3_000);
        let first = world.host(a).shown[&b].unwrap();
        let other = *relays.iter().find(|relay| **relay != first).unwrap();
        // Its own connections stand.
        world.host(first).hops.clear();
        let begun = world.now;
        let mut heard = [(a_hears, a, b), (b_hears, b, a)];
        heard.sort_unstable();
        for (ms, node, peer) in heard {
            world.run_until(begun + ms, |_| false);
            // Whoever has moved already suspects nothing.
            if world.host(node).shown[&peer] == Some(first) {
                world.input(node, MeetInput::Suspect(peer));
            }
        }
        let have_moved = |world: &super::world::World| {
            [(a, b), (b, a)].iter().all(|(node, peer)| world.hosts[node].shown[peer] == Some(other))
        };
        world.run_until(begun + a_hears.min(b_hears) + 2_000, have_moved);
        assert!(have_moved(&world), "{a_hears}, {b_hears}");
        world.run(60_000);
        assert!(world.is_linked(a, b) && have_moved(&world), "{a_hears}, {b_hears}");
    }
}

#[test]
fn one_that_loses_much_is_left_for_another_and_kept_if_there_is_none() {
    let (mut world, [a, b], relays) = pair(SYMMETRIC, &[5, 9]);
    world.find(a, b);
    world.run(3_000);
    let first = world.host(a).shown[&b].unwrap();
    let other = *relays.iter().find(|relay| **relay != first).unwrap();
    world.input(a, MeetInput::Lossy(first));
    assert_eq!(world.host(a).shown[&b], Some(first), "a direct way is none of its business");
    world.input(a, MeetInput::Lossy(b));
    world.run(2_000);
    assert_eq!(world.host(a).shown[&b], Some(other));
    // That one does, too: it may be the line of this node.
    let path = world.path(a, b);
    world.input(a, MeetInput::Lossy(b));
    world.run(7_500);
    assert_eq!(world.path(a, b), path, "ten seconds are to pass");
    world.input(a, MeetInput::Lossy(b));
    world.run(2_500);
    assert_eq!(world.host(a).shown[&b], Some(first));
    world.run(60_000);
    assert_eq!(world.host(a).shown[&b], Some(first));

    let (mut world, [a, b], _) = pair(SYMMETRIC, &[5]);
    world.find(a, b);
    world.run(3_000);
    let path = world.path(a, b);
    for _ in 0..20 {
        world.input(a, MeetInput::Lossy(b));
        world.input(b, MeetInput::Lossy(a));
        world.run(5_000);
    }
    assert!(world.is_linked(a, b) && world.path(a, b) == path);
}

#[test]
fn another_relay_takes_over_at_once_from_one_that_stops() {
    let (mut world, [a, b], relays) = pair(SYMMETRIC, &[5, 9]);
    world.find(a, b);
    world.run(3_000);
    let first = world.host(a).shown[&b].unwrap();
    let other = *relays.iter().find(|relay| **relay != first).unwrap();
    world.stop(first);
    let begun = world.now;
    world.run_until(begun + 2_000, |world| world.hosts[&a].shown[&b] == Some(other));
    assert_eq!(world.host(a).shown[&b], Some(other), "within two seconds");
}

#[test]
fn the_only_relay_is_asked_again_when_it_is_back() {
    let (mut world, [a, b], relays) = pair(SYMMETRIC, &[5]);
    world.find(a, b);
    world.run(3_000);
    // Its connection with one side breaks and comes back.
    world.stop(relays[0]);
    world.run(1_000);
    assert!(!world.is_linked(a, b));
    world.host(relays[0]).alive = true;
    let begun = world.now;
    world.link(a, relays[0]);
    world.link(b, relays[0]);
    world.run_until(begun + 6_000, |world| world.is_linked(a, b));
    assert!(world.is_linked(a, b));
}

#[test]
fn a_session_whose_other_side_is_gone_ends_here_too() {
    let (mut world, [a, b], relays) = pair(SYMMETRIC, &[5]);
    world.find(a, b);
    world.run(3_000);
    world.stop(b);
    world.run(200);
    assert!(!world.is_linked(a, b) && world.host(relays[0]).hops.is_empty());
    world.run(60_000);
    assert_eq!(world.host(a).machine.ends.len(), 0);
}

#[test]
fn rounds_come_later_and_later_and_at_once_when_an_address_changes() {
    let (mut world, [a, b], _) = pair([Home::Cone, Home::Cone], &[5]);
    // One router lets nothing in that it did not ask for, for ever: as if it lost every knock.
    world.nats[0].symmetric = true;
    world.find(a, b);
    world.run(10_000);
    assert!(world.is_linked(a, b) && !world.is_direct(a, b));
    let before = world.host(a).knocks_sent;
    world.run(600_000);
    let by_time = world.host(a).knocks_sent - before;
    assert!((1..=3 * 9 * 4).contains(&by_time), "{by_time}: at 15, 75 and 375 s");
    // Its provider gives it another address, and the router behaves.
    world.nats[0].symmetric = false;
    world.nats[0].renumber("203.0.113.77".parse().unwrap());
    let relay = node(101);
    world.link(a, relay);
    let begun = world.now;
    world.run_until(begun + 10_000, |world| world.is_direct(a, b));
    assert!(world.is_direct(a, b));
}

#[test]
fn a_node_that_asks_before_it_knows_where_it_is_seen_is_reached_all_the_same() {
    let (mut world, [a, b], _) = pair([Home::Cone, Home::Cone], &[5]);
    // It has asked already when the relay says where it sees it.
    let (seen, before) = (world.forget_seen(a), world.messages);
    world.find(a, b);
    world.run_until(world.now + 2_000, |world| world.messages > before);
    world.remember_seen(a, seen);
    let met = world.now;
    world.run_until(met + 2_000, |world| world.is_direct(a, b));
    assert!(world.is_direct(a, b), "after {} ms", world.now - met);
}

#[test]
fn what_comes_late_or_twice_changes_nothing() {
    let (mut world, [a, b], relays) = pair(SYMMETRIC, &[5]);
    world.find(a, b);
    world.run(3_000);
    let path = world.path(a, b);
    let session = RelaySession { token: SessionToken([9; 8]), meeting: MeetingId([9; 16]), candidates: vec![] };
    let reply = MeetReply { request: 1, outcome: MeetOutcome::Met, session: Some(session), rtt_ms: 1 };
    let said = MeetingCandidates { meeting: MeetingId([9; 16]), candidates: vec![] };
    for message in [
        Message::MeetReply(reply.clone()),
        Message::MeetReply(MeetReply { request: 77, ..reply }),
        Message::IntroducedReply(said.clone()),
        Message::KnockAgain(said),
        Message::SessionEnded(SessionToken([9; 8])),
    ] {
        for from in [relays[0], b, node(77)] {
            world.input(a, MeetInput::Message { from, message: message.clone() });
        }
    }
    world.input(a, MeetInput::Closed(SessionToken([9; 8])));
    world.input(a, MeetInput::Down(node(77)));
    let address: SocketAddr = "203.0.113.9:9".parse().unwrap();
    world.input(a, MeetInput::DialFailed { node: b, address });
    world.input(a, MeetInput::Heard { peer: b, from: address, meeting: MeetingId([9; 16]) });
    world.run(60_000);
    assert_eq!(world.path(a, b), path);
    assert_eq!(world.host(relays[0]).hops.len(), 2);
}
