//! What passes between gateways and the daemon's loop.

use std::path::PathBuf;
use std::time::Duration;

use fsdfs_core::seam::{Command, OpId, Refusal, Reply};
use fsdfs_proto::identity::Ticket;
use fsdfs_proto::ids::PoolId;
use fsdfs_proto::volume::VolumeKeys;
use tokio::sync::oneshot;

use crate::store::{BegunDisk, StoreError};

/// What the daemon's loop is asked by the gateways of its own process.
#[derive(Debug)]
pub(crate) enum ClientRequest {
    /// Carry out a command.
    Command { op: OpId, command: Command, answer: oneshot::Sender<Reply> },
    /// Begin a new disk in the storage folder of a lost one.
    BeginDisk { path: PathBuf, answer: oneshot::Sender<Result<BegunDisk, StoreError>> },
    /// Nobody waits for it any more.
    Cancel(OpId),
    /// End, or change pools.
    Lifecycle(Lifecycle),
}

/// What becomes of the daemon as a whole.
#[derive(Debug)]
pub(crate) enum Lifecycle {
    /// End gracefully.
    Stop,
    /// Leave the pool, which was found to be empty or to have no place for this node, and join with this ticket.
    Join(Box<Ticket>),
}

/// What gateways must know of the engine's state before they can seal. Published when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumeState {
    /// The pool, and thereby its shared volume.
    pub pool: PoolId,
    /// Keys of the shared volume, once this node has them.
    pub keys: Option<VolumeKeys>,
    /// Why it has none to write with, if it has none.
    pub lacks_write_key: Refusal,
    /// N for new blocks.
    pub copies: u8,
    /// Leases of blocks that no commit names yet are renewed this often: a quarter of the time for which holders keep them.
    pub renew_every: Duration,
}
