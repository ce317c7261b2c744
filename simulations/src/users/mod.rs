//! What users do: each operation is a few commands to one node, one after the other or several at once.

pub mod file;
mod operation;

pub use operation::{OperationEnd, OperationId, OperationTable, PendingOperation, UserOperation};

use std::collections::{BTreeMap, VecDeque};

use fsdfs_core::report::Presence;
use fsdfs_core::seam::{AbsenceChange, Command, EditReply, GetOutcome, Input, OpId, PutOutcome, Reply};
use fsdfs_core::tree::{
    BlockRef, FileContent, QueryResult, TreeEdit, TreeError, TreeItem, TreeItemKind, TreeQuery, VolumeHistory,
};
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::volume::{Manifest, VolumeKeys, open_data};

use self::file::{bytes_of, seal};
use self::operation::PendingCommand;
use crate::world::observed::{Observed, WorkingStore};
use crate::world::pool::COPIES;
use crate::world::{MachineId, World};

/// Blocks of a file that a client has under way at once.
const BLOCKS_UNDER_WAY: usize = 16;

impl World {
    /// A user at a machine begins an operation.
    pub fn begin(&mut self, machine: MachineId, operation: UserOperation) -> OperationId {
        self.operations.last_task += 1;
        let id = self.operations.last_task;
        let (at, since) = (self.at, self.at);
        self.trace.note(at, &("operation", id, machine), || format!("node {machine}: operation {id} {operation:?}"));
        let (waiting, read) = (BTreeMap::new(), BTreeMap::new());
        let (number, file, unsent) = (0, None, VecDeque::new());
        let task =
            PendingOperation { machine, operation: operation.clone(), since, number, file, unsent, waiting, read };
        self.operations.open.insert(id, task);
        if self.machines[machine].process.is_none() {
            self.end(id, OperationEnd::Crashed);
            return id;
        }
        let query = |query| Command::Query { volume: self.pool.volume(), state: None, query };
        let look = |path| query(TreeQuery::Entry { path });
        let list = |path| query(TreeQuery::List { path, after: None, max: 1_000 });
        let history = query(TreeQuery::History);
        match operation {
            UserOperation::Put { bytes, .. } => self.begin_put(id, machine, bytes),
            UserOperation::MakeDir { path } => {
                self.send_edit(id, TreeEdit::MakeDir { path, attrs: None, xattrs: Vec::new(), fresh: false });
            }
            UserOperation::Remove { path } => self.send_edit(id, TreeEdit::Remove { path, recursive: true }),
            UserOperation::Move { from, to } => self.send_edit(id, TreeEdit::Move { from, to }),
            UserOperation::Read { path } => self.ask(id, PendingCommand::Look, look(path)),
            UserOperation::List { path } => self.ask(id, PendingCommand::Look, list(path)),
            UserOperation::ListPast { .. } | UserOperation::Restore { .. } => {
                self.ask(id, PendingCommand::History, history);
            }
            UserOperation::Inventory => self.ask(id, PendingCommand::Report, Command::Inventory),
            UserOperation::Status => self.ask(id, PendingCommand::Report, Command::Status),
            UserOperation::Members => self.ask(id, PendingCommand::Report, Command::Members),
            UserOperation::Announce { until_ms, daily } => {
                let change = AbsenceChange { until_ms: Some(until_ms), daily: Some(daily) };
                self.ask(id, PendingCommand::Report, Command::ChangeAbsence(change));
            }
            UserOperation::RemoveMember { subject } => {
                self.ask(id, PendingCommand::Report, Command::RemoveMember { node: subject });
            }
            UserOperation::Assure { blocks } => {
                let blocks = blocks.into_iter().map(|id| (id, COPIES)).collect();
                self.ask(id, PendingCommand::Report, Command::Assure { blocks });
            }
            UserOperation::Drain { drain } => self.ask(id, PendingCommand::Report, Command::ChangeDrain { drain }),
            UserOperation::Revoke { subject } => {
                let reason = "it lies".into();
                let command = Command::Revoke { subject: subject.into(), with_invited: true, reason, root: None };
                self.ask(id, PendingCommand::Revoke(subject), command);
            }
        }
        id
    }

    /// Begins it and runs until it ended, at most a minute.
    pub fn wait(&mut self, machine: MachineId, operation: UserOperation) -> OperationEnd {
        let id = self.begin(machine, operation);
        self.finish(id)
    }

    /// Runs until an operation ended, at most a minute.
    ///
    /// # Panics
    /// If it does not end.
    pub fn finish(&mut self, id: OperationId) -> OperationEnd {
        let done = self.run_while(60, |world| world.operations.open.contains_key(&id));
        assert!(done, "an operation was not answered within a minute");
        self.operations.ended.remove(&id).expect("an operation that is no longer open has ended")
    }

