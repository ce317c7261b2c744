//! Looking for damage on the real file system.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use fsdfs_core::seam::{CopyChange, DiskDone, DiskRequest, Lease, WriteDone};
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::message::repair::{AssuredCopy, AssuredState};

use super::rig::{ME, POOL, RECEIPT, block};
use crate::metrics::StoreGauges as _;
use crate::store::error::StoreNotice;
use crate::store::{DiskConfig, IfMissing, Store, StoreConfig};

const SOON: Duration = Duration::from_secs(60);
const BLOCKS: u64 = 60;
const LEN: usize = 3000;

struct ScrubPlace(tempfile::TempDir);

impl ScrubPlace {
    fn open(&self, scrub: Option<Duration>) -> (Store, Receiver<StoreNotice>) {
        let path = self.0.path().join("disk");
        let config = StoreConfig {
            pool: POOL,
            owner: ME,
            home: self.0.path().join("home"),
            disks: vec![DiskConfig { path, quota_bytes: 1 << 30, if_missing: IfMissing::Refuse }],
            segment_bytes: 64 * 1024,
            scrub,
        };
        let (said, notices) = mpsc::channel();
        let (store, _) = Store::open(&config, move |notice| drop(said.send(notice))).unwrap();
        assert!(store.wait_ready(SOON));
        (store, notices)
    }

    /// Flips a byte of these blocks, wherever they stand.
    fn flip(&self, numbers: &[u64]) {
        let segments = fs::read_dir(self.0.path().join("disk/segments")).unwrap();
        let paths: Vec<PathBuf> = segments.map(|entry| entry.unwrap().path()).collect();
        for number in numbers {
            let block = block(*number, LEN);
            let found = paths.iter().find_map(|path| {
                let bytes = fs::read(path).unwrap();
                let at = bytes.windows(LEN).position(|window| window == &block.bytes()[..])?;
                Some((path, at as u64 + 100, !bytes[at + 100]))
            });
            let (path, at, byte) = found.unwrap();
            OpenOptions::new().write(true).open(path).unwrap().write_all_at(&[byte], at).unwrap();
        }
    }
}

fn ask(store: &Store, request: DiskRequest) -> DiskDone {
    let (done, answer) = mpsc::channel();
    store.submit(request, move |answer| done.send(answer).unwrap());
    answer.recv_timeout(SOON).unwrap()
}

fn assured(store: &Store, numbers: impl Iterator<Item = u64>) -> Vec<AssuredCopy> {
    let ids = numbers.map(|number| block(number, LEN).id()).collect();
    match ask(store, DiskRequest::Assure { ids }) {
        DiskDone::Assured(copies) => copies,
        other => panic!("{other:?}"),
    }
}

/// Of which blocks the engine was told that they are damaged, when a round has ended and they are marked durably; and how many the round
/// says it found.
fn round(notices: &Receiver<StoreNotice>) -> (Vec<BlockId>, u64) {
    let (mut found, mut ended) = (Vec::new(), None);
    while ended.is_none_or(|bad| found.len() < usize::try_from(bad).unwrap()) {
        match notices.recv_timeout(SOON).unwrap() {
            StoreNotice::Changed(changes) => {
                found.extend(changes.iter().filter(|change| change.is_damage()).filter_map(CopyChange::id));
            }
            StoreNotice::Scrubbed { bad, .. } => ended = Some(bad),
            _ => {}
        }
    }
    found.sort_unstable();
    (found, ended.unwrap())
}

fn filled() -> ScrubPlace {
    let place = ScrubPlace(tempfile::tempdir().unwrap());
    let (store, _notices) = place.open(None);
    for number in 0..BLOCKS {
        let (redundancy, lease) = (Redundancy::Replicas(2), Lease::Now);
        let block = block(number, LEN);
        let write =
            DiskRequest::Write { block, redundancy, first_seen: 1, lease, receipt: RECEIPT, disk: None, more: false };
        assert_eq!(ask(&store, write), DiskDone::Written(WriteDone::New));
    }
    store.close();
    place
}

#[test]
fn one_round_finds_every_flipped_byte_and_nothing_else() {
    let place = filled();
    let bad = [0, 7, 8, 31, 59];
    place.flip(&bad);
    let (store, notices) = place.open(Some(Duration::from_secs(1)));
    let mut expected: Vec<BlockId> = bad.iter().map(|number| block(*number, LEN).id()).collect();
    expected.sort_unstable();
    assert_eq!(round(&notices), (expected, bad.len() as u64));
    let state = store.scrub();
    assert!(state.bad_found + state.bad_found_before >= bad.len() as u64 && state.last_ended_ms.is_some(), "{state:?}");
    // The engine hears of it just before the index shows it.
    let is_marked = |copies: &[AssuredCopy]| bad.iter().all(|at| copies[*at as usize].state == AssuredState::Damaged);
    let begun = Instant::now();
    let mut copies = assured(&store, 0..BLOCKS);
    while !is_marked(&copies) && begun.elapsed() < SOON {
        copies = assured(&store, 0..BLOCKS);
    }
    for (number, copy) in (0..).zip(&copies) {
        let state = if bad.contains(&number) { AssuredState::Damaged } else { AssuredState::Held };
        assert_eq!((copy.state, copy.len as usize), (state, LEN), "block {number}");
        assert_eq!(copy.verified_h.is_some_and(|hours| hours <= 1), !bad.contains(&number), "block {number}: {copy:?}");
    }
    store.close();
}

#[test]
fn what_was_verified_is_known_after_a_restart_and_what_is_not_here_is_said_so() {
    let place = filled();
    let (store, notices) = place.open(None);
    assert!(assured(&store, 0..BLOCKS).iter().all(|copy| *copy == AssuredCopy { verified_h: None, ..HELD }));
    store.close();
    drop(notices);
    let (store, notices) = place.open(Some(Duration::from_secs(1)));
    assert_eq!(round(&notices), (Vec::new(), 0));
    store.close();
    let (store, _notices) = place.open(None);
    let copies = assured(&store, 0..BLOCKS);
    assert!(copies.iter().all(|copy| copy.verified_h.is_some_and(|hours| hours <= 1)), "{copies:?}");
    assert_eq!(assured(&store, 100..101), [AssuredCopy::NONE]);
    store.close();
}

const HELD: AssuredCopy = AssuredCopy { state: AssuredState::Held, len: LEN as u32, verified_h: None };
