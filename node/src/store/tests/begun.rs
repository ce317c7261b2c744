//! Disks that are missing at the start, and new ones that are begun in the place of lost ones.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use fsdfs_core::seam::{ReadDone, WriteDone};
use fsdfs_proto::ids::{DiskId, NodeId};

use super::rig::{block, config};
use super::several::{SeveralDisks, read, write};
use crate::metrics::{MissingDisk, StoreGauges as _};
use crate::store::disk::attach;
use crate::store::error::{StoreError, StoreNotice};
use crate::store::fs::FileSystem as _;
use crate::store::fs::fake_fs::FakeFileSystem;
use crate::store::{BegunDisk, IfMissing, Store, StoreConfig};

const SOON: Duration = Duration::from_secs(60);

/// As a node is configured that was given no word about missing disks.
fn two() -> StoreConfig {
    let mut config = config(&[("/one", 1 << 30), ("/two", 1 << 30)]);
    config.disks.iter_mut().for_each(|disk| disk.if_missing = IfMissing::default());
    config
}

fn begin(store: &Store, path: &str) -> Result<BegunDisk, StoreError> {
    let (done, begun) = mpsc::channel();
    store.begin_disk(path.into(), move |answer| done.send(answer).unwrap());
    begun.recv_timeout(SOON).unwrap()
}

fn disk_at(world: &SeveralDisks, path: &str) -> Option<DiskId> {
    attach::disk_in(&world.file_system, path.as_ref())
}

/// A store that was begun and closed, and the disk of `/one`.
fn begun(world: &SeveralDisks) -> DiskId {
    let (store, opened) = world.open(two()).unwrap();
    assert!(opened.missing.is_empty() && store.missing().is_empty());
    write(&store, &block(1, 800), disk_at(world, "/one"));
    store.close();
    disk_at(world, "/one").unwrap()
}

#[test]
fn a_node_starts_without_a_disk_that_is_gone_and_says_which() {
    let world = SeveralDisks::default();
    let lost = begun(&world);
    world.file_system.unmount("/one".as_ref());
    let (store, opened) = world.open(two()).unwrap();
    assert_eq!(opened.disks.len(), 1);
    let [MissingDisk { path, disk, is_empty: true, why }] = &opened.missing[..] else { panic!("{:?}", opened.missing) };
    assert_eq!((path.as_path(), *disk), (Path::new("/one"), Some(lost)));
    assert!(why.contains("/one held this node's blocks and is empty now") && why.contains("disk new /one"), "{why}");
    assert!(world.noticed(|notice| matches!(notice, StoreNotice::NotAttached { .. })));
    assert!(world.file_system.files("/one".as_ref()).is_empty(), "nothing is begun there by itself");
    store.close();
    world.file_system.unmount("/two".as_ref());
    let (store, opened) = world.open(two()).unwrap();
    assert_eq!((opened.disks.len(), opened.missing.len()), (0, 2), "without any");
    assert_eq!(write(&store, &block(2, 800), None), WriteDone::Full);
}

#[test]
fn what_cannot_be_used_is_missing_too_and_stays_as_it_is() {
    let spoils: [fn(&FakeFileSystem); 3] = [
        |files| files.tamper("/one/superblock".as_ref(), |bytes| bytes[9] ^= 1),
        |files| files.remove("/one/superblock".as_ref()).unwrap(),
        |files| files.spoil("/one/superblock".as_ref(), 0..8),
    ];
    for spoil in spoils {
        let world = SeveralDisks::default();
        let lost = begun(&world);
        spoil(&world.file_system);
        let before = world.file_system.files("/one".as_ref());
        let (store, opened) = world.open(two()).unwrap();
        let [missing] = &opened.missing[..] else { panic!("{:?}", opened.missing) };
        assert!(!missing.is_empty && missing.disk == Some(lost), "{missing:?}");
        let refused = begin(&store, "/one").unwrap_err();
        assert!(
            matches!(
                refused,
                StoreError::Format { .. } | StoreError::NoSuperblock { .. } | StoreError::Unusable { .. }
            ),
            "{refused}"
        );
        assert_eq!(world.file_system.files("/one".as_ref()), before);
        let mut strict = two();
        strict.disks[0].if_missing = IfMissing::Refuse;
        store.close();
        let is_unreadable = matches!(refused, StoreError::Unusable { .. });
        assert_eq!(world.open(strict).is_ok(), is_unreadable, "an error of the disk is no reason not to start");
    }
}

