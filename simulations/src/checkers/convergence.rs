//! Convergence: when faults have ended, everyone comes to know the same, and every block gets its copies.

use std::fmt;

use fsdfs_core::limits::REPAIR_PERIOD_MS;
use fsdfs_core::placement::ClusterMap;
use fsdfs_proto::ids::{BlockId, Digest, NodeId};

use crate::checkers::history::{HeadState, commit_of};
use crate::users::{OperationEnd, UserOperation};
use crate::world::queue::S;
use crate::world::{MachineId, World};

/// Seconds within which a pool without faults converges.
const WITHIN_S: u64 = 300;
/// Seconds within which a node that was frozen hears of everyone again.
const SILENCE_ENDS_S: u64 = 10;

/// What is not yet as it should be.
enum OpenDifference {
    /// Operations, connections, facts.
    Knowledge(String),
    /// A block lacks one.
    Copy(String),
}

impl fmt::Display for OpenDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Knowledge(what) | Self::Copy(what)) = self;
        f.write_str(what)
    }
}

impl World {
    /// Runs until the pool has converged, then looks whether everything acknowledged is there.
    pub fn must_converge(&mut self) {
        let mut within_s = WITHIN_S;
        let mut open = self.wait_for_agreement(within_s);
        if matches!(open, Some(OpenDifference::Copy(_))) && self.machines.iter().any(|machine| machine.gone) {
            // A writer that was destroyed took along what it owed to holders that were silent to it alone. The holders
            // notice when they next walk through all they have.
            within_s = REPAIR_PERIOD_MS / 1_000;
            open = self.wait_for_agreement(within_s);
        }
        match open {
            Some(what) => self.checks.fail(self.at, "convergence", format!("after {within_s} s: {what}")),
            None => self.nothing_is_lost(),
        }
    }

    fn wait_for_agreement(&mut self, within_s: u64) -> Option<OpenDifference> {
        let until = self.at + within_s * S;
        let mut open = self.differs();
        while open.is_some() && self.at < until {
            self.run(5);
            self.sweep();
            open = self.differs();
        }
        open
    }

    fn differs(&mut self) -> Option<OpenDifference> {
        self.knowledge_differs().map(OpenDifference::Knowledge).or_else(|| {
            let first = (0..self.machines.len()).find(|id| !self.machines[*id].gone)?;
            let (_, _, heads) = self.knows(first)?;
            self.missing_copy(first, heads[0]).map(OpenDifference::Copy)
        })
    }

    fn knowledge_differs(&mut self) -> Option<String> {
        if !self.tasks.open.is_empty() {
            return Some(format!("{} operations are open", self.tasks.open.len()));
        }
        if !self.all_connected() {
            return Some("not all are connected to all".into());
        }
        let alive: Vec<MachineId> = (0..self.machines.len()).filter(|id| !self.machines[*id].gone).collect();
        let keeps = |id: &&MachineId| {
            self.machines[**id].process.as_ref().is_some_and(|process| process.engine.unpublished().next().is_some())
        };
        if let Some(id) = alive.iter().find(keeps) {
            return Some(format!("node {id} keeps its changes to itself"));
        }
        let first = *alive.first()?;
        let (facts, map, heads) = self.knows(first)?;
        for id in &alive {
            let Some(known) = self.knows(*id) else { return Some(format!("node {id} does not run")) };
            let what = match known {
                (other, _, _) if other != facts => "facts",
                (_, other, _) if other != map => "maps",
                (_, _, other) if other != heads => "heads",
                _ => continue,
            };
            return Some(format!("nodes {first} and {id} have different {what}"));
        }
        if heads.len() != 1 {
            return Some(format!("there are {} heads", heads.len()));
        }
        None
    }

    fn knows(&self, id: MachineId) -> Option<(Digest, Digest, Vec<BlockId>)> {
        let facts = self.machines[id].process.as_ref()?.engine.facts();
        let heads = facts.heads(self.pool.volume()).iter().map(commit_of).collect();
        Some((facts.gossip_digest(), facts.map_digest(), heads))
    }

    /// A block of the tree that a wanted holder lacks although it runs and has room.
    fn missing_copy(&self, id: MachineId, commit: BlockId) -> Option<String> {
        let facts = self.machines[id].process.as_ref()?.engine.facts();
        let view = ClusterMap::new(facts.servers());
        for (block, copies) in self.checks.history.tree_of(commit) {
            for holder in view.holders(block, copies) {
                if let Some(lacks) = self.lacks(holder.node, block) {
                    return Some(format!("{} is wanted on node {lacks}, which does not have it", block.short()));
                }
            }
        }
        None
    }

    fn lacks(&self, node: NodeId, block: BlockId) -> Option<MachineId> {
        let len = self.checks.history.block(block).map_or(0, |block| block.bytes().len() as u64);
        let mut machines =
            self.machines.iter().enumerate().filter(|(_, machine)| machine.node == node && !machine.gone);
        let (id, machine) = machines.next()?;
        // Rotten records are found by reading; until then the holder believes that it has them.
        (!machine.store.believes(block) && machine.store.has_room(len)).then_some(id)
    }

    fn nothing_is_lost(&mut self) {
        let Some(first) = (0..self.machines.len()).find(|id| self.machines[*id].runs()) else { return };
        let Some((_, _, heads)) = self.knows(first) else { return };
        let Some(state) = heads.first().and_then(|head| self.checks.history.state(*head)).cloned() else { return };
        let lost: Vec<u64> =
            self.checks.promises.acked.iter().copied().filter(|write| !state.includes(*write)).collect();
        if !lost.is_empty() {
            let text = format!("writes {lost:?} were acknowledged, nobody removed them, and they are not there");
            self.checks.fail(self.at, "promise", text);
        }
        self.all_is_readable(&state);
    }

    /// Reads every file, each on another node.
    fn all_is_readable(&mut self, state: &HeadState) {
        let on: Vec<MachineId> = (0..self.machines.len()).filter(|id| self.machines[*id].runs()).collect();
        for (nr, (path, numbers)) in state.tree.files.iter().enumerate() {
            let id = on[nr % on.len()];
            let is_right = |end: &OperationEnd| matches!(end, OperationEnd::Read(number) if numbers.contains(number));
            let mut end = self.wait(id, UserOperation::Read { path: path.clone() });
            if matches!(end, OperationEnd::Failed(_)) {
                // One that was frozen until now takes the others for silent.
                self.run(SILENCE_ENDS_S);
                end = self.wait(id, UserOperation::Read { path: path.clone() });
            }
            if !is_right(&end) {
                let path = crate::checkers::history::text(path);
                let text = format!("{path} should be one of {numbers:?}, but reading gives {end:?}");
                self.checks.fail(self.at, "promise", text);
            }
        }
    }
}
