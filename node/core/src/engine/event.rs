//! What machines tell those above them.
//!
//! A machine never calls a machine of a higher floor: it raises an event, and the router hands it on when the call has
//! returned, before anything that was raised later.

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::{BlockId, NodeId, VolumeId};
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::record::RecordInfo;

use super::unneeded::CopyNeed;
use crate::seam::{GetOutcome, OpId, PutOutcome, Reply, Waiter};

/// Something that happened on one floor and that others act upon.
#[derive(Debug)]
pub(super) enum Event {
    /// A peer that owes an answer is silent: those who asked it go on without it, but take a late answer.
    PeerSilent { node: NodeId, waiter: Waiter },
    /// No answer to this will come any more.
    RequestLost { node: NodeId, waiter: Waiter },
    /// Facts became valid; they are in the log's queue and passed on already.
    FactsInserted(Vec<Fact>),
    /// A fact of this node's own was made: all who listen are told.
    FactMade(Fact),
    /// Facts were compared with this member: each knows now what the other had when that began, in monotonic milliseconds.
    FactsExchanged { node: NodeId, began: u64 },
    /// Facts were compared with another member for the first time since the start.
    SyncEnded,
    /// Keys of a volume came into use.
    KeysArrived,
    /// A put has ended, and this is what came of it.
    PutEnded(PutReport),
    /// A read has ended for one of those who wanted the block.
    GetEnded { waiter: Waiter, id: BlockId, outcome: GetOutcome },
    /// The holders of a volume's heads were asked.
    HeadsHeard { waiter: Waiter, volume: VolumeId, heard: HeardHeads },
    /// A mark found something else of a copy here than was known.
    CopyJudged { info: RecordInfo, need: CopyNeed },
    /// This node said that it is to be drained, or not: the command is answered when its card has followed.
    DrainChanged { op: OpId },
    /// A command is answered when everything raised before is done.
    Reply { op: OpId, reply: Reply },
}

/// What came of a put.
#[derive(Debug)]
pub(super) struct PutReport {
    pub waiter: Waiter,
    /// None of a head.
    pub block: Option<(BlockId, Redundancy)>,
    pub outcome: PutOutcome,
    /// The block; none of a head.
    pub bytes: Option<Block>,
    /// Distinct servers that confirmed it.
    pub durable: usize,
    /// Those of them that are not this node.
    pub durable_on: Vec<NodeId>,
    /// N.
    pub target: usize,
    /// This node is one of those that confirmed it.
    pub mine: bool,
}

/// What the holders of heads said.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeardHeads {
    /// A majority of them, this node among them if it is one.
    pub majority: bool,
    /// So many of the others that at least one of them was in every quorum that confirmed a head to this node.
    pub own_past: bool,
}
