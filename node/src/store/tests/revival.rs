//! Conditions that come and go: full, read-only, failing, away; and bad sectors, which cost what they hit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fsdfs_core::seam::{DiskCondition, ReadDone, WriteDone};
use fsdfs_proto::block::Block;
use fsdfs_proto::codec::encode;
use fsdfs_proto::ids::VolumeId;
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::volume::{BlockHeader, BlockKind};

use super::faults::{after_every_fault, fault};
use super::rig::{DAY, StoreRig, block, own};
use crate::store::disk::handle::DiskHealth;
use crate::store::error::StoreNotice;
use crate::store::fs::fake_fs::{DiskFault, EIO, ENOSPC, EROFS, PowerCut};

const R2: Redundancy = Redundancy::Replicas(2);
const EMFILE: i32 = 24;

/// How often something was said.
fn said(rig: &StoreRig, what: impl Fn(&StoreNotice) -> bool) -> usize {
    rig.notices.lock().unwrap().iter().filter(|notice| what(notice)).count()
}

fn condition(rig: &mut StoreRig) -> DiskCondition {
    rig.appender().disk.state().unwrap().condition
}

#[test]
fn a_disk_that_failed_once_works_again_without_a_restart() {
    after_every_fault(EIO, false, |rig, _, context| {
        rig.appender().look_again();
        assert_eq!(condition(rig), DiskCondition::Good, "{context}");
        assert_eq!(rig.write(&[(block(500, 900), R2)]), [WriteDone::New], "{context}");
        rig.check(context);
        let began = said(rig, |notice| matches!(notice, StoreNotice::Failing { .. }));
        assert_eq!(said(rig, |notice| matches!(notice, StoreNotice::Back { .. })), began, "{context}");
    });
}

#[test]
fn a_disk_that_goes_on_failing_is_not_trusted() {
    after_every_fault(EIO, true, |rig, _, context| {
        rig.appender().look_again();
        assert_eq!(rig.write(&[(block(500, 900), R2)]), [WriteDone::Failed], "{context}");
        assert_eq!(said(rig, |notice| matches!(notice, StoreNotice::Back { .. })), 0, "{context}");
    });
}

#[test]
fn a_disk_that_nothing_may_be_written_to_is_read_and_used_again() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 900), R2)]);
    rig.file_system.break_with(Some(DiskFault { below: "/disk".into(), ..fault(1, EROFS, true, false).unwrap() }));
    for _ in 0..3 {
        assert_eq!(rig.write(&[(block(2, 900), R2)]), [WriteDone::Failed]);
        rig.appender().look_again();
        assert_eq!(condition(&mut rig), DiskCondition::ReadOnly);
        rig.check("it is read");
    }
    assert_eq!(said(&rig, |notice| matches!(notice, StoreNotice::ReadOnly { .. })), 1, "said once");
    rig.file_system.break_with(None);
    rig.appender().look_again();
    assert_eq!(said(&rig, |notice| matches!(notice, StoreNotice::Back { .. })), 1);
    assert_eq!(rig.write(&[(block(2, 900), R2)]), [WriteDone::New]);
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
    rig.check_started("after a cut");
}

#[test]
fn a_disk_that_is_read_only_at_the_start_serves_and_is_used_when_it_can_be() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 900), R2)]);
    rig.kill();
    rig.file_system.break_with(Some(DiskFault { below: "/disk".into(), ..fault(1, EROFS, true, false).unwrap() }));
    rig.start().unwrap();
    assert_eq!(condition(&mut rig), DiskCondition::ReadOnly);
    rig.check("it is read");
    rig.file_system.break_with(None);
    rig.appender().look_again();
    assert_eq!(rig.write(&[(block(2, 900), R2)]), [WriteDone::New]);
    rig.kill();
    rig.start().unwrap();
    rig.check_started("started again");
}

