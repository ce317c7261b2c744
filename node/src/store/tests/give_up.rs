//! Copies that are deleted, and segments in which nothing is left.

use std::sync::Arc;

use fsdfs_core::seam::{ReadDone, WriteDone};
use fsdfs_proto::block::Block;
use fsdfs_proto::message::Redundancy;

use super::cuts::{check_and_go_on, cut_at, cut_everywhere, operations};
use super::rig::{DAY, StoreRig, block};
use crate::store::disk::job::DiskJob;
use crate::store::error::StoreNotice;
use crate::store::fs::fake_fs::PowerCut;

const R2: Redundancy = Redundancy::Replicas(2);

/// Two of these fill a segment.
fn half(number: u64) -> Block {
    block(number, 3000)
}

fn write(rig: &mut StoreRig, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        rig.write(&[(half(number), R2)]);
    }
}

fn delete(rig: &mut StoreRig, numbers: &[u64]) -> bool {
    rig.delete(&numbers.iter().map(|number| half(*number).id()).collect::<Vec<_>>())
}

fn started() -> StoreRig {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig
}

/// As if its index were lost.
fn rebuild(rig: &mut StoreRig) {
    rig.appender().recover(Some("it failed".into()));
    rig.check_started("after a rebuild");
}

#[test]
fn the_segment_in_which_nothing_is_left_goes_and_its_bytes_are_free() {
    let mut rig = started();
    write(&mut rig, 1..=8);
    let (before, first) = (rig.segments(), rig.appender().disk.usage());
    assert!(delete(&mut rig, &[3]));
    assert_eq!(rig.segments(), before, "something is left in it");
    assert!(delete(&mut rig, &[4]));
    assert_eq!(rig.segments(), before.iter().copied().filter(|number| *number != 2).collect::<Vec<_>>());
    let usage = rig.appender().disk.usage();
    assert!(first.used() - usage.used() > 5_000 && first.live - usage.live > 6_000, "{first:?} {usage:?}");
    let given_up = |notice: &StoreNotice| matches!(notice, StoreNotice::SegmentFreed { segment: 2, .. });
    assert!(rig.notices.lock().unwrap().iter().any(given_up));
    rig.check("at once");
    rebuild(&mut rig);
    rig.kill();
    rig.start().unwrap();
    rig.check_started("after a restart");
    assert_eq!(rig.write(&[(half(3), R2)]), [WriteDone::New], "it may come again");
    rebuild(&mut rig);
}

#[test]
fn all_are_deleted_as_they_were_or_none() {
    let mut rig = started();
    write(&mut rig, 1..=3);
    let sequence = |rig: &mut StoreRig, number| {
        rig.appender().disk.look_up(&half(number).id()).unwrap().map(|entry| (half(number).id(), entry.sequence))
    };
    let seen: Vec<_> = [1, 2].into_iter().filter_map(|number| sequence(&mut rig, number)).collect();
    rig.now += DAY;
    rig.renew(&[half(2).id()], R2);
    assert!(!rig.delete_if(seen), "somebody asked for one of them since");
    rig.check("nothing is deleted");
    let condemned = sequence(&mut rig, 3).map(|(id, sequence)| (id, sequence + 1));
    assert!(!rig.delete_if(condemned.into_iter().collect()));
    assert!(!rig.delete_if(vec![(half(99).id(), 1)]), "it was never here");
    rig.check("nothing is deleted");
}

#[test]
fn what_was_deleted_does_not_come_back_from_an_older_segment() {
    let mut rig = started();
    write(&mut rig, 1..=4);
    // Its copy stays in the first segment, beside one that is kept; that it is deleted is said in a later one.
    assert!(delete(&mut rig, &[1]));
    write(&mut rig, 5..=10);
    assert!(delete(&mut rig, &[3, 4]));
    let told_in = rig.segments();
    assert!(delete(&mut rig, &[5, 6, 7, 8]));
    assert!(rig.segments().len() < told_in.len() && rig.segments().contains(&1), "{:?}", rig.segments());
    rebuild(&mut rig);
    assert_eq!(rig.read(&half(1).id()), ReadDone::No);
    assert!(delete(&mut rig, &[2]));
    assert!(!rig.segments().contains(&1));
    rebuild(&mut rig);
}

