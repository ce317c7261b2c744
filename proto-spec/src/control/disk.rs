//! The disks of a node.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A disk of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskStatus {
    /// From its superblock, in hexadecimal.
    pub id: String,
    /// Its folder.
    pub path: Option<String>,
    /// Its quota.
    pub quota_bytes: u64,
    /// Everything in its folder.
    pub used_bytes: u64,
    /// Of it, what is kept of segments: copies of blocks that are not about to be deleted, and what else is known of blocks.
    pub live_bytes: u64,
    /// Of it, the index.
    pub index_bytes: u64,
    /// Kept free for the store's own needs.
    pub reserve_bytes: u64,
    /// Blocks on it.
    pub blocks: u64,
    /// Bytes that blocks of files may still take.
    #[serde(default)]
    pub free_bytes: u64,
    /// Takes no new blocks: full, failing or out of service.
    pub read_only: bool,
    /// Why.
    #[serde(default)]
    pub condition: DiskCondition,
}

/// How a disk is. The node looks again every 20 seconds at what it cannot use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiskCondition {
    /// It takes blocks.
    #[default]
    Good,
    /// Its quota is used up.
    QuotaFull,
    /// Its file system has no room, though the quota is not used up.
    DiskFull,
    /// It can be read, but nothing may be written to it.
    ReadOnly,
    /// A write, a sync or a read failed.
    Failing,
    /// It does not answer, or cannot be used.
    Offline,
    /// Nothing is in its folder: it is not mounted, or lost.
    Missing,
    /// Its owner has it emptied.
    Draining,
    /// A condition of a later version.
    #[serde(other)]
    Other,
}

/// The disks of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskListing {
    /// One for each storage folder, those that are not in use last.
    pub disks: Vec<DiskStatus>,
}

/// Begins a new disk in a storage folder whose disk is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDisk {
    /// The folder, as the configuration has it.
    pub path: String,
}

/// A disk that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewDiskReply {
    /// Its folder.
    pub path: String,
    /// Its id in hexadecimal.
    pub id: String,
    /// The disks that were given up for it.
    pub given_up: Vec<String>,
    /// What this node is assigned and lacks now, as far as the members that are connected have it: it comes by itself. None if
    /// nobody was asked, because the node does not run.
    #[serde(default)]
    pub pulled: Option<BlocksToPull>,
}

/// Blocks that other members have and this node lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlocksToPull {
    /// How many.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of many blocks a sample was counted.
    pub estimated: bool,
}

/// Empties a disk of a node that stays, or ends that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskDrainChange {
    /// The disk's folder.
    pub path: String,
    /// Which of the two.
    pub drain: bool,
}

/// How far a disk is emptied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskDrainAnswer {
    /// Its folder.
    pub path: String,
    /// It is emptied: it gets nothing new.
    pub draining: bool,
    /// Nothing is lost with this disk: each copy on it that can be read was found on another disk of this node, all of which work,
    /// and nothing was written on it since.
    pub may_be_unplugged: bool,
    /// Whether what is left was counted.
    pub counted: bool,
    /// Blocks that are on no other disk of this node.
    pub blocks_left: u64,
    /// Their bytes.
    pub bytes_left: u64,
    /// Bytes that are copied in a second, if that is known.
    pub bytes_per_s: Option<u64>,
    /// Seconds until nothing is left, at that rate.
    pub seconds_left: Option<u64>,
    /// Copies that the disk does not give back any more; those of other members are used.
    pub unreadable: u64,
    /// The other disks take no more now: they are full, or do not work.
    pub stuck: bool,
}

/// The disks that are to be emptied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskDrainListing {
    /// How far each is.
    pub disks: Vec<DiskDrainAnswer>,
}

/// Where the bytes of a disk are, measured when it was asked. What is used is the sum of `live_bytes` to `other_bytes`, and what
/// `du --apparent-size` says of the folder while nothing is written there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskSpace {
    /// Its id in hexadecimal.
    pub id: String,
    /// Its folder.
    pub path: String,
    /// Its quota.
    pub quota_bytes: u64,
    /// Everything in its folder.
    pub used_bytes: u64,
    /// In segments: copies of blocks that are not about to be deleted, what else is known of blocks, and what finds both.
    pub live_bytes: u64,
    /// In segments: copies that are about to be deleted.
    pub condemned_bytes: u64,
    /// In segments: what counts no more. Compaction frees it when it is worth it.
    pub dead_bytes: u64,
    /// The index.
    pub index_bytes: u64,
    /// The copy of the log.
    pub log_bytes: u64,
    /// Everything else, what is none of the node's included.
    pub other_bytes: u64,
    /// Kept free for the store's own needs: not used, and not given to blocks of files.
    pub reserve_bytes: u64,
}

/// Where the bytes of this node's disks are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskSpaceListing {
    /// One for each disk that is in use.
    pub disks: Vec<DiskSpace>,
    /// What the copies on all of them are for; nothing before the first mark since the start has ended.
    pub copies: Option<CopiesByNeed>,
}

/// What copies are for, as a mark found it: a walk over everything that the states of the volumes need. Bytes of blocks, without what
/// surrounds them on a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopiesByNeed {
    /// When the mark began, in milliseconds since 1970.
    pub marked_ms: u64,
    /// Needed by the state that stands.
    pub current_bytes: u64,
    /// Needed by earlier states only.
    pub history_bytes: u64,
    /// Needed by none, but put or asked for too short a time ago.
    pub young_bytes: u64,
    /// Needed by none, but some member was not heard since, and may have it in a change of its own.
    pub unheard_bytes: u64,
    /// Needed by none: deleted, or, where nothing is deleted, to be so.
    pub unneeded_bytes: u64,
    /// Damaged, and set aside.
    pub damaged_bytes: u64,
    /// Deleted since the start.
    pub freed_bytes: u64,
    /// Whether this node deletes what nothing needs (`[space] collect`).
    pub collects: bool,
    /// Blocks that the mark could not find, in hexadecimal, at most 256: of their volumes nothing is deleted.
    pub missing: Vec<String>,
}
