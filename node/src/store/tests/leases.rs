//! What renews a lease: a put, and nothing else. Copies keep the lease of what they are copies of, also over power cuts. And what is
//! told when copies change.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fsdfs_core::seam::{CopyState, DiskCopy, DiskDone, DiskRequest, Lease, ReadDone, WriteDone};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, DiskId};
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::record::{RecordHeader, RecordKind, SegmentHeader};

use super::rig::{DAY, MemoryIndexes, RECEIPT, StoreRig, block, config, write_job};
use crate::store::Store;
use crate::store::disk::job::{DiskJob, WriteJob};
use crate::store::fs::fake_fs::{FakeFileSystem, PowerCut};
use crate::store::index::IndexEntry;

const R1: Redundancy = Redundancy::Replicas(1);
const R2: Redundancy = Redundancy::Replicas(2);
const R3: Redundancy = Redundancy::Replicas(3);
const SOON: Duration = Duration::from_secs(60);

/// A copy of what was last renewed then, and first seen two days before.
fn copy(rig: &mut StoreRig, block: &Block, redundancy: Redundancy, renewed: u64) -> WriteDone {
    let done = Arc::new(Mutex::new(None));
    let note = done.clone();
    let write = write_job(block.clone(), redundancy, renewed - 2 * DAY, move |done| *note.lock().unwrap() = Some(done));
    rig.commit(vec![DiskJob::Write(WriteJob { lease: Lease::Old(renewed), ..write })]);
    let Some(DiskDone::Written(done)) = done.lock().unwrap().take() else { panic!("no answer") };
    done
}

fn entry(rig: &mut StoreRig, id: BlockId) -> IndexEntry {
    rig.appender().disk.look_up(&id).unwrap().unwrap()
}

fn cut(rig: &mut StoreRig) {
    rig.kill();
    rig.file_system.restart(PowerCut::Lose);
    rig.start().unwrap();
}

#[test]
fn a_copy_is_as_old_as_what_it_was_made_of_after_a_power_cut_too() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    let copied = block(1, 700);
    let renewed = rig.now - 5 * DAY;
    assert_eq!(copy(&mut rig, &copied, R2, renewed), WriteDone::New);
    for _ in 0..2 {
        let entry = entry(&mut rig, copied.id());
        assert_eq!((entry.renewed, entry.first_seen), (renewed, renewed - 2 * DAY));
        cut(&mut rig);
    }
    let future = rig.now + DAY;
    copy(&mut rig, &block(2, 700), R2, future);
    assert_eq!(entry(&mut rig, block(2, 700).id()).renewed, rig.now, "a wrong clock keeps nothing for longer");
}

#[test]
fn a_copy_of_what_is_here_writes_nothing_and_renews_nothing() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    let kept = block(1, 700);
    rig.write(&[(kept.clone(), R2)]);
    let put = rig.now;
    rig.now += 30 * DAY;
    let changes = rig.file_system.changes();
    let later = rig.now - DAY;
    assert_eq!(copy(&mut rig, &kept, R2, later), WriteDone::Already);
    assert_eq!(entry(&mut rig, kept.id()).renewed, put);
    assert_eq!(rig.file_system.changes(), changes);
    // What it asks for beyond that is recorded, with the lease that was there.
    assert_eq!(copy(&mut rig, &kept, R3, later), WriteDone::Already);
    cut(&mut rig);
    let entry = entry(&mut rig, kept.id());
    assert_eq!((entry.renewed, entry.redundancies), (put, vec![R3]));
    assert_eq!(rig.write(&[(kept.clone(), R2)]), [WriteDone::Already]);
    assert_eq!(self::entry(&mut rig, kept.id()).renewed, rig.now, "a put renews");
}

#[test]
fn a_copy_revives_what_is_condemned_with_its_own_lease() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    let condemned = block(1, 500);
    rig.write(&[(condemned.clone(), R2)]);
    rig.kill();
    let path = rig.file_system.files("/disk/segments".as_ref())[0].clone();
    rig.file_system.tamper(&path, |bytes| {
        let marker = SegmentHeader::decode(bytes).unwrap().marker;
        let condemn = RecordHeader {
            kind: RecordKind::Condemn,
            flags: 0,
            payload_len: 0,
            id: condemned.id(),
            sequence: 100,
            first_seen: 0,
            renewed: 1_000 * DAY + 7,
            receipt: RECEIPT,
            redundancies: vec![R2],
            payload_crc: 0,
        };
        bytes.extend(condemn.encode(&marker));
    });
    rig.start().unwrap();
    assert!(!entry(&mut rig, condemned.id()).is_held());
    rig.now += 9 * DAY;
    let renewed = rig.now - 2 * DAY;
    assert_eq!(copy(&mut rig, &condemned, R2, renewed), WriteDone::Already);
    cut(&mut rig);
    let entry = entry(&mut rig, condemned.id());
    assert!(entry.is_held());
    assert_eq!(entry.renewed, renewed, "not that of its condemnation");
}

