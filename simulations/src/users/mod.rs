//! What users do: each operation is a few commands to one node, one after the other or several at once.

pub mod file;

use std::collections::BTreeMap;

use fsdfs_core::report::{Inventory, StatusReport};
use fsdfs_core::seam::{Command, EditReply, GetOutcome, Input, OpId, PutOutcome, Reply};
use fsdfs_core::tree::{
    BlockRef, FileContent, FileNode, QueryResult, TreeEdit, TreeItem, TreeItemKind, TreePath, TreeQuery,
};
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::volume::{Manifest, open_data};

use crate::checkers::history::WriteNumber;
use crate::users::file::{bytes_of, seal};
use crate::world::queue::Micros;
use crate::world::{MachineId, World};

/// Copies that users ask for.
pub const COPIES: u8 = 3;

/// What a user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named like the edits and looks they lead to")]
pub enum UserOperation {
    Put { path: TreePath, bytes: usize },
    MakeDir { path: TreePath },
    Remove { path: TreePath },
    Move { from: TreePath, to: TreePath },
    Read { path: TreePath },
    List { path: TreePath },
    Inventory,
    Status,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationEnd {
    /// The edit's outcome.
    Edited(EditReply),
    /// Which write's content lies there.
    Read(WriteNumber),
    /// What a folder shows.
    Listed(Vec<TreeItem>),
    /// Who holds what.
    Inventoried(Box<Inventory>),
    /// How the node is.
    Status(Box<StatusReport>),
    /// Refused, not there, or not readable: why.
    Failed(String),
    /// The node crashed meanwhile. Whether it happened nobody knows.
    Crashed,
}

/// Names a operation.
pub type OperationId = u64;

/// A operation under way.
pub struct PendingOperation {
    /// On which machine.
    pub machine: MachineId,
    /// What.
    pub operation: UserOperation,
    /// Since when.
    pub since: Micros,
    /// What a put writes.
    pub number: WriteNumber,
    file: Option<FileNode>,
    waiting: BTreeMap<OpId, PendingCommand>,
    read: BTreeMap<u64, Vec<u8>>,
}

/// A command that was not answered yet.
#[derive(Clone, Copy)]
enum PendingCommand {
    Put(BlockId),
    Edit,
    Look,
    Report,
    /// A block of a file, where its content begins, and how many levels of manifests lie below it.
    Get {
        at: BlockRef,
        from: u64,
        depth: u8,
    },
}

/// All operations.
#[derive(Default)]
pub struct OperationTable {
    /// Under way.
    pub open: BTreeMap<OperationId, PendingOperation>,
    /// Ended.
    pub ended: BTreeMap<OperationId, OperationEnd>,
    /// Which task a command belongs to, and since when.
    ops: BTreeMap<OpId, (OperationId, Micros, MachineId)>,
    /// Whether the last tree shown may not have been the newest, as its node said.
    pub maybe_stale: bool,
    /// Counts of ends, for the summary.
    pub counts: BTreeMap<&'static str, u64>,
    last_op: OpId,
    last_task: OperationId,
    last_number: WriteNumber,
}

impl OperationTable {
    /// Commands that were not answered yet: since when, on which machine.
    pub fn waiting(&self) -> impl Iterator<Item = (OpId, Micros, MachineId)> {
        self.ops.iter().map(|(op, (_, since, machine))| (*op, *since, *machine))
    }

    /// Nobody waits for this answer any more. Returns what it was for.
    pub fn give_up(&mut self, op: OpId) -> String {
        let task = self.ops.remove(&op).and_then(|(task, ..)| self.open.remove(&task));
        task.map_or_else(|| "part of a operation that ended".into(), |task| format!("{:?}", task.operation))
    }
}

impl World {
    /// A user at a machine begins an operation.
    pub fn begin(&mut self, machine: MachineId, operation: UserOperation) -> OperationId {
        self.tasks.last_task += 1;
        let id = self.tasks.last_task;
        let (at, since) = (self.at, self.at);
        self.trace.note(at, &("wish", id, machine), || format!("node {machine}: operation {id} {operation:?}"));
        let (waiting, read) = (BTreeMap::new(), BTreeMap::new());
        let task =
            PendingOperation { machine, operation: operation.clone(), since, number: 0, file: None, waiting, read };
        self.tasks.open.insert(id, task);
        if self.machines[machine].process.is_none() {
            self.end(id, OperationEnd::Crashed);
            return id;
        }
        let look = |path| Command::Query { volume: self.pool.volume(), query: TreeQuery::Entry { path } };
        let list = |path| Command::Query {
            volume: self.pool.volume(),
            query: TreeQuery::List { path, after: None, max: 1_000 },
        };
        match operation {
            UserOperation::Put { bytes, .. } => self.begin_put(id, bytes),
            UserOperation::MakeDir { path } => {
                self.send_edit(id, TreeEdit::MakeDir { path, attrs: None, fresh: false })
            }
            UserOperation::Remove { path } => self.send_edit(id, TreeEdit::Remove { path, recursive: true }),
            UserOperation::Move { from, to } => self.send_edit(id, TreeEdit::Move { from, to }),
            UserOperation::Read { path } => self.ask(id, PendingCommand::Look, look(path)),
            UserOperation::List { path } => self.ask(id, PendingCommand::Look, list(path)),
            UserOperation::Inventory => self.ask(id, PendingCommand::Report, Command::Inventory),
            UserOperation::Status => self.ask(id, PendingCommand::Report, Command::Status),
        }
        id
    }

