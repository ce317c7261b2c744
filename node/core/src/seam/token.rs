//! Who waits for an answer.
//!
//! Whatever is asked of a disk, a job, a peer or another machine of the engine carries a token out and brings it back, so
//! nobody keeps a table of what was asked why. A machine that asks adds one variant of [`Waiter`]; what stands in it is its
//! own business.

use fsdfs_proto::ids::{BlockId, Digest, DiskId, Key, NodeId, VolumeId};
use fsdfs_proto::message::repair::{Holding, HoldingsRequest, IdPrefix};
use fsdfs_proto::message::{ProveRequest, Redundancy, RequestId};
use fsdfs_proto::record::RecordInfo;

use super::OpId;

/// Why something was asked. Opaque to whoever carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(pub(crate) Waiter);

impl Token {
    /// For what the store reports by itself.
    pub const UNASKED: Self = Self(Waiter::Nobody);
}

/// The machine that waits for an answer, and for which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// The store spoke by itself, or the command was cancelled.
    Nobody,
    /// A user of this node.
    Client(OpId),
    Gossip(GossipToken),
    /// The keys of this volume.
    Keys(VolumeId),
    /// Whether a holder of the shared volume's id knows that this node may have keys.
    Entitled(NodeId),
    Put(PutToken),
    Get(GetToken),
    Serve(ServeToken),
    Repair(RepairToken),
    Audit(AuditToken),
    Evict(EvictToken),
    Collect(CollectToken),
    Inventory(OpId),
    Renewal(RenewalToken),
    Locate(LocateToken),
    Assure(AssureToken),
    Proof(ProofToken),
    /// Heads of a volume, for the question with this number.
    Heads(u64),
    Query(QueryToken),
    /// The key of a new epoch is in the log.
    Rotation,
    Commit(CommitToken),
}

/// See [`crate::engine`]'s gossip: writes of the fact log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GossipToken {
    /// A peer wants to know when they are durable; `valid` if all of them were.
    Ack { to: NodeId, request: RequestId, valid: bool },
    /// Facts that nobody waits for.
    Log,
    /// Everything again, because an earlier write failed.
    Relog,
}

/// Of the put with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PutToken {
    /// Whether this node's own store has the block already.
    OwnProbe(u64),
    /// This node's own copy.
    OwnWrite(u64),
    /// A copy that this node keeps beside those of the holders, until they have proved theirs.
    Keep(u64),
    /// Whether a peer has it already.
    Probe(u64),
    /// A peer's copy of a block, or of a head.
    Store(u64),
    /// A peer's copy of a block that others pass on to it.
    Relayed(u64),
}

/// Of the read of this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GetToken {
    /// This node's own copy.
    Own(BlockId),
    /// A peer's copy.
    Fetch(BlockId),
    /// An intact copy is written in place of a damaged one; nobody waits.
    ReadRepair(BlockId),
}

/// A block on its way along a chain, as its writer has to hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RelayedBlock {
    pub request: RequestId,
    pub id: BlockId,
    pub redundancy: Redundancy,
    pub age_ms: u64,
}

/// What a peer asked of this node's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServeToken {
    Have {
        to: NodeId,
        request: RequestId,
    },
    Store {
        to: NodeId,
        request: RequestId,
    },
    /// The same of a block that was passed on, or is: what is answered but for the outcome.
    RelayedStore {
        to: NodeId,
        kept: RelayedBlock,
    },
    Fetch {
        to: NodeId,
        request: RequestId,
        id: BlockId,
    },
    ListBlocks {
        to: NodeId,
        request: RequestId,
    },
    /// How safe its copies are.
    Assure {
        to: NodeId,
        request: RequestId,
    },
    /// A comparison of a part.
    Holdings {
        to: NodeId,
        asked: Box<HoldingsRequest>,
    },
    /// What it offers.
    Offer {
        to: NodeId,
        request: RequestId,
        items: Vec<Holding>,
    },
    /// A block that it lacks.
    Pull {
        to: NodeId,
        request: RequestId,
        id: BlockId,
    },
}

