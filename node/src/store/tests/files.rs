//! The real file system and the real index.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fsdfs_core::seam::{DiskDone, DiskRequest, Lease, ReadDone, WriteDone};
use fsdfs_proto::message::Redundancy;

use super::rig::{ME, POOL, RECEIPT, block, own};
use crate::metrics::StoreGauges as _;
use crate::store::error::{StoreError, StoreNotice};
use crate::store::{DiskConfig, IfMissing, OpenedStore, Store, StoreConfig};

const R2: Redundancy = Redundancy::Replicas(2);
const SOON: Duration = Duration::from_secs(60);
const BLOCKS: u64 = 60;

struct DamagePlace {
    dir: tempfile::TempDir,
    notices: Arc<Mutex<Vec<StoreNotice>>>,
}

impl DamagePlace {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), notices: Arc::default() }
    }

    fn disk(&self) -> PathBuf {
        self.dir.path().join("deep/below/disk")
    }

    fn open(&self) -> Result<(Store, OpenedStore), StoreError> {
        self.open_with(1 << 30)
    }

    fn open_with(&self, quota_bytes: u64) -> Result<(Store, OpenedStore), StoreError> {
        let config = StoreConfig {
            pool: POOL,
            owner: ME,
            home: self.dir.path().join("home"),
            disks: vec![DiskConfig { path: self.disk(), quota_bytes, if_missing: IfMissing::Refuse }],
            segment_bytes: 64 * 1024,
            scrub: None,
        };
        let notices = self.notices.clone();
        let opened = Store::open(&config, move |notice| notices.lock().unwrap().push(notice))?;
        assert!(opened.0.wait_ready(SOON));
        Ok(opened)
    }

    fn rebuilt(&self) -> bool {
        std::mem::take(&mut *self.notices.lock().unwrap())
            .iter()
            .any(|notice| matches!(notice, StoreNotice::RebuildStarted { .. }))
    }
}

fn ask(store: &Store, request: DiskRequest) -> DiskDone {
    let (done, answer) = mpsc::channel();
    store.submit(request, move |answer| done.send(answer).unwrap());
    answer.recv_timeout(SOON).unwrap()
}

fn fill(store: &Store) {
    for number in 0..BLOCKS {
        let block = block(number, 3000);
        let request = DiskRequest::Write {
            block,
            redundancy: R2,
            first_seen: 1,
            lease: Lease::Now,
            receipt: RECEIPT,
            disk: None,
            more: false,
        };
        assert_eq!(ask(store, request), DiskDone::Written(WriteDone::New));
    }
    assert_eq!(ask(store, DiskRequest::Log { entries: vec![own(1)] }), DiskDone::Logged(true));
}

#[track_caller]
fn check(store: &Store, context: &str) {
    for number in 0..BLOCKS {
        let block = block(number, 3000);
        let read = ask(store, DiskRequest::Read { id: block.id() });
        assert_eq!(read, DiskDone::Read(ReadDone::Found(block)), "{context}, block {number}");
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn du(dir: &Path) -> u64 {
    files(dir).iter().map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn blocks_and_facts_survive_a_stop_and_a_start() {
    let place = DamagePlace::new();
    let (store, _) = place.open().unwrap();
    fill(&store);
    check(&store, "before");
    assert!(matches!(place.open(), Err(StoreError::InUse { .. })));
    store.close();
    assert!(!place.rebuilt());
    let (store, opened) = place.open().unwrap();
    assert_eq!(opened.entries, [own(1)]);
    check(&store, "after");
    assert!(!place.rebuilt(), "a clean stop leaves a good index");
    let (_, _, usage) = store.usage().remove(0);
    assert_eq!(usage.blocks, BLOCKS);
    assert_eq!(usage.segments, du(&place.disk().join("segments")));
    assert_eq!(usage.log, du(&place.disk().join("log")));
}

#[test]
fn a_damaged_index_is_rebuilt() {
    type FileDamage = fn(&Path);
    let damages: [(&str, FileDamage); 6] = [
        ("deleted", |dir| fs::remove_dir_all(dir).unwrap()),
        ("emptied", |dir| files(dir).iter().for_each(|file| fs::write(file, b"").unwrap())),
        ("halved", |dir| files(dir).iter().for_each(|file| cut(file, 2))),
        ("cut to a tenth", |dir| files(dir).iter().for_each(|file| cut(file, 10))),
        ("garbage", |dir| files(dir).iter().for_each(|file| fs::write(file, vec![0xa5; 300_000]).unwrap())),
        ("a file", |dir| {
            fs::remove_dir_all(dir).unwrap();
            fs::write(dir, b"not a folder").unwrap();
        }),
    ];
    for (damage, act) in damages {
        let place = DamagePlace::new();
        let (store, _) = place.open().unwrap();
        fill(&store);
        store.close();
        act(&place.disk().join("index"));
        let (store, _) = place.open().unwrap();
        check(&store, damage);
        assert!(place.rebuilt(), "{damage}: the user is told");
        assert!(!place.disk().join("index.aside").exists(), "{damage}");
        store.close();
        let (store, _) = place.open().unwrap();
        check(&store, damage);
        assert!(!place.rebuilt(), "{damage}: once is enough");
    }
}

fn cut(file: &Path, part: u64) {
    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(file.metadata().unwrap().len() / part).unwrap();
}

#[test]
fn flipped_bytes_in_the_index_never_make_it_serve_wrong() {
    let place = DamagePlace::new();
    let (store, _) = place.open().unwrap();
    fill(&store);
    store.close();
    for round in 0..6u64 {
        let mut rng = fastrand::Rng::with_seed(round);
        for file in files(&place.disk().join("index")) {
            let mut bytes = fs::read(&file).unwrap();
            for _ in 0..40 {
                let at = rng.usize(..bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.u8(..8);
                }
            }
            fs::write(&file, bytes).unwrap();
        }
        let (store, _) = place.open().unwrap();
        for number in 0..BLOCKS {
            let wanted = block(number, 3000);
            let read = loop {
                match store.read_now(&wanted.id()) {
                    ReadDone::NotYet => assert!(store.wait_ready(SOON)),
                    other => break other,
                }
            };
            assert_eq!(read, ReadDone::Found(wanted), "round {round}, block {number}");
        }
        store.close();
    }
}

#[test]
fn an_index_of_another_state_of_the_disk_is_rebuilt() {
    let place = DamagePlace::new();
    let (store, _) = place.open().unwrap();
    fill(&store);
    store.close();
    let newest = files(&place.disk().join("segments")).pop().unwrap();
    fs::remove_file(&newest).unwrap();
    let (store, _) = place.open().unwrap();
    assert!(place.rebuilt());
    let request = DiskRequest::Read { id: block(0, 3000).id() };
    assert_eq!(ask(&store, request), DiskDone::Read(ReadDone::Found(block(0, 3000))));
}

#[test]
fn everything_is_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = DamagePlace::new();
    let (store, _) = place.open().unwrap();
    fill(&store);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.disk()), 0o700);
    assert_eq!(mode(&place.dir.path().join("home")), 0o700);
    for file in files(&place.disk().join("segments")).iter().chain(&files(&place.dir.path().join("home"))) {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_folder_gives_no_more_than_its_disk_has() {
    let world = DamagePlace::new();
    let gives = |quota| world.open_with(quota).unwrap().0.usage()[0].2.quota;
    assert_eq!(gives(1 << 26), 1 << 26);
    let stat = rustix::fs::statvfs(world.dir.path()).unwrap();
    assert_eq!(gives(u64::MAX), stat.f_blocks * stat.f_frsize);
}
