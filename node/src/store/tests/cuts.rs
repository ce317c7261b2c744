//! Power cuts at every single operation.

use std::sync::Arc;

use fsdfs_core::seam::{ReadDone, WriteDone};
use fsdfs_proto::message::Claim;
use fsdfs_proto::record::log_entry;

use super::rig::{DAY, Rig, block, own};
use crate::store::fake::{Cut, FakeDisk};
use crate::store::job::Job;
use crate::store::log::LogFolder;

const R2: Claim = Claim::Replicas(2);
const R3: Claim = Claim::Replicas(3);

/// Starts, group commits, a block twice, several segments with their footers, renewals, the log and its compaction, a
/// clean stop and another start. Ends early when the power goes.
fn workload(rig: &mut Rig) {
    if rig.start().is_err() {
        return;
    }
    rig.log(&[own(1), own(2)]);
    rig.write(&[(block(1, 700), R2), (block(2, 3000), R2), (block(3, 50), R3)]);
    rig.write(&[(block(4, 2500), R2), (block(1, 700), R3)]);
    rig.log(&[own(3)]);
    rig.write(&[(block(5, 6000), R2), (block(6, 1000), R2), (block(7, 4000), R2)]);
    rig.now += DAY;
    let ids = [1, 5, 99].map(|number| block(number, if number == 1 { 700 } else { 6000 }).id());
    if rig.promised.blocks.contains_key(&ids[1]) {
        rig.renew(&ids, Claim::Replicas(4));
    }
    rig.write(&[(block(8, 9000), R2)]);
    if rig.medium.is_off() {
        return;
    }
    rig.appender().close();
    if rig.start().is_err() {
        return;
    }
    let keep = [own(2), own(3)];
    rig.promised.log.retain(|entry| keep.contains(entry));
    if rig.entries().len() == 3 {
        let _ = rig.home().compact(&keep);
        rig.commit(vec![Job::Compact(Arc::new(keep.to_vec()))]);
    }
    rig.log(&[own(4)]);
    rig.write(&[(block(9, 2000), R2), (block(3, 50), R3)]);
    rig.write(&[(block(10, 5000), R2)]);
}

fn operations() -> u64 {
    let mut rig = Rig::new();
    workload(&mut rig);
    assert_eq!(rig.promised.blocks.len(), 10);
    rig.start().unwrap();
    rig.check_started("without a cut");
    rig.medium.changes()
}

/// What was promised is there, and the disk works on.
fn check_after(rig: &mut Rig, cut: Cut, context: &str) {
    rig.medium.restart(cut);
    rig.start().unwrap_or_else(|error| panic!("{context}: {error}"));
    rig.check_started(context);
    assert_eq!(rig.write(&[(block(50, 3000), R2)]), [WriteDone::New], "{context}");
    assert!(rig.log(&[own(50)]), "{context}");
    rig.kill();
    rig.start().unwrap();
    rig.check_started(context);
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
    let operations = operations();
    assert!(operations > 60, "the workload shrank to {operations} operations");
    for at in 1..=operations {
        for cut in [Cut::Lose, Cut::Keep, Cut::Tear(at), Cut::Tear(at + 1000), Cut::Tear(at + 2000)] {
            let mut rig = Rig::new();
            rig.medium.cut_after(at);
            workload(&mut rig);
            rig.kill();
            check_after(&mut rig, cut, &format!("cut at {at}, {cut:?}"));
        }
    }
}

