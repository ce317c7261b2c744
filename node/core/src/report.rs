//! What the engine tells users about node, members and pool. Plain data; the control API gives it names and units.

pub use fsdfs_proto::control::DiskCondition;
use fsdfs_proto::identity::{DailySpan, Fact, Role};
use fsdfs_proto::ids::{BlockId, DiskId, DiskNonce, FactId, NodeId, PoolId, PublicKey, VolumeId};
use fsdfs_proto::message::HeldBlock;
use fsdfs_proto::message::repair::AssuredCopy;

use crate::placement::ClusterMap;
use crate::tree::{HeadFault, TreeError};

/// Where one block should be and is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockLocation {
    /// Which block.
    pub id: BlockId,
    /// Wanted holders, best first, and whether each was heard to have it.
    pub assigned: Vec<(NodeId, HeldState)>,
    /// Others that said yes.
    pub others: Vec<NodeId>,
}

/// How safe one block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockAssurance {
    /// Which block.
    pub id: BlockId,
    /// Copies wanted of it.
    pub wanted: u8,
    /// Who is assigned it, best first.
    pub assigned: Vec<NodeId>,
    /// What those said that were asked, could say, and are believed; this node's own store, too.
    pub said: Vec<(NodeId, AssuredCopy)>,
    /// Those that said that they have it, and could not prove it.
    pub unproven: Vec<NodeId>,
}

/// What came of asking a member to prove that it has a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyProof {
    /// It has read the bytes just now: so many.
    Proven(u32),
    /// It says itself that they do not fit the id, or that its disk failed.
    Damaged,
    /// It does not have them, or made a proof up.
    Unproven,
    /// It gave no answer, or could not say.
    NoAnswer,
}

/// What is known of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldState {
    /// It said yes.
    Yes,
    /// It said no.
    No,
    /// It could not be asked, or cannot say yet.
    Unknown,
}

/// Everyone the facts know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberList {
    /// In name order; this node included.
    pub members: Vec<MemberReport>,
    /// Tickets that still admit somebody, or did.
    pub tickets: Vec<TicketReport>,
    /// Admins of the last list, by rank.
    pub admins: Vec<NodeId>,
    /// As in [`StatusReport`].
    pub member_bytes_max: u64,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberReport {
    /// Its key.
    pub node: NodeId,
    /// From its card; its short id before a card was heard.
    pub name: String,
    /// The same as sentences have it: told from an id, and from the like names of other members.
    pub label: String,
    /// From its card.
    pub site: String,
    /// From its card.
    pub addrs: Vec<String>,
    /// Disks and weights from its card.
    pub disks: Vec<(DiskId, u32)>,
    /// Of the sum of these weights, as much as placement uses: what its certificate and the pool's rules allow.
    pub believed: u64,
    /// From its card: how much of that blocks cannot take any more.
    pub full_percent: u8,
    /// From its certificate.
    pub role: Role,
    /// As this node sees it now.
    pub presence: Presence,
    /// Since when, and why.
    pub seen: PresenceReport,
    /// Connected to this node now.
    pub connected: bool,
    /// Round trip, if connected and measured.
    pub rtt_ms: Option<u32>,
    /// KiB/s upwards, from its card.
    pub uplink_kib: Option<u32>,
    /// Seconds since anything was heard of it, if ever since the start.
    pub heard_s: Option<u64>,
    /// Whose certificate invited it.
    pub invited_by: PublicKey,
    /// Bytes of its blocks that this node passed on to other holders since the start.
    pub passed_on_bytes: u64,
    /// This is the node asked.
    pub me: bool,
}

/// Local opinion (up, away) or the pool's (gone, removed, revoked).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// A signed heartbeat within a minute.
    Up,
    /// Silent for longer.
    Away,
    /// Declared gone by a majority.
    Departed,
    /// Serves and hands over, takes nothing.
    Removed,
    /// Thrown out.
    Revoked,
}

/// How long a member has been up or away, and what is to be thought of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PresenceReport {
    /// Seconds since it came up or went away; none if it was so when this node started.
    pub since_s: Option<u64>,
    /// Of one that is away: seconds of this node's own connected running time, over restarts, in which nothing was heard of it.
    pub quiet_s: u64,
    /// Of one that is away: why.
    pub away: Option<AwayReason>,
    /// Blocks of which one other site has copies are due to be copied elsewhere.
    pub overdue: bool,
    /// Seconds since this node knew all that the member had told, from it or through others.
    pub facts_known_s: Option<u64>,
}