    /// Begins it and runs until it ended, at most a minute.
    pub fn wait(&mut self, machine: MachineId, operation: UserOperation) -> OperationEnd {
        let id = self.begin(machine, operation);
        self.finish(id)
    }

    /// Runs until a operation ended, at most a minute.
    ///
    /// # Panics
    /// If it does not end.
    pub fn finish(&mut self, id: OperationId) -> OperationEnd {
        let done = self.run_while(60, |world| world.tasks.open.contains_key(&id));
        assert!(done, "a operation was not answered within a minute");
        self.tasks.ended.remove(&id).expect("a operation that is no longer open has ended")
    }

    fn begin_put(&mut self, id: OperationId, len: usize) {
        self.tasks.last_number += 1;
        let number = self.tasks.last_number;
        let bytes = bytes_of(number, len);
        let (file, blocks) = seal(self.pool.writer(), self.checks.params, COPIES, &bytes);
        self.checks.wrote(number, &file, bytes.len());
        let Some(task) = self.tasks.open.get_mut(&id) else { return };
        task.number = number;
        task.file = Some(file);
        if blocks.is_empty() {
            return self.put_edit(id);
        }
        for block in blocks {
            self.checks.history.made(self.at, &block);
            let asked = PendingCommand::Put(block.id());
            self.ask(id, asked, Command::PutBlock { block, redundancy: Redundancy::Replicas(COPIES) });
        }
    }

    fn put_edit(&mut self, id: OperationId) {
        let Some(task) = self.tasks.open.get(&id) else { return };
        let (UserOperation::Put { path, .. }, Some(file)) = (&task.operation, &task.file) else { return };
        self.send_edit(id, TreeEdit::Put { path: path.clone(), file: file.clone() });
    }

    fn send_edit(&mut self, id: OperationId, edit: TreeEdit) {
        self.ask(id, PendingCommand::Edit, Command::Edit { volume: self.pool.volume(), edits: vec![edit] });
    }

    fn ask(&mut self, id: OperationId, asked: PendingCommand, command: Command) {
        self.tasks.last_op += 1;
        let op = self.tasks.last_op;
        let Some(task) = self.tasks.open.get_mut(&id) else { return };
        task.waiting.insert(op, asked);
        let machine = task.machine;
        self.tasks.ops.insert(op, (id, self.at, machine));
        self.promise_begins(machine, op);
        self.input(machine, Input::Command { op, command });
    }

    /// An engine answers a command.
    pub(crate) fn task_reply(&mut self, machine: MachineId, op: OpId, reply: Reply) {
        let Some((id, _, _)) = self.tasks.ops.remove(&op) else {
            return self.checks.fail(
                self.at,
                "liveness",
                format!("node {machine} answers {op}, which nobody waits for"),
            );
        };
        let Some(task) = self.tasks.open.get_mut(&id) else { return };
        let Some(asked) = task.waiting.remove(&op) else { return };
        let number = task.number;
        match (asked, reply) {
            (PendingCommand::Put(block), Reply::PutBlock(outcome)) => {
                self.promise_put(op, block, &outcome);
                self.put_step(id, &outcome);
            }
            (PendingCommand::Edit, Reply::Edit(reply)) => {
                self.promise_edit(machine, op, number, &reply);
                self.end(id, OperationEnd::Edited(reply));
            }
            (PendingCommand::Look, Reply::Query(reply)) => {
                self.tasks.maybe_stale = reply.maybe_stale;
                self.promise_look(machine, op, &reply);
                match reply.found {
                    Ok(found) => self.found(id, found),
                    Err(error) => self.end(id, OperationEnd::Failed(error.to_string())),
                }
            }
            (PendingCommand::Get { at, from, depth }, Reply::GetBlock(outcome)) => {
                self.promise_get(machine, op, at.id, &outcome);
                self.got(id, at, from, depth, outcome);
            }
            (PendingCommand::Report, Reply::Inventory(survey)) => self.end(id, OperationEnd::Inventoried(survey)),
            (PendingCommand::Report, Reply::Status(status)) => self.end(id, OperationEnd::Status(status)),
            (_, Reply::Refused(refusal)) => self.end(id, OperationEnd::Failed(refusal.to_string())),
            (_, other) => self.checks.fail(self.at, "liveness", format!("an answer of another kind: {other:?}")),
        }
    }

