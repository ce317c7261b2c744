//! What crosses the wire for every block, and what lies before it on a disk.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fsdfs_proto::codec::{decode, encode};
use fsdfs_proto::ids::{BlockId, Digest, NodeId, Signature};
use fsdfs_proto::message::{AttachedBlock, HaveRequest, IDS_MAX, Message, Redundancy, StoreRequest};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::record::{RecordHeader, RecordKind};

const RECEIPT: BlockReceipt = BlockReceipt { member: NodeId([2; 32]), signature: Signature([3; 64]) };

fn messages(criterion: &mut Criterion) {
    let map = Digest([4; 32]);
    let redundancy = Redundancy::Replicas(3);
    let block = AttachedBlock { id: BlockId([1; 32]), len: 1 << 20 };
    let store =
        StoreRequest { request: 7, map, redundancy, age_ms: 0, lease_ms: 0, receipt: RECEIPT, more: false, block };
    let store = Message::Store(store);
    let ids = (0..IDS_MAX).map(|number| BlockId([number as u8; 32])).collect();
    let have = Message::Have(HaveRequest { request: 7, renew: true, map, redundancy, ids });
    for (name, message) in [("store", store), ("have", have)] {
        let bytes = encode(&message);
        let mut group = criterion.benchmark_group("message");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("encode {name}"), |bencher| bencher.iter(|| encode(black_box(&message))));
        group.bench_function(format!("decode {name}"), |bencher| {
            bencher.iter(|| decode::<Message>(black_box(&bytes)).expect("encoded above"));
        });
    }
}

fn record(criterion: &mut Criterion) {
    let header = RecordHeader {
        kind: RecordKind::Block,
        flags: 0,
        payload_len: 1 << 20,
        id: BlockId([1; 32]),
        sequence: 9,
        first_seen: 1_700_000_000_000,
        renewed: 1_700_000_000_000,
        receipt: RECEIPT,
        redundancies: vec![Redundancy::Replicas(3)],
        payload_crc: 5,
    };
    let marker = [7; 8];
    let bytes = header.encode(&marker);
    let mut group = criterion.benchmark_group("record");
    group.bench_function("encode header", |bencher| bencher.iter(|| black_box(&header).encode(&marker)));
    group.bench_function("decode header", |bencher| {
        bencher.iter(|| RecordHeader::decode(black_box(&bytes), &marker).expect("encoded above"));
    });
}

criterion_group!(benches, messages, record);
criterion_main!(benches);
