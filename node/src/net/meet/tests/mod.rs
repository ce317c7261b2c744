//! The machine on both sides, with routers as homes have them between, in virtual time.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod failures;
mod homes;
mod hostile;
mod nat;
mod standing;
mod world;

use homes::{HOMES, Home, pair};

/// Usable within this.
const USABLE_MS: u64 = 2_000;
/// And direct within this, where the routers let it be.
const DIRECT_MS: u64 = 5_000;

#[test]
fn all_pairs_of_homes_meet_and_those_that_can_do_so_directly() {
    for one in HOMES {
        for other in HOMES {
            let (mut world, [a, b], relays) = pair([one, other], &[5]);
            let begun = world.now;
            world.find(a, b);
            world.run_until(begun + USABLE_MS, |world| world.is_linked(a, b));
            assert!(world.is_linked(a, b), "{one:?}, {other:?}");
            world.run_until(begun + DIRECT_MS, |world| world.is_direct(a, b));
            assert_eq!(world.is_direct(a, b), one.meets_directly(other), "{one:?}, {other:?}");
            // Long afterwards it is as it was, whatever was tried meanwhile.
            world.run(4_000_000);
            assert!(world.is_linked(a, b), "{one:?}, {other:?}");
            assert_eq!(world.is_direct(a, b), one.meets_directly(other), "{one:?}, {other:?}");
            let via = (!one.meets_directly(other)).then_some(relays[0]);
            assert_eq!((world.host(a).shown[&b], world.host(b).shown[&a]), (via, via), "{one:?}, {other:?}");
            let sessions = world.host(relays[0]).hops.len();
            assert_eq!(
                sessions,
                if via.is_some() { 2 } else { 0 },
                "{one:?}, {other:?}: sessions end when they are not used"
            );
        }
    }
}

#[test]
fn both_may_begin_at_once_with_different_relays_in_mind() {
    for one in HOMES {
        for other in HOMES {
            for shift in [0, 1, 30, 150, 320, 450] {
                let (mut world, [a, b], relays) = pair([one, other], &[5, 30, 8]);
                let begun = world.now;
                world.find(a, b);
                world.run(shift);
                world.find(b, a);
                world.run_until(begun + USABLE_MS, |world| world.is_linked(a, b));
                assert!(world.is_linked(a, b), "{one:?}, {other:?}, {shift}");
                world.run(30_000);
                let is_direct = one.meets_directly(other);
                assert_eq!(world.is_direct(a, b), is_direct, "{one:?}, {other:?}, {shift}");
                let open: usize = relays.iter().map(|relay| world.host(*relay).hops.len()).sum();
                assert_eq!(open, if is_direct { 0 } else { 2 }, "{one:?}, {other:?}, {shift}");
            }
        }
    }
}

#[test]
fn without_anybody_who_relays_there_is_nothing() {
    let (mut world, [a, b], _) = pair([Home::Cone, Home::Symmetric], &[]);
    world.find(a, b);
    world.run(60_000);
    assert!(!world.is_linked(a, b));
    assert_eq!(world.messages, 0);
    assert_eq!(world.host(a).machine.deadline(60_000), None, "and nothing goes on");
    // A relay whose owner does not want it says so, and nobody waits for it.
    let (mut world, [a, b], _) = pair([Home::Cone, Home::Cone], &[5, 5]);
    world.relaying = false;
    world.find(a, b);
    world.run(14_000);
    assert!(!world.is_linked(a, b));
}

#[test]
fn of_relays_the_one_with_the_shortest_way_is_taken() {
    let (mut world, [a, b], relays) = pair([Home::Symmetric, Home::Symmetric], &[60, 10, 40]);
    for (relay, ms) in relays.iter().zip([140, 40, 100]) {
        for end in [a, b] {
            world.input(end, super::MeetInput::Rtt { node: *relay, ms });
            world.input(*relay, super::MeetInput::Rtt { node: end, ms });
        }
    }
    world.find(a, b);
    world.run(5_000);
    assert_eq!(world.host(a).shown[&b], Some(relays[1]));
}

#[test]
fn lost_packets_delay_it_and_no_more() {
    for seed in 1..=20 {
        for (one, other) in
            [(Home::Cone, Home::Cone), (Home::Symmetric, Home::Cone), (Home::Cgnat, Home::AddressFilter)]
        {
            let (mut world, [a, b], _) = pair([one, other], &[5]);
            world.seed(seed);
            world.loss = 200;
            let begun = world.now;
            world.find(a, b);
            world.run_until(begun + 10_000, |world| world.is_linked(a, b));
            assert!(world.is_linked(a, b), "{one:?}, {other:?}, {seed}");
            world.run(600_000);
            assert!(world.is_linked(a, b), "{one:?}, {other:?}, {seed}");
            assert_eq!(world.is_direct(a, b), one.meets_directly(other), "{one:?}, {other:?}, {seed}");
        }
    }
}

#[test]
fn two_in_one_home_meet_there() {
    let mut world = world::World::new();
    let nat =
        world.add_nat(nat::Nat::new(Some("203.0.113.1".parse().unwrap()), nat::Filter::AddressAndPort, false, false));
    let a = world.add_host(1, vec![("192.168.1.2:24007".parse().unwrap(), vec![nat])], 1);
    let b = world.add_host(2, vec![("192.168.1.3:24007".parse().unwrap(), vec![nat])], 1);
    let relay = homes::add_relay(&mut world, 101, 5);
    world.deal_cards();
    world.link(a, relay);
    world.link(b, relay);
    world.run(1_000);
    world.find(a, b);
    world.run(2_000);
    let at_home = super::MeetPath::Direct("192.168.1.3:24007".parse().unwrap());
    assert_eq!(world.path(a, b), Some(at_home));
}
