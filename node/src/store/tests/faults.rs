//! Disks that fill up or fail at every single operation.

use std::path::PathBuf;
use std::sync::Arc;

use fsdfs_core::seam::{ReadDone, WriteDone};
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::record::log_entry;

use super::cuts::workload;
use super::rig::{DAY, StoreRig, block, own};
use crate::store::disk::handle::DiskHealth;
use crate::store::disk::job::DiskJob;
use crate::store::error::StoreNotice;
use crate::store::fs::fake_fs::{DiskFault, EIO, ENOSPC, PowerCut};
use crate::store::log::LogFolder;
use crate::store::segment;

const R2: Redundancy = Redundancy::Replicas(2);
const ENOMEM: i32 = 12;
const EMFILE: i32 = 24;

pub(super) fn fault(at: u64, error: i32, lasting: bool, reads: bool) -> Option<DiskFault> {
    Some(DiskFault { reads, at, lasting, below: PathBuf::from("/"), error })
}

fn steps(rig: &mut StoreRig) -> Vec<WriteDone> {
    let mut done = Vec::new();
    for round in 0..6 {
        done.extend(rig.write(&[(block(round * 10, 900), R2), (block(round * 10 + 1, 2500), R2)]));
        rig.log(&[own(round)]);
    }
    done
}

pub(super) fn after_every_fault(error: i32, lasting: bool, check: impl Fn(&mut StoreRig, &[WriteDone], &str)) {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    let before = rig.file_system.changes();
    steps(&mut rig);
    for at in 1..=rig.file_system.changes() - before {
        for cut in [PowerCut::Lose, PowerCut::Keep, PowerCut::Tear(at)] {
            let mut rig = StoreRig::new();
            rig.start().unwrap();
            rig.file_system.break_with(fault(at, error, lasting, false));
            let done = steps(&mut rig);
            let context = format!("fault {error} at {at}, lasting {lasting}, then {cut:?}");
            check(&mut rig, &done, &context);
            rig.file_system.break_with(None);
            rig.check(&context);
            assert_eq!(
                rig.file_system.retried(),
                Vec::<PathBuf>::new(),
                "{context}: written again after a failed sync"
            );
            rig.kill();
            rig.file_system.restart(cut);
            rig.start().unwrap();
            rig.check_started(&context);
        }
    }
}

/// The recorded workload of the power cuts, on a disk that fills up or fails at any operation of it, once or for good, and
/// is cut then.
#[test]
fn a_full_or_failing_disk_at_any_operation_loses_nothing_acknowledged() {
    let operations = {
        let mut rig = StoreRig::new();
        workload(&mut rig);
        rig.file_system.changes()
    };
    let (mut faults, mut records) = (0, 0);
    for at in 1..=operations {
        for (error, lasting) in
            [(ENOSPC, false), (ENOSPC, true), (EIO, false), (EIO, true), (EMFILE, false), (EMFILE, true)]
        {
            let mut rig = StoreRig::new();
            rig.file_system.break_with(fault(at, error, lasting, false));
            workload(&mut rig);
            let context = format!("fault {error} at {at}, lasting {lasting}");
            assert_eq!(
                rig.file_system.retried(),
                Vec::<PathBuf>::new(),
                "{context}: written again after a failed sync"
            );
            rig.kill();
            for cut in [PowerCut::Lose, PowerCut::Keep, PowerCut::Tear(at)] {
                let mut rig = rig.fork();
                rig.file_system.restart(cut);
                rig.start().unwrap_or_else(|error| panic!("{context}, then {cut:?}: {error}"));
                rig.check_started(&format!("{context}, then {cut:?}"));
                records += rig.promised.records();
            }
            faults += 1;
        }
    }
    println!("{operations} operations, {faults} faults, {records} acknowledged records verified, 0 lost");
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    after_every_fault(ENOSPC, false, |rig, done, context| {
        assert!(!done.contains(&WriteDone::Failed), "{context}: {done:?}");
        assert!(done.iter().filter(|done| **done == WriteDone::Full).count() <= 4, "{context}: {done:?}");
        assert_eq!(rig.appender().disk.health(), DiskHealth::Good, "{context}");
        assert_eq!(rig.write(&[(block(500, 900), R2)]), [WriteDone::New], "{context}");
    });
}

#[test]
fn a_disk_that_stays_full_refuses_everything() {
    after_every_fault(ENOSPC, true, |rig, _, context| {
        assert_eq!(rig.write(&[(block(500, 900), R2)]), [WriteDone::Full], "{context}");
        assert_eq!(rig.appender().disk.health(), DiskHealth::Good, "{context}");
    });
}