#[test]
fn full_is_said_when_it_begins_and_when_it_ends() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.file_system.set_free(10_000);
    for number in 0..3 {
        assert_eq!(rig.write(&[(block(number, 900), R2)]), [WriteDone::Full]);
        rig.appender().look_again();
        assert_eq!(condition(&mut rig), DiskCondition::DiskFull);
    }
    // As much as one block is not worth saying so: the next file takes it.
    rig.file_system.set_free(2 << 20);
    rig.appender().look_again();
    assert_eq!(condition(&mut rig), DiskCondition::DiskFull);
    rig.file_system.set_free(1 << 30);
    rig.appender().look_again();
    assert_eq!(condition(&mut rig), DiskCondition::Good);
    let begun = said(&rig, |notice| matches!(notice, StoreNotice::Full { condition: DiskCondition::DiskFull, .. }));
    assert_eq!((begun, said(&rig, |notice| matches!(notice, StoreNotice::HasRoom { .. }))), (1, 1));
    rig.quota = 1 << 20;
    rig.start().unwrap();
    assert_eq!(condition(&mut rig), DiskCondition::QuotaFull);
}

#[test]
fn a_lack_of_descriptors_is_said_once_and_its_end_too() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 900), R2)]);
    rig.file_system.break_with(fault(1, EMFILE, true, true));
    for _ in 0..3 {
        assert_eq!(rig.read(&block(1, 900).id()), ReadDone::Failed);
        rig.appender().look_again();
    }
    rig.file_system.break_with(None);
    rig.appender().look_again();
    let (short, over) = (|notice: &StoreNotice| matches!(notice, StoreNotice::Short { .. }), 1);
    assert_eq!((said(&rig, short), said(&rig, |notice| matches!(notice, StoreNotice::ShortNoMore { .. }))), (1, over));
    assert_eq!(condition(&mut rig), DiskCondition::Good);
}

#[test]
fn a_disk_that_was_away_is_used_again_when_it_is_back() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 900), R2)]);
    rig.log(&[own(1)]);
    let before = rig.file_system.fork();
    rig.file_system.unmount("/disk".as_ref());
    assert_eq!(rig.read(&block(1, 900).id()), ReadDone::Failed);
    rig.appender().look_again();
    assert_eq!(rig.appender().disk.state(), None);
    rig.file_system.mount_again(&before, "/disk".as_ref());
    rig.appender().look_again();
    assert_eq!(condition(&mut rig), DiskCondition::Good);
    rig.check("it is back");
    assert_eq!(rig.write(&[(block(2, 900), R2)]), [WriteDone::New]);
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
    rig.check_started("after a cut");
}

#[test]
fn a_segment_that_could_not_be_read_at_the_start_is_read_when_it_can_be() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    rig.write(&[(block(1, 900), R2)]);
    rig.kill();
    let segment = rig.file_system.files("/disk/segments".as_ref()).remove(0);
    rig.file_system.break_with(Some(DiskFault { below: segment, ..fault(1, EIO, true, true).unwrap() }));
    rig.indexes = Arc::default();
    rig.start().unwrap();
    rig.appender().look_again();
    assert_eq!(rig.read(&block(1, 900).id()), ReadDone::NotYet);
    assert_eq!(condition(&mut rig), DiskCondition::Failing);
    rig.file_system.break_with(None);
    rig.appender().look_again();
    rig.check("it is read now");
    assert_eq!(rig.read(&block(99, 900).id()), ReadDone::No);
    assert_eq!(rig.write(&[(block(2, 900), R2)]), [WriteDone::New]);
}

/// Six blocks in one segment, of which the first page cannot be read, and no index.
fn spoiled(bytes: std::ops::Range<usize>) -> (StoreRig, PathBuf) {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    let blocks: Vec<_> = (0..6).map(|number| (block(number, 900), R2)).collect();
    rig.write(&blocks);
    rig.kill();
    let segment = rig.file_system.files("/disk/segments".as_ref()).remove(0);
    rig.file_system.spoil(&segment, bytes);
    (rig, segment)
}

