//! When a change is told to others.

use fsdfs_proto::ids::BlockId;
use simulations::world::clock::MachineClock;
use simulations::world::queue::MS;
use simulations::world::{MachineId, SMALL};
use simulations::{EventTrace, Simulation, World};

use crate::{copies, fine, list, pool, put, readable};

fn standing(world: &World, at: MachineId) -> Vec<BlockId> {
    let facts = world.machines[at].process.as_ref().expect("it runs").engine.facts();
    facts.heads(world.pool.volume()).iter().map(simulations::world::heads::commit_of).collect()
}

/// Three nodes; the last one is cut off and has written `d/new`, which nobody else has; then they meet again.
fn a_writer_comes_back(seed: u64) -> Simulation {
    let mut world = pool(seed, 3);
    put(&mut world, 0, "d/old", 300);
    world.run(5);
    world.partition(&[0, 0, 1]);
    world.run(60);
    let told = standing(&world, 0);
    assert_eq!(copies(&put(&mut world, 2, "d/new", 5_000)), 1);
    assert_eq!(list(&mut world, 2, "d"), ["new", "old"], "who wrote it sees it");
    world.heal();
    assert_eq!(standing(&world, 2), told, "a head whose tree is in one place is not told");
    world
}

#[test]
fn a_head_is_told_when_its_tree_survives_its_writer() {
    let mut world = a_writer_comes_back(17);
    let before = standing(&world, 0);
    let from = world.at;
    assert!(world.run_while(60, |world| standing(world, 0) == before), "the head comes over");
    println!("the head came after {} ms", (world.at - from) / MS);
    world.lose(2);
    world.run(60);
    assert!(readable(&mut world, 0, "d/old"));
    put(&mut world, 1, "d/newer", 300);
    assert_eq!(list(&mut world, 1, "d"), ["new", "newer", "old"]);
}

#[test]
fn a_writer_that_dies_before_its_head_is_told_hides_nothing() {
    let mut world = a_writer_comes_back(20);
    world.run_ms(100);
    world.lose(2);
    world.run(60);
    assert!(readable(&mut world, 0, "d/old"));
    put(&mut world, 1, "d/newer", 300);
    assert_eq!(list(&mut world, 1, "d"), ["newer", "old"]);
}

/// Three servers, of which the last is cut off from the others, and a guest without disks that is connected to all: what the
/// last one acknowledges lies on it alone, and the guest asks the others.
#[test]
fn a_reader_is_told_that_a_connected_writer_has_what_it_cannot_see() {
    let mut world = Simulation::empty(24, SMALL, EventTrace::default());
    for number in 0..4 {
        let site = world.add_site(12_500_000, |_| 10);
        let disks: &[u64] = if number < 3 { &[256] } else { &[] };
        world.add_machine(site, disks, MachineClock::new(0, 0));
    }
    (0..4).for_each(|id| world.restart(id));
    world.run(10);
    put(&mut world, 0, "d/old", 300);
    for other in [0, 1] {
        world.stall(2, other);
        world.stall(other, 2);
    }
    world.run(60);
    assert_eq!(copies(&put(&mut world, 2, "d/new", 300)), 1);
    world.run_ms(fsdfs_core::limits::GOSSIP_MS);
    assert_eq!(list(&mut world, 3, "d"), ["old"]);
    assert!(world.operations.maybe_incomplete, "and says so");
    assert_eq!(list(&mut world, 0, "d"), ["old"]);
    assert!(!world.operations.maybe_incomplete, "it cannot reach the writer");
    put(&mut world, 0, "d/other", 300);
    list(&mut world, 3, "d");
    assert!(world.operations.maybe_incomplete, "other changes are no help");
    world.heal();
    world.run(60);
    assert_eq!(list(&mut world, 3, "d"), ["new", "old", "other"]);
    assert!(!world.operations.maybe_incomplete);
    fine(&mut world);
}

/// The log had both the head that was kept back and the fact that it became, and the first was believed after a restart.
#[test]
fn a_writer_that_told_what_it_kept_back_writes_for_all_after_a_restart() {
    let mut world = a_writer_comes_back(22);
    world.run(60);
    assert_eq!(list(&mut world, 0, "d"), ["new", "old"]);
    world.crash(2);
    world.restart(2);
    world.run(10);
    assert_eq!(copies(&put(&mut world, 2, "d/newer", 300)), 3);
    fine(&mut world);
}

#[test]
fn changes_that_nobody_was_told_of_survive_a_restart() {
    let mut world = a_writer_comes_back(21);
    world.crash(2);
    world.restart(2);
    fine(&mut world);
    assert_eq!(list(&mut world, 0, "d"), ["new", "old"]);
}
