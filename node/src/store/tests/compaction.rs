//! Copies that are deleted, and segments of which what is left is moved.

use std::sync::Arc;

use fsdfs_core::seam::{CopyState, ReadDone, WriteDone};
use fsdfs_proto::block::Block;
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::record::RecordKind;

use super::cuts::{check_and_go_on, cut_at, cut_everywhere, operations};
use super::rig::{DAY, StoreRig, block};
use crate::store::compaction::DiskCompaction;
use crate::store::disk::job::DiskJob;
use crate::store::error::StoreNotice;
use crate::store::fs::fake_fs::PowerCut;
use crate::store::index::IndexEntry;

const R2: Redundancy = Redundancy::Replicas(2);
/// More than any of the segments here has.
const ALL: u64 = 1 << 20;

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

fn collect(rig: &mut StoreRig, numbers: &[u64]) -> bool {
    rig.collect(&numbers.iter().map(|number| half(*number).id()).collect::<Vec<_>>())
}

fn started() -> StoreRig {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig
}

fn entry(rig: &mut StoreRig, block: &Block) -> IndexEntry {
    rig.appender().disk.look_up(&block.id()).unwrap().unwrap()
}

/// As if its index were lost. Two indexes of the same disk say the same, and so do their books.
fn rebuild(rig: &mut StoreRig) {
    let books = |rig: &mut StoreRig| {
        let segments = rig.segments();
        let disk = rig.appender().disk.clone();
        let book = |number| (number, disk.books(|books| books.get(number)).unwrap_or_default());
        segments.into_iter().map(book).collect::<Vec<_>>()
    };
    let (before, tombstones) = (books(rig), rig.appender().watermark.tombstones);
    rig.appender().recover(Some("it failed".into()));
    rig.check_started("after a rebuild");
    assert_eq!((books(rig), rig.appender().watermark.tombstones), (before, tombstones));
}

#[test]
fn the_segment_in_which_nothing_is_left_goes_and_its_bytes_are_free() {
    let mut rig = started();
    write(&mut rig, 1..=8);
    let (before, first) = (rig.segments(), rig.appender().disk.usage());
    assert!(delete(&mut rig, &[3, 4]));
    assert_eq!(rig.segments(), before, "not at once");
    rig.compact(ALL);
    assert_eq!(rig.segments(), before.iter().copied().filter(|number| *number != 2).collect::<Vec<_>>());
    let usage = rig.appender().disk.usage();
    assert!(first.used() - usage.used() > 5_000 && first.live() - usage.live() > 6_000, "{first:?} {usage:?}");
    let freed = |notice: &StoreNotice| matches!(notice, StoreNotice::SegmentFreed { segment: 2, .. });
    assert!(rig.notices.lock().unwrap().iter().any(freed));
    rig.check("at once");
    rebuild(&mut rig);
    rig.kill();
    rig.start().unwrap();
    rig.check_started("after a restart");
    assert_eq!(rig.write(&[(half(3), R2)]), [WriteDone::New], "it may come again");
    rebuild(&mut rig);
}

#[test]
fn what_is_left_is_moved_and_no_one_hears_of_it() {
    for slice in [1, ALL] {
        let mut rig = started();
        write(&mut rig, 1..=8);
        let before = rig.segments();
        assert!(delete(&mut rig, &[1, 3, 5]));
        rig.compact(slice);
        assert!(before.iter().filter(|number| rig.segments().contains(number)).count() <= before.len() - 3);
        assert_eq!(rig.told.lock().unwrap().1, [], "a copy that was moved did not change");
        assert_eq!(rig.appender().watermark.tombstones, 0);
        rig.check("at once");
        rebuild(&mut rig);
        rig.kill();
        rig.file_system.restart(PowerCut::Lose);
        rig.start().unwrap();
        rig.check_started("after a cut");
    }
}

