//! What to open, and what to do about disks that are not there.

use std::path::PathBuf;
use std::time::Duration;

use fsdfs_proto::ids::{NodeId, PoolId};

/// Default of [`StoreConfig::segment_bytes`]: large enough that its footer, seal and directory entry cost nothing, small
/// enough that rewriting one, and reserving two, is bearable.
pub const SEGMENT_BYTES: u64 = 256 << 20;

/// What to open.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The pool whose blocks these are.
    pub pool: PoolId,
    /// This node.
    pub owner: NodeId,
    /// The home folder: the log, and which disks there are. Made if it does not exist.
    pub home: PathBuf,
    /// May be empty: such a node keeps facts only.
    pub disks: Vec<DiskConfig>,
    /// Length of a segment at most; smaller on small disks.
    pub segment_bytes: u64,
    /// In which time all is read once to find damage; none = never.
    pub scrub: Option<Duration>,
}

/// One disk: a folder with a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// An absolute path.
    pub path: PathBuf,
    /// Everything fsdfs puts there counts. Two segments of it stay free, so less than about 16 MiB takes no block.
    pub quota_bytes: u64,
    /// If this node's disk was there and is not any more.
    pub if_missing: IfMissing,
}

/// What to do when a folder that held a disk of this node is gone, empty or unreadable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfMissing {
    /// Start without it: most likely it is not mounted, and it is taken in when it is.
    #[default]
    Skip,
    /// Do not start.
    Refuse,
    /// It is lost: begin a new one.
    Reinitialize,
}
