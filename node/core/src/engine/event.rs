//! What machines tell those above them.
//!
//! A machine never calls a machine of a higher floor: it raises an event, and the router hands it on when the call has
//! returned, before anything that was raised later.

use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::{BlockId, NodeId, VolumeId};

use super::blocks::PutReport;
use super::volume::HeardHeads;
use crate::seam::{GetOutcome, OpId, Reply, Waiter};

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
    /// A command is answered when everything raised before is done.
    Reply { op: OpId, reply: Reply },
}