#[test]
fn records_around_a_bad_sector_are_used() {
    for bad in [0..10, 70..80, 1500..1600, 3000..3001] {
        let (mut rig, _) = spoiled(bad.clone());
        rig.indexes = Arc::default();
        rig.start().unwrap();
        let found: Vec<ReadDone> = (0..6).map(|number| rig.read(&block(number, 900).id())).collect();
        let context = format!("bad {bad:?}");
        assert!(found[4..].iter().all(|found| matches!(found, ReadDone::Found(_))), "{context}");
        assert!(found.iter().all(|found| !matches!(found, ReadDone::NotYet | ReadDone::Failed)), "{context}");
        let lost: Vec<u64> =
            (0..4u64).zip(&found).filter(|(_, found)| !matches!(found, ReadDone::Found(_))).map(|(at, _)| at).collect();
        assert!(!lost.is_empty(), "{context}");
        let unreadable = |notice: &StoreNotice| matches!(notice, StoreNotice::Unreadable { bytes: 4096, .. });
        assert_eq!(said(&rig, unreadable), 1, "{context}");
        assert_eq!(condition(&mut rig), DiskCondition::Good, "{context}");
        assert_eq!(rig.write(&[(block(lost[0], 900), R2), (block(50, 900), R2)]), [WriteDone::New; 2], "{context}");
        rig.kill();
        rig.start().unwrap();
        assert!(matches!(rig.read(&block(50, 900).id()), ReadDone::Found(_)), "{context}");
    }
}

#[test]
fn a_bad_sector_at_the_end_costs_no_more_and_nothing_is_written_behind_it() {
    for has_index in [true, false] {
        let (mut rig, segment) = spoiled(5000..5001);
        let len = file_len(&rig, &segment);
        if !has_index {
            rig.indexes = Arc::default();
        }
        rig.start().unwrap();
        for number in 0..3 {
            assert!(matches!(rig.read(&block(number, 900).id()), ReadDone::Found(_)), "block {number}, {has_index}");
        }
        assert!(!matches!(rig.read(&block(5, 900).id()), ReadDone::Found(_)));
        assert_eq!(said(&rig, |notice| matches!(notice, StoreNotice::Shortened { .. })), 0);
        assert_eq!(rig.write(&[(block(5, 900), R2), (block(50, 900), R2)]), [WriteDone::New; 2]);
        assert_eq!(file_len(&rig, &segment), len, "what may be read another time is left");
        rig.kill();
        // The sector is read after all: no sequence number was used twice.
        rig.file_system.unspoil();
        rig.indexes = Arc::default();
        rig.start().unwrap();
        rig.check_started("all is there");
    }
}

fn file_len(rig: &StoreRig, path: &Path) -> usize {
    let mut len = 0;
    rig.file_system.tamper(path, |bytes| len = bytes.len());
    len
}

#[test]
fn an_index_ahead_of_its_segment_is_told_once() {
    let (mut rig, segment) = spoiled(0..0);
    rig.file_system.tamper(&segment, |bytes| {
        bytes[1500] ^= 1;
        bytes[5000..].fill(0);
    });
    rig.notices.lock().unwrap().clear();
    // The first walk begins at the mark, the second one takes in all of it.
    rig.start().unwrap();
    assert_eq!(said(&rig, |notice| matches!(notice, StoreNotice::Shortened { .. })), 1);
    assert_eq!(said(&rig, |notice| matches!(notice, StoreNotice::Damaged { .. })), 1);
    assert_eq!(said(&rig, |notice| matches!(notice, StoreNotice::RebuildStarted { .. })), 1);
}