    fn put_step(&mut self, id: OperationId, outcome: &PutOutcome) {
        if let PutOutcome::Refused(refusal) = outcome {
            return self.end(id, OperationEnd::Failed(refusal.to_string()));
        }
        if self.tasks.open.get(&id).is_some_and(|task| task.waiting.is_empty()) {
            self.put_edit(id);
        }
    }

    fn found(&mut self, id: OperationId, found: QueryResult) {
        match found {
            QueryResult::List { entries, .. } => self.end(id, OperationEnd::Listed(entries)),
            QueryResult::Entry(TreeItem { kind: TreeItemKind::Dir { .. }, .. }) => {
                self.end(id, OperationEnd::Failed("a folder".into()))
            }
            QueryResult::Entry(TreeItem { kind: TreeItemKind::File { content, .. }, .. }) => {
                self.read_content(id, content)
            }
        }
    }

    fn read_content(&mut self, id: OperationId, content: FileContent) {
        match content {
            FileContent::Inline(bytes) => {
                if let Some(task) = self.tasks.open.get_mut(&id) {
                    task.read.insert(0, bytes.to_vec());
                }
                self.read_ends(id);
            }
            FileContent::Tree { root, depth } => self.get(id, root, 0, depth),
            FileContent::Symlink(_) => self.end(id, OperationEnd::Failed("a symlink".into())),
        }
    }

    fn get(&mut self, id: OperationId, at: BlockRef, from: u64, depth: u8) {
        self.ask(id, PendingCommand::Get { at, from, depth }, Command::GetBlock { id: at.id });
    }

    fn got(&mut self, id: OperationId, at: BlockRef, from: u64, depth: u8, outcome: GetOutcome) {
        let GetOutcome::Found(block) = outcome else {
            return self.end(id, OperationEnd::Failed("a block is not to be had".into()));
        };
        let volume = self.pool.volume();
        if depth > 0 {
            match Manifest::open(volume, at, &block) {
                Ok(manifest) => {
                    let step = manifest.child_bytes().unwrap_or(0);
                    for (nr, child) in (0..).zip(manifest.children) {
                        self.get(id, child, from + nr * step, depth - 1);
                    }
                }
                Err(error) => self.checks.fail(self.at, "promise", format!("a manifest does not open: {error}")),
            }
        } else {
            match open_data(volume, at, &block) {
                Ok(bytes) => {
                    if let Some(task) = self.tasks.open.get_mut(&id) {
                        task.read.insert(from, bytes.to_vec());
                    }
                }
                Err(error) => self.checks.fail(self.at, "promise", format!("a chunk does not open: {error}")),
            }
        }
        self.read_ends(id);
    }

    fn read_ends(&mut self, id: OperationId) {
        let Some(task) = self.tasks.open.get_mut(&id).filter(|task| task.waiting.is_empty()) else { return };
        let bytes: Vec<u8> = std::mem::take(&mut task.read).into_values().flatten().collect();
        let number = self.promise_bytes(&bytes);
        self.end(id, OperationEnd::Read(number));
    }

    fn end(&mut self, id: OperationId, end: OperationEnd) {
        let Some(task) = self.tasks.open.remove(&id) else { return };
        let at = self.at;
        self.trace.note(at, &("end", id), || {
            crate::world::wording::shorten(format!("node {}: operation {id} ends: {end:?}", task.machine))
        });
        *self.tasks.counts.entry(count(&end)).or_default() += 1;
        self.tasks.ended.insert(id, end);
    }

    /// Operations on a node that crashed end with it.
    pub(crate) fn tasks_of_crashed(&mut self, machine: MachineId) {
        let hit: Vec<OperationId> =
            self.tasks.open.iter().filter(|(_, task)| task.machine == machine).map(|(id, _)| *id).collect();
        for id in hit {
            self.end(id, OperationEnd::Crashed);
        }
        let forgotten: Vec<OpId> =
            self.tasks.waiting().filter(|(_, _, at)| *at == machine).map(|(op, ..)| op).collect();
        for op in forgotten {
            self.tasks.ops.remove(&op);
            self.checks.promises.forget(op);
        }
    }
}

fn count(end: &OperationEnd) -> &'static str {
    match end {
        OperationEnd::Edited(EditReply { outcome: PutOutcome::Stored(_), .. }) => "stored",
        OperationEnd::Edited(EditReply { outcome: PutOutcome::Degraded(_), .. }) => "degraded",
        OperationEnd::Edited(EditReply { outcome: PutOutcome::Refused(_), .. }) => "refused",
        OperationEnd::Read(_) => "read",
        OperationEnd::Listed(_) => "listed",
        OperationEnd::Inventoried(_) | OperationEnd::Status(_) => "told",
        OperationEnd::Failed(_) => "not",
        OperationEnd::Crashed => "crashed",
    }
}