#[test]
fn a_failing_disk_takes_nothing_more_but_is_read() {
    after_every_fault(EIO, false, |rig, done, context| {
        let failing = rig.notices.lock().unwrap().iter().any(|notice| matches!(notice, StoreNotice::Failing { .. }));
        let home_only = done.iter().all(|done| *done == WriteDone::New);
        assert!(failing || home_only, "{context}: {done:?}");
        if failing {
            assert!(!rig.appender().disk.state().unwrap().takes_blocks(), "{context}");
            assert_eq!(rig.write(&[(block(500, 900), R2)]), [WriteDone::Failed], "{context}");
        }
    });
}

#[test]
fn a_dead_disk_fails_everything_without_a_panic() {
    after_every_fault(EIO, true, |rig, _, context| {
        let done = rig.write(&[(block(500, 900), R2)]);
        assert_eq!(done, [WriteDone::Failed], "{context}");
    });
}

#[test]
fn a_bad_sector_is_no_dead_disk() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 900), R2), (block(2, 900), R2)]);
    rig.file_system
        .break_with(Some(DiskFault { below: "/disk/segments".into(), ..fault(2, EIO, false, true).unwrap() }));
    assert_eq!(rig.read(&block(1, 900).id()), ReadDone::Failed);
    assert_eq!(rig.appender().disk.health(), DiskHealth::Failing);
    assert!(matches!(rig.read(&block(2, 900).id()), ReadDone::Found(_)));
}

#[test]
fn an_unmounted_disk_is_taken_out() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 900), R2)]);
    rig.file_system.unmount("/disk".as_ref());
    assert_eq!(rig.read(&block(1, 900).id()), ReadDone::Failed);
    assert_eq!(rig.appender().disk.state(), None);
    assert!(rig.notices.lock().unwrap().iter().any(|notice| matches!(notice, StoreNotice::Offline { .. })));
}

#[test]
fn read_errors_at_the_start_lose_nothing_and_never_serve_wrong() {
    for at in 1..60 {
        for lasting in [false, true] {
            for end in ["cut", "killed", "closed"] {
                let context = format!("read error at {at}, lasting {lasting}, then {end}");
                let mut rig = StoreRig::new();
                rig.start().unwrap();
                steps(&mut rig);
                rig.kill();
                rig.file_system.restart(PowerCut::Lose);
                rig.file_system.break_with(fault(at, EIO, lasting, true));
                let started = rig.start().is_ok();
                rig.file_system.break_with(None);
                if started {
                    for (id, (bytes, _)) in rig.promised.blocks.clone() {
                        match rig.read(&id) {
                            ReadDone::Found(found) => assert_eq!(*found.bytes(), bytes, "{context}"),
                            other => assert_ne!(other, ReadDone::No, "{context}"),
                        }
                    }
                    if end == "closed" {
                        rig.appender().close();
                    }
                }
                rig.kill();
                if end == "cut" {
                    rig.file_system.restart(PowerCut::Lose);
                }
                rig.start().unwrap();
                rig.check_started(&context);
            }
        }
    }
}

#[test]
fn a_good_copy_in_a_segment_that_could_not_be_read_once_is_found_later() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    let id = block(1, 900).id();
    rig.write(&[(block(1, 900), R2)]);
    let (_, segment, offset) = place(&mut rig, 1);
    rig.commit(vec![DiskJob::Quarantine { id, segment, offset }]);
    rig.write(&[(block(2, 7000), R2)]);
    assert_eq!(rig.write(&[(block(1, 900), R2)]), [WriteDone::New], "the first copy is quarantined");
    let (path, segment, _) = place(&mut rig, 1);
    rig.write(&[(block(3, 7000), R2)]);
    rig.now += DAY;
    assert_eq!(rig.renew(&[id], R2), [Possession::Yes]);
    assert!(rig.appender().active.as_ref().unwrap().number > segment, "the workload changed");
    rig.kill();

    rig.file_system.restart(PowerCut::Lose);
    rig.file_system.break_with(Some(DiskFault { below: path, ..fault(1, EIO, true, true).unwrap() }));
    rig.start().unwrap();
    rig.file_system.break_with(None);
    assert_eq!(rig.read(&block(99, 900).id()), ReadDone::NotYet, "it may be in that segment");
    rig.kill();
    rig.start().unwrap();
    rig.check_started("the segment is read now");
    assert_eq!(rig.read(&block(99, 900).id()), ReadDone::No);
}

