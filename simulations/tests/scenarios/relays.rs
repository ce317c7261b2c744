//! Blocks that leave their writer once: houses with thin lines upwards, real sizes of blocks.

use fsdfs_core::seam::{EditReply, PutOutcome};
use fsdfs_core::tree::TreeParams;
use simulations::trace::EventTrace;
use simulations::users::{OperationEnd, OperationId, UserOperation};
use simulations::world::MachineId;
use simulations::world::clock::MachineClock;
use simulations::world::queue::{MS, Micros, S};
use simulations::{Simulation, World};

use crate::{fine, path};

/// 20 Mbit/s.
const LINE: u64 = 2_500_000;
const FILE: usize = 64 << 20;
/// As in a daemon.
const RELAYED_BYTES_MIN: usize = fsdfs_core::limits::RELAYED_BYTES_MIN;

/// Houses with these lines, in bytes a second, 5 to 40 ms apart, each with a disk of 512 MiB but for those without.
fn houses(lines: &[u64], without_disk: &[MachineId], relay_from: usize) -> Simulation {
    let mut world = Simulation::empty(50, TreeParams::DEFAULT, EventTrace::default());
    world.relay_from(relay_from);
    for (id, line) in lines.iter().enumerate() {
        let site = world.add_site(*line, |other| [5, 40, 20][other % 3]);
        let disks: &[u64] = if without_disk.contains(&id) { &[] } else { &[8192] };
        world.add_machine(site, disks, MachineClock::new(0, 0));
    }
    (0..lines.len()).for_each(|id| world.restart(id));
    // Audits of what the first commits left have to be over, or the writer keeps copies of its own.
    world.run(10);
    world
}

/// What its owner says of a machine's line.
fn tell_uplinks(world: &mut World, lines: &[u64]) {
    for (id, line) in lines.iter().enumerate() {
        world.machines[id].profile.uplink = u32::try_from(line / 1024).ok();
        world.crash(id);
        world.restart(id);
    }
    world.run(60);
}

struct PutCost {
    took: Micros,
    /// Bytes that left the writer's house.
    sent: u64,
    copies: usize,
}

fn begin(world: &mut World, writer: MachineId) -> (OperationId, Micros, u64) {
    let (since, before) = (world.at, sent_by(world, writer));
    (world.begin(writer, UserOperation::Put { path: path("film"), bytes: FILE }), since, before)
}

fn end(world: &mut World, writer: MachineId, (id, since, before): (OperationId, Micros, u64)) -> PutCost {
    assert!(world.run_while(200, |world| world.operations.open.contains_key(&id)), "it takes minutes");
    let copies = match world.operations.ended.remove(&id) {
        Some(OperationEnd::Edited(EditReply { outcome: PutOutcome::Stored(copies), .. })) => copies.servers.len(),
        Some(OperationEnd::Edited(EditReply { outcome: PutOutcome::Degraded(copies), .. })) => copies.servers.len(),
        other => panic!("{other:?}"),
    };
    let cost = PutCost { took: world.at - since, sent: sent_by(world, writer) - before, copies };
    println!("{} ms, {} % of the file's bytes, {copies} copies", cost.took / MS, 100 * cost.sent / FILE as u64);
    cost
}

fn sent_by(world: &World, machine: MachineId) -> u64 {
    world.net.sent_by(world.net.site_of(machine))
}

fn relayed(world: &World) -> u64 {
    world.net.traffic().get("relayed-store").map_or(0, |(parcels, _)| *parcels)
}

fn cost(world: &mut World, writer: MachineId) -> PutCost {
    let begun = begin(world, writer);
    end(world, writer, begun)
}