    fn begin_put(&mut self, id: OperationId, machine: MachineId, len: usize) {
        self.operations.last_number += 1;
        let number = self.operations.last_number;
        let bytes = bytes_of(number, len);
        // As the client does: with the keys that its node has by now.
        let keys = self.machines[machine].process.as_ref().and_then(|node| node.engine.keys(self.pool.volume()));
        let keys = keys.and_then(VolumeKeys::writer).unwrap_or_else(|| self.pool.writer());
        let (file, blocks) = seal(keys, self.params(), COPIES, &bytes);
        self.operations.lengths.insert(number, bytes.len());
        let root = match &file.content {
            FileContent::Tree { root, .. } => Some(root.id),
            _ => None,
        };
        self.observe(Observed::FileSealed { number, root });
        let Some(task) = self.operations.open.get_mut(&id) else { return };
        task.number = number;
        task.file = Some(file);
        if blocks.is_empty() {
            return self.put_edit(id);
        }
        blocks.iter().for_each(|block| self.observe(Observed::BlockSealed { block: block.clone() }));
        if let Some(task) = self.operations.open.get_mut(&id) {
            task.unsent = blocks.into();
        }
        (0..BLOCKS_UNDER_WAY).for_each(|_| self.put_block(id));
    }

    /// The next block of a file, if there is one.
    fn put_block(&mut self, id: OperationId) {
        let next = self.operations.open.get_mut(&id).and_then(|task| task.unsent.pop_front());
        let Some(block) = next else { return };
        let asked = PendingCommand::Put(block.id());
        self.ask(id, asked, Command::PutBlock { block, redundancy: Redundancy::Replicas(COPIES), more: false });
    }

    fn put_edit(&mut self, id: OperationId) {
        let Some(task) = self.operations.open.get(&id) else { return };
        let (UserOperation::Put { path, .. }, Some(file)) = (&task.operation, &task.file) else { return };
        self.send_edit(id, TreeEdit::Put { path: path.clone(), file: file.clone(), xattrs: Vec::new() });
    }

    fn send_edit(&mut self, id: OperationId, edit: TreeEdit) {
        let change = vec![edit].into();
        self.ask(id, PendingCommand::Edit, Command::Edit { volume: self.pool.volume(), change });
    }

    fn ask(&mut self, id: OperationId, asked: PendingCommand, command: Command) {
        self.operations.last_op += 1;
        let op = self.operations.last_op;
        let Some(task) = self.operations.open.get_mut(&id) else { return };
        task.waiting.insert(op, asked);
        let machine = task.machine;
        let operation = format!("{:?}", task.operation);
        self.operations.ops.insert(op, (id, machine));
        self.observe(Observed::CommandSent { machine, op, operation });
        self.input(machine, Input::Command { op, command });
    }

