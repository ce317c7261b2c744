//! What the space of a disk is for, and how much of it is kept for what.

use fsdfs_proto::block::BLOCK_BYTES_MAX;
use fsdfs_proto::record::RECORD_HEAD_BYTES_MAX;

/// Quarters of a segment's worth of space that blocks of files never take.
const RESERVE_QUARTERS: u64 = 8;
/// Blocks of trees may use most of it: whoever has no room left must be able to remove, and each removal makes some 20 KB of new
/// trees. That is three hundred removals on the smallest disks and ten thousand from 8 GiB on; one command with many names is
/// one removal for each folder that it changes.
const RESERVE_QUARTERS_TREES: u64 = 2;
/// Renewals may use a little more: a full disk must still be able to promise that it keeps what it has. The rest is for moving
/// what stays when a segment is given up.
const RESERVE_QUARTERS_RENEWALS: u64 = 1;
/// With less room than this a disk is full: the greatest block does not fit.
pub(crate) const ROOM_BYTES_MIN: u64 = (BLOCK_BYTES_MAX + RECORD_HEAD_BYTES_MAX) as u64;
/// A full disk has room again with this many times as much, so that it does not say so at every file that comes and goes.
pub(crate) const ROOM_AGAIN: u64 = 4;

/// What space is wanted for, from what must give way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoomFor {
    /// Blocks of files.
    Blocks,
    /// Blocks of folder trees and commits.
    Trees,
    /// Records without a block.
    Renewals,
    /// What makes room.
    Deletions,
    /// The same: what is left of a segment, before that goes.
    Compaction,
}

impl RoomFor {
    /// What is kept from it.
    pub fn reserve_quarters(self) -> u64 {
        match self {
            Self::Blocks => RESERVE_QUARTERS,
            Self::Trees => RESERVE_QUARTERS_TREES,
            Self::Renewals => RESERVE_QUARTERS_RENEWALS,
            Self::Deletions | Self::Compaction => 0,
        }
    }
}

/// Bytes that no block of a file ever takes.
pub(crate) fn reserve_bytes(segment_bytes: u64) -> u64 {
    RESERVE_QUARTERS * segment_bytes / 4
}
