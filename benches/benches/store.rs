//! The store on the file system of the temporary folder: appending durably, and asking the index.

use std::sync::mpsc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fsdfs_core::seam::{DiskDone, DiskRequest, Lease, WriteDone};
use fsdfs_node::store::{DiskConfig, IfMissing, SEGMENT_BYTES, Store, StoreConfig};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, NodeId, PoolId, Signature};
use fsdfs_proto::message::{IDS_MAX, Redundancy};
use fsdfs_proto::receipt::BlockReceipt;

/// Records in the index while it is asked.
const RECORDS: usize = 50_000;

fn open(folder: &std::path::Path) -> Store {
    let disk = DiskConfig { path: folder.join("blocks"), quota_bytes: 64 << 30, if_missing: IfMissing::Refuse };
    let config = StoreConfig {
        pool: PoolId([1; 32]),
        owner: NodeId([2; 32]),
        home: folder.join("home"),
        disks: vec![disk],
        segment_bytes: SEGMENT_BYTES,
        scrub: None,
    };
    let (store, _) = Store::open(&config, |_| ()).expect("an empty folder");
    assert!(store.wait_ready(Duration::from_secs(30)), "an empty index loads at once");
    store
}

/// Blocks that no earlier call made.
fn blocks(count: usize, len: usize, rng: &mut fastrand::Rng) -> Vec<Block> {
    let block = |_| {
        let mut bytes = vec![7; len];
        rng.fill(&mut bytes[..16]);
        Block::new(bytes.into())
    };
    (0..count).map(block).collect()
}

/// All at once, as several callers do; returns when all are durable.
fn append(store: &Store, blocks: Vec<Block>) {
    let (done_in, done) = mpsc::channel();
    let count = blocks.len();
    for block in blocks {
        let redundancy = Redundancy::Replicas(3);
        let receipt = BlockReceipt { member: NodeId([2; 32]), signature: Signature([3; 64]) };
        let write = DiskRequest::Write { block, redundancy, first_seen: 1, lease: Lease::Now, receipt, disk: None, more: false };
        let done_in = done_in.clone();
        store.submit(write, move |done| drop(done_in.send(done)));
    }
    for _ in 0..count {
        assert_eq!(done.recv(), Ok(DiskDone::Written(WriteDone::New)));
    }
}

fn have(store: &Store, ids: &[BlockId]) {
    let (done_in, done) = mpsc::channel();
    store.submit(DiskRequest::Have { ids: ids.to_vec(), renew: None }, move |done| drop(done_in.send(done)));
    assert!(matches!(done.recv(), Ok(DiskDone::Have(_))));
}

fn appends(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (store, mut rng) = (open(folder.path()), fastrand::Rng::with_seed(5));
    let mut group = criterion.benchmark_group("append");
    group.sample_size(20);
    for (count, len) in [(1, 4 << 10), (256, 4 << 10), (1, 1 << 20), (16, 1 << 20)] {
        group.throughput(Throughput::Bytes((count * len) as u64));
        group.bench_function(BenchmarkId::new(format!("{count} at once"), len), |bencher| {
            let fresh = || blocks(count, len, &mut rng);
            bencher.iter_batched(fresh, |blocks| append(&store, blocks), BatchSize::PerIteration);
        });
    }
}

fn index(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (store, mut rng) = (open(folder.path()), fastrand::Rng::with_seed(6));
    let mut there = Vec::new();
    while there.len() < RECORDS {
        let more = blocks(2_000, 64, &mut rng);
        there.extend(more.iter().map(Block::id));
        append(&store, more);
    }
    let absent: Vec<BlockId> = (0..IDS_MAX as u64).map(|number| BlockId::of(&number.to_be_bytes())).collect();
    let mut group = criterion.benchmark_group("index");
    group.throughput(Throughput::Elements(IDS_MAX as u64));
    group.bench_function("present", |bencher| {
        let some = || {
            rng.shuffle(&mut there);
            there[..IDS_MAX].to_vec()
        };
        bencher.iter_batched(some, |ids| have(&store, &ids), BatchSize::SmallInput);
    });
    group.bench_function("absent", |bencher| bencher.iter(|| have(&store, &absent)));
}

criterion_group!(benches, appends, index);
criterion_main!(benches);