#[test]
fn the_log_in_the_home_folder_is_read_around_what_cannot_be_read() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    for round in 0..500 {
        rig.log(&[own(round)]);
    }
    rig.kill();
    let log = rig.file_system.files("/home/log".as_ref()).remove(0);
    assert!(file_len(&rig, &log) > 2 * 4096, "more than one page");
    rig.file_system.spoil(&log, 5000..5001);
    rig.start().unwrap();
    assert!(rig.home().damaged);
    rig.check_started("the copies on the disks have the rest");
    rig.log(&[own(1000)]);
    rig.kill();
    rig.file_system.break_with(Some(DiskFault { below: log.clone(), ..fault(1, EIO, true, true).unwrap() }));
    rig.start().unwrap();
    assert!(rig.home().damaged);
    rig.check_started("not even its name can be opened");
    rig.home().compact(&[own(7)]).unwrap();
    assert!(rig.file_system.files("/home/log".as_ref()).contains(&log), "it may be readable another time");
    rig.kill();
    rig.file_system.break_with(None);
    rig.file_system.unspoil();
    rig.start().unwrap();
    assert!(!rig.home().damaged);
    rig.check_started("readable again");
}

#[test]
fn a_full_home_folder_gathers_no_files_and_is_written_again() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    assert!(rig.log(&[own(1)]));
    let files = rig.file_system.files("/home/log".as_ref()).len();
    rig.file_system.break_with(Some(DiskFault { below: "/home".into(), ..fault(1, ENOSPC, false, false).unwrap() }));
    assert!(!rig.log(&[own(2)]));
    for lasting in [true, false] {
        rig.file_system
            .break_with(Some(DiskFault { below: "/home".into(), ..fault(1, ENOSPC, lasting, false).unwrap() }));
        for round in 10..20 {
            rig.log(&[own(round)]);
        }
    }
    rig.file_system.break_with(None);
    assert!(rig.log(&[own(99)]));
    assert!(rig.file_system.files("/home/log".as_ref()).len() <= files + 2);
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
    rig.check_started("after a cut");
}

/// A block of a folder tree, as far as a holder can tell.
fn tree_block(number: u64, len: usize) -> Block {
    let (kind, volume) = (BlockKind::Directory, VolumeId([9; 32]));
    let header = encode(&BlockHeader { version: 1, kind, volume, epoch: 1, links: Vec::new(), extra: None });
    let head_len = u32::try_from(header.len()).unwrap().to_be_bytes();
    let content = block(number, len);
    Block::new(Bytes::from([&head_len[..], &header, content.bytes()].concat()))
}

#[test]
fn a_disk_that_is_full_of_files_still_takes_some_of_trees() {
    let mut rig = StoreRig::new();
    rig.quota = 200_000;
    rig.start().unwrap();
    let fill = |rig: &mut StoreRig, numbers: std::ops::Range<u64>, len: usize| {
        numbers.filter(|number| rig.write(&[(block(*number, len), R2)]) == [WriteDone::New]).count()
    };
    assert!(fill(&mut rig, 0..200, 1500) > 50);
    fill(&mut rig, 200..400, 1);
    assert_eq!(fill(&mut rig, 400..410, 1), 0, "full");
    let trees = (0..40).filter(|number| rig.write(&[(tree_block(*number, 1000), R2)]) == [WriteDone::New]).count();
    assert!((7..20).contains(&trees), "{trees}: a segment and a half");
    rig.now += DAY;
    let ids: Vec<_> = rig.promised.blocks.keys().copied().take(4).collect();
    assert!(rig.renew(&ids, R2).iter().all(|answer| *answer == Possession::Yes), "leases are renewed all the same");
    rig.check("a full disk");
    assert_eq!(rig.appender().disk.health(), DiskHealth::Good);
}

#[test]
fn the_log_in_the_home_folder_keeps_some_room_for_when_there_is_none() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    let reserve = PathBuf::from("/home/log/reserve");
    rig.file_system.set_free(1 << 20);
    assert!(!rig.home().keep_reserve(), "not of the last that is left");
    rig.file_system.set_free(1 << 30);
    assert!(rig.home().keep_reserve() && rig.home().keep_reserve());
    assert_eq!(file_len(&rig, &reserve), 1 << 20);
    rig.log(&[own(1)]);
    rig.kill();
    rig.start().unwrap();
    rig.check_started("it is no log");
    assert!(rig.home().use_reserve() && !rig.home().use_reserve());
    assert!(!rig.file_system.files("/home/log".as_ref()).contains(&reserve));
}