#[test]
fn every_change_is_told_with_what_was_before() {
    let mut rig = StoreRig::new();
    super::cuts::workload(&mut rig);
    let damaged = block(1, 700).id();
    let IndexEntry { segment, offset, .. } = entry(&mut rig, damaged);
    rig.commit(vec![DiskJob::Quarantine { id: damaged, segment, offset }]);
    let index = rig.appender().disk.index().unwrap();
    let there: BTreeMap<BlockId, DiskCopy> =
        index.list(None, 1_000).unwrap().into_iter().map(|(id, entry)| (id, entry.copy(id))).collect();
    let (told, unexpected) = rig.told.lock().unwrap().clone();
    assert_eq!((told.len(), unexpected), (10, Vec::new()));
    assert_eq!(told, there);
    assert_eq!(told[&damaged].state, CopyState::Damaged);
}

fn ask(store: &Store, request: DiskRequest) -> DiskDone {
    let (done, answer) = mpsc::channel();
    store.submit(request, move |answer| done.send(answer).unwrap());
    answer.recv_timeout(SOON).unwrap()
}

fn put(store: &Store, block: &Block, redundancy: Redundancy, disk: Option<DiskId>) {
    let (block, first_seen, lease, receipt, more) = (block.clone(), 1, Lease::Old(5), RECEIPT, false);
    let write = DiskRequest::Write { block, redundancy, first_seen, lease, receipt, disk, more };
    assert_eq!(ask(store, write), DiskDone::Written(WriteDone::New));
}

fn mend(store: &Store, block: &Block) -> WriteDone {
    let DiskDone::Written(done) = ask(store, DiskRequest::Mend { block: block.clone() }) else { panic!() };
    done
}

/// A small disk and a large one.
fn two(quota: u64) -> (FakeFileSystem, Store, Vec<DiskId>) {
    let file_system = FakeFileSystem::default();
    let config = config(&[("/one", quota), ("/two", 1 << 30)]);
    let indexes = Arc::new(MemoryIndexes::default());
    let (store, opened) = Store::open_on(Arc::new(file_system.clone()), indexes, &config, Arc::new(|_| {})).unwrap();
    assert!(store.wait_ready(SOON));
    (file_system, store, opened.disks.iter().map(|disk| disk.id).collect())
}

#[test]
fn a_month_of_scans_writes_nothing() {
    let (file_system, store, disks) = two(1 << 30);
    let ids: Vec<BlockId> = (0..40).map(|number| block(number, 300).id()).collect();
    (0..40).for_each(|number| put(&store, &block(number, 300), R2, Some(disks[0])));
    // The log's thread reserves room at its start, and has done so when it answers.
    assert_eq!(ask(&store, DiskRequest::Log { entries: Vec::new() }), DiskDone::Logged(true));
    let changes = file_system.changes();
    for _ in 0..30 * 24 {
        let DiskDone::Have(answers) = ask(&store, DiskRequest::Have { ids: ids.clone(), renew: None }) else {
            panic!()
        };
        assert!(answers.iter().all(|answer| *answer == Possession::Yes));
    }
    assert_eq!(file_system.changes(), changes);
    store.close();
}

#[test]
fn what_is_mended_stays_what_it_was_on_whichever_disk() {
    for quota in [1 << 30, 100_000] {
        let (file_system, store, disks) = two(quota);
        let one = Some(disks[0]);
        let (rotten, other) = (block(1, 2_000), block(2, 100));
        put(&store, &rotten, R1, one);
        let path = file_system.files("/one/segments".as_ref())[0].clone();
        file_system.tamper(&path, |bytes| *bytes.last_mut().unwrap() ^= 1);
        put(&store, &other, R1, one);
        // The smaller disk has no room for another copy.
        (3..).take_while(|_| quota < 1 << 30).take(60).for_each(|number| put(&store, &block(number, 1_900), R1, one));
        assert_eq!(mend(&store, &rotten), WriteDone::Already, "nothing is known to be damaged");
        assert_eq!(store.read_now(&rotten.id()), ReadDone::Damaged);
        // It is set aside before this is answered: a disk does one thing after the other.
        let renewed = ask(&store, DiskRequest::Have { ids: vec![other.id()], renew: Some(R1) });
        assert_eq!(renewed, DiskDone::Have(vec![Possession::Yes]));
        assert_eq!(mend(&store, &rotten), WriteDone::New);
        assert_eq!(store.read_now(&rotten.id()), ReadDone::Found(rotten.clone()));
        assert_eq!(mend(&store, &rotten), WriteDone::Already, "once");
        let DiskDone::List(records) = ask(&store, DiskRequest::List { after: None, max: 1_000 }) else { panic!() };
        let info = records.iter().find(|info| info.id == rotten.id()).unwrap();
        assert_eq!((info.renewed, info.first_seen, &info.redundancies[..]), (5, 1, &[R1][..]));
        store.close();
    }
}
