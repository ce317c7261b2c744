//! What users of a node ask of it, and the answers.

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{Cert, DailySpan, PoolRules, Role, RootFacts, SecretKey};
use fsdfs_proto::ids::{BlockId, DiskId, FactId, NodeId, VolumeId};
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::signed::Signed;

use crate::report::{
    AbsenceReport, BlockAssurance, BlockLocation, CopyProof, DrainReport, Inventory, MapReport, MemberList,
    RemovalReport, RevocationReport, RootKeyReport, StatusReport,
};
use crate::tree::{EditError, EditOutcome, QueryResult, TreeEdit, TreeError, TreeQuery};

/// Names a command; chosen by whoever gives it, unique among those not yet answered.
pub type OpId = u64;

/// What users of this node ask of it. Gateways stream; the engine sees blocks and references.
#[derive(Debug)]
pub enum Command {
    /// Make a sealed block durable.
    PutBlock {
        /// The block.
        block: Block,
        /// What redundancy it wants.
        redundancy: Redundancy,
        /// Others follow at once, and may share a sync with it.
        more: bool,
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
        /// What is to change.
        change: VolumeChange,
    },
    /// Read a volume's tree.
    Query {
        /// Which volume.
        volume: VolumeId,
        /// The earlier state to read, by its commit; none = what stands now.
        state: Option<BlockId>,
        /// What to read of it.
        query: TreeQuery,
    },
    /// Renew the leases of blocks that no commit names yet, at all holders that answer.
    RenewLeases {
        /// Which blocks, each with the copies that are wanted of it; at most [`fsdfs_proto::message::IDS_MAX`].
        blocks: Vec<(BlockId, u8)>,
    },
    /// Which servers should hold and do hold these blocks.
    Locate {
        /// Which blocks, at most [`fsdfs_proto::message::IDS_MAX`].
        ids: Vec<BlockId>,
    },
    /// How safe these blocks are: every member that answers is asked.
    Assure {
        /// Which blocks, each with the copies that are wanted of it; at most [`fsdfs_proto::message::IDS_MAX`].
        blocks: Vec<(BlockId, u8)>,
    },
    /// Have members that say that they hold a block read it and prove it, this node among them.
    Prove {
        /// Which block.
        id: BlockId,
        /// Who says so.
        holders: Vec<NodeId>,
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
        /// Bytes of storage that each newcomer is believed at most; none = as many as this node.
        up_to_bytes: Option<u64>,
    },
    /// Revoke a member or a ticket. Its tickets end with it; those who have joined by them stay.
    Revoke {
        /// Its key.
        subject: fsdfs_proto::ids::PublicKey,
        /// Those whom it invited are revoked, too.
        with_invited: bool,
        /// For people.
        reason: String,
        /// Signs it instead of this node's key.
        root: Option<SecretKey>,
    },
    /// Remove a member for good: it holds nothing for the pool any more, and hands over what it has. This node may remove itself.
    RemoveMember {
        /// Who.
        node: NodeId,
    },
    /// Whether this node hands everything over to the others, and how far that is.
    Drain,
    /// Hand everything over to the others, or be a holder again.
    ChangeDrain {
        /// Which of the two.
        drain: bool,
    },
    /// Have one disk of this node emptied, or end that. The reply is that of [`Command::Drain`].
    ChangeDiskDrain {
        /// Which.
        disk: DiskId,
        /// Which of the two.
        drain: bool,
    },
    /// Name another list of admins, with the pool's root key.
    NameAdmins {
        /// The root key.
        root: SecretKey,
        /// Whom it is about.
        member: NodeId,
        /// Whether it is added to the list, or taken from it.
        add: bool,
    },
    /// Which root key counts, and what root keys signed.
    RootKey,
    /// Put a later root key in the place of the one that counts.
    ReplaceRootKey {
        /// The later one.
        root: SecretKey,
        /// What earlier ones signed and what is to be void from now on.
        without: Vec<FactId>,
    },
    /// When this node is away, by its own word.
    Absence,
    /// Announce when this node is away.
    ChangeAbsence(AbsenceChange),
    /// The pool's rules.
    Rules,
    /// State other rules. None of these = as before.
    ChangeRules {
        /// Signs it instead of this node's key.
        root: Option<SecretKey>,
        /// N of new blocks.
        copies: Option<u8>,
        /// Bytes of storage that any member is believed at most; 0 = any.
        up_to_bytes: Option<u64>,
        /// See [`RulesChange`].
        member_bytes_max: Option<u64>,
    },
    /// State that a member stands for itself, whoever invited it: an admin's word, which makes a branch of it.
    Vouch {
        /// Who.
        node: NodeId,
        /// Bytes of storage that it is believed from now on; none = as its certificate says.
        up_to_bytes: Option<u64>,
    },
    /// Give up an earlier command: nobody waits for its answer any more.
    Cancel {
        /// Which.
        op: OpId,
    },
}

impl Command {
    /// Whether it is of use only if other members take what comes of it.
    pub fn changes_pool(&self) -> bool {
        match self {
            Self::PutBlock { .. }
            | Self::Edit { .. }
            | Self::Invite { .. }
            | Self::Revoke { .. }
            | Self::RemoveMember { .. }
            | Self::ChangeDrain { .. }
            | Self::ChangeDiskDrain { .. }
            | Self::NameAdmins { .. }
            | Self::ReplaceRootKey { .. }
            | Self::ChangeRules { .. }
            | Self::ChangeAbsence(_)
            | Self::Vouch { .. } => true,
            Self::GetBlock { .. }
            | Self::Query { .. }
            | Self::RenewLeases { .. }
            | Self::Locate { .. }
            | Self::Assure { .. }
            | Self::Prove { .. }
            | Self::Inventory
            | Self::Members
            | Self::Status
            | Self::ClusterMap
            | Self::RootKey
            | Self::Rules
            | Self::Absence
            | Self::Drain
            | Self::Cancel { .. } => false,
        }
    }