#[test]
fn a_segment_with_the_last_word_about_a_block_stays() {
    let mut rig = started();
    write(&mut rig, 1..=3);
    rig.now += DAY;
    rig.renew(&[half(1).id()], Redundancy::Replicas(5));
    write(&mut rig, 4..=8);
    let with_renewal = 2;
    assert!(delete(&mut rig, &[3, 4]));
    assert!(rig.segments().contains(&with_renewal), "{:?}", rig.segments());
    rebuild(&mut rig);
    rig.now += DAY;
    rig.renew(&[half(1).id()], Redundancy::Replicas(6));
    rig.commit(vec![DiskJob::GiveUp(with_renewal)]);
    assert!(!rig.segments().contains(&with_renewal), "a later one says it once more");
    rebuild(&mut rig);
}

#[test]
fn a_damaged_copy_keeps_its_segment_until_it_is_replaced() {
    let mut rig = started();
    write(&mut rig, 1..=6);
    let entry = rig.appender().disk.look_up(&half(1).id()).unwrap().unwrap();
    let (segment, offset) = (entry.segment, entry.offset);
    rig.promised.blocks.remove(&half(1).id());
    rig.promised.renewed.remove(&half(1).id());
    rig.commit(vec![DiskJob::Quarantine { id: half(1).id(), segment, offset }]);
    assert!(delete(&mut rig, &[2]));
    assert!(rig.segments().contains(&1));
    rig.commit(vec![DiskJob::GiveUp(1)]);
    assert!(rig.segments().contains(&1));
    rig.write(&[(half(1), R2)]);
    assert!(!rig.segments().contains(&1), "{:?}", rig.segments());
    rebuild(&mut rig);
}

/// Segments go from the front, from the middle, with deletions in them, and blocks come again. Ends early when the power goes.
fn workload(rig: &mut StoreRig) {
    if rig.start().is_err() {
        return;
    }
    write(rig, 1..=8);
    delete(rig, &[3, 4]);
    delete(rig, &[1]);
    write(rig, [3, 9]);
    delete(rig, &[5, 6]);
    delete(rig, &[2]);
    if rig.file_system.is_off() {
        return;
    }
    rig.appender().recover(Some("it failed".into()));
    delete(rig, &[7, 8]);
    write(rig, 10..=12);
    delete(rig, &[3, 9]);
    write(rig, [1, 7]);
    delete(rig, &[10, 11, 1]);
    write(rig, 13..=14);
}

#[test]
fn a_power_cut_at_any_operation_brings_nothing_back_and_loses_nothing() {
    let operations = operations(workload, 4);
    assert!(operations > 60, "the workload shrank to {operations} operations");
    cut_everywhere("the emptying workload", workload, operations, 509);
}

#[test]
fn a_kill_at_any_operation_brings_nothing_back_even_if_the_index_lags() {
    let operations = operations(workload, 4);
    for at in 1..=operations {
        let rig = cut_at(at, workload);
        for lag in [0, 1, 3, 100] {
            let context = format!("killed at {at}, the index {lag} changes behind");
            let mut killed = rig.fork();
            killed.indexes = Arc::new(rig.indexes.rewound(lag));
            killed.file_system.power_without_loss();
            check_and_go_on(&mut killed, &context);
            killed.kill();
            killed.file_system.restart(PowerCut::Lose);
            killed.start().unwrap_or_else(|error| panic!("{context}, then cut: {error}"));
            killed.check_started(&format!("{context}, then cut"));
        }
    }
}
