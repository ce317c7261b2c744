//! The whole store with its threads: several disks, routing, questions over all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fsdfs_core::seam::{DiskDone, DiskRequest, Lease, ReadDone, WriteDone};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, DiskId, NodeId};
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::record::{CapabilityEntry, LogEntry, RecordInfo, Superblock};

use super::rig::{MemoryIndexes, POOL, RECEIPT, block, config, own};
use crate::metrics::StoreGauges as _;
use crate::store::error::{StoreError, StoreNotice};
use crate::store::fs::FileSystem;
use crate::store::fs::fake_fs::{DiskFault, EIO, FakeFileSystem, PowerCut};
use crate::store::{IfMissing, OpenedStore, Store, StoreConfig};

const R2: Redundancy = Redundancy::Replicas(2);
const SOON: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct SeveralDisks {
    pub file_system: FakeFileSystem,
    pub indexes: Arc<MemoryIndexes>,
    pub notices: Arc<Mutex<Vec<StoreNotice>>>,
}

impl SeveralDisks {
    #[allow(clippy::needless_pass_by_value)]
    pub fn open(&self, config: StoreConfig) -> Result<(Store, OpenedStore), StoreError> {
        let notices = self.notices.clone();
        let note = Arc::new(move |notice| notices.lock().unwrap().push(notice));
        let opened = Store::open_on(Arc::new(self.file_system.clone()), self.indexes.clone(), &config, note)?;
        assert!(opened.0.wait_ready(SOON));
        Ok(opened)
    }

