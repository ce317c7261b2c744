//! The handle through which gateways use the node: commands to the engine, and files as streams of bytes.
//!
//! Nothing here decides where a block lies or what a tree becomes; it cuts, seals, opens and counts.

mod get;
mod manifests;
mod memory;
mod put;

pub use get::OpenFile;
pub use put::{BodyError, Tally};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fsdfs_core::report::{BlockLocation, Inventory, MapReport, MemberList, StatusReport};
use fsdfs_core::seam::{Command, EditReply, GetOutcome, OpId, PutOutcome, QueryReply, Refusal, Reply};
use fsdfs_core::tree::{EditError, QueryResult, TreeEdit, TreeError, TreeItem, TreePath, TreeQuery};
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{Cert, Role};
use fsdfs_proto::ids::{BlockId, FactId, NodeId, PoolId, PublicKey, VolumeId};
use fsdfs_proto::message::{IDS_MAX, Redundancy};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::VolumeKeys;
use tokio::sync::{mpsc, oneshot, watch};

use self::manifests::Manifests;
use self::memory::Memory;
use crate::crypto_pool::{CryptoPool, JobPanicked};

/// What the daemon's loop is asked by the gateways of its own process.
#[derive(Debug)]
pub(crate) enum Request {
    /// Carry out a command.
    Command { op: OpId, command: Command, answer: oneshot::Sender<Reply> },
    /// Nobody waits for it any more.
    Cancel(OpId),
}

/// What gateways must know of the engine's state before they can seal. Published when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    /// The pool, and thereby its shared volume.
    pub pool: PoolId,
    /// Keys of the shared volume, once this node has them.
    pub keys: Option<VolumeKeys>,
    /// N for new blocks.
    pub copies: u8,
}

/// Why a user's request was not carried out. Gateways put it into words.
#[derive(Debug)]
pub enum ClientError {
    /// The daemon is stopping. Whether a change was made is not known.
    Stopping,
    /// The engine refused. Nothing durable was promised.
    Refused(Refusal),
    /// The change does not fit the tree. Nothing was changed.
    Edit(EditError),
    /// The tree could not be read.
    Tree(TreeError),
    /// It is a folder or a link, not a file.
    NotAFile(&'static str),
    /// A block of the file is on no server that is up.
    Lost {
        /// Members that may have it.
        away: Vec<NodeId>,
    },
    /// The sender went away. Nothing was changed.
    Body(BodyError),
    /// A bug.
    Panicked(JobPanicked),
}

impl From<Refusal> for ClientError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<TreeError> for ClientError {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}

impl From<JobPanicked> for ClientError {
    fn from(panicked: JobPanicked) -> Self {
        Self::Panicked(panicked)
    }
}

/// Clones share everything.
#[derive(Clone, Debug)]
pub struct Client {
    requests: mpsc::UnboundedSender<Request>,
    next_op: Arc<AtomicU64>,
    shared: watch::Receiver<Shared>,
    pool: CryptoPool,
    memory: Memory,
    manifests: Manifests,
}

macro_rules! answer {
    ($answer:expr => $reply:ident) => {
        match $answer {
            Reply::$reply(answer) => Ok(answer),
            Reply::Refused(refusal) => Err(ClientError::Refused(refusal)),
            other => unreachable!("the engine answers a command with the reply of its name, not {other:?}"),
        }
    };
}
use answer;

macro_rules! ask {
    ($client:expr, $command:expr => $reply:ident) => {
        answer!($client.ask($command).await? => $reply)
    };
}

impl Client {
    pub(crate) fn new(
        requests: mpsc::UnboundedSender<Request>,
        shared: watch::Receiver<Shared>,
        pool: CryptoPool,
    ) -> Self {
        let (memory, manifests) = (Memory::default(), Manifests::default());
        Self { requests, next_op: Arc::default(), shared, pool, memory, manifests }
    }

    /// The shared volume `pool`.
    pub fn pool_volume(&self) -> VolumeId {
        self.shared.borrow().pool.volume()
    }

    /// State of node and pool.
    pub async fn status(&self) -> Result<StatusReport, ClientError> {
        ask!(self, Command::Status => Status).map(|status| *status)
    }

    /// The members.
    pub async fn members(&self) -> Result<MemberList, ClientError> {
        ask!(self, Command::Members => Members)
    }

    /// The placement view and its capacity.
    pub async fn map(&self) -> Result<MapReport, ClientError> {
        ask!(self, Command::ClusterMap => ClusterMap).map(|map| *map)
    }

    /// The placement view, and which blocks lie where.
    pub async fn survey(&self) -> Result<Inventory, ClientError> {
        ask!(self, Command::Inventory => Inventory).map(|survey| *survey)
    }

    /// Runs a computation that takes longer than the loop or a request's task may.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ClientError> {
        Ok(self.pool.run(job).await?)
    }