    /// An engine answers a command.
    pub(crate) fn operation_reply(&mut self, machine: MachineId, op: OpId, reply: Reply) {
        let Some((id, _)) = self.operations.ops.remove(&op) else {
            return self.unusable("liveness", format!("node {machine} answers {op}, which no user waits for"));
        };
        let Some(task) = self.operations.open.get_mut(&id) else {
            // The operation ended with another of its commands.
            return self.observe(Observed::ReportAnswered { op });
        };
        let Some(asked) = task.waiting.remove(&op) else { return };
        let number = task.number;
        match (asked, reply) {
            (PendingCommand::Put(block), Reply::PutBlock(outcome)) => {
                self.observe(Observed::PutAnswered { op, block, outcome: outcome.clone() });
                self.put_step(id, &outcome);
            }
            (PendingCommand::Edit, Reply::Edit(reply)) => {
                let all_connected = self.all_connected() && !self.net.has_strangers();
                let (write_key, answered) = (self.write_key(machine), reply.clone());
                self.observe(Observed::EditAnswered { machine, op, number, reply: answered, write_key, all_connected });
                self.end(id, OperationEnd::Edited(reply));
            }
            (PendingCommand::Look, Reply::Query(reply)) => {
                let (maybe_stale, maybe_incomplete) = (reply.maybe_stale, !reply.unpublished_on.is_empty());
                (self.operations.maybe_stale, self.operations.maybe_incomplete) = (maybe_stale, maybe_incomplete);
                let (shown, connected) = (self.looked.take(), self.connected_to(machine));
                self.observe(Observed::QueryAnswered { machine, op, shown, maybe_stale, maybe_incomplete, connected });
                match reply.found {
                    Ok(found) => self.found(id, found),
                    Err(error) => self.end(id, OperationEnd::Failed(format!("{error:?}"))),
                }
            }
            (PendingCommand::History, Reply::Query(reply)) => {
                self.looked = None;
                self.observe(Observed::ReportAnswered { op });
                match reply.found {
                    Ok(QueryResult::History(history)) => self.visit_past(id, &history),
                    other => self.end(id, OperationEnd::Failed(format!("{other:?}"))),
                }
            }
            (PendingCommand::Past(state), Reply::Query(reply)) => {
                self.looked = None;
                self.past_answered(id, op, state, reply.found);
            }
            (PendingCommand::Get { at, from, depth }, Reply::GetBlock(outcome)) => {
                let found = matches!(outcome, GetOutcome::Found(_));
                let in_reach = if found { Vec::new() } else { self.working_stores(machine) };
                self.observe(Observed::GetAnswered { machine, op, block: at.id, found, in_reach });
                self.got(id, at, from, depth, outcome);
            }
            (PendingCommand::Report, Reply::Members(members)) => {
                let in_state = |state| {
                    let members = members.members.iter().filter(|member| member.presence == state);
                    members.map(|member| member.node).collect()
                };
                let (away, departed) = (in_state(Presence::Away), in_state(Presence::Departed));
                let in_touch = self.in_touch_with(machine);
                self.observe(Observed::MembersAnswered { machine, op, away, departed, in_touch });
                self.end(id, OperationEnd::Members(members));
            }
            (PendingCommand::Report, Reply::Status(status)) => {
                self.status_answered(machine, op, &status);
                self.end(id, OperationEnd::Status(status));
            }
            (PendingCommand::Report, Reply::Assure(found)) => {
                self.observe(Observed::AssuranceAnswered { op, found: found.clone() });
                self.end(id, OperationEnd::Assured(found));
            }
            (asked, other) => {
                self.observe(Observed::ReportAnswered { op });
                self.report(id, asked, other);
            }
        }
    }

    /// The user goes on with one of the states.
    fn visit_past(&mut self, id: OperationId, history: &VolumeHistory) {
        let Some(task) = self.operations.open.get(&id) else { return };
        let (UserOperation::ListPast { path, nth } | UserOperation::Restore { path, nth }) = &task.operation else {
            return;
        };
        let Some(state) = history.states.get(nth % history.states.len().max(1)).map(|state| state.id) else {
            return self.end(id, OperationEnd::Failed("no state at all".into()));
        };
        let path = path.clone();
        match task.operation {
            UserOperation::Restore { .. } => {
                self.send_edit(id, TreeEdit::Restore { state, from: path.clone(), to: path, replace: true });
            }
            _ => {
                let query = TreeQuery::List { path, after: None, max: 1_000 };
                let command = Command::Query { volume: self.pool.volume(), state: Some(state), query };
                self.ask(id, PendingCommand::Past(state), command);
            }
        }
    }

    fn past_answered(&mut self, id: OperationId, op: OpId, state: BlockId, found: Result<QueryResult, TreeError>) {
        let task = self.operations.open.get(&id);
        let Some(UserOperation::ListPast { path, .. }) = task.map(|task| &task.operation) else { return };
        let path = path.clone();
        match found {
            Ok(QueryResult::List { entries, .. }) => {
                self.observe(Observed::PastAnswered { op, state, path, entries: Some(entries.clone()) });
                self.end(id, OperationEnd::Listed(entries));
            }
            Err(TreeError::NotFound | TreeError::NotAFolder) => {
                self.observe(Observed::PastAnswered { op, state, path, entries: None });
                self.end(id, OperationEnd::Failed("not there".into()));
            }
            other => {
                self.observe(Observed::ReportAnswered { op });
                self.end(id, OperationEnd::Failed(format!("{other:?}")));
            }
        }
    }

    fn report(&mut self, id: OperationId, asked: PendingCommand, reply: Reply) {
        match (asked, reply) {
            (PendingCommand::Revoke(subject), Reply::Revoked(_)) => {
                self.revoked(subject);
                self.end(id, OperationEnd::Revoked);
            }
            (PendingCommand::Report, Reply::Inventory(survey)) => self.end(id, OperationEnd::Inventoried(survey)),
            (PendingCommand::Report, Reply::Absence(absence)) => self.end(id, OperationEnd::Announced(absence)),
            (PendingCommand::Report, Reply::Drain(drain)) => self.end(id, OperationEnd::Drained(drain)),
            (PendingCommand::Report, Reply::Removed(_)) => self.end(id, OperationEnd::Removed),
            (_, Reply::Refused(refusal)) => self.end(id, OperationEnd::Failed(format!("{refusal:?}"))),
            (_, other) => self.unusable("liveness", format!("an answer of another kind: {other:?}")),
        }
    }

