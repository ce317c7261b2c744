//! Copies: made, counted, lost and made again.

use std::collections::BTreeSet;

use fsdfs_core::report::Inventory;
use fsdfs_core::seam::PutOutcome;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::IDS_MAX;
use simulations::World;
use simulations::users::{OperationEnd, UserOperation};
use simulations::world::MachineId;
use simulations::world::queue::{MS, S};

use crate::{blocks, copies, fine, path, pool, put, readable};

#[test]
fn what_is_put_on_one_node_gets_its_copies_when_friends_join() {
    let mut world = pool(1, 1);
    let outcome = put(&mut world, 0, "holiday/film", 20_000);
    assert!(matches!(outcome, PutOutcome::Degraded(_)) && copies(&outcome) == 1);

    for _ in 0..2 {
        let friend = world.add_calm_machine();
        world.restart(friend);
    }
    world.run(60);

    let tree = blocks(&mut world, 0);
    assert!(tree.len() > 20, "a deep tree from little data");
    assert!(tree.iter().all(|block| world.holders(*block).len() == 3));
    world.lose(0);
    assert!(readable(&mut world, 2, "holiday/film"));
    assert_eq!(world.violations(), []);
}

#[test]
fn a_survey_lists_every_block_and_names_who_does_not_answer() {
    let mut world = pool(40, 4);
    put(&mut world, 0, "film", 900_000);
    world.run(30);
    let survey = |world: &mut World| match world.wait(3, UserOperation::Inventory) {
        OperationEnd::Inventoried(survey) => *survey,
        other => panic!("no survey: {other:?}"),
    };
    let lists = |world: &World, survey: &Inventory, id: MachineId| {
        let machine = &world.machines[id];
        let holding = survey.holdings.iter().find(|holding| holding.node == machine.node).expect("it answered");
        let ids: BTreeSet<BlockId> = holding.blocks.iter().map(|held| held.id).collect();
        assert!(holding.all && ids.len() > IDS_MAX, "more than one page: {}", ids.len());
        assert_eq!(ids, machine.store.ids().collect());
    };
    let all = survey(&mut world);
    assert_eq!((all.silent.len(), all.view.servers().len()), (0, 4));
    (0..4).for_each(|id| lists(&world, &all, id));

    world.crash(1);
    let before = world.at;
    let without = survey(&mut world);
    assert_eq!(without.silent, [world.machines[1].node]);
    assert!(world.at - before < 6 * S, "an end is promised");
    [0, 2, 3].into_iter().for_each(|id| lists(&world, &without, id));
    world.restart(1);
    fine(&mut world);
}

#[test]
fn the_status_tells_how_many_copies_there_are_beside_those_wanted() {
    let mut world = pool(41, 1);
    let margin = |world: &mut World, id: MachineId| match world.wait(id, UserOperation::Status) {
        OperationEnd::Status(status) => status.replication_margin,
        other => panic!("no status: {other:?}"),
    };
    put(&mut world, 0, "holiday/film", 20_000);
    assert_eq!(margin(&mut world, 0), Some((-2, -2)));

    for _ in 0..2 {
        let friend = world.add_calm_machine();
        world.restart(friend);
    }
    world.run(60);
    assert_eq!(margin(&mut world, 0), Some((0, 0)));

    // A fourth is wanted for some blocks. What others have to spare is not counted.
    let friend = world.add_calm_machine();
    world.restart(friend);
    world.run(60);
    assert_eq!(margin(&mut world, 0), Some((0, 0)));
    fine(&mut world);
}

#[test]
fn a_node_that_lost_its_disks_gets_its_blocks_back() {
    let mut world = pool(2, 3);
    put(&mut world, 0, "a/file", 20_000);

    world.crash(1);
    world.wipe_disks(1);
    world.restart(1);
    world.run(60);

    let tree = blocks(&mut world, 0);
    assert!(tree.iter().all(|block| world.machines[1].store.holds(*block)));
    fine(&mut world);
}

#[test]
fn one_of_three_is_killed_during_puts_and_they_end_within_ten_seconds() {
    let mut world = pool(3, 3);
    let puts: Vec<_> = (0..20)
        .map(|nr| world.begin(0, UserOperation::Put { path: path(&format!("d/f{nr}")), bytes: 5_000 }))
        .collect();
    world.run_ms(30);
    world.crash(1);
    let killed = world.at;
    for put in puts {
        let end = world.finish(put);
        assert!(
            matches!(&end, OperationEnd::Edited(reply) if !matches!(reply.outcome, PutOutcome::Refused(_))),
            "{end:?}"
        );
    }
    assert!(world.at - killed < 10 * S, "it took {} ms", (world.at - killed) / MS);

    for nr in 0..20 {
        assert!(readable(&mut world, 2, &format!("d/f{nr}")));
    }
    world.crash(0);
    world.run(40);
    for nr in 0..20 {
        assert!(readable(&mut world, 2, &format!("d/f{nr}")), "the last copy needs no quorum");
    }
    fine(&mut world);
}