#[test]
fn a_second_cut_while_the_first_is_repaired_loses_nothing_either() {
    for at in (1..=operations()).step_by(3) {
        for again in 1..25 {
            let mut rig = Rig::new();
            rig.medium.cut_after(at);
            workload(&mut rig);
            rig.kill();
            rig.medium.restart(Cut::Tear(at));
            rig.medium.cut_after(again);
            let _ = rig.start();
            let recovered = !rig.medium.is_off();
            rig.kill();
            check_after(&mut rig, Cut::Tear(again), &format!("cut at {at}, then at {again}"));
            if recovered {
                break;
            }
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_acknowledged_and_needs_no_rebuild() {
    let mut rig = Rig::new();
    workload(&mut rig);
    let before = *rig.indexes.opened_fresh.lock().unwrap();
    rig.kill();
    rig.start().unwrap();
    rig.check_started("after a kill");
    assert_eq!(*rig.indexes.opened_fresh.lock().unwrap(), before);
}

#[test]
fn after_a_power_cut_the_index_is_not_trusted() {
    let mut rig = Rig::new();
    workload(&mut rig);
    let before = *rig.indexes.opened_fresh.lock().unwrap();
    rig.kill();
    rig.medium.restart(Cut::Keep);
    rig.start().unwrap();
    rig.check_started("after a cut");
    assert_eq!(*rig.indexes.opened_fresh.lock().unwrap(), before + 1);
}

#[test]
fn a_stopped_store_starts_from_its_index() {
    let mut rig = Rig::new();
    workload(&mut rig);
    let before = *rig.indexes.opened_fresh.lock().unwrap();
    rig.appender().close();
    rig.kill();
    rig.medium.restart(Cut::Lose);
    rig.start().unwrap();
    rig.check_started("after a clean stop");
    assert_eq!(*rig.indexes.opened_fresh.lock().unwrap(), before);
}

#[test]
fn a_group_shares_one_sync() {
    let mut rig = Rig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 10), R2)]);
    let before = rig.medium.changes();
    let blocks: Vec<_> = (10..40).map(|number| (block(number, 10), R2)).collect();
    rig.write(&blocks);
    assert_eq!(rig.medium.changes() - before, 2, "one write, one sync");
}

#[test]
fn what_is_here_is_renewed_not_stored_again() {
    let mut rig = Rig::new();
    rig.start().unwrap();
    let twice = block(1, 2000);
    assert_eq!(rig.write(&[(twice.clone(), R2), (twice.clone(), R2)]), [WriteDone::New, WriteDone::Already]);
    let before = rig.medium.changes();
    assert_eq!(rig.write(&[(twice.clone(), R2)]), [WriteDone::Already]);
    assert_eq!(rig.medium.changes(), before, "a fresh lease costs nothing");
    assert_eq!(rig.write(&[(twice.clone(), R3)]), [WriteDone::Already]);
    assert_eq!(rig.medium.changes(), before + 2, "a new claim is durable before it is acknowledged");
    rig.now += DAY;
    assert_eq!(rig.write(&[(twice.clone(), R2)]), [WriteDone::Already]);
    assert_eq!(rig.medium.changes(), before + 4, "an old lease is renewed");
    rig.kill();
    rig.medium.restart(Cut::Lose);
    rig.start().unwrap();
    rig.check_started("after renewals");
    let entry = rig.appender().disk.look_up(&twice.id()).unwrap().unwrap();
    assert_eq!((entry.renewed, entry.first_seen), (rig.now, rig.now - DAY));
    assert!(matches!(rig.read(&block(77, 1).id()), ReadDone::No));
}

#[test]
fn a_cut_while_the_log_is_compacted_loses_nothing_that_is_kept() {
    let open = |disk: &FakeDisk| LogFolder::open(Arc::new(disk.clone()), "/log".into());
    for at in 1..12 {
        for cut in [Cut::Lose, Cut::Keep, Cut::Tear(at), Cut::Tear(at + 100)] {
            let disk = FakeDisk::default();
            for seq in 1..4 {
                open(&disk).unwrap().0.append(&[own(seq)]).unwrap();
            }
            let (mut log, _) = open(&disk).unwrap();
            disk.cut_after(at);
            let kept = [own(2), own(3)];
            let compacted = log.compact(&kept).is_ok();
            drop(log);
            disk.restart(cut);
            let entries: Vec<_> = open(&disk).unwrap().1.iter().map(|payload| log_entry(payload)).collect();
            assert!(kept.iter().all(|entry| entries.contains(entry)), "cut at {at}, {cut:?}: {entries:?}");
            assert!(compacted || at < 11, "the compaction takes {at} operations and more");
        }
    }
}
