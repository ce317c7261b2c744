//! Incidents, one test each.

mod apart;
mod commits;
mod copies;
mod heads;
mod holders;
mod leaving;
mod presence;
mod relays;

use std::collections::BTreeSet;

use fsdfs_core::seam::{EditReply, PutOutcome};
use fsdfs_core::tree::{TreeItemKind, TreePath};
use fsdfs_proto::ids::BlockId;
use simulations::users::{OperationEnd, UserOperation};
use simulations::world::MachineId;
use simulations::world::heads::commit_of;
use simulations::{Simulation, World};

fn path(text: &str) -> TreePath {
    text.split('/').filter(|name| !name.is_empty()).map(|name| name.as_bytes().to_vec().into()).collect()
}

fn pool(seed: u64, nodes: usize) -> Simulation {
    let mut world = Simulation::calm(seed, nodes);
    (0..nodes).for_each(|id| world.restart(id));
    world.run(10);
    world
}

fn put(world: &mut World, at: MachineId, file: &str, bytes: usize) -> PutOutcome {
    match world.wait(at, UserOperation::Put { path: path(file), bytes }) {
        OperationEnd::Edited(EditReply { outcome, edits }) => {
            assert!(edits.iter().all(Result::is_ok), "{file} was not put: {edits:?}");
            outcome
        }
        other => panic!("{file} was not put: {other:?}"),
    }
}

fn edit(world: &mut World, at: MachineId, operation: &UserOperation) {
    match world.wait(at, operation.clone()) {
        OperationEnd::Edited(EditReply { outcome: PutOutcome::Stored(_) | PutOutcome::Degraded(_), edits }) => {
            assert!(edits.iter().all(Result::is_ok), "{operation:?} failed: {edits:?}");
        }
        other => panic!("{operation:?} failed: {other:?}"),
    }
}

fn copies(outcome: &PutOutcome) -> usize {
    match outcome {
        PutOutcome::Stored(copies) | PutOutcome::Degraded(copies) => copies.servers.len(),
        PutOutcome::Refused(refusal) => panic!("refused: {refusal:?}"),
    }
}

fn readable(world: &mut World, at: MachineId, file: &str) -> bool {
    let end = world.wait(at, UserOperation::Read { path: path(file) });
    println!("{file} on node {at}: {end:?}");
    matches!(end, OperationEnd::Read(_))
}

/// Names in a folder, folders with a slash behind them.
fn list(world: &mut World, at: MachineId, folder: &str) -> Vec<String> {
    let OperationEnd::Listed(entries) = world.wait(at, UserOperation::List { path: path(folder) }) else {
        panic!("{folder} is not listed")
    };
    let name = |entry: &fsdfs_core::tree::TreeItem| String::from_utf8_lossy(&entry.name).into_owned();
    let mark = |kind: &TreeItemKind| if matches!(kind, TreeItemKind::Dir { .. }) { "/" } else { "" };
    entries.iter().map(|entry| name(entry) + mark(&entry.kind)).collect()
}

/// Blocks of the tree, with all files, that stands on a machine.
fn blocks(world: &mut Simulation, at: MachineId) -> BTreeSet<BlockId> {
    let facts = world.machines[at].process.as_ref().expect("it runs").engine.facts();
    let heads: Vec<BlockId> = facts.heads(world.pool.volume()).iter().map(commit_of).collect();
    let history = &world.checkers().history;
    heads.into_iter().flat_map(|head| history.tree_of(head).into_keys()).collect()
}

fn fine(world: &mut Simulation) {
    world.freeze_faults();
    world.must_converge();
    world.nobody_is_missed();
    assert_eq!(world.violations(), []);
}
