//! What if: changed maps, and what they would move.

use super::super::{DataMovement, MapChange, MapChangeError, PlacementRule, ServerFlow};
use super::*;

const BYTES: u64 = 1000;

fn view() -> ClusterMap {
    ClusterMap::new(uneven(6, 6, 9))
}

fn moves(before: &ClusterMap, after: &ClusterMap, copies: (u8, u8), count: u64) -> DataMovement {
    let blocks = (0..count).map(|number| (block(number), BYTES));
    DataMovement::between(
        PlacementRule { view: before, copies: copies.0 },
        PlacementRule { view: after, copies: copies.1 },
        blocks,
    )
}

/// What every plan owes: as much is sent as received and copied, and the holders of all blocks add up.
#[track_caller]
fn check_sums(moves: &DataMovement, count: u64, copies: (u64, u64)) {
    let sum = |part: fn(&ServerFlow) -> u64| moves.servers.values().map(part).sum::<u64>();
    assert_eq!(sum(|flow| flow.uploads), moves.copied);
    assert_eq!(sum(|flow| flow.receives), moves.copied);
    let held = copies.0 * count * BYTES + moves.copied;
    assert_eq!(
        held - sum(|flow| flow.frees),
        copies.1 * count * BYTES,
        "what stays and what comes is all that is wanted"
    );
}

#[test]
fn a_changed_map_is_the_map_with_the_change() {
    let view = view();
    let (first, disk) = (view.servers()[0].clone(), view.servers()[2].disks[0].id);
    let with = |change| view.with(change).expect("it fits");
    assert_eq!(with(MapChange::Join(server(777, 50))).servers().len(), 7);
    assert_eq!(with(MapChange::Leave(first.id)).server(first.id), None);
    assert_eq!(with(MapChange::FailSite(first.site.clone())).servers(), &view.servers()[1..]);
    assert_eq!(with(MapChange::Drain(first.id)).server(first.id).expect("it stays").disks[0].weight, 0);
    assert_eq!(with(MapChange::Weigh(disk, 7)).servers()[2].disks[0].weight, 7);
    assert_eq!(with(MapChange::Mount(first.id, super::disk(9, 9, 5))).servers()[0].disks.len(), 2);
    let back = with(MapChange::Leave(first.id)).with(MapChange::Join(first)).expect("it fits");
    assert_eq!(back, view, "what left and came back is as if nothing had been");
}

#[test]
fn a_change_that_does_not_fit_is_refused() {
    let view = view();
    let (here, nobody) = (view.servers()[0].clone(), node(4711));
    let unfit = |change| view.with(change).expect_err("it does not fit");
    assert_eq!(unfit(MapChange::Join(here.clone())), MapChangeError::ServerTwice(here.id));
    let thief = MapServer { id: nobody, ..here.clone() };
    assert_eq!(unfit(MapChange::Join(thief)), MapChangeError::DiskTwice(here.disks[0].id));
    assert_eq!(unfit(MapChange::Mount(here.id, here.disks[0])), MapChangeError::DiskTwice(here.disks[0].id));
    assert_eq!(unfit(MapChange::Mount(nobody, disk(9, 9, 5))), MapChangeError::NoServer(nobody));
    assert_eq!(unfit(MapChange::Leave(nobody)), MapChangeError::NoServer(nobody));
    assert_eq!(unfit(MapChange::Drain(nobody)), MapChangeError::NoServer(nobody));
    assert_eq!(unfit(MapChange::FailSite("the moon".into())), MapChangeError::NoSite("the moon".into()));
    assert_eq!(unfit(MapChange::Weigh(DiskId([0; 16]), 1)), MapChangeError::NoDisk(DiskId([0; 16])));
}

#[test]
fn an_imagined_server_has_ids_of_its_own() {
    let (anna, bob) = (MapServer::imagined("anna", "a", 5), MapServer::imagined("bob", "a", 5));
    assert_eq!(anna, MapServer::imagined("anna", "a", 5));
    assert_ne!(anna.id, bob.id);
    assert_ne!(anna.disks[0].id, bob.disks[0].id);
}

#[test]
fn nothing_changed_moves_nothing() {
    assert_eq!(moves(&view(), &view(), (3, 3), 50), DataMovement::default());
}

#[test]
fn a_newcomer_gets_its_share_and_sends_nothing() {
    let before = view();
    let after = before.with(MapChange::Join(server(777, 600))).expect("it fits");
    let moves = moves(&before, &after, (3, 3), 2000);
    check_sums(&moves, 2000, (3, 3));
    let newcomer = moves.servers[&node(777)];
    assert_eq!((newcomer.uploads, newcomer.frees, moves.lost), (0, 0, 0));
    let share = expected(&after, 3)[&node(777)] * 2000.0 * BYTES as f64;
    assert!((newcomer.receives as f64 / share - 1.0).abs() < 0.05, "{newcomer:?}, expected {share}");
}

#[test]
fn a_drained_server_hands_over_and_a_lost_one_does_not() {
    let before = view();
    let gone = before.servers()[1].id;
    let drained = moves(&before, &before.with(MapChange::Drain(gone)).expect("it fits"), (3, 3), 500);
    let lost = moves(&before, &before.with(MapChange::Leave(gone)).expect("it fits"), (3, 3), 500);
    check_sums(&drained, 500, (3, 3));
    check_sums(&lost, 500, (3, 3));
    assert_eq!(drained.copied, lost.copied);
    assert!(drained.servers[&gone].uploads > 0);
    assert_eq!(lost.servers[&gone].uploads, 0);
    assert_eq!(drained.servers[&gone].frees, lost.servers[&gone].frees);
}

#[test]
fn more_copies_are_copied_and_fewer_dropped() {
    let view = view();
    let more = moves(&view, &view, (2, 4), 300);
    check_sums(&more, 300, (2, 4));
    let fewer = moves(&view, &view, (4, 2), 300);
    check_sums(&fewer, 300, (4, 2));
    assert!(more.copied >= 2 * 300 * BYTES);
}

#[test]
fn another_disk_takes_its_part_of_its_own_server() {
    let before = view();
    let host = before.servers()[0].clone();
    let after = before.with(MapChange::Mount(host.id, disk(9, 9, host.disks[0].weight))).expect("it fits");
    let flow = moves(&before, &after, (3, 3), 500).servers[&host.id];
    assert!(flow.shifts > 0, "{flow:?}");
}

#[test]
fn a_site_that_fails_takes_the_last_copy_with_it() {
    let before = ClusterMap::new(vec![server(1, 100), server(2, 100)]);
    let after = before.with(MapChange::Leave(node(2))).expect("it fits");
    let moves = moves(&before, &after, (1, 1), 200);
    let kept = 200 * BYTES - moves.lost;
    assert!(moves.lost > 0 && kept > 0 && moves.copied == 0, "{moves:?}");
}
