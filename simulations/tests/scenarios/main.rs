//! Incidents, one test each.

use std::collections::BTreeSet;

use fsdfs_core::report::Survey;
use fsdfs_core::seam::{EditReply, PutOutcome};
use fsdfs_core::tree::{Path, ShownKind};
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::IDS_MAX;
use simulations::World;
use simulations::clock::Clock;
use simulations::queue::{MS, S};
use simulations::task::{End, Wish};
use simulations::trace::Trace;
use simulations::world::{MachineId, SMALL};

fn path(text: &str) -> Path {
    text.split('/').filter(|name| !name.is_empty()).map(|name| name.as_bytes().to_vec().into()).collect()
}

fn pool(seed: u64, nodes: usize) -> World {
    let mut world = World::calm(seed, nodes);
    (0..nodes).for_each(|id| world.restart(id));
    world.run(10);
    world
}

fn put(world: &mut World, at: MachineId, file: &str, bytes: usize) -> PutOutcome {
    match world.wait(at, Wish::Put { path: path(file), bytes }) {
        End::Edited(EditReply { outcome, edits }) => {
            assert!(edits.iter().all(Result::is_ok), "{file} was not put: {edits:?}");
            outcome
        }
        other => panic!("{file} was not put: {other:?}"),
    }
}

fn edit(world: &mut World, at: MachineId, wish: &Wish) {
    match world.wait(at, wish.clone()) {
        End::Edited(EditReply { outcome: PutOutcome::Stored(_) | PutOutcome::Degraded(_), edits }) => {
            assert!(edits.iter().all(Result::is_ok), "{wish:?} failed: {edits:?}");
        }
        other => panic!("{wish:?} failed: {other:?}"),
    }
}

fn copies(outcome: &PutOutcome) -> usize {
    match outcome {
        PutOutcome::Stored(copies) | PutOutcome::Degraded(copies) => copies.servers.len(),
        PutOutcome::Refused(refusal) => panic!("refused: {refusal}"),
    }
}

fn readable(world: &mut World, at: MachineId, file: &str) -> bool {
    let end = world.wait(at, Wish::Read { path: path(file) });
    println!("{file} on node {at}: {end:?}");
    matches!(end, End::Read(_))
}

/// Names in a folder, folders with a slash behind them.
fn list(world: &mut World, at: MachineId, folder: &str) -> Vec<String> {
    let End::Listed(entries) = world.wait(at, Wish::List { path: path(folder) }) else {
        panic!("{folder} is not listed")
    };
    let name = |entry: &fsdfs_core::tree::Shown| String::from_utf8_lossy(&entry.name).into_owned();
    let mark = |kind: &ShownKind| if matches!(kind, ShownKind::Dir { .. }) { "/" } else { "" };
    entries.iter().map(|entry| name(entry) + mark(&entry.kind)).collect()
}

/// Blocks of the tree, with all files, that stands on a machine.
fn blocks(world: &World, at: MachineId) -> BTreeSet<BlockId> {
    let facts = world.machines[at].process.as_ref().expect("it runs").engine.facts();
    let heads = facts.heads(world.pool.volume());
    heads
        .iter()
        .flat_map(|head| world.checks.history.tree_of(simulations::history::commit_of(head)).into_keys())
        .collect()
}

fn fine(world: &mut World) {
    world.freeze_faults();
    world.must_converge();
    assert_eq!(world.checks.violations, []);
}

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

    let tree = blocks(&world, 0);
    assert!(tree.len() > 20, "a deep tree from little data");
    assert!(tree.iter().all(|block| world.holders(*block).len() == 3));
    world.lose(0);
    assert!(readable(&mut world, 2, "holiday/film"));
    assert_eq!(world.checks.violations, []);
}