#[test]
fn all_are_deleted_as_they_were_or_none() {
    let mut rig = started();
    write(&mut rig, 1..=3);
    let sequence = |rig: &mut StoreRig, number| {
        rig.appender().disk.look_up(&half(number).id()).unwrap().map(|entry| (half(number).id(), entry.changed))
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
    // Who judged a copy need not judge it again because it was moved.
    let seen = sequence(&mut rig, 2);
    assert!(delete(&mut rig, &[1]));
    write(&mut rig, 4..=6);
    rig.compact(1);
    assert_ne!(entry(&mut rig, &half(2)).segment, 1, "it was moved");
    assert!(rig.delete_if(seen.into_iter().collect()));
}

#[test]
fn what_was_deleted_does_not_come_back_from_an_older_segment() {
    let mut rig = started();
    let small = block(100, 300);
    rig.write(&[(small.clone(), R2)]);
    write(&mut rig, 1..=12);
    // Its copy stays in the first segment, which is hardly worth it; that it is deleted is said in the newest one.
    assert!(rig.delete(&[small.id()]));
    let said_in = *rig.segments().last().unwrap();
    write(&mut rig, 13..=16);
    assert!(delete(&mut rig, &[11, 12, 13, 14]));
    rig.compact(ALL);
    assert!(rig.segments().contains(&1) && !rig.segments().contains(&said_in), "{:?}", rig.segments());
    assert_eq!(rig.appender().watermark.tombstones, 1);
    rebuild(&mut rig);
    assert_eq!(rig.read(&small.id()), ReadDone::No);
    assert!(delete(&mut rig, &[1, 2]));
    rig.compact(ALL);
    assert!(!rig.segments().contains(&1));
    assert_eq!(rig.appender().watermark.tombstones, 0, "the last copy has gone, and with it what was said of it");
    rebuild(&mut rig);
}

#[test]
fn the_last_word_about_a_block_is_said_once_more() {
    let mut rig = started();
    write(&mut rig, 1..=3);
    rig.now += DAY;
    rig.renew(&[half(1).id()], Redundancy::Replicas(5));
    write(&mut rig, 4..=8);
    let with_renewal = 2;
    let before = entry(&mut rig, &half(1));
    assert_eq!(before.words.iter().map(|word| word.segment).collect::<Vec<_>>(), [with_renewal]);
    assert!(delete(&mut rig, &[3, 4]));
    rig.compact(ALL);
    assert!(!rig.segments().contains(&with_renewal), "{:?}", rig.segments());
    rebuild(&mut rig);
    let after = entry(&mut rig, &half(1));
    assert_eq!((after.segment, after.renewed, &after.redundancies), (1, before.renewed, &before.redundancies));
}

#[test]
fn a_damaged_copy_keeps_its_segment_until_it_is_replaced() {
    for slice in [1, ALL] {
        let mut rig = started();
        write(&mut rig, 1..=6);
        let damaged = entry(&mut rig, &half(1));
        let path = rig.file_system.files("/disk/segments".as_ref())[0].clone();
        rig.file_system.tamper(&path, |bytes| bytes[damaged.offset as usize + 1000] ^= 1);
        rig.promised.blocks.remove(&half(1).id());
        rig.promised.renewed.remove(&half(1).id());
        assert!(delete(&mut rig, &[2]));
        let mut compaction = DiskCompaction::default();
        while rig.compact_once(&mut compaction, slice) {}
        assert!(rig.segments().contains(&1));
        let said = |notice: &StoreNotice| matches!(notice, StoreNotice::Damaged { segment: 1, .. });
        assert_eq!(rig.notices.lock().unwrap().iter().filter(|notice| said(notice)).count(), 1);
        // The writer is asked by the queue that this rig has no thread for.
        let IndexEntry { segment, offset, .. } = damaged;
        rig.commit(vec![DiskJob::Quarantine { id: half(1).id(), segment, offset }]);
        rig.compact(slice);
        assert!(rig.segments().contains(&1));
        rebuild(&mut rig);
        rig.write(&[(half(1), R2)]);
        while rig.compact_once(&mut compaction, slice) {}
        assert!(!rig.segments().contains(&1), "{:?}", rig.segments());
        rebuild(&mut rig);
    }
}

#[test]
fn what_is_condemned_stays_so_and_what_a_later_version_noted_is_kept() {
    let mut rig = started();
    let (condemned, noted, other) = (half(1), block(50, 100), block(60, 2000));
    write(&mut rig, [1]);
    rig.write(&[(noted.clone(), R2), (other.clone(), R2)]);
    rig.append_record(RecordKind::Renewal, &noted, 0x1236, b"");
    rig.now += DAY;
    rig.append_record(RecordKind::Condemn, &condemned, 0, b"");
    let condemned_at = rig.now;
    rig.promised.renewed.remove(&condemned.id());
    rig.promised.blocks.remove(&condemned.id());
    rig.told.lock().unwrap().0.clear();
    write(&mut rig, 2..=4);
    assert!(rig.delete(&[other.id()]));
    let usage = rig.appender().disk.usage();
    assert!(usage.condemned > 3_000 && usage.condemned < 4_000, "{usage:?}");
    rig.compact(1);
    assert!(!rig.segments().contains(&1), "{:?}", rig.segments());
    assert_eq!(rig.appender().disk.usage().condemned, usage.condemned);
    for context in ["at once", "after a rebuild", "after another compaction"] {
        let copy = entry(&mut rig, &condemned);
        assert_eq!(copy.copy(condemned.id()).state, CopyState::Condemned { since: condemned_at }, "{context}");
        assert!(matches!(rig.read(&condemned.id()), ReadDone::Found(_)), "{context}: reads still serve it");
        assert_eq!(entry(&mut rig, &noted).noted, 0x1236, "{context}");
        if context == "after a rebuild" {
            write(&mut rig, 20..=21);
            assert!(delete(&mut rig, &[2, 3, 4, 20]));
            rig.compact(ALL);
        }
        rebuild(&mut rig);
    }
}

#[test]
fn what_this_version_does_not_understand_is_copied_as_it_is() {
    let mut rig = started();
    write(&mut rig, [1]);
    let strange = b"of a later version";
    rig.append_record(RecordKind::Unknown(200), &half(77), 9, strange);
    write(&mut rig, 2..=6);
    assert!(delete(&mut rig, &[1, 2]));
    rig.compact(1);
    assert!(!rig.segments().contains(&1), "{:?}", rig.segments());
    let there = |rig: &StoreRig| {
        let paths = rig.file_system.files("/disk/segments".as_ref());
        let mut found = 0;
        for path in &paths {
            rig.file_system
                .tamper(path, |bytes| found += bytes.windows(strange.len()).filter(|part| part == strange).count());
        }
        found
    };
    assert_eq!(there(&rig), 1);
    rebuild(&mut rig);
    assert!(delete(&mut rig, &[3, 4, 5, 6]));
    write(&mut rig, 7..=8);
    rig.compact(ALL);
    assert_eq!(there(&rig), 1);
    rebuild(&mut rig);
}

#[test]
fn a_full_disk_is_compacted_within_its_reserve() {
    let mut rig = StoreRig::new();
    rig.quota = 160 << 10;
    rig.start().unwrap();
    let mut stored = Vec::new();
    for number in 1.. {
        if rig.write(&[(half(number), R2)]) != [WriteDone::New] {
            break;
        }
        stored.push(number);
    }
    assert!(stored.len() > 30, "{stored:?}");
    // In each segment one of two.
    let every_other: Vec<u64> = stored.iter().copied().filter(|number| number % 2 == 0).collect();
    assert!(delete(&mut rig, &every_other));
    rig.compact(ALL);
    let used = rig.appender().disk.usage().used();
    assert!(used < rig.quota * 6 / 10, "{used}");
    rig.check("after it");
    assert_eq!(rig.write(&[(half(1_000), R2)]), [WriteDone::New]);
}

#[test]
fn an_index_that_has_grown_out_of_proportion_is_rebuilt_at_the_start() {
    let mut rig = started();
    write(&mut rig, 1..=4);
    let restart = |rig: &mut StoreRig, bytes: u64| {
        *rig.indexes.bytes.lock().unwrap() = bytes;
        let before = *rig.indexes.opened_fresh.lock().unwrap();
        rig.appender().close();
        rig.kill();
        rig.start().unwrap();
        rig.check_started("after a start");
        *rig.indexes.opened_fresh.lock().unwrap() - before
    };
    assert_eq!(restart(&mut rig, 64 << 20), 0);
    assert_eq!(restart(&mut rig, 65 << 20), 1);
}

#[test]
fn every_byte_is_told() {
    let mut rig = started();
    write(&mut rig, 1..=8);
    delete(&mut rig, &[1, 3, 5]);
    let all = |rig: &StoreRig| {
        let (mut bytes, paths) = (0, rig.file_system.files("/disk".as_ref()));
        paths.iter().for_each(|path| rig.file_system.tamper(path, |content| bytes += content.len() as u64));
        bytes
    };
    for _ in 0..3 {
        let usage = rig.appender().disk.measured().unwrap();
        assert_eq!(usage.live() + usage.condemned + usage.dead + usage.index + usage.log + usage.other, all(&rig));
        assert_eq!(usage, rig.appender().disk.usage(), "what is counted is what is measured");
        rig.compact(1);
    }
    let usage = rig.appender().disk.usage();
    assert!(usage.dead < usage.segments / 10, "{usage:?}");
}

/// Anything that can befall a disk, in any order, one slice of a compaction after the other among it.
#[test]
fn whatever_happens_between_two_slices_nothing_is_lost_and_nothing_comes_back() {
    for seed in 0..150 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut rig = started();
        let mut compaction = DiskCompaction::default();
        for step in 0..60 {
            let context = format!("seed {seed}, step {step}");
            let some = |rng: &mut fastrand::Rng| block(rng.u64(1..25), [100, 700, 3000][rng.usize(..3)]);
            let here: Vec<_> = rig.promised.blocks.keys().copied().collect();
            match rng.u8(..20) {
                0..7 => drop(rig.write(&[(some(&mut rng), R2), (some(&mut rng), R2)])),
                7..11 if !here.is_empty() => drop(rig.delete(&[here[rng.usize(..here.len())]])),
                11..13 if !here.is_empty() => {
                    rig.now += DAY;
                    rig.renew(&[here[rng.usize(..here.len())]], Redundancy::Replicas(rng.u8(1..9)));
                }
                13 if seed % 2 == 0 && !here.is_empty() => drop(rig.collect(&[here[rng.usize(..here.len())]])),
                13 => rebuild(&mut rig),
                14 => {
                    rig.kill();
                    rig.indexes = Arc::new(rig.indexes.rewound(rng.usize(..6)));
                    rig.start().unwrap();
                    rig.check_started(&context);
                    compaction = DiskCompaction::default();
                }
                15 => {
                    rig.kill();
                    rig.file_system.restart(PowerCut::Tear(seed));
                    rig.start().unwrap();
                    rig.check_started(&context);
                    compaction = DiskCompaction::default();
                }
                _ => drop(rig.compact_once(&mut compaction, [1, ALL][rng.usize(..2)])),
            }
            rig.check(&context);
        }
        rebuild(&mut rig);
        let all: Vec<_> = rig.promised.blocks.keys().copied().collect();
        assert!(all.is_empty() || rig.delete(&all));
        rig.compact(ALL);
        let left = rig.appender().disk.usage();
        assert!(left.segments < 2 * 8192, "seed {seed}: {left:?}");
        assert!(rig.appender().watermark.tombstones < 20, "seed {seed}");
        rebuild(&mut rig);
    }
}