    fn unusable(&mut self, checker: &'static str, what: String) {
        self.observe(Observed::ReplyUnusable { checker, what });
    }

    /// Machines that run, can be reached from this one, and have no failing disk.
    fn working_stores(&self, from: MachineId) -> Vec<WorkingStore> {
        let works = |(id, machine): (MachineId, &crate::world::machine::Machine)| {
            let able = self.is_honest(id) && machine.store.disks.iter().all(|disk| !disk.fails);
            let near = id == from || self.connected(from, id);
            (able && near).then_some(WorkingStore { machine: id, index_ready: machine.index_ready })
        };
        self.machines.iter().enumerate().filter_map(works).collect()
    }

    fn put_step(&mut self, id: OperationId, outcome: &PutOutcome) {
        if let PutOutcome::Refused(refusal) = outcome {
            return self.end(id, OperationEnd::Failed(format!("{refusal:?}")));
        }
        self.put_block(id);
        if self.operations.open.get(&id).is_some_and(|task| task.waiting.is_empty()) {
            self.put_edit(id);
        }
    }

    fn found(&mut self, id: OperationId, found: QueryResult) {
        match found {
            QueryResult::List { entries, .. } => self.end(id, OperationEnd::Listed(entries)),
            QueryResult::Way { .. } | QueryResult::History(_) => unreachable!("users ask for entries and lists"),
            QueryResult::Entry(TreeItem { kind: TreeItemKind::Dir { .. }, .. }) => {
                self.end(id, OperationEnd::Failed("a folder".into()));
            }
            QueryResult::Entry(TreeItem { kind: TreeItemKind::File { content, .. }, .. }) => {
                self.read_content(id, content);
            }
        }
    }

    fn read_content(&mut self, id: OperationId, content: FileContent) {
        match content {
            FileContent::Inline(bytes) => {
                if let Some(task) = self.operations.open.get_mut(&id) {
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
                        // No simulated user stores zeros.
                        let Some(child) = child else { continue };
                        self.get(id, child, from + nr * step, depth - 1);
                    }
                }
                Err(error) => self.unusable("promise", format!("a manifest does not open: {error}")),
            }
        } else {
            match open_data(volume, at, &block) {
                Ok(bytes) => {
                    if let Some(task) = self.operations.open.get_mut(&id) {
                        task.read.insert(from, bytes.to_vec());
                    }
                }
                Err(error) => self.unusable("promise", format!("a chunk does not open: {error}")),
            }
        }
        self.read_ends(id);
    }

    fn read_ends(&mut self, id: OperationId) {
        let Some(task) = self.operations.open.get_mut(&id).filter(|task| task.waiting.is_empty()) else { return };
        let bytes: Vec<u8> = std::mem::take(&mut task.read).into_values().flatten().collect();
        let number = self.operations.writer_of(&bytes);
        self.observe(Observed::BytesRead { len: bytes.len(), number });
        self.end(id, OperationEnd::Read(number.unwrap_or(0)));
    }

    fn end(&mut self, id: OperationId, end: OperationEnd) {
        let Some(task) = self.operations.open.remove(&id) else { return };
        let at = self.at;
        self.trace.note(at, &("end", id), || {
            crate::world::wording::shorten(format!("node {}: operation {id} ends: {end:?}", task.machine))
        });
        *self.operations.counts.entry(count(&end)).or_default() += 1;
        self.operations.ended.insert(id, end);
    }

    /// Operations on a node that crashed end with it.
    pub(crate) fn operations_of_crashed(&mut self, machine: MachineId) {
        let hit: Vec<OperationId> =
            self.operations.open.iter().filter(|(_, task)| task.machine == machine).map(|(id, _)| *id).collect();
        for id in hit {
            self.end(id, OperationEnd::Crashed);
        }
        let there = self.operations.ops.iter().filter(|(_, (_, on))| *on == machine);
        let aborted: Vec<OpId> = there.map(|(op, _)| *op).collect();
        for op in aborted {
            self.operations.ops.remove(&op);
            self.observe(Observed::CommandAborted { op });
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
        OperationEnd::Inventoried(_)
        | OperationEnd::Status(_)
        | OperationEnd::Members(_)
        | OperationEnd::Drained(_)
        | OperationEnd::Assured(_)
        | OperationEnd::Announced(_) => "told",
        OperationEnd::Removed => "removed",
        OperationEnd::Revoked => "revoked",
        OperationEnd::Failed(_) => "not",
        OperationEnd::Crashed => "crashed",
    }
}
