//! Operations under way, and those that ended.

use std::collections::{BTreeMap, VecDeque};

use fsdfs_core::report::{AbsenceReport, BlockAssurance, DrainReport, Inventory, MemberList, StatusReport};
use fsdfs_core::seam::{EditReply, OpId};
use fsdfs_core::tree::{BlockRef, FileNode, TreeItem, TreePath};
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::DailySpan;
use fsdfs_proto::ids::{BlockId, NodeId};

use super::file::{WriteNumber, bytes_of};
use crate::world::net::MachineId;
use crate::world::queue::Micros;

/// What a user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named like the edits and looks they lead to")]
pub enum UserOperation {
    Put {
        path: TreePath,
        bytes: usize,
    },
    MakeDir {
        path: TreePath,
    },
    Remove {
        path: TreePath,
    },
    Move {
        from: TreePath,
        to: TreePath,
    },
    Read {
        path: TreePath,
    },
    List {
        path: TreePath,
    },
    /// What a folder had in some earlier state; `nth` of those that are listed, counted round.
    ListPast {
        path: TreePath,
        nth: usize,
    },
    /// Puts back what such a state has there, in place of what is there now.
    Restore {
        path: TreePath,
        nth: usize,
    },
    Inventory,
    Status,
    Members,
    /// Announces an absence until then, in wall milliseconds; 0: it is back. And hours of each day.
    Announce {
        until_ms: u64,
        daily: Vec<DailySpan>,
    },
    Revoke {
        subject: NodeId,
    },
    /// Removes a member for good, or the machine's own node.
    RemoveMember {
        subject: NodeId,
    },
    /// How safe these blocks are.
    Assure {
        blocks: Vec<BlockId>,
    },
    /// Hands over all that the node holds, or makes it a holder again; and how far that is.
    Drain {
        drain: bool,
    },
}

impl UserOperation {
    /// Whether it changes the tree.
    pub fn writes(&self) -> bool {
        matches!(
            self,
            Self::Put { .. } | Self::MakeDir { .. } | Self::Remove { .. } | Self::Move { .. } | Self::Restore { .. }
        )
    }
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
    /// Who is up, away, gone.
    Members(MemberList),
    /// What the node says of its absence.
    Announced(AbsenceReport),
    /// Who said to have which blocks.
    Assured(Vec<BlockAssurance>),
    /// What the node has still to hand over.
    Drained(Box<DrainReport>),
    /// A member holds nothing any more.
    Removed,
    /// A member is one no more.
    Revoked,
    /// Refused, not there, or not readable: why.
    Failed(String),
    /// The node crashed meanwhile. Whether it happened nobody knows.
    Crashed,
}

/// Names an operation.
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
    pub(super) file: Option<FileNode>,
    /// Blocks of a file that wait until others are durable.
    pub(super) unsent: VecDeque<Block>,
    pub(super) waiting: BTreeMap<OpId, PendingCommand>,
    pub(super) read: BTreeMap<u64, Vec<u8>>,
}

/// A command that was not answered yet.
#[derive(Clone, Copy)]
pub(super) enum PendingCommand {
    Put(BlockId),
    Edit,
    Look,
    /// Which earlier states there are.
    History,
    /// What one of them shows.
    Past(BlockId),
    Report,
    Revoke(NodeId),
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
    /// Which operation a command belongs to, and on which machine.
    pub(super) ops: BTreeMap<OpId, (OperationId, MachineId)>,
    /// Whether the last tree shown may not have been the newest, as its node said.
    pub maybe_stale: bool,
    /// Whether its node said that a member acknowledged what it does not show.
    pub maybe_incomplete: bool,
    /// Counts of ends, for the summary.
    pub counts: BTreeMap<&'static str, u64>,
    pub(super) last_op: OpId,
    pub(super) last_task: OperationId,
    pub(super) last_number: WriteNumber,
    /// Length of each write.
    pub(super) lengths: BTreeMap<WriteNumber, usize>,
}

impl OperationTable {
    /// Which write these bytes come from, if they are exactly what it wrote.
    pub(super) fn writer_of(&self, bytes: &[u8]) -> Option<WriteNumber> {
        let number = WriteNumber::from_be_bytes(*bytes.first_chunk()?);
        let len = *self.lengths.get(&number)?;
        (bytes_of(number, len) == bytes).then_some(number)
    }

    /// This answer is not waited for any more, nor is the operation that it is part of.
    pub fn give_up(&mut self, op: OpId) {
        if let Some((task, _)) = self.ops.remove(&op) {
            self.open.remove(&task);
        }
    }
}