/// Segments go from the front, from the middle, with deletions and last words in them, and blocks come again. Ends early when the
/// power goes.
fn workload(rig: &mut StoreRig) {
    if rig.start().is_err() {
        return;
    }
    write(rig, 1..=8);
    delete(rig, &[3, 4]);
    rig.compact(ALL);
    delete(rig, &[1]);
    write(rig, [3, 9]);
    rig.now += DAY;
    if rig.promised.blocks.contains_key(&half(7).id()) {
        rig.renew(&[half(7).id()], Redundancy::Replicas(4));
    }
    delete(rig, &[5, 6]);
    rig.compact(1);
    delete(rig, &[2]);
    if rig.file_system.is_off() {
        return;
    }
    rig.appender().recover(Some("it failed".into()));
    delete(rig, &[8]);
    write(rig, 10..=12);
    rig.compact(ALL);
    collect(rig, &[3, 9]);
    write(rig, [1, 8]);
    rig.compact(1);
    collect(rig, &[10, 11, 1]);
    write(rig, 13..=14);
    rig.compact(1);
}

#[test]
fn a_power_cut_at_any_operation_brings_nothing_back_and_loses_nothing() {
    let operations = operations(workload, 5);
    assert!(operations > 90, "the workload shrank to {operations} operations");
    cut_everywhere("the compacted workload", workload, operations, 509);
}

#[test]
fn a_kill_at_any_operation_brings_nothing_back_even_if_the_index_lags() {
    let operations = operations(workload, 5);
    for at in 1..=operations {
        let rig = cut_at(at, workload);
        for lag in [0, 1, 3, 100] {
            let context = format!("killed at {at}, the index {lag} changes behind");
            let mut killed = rig.fork();
            killed.indexes = Arc::new(rig.indexes.rewound(lag));
            killed.file_system.power_without_loss();
            check_and_go_on(&mut killed, &context);
            killed.compact(ALL);
            killed.check(&context);
            killed.kill();
            killed.file_system.restart(PowerCut::Lose);
            killed.start().unwrap_or_else(|error| panic!("{context}, then cut: {error}"));
            killed.check_started(&format!("{context}, then cut"));
        }
    }
}
