//! When a change is told to others.

use fsdfs_proto::ids::BlockId;
use simulations::world::MachineId;
use simulations::world::queue::MS;
use simulations::{Simulation, World};

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

#[test]
fn changes_that_nobody_was_told_of_survive_a_restart() {
    let mut world = a_writer_comes_back(21);
    world.crash(2);
    world.restart(2);
    fine(&mut world);
    assert_eq!(list(&mut world, 0, "d"), ["new", "old"]);
}
