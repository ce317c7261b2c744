//! Power cuts at every single operation, and everything that each may leave.

use std::sync::Arc;

use fsdfs_core::seam::{ReadDone, WriteDone};
use fsdfs_proto::block::Block;
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::record::{LogEntry, log_entry};

use super::rig::{DAY, StoreRig, block, own, write_job};
use crate::store::disk::job::DiskJob;
use crate::store::fs::fake_fs::{FakeFileSystem, PowerCut, SECTOR};
use crate::store::log::LogFolder;

const R2: Redundancy = Redundancy::Replicas(2);
const R3: Redundancy = Redundancy::Replicas(3);

/// Starts, group commits, a block twice, several segments with their footers, renewals, the log and its compaction, an
/// index that is made anew, a clean stop and another start. Ends early when the power goes.
pub fn workload(rig: &mut StoreRig) {
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
    if rig.promised.blocks.contains_key(&ids[0]) && rig.promised.blocks.contains_key(&ids[1]) {
        rig.renew(&ids, Redundancy::Replicas(4));
    }
    rig.appender().recover(Some("it failed".into()));
    rig.write(&[(block(8, 9000), R2)]);
    if rig.file_system.is_off() {
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
        rig.commit(vec![DiskJob::Compact(Arc::new(keep.to_vec()))]);
    }
    rig.log(&[own(4)]);
    rig.compact_online();
    rig.log(&[own(5)]);
    rig.write(&[(block(9, 2000), R2), (block(3, 50), R3)]);
    rig.write(&[(block(10, 5000), R2)]);
}

/// Every block of it.
fn workload_blocks() -> Vec<Block> {
    let lens = [700, 3000, 50, 2500, 6000, 1000, 4000, 9000, 2000, 5000];
    (1..).zip(lens).map(|(number, len)| block(number, len)).collect()
}

/// Small enough that every byte of it can be the last one that reached the disk.
fn small_workload(rig: &mut StoreRig) {
    if rig.start().is_err() {
        return;
    }
    rig.log(&[own(1)]);
    rig.write(&[(block(1, 40), R2)]);
    rig.write(&[(block(2, 90), R2), (block(1, 40), R3), (block(3, 10), R2)]);
    rig.log(&[own(2), own(3)]);
}

/// A workload that was cut at this operation; the power is off.
pub(super) fn cut_at(at: u64, workload: impl Fn(&mut StoreRig)) -> StoreRig {
    let mut rig = StoreRig::new();
    rig.file_system.cut_after(at);
    workload(&mut rig);
    rig.kill();
    rig
}

pub(super) fn operations(workload: impl Fn(&mut StoreRig), blocks: usize) -> u64 {
    let mut rig = StoreRig::new();
    workload(&mut rig);
    assert_eq!(rig.promised.blocks.len(), blocks);
    rig.start().unwrap();
    rig.check_started("without a cut");
    rig.file_system.changes()
}

/// What a cut may leave: torn at every `step` bytes, the rest lost or zeros; each sector lost or alone; a random rest.
fn leftovers(rig: &StoreRig, at: u64, step: usize) -> Vec<PowerCut> {
    let bytes = rig.file_system.unsynced_bytes();
    let torn = (0..=bytes).step_by(step).flat_map(|bytes| [PowerCut::Prefix(bytes), PowerCut::Zeroed(bytes)]);
    let sectors = (0..bytes.div_ceil(SECTOR)).flat_map(|sector| [PowerCut::Without(sector), PowerCut::Only(sector)]);
    let random = [0, 1000, 2000].map(|more| PowerCut::Tear(at + more));
    [PowerCut::Lose, PowerCut::Keep].into_iter().chain(random).chain(torn).chain(sectors).collect()
}

fn check_after(rig: &mut StoreRig, cut: PowerCut, context: &str) {
    rig.file_system.restart(cut);
    check_and_go_on(rig, context);
}

/// What was promised is there, and the disk works on.
pub(super) fn check_and_go_on(rig: &mut StoreRig, context: &str) {
    rig.start().unwrap_or_else(|error| panic!("{context}: {error}"));
    rig.check_started(context);
    assert_eq!(rig.write(&[(block(50, 3000), R2)]), [WriteDone::New], "{context}");
    assert!(rig.log(&[own(50)]), "{context}");
    rig.kill();
    rig.start().unwrap();
    rig.check_started(context);
}

/// Cuts everywhere, and tells how often nothing was lost.
pub(super) fn cut_everywhere(name: &str, workload: impl Fn(&mut StoreRig) + Copy, operations: u64, step: usize) {
    let (mut cuts, mut records) = (0, 0);
    for at in 1..=operations {
        let rig = cut_at(at, workload);
        for cut in leftovers(&rig, at, step) {
            check_after(&mut rig.fork(), cut, &format!("{name}, cut at {at}, {cut:?}"));
            cuts += 1;
            records += rig.promised.records();
        }
    }
    println!("{name}: {operations} operations, {cuts} power cuts, {records} acknowledged records verified, 0 lost");
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
    let operations = operations(workload, 10);
    assert!(operations > 60, "the workload shrank to {operations} operations");
    cut_everywhere("the workload", workload, operations, 211);
}