    /// Certifies a ticket's key. The chain from the root to it.
    pub async fn invite(
        &self,
        subject: PublicKey,
        role: Role,
        redeem_by: u64,
        uses: u32,
    ) -> Result<Vec<Signed<Cert>>, ClientError> {
        ask!(self, Command::Invite { subject, role, redeem_by, uses } => Invited)
    }

    /// Revokes a member or a ticket.
    pub async fn revoke(&self, subject: PublicKey, reason: String) -> Result<FactId, ClientError> {
        ask!(self, Command::Revoke { subject, reason } => Revoked)
    }

    /// Makes changes to a volume in one commit. A refused commit is an error.
    pub async fn edit(&self, volume: VolumeId, edits: Vec<TreeEdit>) -> Result<EditReply, ClientError> {
        let reply: EditReply = ask!(self, Command::Edit { volume, edits } => Edit)?;
        match reply.outcome {
            PutOutcome::Refused(refusal) => Err(refusal.into()),
            _ => Ok(reply),
        }
    }

    /// One entry, and whether newer changes may exist.
    pub async fn entry(&self, volume: VolumeId, path: TreePath) -> Result<(TreeItem, bool), ClientError> {
        let query = TreeQuery::Entry { path };
        let QueryReply { found, maybe_stale } = ask!(self, Command::Query { volume, query } => Query)?;
        match found? {
            QueryResult::Entry(shown) => Ok((shown, maybe_stale)),
            QueryResult::List { .. } => unreachable!("a query for an entry finds an entry"),
        }
    }

    /// A page of a folder: entries, whether more follow, whether newer changes may exist.
    pub async fn list(
        &self,
        volume: VolumeId,
        path: TreePath,
        after: Option<bytes::Bytes>,
        max: usize,
    ) -> Result<(Vec<TreeItem>, bool, bool), ClientError> {
        let query = TreeQuery::List { path, after, max };
        let QueryReply { found, maybe_stale } = ask!(self, Command::Query { volume, query } => Query)?;
        match found? {
            QueryResult::List { entries, more } => Ok((entries, more, maybe_stale)),
            QueryResult::Entry(_) => unreachable!("a query for a list finds a list"),
        }
    }

    /// Where these blocks should be and are, in the order of the ids.
    pub async fn locate(&self, ids: &[BlockId]) -> Result<Vec<BlockLocation>, ClientError> {
        let mut found = Vec::with_capacity(ids.len());
        for part in ids.chunks(IDS_MAX) {
            found.extend(ask!(self, Command::Locate { ids: part.to_vec() } => Locate)?);
        }
        Ok(found)
    }

    async fn put_block(&self, block: Block, redundancy: Redundancy) -> Result<PutOutcome, ClientError> {
        ask!(self, Command::PutBlock { block, redundancy } => PutBlock)
    }

    async fn get_block(&self, id: BlockId) -> Result<Block, ClientError> {
        match ask!(self, Command::GetBlock { id } => GetBlock)? {
            GetOutcome::Found(block) => Ok(block),
            GetOutcome::NotFound { away } => Err(ClientError::Lost { away }),
        }
    }

    /// Gives a command to the engine and waits. Whoever stops waiting cancels it.
    async fn ask(&self, command: Command) -> Result<Reply, ClientError> {
        let (prepared, pending) = self.prepare();
        prepared.give(command);
        pending.wait().await
    }

    /// For a command that another thread gives when it has made what the command carries.
    fn prepare(&self) -> (PreparedCommand, PendingReply<'_>) {
        let op = self.next_op.fetch_add(1, Ordering::Relaxed);
        let (answer, reply) = oneshot::channel();
        let waiting = Waiting { op, requests: Some(&self.requests) };
        (PreparedCommand { op, answer, requests: self.requests.clone() }, PendingReply { waiting, reply })
    }
}

/// A command that is still to be given.
struct PreparedCommand {
    op: OpId,
    answer: oneshot::Sender<Reply>,
    requests: mpsc::UnboundedSender<Request>,
}

impl PreparedCommand {
    /// Nobody waits for its answer any more.
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    /// To the engine. A stopped daemon drops the answer, and with that says so.
    fn give(self, command: Command) {
        let Self { op, answer, requests } = self;
        drop(requests.send(Request::Command { op, command, answer }));
    }
}

/// The wait for the answer to a [`PreparedCommand`]. Dropped, it cancels the command.
struct PendingReply<'a> {
    waiting: Waiting<'a>,
    reply: oneshot::Receiver<Reply>,
}

impl PendingReply<'_> {
    async fn wait(mut self) -> Result<Reply, ClientError> {
        let reply = self.reply.await.map_err(|_| ClientError::Stopping);
        self.waiting.requests = None;
        reply
    }
}

/// Somebody waits for the answer to `op`. Dropped before it came, the engine is told.
struct Waiting<'a> {
    op: OpId,
    requests: Option<&'a mpsc::UnboundedSender<Request>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(requests) = self.requests {
            // A stopped daemon needs no cancelling.
            drop(requests.send(Request::Cancel(self.op)));
        }
    }
}