/// Twice over a line of 2.5 MB/s 64 MiB take 53.7 s, once 26.8 s.
#[test]
fn three_houses_store_a_file_with_one_copy_of_it_on_the_writers_line() {
    let mut world = houses(&[LINE; 3], &[], RELAYED_BYTES_MIN);
    let once = cost(&mut world, 0);
    assert!(once.took <= 31 * S && once.sent * 100 <= FILE as u64 * 105 && once.copies == 3);
    // What the others lent is theirs to see, and shared.
    let lent = [1, 2].map(|id| sent_by(&world, id));
    assert!(lent.iter().all(|bytes| *bytes > FILE as u64 / 4), "{lent:?}");
    fine(&mut world);

    let mut world = houses(&[LINE; 3], &[], usize::MAX);
    let twice = cost(&mut world, 0);
    assert!(twice.took >= 53 * S && relayed(&world) == 0);
}

#[test]
fn a_writer_without_storage_sends_a_file_once_for_three_holders() {
    let mut world = houses(&[LINE; 4], &[0], RELAYED_BYTES_MIN);
    let once = cost(&mut world, 0);
    assert!(once.took <= 31 * S && once.sent * 100 <= FILE as u64 * 105 && once.copies == 3);
    fine(&mut world);
}

#[test]
fn a_fast_writer_sends_directly_to_friends_with_slow_lines() {
    let lines = [5 * LINE, LINE / 2, LINE / 2];
    let mut world = houses(&lines, &[], RELAYED_BYTES_MIN);
    tell_uplinks(&mut world, &lines);
    let before = relayed(&world);
    let direct = cost(&mut world, 0);
    assert_eq!((relayed(&world), direct.copies), (before, 3));
    assert!(direct.took <= 12 * S, "twice over a line of 12.5 MB/s");
    fine(&mut world);
}

/// Nobody told how fast the lines are: who does not pass blocks on in time is not asked to for a while.
#[test]
fn a_line_that_is_much_slower_than_it_is_taken_for_is_gone_around() {
    let lines = [5 * LINE, LINE / 10, LINE / 10];
    let mut world = houses(&lines, &[], RELAYED_BYTES_MIN);
    let cost = cost(&mut world, 0);
    // Through the others' lines it would take 134 s.
    assert!(cost.took <= 30 * S && cost.copies == 3);
    fine(&mut world);
}

#[test]
fn a_forwarder_that_is_killed_costs_seconds_and_no_lie() {
    let whole = cost(&mut houses(&[LINE; 3], &[], RELAYED_BYTES_MIN), 0);
    for (killed, after_ms) in [(1, 400), (2, 3_300), (1, 9_100), (2, 17_700), (1, 25_900)] {
        let mut world = houses(&[LINE; 3], &[], RELAYED_BYTES_MIN);
        let begun = begin(&mut world, 0);
        world.run_ms(after_ms);
        world.crash(killed);
        let cost = end(&mut world, 0, begun);
        assert!(cost.took <= whole.took + 5 * S, "{killed} killed after {after_ms} ms");
        assert!(cost.copies < 3, "one of three houses is gone");
        assert_eq!(world.violations(), [], "{killed} killed after {after_ms} ms");
    }
}

/// With a fourth house the copies are complete all the same.
#[test]
fn another_holder_takes_the_place_of_a_forwarder_that_is_killed() {
    for (killed, after_ms) in [(1, 3_300), (3, 12_000)] {
        let mut world = houses(&[LINE; 4], &[], RELAYED_BYTES_MIN);
        let begun = begin(&mut world, 0);
        world.run_ms(after_ms);
        world.crash(killed);
        let cost = end(&mut world, 0, begun);
        assert!(cost.copies == 3 && cost.took < 45 * S);
        assert_eq!(world.violations(), []);
    }
}

/// A forwarder whose connection with the next holder is gone says so at once.
#[test]
fn holders_that_do_not_reach_each_other_are_sent_to_directly() {
    let mut world = houses(&[LINE; 3], &[], RELAYED_BYTES_MIN);
    world.stall(1, 2);
    world.stall(2, 1);
    world.run(60);
    let cost = cost(&mut world, 0);
    assert!(cost.copies == 3 && cost.took <= 62 * S);
    assert_eq!(world.violations(), []);
}