#[test]
fn a_new_disk_takes_the_place_of_one_that_was_missing_at_the_start() {
    let world = SeveralDisks::default();
    let lost = begun(&world);
    world.file_system.unmount("/one".as_ref());
    let (store, _) = world.open(two()).unwrap();
    let begun = begin(&store, "/one").unwrap();
    assert_eq!(begun.given_up, [lost]);
    assert!(begun.disk == lost && disk_at(&world, "/one") == Some(begun.disk));
    assert!(store.missing().is_empty());
    assert!(world.noticed(|notice| matches!(notice, StoreNotice::Disks(disks) if disks.len() == 2)));
    // The engine hears of it first, so that one card says both.
    let notices = world.notices.lock().unwrap();
    let place = |what: &dyn Fn(&StoreNotice) -> bool| notices.iter().rposition(what).unwrap();
    let given_up = place(&|notice| matches!(notice, StoreNotice::GivenUp(disks) if disks == &[lost]));
    assert!(given_up < place(&|notice| matches!(notice, StoreNotice::Disks(_))));
    drop(notices);
    assert!(store.wait_ready(SOON));
    assert_eq!(write(&store, &block(1, 800), Some(begun.disk)), WriteDone::New);
    store.close();
    let (store, opened) = world.open(two()).unwrap();
    assert_eq!((opened.disks.len(), opened.missing.len()), (2, 0), "it is known now");
    assert!(matches!(read(&store, block(1, 800).id()), ReadDone::Found(_)));
}

#[test]
fn a_new_disk_takes_the_place_of_one_that_vanished_from_a_running_node() {
    let world = SeveralDisks::default();
    let lost = begun(&world);
    let (store, opened) = world.open(two()).unwrap();
    assert_eq!(opened.disks.len(), 2);
    world.file_system.unmount("/one".as_ref());
    // It is noticed although nobody reads or writes there.
    assert!(world.noticed(|notice| matches!(notice, StoreNotice::Disks(disks) if disks.len() == 1)));
    world.notices.lock().unwrap().clear();
    let begun = begin(&store, "/one").unwrap();
    assert_eq!(begun.given_up, [lost]);
    assert!(world.noticed(|notice| matches!(notice, StoreNotice::Disks(disks) if disks.len() == 2)));
    assert!(store.wait_ready(SOON));
    let paths: Vec<DiskId> = store.usage().iter().map(|(_, disk, _)| *disk).collect();
    assert_eq!(paths[0], begun.disk, "in the place of the old one");
    assert_eq!(read(&store, block(1, 800).id()), ReadDone::No);
    assert_eq!(write(&store, &block(1, 800), Some(begun.disk)), WriteDone::New);
    store.close();
    let (store, _) = world.open(two()).unwrap();
    assert!(matches!(read(&store, block(1, 800).id()), ReadDone::Found(_)));
}

#[test]
fn nothing_is_begun_where_a_disk_can_be_read_or_none_is_configured() {
    let world = SeveralDisks::default();
    let one = begun(&world);
    let (store, _) = world.open(two()).unwrap();
    assert!(matches!(begin(&store, "/one"), Err(StoreError::StillThere { disk, .. }) if disk == one));
    assert!(matches!(begin(&store, "/three"), Err(StoreError::NotConfigured { .. })));
    assert_eq!(disk_at(&world, "/one"), Some(one));
    store.close();
    // A disk of another node was mounted there.
    let stranger = StoreConfig { owner: NodeId([7; 32]), home: "/elsewhere".into(), ..config(&[("/one", 1 << 30)]) };
    world.file_system.unmount("/one".as_ref());
    let (store, opened) = world.open(two()).unwrap();
    assert_eq!(opened.missing.len(), 1);
    world.open(stranger).unwrap().0.close();
    let theirs = disk_at(&world, "/one");
    assert!(matches!(begin(&store, "/one"), Err(StoreError::ForeignOwner { .. })));
    assert!(
        world.noticed(|notice| matches!(notice, StoreNotice::NotAttached { why, .. } if why.contains("another node")))
    );
    assert_eq!(disk_at(&world, "/one"), theirs);
    store.close();
    assert!(matches!(world.open(two()), Err(StoreError::ForeignOwner { .. })), "the owner's mistake, at a start");
}

#[test]
fn a_start_after_a_kill_finds_the_new_disk() {
    let world = SeveralDisks::default();
    let lost = begun(&world);
    world.file_system.unmount("/one".as_ref());
    let before = world.file_system.clone().fork();
    let mut cuts = 0;
    loop {
        let cut = SeveralDisks { file_system: before.fork(), ..SeveralDisks::default() };
        cut.file_system.cut_after(cuts + 1);
        let begun = crate::store::disk::begin::begin(&cut.file_system, &two(), "/one".as_ref());
        let is_whole = begun.is_ok() && !cut.file_system.is_off();
        drop(begun);
        cut.file_system.power_without_loss();
        let (store, opened) = cut.open(two()).unwrap();
        let there = disk_at(&cut, "/one");
        assert_eq!(there.is_some(), opened.missing.is_empty(), "cut {cuts}");
        assert!(opened.missing.iter().all(|missing| missing.disk == Some(lost)), "cut {cuts}");
        store.close();
        if is_whole {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 3, "{cuts}");
}
