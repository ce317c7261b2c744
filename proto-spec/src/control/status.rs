//! The node itself, its disks, and the space of the pool.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AttentionItem, DiskStatus, MemberRole, NodeAddress, ReachabilityStatus};

/// State of this node and its pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeStatus {
    /// Version of the program.
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Seconds since its start.
    pub uptime_s: u64,
    /// Its home folder.
    pub home: String,
    /// This node's key in hexadecimal.
    pub node: String,
    /// This node's name.
    pub name: String,
    /// This node's site.
    pub site: String,
    /// The pool's id in hexadecimal.
    pub pool: String,
    /// The pool's name on this node.
    pub pool_name: String,
    /// The UDP port.
    pub port: u16,
    /// The file with the pool's root key, as long as it lies in this node's home folder: it is to be moved to a safe place.
    #[serde(default)]
    pub root_key_at: Option<String>,
    /// The same of the spare key, from which the next root key is made: it is to be kept apart from the root key.
    #[serde(default)]
    pub spare_key_at: Option<String>,
    /// Where other members may reach this node.
    pub addresses: Vec<NodeAddress>,
    /// Whether others can reach this node, as far as is known.
    #[serde(default)]
    pub reachability: ReachabilityStatus,
    /// N: copies of new files.
    pub copies: u8,
    /// Bytes of all disks together that one member may use, copies counted; 0 = any part of the pool.
    #[serde(default)]
    pub member_budget_bytes: u64,
    /// Facts were synchronized since the start, or there is no other member.
    pub ready: bool,
    /// What this node may do.
    #[serde(default)]
    pub role: MemberRole,
    /// This node holds the current key of the shared volume. One that only stores never does.
    pub has_key: bool,
    /// Members connected, without this node.
    pub connected: usize,
    /// Members of the pool, without this node.
    pub members: usize,
    /// This node's disks.
    pub disks: Vec<DiskStatus>,
    /// Copies still to be made.
    pub repair: RepairStatus,
    /// Reading of all that is stored here, to find damage.
    #[serde(default)]
    pub scrub: ScrubStatus,
    /// Of the blocks on this node, as far as it has compared them since its start.
    #[serde(default)]
    pub replication_margin: Option<ReplicationMargin>,
    /// Connected members that say that they keep copies and have not proved any lately: these copies do not count in
    /// `replication_margin`.
    #[serde(default)]
    pub unverified: Vec<String>,
    /// Bytes of other members' blocks that this node passed on to holders since its start; `members` has them for each member.
    #[serde(default)]
    pub passed_on_bytes: u64,
    /// Members whose packets this node forwards, because they do not reach each other directly: those that it does so for now come
    /// first, of them those with the most bytes.
    #[serde(default)]
    pub relayed: Vec<RelayedMembers>,
    /// What it did since its start.
    #[serde(default)]
    pub counters: NodeCounters,
    /// Minutes this clock is off the others' median.
    pub clock_off_min: i64,
    /// What needs the owner's attention, most important first; empty = nothing to do.
    pub attention: Vec<AttentionItem>,
}

/// Progress of repair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepairStatus {
    /// Blocks known to have fewer copies than required.
    pub pending: u64,
    /// Blocks that others fetched from this node since the start.
    pub sent: u64,
    /// Blocks that this node fetched since the start.
    #[serde(default)]
    pub received: u64,
    /// A comparison is running or due: not all that is pending is known.
    pub running: bool,
    /// It may send nothing just now: by `[bandwidth]`, or because a user needs the line (`GET /v1/bandwidth`).
    #[serde(default)]
    pub paused: bool,
}

/// Two members whose packets a node forwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RelayedMembers {
    /// Name or id of one of them.
    pub one: String,
    /// Name or id of the other one.
    pub other: String,
    /// Bytes forwarded since this node's start, both ways together.
    pub bytes: u64,
    /// Packets that were dropped, because this node's line or its limits were too slow.
    pub dropped_packets: u64,
    /// They have a session over this node now.
    pub active: bool,
}

/// Copies that exist less those required: negative = short, positive = spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicationMargin {
    /// Of the block with the fewest.
    pub min: i64,
    /// Of the block with the most.
    pub max: i64,
}

/// What a node did since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeCounters {
    /// Times the store made something durable (fdatasync, fsync).
    pub syncs: u64,
    /// Records appended to segments.
    pub records_appended: u64,
    /// Bytes appended to segments.
    pub bytes_appended: u64,
    /// Blocks read from its disks.
    pub blocks_read: u64,
    /// Of the bytes appended, those that compaction copied.
    #[serde(default)]
    pub bytes_compacted: u64,
    /// Bytes of segments that were deleted.
    #[serde(default)]
    pub bytes_freed: u64,
    /// Bytes of messages that came from other members.
    pub message_bytes_in: u64,
    /// Bytes of messages that went to other members.
    pub message_bytes_out: u64,
    /// Bytes of blocks that came from other members.
    pub block_bytes_in: u64,
    /// Bytes of blocks that went to other members.
    pub block_bytes_out: u64,
}

/// Space, of the pool and of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpaceReport {
    /// N.
    pub copies: u8,
    /// What all members offer together.
    pub offered_bytes: u64,
    /// What fits at N copies on different servers.
    pub usable_bytes: u64,
    /// Of that, what is left: so much more fits, as far as this node knows.
    #[serde(default)]
    pub free_bytes: u64,
    /// Copies fewer than N, because there are fewer servers.
    pub copies_short: u8,
    /// Sites fewer than copies: so many copies of a block share a site and can fail together.
    pub sites_short: u8,
    /// Space that cannot be used because the others cannot match it.
    pub stranded: Vec<MemberShare>,
    /// What each member offers.
    pub offers: Vec<MemberShare>,
    /// What each member has left of that, as it last told.
    #[serde(default)]
    pub free: Vec<MemberShare>,
    /// This node's disks.
    pub disks: Vec<DiskStatus>,
    /// Bytes of the blocks on these disks by the member that put them, most first; as of the last time that this node compared its
    /// records with others, once an hour at least.
    #[serde(default)]
    pub stored_by: Vec<MemberShare>,
}

/// A member's part of the space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberShare {
    /// Its key in hexadecimal.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
}

/// Asks a running daemon to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The invitation.
    pub ticket: String,
}

/// The daemon starts again in another pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JoinReply {
    /// Its id.
    pub pool: String,
    /// Its name.
    pub pool_name: String,
    /// If this node was a member of that pool before: what becomes of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<FormerMembership>,
}

/// A membership that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FormerMembership {
    /// Why it is over.
    pub why: String,
    /// The folders where its blocks are kept, which nothing uses any more.
    pub kept_in: Vec<String>,
}

/// How far this node's disks were read to find damage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScrubStatus {
    /// Percent of the round that are done; 100 between two rounds.
    pub percent: u8,
    /// Damaged copies that this round found.
    pub bad_found: u64,
    /// And the round before.
    pub bad_found_before: u64,
    /// Milliseconds since 1970 at which everything had been read once; none if that was never so.
    pub last_ended_ms: Option<u64>,
}
