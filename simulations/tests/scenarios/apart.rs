//! Nodes that were apart, and old disk images.

use simulations::users::UserOperation;
use simulations::world::MachineId;
use simulations::{Simulation, World};

use crate::{edit, fine, list, path, pool, put};

/// Both sides of a cut pool change the same folder; afterwards all list the same.
fn cut_off(seed: u64, left: impl Fn(&mut World), right: impl Fn(&mut World)) -> Simulation {
    let mut world = pool(seed, 2);
    put(&mut world, 0, "d/old", 500);
    put(&mut world, 0, "d/both", 500);
    world.run(5);
    world.partition(&[0, 1]);
    world.run(40);
    left(&mut world);
    right(&mut world);
    world.heal();
    world.run(60);
    let lists: Vec<_> = (0..2).map(|at| (list(&mut world, at, ""), list(&mut world, at, "d"))).collect();
    assert_eq!(lists[0], lists[1]);
    fine(&mut world);
    world
}

#[test]
fn two_cut_off_nodes_edit_the_same_file_and_both_contents_stay() {
    let edit_both = |at: MachineId| move |world: &mut World| drop(put(world, at, "d/both", 300));
    let mut world = cut_off(5, edit_both(0), edit_both(1));
    let names = list(&mut world, 0, "d");
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("both (conflict ")), "{names:?}");
}

#[test]
fn an_edit_beats_a_removal_on_the_other_side() {
    let mut world = cut_off(
        6,
        |world| edit(world, 0, &UserOperation::Remove { path: path("d") }),
        |world| drop(put(world, 1, "d/both", 300)),
    );
    assert_eq!(list(&mut world, 0, "d"), ["both"]);
}

#[test]
fn a_folder_moved_on_one_side_and_edited_inside_on_the_other_loses_nothing() {
    let mut world = cut_off(
        7,
        |world| edit(world, 0, &UserOperation::Move { from: path("d"), to: path("e") }),
        |world| drop(put(world, 1, "d/new", 300)),
    );
    assert_eq!(list(&mut world, 1, ""), ["d/", "e/"]);
    assert_eq!(list(&mut world, 0, "e"), ["both", "old"]);
}

#[test]
fn an_old_disk_image_makes_no_acknowledged_write_vanish() {
    for told in [true, false] {
        let mut world = pool(8, 3);
        put(&mut world, 1, "a", 300);
        world.back_up(1);
        put(&mut world, 1, "b", 300);
        put(&mut world, 1, "c", 300);
        world.run(5);
        world.crash(1);
        world.restore(1, told);
        world.restart(1);
        world.run(10);
        put(&mut world, 1, "d", 300);
        put(&mut world, 0, "e", 300);
        assert_eq!(list(&mut world, 2, ""), ["a", "b", "c", "d", "e"]);
        fine(&mut world);
    }
}

#[test]
fn an_old_disk_image_started_alone_does_not_reuse_sequence_numbers() {
    let mut world = pool(9, 3);
    put(&mut world, 1, "a", 300);
    world.back_up(1);
    put(&mut world, 1, "b", 300);
    world.run(5);
    world.crash(1);
    world.restore(1, false);
    world.partition(&[0, 1, 0]);
    world.restart(1);
    world.run(60);
    // Whether it is taken is not the question here.
    world.wait(1, UserOperation::Put { path: path("c"), bytes: 300 });
    world.heal();
    world.run(60);
    let names = list(&mut world, 0, "");
    assert!(names.starts_with(&["a".into(), "b".into()]), "{names:?}");
    fine(&mut world);
}

#[test]
fn an_old_disk_image_asks_others_than_itself_what_it_had_written() {
    let mut world = pool(15, 3);
    put(&mut world, 1, "a", 300);
    world.run(5);
    world.back_up(1);
    world.crash(2);
    world.run(40);
    put(&mut world, 1, "b", 50);
    world.crash(1);
    world.crash(0);
    world.restore(1, false);
    // Of the others only the one is up that never heard of "b".
    world.restart(2);
    world.restart(1);
    world.run(60);
    world.wait(1, UserOperation::Put { path: path("c"), bytes: 50 });
    world.restart(0);
    world.run(60);
    assert_eq!(list(&mut world, 2, ""), ["a", "b", "c"]);
    fine(&mut world);
}

#[test]
fn who_hears_stand_ins_only_says_that_there_may_be_newer_changes() {
    let mut world = pool(16, 7);
    put(&mut world, 0, "a", 300);
    world.run(5);
    let holders = world.head_holders();
    let cut_off: Vec<u8> = (0..7).map(|id| u8::from(!holders.contains(&id))).collect();
    world.partition(&cut_off);
    world.run(60);
    let at = (0..7).find(|id| !holders.contains(id)).expect("four of seven hold no heads");
    world.wait(at, UserOperation::List { path: path("") });
    assert!(world.operations.maybe_stale, "it hears none of the holders of heads");
    fine(&mut world);
}
