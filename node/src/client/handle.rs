//! The handle itself, and commands to the engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fsdfs_core::report::{
    AbsenceReport, BlockLocation, DrainReport, Inventory, MapReport, MemberList, RemovalReport, RevocationReport,
    RootKeyReport, StatusReport,
};
use fsdfs_core::seam::{
    AbsenceChange, Command, EditReply, GetOutcome, InvitationReply, OpId, PutOutcome, QueryReply, Refusal, Reply,
    VolumeChange,
};
use fsdfs_core::tree::{QueryResult, TreeError, TreeItem, TreePath, TreeQuery, VolumeHistory};
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{PoolRules, Role, SecretKey, Ticket};
use fsdfs_proto::ids::{BlockId, DiskId, FactId, NodeId, PublicKey, VolumeId};
use fsdfs_proto::message::{IDS_MAX, Redundancy};
use tokio::sync::{mpsc, oneshot, watch};

use super::error::ClientError;
use super::manifests::Manifests;
use super::memory::Memory;
use super::request::{ClientRequest, Lifecycle, VolumeState};
use crate::crypto_pool::CryptoPool;
use crate::store::BegunDisk;
use crate::{clock, random};

/// How much less than what was acknowledged an answer may show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Too few members could be asked: newer changes may exist.
    pub maybe_stale: bool,
    /// Members that are connected and acknowledged changes which are not shown.
    pub unpublished_on: Vec<String>,
}

/// What is to be different in the pool's rules; none = as before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewRules {
    /// N of new blocks.
    pub copies: Option<u8>,
    /// Bytes of storage that any member is believed at most; 0 = any.
    pub up_to_bytes: Option<u64>,
    /// Bytes of blocks, all copies together, that may be charged to one member; 0 = any.
    pub member_bytes_max: Option<u64>,
}

/// What is read: a volume as it is, or as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeView {
    /// Which volume.
    pub volume: VolumeId,
    /// The earlier state, by its commit; none = what stands now.
    pub state: Option<BlockId>,
}

impl From<VolumeId> for VolumeView {
    fn from(volume: VolumeId) -> Self {
        Self { volume, state: None }
    }
}