/// What is known of an absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwayReason {
    /// Nothing.
    Unexplained,
    /// It said so.
    Announced {
        /// Wall milliseconds until which it is away.
        until_ms: u64,
    },
    /// It is usually away at this time.
    UsualHours {
        /// Wall milliseconds by which it is usually back.
        until_ms: u64,
    },
    /// It fell silent together with many others.
    Outage,
}

/// When this node is away, by its own word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AbsenceReport {
    /// Wall milliseconds; 0 = it is not.
    pub until_ms: u64,
    /// Hours of each day, in UTC.
    pub daily: Vec<DailySpan>,
}

/// A removal, and who knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalReport {
    /// Of the statement.
    pub id: FactId,
    /// Members that are connected: they know.
    pub told: Vec<NodeId>,
    /// Those that have yet to hear of it.
    pub unaware: Vec<NodeId>,
}

/// How far a node has handed over what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// It holds nothing for the pool any more: it is drained by its owner, or was removed.
    pub draining: bool,
    /// Nothing is lost with it: all below is zero, and was counted after the last change.
    pub may_be_unplugged: bool,
    /// All that is here was counted under the map that counts now.
    pub is_counted: bool,
    /// Blocks here that are not known to be with all members that they are assigned to.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// By which those bytes became fewer lately, in a second; none if that is not known yet.
    pub bytes_per_s: Option<u64>,
    /// Puts and changes of this node's users that are under way.
    pub puts: u64,
    /// Changes that this node alone knows of.
    pub unpublished: bool,
    /// Disks of this node that it cannot read, and that were not given up: what only they have would be lost.
    pub unread_disks: u64,
    /// Names of members that are assigned blocks and cannot be reached now.
    pub away: Vec<String>,
    /// Names of members that are assigned blocks and take none now.
    pub full: Vec<String>,
}

/// A ticket, as its certificate and the admissions tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketReport {
    /// Id of its certificate.
    pub id: FactId,
    /// Its throw-away key.
    pub subject: PublicKey,
    /// Who made it.
    pub issuer: PublicKey,
    /// Wall milliseconds; 0 = never.
    pub redeem_by: u64,
    /// Newcomers at most.
    pub uses: u32,
    /// Newcomers so far.
    pub used: u32,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// What a revocation achieved, and what it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationReport {
    /// The statement's id.
    pub id: FactId,
    /// Members that are revoked by it, the one that was named first. None for a ticket.
    pub revoked: Vec<NodeId>,
    /// Tickets that admit nobody any more.
    pub tickets_ended: usize,
    /// Whom they invited and who stay, because nobody said that they are to go, or because this node may not say so.
    pub staying: Vec<NodeId>,
    /// Members that are connected and were told at once.
    pub told: Vec<NodeId>,
    /// The others: they hear of it from any member that knows, when they are back.
    pub unaware: Vec<NodeId>,
    /// What becomes of the keys that it has.
    pub keys: KeyChange,
}

/// Root keys of the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKeyReport {
    /// The number of the one that counts; 0 in a pool without spare ones.
    pub number: u8,
    /// Its public half.
    pub key: PublicKey,
    /// How many can still follow.
    pub left: usize,
    /// It said two things that contradict each other: it was copied.
    pub is_contradicted: bool,
    /// What root keys signed up to now and what is valid, by id.
    pub signed: Vec<Fact>,
}

/// What becomes of the keys of the shared volume when somebody is thrown out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// It never had any.
    Unneeded,
    /// This node begins a new epoch now.
    Begun,
    /// Nodes of admins, one of which does so when it hears of the removal. None: nobody does until the root key names one.
    LeftTo(Vec<NodeId>),
}

/// State of node and pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    /// The pool.
    pub pool: PoolId,
    /// This node.
    pub node: NodeId,
    /// N of new blocks.
    pub copies: u8,
    /// Bytes of blocks, all copies together, that may be charged to one member; 0 = any.
    pub member_bytes_max: u64,
    /// Facts were exchanged since the start, or there is nobody to exchange with.
    pub ready: bool,
    /// This node holds the key of the shared volume.
    pub has_key: bool,
    /// Members connected, without this node.
    pub connected: usize,
    /// Members not gone, removed or revoked, without this node.
    pub members: usize,
    /// Its disks.
    pub disks: Vec<DiskState>,
    /// Disks that are not there and that the others count on still, and for how many milliseconds more.
    pub absent: Vec<(DiskId, u64)>,
    /// Blocks that repair knows to be short of copies.
    pub repair_pending: u64,
    /// Blocks it sent since the start.
    pub repair_sent: u64,
    /// Blocks that this node fetched since the start because it lacked them.
    pub repair_received: u64,
    /// Bytes of blocks of other members that this node passed on to holders since the start.
    pub passed_on_bytes: u64,
    /// Repair is comparing, or about to: what is pending is not all known.
    pub repair_running: bool,
    /// Bytes of the blocks on this node, by the member that put them; as of the last time that all records were compared.
    pub charged: Vec<(NodeId, u64)>,
    /// Copies that are known less those wanted, the fewest and the most over the blocks on this node, as far as compared.
    pub replication_margin: Option<(i64, i64)>,
    /// Names of connected members that say that they keep copies and have not proved any lately.
    pub unverified: Vec<String>,
    /// Minutes this clock is off the median of the connected members.
    pub clock_off_min: i64,
    /// What its copies are for; none before the first mark ended.
    pub space: Option<SpaceReport>,
    /// What needs the owner's attention, most important first.
    pub attention: Vec<Attention>,
}