    /// Whether it is told soon: whoever finds out may answer before it tells.
    pub fn noticed(&self, what: impl Fn(&StoreNotice) -> bool) -> bool {
        let begun = Instant::now();
        while !self.notices.lock().unwrap().iter().any(&what) {
            if begun.elapsed() > SOON {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

pub(super) fn ask(store: &Store, request: DiskRequest) -> DiskDone {
    let (done, answer) = mpsc::channel();
    store.submit(request, move |answer| done.send(answer).unwrap());
    answer.recv_timeout(SOON).unwrap()
}

pub(super) fn write(store: &Store, block: &Block, disk: Option<DiskId>) -> WriteDone {
    let request = DiskRequest::Write {
        block: block.clone(),
        redundancy: R2,
        first_seen: 1,
        lease: Lease::Now,
        receipt: RECEIPT,
        disk,
        more: false,
    };
    let DiskDone::Written(done) = ask(store, request) else { panic!() };
    done
}

pub(super) fn read(store: &Store, id: BlockId) -> ReadDone {
    let DiskDone::Read(done) = ask(store, DiskRequest::Read { id }) else { panic!() };
    done
}

pub(super) fn have(store: &Store, ids: &[BlockId], renew: Option<Redundancy>) -> Vec<Possession> {
    let DiskDone::Have(answers) = ask(store, DiskRequest::Have { ids: ids.to_vec(), renew }) else { panic!() };
    answers
}

pub(super) fn list(store: &Store, after: Option<BlockId>, max: usize) -> Vec<RecordInfo> {
    let DiskDone::List(records) = ask(store, DiskRequest::List { after, max }) else { panic!() };
    records
}

fn two() -> StoreConfig {
    config(&[("/one", 1 << 30), ("/two", 1 << 30)])
}

#[test]
fn blocks_go_where_they_are_sent_and_are_found_wherever_they_are() {
    let world = SeveralDisks::default();
    let (store, opened) = world.open(two()).unwrap();
    let disks: Vec<DiskId> = opened.disks.iter().map(|disk| disk.id).collect();
    assert_eq!(disks.len(), 2);
    let blocks: Vec<Block> = (0..40).map(|number| block(number, 800)).collect();
    for (number, block) in blocks.iter().enumerate() {
        assert_eq!(write(&store, block, Some(disks[number % 2])), WriteDone::New);
    }
    let spread: Vec<u64> = store.usage().iter().map(|(_, _, usage)| usage.blocks).collect();
    assert_eq!(spread, [20, 20]);
    for block in &blocks {
        assert_eq!(read(&store, block.id()), ReadDone::Found(block.clone()));
        assert_eq!(store.read_now(&block.id()), ReadDone::Found(block.clone()));
    }
    // Sent to the other disk, it is not stored a second time.
    assert_eq!(write(&store, &blocks[0], Some(disks[1])), WriteDone::Already);
    assert_eq!(store.usage().iter().map(|(_, _, usage)| usage.blocks).sum::<u64>(), 40);

    let ids: Vec<BlockId> = blocks.iter().map(Block::id).chain([block(99, 1).id()]).collect();
    for renew in [None, Some(Redundancy::Replicas(5))] {
        let answers = have(&store, &ids, renew);
        assert!(answers[..40].iter().all(|answer| *answer == Possession::Yes));
        assert_eq!(answers[40], Possession::No);
    }
    let mut listed = Vec::new();
    loop {
        let page = list(&store, listed.last().map(|record: &RecordInfo| record.id), 7);
        listed.extend(page.clone());
        if page.len() < 7 {
            break;
        }
    }
    let mut expected: Vec<BlockId> = blocks.iter().map(Block::id).collect();
    expected.sort_unstable();
    assert_eq!(listed.iter().map(|record| record.id).collect::<Vec<_>>(), expected);
    assert!(
        listed.iter().all(|record| record.redundancies == [Redundancy::Replicas(5)]
            && record.len == 800
            && record.first_seen == 1)
    );
    store.close();
}

#[test]
fn a_full_disk_hands_over_to_the_next_and_the_last_says_so() {
    let world = SeveralDisks::default();
    let (store, opened) = world.open(config(&[("/one", 60_000), ("/two", 120_000)])).unwrap();
    let small = opened.disks.iter().find(|disk| disk.quota_bytes == 60_000).unwrap().id;
    let done: Vec<WriteDone> = (0..120).map(|number| write(&store, &block(number, 1500), Some(small))).collect();
    let stored = done.iter().filter(|done| **done == WriteDone::New).count();
    assert!(stored > 50 && done.last() == Some(&WriteDone::Full), "{stored} stored, then {:?}", done.last());
    for (_, _, usage) in store.usage() {
        assert!(usage.used() <= usage.quota && usage.blocks > 10, "{usage:?}");
    }
    assert!(store.disks().iter().all(|disk| !disk.takes_blocks()));
}

#[test]
fn a_disk_that_dies_is_taken_out_and_the_node_serves_on() {
    let world = SeveralDisks::default();
    let (store, opened) = world.open(two()).unwrap();
    let one = opened.disks[0].id;
    let other = opened.disks[1].id;
    write(&store, &block(1, 800), Some(one));
    write(&store, &block(2, 800), Some(other));
    let fault = |reads| DiskFault { reads, at: 1, lasting: true, below: "/one".into(), error: EIO };
    world.file_system.break_with(Some(fault(true)));
    assert_eq!(read(&store, block(1, 800).id()), ReadDone::Failed);
    assert_eq!(store.disks().iter().map(|disk| disk.id).collect::<Vec<_>>(), [other]);
    assert!(world.noticed(|notice| matches!(notice, StoreNotice::Disks(states) if states.len() == 1)));
    assert!(matches!(read(&store, block(2, 800).id()), ReadDone::Found(_)));
    assert_eq!(write(&store, &block(3, 800), Some(one)), WriteDone::New, "another disk takes it");
    assert_eq!(have(&store, &[block(3, 800).id()], Some(R2)), [Possession::Yes]);
    for renew in [None, Some(R2)] {
        assert_eq!(have(&store, &[block(1, 800).id()], renew), [Possession::No], "renewing {renew:?}");
    }
    assert_eq!(list(&store, None, 10).len(), 2);
    store.close();

    // At the next start it does not answer either.
    let opened = world.open(two()).unwrap();
    assert_eq!(opened.1.disks.len(), 1);
    drop(opened);
    world.file_system.break_with(None);
    let (store, opened) = world.open(two()).unwrap();
    assert_eq!(opened.disks.len(), 2);
    assert!(matches!(read(&store, block(1, 800).id()), ReadDone::Found(_)));
}

#[test]
fn a_failed_write_is_taken_by_the_other_disk() {
    let world = SeveralDisks::default();
    let (store, opened) = world.open(two()).unwrap();
    let one = opened.disks[0].id;
    world.file_system.break_with(Some(DiskFault {
        reads: false,
        at: 1,
        lasting: true,
        below: "/one".into(),
        error: EIO,
    }));
    assert_eq!(write(&store, &block(1, 800), Some(one)), WriteDone::New);
    let failing = store.disks().into_iter().find(|disk| disk.id == one).unwrap();
    assert!(!failing.takes_blocks());
}

#[test]
fn the_log_is_the_union_of_all_copies_without_capabilities_on_disks() {
    let world = SeveralDisks::default();
    let (store, _) = world.open(two()).unwrap();
    let secret = LogEntry::Capability(CapabilityEntry { volume: POOL.volume(), text: "fsdfs-cap-1:secret".into() });
    let entries = vec![own(1), secret.clone(), own(2)];
    assert_eq!(ask(&store, DiskRequest::Log { entries: entries.clone() }), DiskDone::Logged(true));
    store.close();
    let (store, opened) = world.open(two()).unwrap();
    assert_eq!(opened.entries, entries);
    store.compact_log(vec![secret.clone(), own(2)]);
    assert_eq!(ask(&store, DiskRequest::Log { entries: vec![own(3)] }), DiskDone::Logged(true));
    store.close();

    for disk in ["/one/log", "/two/log"] {
        for path in world.file_system.files(disk.as_ref()) {
            world.file_system.tamper(&path, |bytes| assert!(!bytes.windows(6).any(|window| window == b"secret")));
        }
    }
    let (store, opened) = world.open(two()).unwrap();
    assert_eq!(opened.entries, [secret, own(2), own(3)]);
    store.close();
    world.file_system.files("/home/log".as_ref()).iter().for_each(|path| world.file_system.tamper(path, Vec::clear));
    let (_, opened) = world.open(two()).unwrap();
    assert_eq!(opened.entries, [own(2), own(3)], "the disks have what is not secret");
}

#[test]
fn logs_that_are_twice_as_long_as_they_have_to_be_are_compacted_while_they_are_written() {
    let world = SeveralDisks::default();
    let (store, _) = world.open(two()).unwrap();
    let log = |entries: Vec<LogEntry>| assert_eq!(ask(&store, DiskRequest::Log { entries }), DiskDone::Logged(true));
    let live: Vec<LogEntry> = (0..100).map(own).collect();
    log(live.clone());
    let mut outdated = 1_000;
    let is_told = |notice: &StoreNotice| matches!(notice, StoreNotice::LogLong { .. });
    while !world.notices.lock().unwrap().iter().any(is_told) {
        log(vec![own(outdated)]);
        outdated += 1;
        assert!(outdated < 20_000, "it is long by now");
    }
    log(vec![own(50_000)]);
    store.compact_log(live.clone());
    log(vec![own(50_001)]);
    store.close();
    for folder in ["/home/log", "/one/log", "/two/log"] {
        let files = world.file_system.list(folder.as_ref()).unwrap();
        let bytes: u64 = files.iter().filter(|(name, _)| name.ends_with(".log")).map(|(_, len)| len).sum();
        assert!(bytes < 16 << 10, "{folder} has {bytes} bytes: {files:?}");
    }
    let (_, opened) = world.open(two()).unwrap();
    let kept = |entry: &LogEntry| opened.entries.contains(entry);
    assert!(live.iter().all(kept) && kept(&own(50_000)) && kept(&own(50_001)), "what came meanwhile stays");
    // The last ones may have come while the files were sealed.
    assert!(!kept(&own(1_000)) && !kept(&own(1_500)));
}

#[test]
fn a_home_folder_that_fails_confirms_nothing_and_recovers() {
    let world = SeveralDisks::default();
    let (store, _) = world.open(config(&[])).unwrap();
    world.file_system.break_with(Some(DiskFault {
        reads: false,
        at: 1,
        lasting: true,
        below: "/home".into(),
        error: EIO,
    }));
    assert_eq!(ask(&store, DiskRequest::Log { entries: vec![own(1)] }), DiskDone::Logged(false));
    assert!(world.noticed(|notice| matches!(notice, StoreNotice::LogFailed { .. })));
    world.file_system.break_with(None);
    assert_eq!(ask(&store, DiskRequest::Log { entries: vec![own(2)] }), DiskDone::Logged(true));
    drop(store);
    world.file_system.restart(PowerCut::Lose);
    let (_, opened) = world.open(config(&[])).unwrap();
    assert!(opened.entries.contains(&own(2)));
}

#[test]
fn a_node_without_disks_answers() {
    let world = SeveralDisks::default();
    let (store, opened) = world.open(config(&[])).unwrap();
    assert!(opened.disks.is_empty());
    assert_eq!(write(&store, &block(1, 10), None), WriteDone::Full);
    assert_eq!(read(&store, block(1, 10).id()), ReadDone::No);
    assert_eq!(have(&store, &[block(1, 10).id()], Some(R2)), [Possession::No]);
    assert!(list(&store, None, 10).is_empty());
    let other = store.clone();
    store.close();
    assert_eq!(read(&other, block(1, 10).id()), ReadDone::Failed);
    assert_eq!(ask(&other, DiskRequest::Log { entries: vec![own(1)] }), DiskDone::Logged(false));
}

#[test]
fn disks_of_others_and_missing_disks_are_refused() {
    let world = SeveralDisks::default();
    world.open(two()).unwrap();
    let mut other_pool = two();
    other_pool.pool = fsdfs_proto::ids::PoolId([8; 32]);
    other_pool.home = "/elsewhere".into();
    assert!(matches!(world.open(other_pool), Err(StoreError::ForeignPool { .. })));
    let mut other_node = two();
    other_node.owner = NodeId([8; 32]);
    other_node.home = "/elsewhere".into();
    assert!(matches!(world.open(other_node), Err(StoreError::ForeignOwner { .. })));
    let twice = config(&[("/one", 1 << 30), ("/one", 1 << 30)]);
    assert!(matches!(world.open(twice), Err(StoreError::Twice { .. })));
    let running = world.open(two()).unwrap();
    assert!(matches!(world.open(two()), Err(StoreError::InUse { .. })));
    drop(running);

    world.file_system.unmount("/one".as_ref());
    assert!(matches!(world.open(two()), Err(StoreError::Missing { .. })));
    let mut without = two();
    without.disks[0].if_missing = IfMissing::Skip;
    assert_eq!(world.open(without).unwrap().1.disks.len(), 1);
    let mut anew = two();
    anew.disks[0].if_missing = IfMissing::Reinitialize;
    assert_eq!(world.open(anew).unwrap().1.disks.len(), 2);
    assert_eq!(world.open(two()).unwrap().1.disks.len(), 2, "the new disk is known now");
}

#[test]
fn a_forgotten_mount_is_noticed_although_another_disk_was_mounted_in_its_place() {
    for if_missing in [IfMissing::Refuse, IfMissing::Skip] {
        let world = SeveralDisks::default();
        world.open(two()).unwrap();
        let superblock = |path: &str, bytes: Option<&[u8]>| {
            let mut found = Vec::new();
            world.file_system.tamper(&Path::new(path).join("superblock"), |there| {
                found.clone_from(there);
                bytes.into_iter().for_each(|bytes| *there = bytes.to_vec());
            });
            found
        };
        let (one, other) = (superblock("/one", None), superblock("/two", None));
        let disk = |superblock: &[u8]| Superblock::decode(superblock).unwrap().disk();
        let disks = |opened: &OpenedStore| opened.disks.iter().map(|disk| disk.id).collect::<BTreeSet<_>>();
        let mut config = two();
        config.disks[1].if_missing = if_missing;

        // The disk of `/two` is in `/one`, the other is not mounted.
        superblock("/one", Some(&other));
        world.file_system.unmount("/two".as_ref());
        for start in 1..3 {
            match world.open(config.clone()) {
                Err(StoreError::Missing { .. }) => assert_eq!(if_missing, IfMissing::Refuse),
                opened => assert_eq!(disks(&opened.unwrap().1), [disk(&other)].into(), "start {start}, {if_missing:?}"),
            }
            assert_eq!(
                world.file_system.files("/two".as_ref()),
                Vec::<PathBuf>::new(),
                "start {start}, {if_missing:?}"
            );
        }

        // It comes back: the two have changed places, which is nobody's business.
        let bare = world.file_system.create("/two/superblock".as_ref()).unwrap();
        bare.write_at(&[&one], 0).unwrap();
        let both = BTreeSet::from([disk(&other), disk(&one)]);
        assert_eq!(disks(&world.open(config.clone()).unwrap().1), both, "{if_missing:?}");
        assert_eq!((superblock("/one", Some(&one)), superblock("/two", Some(&other))), (other, one));
        assert_eq!(disks(&world.open(config).unwrap().1), both, "{if_missing:?}");
    }
}

#[test]
fn a_copy_of_a_disk_beside_it_is_refused_untouched() {
    let world = SeveralDisks::default();
    world.open(config(&[("/one", 1 << 30)])).unwrap();
    let mut superblock = Vec::new();
    world.file_system.tamper("/one/superblock".as_ref(), |bytes| superblock.clone_from(bytes));
    world.file_system.make_dir("/two".as_ref()).unwrap();
    world.file_system.create("/two/superblock".as_ref()).unwrap().write_at(&[&superblock], 0).unwrap();
    for _ in 0..2 {
        let Err(refused) = world.open(two()) else { panic!("both are attached") };
        assert!(matches!(refused, StoreError::Cloned { .. }), "{refused}");
        for path in ["/one/superblock", "/two/superblock"] {
            world.file_system.tamper(path.as_ref(), |bytes| assert_eq!(*bytes, superblock, "{path}"));
        }
    }
    assert_eq!(world.file_system.files("/two".as_ref()).len(), 1);
    assert_eq!(world.open(config(&[("/one", 1 << 30)])).unwrap().1.disks.len(), 1);
}

#[test]
fn a_disk_that_lost_its_superblock_is_not_begun_anew() {
    let world = SeveralDisks::default();
    let (store, opened) = world.open(two()).unwrap();
    write(&store, &block(1, 800), Some(opened.disks[0].id));
    store.close();
    world.file_system.remove("/one/superblock".as_ref()).unwrap();
    let before = world.file_system.files("/one".as_ref());
    for if_missing in [IfMissing::Refuse, IfMissing::Reinitialize] {
        let mut config = two();
        config.disks[0].if_missing = if_missing;
        let Err(refused) = world.open(config) else { panic!("it was begun anew") };
        assert!(matches!(refused, StoreError::NoSuperblock { segments: 1, .. }), "{refused}");
    }
    let mut without = two();
    without.disks[0].if_missing = IfMissing::Skip;
    assert_eq!(world.open(without).unwrap().1.disks.len(), 1);
    assert_eq!(world.file_system.files("/one".as_ref()), before);
}

#[test]
fn a_block_on_two_disks_is_renewed_on_the_good_one() {
    let world = SeveralDisks::default();
    let (store, opened) = world.open(two()).unwrap();
    let (one, other) = (opened.disks[0].id, opened.disks[1].id);
    write(&store, &block(1, 800), Some(one));
    // The first fails to take a renewal, so the second copy goes to the other disk.
    world.file_system.break_with(Some(DiskFault {
        reads: false,
        at: 1,
        lasting: true,
        below: "/one".into(),
        error: EIO,
    }));
    let more = Some(Redundancy::Replicas(7));
    assert_eq!(have(&store, &[block(1, 800).id()], more), [Possession::NotYet]);
    assert_eq!(write(&store, &block(1, 800), Some(other)), WriteDone::New);
    assert_eq!(have(&store, &[block(1, 800).id()], more), [Possession::Yes]);
}

#[test]
fn a_disk_of_another_node_is_refused_untouched_and_stays_that_nodes() {
    let world = SeveralDisks::default();
    let disks = |opened: OpenedStore| opened.disks.iter().map(|disk| disk.id).collect::<Vec<_>>();
    let (store, opened) = world.open(two()).unwrap();
    let block = block(1, 800);
    write(&store, &block, Some(opened.disks[0].id));
    store.close();
    let here = disks(opened);
    let before = world.file_system.files("/one".as_ref());
    let stranger = StoreConfig { owner: NodeId([7; 32]), home: "/elsewhere".into(), ..two() };
    let Err(refused) = world.open(stranger) else { panic!("it was taken over") };
    assert!(matches!(refused, StoreError::ForeignOwner { .. }), "{refused}");
    assert_eq!(world.file_system.files("/one".as_ref()), before);
    // Another home folder of the same node knows it at once: the id follows from the superblock alone.
    let other_home = StoreConfig { home: "/elsewhere".into(), ..two() };
    let (store, opened) = world.open(other_home).unwrap();
    assert_eq!(disks(opened), here);
    assert_eq!(have(&store, &[block.id()], None), [Possession::Yes]);
}

#[test]
fn many_writers_share_syncs() {
    let world = SeveralDisks::default();
    let (store, _) = world.open(StoreConfig { segment_bytes: 4 << 20, ..config(&[("/one", 1 << 30)]) }).unwrap();
    let before = store.counters();
    let (done, answers) = mpsc::channel();
    for number in 0..500 {
        let done = done.clone();
        let block = block(number, 100);
        let request = DiskRequest::Write {
            block,
            redundancy: R2,
            first_seen: 1,
            lease: Lease::Now,
            receipt: RECEIPT,
            disk: None,
            more: false,
        };
        store.submit(request, move |answer| done.send(answer).unwrap());
    }
    for _ in 0..500 {
        assert_eq!(answers.recv_timeout(SOON).unwrap(), DiskDone::Written(WriteDone::New));
    }
    let counted = store.counters();
    assert_eq!(counted.records - before.records, 500);
    assert!(counted.syncs - before.syncs < 500, "{counted:?}");
}

#[test]
fn a_renewal_that_is_not_durable_is_no_yes() {
    let world = SeveralDisks::default();
    let (store, opened) = world.open(two()).unwrap();
    write(&store, &block(1, 800), Some(opened.disks[0].id));
    write(&store, &block(2, 800), Some(opened.disks[1].id));
    world.file_system.break_with(Some(DiskFault {
        reads: false,
        at: 1,
        lasting: true,
        below: "/one".into(),
        error: EIO,
    }));
    let ids = [block(1, 800).id(), block(2, 800).id(), block(3, 800).id()];
    let more = Some(Redundancy::Replicas(7));
    assert_eq!(have(&store, &ids, more), [Possession::NotYet, Possession::Yes, Possession::No]);
    assert_eq!(have(&store, &ids, None), [Possession::Yes, Possession::Yes, Possession::No]);
}

#[test]
fn what_is_no_block_is_refused() {
    let world = SeveralDisks::default();
    let (store, _) = world.open(two()).unwrap();
    assert_eq!(write(&store, &block(1, 0), None), WriteDone::Failed);
    assert_eq!(write(&store, &block(1, fsdfs_proto::block::BLOCK_BYTES_MAX + 1), None), WriteDone::Failed);
    assert_eq!(write(&store, &block(1, fsdfs_proto::block::BLOCK_BYTES_MAX), None), WriteDone::New);
    assert!(matches!(read(&store, block(1, fsdfs_proto::block::BLOCK_BYTES_MAX).id()), ReadDone::Found(_)));
}

#[test]
fn a_slip_in_a_path_begins_no_empty_disk() {
    let world = SeveralDisks::default();
    let one = || config(&[("/one", 1 << 30)]);
    let slip = |if_missing| {
        let mut config = config(&[("/onne", 1 << 30)]);
        config.disks[0].if_missing = if_missing;
        config
    };
    // Nothing was stored yet: nobody loses anything.
    world.open(one()).unwrap();
    world.open(config(&[("/other", 1 << 30)])).unwrap();
    let (store, opened) = world.open(one()).unwrap();
    write(&store, &block(1, 800), Some(opened.disks[0].id));
    store.close();

    let file_system: &dyn FileSystem = &world.file_system;
    let check =
        |config: &StoreConfig| crate::store::disk::attach::check_folders(file_system, &config.home, &config.disks);
    let refused = check(&slip(IfMissing::Refuse)).unwrap_err();
    assert!(matches!(refused, StoreError::Elsewhere { bytes: 801.., .. }), "{refused}");
    let Err(refused) = world.open(slip(IfMissing::Refuse)) else { panic!("it was begun") };
    let text = refused.to_string();
    assert!(
        text.contains("/onne is empty, while /one, which holds ") && text.contains("fsdfs disk new /onne"),
        "{text}"
    );
    // Whoever wrote the path is there to correct it.
    assert!(matches!(world.open(slip(IfMissing::Skip)), Err(StoreError::Elsewhere { .. })));
    assert!(world.file_system.files("/onne".as_ref()).is_empty());

    // Another disk beside it, or the same one elsewhere, is no slip.
    check(&two()).unwrap();
    assert_eq!(world.open(two()).unwrap().1.disks.len(), 2);
    // Not mounted is not given up.
    world.file_system.unmount("/one".as_ref());
    assert!(matches!(world.open(config(&[("/third", 1 << 30)])), Err(StoreError::Elsewhere { .. })));
    assert_eq!(world.open(slip(IfMissing::Reinitialize)).unwrap().1.disks.len(), 1);
    assert_eq!(world.open(slip(IfMissing::Refuse)).unwrap().1.disks.len(), 1, "it is known now");
}

#[test]
fn a_disk_that_has_room_again_says_so_unasked() {
    let world = SeveralDisks::default();
    let (store, _) = world.open(config(&[("/one", 1 << 30)])).unwrap();
    world.file_system.set_free(10_000);
    let takes = |takes: bool| move |notice: &StoreNotice| matches!(notice, StoreNotice::Disks(disks) if disks[0].takes_blocks() == takes);
    assert!(world.noticed(takes(false)), "nobody wrote anything");
    assert_eq!(write(&store, &block(1, 800), None), WriteDone::Full);
    world.notices.lock().unwrap().clear();
    world.file_system.set_free(1 << 30);
    assert!(world.noticed(takes(true)));
    assert_eq!(write(&store, &block(1, 800), None), WriteDone::New);
}

#[test]
fn a_copy_that_cannot_be_read_is_replaced_when_the_disk_works_otherwise() {
    let world = SeveralDisks::default();
    let (store, _) = world.open(config(&[("/one", 1 << 30)])).unwrap();
    write(&store, &block(1, 800), None);
    write(&store, &block(2, 800), None);
    let segment = world.file_system.files("/one/segments".as_ref()).remove(0);
    world.file_system.spoil(&segment, 300..301);
    assert_eq!(read(&store, block(1, 800).id()), ReadDone::Failed);
    assert!(world.noticed(|notice| matches!(notice, StoreNotice::Back { .. })));
    assert!(world.noticed(|notice| matches!(notice, StoreNotice::Damaged { .. })));
    assert!(matches!(read(&store, block(2, 800).id()), ReadDone::Found(_)));
    assert_eq!(write(&store, &block(1, 800), None), WriteDone::New);
    assert!(matches!(read(&store, block(1, 800).id()), ReadDone::Found(_)));
}

#[test]
fn a_disk_that_is_not_there_at_the_start_is_taken_in_when_it_is() {
    let world = SeveralDisks::default();
    let (store, opened) = world.open(two()).unwrap();
    write(&store, &block(1, 800), Some(opened.disks[0].id));
    assert_eq!(ask(&store, DiskRequest::Log { entries: vec![own(7)] }), DiskDone::Logged(true));
    store.close();
    let before = world.file_system.fork();
    world.file_system.unmount("/one".as_ref());
    let mut without = two();
    without.disks[0].if_missing = IfMissing::Skip;
    let (store, opened) = world.open(without).unwrap();
    assert_eq!(opened.disks.len(), 1);
    assert_eq!(read(&store, block(1, 800).id()), ReadDone::No);
    world.file_system.mount_again(&before, "/one".as_ref());
    assert!(world.noticed(|notice| matches!(notice, StoreNotice::Disks(disks) if disks.len() == 2)));
    let tells = |notice: &StoreNotice| matches!(notice, StoreNotice::LogCopy { entries, .. } if entries == &[own(7)]);
    assert!(world.noticed(tells), "the log in the home folder may have been lost meanwhile");
    assert!(store.wait_ready(SOON));
    assert!(matches!(read(&store, block(1, 800).id()), ReadDone::Found(_)));
    assert_eq!(write(&store, &block(2, 800), None), WriteDone::New);
    store.close();
    assert_eq!(world.open(two()).unwrap().1.disks.len(), 2);
}