#[test]
fn a_power_cut_at_any_byte_loses_nothing_acknowledged() {
    let operations = operations(small_workload, 3);
    cut_everywhere("the small workload", small_workload, operations, 1);
}

#[test]
fn a_second_cut_while_the_first_is_repaired_loses_nothing_either() {
    for at in (1..=operations(workload, 10)).step_by(3) {
        let first = cut_at(at, workload);
        for again in 1..25 {
            let mut rig = first.fork();
            rig.file_system.restart(PowerCut::Tear(at));
            rig.file_system.cut_after(again);
            let _ = rig.start();
            let recovered = !rig.file_system.is_off();
            rig.kill();
            check_after(&mut rig, PowerCut::Tear(again), &format!("cut at {at}, then at {again}"));
            if recovered {
                break;
            }
        }
    }
}

#[test]
fn a_kill_at_any_operation_loses_nothing_even_if_the_index_lags() {
    let operations = operations(workload, 10);
    for at in 1..=operations {
        let rig = cut_at(at, workload);
        for lag in [0, 1, 2, 5, 100] {
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
    println!("{operations} operations, {} kills, 0 acknowledged records lost", operations * 5);
}

#[test]
fn what_a_start_after_a_kill_shows_survives_a_power_cut() {
    for at in 1..=operations(workload, 10) {
        let context = format!("killed at {at}, started, cut");
        let mut rig = cut_at(at, workload);
        rig.file_system.power_without_loss();
        rig.start().unwrap();
        rig.promised.log = rig.entries().to_vec();
        for known in workload_blocks() {
            if matches!(rig.read(&known.id()), ReadDone::Found(_)) {
                assert_eq!(rig.write(&[(known, R2)]), [WriteDone::Already], "{context}");
            }
        }
        rig.kill();
        check_after(&mut rig, PowerCut::Lose, &context);
    }
}

#[test]
fn a_killed_process_loses_nothing_acknowledged_and_needs_no_rebuild() {
    let mut rig = StoreRig::new();
    workload(&mut rig);
    let before = *rig.indexes.opened_fresh.lock().unwrap();
    rig.kill();
    rig.start().unwrap();
    rig.check_started("after a kill");
    assert_eq!(*rig.indexes.opened_fresh.lock().unwrap(), before);
}

#[test]
fn after_a_power_cut_the_index_is_not_trusted() {
    let mut rig = StoreRig::new();
    workload(&mut rig);
    let before = *rig.indexes.opened_fresh.lock().unwrap();
    rig.kill();
    rig.file_system.restart(PowerCut::Keep);
    rig.start().unwrap();
    rig.check_started("after a cut");
    assert_eq!(*rig.indexes.opened_fresh.lock().unwrap(), before + 1);
}

#[test]
fn a_stopped_store_starts_from_its_index() {
    let mut rig = StoreRig::new();
    workload(&mut rig);
    let before = *rig.indexes.opened_fresh.lock().unwrap();
    rig.appender().close();
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
    rig.check_started("after a clean stop");
    assert_eq!(*rig.indexes.opened_fresh.lock().unwrap(), before);
}

#[test]
fn a_group_shares_one_sync() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 10), R2)]);
    let before = rig.file_system.changes();
    let blocks: Vec<_> = (10..25).map(|number| (block(number, 10), R2)).collect();
    rig.write(&blocks);
    assert_eq!(rig.file_system.changes() - before, 2, "one write, one sync");
}

#[test]
fn copies_of_the_log_share_one_sync_and_no_block_waits_for_it() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 10), R2)]);
    rig.commit(vec![DiskJob::Log(Arc::new(vec![own(1)]))]);
    let before = rig.file_system.changes();
    let copies = (2..200).map(|seq| DiskJob::Log(Arc::new(vec![own(seq)])));
    rig.commit(copies.collect());
    assert_eq!(rig.file_system.changes() - before, 2, "one write, one sync");
    let answered = Arc::new(std::sync::Mutex::new(None));
    let (note, disk) = (answered.clone(), rig.file_system.clone());
    let write = write_job(block(2, 10), R2, rig.now, move |_| *note.lock().unwrap() = Some(disk.changes()));
    let before = rig.file_system.changes();
    rig.commit(vec![DiskJob::Log(Arc::new(vec![own(200)])), DiskJob::Write(write)]);
    assert_eq!(*answered.lock().unwrap(), Some(before + 2), "the block's write and sync, and nothing else");
    assert_eq!(rig.file_system.changes(), before + 4);
}