#[test]
fn a_frozen_holder_delays_no_put_by_more_than_three_seconds() {
    let mut world = pool(4, 4);
    for nr in 0..10 {
        world.freeze(1 + nr % 3);
        let begun = world.at;
        put(&mut world, 0, &format!("f{nr}"), 5_000);
        assert!(world.at - begun < 3 * S, "put {nr} took {} ms", (world.at - begun) / MS);
        world.thaw(1 + nr % 3);
        world.run(5);
    }
    fine(&mut world);
}

#[test]
fn a_thawed_holder_gets_what_it_missed_though_only_the_writer_knows() {
    let mut world = pool(21, 3);
    world.freeze(2);
    for nr in 0..30 {
        put(&mut world, 0, &format!("missed{nr}"), 5000);
    }
    // Its links never broke, so nobody but the writer, who is not the best-placed holder of them all, noticed anything.
    world.thaw(2);
    world.run(40);
    let tree = blocks(&mut world, 0);
    let lacking = tree.iter().filter(|block| !world.machines[2].store.holds(**block)).count();
    assert_eq!(lacking, 0, "blocks are not on the thawed holder");
}

/// Every put that a failing disk did not take made the pause before a repeated walk longer, up to an hour.
#[test]
fn puts_that_failing_disks_refused_do_not_put_off_their_copies() {
    let mut world = pool(23, 3);
    (1..3).for_each(|id| world.set_disk_fails(id, 0, true));
    put(&mut world, 0, "refused", 5000);
    for id in 1..3 {
        world.crash(id);
        world.set_disk_fails(id, 0, false);
        // When it is back it cannot say at first what it has, so the first walk is not the last.
        world.delete_index(id, 5 * S);
        world.restart(id);
    }
    world.run(60);
    let tree = blocks(&mut world, 0);
    let lacks = |id: MachineId| tree.iter().filter(|block| !world.machines[id].store.holds(**block)).count();
    assert_eq!((lacks(1), lacks(2)), (0, 0), "blocks are not on the mended disks");
}

#[test]
fn a_calm_pool_renews_no_lease_and_a_new_copy_keeps_the_old_one() {
    let mut world = pool(44, 5);
    put(&mut world, 0, "holiday/film", 20_000);
    world.run(120);
    let leases = |world: &World| -> (u64, u64) {
        let stores = || world.machines.iter().map(|machine| &machine.store);
        let records = stores().flat_map(|store| &store.disks).flat_map(|disk| disk.records.values());
        let newest = records.map(|record| record.info.renewed).max().expect("there are blocks");
        (stores().map(|store| store.leases_renewed).sum(), newest)
    };
    let (renewed, newest) = leases(&world);

    // Every node scans all it has three times, and one gets all of it again.
    world.run(3 * 3_600);
    assert_eq!(leases(&world), (renewed, newest), "renewals written by repair: 0");
    world.crash(1);
    world.wipe_disks(1);
    world.restart(1);
    world.run(3_600);
    let tree = blocks(&mut world, 0);
    assert!(tree.iter().all(|block| world.holders(*block).len() >= 3), "its copies were made again");
    let after = leases(&world);
    assert_eq!(after.0, renewed, "renewals written by repair: 0");
    // A lease travels as an age, so it may get a little younger on the way.
    assert!(after.1 < newest + 10_000, "{} ms younger", after.1 - newest);
    fine(&mut world);
}

#[test]
fn the_status_tells_at_any_moment_who_put_what_lies_on_a_node() {
    let mut world = pool(45, 4);
    let on_disk = |world: &World, id: MachineId| -> u64 {
        let disks = world.machines[id].store.disks.iter();
        disks.flat_map(|disk| disk.records.values()).map(|record| u64::from(record.info.len)).sum()
    };
    let told = |world: &mut World, id: MachineId| -> u64 {
        match world.wait(id, UserOperation::Status) {
            OperationEnd::Status(status) => status.charged.iter().map(|(_, bytes)| bytes).sum(),
            other => panic!("no status: {other:?}"),
        }
    };
    world.run(60);
    for file in 0..5 {
        put(&mut world, file % 4, &format!("films/{file}"), 20_000);
        // Long before the next scan.
        world.run(2);
        for id in 0..4 {
            assert_eq!(told(&mut world, id), on_disk(&world, id), "node {id} after {file}");
        }
    }
    fine(&mut world);
}