/// What the copies on this node's disks are for, as its last mark found them. Bytes of blocks, without what surrounds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpaceReport {
    /// When it began, in wall milliseconds.
    pub marked_at: u64,
    /// Blocks that the states need, here and elsewhere.
    pub blocks: u64,
    /// Needed by states that stand.
    pub current_bytes: u64,
    /// Needed by earlier states only.
    pub history_bytes: u64,
    /// Needed by none, but put or asked for too short a time ago.
    pub young_bytes: u64,
    /// Needed by none, but a member that is not gone was not heard since.
    pub unheard_bytes: u64,
    /// Condemned: free when another grace is over.
    pub condemned_bytes: u64,
    /// Set aside.
    pub damaged_bytes: u64,
    /// Deleted since the start.
    pub freed_bytes: u64,
    /// What is condemned is deleted, and what is due is condemned.
    pub collects: bool,
    /// Volumes that could not be walked to their end: nothing of theirs is collected.
    pub incomplete: Vec<VolumeId>,
    /// Some of the blocks that are missing there.
    pub missing: Vec<BlockId>,
}

/// Something that the owner of a node should know of. Gateways put it into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attention {
    /// Another running node has this node's identity.
    DuplicateIdentity,
    /// This node was revoked; the others no longer talk to it.
    Revoked,
    /// This node has left the pool: it only hands over what it holds.
    Removed,
    /// This node hands over what it holds, by its owner's word.
    Draining,
    /// Others used this node's ticket before it: a guest gets no key.
    Guest,
    /// This node waits for a key of the shared volume.
    AwaitsKey {
        /// For so long.
        seconds: u64,
        /// Names of members of which some have to know this node first, and which cannot be reached; none if it only has to wait.
        away: Vec<String>,
    },
    /// The pool's root key was copied: it signed two statements that contradict each other.
    RootKeyCopied {
        /// Its number.
        number: u8,
    },
    /// The wall clock is so many minutes off the other members' clocks.
    ClockOff {
        /// Positive: this clock is ahead.
        minutes: i64,
    },
    /// The log in the home folder cannot be written, or was not written again yet: nothing is acknowledged.
    HomeFailed,
    /// Changes that only this node has: they are published when a second server has their folders.
    Unpublished,
    /// A disk of this node takes no new blocks.
    DiskTakesNothing {
        /// Which.
        disk: DiskId,
        /// Why; never good.
        condition: DiskCondition,
    },
    /// A disk of this node is nearly full.
    DiskNearlyFull {
        /// Which.
        disk: DiskId,
        /// How full, from 90 on.
        percent: u8,
    },
    /// New files get fewer copies than the rules ask for, or are refused: too few servers have room.
    PoolFull {
        /// Servers that take blocks.
        with_room: usize,
        /// N, or as many as there are servers.
        copies: u8,
    },
    /// What all servers have left together is little.
    PoolNearlyFull {
        /// How full, from 90 on.
        percent: u8,
    },
    /// Members that fell silent together: a power cut, or a line, and no reason to copy what they hold.
    Outage {
        /// Their names.
        names: Vec<String>,
    },
    /// Members that were not heard of for a minute, and for whom nothing speaks.
    Away {
        /// Their names.
        names: Vec<String>,
    },
    /// Fewer copies are possible than the rules ask for.
    TooFewServers {
        /// Possible with the servers there are.
        possible: u8,
        /// N.
        copies: u8,
    },
    /// A member says that it keeps blocks, and audits found that it does not have them: its copies are made elsewhere.
    FailsAudits {
        /// Its name.
        name: String,
    },
    /// A state of the shared volume that cannot be used: the others are shown and written on without it.
    QuarantinedHead {
        /// Name of the member that published it.
        author: String,
        /// Its commit.
        commit: BlockId,
        /// Why.
        fault: HeadFault,
    },
    /// Of what these members offer only a part is used: their certificates, or the rules, allow no more.
    OfferCapped {
        /// Their names.
        names: Vec<String>,
    },
    /// Members that one of them invited, and for whom no admin vouches, would hold more than their part of the copies.
    BranchBound {
        /// Their names.
        names: Vec<String>,
        /// What their being bound costs the pool of what fits, in percent.
        percent: u8,
    },
    /// A member sent bytes that were not the block it announced.
    WrongBlocks {
        /// Its name.
        name: String,
        /// How often since the start.
        blocks: u64,
    },
}