#[test]
fn a_survey_lists_every_block_and_names_who_does_not_answer() {
    let mut world = pool(40, 4);
    put(&mut world, 0, "film", 900_000);
    world.run(30);
    let survey = |world: &mut World| match world.wait(3, Wish::Survey) {
        End::Surveyed(survey) => *survey,
        other => panic!("no survey: {other:?}"),
    };
    let lists = |world: &World, survey: &Survey, id: MachineId| {
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
    let margin = |world: &mut World, id: MachineId| match world.wait(id, Wish::Status) {
        End::Status(status) => status.margin,
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

    // A fourth is wanted for some blocks; whoever held them before has a copy to spare.
    let friend = world.add_calm_machine();
    world.restart(friend);
    world.run(60);
    assert_eq!(margin(&mut world, 0), Some((0, 1)));
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

    assert!(blocks(&world, 0).iter().all(|block| world.machines[1].store.holds(*block)));
    fine(&mut world);
}

#[test]
fn one_of_three_is_killed_during_puts_and_they_end_within_ten_seconds() {
    let mut world = pool(3, 3);
    let puts: Vec<_> =
        (0..20).map(|nr| world.begin(0, Wish::Put { path: path(&format!("d/f{nr}")), bytes: 5_000 })).collect();
    world.run_until(world.at + 30 * MS);
    world.crash(1);
    let killed = world.at;
    for put in puts {
        let end = world.finish(put);
        assert!(matches!(&end, End::Edited(reply) if !matches!(reply.outcome, PutOutcome::Refused(_))), "{end:?}");
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

/// Both sides of a cut pool change the same folder; afterwards all list the same.
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
    let lacking = blocks(&world, 0).iter().filter(|block| !world.machines[2].store.holds(**block)).count();
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
    let lacks =
        |id: MachineId| blocks(&world, 0).iter().filter(|block| !world.machines[id].store.holds(**block)).count();
    assert_eq!((lacks(1), lacks(2)), (0, 0), "blocks are not on the mended disks");
}

fn cut_off(seed: u64, left: impl Fn(&mut World), right: impl Fn(&mut World)) -> World {
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
        |world| edit(world, 0, &Wish::Remove { path: path("d") }),
        |world| drop(put(world, 1, "d/both", 300)),
    );
    assert_eq!(list(&mut world, 0, "d"), ["both"]);
}

#[test]
fn a_folder_moved_on_one_side_and_edited_inside_on_the_other_loses_nothing() {
    let mut world = cut_off(
        7,
        |world| edit(world, 0, &Wish::Move { from: path("d"), to: path("e") }),
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
    world.wait(1, Wish::Put { path: path("c"), bytes: 300 });
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
    world.wait(1, Wish::Put { path: path("c"), bytes: 50 });
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
    world.wait(at, Wish::List { path: path("") });
    assert!(world.tasks.maybe_stale, "it hears none of the holders of heads");
    fine(&mut world);
}

fn standing(world: &World, at: MachineId) -> Vec<BlockId> {
    let facts = world.machines[at].process.as_ref().expect("it runs").engine.facts();
    facts.heads(world.pool.volume()).iter().map(simulations::history::commit_of).collect()
}

/// Three nodes; the last one is cut off and has written `d/new`, which nobody else has; then they meet again.
fn a_writer_comes_back(seed: u64) -> World {
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
    world.run_until(world.at + 100 * MS);
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

#[test]
fn a_silent_holder_gets_what_a_writer_without_copies_put_elsewhere() {
    let mut world = pool(18, 7);
    world.freeze(3);
    for nr in 0..12 {
        put(&mut world, nr % 3, &format!("f{nr}"), 3_000);
    }
    world.thaw(3);
    world.run(30);
    fine(&mut world);
    let since = world.at / S;
    assert!(since < 120, "it took until {since} s");
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
        assert_eq!(copies(&put(&mut world, nr % 3, &format!("after{nr}"), 3_000)), 3, "a stand-in takes its place");
    }
    fine(&mut world);
}

#[test]
fn two_live_boots_of_one_identity_stop_acknowledging() {
    let mut world = pool(14, 4);
    put(&mut world, 1, "a", 300);
    let twin = world.clone_machine(1, false);
    world.restart(twin);
    world.run(180);
    let refused = |end: &End| matches!(end, End::Edited(EditReply { outcome: PutOutcome::Refused(_), .. }));
    let ends = [1, twin].map(|at| world.wait(at, Wish::Put { path: path("b"), bytes: 50 }));
    assert!(ends.iter().all(refused), "{ends:?}");
    world.lose(twin);
    fine(&mut world);
}

#[test]
fn a_long_read_takes_the_uplinks_of_all_holders() {
    let mut world = World::empty(30, SMALL, Trace::default());
    let uplink = 25_000;
    for _ in 0..3 {
        let site = world.add_site(uplink, |_| 10);
        world.add_machine(site, &[256], Clock::new(0, 0));
    }
    // One of them is nearer than the others.
    let away = world.add_site(12_500_000, |other| [5, 8, 9][other]);
    let guest = world.add_machine(away, &[], Clock::new(0, 0));
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
        let tree = blocks(&world, 0);
        let friends = [world.add_calm_machine(), world.add_calm_machine()];
        world.restart(friends[0]);
        world.run_until(world.at + late * MS);
        world.restart(friends[1]);

        let copied = |world: &World, copies| tree.iter().filter(|id| world.holders(**id).len() >= copies).count();
        assert!(world.run_while(60, |world| copied(world, 3) == 0), "the other friend gets copies");
        let owes = |world: &World| world.machines[0].process.as_ref().expect("it runs").engine.owes_copies();
        assert!(world.run_while(60, owes), "top-up ends");
        assert_eq!(copied(&world, 3), tree.len(), "it came {late} ms after the first");
        fine(&mut world);
    }
}

#[test]
fn a_damaged_copy_is_mended_as_soon_as_another_can_be_read() {
    let mut world = pool(32, 2);
    put(&mut world, 0, "a/file", 2_000);
    let tree = blocks(&world, 0);
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
    let tree = blocks(&world, 0);
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