/// The segment in which a block lies, its number, and where in it.
fn place(rig: &mut StoreRig, number: u64) -> (PathBuf, u64, u64) {
    let entry = rig.appender().disk.look_up(&block(number, 900).id()).unwrap().unwrap();
    let name = segment::file_name(entry.segment);
    (PathBuf::from("/disk/segments").join(name), entry.segment, entry.offset)
}

#[test]
fn a_process_without_free_descriptors_keeps_its_disk() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 900), R2)]);
    rig.file_system.break_with(fault(1, EMFILE, true, true));
    assert_eq!(rig.read(&block(1, 900).id()), ReadDone::Failed);
    rig.file_system.break_with(fault(1, EMFILE, true, false));
    assert_eq!(rig.write(&[(block(2, 900), R2)]), [WriteDone::Failed]);
    rig.file_system.break_with(None);
    assert_eq!(rig.appender().disk.health(), DiskHealth::Good);
    assert_eq!(rig.write(&[(block(2, 900), R2)]), [WriteDone::New]);
    rig.check("there are descriptors again");
    // A sync that fails is another matter, whatever the reason. It is the second change.
    rig.file_system.break_with(fault(2, ENOMEM, false, false));
    assert_eq!(rig.write(&[(block(3, 900), R2)]), [WriteDone::Failed]);
    assert_eq!(rig.appender().disk.health(), DiskHealth::Failing);
}

#[test]
fn a_start_without_free_descriptors_promises_nothing_it_does_not_keep() {
    let mut failing = 0;
    for at in 1..30 {
        let mut rig = StoreRig::new();
        rig.start().unwrap();
        rig.write(&[(block(1, 7000), R2)]);
        // Killed before the name of the second segment is durable: the first one is sealed with two changes, this is the
        // fifth of the second.
        rig.file_system.cut_after(7);
        rig.write(&[(block(2, 900), R2)]);
        rig.kill();
        assert_eq!(rig.file_system.files("/disk/segments".as_ref()).len(), 2, "the workload changed");
        rig.file_system.power_without_loss();
        rig.file_system.break_with(fault(at, EMFILE, false, false));
        let started = rig.start().is_ok();
        rig.file_system.break_with(None);
        if started {
            failing += u32::from(rig.appender().disk.health() == DiskHealth::Failing);
            rig.write(&[(block(3, 900), R2)]);
        }
        rig.kill();
        rig.file_system.restart(PowerCut::Lose);
        rig.start().unwrap();
        rig.check_started(&format!("no descriptor at {at}"));
    }
    assert!(failing > 0, "a name or a tail that is not durable lets nothing be appended");
}

#[test]
fn a_copy_of_the_log_that_cannot_be_read_is_left_alone_and_the_disk_serves() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 900), R2)]);
    rig.log(&[own(1)]);
    rig.kill();
    let copy = rig.file_system.files("/disk/log".as_ref());
    for round in 2..5 {
        rig.file_system.break_with(Some(DiskFault { below: copy[0].clone(), ..fault(1, EIO, true, true).unwrap() }));
        rig.start().unwrap();
        rig.check_started("the log in the home folder is whole");
        assert!(rig.notices.lock().unwrap().iter().any(|notice| matches!(notice, StoreNotice::LogFailed { .. })));
        rig.commit(vec![DiskJob::Compact(Arc::new(rig.promised.log.clone()))]);
        rig.log(&[own(round)]);
        rig.file_system.break_with(None);
        assert_eq!(rig.appender().disk.health(), DiskHealth::Good);
        rig.kill();
        let files = rig.file_system.files("/disk/log".as_ref());
        assert!(files.contains(&copy[0]) && files.len() <= 3, "{files:?}");
    }
    let (_, entries) = LogFolder::open(Arc::new(rig.file_system.clone()), "/disk/log".into()).unwrap();
    let entries: Vec<_> = entries.iter().map(|entry| log_entry(entry)).collect();
    assert!(rig.promised.log.iter().all(|entry| entries.contains(entry)), "{entries:?}");
}

#[test]
fn the_quota_is_never_exceeded_and_renewals_fit_when_blocks_do_not() {
    let mut rig = StoreRig::new();
    rig.quota = 200_000;
    rig.start().unwrap();
    let mut full = 0;
    for number in 0..200 {
        let done = rig.write(&[(block(number, 1500), R2)]);
        full += usize::from(done == [WriteDone::Full]);
        let used: usize = rig.file_system.files("/disk".as_ref()).iter().map(|path| file_len(&rig, path)).sum();
        assert!(used <= 200_000, "{used} bytes used");
        assert_eq!(rig.appender().disk.usage().used(), used as u64);
    }
    assert!(full > 50, "{full} of 200 refused");
    for number in 1000.. {
        if rig.write(&[(block(number, 1), R2)]) == [WriteDone::Full] {
            break;
        }
    }
    assert!(!rig.appender().disk.state().unwrap().takes_blocks());
    rig.now += DAY;
    let ids: Vec<_> = rig.promised.blocks.keys().copied().take(20).collect();
    assert!(rig.renew(&ids, R2).iter().all(|answer| *answer == Possession::Yes));
    rig.check("a full disk");
}

