//! What an observer who sees every machine writes down. Checkers learn of the world from this and from nothing else.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_core::placement::MapServer;
use fsdfs_core::report::BlockAssurance;
use fsdfs_core::seam::{EditReply, OpId, PutOutcome};
use fsdfs_core::tree::{JobDone, TreeItem, TreeJob, TreePath};
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{FactKind, Head};
use fsdfs_proto::ids::{BlockId, Digest, DiskId, NodeId, PublicKey};
use fsdfs_proto::message::Possession;
use fsdfs_proto::record::LogEntry;
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::VersionVector;

use super::MachineId;
use super::queue::Micros;
use crate::users::file::WriteNumber;

/// An observation, complete in itself: whoever reads it later needs no look at the world.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "fields are named like what they refer to in the world")]
pub enum Observed {
    /// A machine with a node of this identity; a duplicate is the copy of another machine.
    MachineAdded {
        machine: MachineId,
        node: NodeId,
        site: usize,
        /// Units of its disks.
        weight: u64,
        duplicate: bool,
    },
    /// A machine that will never run: it only keeps the numbers of the others.
    MachineLeftOut {
        machine: MachineId,
    },
    /// From now on the member on this machine lies, and nothing that is there counts.
    MemberTurned {
        machine: MachineId,
        node: NodeId,
    },
    /// An honest node revoked it.
    MemberRevoked {
        machine: MachineId,
    },
    /// A member that lies made a state of the volume that no job made.
    HeadForged {
        head: Signed<Head>,
        blocks: Vec<Block>,
    },
    /// A machine and its disks are gone for good.
    MachineLost {
        machine: MachineId,
    },
    NodeStarted {
        machine: MachineId,
    },
    NodeCrashed {
        machine: MachineId,
    },
    NodeFrozen {
        machine: MachineId,
    },
    NodeThawed {
        machine: MachineId,
    },
    /// The network was cut or healed, or a connection opened or ended.
    ConnectionsChanged,
    /// What a machine's disks have of a block is different from now on.
    CopyChanged {
        machine: MachineId,
        block: BlockId,
        copy: CopyState,
    },
    /// A machine deleted its copy because others have the block. Who is assigned it by the maps that are in use somewhere.
    CopyEvicted {
        machine: MachineId,
        block: BlockId,
        assigned: BTreeSet<BTreeSet<NodeId>>,
    },
    /// A machine deleted its copy because no state that it knows needs the block.
    CopyCollected {
        machine: MachineId,
        block: BlockId,
        /// Who is a member, as far as it knows.
        members: BTreeSet<NodeId>,
    },
    /// All that a machine's disks have.
    DisksReplaced {
        machine: MachineId,
        copies: Vec<(BlockId, CopyState)>,
    },
    /// Disks of a machine lost something, or take no accesses, or take them again.
    DisksDisturbed {
        machine: MachineId,
    },
    /// Entries became durable in the log of a machine's home folder.
    LogAppended {
        machine: MachineId,
        entries: Vec<LogEntry>,
    },
    /// All that is in the log of a machine's home folder, after an old image was put back there.
    ImageRestored {
        machine: MachineId,
        log: Vec<LogEntry>,
    },
    /// A user sealed a file; its root block, if it has blocks of its own.
    FileSealed {
        number: WriteNumber,
        root: Option<BlockId>,
    },
    BlockSealed {
        block: Block,
    },
    /// A job that changes a tree ran, or one that failed.
    JobRan {
        machine: MachineId,
        job: Box<TreeJob>,
        done: Box<JobDone>,
    },
    CommandSent {
        machine: MachineId,
        op: OpId,
        operation: String,
    },
    /// No answer will come: the node crashed.
    CommandAborted {
        op: OpId,
    },
    PutAnswered {
        op: OpId,
        block: BlockId,
        outcome: PutOutcome,
    },
    EditAnswered {
        machine: MachineId,
        op: OpId,
        number: WriteNumber,
        reply: EditReply,
        write_key: Option<PublicKey>,
        all_connected: bool,
    },
    /// A tree was shown; `shown` is what the job that read it was based on. `connected`: to whom the machine is.
    QueryAnswered {
        machine: MachineId,
        op: OpId,
        shown: Option<VersionVector>,
        maybe_stale: bool,
        maybe_incomplete: bool,
        connected: Vec<MachineId>,
    },
    /// An earlier state showed these entries of a folder; none: it has no such folder.
    PastAnswered {
        op: OpId,
        state: BlockId,
        path: TreePath,
        entries: Option<Vec<TreeItem>>,
    },
    GetAnswered {
        machine: MachineId,
        op: OpId,
        block: BlockId,
        found: bool,
        in_reach: Vec<WorkingStore>,
    },
    /// A node says of these that they are away, or gone. `in_touch`: machines it is connected to, directly or through others.
    MembersAnswered {
        machine: MachineId,
        op: OpId,
        away: Vec<NodeId>,
        departed: Vec<NodeId>,
        in_touch: Vec<MachineId>,
    },
    /// Members said what they hold of these blocks.
    AssuranceAnswered {
        op: OpId,
        found: Vec<BlockAssurance>,
    },
    /// A node said how it is.
    StatusAnswered {
        op: OpId,
        said: Box<OwnStatus>,
    },
    /// A block came that its machine had asked for.
    BlockPulled(PulledBlock),
    /// It is on a disk.
    CopyMade(MadeCopy),
    /// Machines that run, in groups that from now on hear of each other, if need be through others.
    MachinesInTouch {
        groups: Vec<Vec<MachineId>>,
    },
    /// A wall clock was set.
    ClockJumped,
    /// Any other answer: nothing is promised by it.
    ReportAnswered {
        op: OpId,
    },
    LeasesAnswered {
        machine: MachineId,
        answers: Vec<LeaseAnswer>,
    },
    /// A user read these bytes; none if no write wrote exactly them.
    BytesRead {
        len: usize,
        number: Option<WriteNumber>,
    },
    /// A user got a block that does not open, or an answer of the wrong kind, or one that nobody waits for.
    ReplyUnusable {
        checker: &'static str,
        what: String,
    },
    /// More waits for a peer than a connection may hold: messages without blocks, and with them.
    ConnectionOverflows {
        machine: MachineId,
        to: NodeId,
        waiting: [usize; 2],
    },
    /// A node asked for the same wake-up time again and again.
    NodeSpins {
        machine: MachineId,
    },
}

