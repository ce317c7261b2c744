//! The seam between deciding and doing: what the engine is told and what it wants done.
//!
//! The daemon carries effects out with sockets, threads and files, the simulator with a seeded world. A disk request and
//! a job carry their reason out and bring it back, so nobody keeps a table of what was asked.

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{Cert, Fact, Role};
use fsdfs_proto::ids::{BlockId, DiskId, FactId, NodeId, VolumeId};
use fsdfs_proto::message::{Message, Possession, Redundancy};
use fsdfs_proto::record::{LogEntry, RecordInfo};
use fsdfs_proto::signed::Signed;

use crate::report::{BlockLocation, Inventory, MapReport, MemberList, Notice, StatusReport};
use crate::tree::{EditError, EditOutcome, JobDone, QueryResult, TreeEdit, TreeError, TreeJob, TreeQuery};

/// The two clocks, handed in with every input. Timeouts and silence use the first; stamps, names and expiry the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Milliseconds on this node's monotonic clock.
    pub mono: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z, as this machine believes.
    pub wall: u64,
}

/// Names a command; chosen by whoever gives it, unique among those not yet answered.
pub type OpId = u64;

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
        why: Token,
        /// What came of it.
        done: DiskDone,
    },
    /// A job ended.
    Work {
        /// The reason the job carried.
        why: Token,
        /// What came of it.
        done: JobDone,
    },
    /// This machine has other addresses now (`HOST:PORT`, the best first, at most 8): the node's card tells them.
    Addresses(Vec<String>),
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

/// What a connection reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// The gate let the peer in and the peer let us in.
    Up {
        /// What was learned at the gate: its certificate chain, admissions.
        facts: Vec<Fact>,
    },
    /// The connection broke or was closed.
    Down,
    /// Bytes of a block went through, in either direction. Reported a few times a second at most.
    Progress,
    /// Neither the addresses of the last [`Effect::Connect`] nor Kademlia led to it.
    Unreachable,
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
    },
    /// Ask the store. Answered by [`Input::Disk`] with the same `why`.
    Disk {
        /// What to do.
        request: DiskRequest,
        /// Comes back.
        why: Token,
    },
    /// Compute. Answered by [`Input::Work`] with the same `why`.
    Work {
        /// What to compute.
        job: Box<TreeJob>,
        /// Comes back.
        why: Token,
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
    },
    /// Something the owner should see in the log.
    Notice(Notice),
}

/// What users of this node ask of it. Gateways stream; the engine sees blocks and references.
#[derive(Debug)]
pub enum Command {
    /// Make a sealed block durable.
    PutBlock {
        /// The block.
        block: Block,
        /// What redundancy it wants.
        redundancy: Redundancy,
    },
    /// Get a block, from wherever it is.
    GetBlock {
        /// Which.
        id: BlockId,
    },
    /// Change a volume. Edits that come within a few milliseconds share one commit.
    Edit {
        /// Which volume.
        volume: VolumeId,
        /// Carried out in order; each succeeds or fails by itself.
        edits: Vec<TreeEdit>,
    },
    /// Read a volume's tree.
    Query {
        /// Which volume.
        volume: VolumeId,
        /// What to read of it.
        query: TreeQuery,
    },
    /// Which servers should hold and do hold these blocks.
    Locate {
        /// Which blocks, at most [`fsdfs_proto::message::IDS_MAX`].
        ids: Vec<BlockId>,
    },
    /// The members as this node knows them.
    Members,
    /// State of node and pool.
    Status,
    /// The cluster map and its capacity.
    ClusterMap,
    /// The cluster map, and which blocks lie where: asks the members, ends within [`crate::limits::INVENTORY_MS`].
    Inventory,
    /// Certify a ticket's throw-away key.
    Invite {
        /// Its public key.
        subject: fsdfs_proto::ids::PublicKey,
        /// Rights of whoever redeems it.
        role: Role,
        /// Wall milliseconds; 0 = never.
        redeem_by: u64,
        /// Newcomers at most.
        uses: u32,
    },
    /// Revoke a member or a ticket; with `keep` set, what a member signed before stays valid.
    Revoke {
        /// Its key.
        subject: fsdfs_proto::ids::PublicKey,
        /// For people.
        reason: String,
    },
    /// Give up an earlier command: nobody waits for its answer any more.
    Cancel {
        /// Which.
        op: OpId,
    },
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named like the commands")]
pub enum Reply {
    PutBlock(PutOutcome),
    GetBlock(GetOutcome),
    Edit(EditReply),
    Query(QueryReply),
    Locate(Vec<BlockLocation>),
    Members(MemberList),
    Status(Box<StatusReport>),
    ClusterMap(Box<MapReport>),
    Inventory(Box<Inventory>),
    /// The chain from the root to the ticket's certificate.
    Invited(Vec<Signed<Cert>>),
    Revoked(FactId),
    /// The command cannot be carried out now, or by this node.
    Refused(Refusal),
}

/// How durable a block or a head became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// All wanted copies, on as many distinct servers.
    Stored(Copies),
    /// Durable on a quorum of those that are up, but on fewer than wanted; top-up will finish the job.
    Degraded(Copies),
    /// Nothing durable was promised.
    Refused(Refusal),
}

