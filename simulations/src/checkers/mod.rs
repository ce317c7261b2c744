//! What must hold, and what was found not to.

mod convergence;
pub mod history;
pub mod promise;
mod safety;

use std::collections::BTreeMap;
use std::fmt;

use fsdfs_core::tree::{FileContent, FileNode, JobDone, TreeJob, TreeParams};
use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::volume::VersionVector;

use crate::checkers::history::{VolumeHistory, WriteNumber, commit_of, seen_of};
use crate::checkers::promise::PromiseChecker;
use crate::world::pool::PoolKeys;
use crate::world::queue::{MS, Micros, S};
use crate::world::{MachineId, World};

/// An answer comes within this time, or its node has crashed. Time during which the node was frozen does not count.
const ANSWER_WITHIN: Micros = 20 * S;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When it was noticed.
    pub at: Micros,
    /// Which checker noticed it: promise, convergence, liveness, tree, replay, assertion.
    pub checker: &'static str,
    /// What.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} violated at {}.{:03} s: {}", self.checker, self.at / S, self.at % S / MS, self.what)
    }
}

/// All checkers.
pub struct Checkers {
    /// Found so far.
    pub violations: Vec<Violation>,
    /// Sizes of trees in this world.
    pub params: TreeParams,
    /// Of the volume.
    pub history: VolumeHistory,
    /// What was promised.
    pub promises: PromiseChecker,
    /// Length of each write.
    lengths: BTreeMap<WriteNumber, usize>,
}

impl Checkers {
    /// Of a world without history.
    pub fn new(pool: &PoolKeys, params: TreeParams) -> Self {
        let history = VolumeHistory::new(pool.keys.clone(), params);
        Self { violations: Vec::new(), params, history, promises: PromiseChecker::default(), lengths: BTreeMap::new() }
    }

    /// Something must not be. The same complaint is not repeated for ever.
    pub fn fail(&mut self, at: Micros, checker: &'static str, what: String) {
        const MANY: usize = 20;
        if self.violations.len() < MANY {
            self.violations.push(Violation { at, checker, what });
        }
    }

    /// A user made a file of these bytes.
    pub fn wrote(&mut self, number: WriteNumber, file: &FileNode, len: usize) {
        self.lengths.insert(number, len);
        if let FileContent::Tree { root, .. } = &file.content {
            self.history.is_root_of(root.id, number);
        }
    }

    /// Which write these bytes come from, if they are exactly what it wrote.
    pub fn writer_of(&self, bytes: &[u8]) -> Option<WriteNumber> {
        let number = WriteNumber::from_be_bytes(*bytes.first_chunk()?);
        let len = *self.lengths.get(&number)?;
        (crate::users::file::bytes_of(number, len) == bytes).then_some(number)
    }

    /// A job ran: whatever it made is held against the model. Returns what a look was based on.
    pub fn job_ran(&mut self, at: Micros, machine: MachineId, job: &TreeJob, done: &JobDone) -> Option<VersionVector> {
        let checked = match (job, done) {
            (TreeJob::Edit(job), JobDone::Edited { blocks, head: Some(head), outcomes }) => {
                self.head_made(machine, head);
                self.history.edited(at, job, blocks, head, outcomes)
            }
            (TreeJob::Edit(job), JobDone::Edited { head: None, .. }) => self.history.unchanged(job),
            (TreeJob::Merge(job), JobDone::Merged { blocks, head }) => {
                self.head_made(machine, head);
                self.history.merged_to(at, job, blocks, head)
            }
            (TreeJob::Query(job), JobDone::Queried(_)) => return Some(seen_of(&job.heads)),
            (_, JobDone::Failed(error)) => Err(format!("a tree is not readable: {error}")),
            _ => Ok(()),
        };
        if let Err(what) = checked {
            self.fail(at, "tree", format!("on node {machine}: {what}"));
        }
        None
    }

    fn head_made(&mut self, on: MachineId, head: &fsdfs_proto::signed::Signed<fsdfs_proto::identity::Head>) {
        let commit: BlockId = commit_of(head);
        self.promises.head_made(on, Fact::from(head.clone()).raw(), commit);
    }
}

impl World {
    /// Looks for commands that have waited for an answer for too long.
    pub fn sweep(&mut self) {
        let late = |since: Micros, machine: MachineId| {
            let here = &self.machines[machine];
            !here.frozen && self.at > since.max(here.thawed) + ANSWER_WITHIN
        };
        let waiting: Vec<_> = self.tasks.waiting().filter(|(_, since, machine)| late(*since, *machine)).collect();
        for (op, since, machine) in waiting {
            let operation = self.tasks.give_up(op);
            let text = format!("node {machine} has not answered {op} ({operation}) since {} s", since / S);
            self.checks.fail(self.at, "liveness", text);
        }
    }

    /// One line about what happened.
    pub fn summary(&self) -> String {
        let ends: Vec<String> = self.tasks.counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let gone = self.machines.iter().filter(|machine| machine.gone).count();
        format!("{} machines, {gone} gone; operations: {}", self.machines.len(), ends.join(", "))
    }
}