/// A block that repair moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulledBlock {
    /// From this machine.
    pub source: MachineId,
    /// To this machine.
    pub machine: MachineId,
    /// Which.
    pub block: BlockId,
    /// Its length.
    pub bytes: u64,
    /// The machine had it already.
    pub had: bool,
    /// Who was assigned it when it was asked for, by the map of that machine.
    pub assigned: Vec<NodeId>,
    /// Of these, whom the source has no line of its own to: what they have it hears from others, if at all.
    pub apart: Vec<NodeId>,
    /// Members that stand before this one in the order behind those, to which the sender could have given it.
    pub passed_over: Vec<NodeId>,
}

/// A copy that repair made, each time first what others have, then the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeCopy {
    /// On this machine.
    pub machine: MachineId,
    /// Of which block.
    pub block: BlockId,
    /// Copies wanted, at most by any of them.
    pub copies: (u8, u8),
    /// Milliseconds since it was first seen, by the youngest of them.
    pub age_ms: (u64, u64),
    /// Milliseconds since its lease was renewed, the same.
    pub lease_ms: (u64, u64),
}

/// What a node says of its copies, and which it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnStatus {
    /// Its machine.
    pub machine: MachineId,
    /// The least of copies less those wanted, of the blocks it knows of.
    pub least: Option<i64>,
    /// Blocks that lack copies.
    pub pending: u64,
    /// It does not know all yet, by its own word.
    pub running: bool,
    /// Its cluster map.
    pub map: Digest,
    /// Machines that run and that it is connected to.
    pub in_touch: Vec<MachineId>,
    /// What it holds and is assigned, each with all who are assigned it.
    pub assigned: Vec<(BlockId, Vec<NodeId>)>,
}

/// What the disks of one machine have of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyState {
    /// No record.
    Absent,
    /// Records, all of them rotten. The holder does not know before it reads them.
    Damaged,
    /// A record that can be read.
    Intact,
}

/// A running machine without a failing disk that the asking one can reach.
#[derive(Clone, Copy, Debug)]
pub struct WorkingStore {
    /// Which.
    pub machine: MachineId,
    /// Since when it can say what it has.
    pub index_ready: Micros,
}

/// What a holder said about a block whose lease it was asked to renew, and how its store was at that moment.
#[derive(Clone, Copy, Debug)]
pub struct LeaseAnswer {
    /// Which block.
    pub block: BlockId,
    /// What it said.
    pub said: Possession,
    /// There are records, and none was renewed since the question.
    pub lapses: bool,
    /// There was a readable record before the question.
    pub readable: bool,
}

/// What an honest node keeps and believes of the others.
#[derive(Clone, Debug)]
pub struct HonestView {
    /// Its machine.
    pub machine: MachineId,
    /// Its identity.
    pub node: NodeId,
    /// Bytes of the facts that it keeps, of each kind.
    pub fact_bytes: BTreeMap<FactKind, u64>,
    /// What each server weighs in its cluster map.
    pub weights: BTreeMap<NodeId, u64>,
    /// Copies that it wants of a block at most.
    pub claimed: u8,
    /// What lies on its disks.
    pub blocks: Vec<Block>,
    /// It would let somebody in by a ticket of one that lies.
    pub lets_back: bool,
    /// It is to hold blocks: neither drained nor removed.
    pub offers: bool,
}

impl HonestView {
    /// Bytes of all facts that it keeps.
    pub fn all_fact_bytes(&self) -> u64 {
        self.fact_bytes.values().sum()
    }
}

/// How the pool is at one moment.
#[derive(Clone, Debug)]
pub struct PoolSnapshot {
    /// Operations of users that have not ended.
    pub operations_open: usize,
    /// Whether every running node is connected to every other, and none is frozen.
    pub all_connected: bool,
    /// Machines that are not gone, in their order.
    pub nodes: Vec<NodeSnapshot>,
}

/// How one node is at one moment.
#[derive(Clone, Debug)]
pub struct NodeSnapshot {
    /// Its machine.
    pub machine: MachineId,
    /// Whether it runs and is not frozen.
    pub runs: bool,
    /// The longest block that a disk of it takes; none if all are full or fail.
    pub room_bytes: Option<u64>,
    /// Its disks that fail: what lies there is not lost yet.
    pub failing: Vec<DiskId>,
    /// What it knows, if it runs.
    pub knowledge: Option<NodeKnowledge>,
}

/// What a node knows.
#[derive(Clone, Debug)]
pub struct NodeKnowledge {
    /// Digest over its facts.
    pub facts: Digest,
    /// Digest over its cluster map.
    pub map: Digest,
    /// Commits of the heads of the shared volume.
    pub heads: Vec<BlockId>,
    /// Whether it has changes that it did not publish.
    pub unpublished: bool,
    /// The servers of its cluster map.
    pub servers: Vec<MapServer>,
}
