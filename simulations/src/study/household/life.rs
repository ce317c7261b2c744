//! A year of eight homes, measured.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_core::engine::Patience;
use fsdfs_proto::ids::BlockId;

use super::homes::{DAY, HOMES, HomeYear, YearStep, build, year};
use crate::simulation::Simulation;
use crate::trace::EventTrace;
use crate::users::UserOperation;
use crate::world::SMALL;
use crate::world::heads::commit_of;
use crate::world::pool::COPIES;
use crate::world::queue::S;

/// Bytes of a file that is there from the beginning, and how many there are.
const FIRST: (usize, u64) = (30_000, 24);
/// Bytes of one that is written each day.
const DAILY: usize = 3_000;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct LifeFigures {
    pub days: u64,
    /// Hours in which so many copies more than wanted were on disks that are not lost, block by block.
    pub kept: BTreeMap<i64, u64>,
    /// The same of copies on machines that are on.
    pub near: BTreeMap<i64, u64>,
    /// Blocks that were lost.
    pub lost: u64,
    /// Bytes of blocks at the end, each once.
    pub data: u64,
    /// Bytes that repair moved, and blocks.
    pub repaired: (u64, u64),
    /// Bytes of copies that were destroyed.
    pub destroyed: u64,
    /// Bytes of all that was said but blocks.
    pub said: u64,
}

/// Lives through so many days.
pub fn live(seed: u64, days: u64, patience: Patience) -> LifeFigures {
    let mut world = Simulation::empty(seed, SMALL, EventTrace::default());
    world.be_patient(patience);
    build(&mut world);
    world.run(60);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut life = HomeYear::new(year(&mut rng, days));
    let (mut figures, mut written) = (LifeFigures { days, ..LifeFigures::default() }, 0);
    while written < FIRST.1 {
        put(&mut world, &mut written, FIRST.0);
    }
    world.run(600);
    let before = sent(&world);
    while let Some((at, step)) = life.queue.next(days * DAY) {
        let at = at.max(world.at);
        world.advance(at);
        match step {
            YearStep::Write => put(&mut world, &mut written, DAILY),
            YearStep::Sample => sample(&mut world, &mut figures),
            other => {
                if let YearStep::DiskDies { node } | YearStep::Burns { node } = other {
                    figures.destroyed += bytes_on(&world, node);
                }
                life.happens(&mut world, other);
            }
        }
    }
    let after = sent(&world);
    figures.repaired = (after.0 - before.0, after.1 - before.1);
    figures.said = after.2 - before.2;
    let tree = tree(&mut world);
    let history = &world.checkers().history;
    figures.data = tree.iter().filter_map(|block| history.block(*block)).map(|block| block.bytes().len() as u64).sum();
    figures
}

/// Somebody who is at home writes a file.
fn put(world: &mut Simulation, written: &mut u64, bytes: usize) {
    *written += 1;
    let on: Vec<usize> = (0..HOMES.len()).filter(|id| world.machines[*id].runs()).collect();
    let Some(node) = on.get(usize::try_from(*written).unwrap_or_default() % on.len().max(1)).copied() else { return };
    let name = format!("f{written}").into_bytes().into();
    let end = world.wait(node, UserOperation::Put { path: vec![name], bytes });
    debug_assert!(matches!(end, crate::users::OperationEnd::Edited(_)), "{end:?}");
}

fn bytes_on(world: &Simulation, node: usize) -> u64 {
    let records = world.machines[node].store.disks.iter().flat_map(|disk| disk.records.values());
    records.map(|record| u64::from(record.info.len)).sum()
}

/// Bytes and blocks that repair moved, and bytes of all that carried no block.
fn sent(world: &Simulation) -> (u64, u64, u64) {
    let traffic = world.net.traffic();
    let (blocks, bytes) = traffic.get("pull-reply").copied().unwrap_or_default();
    let carries = ["pull-reply", "store", "relayed-store", "fetch-reply"];
    let said = traffic.iter().filter(|(kind, _)| !carries.contains(kind)).map(|(_, (_, bytes))| bytes).sum();
    (bytes, blocks, said)
}

fn tree(world: &mut Simulation) -> BTreeSet<BlockId> {
    let running = world.machines.iter().find_map(|machine| machine.process.as_ref());
    let volume = world.pool.volume();
    let heads: Vec<BlockId> =
        running.map(|process| process.engine.facts().heads(volume).iter().map(commit_of).collect()).unwrap_or_default();
    let history = &world.checkers().history;
    heads.into_iter().flat_map(|head| history.tree_of(head).into_keys()).collect()
}

fn sample(world: &mut Simulation, figures: &mut LifeFigures) {
    let mut lost = 0;
    for block in tree(world) {
        let holds = world.machines.iter().filter(|machine| !machine.gone && machine.store.holds(block));
        let kept = i64::try_from(holds.clone().count()).unwrap_or(i64::MAX) - i64::from(COPIES);
        let near =
            i64::try_from(holds.filter(|machine| machine.runs()).count()).unwrap_or(i64::MAX) - i64::from(COPIES);
        *figures.kept.entry(kept).or_default() += 1;
        *figures.near.entry(near).or_default() += 1;
        lost += u64::from(kept == -i64::from(COPIES));
    }
    figures.lost = figures.lost.max(lost);
    debug_assert!(world.at % S < 3_600 * S, "samples are taken by the hour");
}
