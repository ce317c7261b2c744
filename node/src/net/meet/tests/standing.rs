//! Two that know where the other was, and no third.

use super::homes::{Home, pair};
use crate::net::meet::MeetInput;

#[test]
fn two_behind_usual_routers_meet_without_a_third() {
    for minute in [0, 3, 57, 59] {
        let (mut world, [a, b], _) = pair([Home::Cone, Home::Cone], &[]);
        // Their clocks differ, and an hour ends meanwhile.
        world.minute = 29_000_040 + minute;
        let of = |number: u8| format!("203.0.113.{number}:24007").parse().unwrap();
        world.input(a, MeetInput::Unreachable { node: b, addresses: vec![of(2)] });
        world.run(7_000);
        world.input(b, MeetInput::Unreachable { node: a, addresses: vec![of(1)] });
        let begun = world.now;
        world.run_until(begun + 35_000, |world| world.is_direct(a, b));
        assert!(world.is_direct(a, b), "{minute}");
        world.run(600_000);
        assert_eq!(world.host(a).machine.rounds.len(), 0);
    }
}

#[test]
fn standing_knocks_are_few() {
    let (mut world, [a, _], _) = pair([Home::Cone, Home::Cone], &[]);
    for number in 2..=200 {
        let address = |last: u8| format!("203.0.113.{last}:24007").parse().unwrap();
        let addresses = vec![address(number), address(number - 1), address(1)];
        world.input(a, MeetInput::Unreachable { node: super::world::node(number), addresses });
    }
    world.run(14_000);
    let before = world.host(a).knocks_sent;
    world.run(60_000);
    assert_eq!(world.host(a).knocks_sent - before, 4 * 16 * 2, "sixteen members, two addresses each, every 15 s");
    for number in 2..=200 {
        world.input(a, MeetInput::Forget(super::world::node(number)));
    }
    let now = world.now;
    assert_eq!(world.host(a).machine.deadline(now), None);
}