    /// The answer that it is not carried out.
    pub fn refused(&self, refusal: Refusal) -> Reply {
        match self {
            Self::PutBlock { .. } => Reply::PutBlock(PutOutcome::Refused(refusal)),
            _ => Reply::Refused(refusal),
        }
    }
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named like the commands")]
pub enum Reply {
    PutBlock(PutOutcome),
    GetBlock(GetOutcome),
    Edit(EditReply),
    Query(QueryReply),
    /// Blocks that none of those that answered has.
    RenewLeases(Vec<BlockId>),
    Locate(Vec<BlockLocation>),
    Assure(Vec<BlockAssurance>),
    Prove(Vec<(NodeId, CopyProof)>),
    Members(MemberList),
    Status(Box<StatusReport>),
    ClusterMap(Box<MapReport>),
    Inventory(Box<Inventory>),
    Invited(InvitationReply),
    Revoked(Box<RevocationReport>),
    Removed(Box<RemovalReport>),
    Drain(Box<DrainReport>),
    /// The new list, by rank.
    Admins(Vec<NodeId>),
    Vouched(FactId),
    RootKey(Box<RootKeyReport>),
    /// What this node says of its absence now.
    Absence(AbsenceReport),
    /// Those that hold now.
    Rules(Box<PoolRules>),
    /// The command cannot be carried out now, or by this node.
    Refused(Refusal),
}

/// Edits of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeChange {
    /// Carried out in order; each succeeds or fails by itself.
    pub edits: Vec<TreeEdit>,
    /// The longer piece of work that they are part of, by a number that was drawn for it: of its states history keeps the last.
    pub work: Option<u64>,
}

/// Edits that are part of nothing longer.
impl From<Vec<TreeEdit>> for VolumeChange {
    fn from(edits: Vec<TreeEdit>) -> Self {
        Self { edits, work: None }
    }
}

/// What a ticket is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvitationReply {
    /// From the root's certificate to the ticket's.
    pub chain: Vec<Signed<Cert>>,
    /// What the newcomer has to know of root keys.
    pub roots: RootFacts,
}

/// None of these = as before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AbsenceChange {
    /// Wall milliseconds until which this node is away; 0 = it is back.
    pub until_ms: Option<u64>,
    /// Hours of each day at which it is away, in UTC.
    pub daily: Option<Vec<DailySpan>>,
}

/// What is to be different in the pool's rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RulesChange {
    /// N of new blocks.
    pub copies: Option<u8>,
    /// Units of weight that any member is believed at most; 0 = any.
    pub weight_max: Option<u32>,
    /// Bytes of blocks, all copies together, that may be charged to one member; 0 = any.
    pub member_bytes_max: Option<u64>,
}

/// How durable a block or a head became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// All wanted copies, on as many distinct servers.
    Stored(Copies),
    /// Durable on a quorum of those that are up, but on fewer than wanted; repair makes the others.
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
    pub target: u8,
    /// Whether the block was there already and nothing was sent.
    pub present: bool,
    /// Whether there is more than the word of members that have not proved anything lately: a copy on this node, one of the N or not,
    /// or a holder that did.
    pub verified: bool,
}

/// Why not. Gateways put it into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No disk with room could be reached.
    NoSpace,
    /// This node's owner has used up the bytes of all disks that the pool's rules give a member.
    OverBudget(u64),
    /// Fewer servers than the quorum took it before the time was up.
    NoQuorum {
        /// Confirmed.
        got: u8,
        /// Needed.
        needed: u8,
    },
    /// This node holds no key that writes to, or reads, the volume.
    NoKey,
    /// This node is a reader.
    ReadsOnly,
    /// This node only stores.
    StoresOnly,
    /// As many members write already as may of those who hang on one member's invitations.
    NoWriterPlace,
    /// This node's own disk cannot keep facts.
    HomeFailed,
    /// The wall clock is too far off the other members'.
    ClockOff(u64),
    /// Not allowed by this node's certificate.
    NotAllowed,
    /// This node was thrown out.
    Revoked,
    /// This node was removed, or has left: it hands over what it has, and gets no key of a later epoch.
    Removed,
    /// This node is a guest: it came in by a ticket that was used up.
    Guest,
    /// The statement that this takes would count nowhere.
    NotKept(&'static str),
    /// The key that was given is not the root key of this pool.
    WrongRootKey,
    /// It was, and another one took its place; or it was to take the place of one and is not after it.
    ReplacedRootKey,
    /// Only the node of an admin, or the root key, may do that.
    NotAdmin,
    /// No such member or ticket.
    NoSuchMember,
    /// Another live node runs with the same identity.
    DuplicateIdentity,
    /// The pool's facts have not been heard since the start.
    NotYet,
    /// A block of the tree is only on members that cannot be reached now.
    Unreachable {
        /// The block.
        block: BlockId,
        /// Its wanted holders that could not be asked.
        away: Vec<NodeId>,
    },
    /// The tree cannot be read.
    BadTree(TreeError),
    /// Too much is under way.
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
        /// All servers of the pool were asked and said that they do not have it.
        nowhere: bool,
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
    /// Names of connected members that acknowledged changes which are not shown, because they could not publish them yet.
    pub unpublished_on: Vec<String>,
}
