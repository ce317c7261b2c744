//! Members that leave: drained, or removed when they are dead.

use fsdfs_core::report::{Attention, DrainReport};
use fsdfs_core::seam::{PutOutcome, Refusal};
use fsdfs_proto::ids::NodeId;
use simulations::Simulation;
use simulations::users::{OperationEnd, UserOperation};
use simulations::world::MachineId;

use crate::{blocks, path, pool, put, readable};

const FILES: usize = 12;

fn drain(world: &mut Simulation, at: MachineId, drain: bool) -> DrainReport {
    match world.wait(at, UserOperation::Drain { drain }) {
        OperationEnd::Drained(report) => *report,
        other => panic!("node {at} is not drained: {other:?}"),
    }
}

fn filled(seed: u64) -> Simulation {
    let mut world = pool(seed, 5);
    (0..FILES).for_each(|nr| {
        put(&mut world, nr % 5, &format!("f{nr}"), 20_000);
    });
    world.run(60);
    world
}

/// Blocks of the tree that have fewer than three copies without those machines.
fn short_without(world: &mut Simulation, without: MachineId) -> usize {
    let tree = blocks(world, 0);
    let without = world.machines[without].node;
    let others = |node: &NodeId| *node != without;
    tree.into_iter().filter(|block| world.holders(*block).into_iter().filter(others).count() < 3).count()
}

#[test]
fn nothing_is_lost_with_a_node_that_may_be_unplugged() {
    let mut world = filled(51);
    assert!(short_without(&mut world, 4) > 0, "it holds something");
    let begun = drain(&mut world, 4, true);
    assert!(begun.draining && !begun.may_be_unplugged, "{begun:?}");
    // It is true whenever it is said.
    let mut minutes = 0;
    while !drain(&mut world, 4, true).may_be_unplugged {
        world.run(10);
        minutes += 1;
        assert!(minutes < 60, "{:?}", drain(&mut world, 4, true));
    }
    assert_eq!(short_without(&mut world, 4), 0);
    world.lose(4);
    world.run(60);
    for nr in 0..FILES {
        assert!(readable(&mut world, nr % 4, &format!("f{nr}")));
    }
    assert_eq!(world.violations(), []);
}

#[test]
fn a_node_stays_drained_over_a_restart_and_waits_for_a_holder_that_is_away() {
    let mut world = filled(52);
    world.crash(3);
    world.run(10);
    drain(&mut world, 4, true);
    world.run(60);
    world.crash(4);
    world.restart(4);
    world.run(300);
    let report = drain(&mut world, 4, true);
    assert!(report.draining && !report.may_be_unplugged && report.blocks > 0, "{report:?}");
    assert_eq!(report.away.len(), 1);
    world.restart(3);
    world.run(300);
    let report = drain(&mut world, 4, true);
    assert!(report.may_be_unplugged, "{report:?}");
    let back = drain(&mut world, 4, false);
    assert!(!back.draining && !back.may_be_unplugged, "{back:?}");
    world.run(300);
    assert_eq!(world.violations(), []);
}

#[test]
fn a_dead_member_is_removed_its_copies_are_made_again_and_it_is_told_when_it_comes_back() {
    let mut world = filled(53);
    world.crash(4);
    world.run(60);
    assert!(short_without(&mut world, 4) > 0, "it is only away");
    let subject = world.machines[4].node;
    assert_eq!(world.wait(0, UserOperation::RemoveMember { subject }), OperationEnd::Removed);
    world.run(300);
    assert_eq!(short_without(&mut world, 4), 0);
    world.restart(4);
    world.run(300);
    let OperationEnd::Status(status) = world.wait(4, UserOperation::Status) else { panic!("it has no status") };
    assert!(status.attention.contains(&Attention::Removed), "{:?}", status.attention);
    let report = drain(&mut world, 4, true);
    assert!(report.draining && report.may_be_unplugged, "{report:?}");
    assert_eq!(world.violations(), []);
}

#[test]
fn what_only_a_removed_member_has_is_handed_over_by_it() {
    let mut world = filled(54);
    let subject = world.machines[4].node;
    // It misses its own removal, and comes back when others were lost meanwhile.
    world.crash(4);
    world.run(10);
    assert_eq!(world.wait(0, UserOperation::RemoveMember { subject }), OperationEnd::Removed);
    (1..3).for_each(|id| world.crash(id));
    world.run(30);
    world.restart(4);
    (1..3).for_each(|id| world.restart(id));
    world.run(300);
    assert_eq!(short_without(&mut world, 4), 0);
    for nr in 0..FILES {
        assert!(readable(&mut world, nr % 4, &format!("f{nr}")));
    }
    assert_eq!(world.violations(), []);
}

#[test]
fn a_removed_member_writes_nothing_more_is_told_why_and_the_others_go_on_without_it() {
    let mut world = filled(55);
    let subject = world.machines[4].node;
    assert_eq!(world.wait(0, UserOperation::RemoveMember { subject }), OperationEnd::Removed);
    world.run(30);
    put(&mut world, 0, "after", 300);
    let end = world.wait(4, UserOperation::Put { path: path("own"), bytes: 300 });
    let OperationEnd::Edited(reply) = end else { panic!("{end:?}") };
    assert_eq!(reply.outcome, PutOutcome::Refused(Refusal::Removed));
    // Every file is read, each by another member that is in.
    world.must_converge();
    assert_eq!(world.violations(), []);
}
