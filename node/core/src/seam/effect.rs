//! What the engine wants done.

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Message;

use super::{DiskRequest, OpId, Reply, Token};
use crate::report::Notice;
use crate::tree::TreeJob;

/// For whom the bytes of a block move. Who comes first, the network decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrafficClass {
    /// For a user, of this node or of another one: somebody waits.
    #[default]
    User,
    /// Forwarded for other members: blocks on their way along a chain. Packets of relayed connections are below the engine, in the network.
    Lent,
    /// Copies that are completed: no user waits.
    Repair,
}

/// What the engine wants done.
#[derive(Debug)]
pub enum Effect {
    /// Say this to a peer, if it is connected; otherwise drop it.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Message,
        /// The block the message announces.
        block: Option<Block>,
        /// Who has the line first, if there is not enough of it for all. Of a message without a block nothing: it never waits.
        class: TrafficClass,
    },
    /// Ask the store. Answered by [`Input::Disk`] with the same `token`.
    Disk {
        /// What to do.
        request: DiskRequest,
        /// Comes back.
        token: Token,
    },
    /// Compute. Answered by [`Input::Work`] with the same `token`.
    Work {
        /// What to compute.
        job: Box<TreeJob>,
        /// Comes back.
        token: Token,
    },
    /// Answer a command.
    Reply {
        /// Of the command.
        op: OpId,
        /// The answer.
        reply: Reply,
    },
    /// Connect to this member: its card's addresses first, then whatever Kademlia knows. Ends in `Up` or `Unreachable`.
    Connect {
        /// Whom.
        node: NodeId,
        /// `HOST:PORT` each, the best first.
        addrs: Vec<String>,
    },
    /// Close the connection: the peer is revoked, or broke the protocol.
    Disconnect {
        /// Whose.
        node: NodeId,
        /// For the log.
        reason: &'static str,
        /// Milliseconds for which the gate keeps it out. 0: the facts keep it out, and what was sent to it before has to reach it,
        /// for it may say why.
        pause_ms: u64,
    },
    /// Something the owner should see in the log.
    Notice(Notice),
}
