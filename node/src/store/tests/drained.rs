//! Disks of a node that stays are emptied.

use std::time::{Duration, Instant};

use fsdfs_core::seam::{DiskCondition, DiskDone, DiskRequest, Lease, ReadDone, WriteDone};
use fsdfs_proto::ids::DiskId;
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::record::RecordInfo;

use super::rig::{RECEIPT, block, config};
use super::several::{SeveralDisks, ask, have, list, read, write};
use crate::metrics::{DrainState, StoreGauges as _};
use crate::store::error::StoreNotice;
use crate::store::fs::fake_fs::{DiskFault, EIO};
use crate::store::{Store, StoreConfig};

const SOON: Duration = Duration::from_secs(60);
const BLOCKS: u64 = 300;

fn two() -> StoreConfig {
    config(&[("/one", 1 << 30), ("/two", 1 << 30)])
}

/// A store with blocks on `/one`, some of them with an old lease and another redundancy, and that disk.
fn filled(world: &SeveralDisks) -> (Store, DiskId) {
    let (store, opened) = world.open(two()).unwrap();
    let one = opened.disks[0].id;
    for number in 0..BLOCKS {
        let request = DiskRequest::Write {
            block: block(number, 800),
            redundancy: Redundancy::Replicas(2 + (number % 3) as u8),
            first_seen: 1 + number,
            lease: Lease::Old(1_000 + number),
            receipt: RECEIPT,
            disk: Some(one),
            more: false,
        };
        assert_eq!(ask(&store, request), DiskDone::Written(WriteDone::New));
    }
    (store, one)
}

fn state(store: &Store) -> Option<DrainState> {
    let states = store.drained();
    assert!(states.len() <= 1, "{states:?}");
    states.into_iter().next()
}

