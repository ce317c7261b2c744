//! Space that comes back, on the real file system with the real index and all threads.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fsdfs_core::seam::{DiskDone, DiskRequest, Lease, ReadDone, WriteDone};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::Redundancy;

use super::rig::{ME, POOL, RECEIPT, block};
use crate::metrics::{DiskUsage, StoreGauges as _};
use crate::store::{DiskConfig, IfMissing, Store, StoreConfig};

const SOON: Duration = Duration::from_secs(60);
const SEGMENT: u64 = 64 << 10;
const BLOCKS: u64 = 600;
/// One of so many blocks is kept.
const KEPT: u64 = 25;

pub(super) fn open(dir: &Path) -> Store {
    let disk = DiskConfig { path: dir.join("disk"), quota_bytes: 1 << 30, if_missing: IfMissing::Refuse };
    let home = dir.join("home");
    let config = StoreConfig { pool: POOL, owner: ME, home, disks: vec![disk], segment_bytes: SEGMENT, scrub: None };
    let (store, _) = Store::open(&config, |_| ()).unwrap();
    assert!(store.wait_ready(SOON));
    store
}

pub(super) fn ask(store: &Store, request: DiskRequest) -> DiskDone {
    let (done, answer) = mpsc::channel();
    store.submit(request, move |answer| done.send(answer).unwrap());
    answer.recv_timeout(SOON).unwrap()
}

fn put(store: &Store, block: Block) {
    let (redundancy, receipt) = (Redundancy::Replicas(2), RECEIPT);
    let (first_seen, lease, disk, more) = (1, Lease::Now, None, false);
    let write = DiskRequest::Write { block, redundancy, first_seen, lease, receipt, disk, more };
    assert_eq!(ask(store, write), DiskDone::Written(WriteDone::New));
}

fn one(number: u64) -> Block {
    block(number, 3000)
}

/// All but these.
fn delete_others(store: &Store, kept: &BTreeSet<BlockId>) {
    let DiskDone::Copies(Some(copies)) = ask(store, DiskRequest::Copies { after: None, max: 10_000 }) else { panic!() };
    let disk = copies[0].disk;
    let gone = copies.iter().filter(|copy| !kept.contains(&copy.copy.info.id));
    for copies in gone.map(|copy| (copy.copy.info.id, copy.sequence)).collect::<Vec<_>>().chunks(100) {
        let copies = copies.to_vec();
        assert_eq!(ask(store, DiskRequest::Delete { disk, copies }), DiskDone::Deleted(true));
    }
}

/// As `du --apparent-size` counts.
fn du(path: &Path) -> u64 {
    let meta = fs::symlink_metadata(path).unwrap();
    let below =
        if meta.is_dir() { fs::read_dir(path).unwrap().map(|entry| du(&entry.unwrap().path())).sum() } else { 0 };
    meta.len() + below
}

/// What the store says while nothing changes in the folder: the index writes in the background.
fn at_rest(store: &Store, disk: &Path) -> (DiskUsage, u64) {
    let begun = Instant::now();
    loop {
        let before = du(disk);
        let (_, _, usage) = store.measured_usage().remove(0);
        if du(disk) == before {
            return (usage, before);
        }
        assert!(begun.elapsed() < SOON, "it never rests");
    }
}

#[test]
fn what_is_deleted_is_given_back_while_readers_notice_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    let store = open(dir.path());
    (0..BLOCKS).for_each(|number| put(&store, one(number)));
    let kept: Vec<u64> = (0..BLOCKS).step_by(KEPT as usize).collect();
    let full = at_rest(&store, &disk).0;
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !is_done.load(Ordering::Acquire) {
                for number in &kept {
                    assert_eq!(store.read_now(&one(*number).id()), ReadDone::Found(one(*number)));
                    reads += 1;
                }
            }
            reads
        });
        delete_others(&store, &kept.iter().map(|number| one(*number).id()).collect());
        let begun = Instant::now();
        // No more than one segment and 2 % beyond what is kept.
        let is_full = || {
            let usage = store.usage().remove(0).2;
            usage.dead > SEGMENT + usage.live() / 50
        };
        while is_full() && begun.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(5));
        }
        is_done.store(true, Ordering::Release);
        assert!(reader.join().unwrap() > 0);
        assert!(!is_full(), "{:?}", store.usage());
    });
    let counted = store.counters();
    assert!(counted.freed > full.segments * 8 / 10 && counted.compacted > 0, "{counted:?}");
    let (usage, bytes) = at_rest(&store, &disk);
    let parts = [usage.live(), usage.condemned, usage.dead, usage.index, usage.log, usage.other];
    assert_eq!(parts.iter().sum::<u64>(), bytes, "{usage:?}");
    assert!(usage.live() < kept.len() as u64 * 4_000, "{usage:?}");
    assert!(usage.segments <= usage.live() * 102 / 100 + SEGMENT, "{usage:?}");
    store.close();
    let store = open(dir.path());
    for number in 0..BLOCKS {
        let found = store.read_now(&one(number).id());
        let is_kept = number % KEPT == 0;
        assert_eq!(found, if is_kept { ReadDone::Found(one(number)) } else { ReadDone::No });
    }
    assert_eq!(store.usage()[0].2.blocks, kept.len() as u64);
    store.close();
}
