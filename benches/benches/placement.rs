//! The holders of a block by number of disks, beside a plain straw2 loop. Each iteration is another block.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fsdfs_benches::maps::{block, view};
use fsdfs_benches::straw2::Straw2Bucket;
use fsdfs_proto::ids::BlockId;

const COPIES: u8 = 3;

fn holders(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("holders");
    for disks in [10, 100, 1_000, 10_000] {
        let one_each = view(disks, 1);
        let straw2 = Straw2Bucket::new(&one_each);
        let ours = |id| one_each.holders(id, COPIES).len();
        group.bench_function(BenchmarkId::new("fsdfs", disks), |bencher| bencher.iter(each_block(ours)));
        let plain = |id| straw2.holders(id, COPIES.into()).len();
        group.bench_function(BenchmarkId::new("straw2", disks), |bencher| bencher.iter(each_block(plain)));
    }
    let ten_each = view(10_000, 10);
    let ours = |id| ten_each.holders(id, COPIES).len();
    group.bench_function("fsdfs/1000 servers of 10", |bencher| bencher.iter(each_block(ours)));
    group.finish();
}

fn each_block(holders: impl Fn(BlockId) -> usize) -> impl FnMut() -> usize {
    let mut number = 0;
    move || {
        number += 1;
        holders(black_box(block(number)))
    }
}

/// What a change of the map costs once.
fn prepare(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("prepare");
    for disks in [10, 100, 1_000] {
        group.bench_function(BenchmarkId::new("fsdfs", disks), |bencher| {
            bencher.iter(|| view(disks, 1).capacity(COPIES));
        });
    }
    group.finish();
}

criterion_group!(benches, holders, prepare);
criterion_main!(benches);