/// Clones share everything.
#[derive(Clone, Debug)]
pub struct Client {
    requests: mpsc::UnboundedSender<ClientRequest>,
    next_op: Arc<AtomicU64>,
    pub(super) shared: watch::Receiver<VolumeState>,
    pub(super) pool: CryptoPool,
    pub(super) memory: Memory,
    pub(super) manifests: Manifests,
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
pub(super) use answer;

macro_rules! ask {
    ($client:expr, $command:expr => $reply:ident) => {
        answer!($client.ask($command).await? => $reply)
    };
}

impl Client {
    pub(crate) fn new(
        requests: mpsc::UnboundedSender<ClientRequest>,
        shared: watch::Receiver<VolumeState>,
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

    /// Makes a ticket's key and certifies it: the key, and the chain from the root to it.
    pub async fn invite(
        &self,
        role: Role,
        redeem_by: u64,
        uses: u32,
        up_to_bytes: Option<u64>,
    ) -> Result<(SecretKey, InvitationReply), ClientError> {
        let seed = SecretKey::new(random::bytes());
        let subject = PublicKey(seed.signing_key().verifying_key().to_bytes());
        let made = ask!(self, Command::Invite { subject, role, redeem_by, uses, up_to_bytes } => Invited)?;
        Ok((seed, made))
    }

    /// Wall milliseconds since 1970, by the clock that the engine is given.
    pub fn wall_ms(&self) -> u64 {
        clock::wall_ms()
    }

    /// Revokes a member or a ticket; on request those whom it invited, too.
    pub async fn revoke(
        &self,
        subject: PublicKey,
        with_invited: bool,
        reason: String,
        root: Option<SecretKey>,
    ) -> Result<RevocationReport, ClientError> {
        ask!(self, Command::Revoke { subject, with_invited, reason, root } => Revoked).map(|report| *report)
    }

    /// Adds an admin, or takes one off the list, with the pool's root key. The new list.
    pub async fn name_admins(&self, root: SecretKey, member: NodeId, add: bool) -> Result<Vec<NodeId>, ClientError> {
        ask!(self, Command::NameAdmins { root, member, add } => Admins)
    }

    /// Which root key counts, and what root keys signed.
    pub async fn root_key(&self) -> Result<RootKeyReport, ClientError> {
        ask!(self, Command::RootKey => RootKey).map(|report| *report)
    }

    /// Puts a later root key in the place of the one that counts; what earlier ones signed stays, but for `without`.
    pub async fn replace_root_key(&self, root: SecretKey, without: Vec<FactId>) -> Result<RootKeyReport, ClientError> {
        ask!(self, Command::ReplaceRootKey { root, without } => RootKey).map(|report| *report)
    }

    /// The pool's rules.
    pub async fn rules(&self) -> Result<PoolRules, ClientError> {
        ask!(self, Command::Rules => Rules).map(|rules| *rules)
    }

    /// States other rules, on an admin's node or with the root key.
    pub async fn change_rules(&self, root: Option<SecretKey>, change: NewRules) -> Result<PoolRules, ClientError> {
        let NewRules { copies, up_to_bytes, member_bytes_max } = change;
        ask!(self, Command::ChangeRules { root, copies, up_to_bytes, member_bytes_max } => Rules).map(|rules| *rules)
    }

    /// When this node is away.
    pub async fn absence(&self) -> Result<AbsenceReport, ClientError> {
        ask!(self, Command::Absence => Absence)
    }

    /// Announces when this node is away.
    pub async fn change_absence(&self, change: AbsenceChange) -> Result<AbsenceReport, ClientError> {
        ask!(self, Command::ChangeAbsence(change) => Absence)
    }

    /// Removes a member for good, or this node itself.
    pub async fn remove_member(&self, node: NodeId) -> Result<RemovalReport, ClientError> {
        ask!(self, Command::RemoveMember { node } => Removed).map(|report| *report)
    }

    /// How far this node has handed over what it holds.
    pub async fn drain(&self) -> Result<DrainReport, ClientError> {
        ask!(self, Command::Drain => Drain).map(|report| *report)
    }

    /// Hands over all that this node holds, or makes it a holder again.
    pub async fn change_drain(&self, drain: bool) -> Result<DrainReport, ClientError> {
        ask!(self, Command::ChangeDrain { drain } => Drain).map(|report| *report)
    }

    /// Has one disk emptied, or ends that.
    pub async fn change_disk_drain(&self, disk: DiskId, drain: bool) -> Result<DrainReport, ClientError> {
        ask!(self, Command::ChangeDiskDrain { disk, drain } => Drain).map(|report| *report)
    }

    /// States that a member stands for itself.
    pub async fn vouch(&self, node: NodeId, up_to_bytes: Option<u64>) -> Result<FactId, ClientError> {
        ask!(self, Command::Vouch { node, up_to_bytes } => Vouched)
    }

    /// Makes changes to a volume in one commit. A refused commit is an error.
    pub async fn edit(&self, volume: VolumeId, change: impl Into<VolumeChange>) -> Result<EditReply, ClientError> {
        let change = change.into();
        let reply: EditReply = ask!(self, Command::Edit { volume, change } => Edit)?;
        match reply.outcome {
            PutOutcome::Refused(refusal) => Err(refusal.into()),
            _ => Ok(reply),
        }
    }

    /// One entry, and what may be missing.
    pub async fn entry(&self, of: impl Into<VolumeView>, path: TreePath) -> Result<(TreeItem, Freshness), ClientError> {
        let (found, freshness) = self.query(of, TreeQuery::Entry { path }).await?;
        match found {
            QueryResult::Entry(shown) => Ok((shown, freshness)),
            other => unreachable!("a query for an entry finds an entry, not {other:?}"),
        }
    }

    /// A page of a folder: entries, whether more follow, what may be missing.
    pub async fn list(
        &self,
        of: impl Into<VolumeView>,
        path: TreePath,
        after: Option<bytes::Bytes>,
        max: usize,
    ) -> Result<(Vec<TreeItem>, bool, Freshness), ClientError> {
        let (found, freshness) = self.query(of, TreeQuery::List { path, after, max }).await?;
        match found {
            QueryResult::List { entries, more } => Ok((entries, more, freshness)),
            other => unreachable!("a query for a list finds a list, not {other:?}"),
        }
    }

    /// The earlier states of a volume, and what stands now.
    pub async fn history(&self, volume: VolumeId) -> Result<(VolumeHistory, Freshness), ClientError> {
        let (found, freshness) = self.query(volume, TreeQuery::History).await?;
        match found {
            QueryResult::History(history) => Ok((history, freshness)),
            other => unreachable!("a query for the history finds it, not {other:?}"),
        }
    }

    pub(super) async fn query(
        &self,
        of: impl Into<VolumeView>,
        query: TreeQuery,
    ) -> Result<(QueryResult, Freshness), ClientError> {
        let VolumeView { volume, state } = of.into();
        let reply = ask!(self, Command::Query { volume, state, query } => Query)?;
        let QueryReply { found, maybe_stale, unpublished_on } = reply;
        match found {
            Ok(found) => Ok((found, Freshness { maybe_stale, unpublished_on })),
            // It may be among what cannot be seen.
            Err(TreeError::NotFound | TreeError::NotAFolder) if !unpublished_on.is_empty() => {
                Err(ClientError::NotShown { unpublished_on })
            }
            Err(error) => Err(error.into()),
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

    pub(super) async fn put_block(&self, block: Block, redundancy: Redundancy) -> Result<PutOutcome, ClientError> {
        ask!(self, Command::PutBlock { block, redundancy, more: false } => PutBlock)
    }

    pub(super) async fn get_block(&self, id: BlockId) -> Result<Block, ClientError> {
        match ask!(self, Command::GetBlock { id } => GetBlock)? {
            GetOutcome::Found(block) => Ok(block),
            GetOutcome::NotFound { away, .. } => Err(ClientError::Lost { away }),
        }
    }

    /// Whether nothing would be lost if this node left its pool: it is alone in it and the shared volume is empty. If not,
    /// why.
    pub(crate) async fn pool_is_empty(&self) -> Result<Result<(), String>, ClientError> {
        let members = self.members().await?.members.len();
        if members > 1 {
            return Ok(Err(format!("it has {} other members", members - 1)));
        }
        let is_empty = match self.list(self.pool_volume(), Vec::new(), None, 1).await {
            Ok((entries, _, _)) => entries.is_empty(),
            // Alone and without a head: nothing was ever written, be it for want of storage.
            Err(ClientError::Refused(Refusal::NotYet)) => true,
            Err(other) => return Err(other),
        };
        Ok(if is_empty { Ok(()) } else { Err("it holds files".into()) })
    }

    /// Begins a new disk in the storage folder of a lost one.
    pub(crate) async fn begin_disk(&self, path: PathBuf) -> Result<BegunDisk, ClientError> {
        let (answer, begun) = oneshot::channel();
        drop(self.requests.send(ClientRequest::BeginDisk { path, answer }));
        begun.await.map_err(|_| ClientError::Stopping)?.map_err(ClientError::Disk)
    }

    /// Ends the daemon gracefully. Requests under way are answered first.
    pub(crate) fn stop_daemon(&self) {
        self.change_lifecycle(Lifecycle::Stop);
    }

    /// Leaves the pool, which was found to be empty or to have no place for this node, and starts again with the ticket.
    pub(crate) fn change_pool(&self, ticket: Ticket) {
        self.change_lifecycle(Lifecycle::Join(Box::new(ticket)));
    }

    fn change_lifecycle(&self, change: Lifecycle) {
        // Without a receiver the daemon is ending already.
        drop(self.requests.send(ClientRequest::Lifecycle(change)));
    }

    /// Gives a command to the engine and waits. Whoever stops waiting cancels it.
    pub(super) async fn ask(&self, command: Command) -> Result<Reply, ClientError> {
        let (prepared, pending) = self.prepare();
        prepared.give(command);
        pending.wait().await
    }

    /// For a command that another thread gives when it has made what the command carries.
    pub(super) fn prepare(&self) -> (PreparedCommand, PendingReply<'_>) {
        let op = self.next_op.fetch_add(1, Ordering::Relaxed);
        let (answer, reply) = oneshot::channel();
        let waiting = WaitingReply { op, requests: Some(&self.requests) };
        (PreparedCommand { op, answer, requests: self.requests.clone() }, PendingReply { waiting, reply })
    }
}

/// A command that is still to be given.
pub(super) struct PreparedCommand {
    op: OpId,
    answer: oneshot::Sender<Reply>,
    requests: mpsc::UnboundedSender<ClientRequest>,
}

impl PreparedCommand {
    /// Nobody waits for its answer any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    /// To the engine. A stopped daemon drops the answer, and with that says so.
    pub(super) fn give(self, command: Command) {
        let Self { op, answer, requests } = self;
        drop(requests.send(ClientRequest::Command { op, command, answer }));
    }
}

/// The wait for the answer to a [`PreparedCommand`]. Dropped, it cancels the command.
pub(super) struct PendingReply<'a> {
    waiting: WaitingReply<'a>,
    reply: oneshot::Receiver<Reply>,
}

impl PendingReply<'_> {
    pub(super) async fn wait(mut self) -> Result<Reply, ClientError> {
        let reply = self.reply.await.map_err(|_| ClientError::Stopping);
        self.waiting.requests = None;
        reply
    }
}

/// Somebody waits for the answer to `op`. Dropped before it came, the engine is told.
struct WaitingReply<'a> {
    op: OpId,
    requests: Option<&'a mpsc::UnboundedSender<ClientRequest>>,
}

impl Drop for WaitingReply<'_> {
    fn drop(&mut self) {
        if let Some(requests) = self.requests {
            // A stopped daemon needs no cancelling.
            drop(requests.send(ClientRequest::Cancel(self.op)));
        }
    }
}
