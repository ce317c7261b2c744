//! How fast a disk is compacted of which half is dead, beside what reading, hashing and writing the same bytes takes, and what
//! small puts meanwhile cost. On the file system of the temporary folder.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fsdfs_core::seam::{DiskDone, DiskRequest, Lease, WriteDone};
use fsdfs_node::metrics::StoreGauges as _;
use fsdfs_node::store::{DiskConfig, IfMissing, Store, StoreConfig};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, DiskId, NodeId, PoolId, Signature};
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::receipt::BlockReceipt;

const MIB: usize = 1 << 20;
/// As much as compaction copies in one go.
const SLICE: usize = 8 * MIB;
/// Shorter than usual, so that a few hundred MiB are several.
const SEGMENT: u64 = 64 << 20;
/// Users are at rest after this.
const AT_REST: Duration = Duration::from_millis(1_500);

fn main() {
    let floor = floor(512 * MIB);
    println!("read, hash, write, sync of 8 MiB each: {floor:.0} MiB/s");
    for (len, all) in [(MIB, 1024 * MIB), (64 << 10, 512 * MIB), (4 << 10, 256 * MIB)] {
        let rate = compaction(len, all / len);
        println!("compaction, blocks of {len} bytes: {rate:.0} MiB/s of live data, {:.2} of that", rate / floor);
    }
    let (alone, beside) = (small_puts(0), small_puts(2048));
    println!("puts of 4 KiB, alone: p50 {:.2} ms, p99 {:.2} ms", alone.0, alone.1);
    println!("beside compaction: p50 {:.2} ms, p99 {:.2} ms, {:.2} times as long", beside.0, beside.1, beside.1 / alone.1);
}

fn floor(bytes: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, target) = (file(folder.path(), "source"), file(folder.path(), "target"));
    let mut rng = fastrand::Rng::with_seed(1);
    let mut slice = vec![0; SLICE];
    for at in (0..bytes).step_by(SLICE) {
        rng.fill(&mut slice);
        source.write_all_at(&slice, at as u64).expect("written");
    }
    source.sync_data().expect("synced");
    let begun = Instant::now();
    for at in (0..bytes).step_by(SLICE) {
        let blocks = (at..at + SLICE).step_by(MIB).map(|at| {
            let mut block = vec![0; MIB];
            source.read_exact_at(&mut block, at as u64).expect("read");
            (at, Block::new(block.into()))
        });
        for (at, block) in blocks {
            assert_ne!(block.id(), BlockId([0; 32]));
            target.write_all_at(block.bytes(), at as u64).expect("written");
        }
        target.sync_data().expect("synced");
    }
    rate(bytes as u64, begun.elapsed())
}

fn file(folder: &Path, name: &str) -> File {
    File::options().read(true).write(true).create_new(true).open(folder.join(name)).expect("a new file")
}

fn rate(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / MIB as f64 / time.as_secs_f64()
}

/// MiB of live data that are copied in a second.
fn compaction(len: usize, blocks: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path());
    half_dead(&store, len, blocks);
    while store.counters().compacted == 0 {
        std::thread::sleep(Duration::from_micros(200));
    }
    let (begun, first) = (Instant::now(), store.counters().compacted);
    let mut last = (begun, first);
    // Until the last segment that is worth it went: nothing more is copied for a while.
    while last.0.elapsed() < AT_REST {
        let now = store.counters().compacted;
        if now > last.1 {
            last = (Instant::now(), now);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    let (_, _, usage) = store.measured_usage().remove(0);
    eprintln!("  {:?}, {} of {blocks} blocks are there", usage, usage.blocks);
    store.close();
    rate(last.1 - first, last.0 - begun)
}

/// Milliseconds that half of the puts take, and 99 of 100 of them, one at a time, while half of so many MiB is dead.
fn small_puts(mib: usize) -> (f64, f64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (store, mut rng) = (open(folder.path()), fastrand::Rng::with_seed(3));
    half_dead(&store, MIB, mib);
    while mib > 0 && store.counters().compacted == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut times = Vec::new();
    let before = store.counters().compacted;
    while times.len() < 4_000 {
        let block = block(4 << 10, &mut rng);
        let begun = Instant::now();
        put(&store, vec![block]);
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let (_, _, usage) = store.usage().remove(0);
    eprintln!("  {} MiB were copied meanwhile, {} MiB are dead still", (store.counters().compacted - before) >> 20, usage.dead >> 20);
    times.sort_by(f64::total_cmp);
    store.close();
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

fn open(folder: &Path) -> Store {
    let disk = DiskConfig { path: folder.join("blocks"), quota_bytes: 64 << 30, if_missing: IfMissing::Refuse };
    let config = StoreConfig {
        pool: PoolId([1; 32]),
        owner: NodeId([2; 32]),
        home: folder.join("home"),
        disks: vec![disk],
        segment_bytes: SEGMENT,
        scrub: None,
    };
    let (store, _) = Store::open(&config, |_| ()).expect("an empty folder");
    assert!(store.wait_ready(Duration::from_secs(30)), "an empty index loads at once");
    store
}

fn block(len: usize, rng: &mut fastrand::Rng) -> Block {
    let mut bytes = vec![7; len];
    rng.fill(&mut bytes[..16]);
    Block::new(bytes.into())
}

/// Blocks of which every second one is deleted.
fn half_dead(store: &Store, len: usize, blocks: usize) {
    let mut rng = fastrand::Rng::with_seed(2);
    let mut dead = std::collections::BTreeSet::new();
    for _ in 0..blocks.div_ceil(64) {
        let some: Vec<Block> = (0..64.min(blocks)).map(|_| block(len, &mut rng)).collect();
        dead.extend(some.iter().map(Block::id).step_by(2));
        put(store, some);
    }
    let mut after = None;
    loop {
        let DiskDone::Copies(Some(page)) = ask(store, DiskRequest::Copies { after, max: 1_000 }) else { return };
        let Some(last) = page.last() else { return };
        after = Some((last.disk, last.copy.info.id));
        let disk: DiskId = last.disk;
        let gone = page.iter().filter(|copy| dead.contains(&copy.copy.info.id));
        let copies: Vec<(BlockId, u64)> = gone.map(|copy| (copy.copy.info.id, copy.sequence)).collect();
        assert_eq!(ask(store, DiskRequest::Delete { disk, copies }), DiskDone::Deleted(true));
    }
}

fn put(store: &Store, blocks: Vec<Block>) {
    let (done_in, done) = mpsc::channel();
    let count = blocks.len();
    for block in blocks {
        let redundancy = Redundancy::Replicas(3);
        let receipt = BlockReceipt { member: NodeId([2; 32]), signature: Signature([3; 64]) };
        let (first_seen, lease, disk, more) = (1, Lease::Now, None, false);
        let write = DiskRequest::Write { block, redundancy, first_seen, lease, receipt, disk, more };
        let done_in = done_in.clone();
        store.submit(write, move |done| drop(done_in.send(done)));
    }
    for _ in 0..count {
        assert_eq!(done.recv(), Ok(DiskDone::Written(WriteDone::New)));
    }
}

fn ask(store: &Store, request: DiskRequest) -> DiskDone {
    let (done, answer) = mpsc::channel();
    store.submit(request, move |answer| drop(done.send(answer)));
    answer.recv().expect("the store answers")
}