/// Something that happened and that the owner should find in the log. Gateways put it into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The log in the home folder cannot be written; nothing is confirmed until it can.
    LogFailed,
    /// The tree of a volume cannot be changed: what is stored of it is not readable.
    BadTree {
        /// Which volume.
        volume: VolumeId,
        /// Why.
        error: TreeError,
    },
    /// A state of a volume cannot be used; the others are shown and written on without it.
    HeadQuarantined {
        /// Which volume.
        volume: VolumeId,
        /// Name of the member that published it.
        author: String,
        /// Its commit.
        commit: BlockId,
        /// Why.
        fault: HeadFault,
    },
    /// Another running node has this node's identity; nothing is confirmed any more.
    DuplicateIdentity,
    /// A disk of this node is gone or failing; the others hold its blocks.
    DiskLost,
    /// This node's copy of a block is damaged; it is fetched from another member.
    DamagedCopy {
        /// Which block.
        id: BlockId,
    },
    /// A member does not have a block that it said to have.
    AuditFailed {
        /// Its name.
        name: String,
        /// Which block.
        id: BlockId,
    },
    /// A member sent bytes that are not the block it was asked for; another holder is asked.
    WrongBlock {
        /// Its name.
        name: String,
        /// Which block.
        id: BlockId,
    },
}

/// The placement view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapReport {
    /// Its digest.
    pub digest: fsdfs_proto::ids::Digest,
    /// N of new blocks.
    pub copies: u8,
    /// The servers.
    pub view: ClusterMap,
}

/// The placement view and what lies where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// N of new blocks.
    pub copies: u8,
    /// Units of weight a server may claim at most; 0 = as many as it likes.
    pub weight_max: u32,
    /// What placement reads.
    pub view: ClusterMap,
    /// What each member that answered holds, in id order.
    pub holdings: Vec<NodeInventory>,
    /// Servers that should hold blocks and did not say which.
    pub silent: Vec<NodeId>,
}

/// Blocks of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInventory {
    /// Whose.
    pub node: NodeId,
    /// The first in id order, or all.
    pub blocks: Vec<HeldBlock>,
    /// Whether these are all.
    pub all: bool,
}

/// A disk of this node as the store sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskState {
    /// Which disk.
    pub id: DiskId,
    /// From its superblock; with the node's id it makes the disk's.
    pub nonce: DiskNonce,
    /// Its quota.
    pub quota_bytes: u64,
    /// Everything on the disk: segments, index, temporary.
    pub used_bytes: u64,
    /// Bytes that blocks of files may still take.
    pub room_bytes: u64,
    /// Whether it takes blocks, and if not, why.
    pub condition: DiskCondition,
}

impl DiskState {
    /// New blocks of files find a place.
    pub fn takes_blocks(&self) -> bool {
        self.condition == DiskCondition::Good
    }

    /// It works, but has room for nothing more than what keeps names and leases in order.
    pub fn is_full(&self) -> bool {
        matches!(self.condition, DiskCondition::QuotaFull | DiskCondition::DiskFull)
    }

    /// How much of its quota blocks cannot take any more, rounded up: at 100 they can take nothing.
    pub fn full_percent(&self) -> u8 {
        full_percent([*self])
    }
}

/// The same of several disks together.
pub fn full_percent(disks: impl IntoIterator<Item = DiskState>) -> u8 {
    let (mut quota, mut room) = (0u128, 0u128);
    // What is emptied gives nothing, and takes nothing of what the others give.
    for disk in disks.into_iter().filter(|disk| disk.condition != DiskCondition::Draining) {
        quota += u128::from(disk.quota_bytes);
        room += if disk.takes_blocks() { u128::from(disk.room_bytes.min(disk.quota_bytes)) } else { 0 };
    }
    let free_percent = (100 * room).checked_div(quota).unwrap_or(0);
    u8::try_from(100 - free_percent).expect("the room of a disk is part of its quota")
}