#[test]
fn what_is_here_is_renewed_not_stored_again() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    let twice = block(1, 2000);
    assert_eq!(rig.write(&[(twice.clone(), R2), (twice.clone(), R2)]), [WriteDone::New, WriteDone::Already]);
    let before = rig.file_system.changes();
    assert_eq!(rig.write(&[(twice.clone(), R2)]), [WriteDone::Already]);
    assert_eq!(rig.file_system.changes(), before, "a fresh lease costs nothing");
    assert_eq!(rig.write(&[(twice.clone(), R3)]), [WriteDone::Already]);
    assert_eq!(rig.file_system.changes(), before + 2, "a new redundancy is durable before it is acknowledged");
    rig.now += DAY;
    assert_eq!(rig.write(&[(twice.clone(), R2)]), [WriteDone::Already]);
    assert_eq!(rig.file_system.changes(), before + 4, "an old lease is renewed");
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
    rig.check_started("after renewals");
    let entry = rig.appender().disk.look_up(&twice.id()).unwrap().unwrap();
    assert_eq!((entry.renewed, entry.first_seen), (rig.now, rig.now - DAY));
    assert!(matches!(rig.read(&block(77, 1).id()), ReadDone::No));
}

#[test]
fn a_cut_while_the_log_is_compacted_loses_nothing_that_is_kept() {
    let open = |disk: &FakeFileSystem| LogFolder::open(Arc::new(disk.clone()), "/log".into());
    for at in 1..12 {
        for cut in [PowerCut::Lose, PowerCut::Keep, PowerCut::Tear(at), PowerCut::Tear(at + 100)] {
            let disk = FakeFileSystem::default();
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

#[test]
fn a_cut_while_the_log_in_use_is_compacted_loses_nothing_that_is_kept_or_came_meanwhile() {
    let open = |disk: &FakeFileSystem| LogFolder::open(Arc::new(disk.clone()), "/log".into());
    let mut compactions = 0;
    for at in 1..25 {
        for cut in [PowerCut::Lose, PowerCut::Keep, PowerCut::Tear(at), PowerCut::Tear(at + 100)] {
            let disk = FakeFileSystem::default();
            open(&disk).unwrap().0.append(&[own(1)]).unwrap();
            let (mut log, _) = open(&disk).unwrap();
            log.append(&[own(2)]).unwrap();
            log.append(&[own(3)]).unwrap();
            log.seal();
            disk.cut_after(at);
            let mut kept = vec![own(3)];
            kept.extend(log.append(&[own(4)]).is_ok().then(|| own(4)));
            let compacted = log.compact(&[own(3)]).is_ok();
            kept.extend(log.append(&[own(5)]).is_ok().then(|| own(5)));
            compactions += usize::from(compacted);
            drop(log);
            disk.restart(cut);
            let entries: Vec<_> = open(&disk).unwrap().1.iter().map(|payload| log_entry(payload)).collect();
            assert!(kept.iter().all(|entry| entries.contains(entry)), "cut at {at}, {cut:?}: {entries:?}");
            if kept.len() == 3 && matches!(cut, PowerCut::Keep) {
                assert!(!entries.contains(&own(2)), "cut at {at}, {cut:?}: it was to go");
            }
            assert!(disk.files("/log".as_ref()).iter().all(|path| path.extension().is_some_and(|end| end == "log")));
        }
    }
    assert!(compactions >= 4, "the cuts reach behind it");
}

#[test]
fn a_log_in_use_stays_below_twice_what_it_has_to_hold() {
    let file_system = FakeFileSystem::default();
    let (mut log, _) = LogFolder::open(Arc::new(file_system), "/log".into()).unwrap();
    let live: Vec<_> = (0..1_000).map(own).collect();
    log.append(&live).unwrap();
    let (mut longest, mut compactions) = (0, 0);
    for round in 0..5_000 {
        log.append(&[own(1_000 + round)]).unwrap();
        longest = longest.max(log.bytes);
        if log.is_long() {
            log.seal();
            log.compact(&live).unwrap();
            compactions += 1;
            assert!(!log.is_long());
        }
    }
    assert!((2..40).contains(&compactions), "{compactions} compactions");
    assert!(longest < 200 << 10, "{longest} bytes");
}

#[test]
fn a_compaction_keeps_what_a_later_version_wrote_and_what_nobody_took_in() {
    let disk = FakeFileSystem::default();
    let open = || LogFolder::open(Arc::new(disk.clone()), "/log".into()).unwrap();
    let later = LogEntry::Unknown(bytes::Bytes::from_static(b"\x92\x63\x01"));
    open().0.append(&[own(1), later.clone()]).unwrap();
    let (mut log, _) = open();
    log.compact(&[own(2)]).unwrap();
    let read = |entries: Vec<bytes::Bytes>| entries.iter().map(|payload| log_entry(payload)).collect::<Vec<_>>();
    let (mut log, entries) = open();
    assert_eq!(read(entries), [own(2), later.clone()]);
    log.leave_old_files();
    log.append(&[own(3)]).unwrap();
    log.seal();
    log.compact(&[own(4)]).unwrap();
    let left = read(open().1);
    assert!([own(2), later, own(4)].iter().all(|entry| left.contains(entry)) && !left.contains(&own(3)), "{left:?}");
}

#[test]
fn only_what_was_made_durable_counts_as_a_sync() {
    let (mut log, _) = LogFolder::open(Arc::new(FakeFileSystem::default()), "/log".into()).unwrap();
    for (entries, syncs) in [(vec![own(1)], 2), (vec![own(2)], 3), (vec![], 3)] {
        log.append(&entries).unwrap();
        assert_eq!(log.syncs, syncs, "the first entries bring the file's name with them");
    }
}