/// Waits until it is so; the last state if it never is.
fn until(store: &Store, is_so: impl Fn(&DrainState) -> bool) -> Result<DrainState, Option<DrainState>> {
    let begun = Instant::now();
    loop {
        let now = state(store);
        match now {
            Some(state) if is_so(&state) => return Ok(state),
            other if begun.elapsed() > SOON => return Err(other),
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn all(store: &Store) -> Vec<RecordInfo> {
    list(store, None, 10_000)
}

#[test]
fn all_of_a_disk_is_copied_with_all_that_is_known_of_it() {
    let world = SeveralDisks::default();
    let (store, one) = filled(&world);
    let before = all(&store);
    assert_eq!(before.len() as u64, BLOCKS);
    world.notices.lock().unwrap().clear();
    store.drain(vec![one]);
    let done = until(&store, |state| state.may_be_unplugged).unwrap();
    assert_eq!((done.disk, done.blocks, done.bytes, done.unreadable, done.is_stuck), (one, 0, 0, 0, false));
    let conditions: Vec<DiskCondition> = store.disks().iter().map(|disk| disk.condition).collect();
    assert_eq!(conditions, [DiskCondition::Draining, DiskCondition::Good]);
    let is_copy = |notice: &StoreNotice| matches!(notice, StoreNotice::Changed(copies) if !copies.is_empty());
    assert!(!world.notices.lock().unwrap().iter().any(is_copy), "for the node nothing has changed");
    assert_eq!(all(&store), before);
    store.close();
    // The disk is unplugged.
    world.file_system.unmount("/one".as_ref());
    let mut without = two();
    without.disks[0].if_missing = crate::store::IfMissing::Skip;
    let (store, _) = world.open(without).unwrap();
    assert_eq!(all(&store), before);
    for number in 0..BLOCKS {
        assert!(matches!(read(&store, block(number, 800).id()), ReadDone::Found(_)), "{number}");
    }
}

#[test]
fn what_comes_meanwhile_goes_elsewhere_and_an_end_of_it_is_one() {
    let world = SeveralDisks::default();
    let (store, one) = filled(&world);
    store.drain(vec![one]);
    until(&store, |state| state.may_be_unplugged).unwrap();
    // It is asked for the drained disk, and what is there is renewed where it stays.
    let (new, old) = (block(1_000, 800), block(3, 800));
    assert_eq!(write(&store, &new, Some(one)), WriteDone::New);
    assert_eq!(write(&store, &old, Some(one)), WriteDone::Already);
    assert_eq!(have(&store, &[old.id()], Some(Redundancy::Replicas(7))), [Possession::Yes]);
    let blocks: Vec<u64> = store.usage().iter().map(|(_, _, usage)| usage.blocks).collect();
    assert_eq!(blocks, [BLOCKS, BLOCKS + 1]);
    assert!(state(&store).unwrap().may_be_unplugged, "nothing was written there");
    store.drain(Vec::new());
    let begun = Instant::now();
    while state(&store).is_some() {
        assert!(begun.elapsed() < SOON);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(write(&store, &block(2_000, 800), Some(one)), WriteDone::New);
    assert_eq!(store.usage()[0].2.blocks, BLOCKS + 1, "it takes blocks again");
    // A second time all is looked at again.
    store.drain(vec![one]);
    let again = until(&store, |state| state.may_be_unplugged).unwrap();
    assert_eq!(again.blocks, 0);
    assert_eq!(store.usage()[1].2.blocks, BLOCKS + 2);
}

#[test]
fn it_waits_for_room_and_never_says_that_a_disk_may_go_before() {
    let world = SeveralDisks::default();
    let (store, one) = filled(&world);
    world.file_system.set_free(10_000);
    store.drain(vec![one]);
    let stuck = until(&store, |state| state.is_stuck && state.is_counted).unwrap();
    assert!(!stuck.may_be_unplugged && stuck.blocks > 0 && stuck.bytes >= stuck.blocks * 800, "{stuck:?}");
    world.file_system.set_free(1 << 30);
    until(&store, |state| state.may_be_unplugged && !state.is_stuck).unwrap();
    // Nor when the disk fails on which all of it is now.
    world.file_system.break_with(Some(DiskFault {
        reads: false,
        at: 1,
        lasting: true,
        below: "/two".into(),
        error: EIO,
    }));
    write(&store, &block(5_000, 800), None);
    assert!(until(&store, |state| !state.may_be_unplugged).is_ok());
    world.file_system.break_with(None);
    until(&store, |state| state.may_be_unplugged).unwrap();
}

#[test]
fn a_disk_that_fails_is_emptied_of_what_it_still_gives() {
    let world = SeveralDisks::default();
    let (store, one) = filled(&world);
    // Nothing can be written there any more, and one block cannot be read.
    let segment = world.file_system.files("/one/segments".as_ref()).remove(0);
    world.file_system.spoil(&segment, 5_000..5_300);
    world.file_system.break_with(Some(DiskFault {
        reads: false,
        at: 1,
        lasting: true,
        below: "/one".into(),
        error: EIO,
    }));
    store.drain(vec![one]);
    let done = until(&store, |state| state.may_be_unplugged).unwrap();
    assert!((1..=2).contains(&done.unreadable), "{done:?}");
    assert_eq!(store.usage()[1].2.blocks, BLOCKS - done.unreadable, "{done:?}");
}

#[test]
fn a_new_start_goes_on_and_copies_nothing_twice() {
    let world = SeveralDisks::default();
    let (store, one) = filled(&world);
    let two_has = |store: &Store| store.usage()[1].2.blocks;
    store.drain(vec![one]);
    let begun = Instant::now();
    while two_has(&store) == 0 && begun.elapsed() < SOON {
        std::thread::yield_now();
    }
    store.close();
    let (store, _) = world.open(two()).unwrap();
    let before = store.counters().records;
    let had = two_has(&store);
    assert!(had > 0);
    store.drain(vec![one]);
    until(&store, |state| state.may_be_unplugged).unwrap();
    assert_eq!((two_has(&store), store.counters().records - before), (BLOCKS, BLOCKS - had));
}
