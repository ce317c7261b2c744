//! Who is up, away and gone: nights off, outages, pairs without a direct line.

use fsdfs_core::report::{AwayReason, MemberReport, Presence};
use fsdfs_proto::identity::DailySpan;
use simulations::Simulation;
use simulations::users::{OperationEnd, UserOperation};
use simulations::world::MachineId;

use crate::{fine, pool, put};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// Minutes of a day.
const DAY_MIN: u64 = 24 * 60;

/// What one node says of another one.
fn seen(world: &mut Simulation, at: MachineId, other: MachineId) -> MemberReport {
    let node = world.machines[other].node;
    let OperationEnd::Members(list) = world.wait(at, UserOperation::Members) else { panic!("node {at} lists nobody") };
    let found = list.members.into_iter().find(|member| member.node == node);
    found.unwrap_or_else(|| panic!("node {at} does not know node {other}"))
}

fn announce(world: &mut Simulation, at: MachineId, until_ms: u64, daily: Vec<DailySpan>) {
    let end = world.wait(at, UserOperation::Announce { until_ms, daily });
    assert!(matches!(end, OperationEnd::Announced(_)), "{end:?}");
}

/// The minute of the day by a machine's clock, so many seconds from now.
fn minute_in(world: &Simulation, at: MachineId, seconds: u64) -> u16 {
    let wall = world.machines[at].clock.now(world.at).wall + seconds * 1_000;
    u16::try_from(wall / 60_000 % DAY_MIN).expect("a day has fewer minutes")
}

#[test]
fn who_announced_its_nights_is_not_missed_and_is_back_in_the_morning() {
    let mut world = pool(31, 4);
    put(&mut world, 0, "a", 3_000);
    let night = DailySpan { from: minute_in(&world, 3, HOUR), to: minute_in(&world, 3, 9 * HOUR) };
    announce(&mut world, 3, 0, vec![night]);
    world.run(HOUR);
    for _ in 0..2 {
        world.crash(3);
        world.run(3 * HOUR);
        let asleep = seen(&mut world, 0, 3);
        assert_eq!(asleep.presence, Presence::Away);
        assert!(matches!(asleep.seen.away, Some(AwayReason::Announced { .. })), "{:?}", asleep.seen);
        assert!(!asleep.seen.overdue, "its copies are waited for");
        world.run(5 * HOUR);
        world.restart(3);
        world.run(5 * MINUTE);
        assert_eq!(seen(&mut world, 0, 3).presence, Presence::Up);
        world.run(16 * HOUR - 5 * MINUTE);
    }
    fine(&mut world);
}

#[test]
fn who_does_not_come_back_is_overdue_after_an_hour() {
    let mut world = pool(32, 4);
    world.run(5 * MINUTE);
    world.crash(3);
    world.run(30 * MINUTE);
    assert!(!seen(&mut world, 0, 3).seen.overdue);
    world.run(3 * HOUR);
    let away = seen(&mut world, 0, 3);
    assert!(away.seen.overdue, "{:?}", away.seen);
    assert_eq!((away.presence, away.seen.away), (Presence::Away, Some(AwayReason::Unexplained)));
    world.restart(3);
    fine(&mut world);
}

#[test]
fn a_mass_outage_brakes_until_half_of_them_are_back() {
    let mut world = pool(33, 8);
    put(&mut world, 0, "a", 3_000);
    world.run(10 * MINUTE);
    (4..8).for_each(|id| world.crash(id));
    world.run(3 * HOUR);
    for at in 0..4 {
        for other in 4..8 {
            let away = seen(&mut world, at, other);
            assert_eq!(away.seen.away, Some(AwayReason::Outage), "as node {at} sees node {other}");
            assert!(!away.seen.overdue);
        }
    }
    (4..6).for_each(|id| world.restart(id));
    world.run(5 * MINUTE);
    assert_eq!(seen(&mut world, 0, 4).presence, Presence::Up);
    assert_eq!(seen(&mut world, 0, 7).seen.away, Some(AwayReason::Unexplained), "half of them are back");
    (6..8).for_each(|id| world.restart(id));
    fine(&mut world);
}

/// Of seven nodes every third pair never connects; each pair has somebody whom both reach.
#[test]
fn pairs_that_never_connect_count_each_other_as_up() {
    let mut world = pool(34, 7);
    let pairs = (0..7).flat_map(|one| (one + 1..7).map(move |other| (one, other)));
    let strangers: Vec<(MachineId, MachineId)> = pairs.filter(|(one, other)| (one + other) % 3 == 1).collect();
    assert_eq!(strangers.len(), 7, "a third of 21");
    for (one, other) in &strangers {
        world.net.estrange(*one, *other);
    }
    (0..7).for_each(|id| world.crash(id));
    (0..7).for_each(|id| world.restart(id));
    world.run(10);
    put(&mut world, 0, "a", 3_000);
    world.run(5 * MINUTE);
    for _ in 0..20 {
        world.run(3 * MINUTE);
        for (one, other) in &strangers {
            let there = seen(&mut world, *one, *other);
            assert_eq!((there.presence, there.connected), (Presence::Up, false), "{one} sees {other}");
        }
    }
    let (one, other) = strangers[0];
    let known = seen(&mut world, one, other).seen.facts_known_s;
    assert!(known.is_some_and(|seconds| seconds < 30 * MINUTE), "others say so: {known:?}");
    fine(&mut world);
}

/// Bytes of a heartbeat, as of all further kinds, as they are encoded, with their frame. What else is said counts as the world
/// sizes it, which is more.
const BYTES: [(&str, u64); 4] = [("facts", 140), ("digests", 90), ("ping", 16), ("pong", 16)];

#[test]
fn a_pair_that_is_idle_says_little() {
    for nodes in [2, 3, 6] {
        let mut world = pool(35, nodes);
        world.run(10 * MINUTE);
        let bytes = |world: &Simulation| {
            let bytes = |(kind, sent): (&&str, &(u64, u64))| match BYTES.iter().find(|(known, _)| known == kind) {
                Some((_, bytes)) => sent.0 * bytes,
                None => sent.1,
            };
            world.net.traffic().iter().map(bytes).sum::<u64>()
        };
        let before = bytes(&world);
        world.run(HOUR);
        let pairs = nodes * (nodes - 1) / 2;
        let a_minute = (bytes(&world) - before) / 60 / u64::try_from(pairs).expect("few");
        println!("{nodes} nodes: {a_minute} bytes a minute and pair, {:?}", world.net.traffic());
        assert!(a_minute <= 1_024, "{nodes} nodes: {a_minute} bytes");
    }
}
