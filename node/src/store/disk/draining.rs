//! How far a disk is emptied that its owner wants to be.

use std::time::Instant;

use fsdfs_proto::ids::DiskId;

/// How far a disk is emptied.
#[derive(Debug, Default)]
pub(crate) struct DrainProgress {
    /// Its owner wants it.
    pub is_wanted: bool,
    /// What was on no other disk when it was looked at last; none before all was looked at once.
    pub left: Option<BlockAmount>,
    /// Copied since that was first known, and when that was.
    pub copied: u64,
    pub since: Option<Instant>,
    /// No other disk has room, or works.
    pub is_stuck: bool,
    /// Copies that the disk did not give back in the last walk.
    pub unreadable: u64,
    /// The last walk found nothing left.
    pub empty: Option<EmptyWalk>,
}

/// What has to be so still for nothing to be lost with a disk.
#[derive(Clone, Debug)]
pub(crate) struct EmptyWalk {
    /// Commits on it when the walk began.
    pub commits: u64,
    /// Disks that worked then: what is on it is on some of these.
    pub on: Vec<DiskId>,
}

/// Blocks and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockAmount {
    pub blocks: u64,
    pub bytes: u64,
}

impl BlockAmount {
    pub fn add(&mut self, len: u32) {
        self.blocks += 1;
        self.bytes += u64::from(len);
    }

    pub fn take(&mut self, len: u32) {
        self.blocks = self.blocks.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(len.into());
    }
}