/// Copies reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Distinct servers on which it is durable.
    pub servers: Vec<NodeId>,
    /// Distinct sites among them.
    pub sites: u8,
    /// N.
    pub wanted: u8,
    /// Whether the block was there already and nothing was sent.
    pub present: bool,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No disk with room could be reached.
    #[error("no server with free space can be reached; see 'fsdfs df' and 'fsdfs members'")]
    NoSpace,
    /// Fewer servers than the quorum took it before the time was up.
    #[error("only {got} of the {needed} servers needed confirmed it in time; try again when more members are up")]
    NoQuorum {
        /// Confirmed.
        got: u8,
        /// Needed.
        needed: u8,
    },
    /// This node holds no key that writes to, or reads, the volume.
    #[error("this node has no key for that volume yet; it is fetched from a member as soon as one is reachable")]
    NoKey,
    /// This node's own disk cannot keep facts.
    #[error("this node cannot write to its home folder; see its log")]
    HomeFailed,
    /// The wall clock is too far off the other members'.
    #[error("this machine's clock is {0} minutes off the other members' clocks; set it right first")]
    ClockOff(u64),
    /// Not allowed by this node's certificate.
    #[error("this node's certificate does not allow that")]
    NotAllowed,
    /// No such member or ticket.
    #[error("no such member")]
    NoSuchMember,
    /// Another live node runs with the same identity.
    #[error("another running node has this node's identity; stop one of them, then start this one again")]
    DuplicateIdentity,
    /// The pool's facts have not been heard since the start.
    #[error("this node has not heard from another member since it started; try again in a moment")]
    NotYet,
    /// A block of the tree is only on members that cannot be reached now.
    #[error("part of the folder tree is on members that cannot be reached now; try again when more are up")]
    Unreachable {
        /// The block.
        block: BlockId,
        /// Its wanted holders that could not be asked.
        away: Vec<NodeId>,
    },
    /// The tree cannot be read.
    #[error("the folder tree cannot be read: {0}")]
    BadTree(TreeError),
    /// Too much is under way.
    #[error("too many requests at once; try again")]
    Busy,
}

/// A block, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GetOutcome {
    /// Its hash was checked.
    Found(Block),
    /// Every member that is up was asked and does not have it; `away` members may.
    NotFound {
        /// Wanted holders that could not be asked.
        away: Vec<NodeId>,
    },
}

/// Outcome of a batch of edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditReply {
    /// Durability of the commit (worst of its blocks and its head).
    pub outcome: PutOutcome,
    /// One an edit, in order. Meaningless if the commit was refused.
    pub edits: Vec<Result<EditOutcome, EditError>>,
}

/// Outcome of a tree query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryReply {
    /// What was found.
    pub found: Result<QueryResult, TreeError>,
    /// A majority of the holders of heads could not be heard: there may be newer changes.
    pub maybe_stale: bool,
}

/// What the store is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskRequest {
    /// Keep a block. `Written` comes when it is durable.
    Write {
        /// The block.
        block: Block,
        /// What redundancy is wanted; a second write adds its redundancy.
        redundancy: Redundancy,
        /// Wall milliseconds when its oldest holder first saw it.
        first_seen: u64,
        /// Whose quota it counts against.
        charged_to: NodeId,
        /// The disk placement chose; another of this node's disks takes it if that one cannot.
        disk: Option<DiskId>,
    },
    /// Read a block; the store checks its hash.
    Read {
        /// Which.
        id: BlockId,
    },
    /// Which of these are here. With `renew` a yes is durable before it is given.
    Have {
        /// Which.
        ids: Vec<BlockId>,
        /// Renew leases, adding this redundancy.
        renew: Option<Redundancy>,
    },
    /// Records in id order.
    List {
        /// Those after this id.
        after: Option<BlockId>,
        /// At most so many.
        max: usize,
    },
    /// Append to the log in the home folder and on every disk. Done when durable in the home folder.
    Log {
        /// In order.
        entries: Vec<LogEntry>,
    },
}

/// What the store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskDone {
    /// To `Write`.
    Written(WriteDone),
    /// To `Read`.
    Read(ReadDone),
    /// To `Have`, in the order of the ids.
    Have(Vec<Possession>),
    /// To `List`. Fewer than `max` = the end.
    List(Vec<RecordInfo>),
    /// To `Log`: whether it is durable.
    Logged(bool),
    /// Unasked: disks came, went, filled up, or started over.
    Disks(Vec<DiskState>),
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteDone {
    /// Durable now.
    New,
    /// Was durable before; its redundancy and lease were renewed, durably.
    Already,
    /// No disk of this node has room.
    Full,
    /// The disk failed; nothing is promised.
    Failed,
}

/// What became of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadDone {
    /// Its hash was checked.
    Found(Block),
    /// Not on this node.
    No,
    /// The index is still being rebuilt.
    NotYet,
    /// The record's hash does not fit; it was set aside.
    Damaged,
    /// The disk failed.
    Failed,
}

/// A disk of this node as the store sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskState {
    /// From its superblock.
    pub id: DiskId,
    /// From its superblock.
    pub attach_generation: u64,
    /// Its quota.
    pub quota_bytes: u64,
    /// Everything on the disk: segments, index, temporary.
    pub used_bytes: u64,
    /// Takes no new blocks: full, failing or read-only.
    pub read_only: bool,
}

/// Why the store or a job was asked. Opaque to whoever carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(pub(crate) crate::engine::Reason);

impl Token {
    /// For what the store reports by itself.
    pub const UNASKED: Self = Self(crate::engine::Reason::Unasked);
}
