//! Pools of real engines in a quiet simulated world.

use std::collections::BTreeMap;

use fsdfs_core::tree::TreePath;

use crate::study::work::StudyWork;
use crate::users::{OperationEnd, UserOperation};
use crate::world::World;
use crate::world::queue::{MS, S};

/// Seconds in which a pool comes to rest, and seconds for which it is then watched.
const UNTIL_REST_S: u64 = 180;
const WATCHED_S: u64 = 600;
const DAY_S: f64 = 86_400.0;
/// Messages of a look at the tree and of fetching blocks.
const READ: [&str; 4] = ["heads", "heads-reply", "fetch", "fetch-reply"];

/// What a pool of this size does.
pub struct PoolFigures {
    pub members: usize,
    /// Facts that each member keeps.
    pub facts: usize,
    /// Bytes that each member holds allocated, its part of the simulated links and disks included.
    pub memory_bytes: f64,
    /// Bytes that each member sends in a day while nobody does anything.
    pub gossip_bytes_per_day: f64,
    /// Messages that each member sends in a day while nobody does anything.
    pub gossip_messages_per_day: f64,
    /// A file read by a member without a copy of it.
    pub read: ReadFigures,
}

/// What a read takes.
pub struct ReadFigures {
    /// To and from other members.
    pub messages: u64,
    /// Simulated milliseconds; members are 10 ms apart, one way.
    pub ms: u64,
}

/// Watches a quiet pool.
pub fn measure(members: usize, work: &StudyWork) -> PoolFigures {
    let (mut world, allocated) = pool_at_rest(members, work.seed);
    let path: TreePath = vec![b"holiday.jpg".to_vec().into()];
    let put = world.wait(0, UserOperation::Put { path: path.clone(), bytes: 3_000 });
    assert!(matches!(put, OperationEnd::Edited(_)), "a quiet pool takes a file: {put:?}");
    world.run(UNTIL_REST_S);
    let read = read(&mut world, &path);
    let (messages, bytes) = sent(&mut world, WATCHED_S, |_| true);
    let per_day = DAY_S / WATCHED_S as f64 / members as f64;
    let engine = &world.machines[0].process.as_ref().expect("nobody crashes").engine;
    PoolFigures {
        members,
        facts: engine.facts().all().count(),
        memory_bytes: allocated / members as f64,
        gossip_bytes_per_day: bytes as f64 * per_day,
        gossip_messages_per_day: messages as f64 * per_day,
        read,
    }
}

/// A pool at rest, and the bytes that it holds allocated. Counted rather than asked of the kernel: what a process got back from
/// earlier pools would make later ones look small.
fn pool_at_rest(members: usize, seed: u64) -> (World, f64) {
    let mut world = None;
    let counted = allocation_counter::measure(|| world.insert(World::calm(seed, members)).run(UNTIL_REST_S));
    (world.expect("it was made just now"), counted.bytes_current as f64)
}

/// Reads the file on the last member that has no copy.
fn read(world: &mut World, path: &TreePath) -> ReadFigures {
    let before = count(world, |kind| READ.contains(&kind)).0;
    let since = world.at;
    let far = (0..world.machines.len()).rev().find(|id| world.machines[*id].store.ids().next().is_none());
    let end = world.wait(far.unwrap_or(world.machines.len() - 1), UserOperation::Read { path: path.clone() });
    assert!(matches!(end, OperationEnd::Read(_)), "a quiet pool shows a file: {end:?}");
    ReadFigures { messages: count(world, |kind| READ.contains(&kind)).0 - before, ms: (world.at - since) / MS }
}

/// Parcels and bytes of some kinds within some seconds.
fn sent(world: &mut World, seconds: u64, wanted: fn(&str) -> bool) -> (u64, u64) {
    let before = count(world, wanted);
    world.run_until(world.at + seconds * S);
    let after = count(world, wanted);
    (after.0 - before.0, after.1 - before.1)
}

fn count(world: &World, wanted: impl Fn(&str) -> bool) -> (u64, u64) {
    let kinds: &BTreeMap<&str, (u64, u64)> = world.net.traffic();
    kinds.iter().filter(|(kind, _)| wanted(kind)).fold((0, 0), |sum, (_, one)| (sum.0 + one.0, sum.1 + one.1))
}