fn file_len(rig: &StoreRig, path: &std::path::Path) -> usize {
    let mut len = 0;
    rig.file_system.tamper(path, |bytes| len = bytes.len());
    len
}

#[test]
fn a_file_system_without_room_counts_as_full() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 900), R2)]);
    rig.file_system.set_free(10_000);
    assert_eq!(rig.write(&[(block(2, 900), R2)]), [WriteDone::Full]);
    assert!(!rig.appender().disk.state().unwrap().takes_blocks());
    rig.file_system.set_free(1 << 30);
    assert_eq!(rig.write(&[(block(2, 900), R2)]), [WriteDone::New]);
}

#[test]
fn an_index_that_fails_is_made_anew() {
    for fail_after in 0..12 {
        for times in [1, 2, 5, 40] {
            let mut rig = StoreRig::new();
            rig.start().unwrap();
            rig.write(&[(block(1, 900), R2)]);
            *rig.indexes.fail_after.lock().unwrap() = Some((fail_after, times));
            for round in 2..10 {
                rig.write(&[(block(round, 900), R2)]);
                rig.read(&block(1, 900).id());
                if rig.appender().disk.index().is_none() {
                    rig.appender().recover(Some("it failed".into()));
                }
            }
            *rig.indexes.fail_after.lock().unwrap() = None;
            let context = format!("{times} failures after {fail_after}");
            rig.check(&context);
            rig.kill();
            rig.start().unwrap();
            rig.check_started(&context);
        }
    }
}

#[test]
fn a_failed_sync_is_not_mistaken_for_durable() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 900), R2)]);
    // The second change is the sync. What was written can still be read, but the kernel has given it up.
    rig.file_system.break_with(fault(2, EIO, false, false));
    assert_eq!(rig.write(&[(block(2, 900), R2)]), [WriteDone::Failed]);
    rig.file_system.break_with(None);
    rig.kill();
    rig.start().unwrap();
    rig.write(&[(block(2, 900), R2)]);
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
    rig.check_started("after a failed sync");
    assert_eq!(rig.promised.blocks.len(), 2);
}

#[test]
fn what_a_killed_process_wrote_counts_only_once_it_is_durable() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 900), R2)]);
    // Killed between the write and the sync.
    rig.file_system.cut_after(2);
    rig.write(&[(block(2, 900), R2)]);
    rig.kill();
    rig.file_system.power_without_loss();
    rig.start().unwrap();
    assert!(matches!(rig.read(&block(2, 900).id()), ReadDone::Found(_)));
    assert_eq!(rig.write(&[(block(2, 900), R2)]), [WriteDone::Already]);
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
    rig.check_started("after the cut");
}

#[test]
fn a_tail_that_could_not_be_made_durable_is_not_believed() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 900), R2)]);
    let (path, ..) = place(&mut rig, 1);
    // Killed between the write and the sync.
    rig.file_system.cut_after(2);
    rig.write(&[(block(2, 900), R2)]);
    rig.kill();
    rig.file_system.power_without_loss();
    rig.file_system.break_with(Some(DiskFault { below: path, ..fault(1, EIO, true, false).unwrap() }));
    rig.start().unwrap();
    rig.file_system.break_with(None);
    assert_eq!(rig.read(&block(2, 900).id()), ReadDone::NotYet);
    rig.check("what was promised is served");
    rig.kill();
    rig.start().unwrap();
    assert_eq!(rig.write(&[(block(2, 900), R2)]), [WriteDone::New]);
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
    rig.check_started("after the cut");
    assert_eq!(rig.promised.blocks.len(), 2);
}

#[test]
fn an_index_that_knows_more_than_its_segment_holds_is_made_anew() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(2, 900), R2), (block(1, 900), R2)]);
    let (path, _, offset) = place(&mut rig, 1);
    rig.kill();
    let offset = usize::try_from(offset).unwrap();
    rig.file_system.tamper(&path, |bytes| bytes[offset..].fill(0));
    rig.start().unwrap();
    assert_eq!(rig.read(&block(1, 900).id()), ReadDone::No);
    assert_eq!(rig.write(&[(block(1, 900), R2)]), [WriteDone::New]);
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
    rig.check_started("written again");
    assert_eq!(rig.promised.blocks.len(), 2);
}
