//! What the engine is told.

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Message;

use super::{Command, DiskDone, OpId, Token};
use crate::tree::{JobDone, TreeJob};

/// The two clocks, handed in with every input. Timeouts and silence use the first; stamps, names and expiry the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Milliseconds on this node's monotonic clock.
    pub mono: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z, as this machine believes.
    pub wall: u64,
}

/// What the engine is told.
#[derive(Debug)]
pub enum Input {
    /// A user of this node wants something. Answered by exactly one [`Effect::Reply`] unless cancelled.
    Command {
        /// Comes back with the answer.
        op: OpId,
        /// What is wanted.
        command: Command,
    },
    /// A member said something.
    Message {
        /// Who, as authenticated by the connection.
        from: NodeId,
        /// What.
        message: Message,
        /// The block that followed it.
        payload: BlockPayload,
    },
    /// A connection behind the gate changed.
    Peer {
        /// Whose.
        node: NodeId,
        /// How.
        event: PeerEvent,
    },
    /// The store did what was asked, or noticed something by itself ([`Token::UNASKED`]).
    Disk {
        /// The reason the request carried.
        token: Token,
        /// What came of it.
        done: DiskDone,
    },
    /// A job ended, and comes home with the blocks it was given.
    Work {
        /// The reason the job carried.
        token: Token,
        /// The job.
        job: Box<TreeJob>,
        /// What came of it.
        done: JobDone,
    },
    /// This machine has other addresses now (`HOST:PORT`, the best first, at most 8): the node's card tells them.
    Addresses(Vec<String>),
    /// Whether this node forwards packets between other members from now on: the node's card tells.
    Relays(bool),
    /// This machine slept, or is somewhere else: members that were not reached may be reached now.
    Moved,
    /// Repair may send so many bytes in a second from now on; 0: none. Before the first one it is
    /// [`crate::limits::REPAIR_BYTES_PER_S_MAX`], which is never exceeded.
    RepairBudget(u64),
    /// The time of [`crate::engine::Engine::deadline`] has come.
    Timeout,
}

/// The block behind a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockPayload {
    /// None was announced.
    None,
    /// It has the announced id.
    Block(Block),
    /// What came does not have the announced id. The bytes were dropped.
    Wrong,
}

/// How packets get to a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerPath {
    /// To its address, over this node's line.
    #[default]
    Direct,
    /// To an address of a local network.
    Local,
    /// Over another member.
    Relayed,
}

/// What a connection reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// The gate let the peer in and the peer let us in.
    Up {
        /// What was learned at the gate: its certificate chain, admissions.
        facts: Vec<Fact>,
    },
    /// Packets take this way to it from now on. Said for each connection, and again when it goes over to another way.
    Path(PeerPath),
    /// The connection broke or was closed.
    Down,
    /// It sent a fact whose signature is wrong: [`PeerEvent::Down`] follows.
    Misbehaved,
    /// Bytes of a block went through, in either direction. Reported a few times a second at most.
    Progress,
    /// A block that was passed on to it ([`Message::RelayedStore`] of another origin) has left.
    Relayed {
        /// Whom the block is charged to.
        member: NodeId,
        /// Its length.
        bytes: usize,
    },
    /// Neither the addresses of the last [`Effect::Connect`] nor Kademlia led to it.
    Unreachable,
}
