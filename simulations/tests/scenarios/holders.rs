//! Holders that are silent, full, damaged, gone or far away.

use fsdfs_core::seam::{EditReply, PutOutcome};
use simulations::trace::EventTrace;
use simulations::users::{OperationEnd, UserOperation};
use simulations::world::SMALL;
use simulations::world::clock::MachineClock;
use simulations::world::queue::{MS, S};
use simulations::{Simulation, World};

use crate::{blocks, copies, fine, path, pool, put, readable};

#[test]
fn a_silent_holder_gets_what_a_writer_without_copies_put_elsewhere() {
    let mut world = pool(18, 7);
    world.freeze(3);
    for nr in 0..12 {
        put(&mut world, nr % 3, &format!("f{nr}"), 3_000);
    }
    world.thaw(3);
    world.run(30);
    world.freeze_faults();
    world.must_converge();
    let since = world.at / S;
    assert!(since < 120, "it took until {since} s");
    fine(&mut world);
}

#[test]
fn the_last_copy_is_read_without_a_quorum() {
    let mut world = pool(10, 3);
    put(&mut world, 0, "a/b/c", 8_000);
    world.run(5);
    world.crash(0);
    world.crash(1);
    world.crash(2);
    world.restart(2);
    world.run(20);
    assert!(readable(&mut world, 2, "a/b/c"));
    fine(&mut world);
}

#[test]
fn stand_ins_hand_over_when_the_wanted_holders_are_back() {
    let mut world = pool(11, 6);
    world.crash(1);
    world.crash(2);
    world.run(40);
    put(&mut world, 0, "a/file", 10_000);
    world.restart(1);
    world.restart(2);
    fine(&mut world);
}

#[test]
fn a_full_disk_is_passed_over() {
    let mut world = pool(12, 5);
    world.set_quota(1, 0);
    world.run(5);
    let before = world.machines[1].store.ids().count();
    for nr in 0..5 {
        assert_eq!(copies(&put(&mut world, 0, &format!("f{nr}"), 5_000)), 3);
    }
    assert_eq!(world.machines[1].store.ids().count(), before);
    fine(&mut world);
}

/// What a put could not store while members were away went only to the servers it belongs on, and one of them took nothing.
#[test]
fn copies_that_belong_on_a_disk_that_takes_nothing_are_made_elsewhere() {
    let mut world = pool(14, 5);
    world.set_disk_fails(1, 0, true);
    world.run(5);
    (3..5).for_each(|id| world.crash(id));
    world.run(5);
    put(&mut world, 0, "f", 20_000);
    (3..5).for_each(|id| world.restart(id));
    world.run(60);
    let tree = blocks(&mut world, 0);
    let short: Vec<_> = tree.into_iter().filter(|block| world.holders(*block).len() < 3).collect();
    assert_eq!(short, [], "blocks have fewer than three copies, and three servers have room");
    fine(&mut world);
}

#[test]
fn a_pool_lives_on_without_a_node_that_never_comes_back() {
    let mut world = pool(13, 4);
    for nr in 0..5 {
        put(&mut world, nr % 4, &format!("before{nr}"), 3_000);
    }
    world.lose(3);
    world.run(60);
    for nr in 0..5 {
        assert!(readable(&mut world, nr % 3, &format!("before{nr}")));
        assert_eq!(
            copies(&put(&mut world, nr % 3, &format!("after{nr}"), 3_000)),
            3,
            "a fallback holder takes its place"
        );
    }
    fine(&mut world);
}

#[test]
fn two_live_boots_of_one_identity_stop_acknowledging() {
    let mut world = pool(14, 4);
    put(&mut world, 1, "a", 300);
    let duplicate = world.clone_machine(1, false);
    world.restart(duplicate);
    world.run(180);
    let refused =
        |end: &OperationEnd| matches!(end, OperationEnd::Edited(EditReply { outcome: PutOutcome::Refused(_), .. }));
    let ends = [1, duplicate].map(|at| world.wait(at, UserOperation::Put { path: path("b"), bytes: 50 }));
    assert!(ends.iter().all(refused), "{ends:?}");
    world.lose(duplicate);
    fine(&mut world);
}

#[test]
fn a_long_read_takes_the_uplinks_of_all_holders() {
    let mut world = Simulation::empty(30, SMALL, EventTrace::default());
    let uplink = 25_000;
    for _ in 0..3 {
        let site = world.add_site(uplink, |_| 10);
        world.add_machine(site, &[256], MachineClock::new(0, 0));
    }
    // One of them is nearer than the others.
    let away = world.add_site(12_500_000, |other| [5, 8, 9][other]);
    let guest = world.add_machine(away, &[], MachineClock::new(0, 0));
    (0..=guest).for_each(|id| world.restart(id));
    world.run(10);
    put(&mut world, guest, "film", 100_000);

    let since = world.at;
    assert!(readable(&mut world, guest, "film"));

    // The nearest alone needs 5.6 s; asking a second one for what the first is sending, 4.4 s.
    let took_ms = (world.at - since) / MS;
    assert!(took_ms < 3_500, "{took_ms} ms");
    fine(&mut world);
}

#[test]
fn a_node_says_that_all_is_copied_when_it_is() {
    // The other friend comes at any time after the first.
    for late in (0..2_000).step_by(50) {
        let mut world = pool(31, 1);
        for nr in 0..10 {
            put(&mut world, 0, &format!("d{nr}/file"), 5_000);
        }
        let tree = blocks(&mut world, 0);
        let friends = [world.add_calm_machine(), world.add_calm_machine()];
        world.restart(friends[0]);
        world.run_ms(late);
        world.restart(friends[1]);

        let copied = |world: &World, copies| tree.iter().filter(|id| world.holders(**id).len() >= copies).count();
        assert!(world.run_while(60, |world| copied(world, 3) == 0), "the other friend gets copies");
        let owes = |world: &World| world.machines[0].process.as_ref().expect("it runs").engine.owes_copies();
        assert!(world.run_while(60, owes), "repair ends");
        assert_eq!(copied(&world, 3), tree.len(), "it came {late} ms after the first");
        fine(&mut world);
    }
}

#[test]
fn a_damaged_copy_is_mended_as_soon_as_another_can_be_read() {
    let mut world = pool(32, 2);
    put(&mut world, 0, "a/file", 2_000);
    let tree = blocks(&mut world, 0);
    tree.iter().for_each(|block| world.damage(0, *block));
    world.set_disk_fails(1, 0, true);
    assert!(!readable(&mut world, 0, "a/file"), "no copy can be read");

    world.set_disk_fails(1, 0, false);
    world.run(90);

    assert!(tree.iter().any(|block| world.machines[0].store.holds(*block)));
    assert!(readable(&mut world, 0, "a/file"));
    fine(&mut world);
}

#[test]
fn what_a_failing_disk_could_not_hand_over_is_handed_over_once_it_works() {
    let mut world = pool(33, 3);
    put(&mut world, 0, "a/file", 5_000);
    let tree = blocks(&mut world, 0);
    world.crash(2);
    world.wipe_disks(2);
    world.lose(1);
    world.set_disk_fails(0, 0, true);
    world.restart(2);
    world.run(30);
    assert!(tree.iter().all(|block| !world.machines[2].store.holds(*block)));

    world.set_disk_fails(0, 0, false);
    world.run(30);

    assert!(tree.iter().all(|block| world.machines[2].store.holds(*block)));
    fine(&mut world);
}