/// Of repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RepairToken {
    /// The next own records, for the pass with this number.
    List { pass: u64 },
    /// Sums of these prefixes, for the comparison with this number; none: over all.
    Prints { number: u64, prefixes: Vec<IdPrefix> },
    /// What this node holds of a part, at most so many.
    Own { of: NodeId, number: u64, range: IdRange, theirs_none: bool, max: usize },
    /// What the two do not both have of a part, of which this node holds these.
    Holdings { number: u64, range: IdRange, own: Vec<RecordInfo> },
    /// Some records, for audits of a holder that has the same.
    Sample { of: NodeId },
    /// Blocks that a holder lacks.
    Offer { infos: Vec<RecordInfo> },
    /// A block that this node lacks.
    Pull(BlockId),
    /// The same, on its way to the disk.
    Written(BlockId),
}

/// A part of the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdRange {
    /// None = from the first id.
    pub after: Option<BlockId>,
    pub to: BlockId,
}

impl IdRange {
    pub fn has(&self, id: BlockId) -> bool {
        self.after.is_none_or(|after| after < id) && id <= self.to
    }
}

/// Of audits, this node's and those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuditToken {
    /// This node's copy of a block that a holder is to be asked about.
    Own { of: NodeId, id: BlockId },
    /// The holder was asked; only one answer is right.
    Asked { id: BlockId, expected: Digest },
    /// The copy that a member asked about.
    Answer { to: NodeId, request: RequestId, nonce: Key, id: BlockId },
}

/// Of eviction; the numbers are those of its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EvictToken {
    /// The next copies.
    Counted { number: u64 },
    /// What lies in a segment.
    Listed { number: u64 },
    /// A holder says which of so many blocks it has.
    Proof { number: u64, node: NodeId, copies: u8, count: usize },
    /// Copies are deleted.
    Deleted,
    /// What a member wants to be proven, asked when the map had changed so often.
    Answer { to: NodeId, asked: Box<ProveRequest>, map_changes: u64 },
}

/// Of collecting; the numbers are those of its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CollectToken {
    /// What blocks here need.
    Links { number: u64 },
    /// A block with links that another member has.
    Block { number: u64 },
    /// The next copies.
    Copies { number: u64 },
    /// Of which volumes those are that are due.
    Volumes { number: u64 },
    /// Steps on this disk.
    Collected { number: u64, disk: DiskId },
    /// Nobody waits: links are remembered, or leases renewed.
    Kept,
}

/// Leases that are to be renewed for a command: a question about blocks of which so many copies are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RenewalToken {
    Own { op: OpId, copies: u8 },
    Peer { op: OpId, copies: u8 },
}

/// Where blocks are, for a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LocateToken {
    Own(OpId),
    Peer { op: OpId, ids: Vec<BlockId> },
}

/// How safe blocks are, for a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AssureToken {
    Own(OpId),
    Peer { op: OpId, ids: Vec<BlockId> },
}

/// Proofs of a block's copies, for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProofToken {
    /// This node's copy.
    Own(OpId),
    /// The bytes, of a holder.
    Pull(OpId),
    /// A holder was asked; only one answer is right.
    Asked { op: OpId, expected: Digest },
}

/// Of the tree query with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueryToken {
    /// The heads that stand.
    Heads(u64),
    /// The job that reads the tree.
    Job(u64),
    /// A block that the job lacks.
    Block(u64),
}

/// Of the running commit of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitToken {
    /// The heads that stand.
    Heads(VolumeId),
    /// The job that edits or merges.
    Job(VolumeId),
    /// A block that the job lacks.
    Block(VolumeId),
    /// A block that the commit made, or its head, on its way to the holders.
    Part(VolumeId),
    /// A block of an earlier commit that too few servers have, on its way here.
    Unreplicated(VolumeId),
    /// The same block, on its way to the holders.
    Replicated(VolumeId),
    /// Sequence number and head in the own log.
    Logged(VolumeId),
}
