//! What a node brings to its start.

use fsdfs_proto::identity::Cert;
use fsdfs_proto::ids::{DiskId, Instance, NodeId, PoolId};
use fsdfs_proto::record::LogEntry;
use fsdfs_proto::signed::Signed;

use crate::limits::{GRACE_FACTOR, OUTAGE_PART, USUAL_PERCENT};
use crate::seam::DiskState;
use crate::tree::TreeParams;

/// What a node brings to its start. Everything else it learns.
#[derive(Clone, Debug)]
pub struct Start {
    /// The pool.
    pub pool: PoolId,
    /// Secret half of the node's key.
    pub key: [u8; 32],
    /// Its certificates, root first.
    pub chain: Vec<Signed<Cert>>,
    /// Members to try while no cards are known: from the ticket.
    pub bootstrap: Vec<(NodeId, Vec<String>)>,
    /// All entries of its logs.
    pub entries: Vec<LogEntry>,
    /// What its card says.
    pub profile: Profile,
    /// Its disks.
    pub disks: Vec<DiskState>,
    /// Disks that its owner counts on and that are not there now: not mounted, most likely.
    pub missing: Vec<DiskId>,
    /// Bytes of one unit of weight: 1 GiB; test pools use less.
    pub unit_bytes: u64,
    /// Fresh randomness.
    pub seed: u64,
    /// The home folder was copied or restored, or the machine is another: sequence numbers may have been used elsewhere.
    pub may_be_restored_copy: bool,
    /// Sizes of trees.
    pub params: TreeParams,
    /// Blocks that are shorter go to each holder directly: [`crate::limits::RELAYED_BYTES_MIN`]; test pools use less.
    pub relayed_bytes_min: usize,
    /// How long it waits for who is away. All pools wait alike; studies find out what it costs.
    pub patience: Patience,
    /// It condemns and deletes what no state needs; otherwise it only says how much that is.
    pub collects: bool,
}

/// How long a node waits for a holder that is away before copies are made elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// See [`GRACE_FACTOR`].
    pub grace_factor: u64,
    /// See [`USUAL_PERCENT`].
    pub usual_percent: u8,
    /// See [`OUTAGE_PART`].
    pub outage_part: u64,
}

impl Patience {
    /// That of all pools.
    pub const DEFAULT: Self =
        Self { grace_factor: GRACE_FACTOR, usual_percent: USUAL_PERCENT, outage_part: OUTAGE_PART };
}

impl Default for Patience {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What the owner decides about a node's card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its site: where it stands, and what it shares a power line and a roof with.
    pub site: String,
    /// `HOST:PORT`, the best first, at most 8.
    pub addrs: Vec<String>,
    /// KiB/s upwards, if told.
    pub uplink: Option<u32>,
    /// Of the home folder.
    pub instance: Instance,
    /// Bits of `card_flag` that say what the network of this program does.
    pub flags: u32,
}
