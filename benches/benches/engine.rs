//! Decisions of one node: puts of blocks whose disk answers at once, one input after the other, nothing else around it.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fsdfs_core::engine::{Engine, Patience, Profile, Start};
use fsdfs_core::seam::{
    Command, DiskCondition, DiskDone, DiskRequest, DiskState, Effect, Input, LinksDone, Now, PutOutcome, ReadDone,
    Reply, WriteDone,
};
use fsdfs_core::tree::TreeParams;
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Role;
use fsdfs_proto::ids::{DiskId, DiskNonce, Instance};
use fsdfs_proto::message::repair::AssuredCopy;
use fsdfs_proto::message::{Possession, Redundancy};
use simulations::world::pool::PoolKeys;

/// Inputs of one put: the command, what the index knows, what became of the write.
const INPUTS: u64 = 3;

fn founder() -> (Engine, Vec<Effect>) {
    let mut pool = PoolKeys::found(1);
    let (key, node, chain) = pool.enrol(Role::Full);
    let nonce = DiskNonce([4; 16]);
    let instance = Instance([3; 8]);
    let profile = Profile { name: "anna".into(), site: "here".into(), addrs: Vec::new(), uplink: None, instance, flags: 0 };
    let disk = DiskState {
        id: DiskId::of(node, nonce),
        nonce,
        quota_bytes: 1 << 40,
        used_bytes: 0,
        room_bytes: 1 << 40,
        condition: DiskCondition::Good,
    };
    let start = Start {
        pool: pool.id,
        key,
        chain,
        bootstrap: Vec::new(),
        entries: pool.founding(),
        profile,
        disks: vec![disk],
        missing: Vec::new(),
        unit_bytes: 1 << 30,
        relayed_bytes_min: fsdfs_core::limits::RELAYED_BYTES_MIN,
        patience: Patience::DEFAULT,
        collects: true,
        seed: 5,
        may_be_restored_copy: false,
        params: TreeParams::DEFAULT,
    };
    let mut effects = Vec::new();
    let engine = Engine::new(NOW, start, &mut effects);
    (engine, effects)
}

const NOW: Now = Now { mono: 1, wall: 1_700_000_000_000 };

/// Answers what the engine asks of its disk until it asks nothing more; how a put ended, if one did.
fn settle(engine: &mut Engine, mut effects: Vec<Effect>) -> Option<PutOutcome> {
    let (mut next, mut ended) = (Vec::new(), None);
    while let Some(effect) = effects.pop() {
        let done = match effect {
            Effect::Disk { request, token } => Input::Disk { token, done: disk(request) },
            Effect::Work { job, token } => {
                let done = job.run();
                Input::Work { token, job, done }
            }
            Effect::Reply { reply: Reply::PutBlock(outcome), .. } => {
                ended = Some(outcome);
                continue;
            }
            _ => continue,
        };
        engine.handle(NOW, done, &mut next);
        effects.append(&mut next);
    }
    ended
}

fn disk(request: DiskRequest) -> DiskDone {
    match request {
        DiskRequest::Write { .. } | DiskRequest::Mend { .. } => DiskDone::Written(WriteDone::New),
        DiskRequest::Read { .. } => DiskDone::Read(ReadDone::No),
        DiskRequest::Have { ids, .. } => DiskDone::Have(vec![Possession::No; ids.len()]),
        DiskRequest::Assure { ids } => DiskDone::Assured(vec![AssuredCopy::NONE; ids.len()]),
        DiskRequest::List { .. } => DiskDone::List(Vec::new()),
        DiskRequest::Copies { .. } => DiskDone::Copies(Some(Vec::new())),
        DiskRequest::Segment { .. } => DiskDone::Segment(Vec::new()),
        DiskRequest::Delete { .. } => DiskDone::Deleted(false),
        DiskRequest::Collect { copies, .. } => DiskDone::Collected(vec![false; copies.len()]),
        DiskRequest::Links { ids } => DiskDone::Links(vec![LinksDone::No; ids.len()]),
        DiskRequest::KeepLinks { .. } => DiskDone::LinksKept,
        DiskRequest::Log { .. } => DiskDone::Logged(true),
    }
}

fn puts(criterion: &mut Criterion) {
    let (mut engine, effects) = founder();
    settle(&mut engine, effects);
    let mut op = 0u64;
    let mut group = criterion.benchmark_group("engine");
    group.throughput(Throughput::Elements(INPUTS));
    group.bench_function("put of a block", |bencher| {
        bencher.iter(|| {
            op += 1;
            // Blocks of a few bytes: the decisions are measured, not the hash.
            let block = Block::new(op.to_be_bytes().to_vec().into());
            let mut effects = Vec::new();
            let command = Command::PutBlock { block, redundancy: Redundancy::Replicas(1), more: false };
            engine.handle(NOW, Input::Command { op, command }, &mut effects);
            let ended = settle(&mut engine, effects);
            assert!(matches!(ended, Some(PutOutcome::Stored(_))), "{ended:?}");
        });
    });
}

criterion_group!(benches, puts);
criterion_main!(benches);
