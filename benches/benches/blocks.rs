//! Hashing, sealing and opening the pieces of a file, on one core.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fsdfs_proto::ids::{BlockId, Key, VolumeId};
use fsdfs_proto::volume::{VolumeKeys, open_data, seal_data};

fn blocks(criterion: &mut Criterion) {
    let keys = VolumeKeys::from_write_secret(VolumeId([1; 32]), 1, Key([2; 32]));
    let writer = keys.writer().expect("made with a write secret");
    let mut group = criterion.benchmark_group("blocks");
    for len in [4 << 10, 64 << 10, 1 << 20] {
        let mut piece = vec![0; len];
        fastrand::Rng::with_seed(3).fill(&mut piece);
        let (block, at) = seal_data(writer, &piece);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("hash", len), |bencher| bencher.iter(|| BlockId::of(black_box(&piece))));
        group.bench_function(BenchmarkId::new("seal", len), |bencher| {
            bencher.iter(|| seal_data(writer, black_box(&piece)))
        });
        group.bench_function(BenchmarkId::new("open", len), |bencher| {
            bencher.iter(|| open_data(keys.volume, at, black_box(&block)).expect("sealed above"));
        });
    }
}

criterion_group!(benches, blocks);
criterion_main!(benches);
