//! One commit after the other, also where blocks, clocks, keys or addresses are not as they should be.

use std::collections::BTreeSet;

use fsdfs_core::seam::{EditReply, PutOutcome};
use fsdfs_proto::ids::BlockId;
use simulations::Simulation;
use simulations::users::{OperationEnd, UserOperation};

use crate::{blocks, copies, fine, list, path, pool, put, readable};

/// Three nodes with folders `a`, `b` and `c`, of which the blocks that only `a` and `b` need are damaged everywhere.
fn two_damaged_folders(seed: u64) -> Simulation {
    let mut world = pool(seed, 3);
    let mut trees: Vec<BTreeSet<BlockId>> = Vec::new();
    for file in ["c/old", "a/old", "b/old", "last"] {
        put(&mut world, 0, file, 40);
        trees.push(blocks(&mut world, 0));
    }
    let [c, a, b, last] = &trees[..] else { unreachable!("four puts") };
    let damaged: Vec<BlockId> =
        a.difference(c).chain(b.difference(a)).filter(|id| last.contains(id)).copied().collect();
    assert!(damaged.len() >= 2, "folders have blocks of their own: {damaged:?}");
    // What it keeps in memory is not damaged.
    world.crash(0);
    world.restart(0);
    world.run(10);
    for block in damaged {
        (0..3).for_each(|id| world.damage(id, block));
    }
    world
}

/// The other block's fetch ended while the next commit ran, and refused that one: what it had begun was taken for the third's.
#[test]
fn what_one_commit_could_not_fetch_refuses_no_other() {
    for seed in 60..80 {
        let mut world = two_damaged_folders(seed);
        let mut begin = |file| world.begin(0, UserOperation::Put { path: path(file), bytes: 40 });
        let before = begin("c/0");
        // They wait for the same commit, the one after that.
        let lost = ["a/new", "b/new"].map(begin);
        world.finish(before);
        world.run_ms(40);
        let fine = ["c/1", "c/2", "c/3"].map(|file| {
            world.run_ms(3);
            world.begin(0, UserOperation::Put { path: path(file), bytes: 40 })
        });
        for put in lost {
            let end = world.finish(put);
            assert!(matches!(&end, OperationEnd::Edited(EditReply { outcome: PutOutcome::Refused(_), .. })), "{end:?}");
        }
        for put in fine {
            let end = world.finish(put);
            assert!(
                matches!(&end, OperationEnd::Edited(EditReply { outcome: PutOutcome::Stored(_), .. })),
                "seed {seed}: {end:?}"
            );
        }
    }
}

/// Sixty chains of eleven folders, put at once, are a commit of some seven hundred blocks. All on their way at the same time
/// closed the connections, and the tree stayed on one server.
#[test]
fn many_deep_paths_at_once_are_stored_on_all_holders() {
    let mut world = pool(84, 3);
    let deep = |number: usize| path(&format!("b{number}/x/x/x/x/x/x/x/x/x/x/f"));
    let puts: Vec<_> =
        (0..60).map(|number| world.begin(0, UserOperation::Put { path: deep(number), bytes: 40 })).collect();
    for put in puts {
        let end = world.finish(put);
        let OperationEnd::Edited(EditReply { outcome, .. }) = &end else { panic!("{end:?}") };
        assert_eq!(copies(outcome), 3);
    }
    assert_eq!(list(&mut world, 2, "").len(), 60);
    fine(&mut world);
}

#[test]
fn one_clock_that_is_behind_stops_nobody_else() {
    let mut world = pool(81, 3);
    world.jump_clock(2, -3_600_000);
    world.run(30);
    assert_eq!(copies(&put(&mut world, 0, "a", 40)), 3);
    assert_eq!(copies(&put(&mut world, 1, "b", 40)), 3);
    world.jump_clock(2, 3_600_000);
    fine(&mut world);
}

/// It was asked once a connection; an answer that came late, or was wrong, left the node without the key.
#[test]
fn a_newcomer_whose_first_peer_was_frozen_gets_the_key() {
    for after in [1, 5, 20, 100, 300] {
        let mut world = pool(82, 1);
        put(&mut world, 0, "file", 40);
        let friend = world.add_calm_machine();
        world.restart(friend);
        world.run_ms(after);
        world.freeze(0);
        world.run(8);
        world.thaw(0);
        world.run(30);
        assert!(readable(&mut world, friend, "file"), "frozen {after} ms after its start");
    }
}

#[test]
fn new_addresses_are_told() {
    let mut world = pool(83, 3);
    let addrs = vec!["203.0.113.7:4433".to_owned()];
    world.readdress(1, addrs.clone());
    world.run(5);
    let seen = |at: usize| {
        let facts = world.machines[at].process.as_ref().expect("it runs").engine.facts();
        let card = facts.members().get(&world.machines[1].node).and_then(|member| member.card.as_ref());
        card.map(|card| card.value().addrs.clone())
    };
    assert_eq!((seen(0), seen(2)), (Some(addrs.clone()), Some(addrs)));
}
