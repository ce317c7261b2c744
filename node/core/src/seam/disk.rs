//! What the store is asked, and what it answers.

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, DiskId, VolumeId};
use fsdfs_proto::message::repair::AssuredCopy;
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::record::{LogEntry, RecordInfo};
use fsdfs_proto::volume::{BlockKind, BlockLink};

use crate::report::DiskState;

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
        /// Since when nobody has asked that it be kept.
        lease: Lease,
        /// Whose it is; of a block that is known here the store keeps the receipt that it has.
        receipt: BlockReceipt,
        /// The disk placement chose; another of this node's disks takes it if that one cannot.
        disk: Option<DiskId>,
        /// Further blocks come at once: they may share a sync, for which this one waits a moment.
        more: bool,
    },
    /// Put these bytes in the place of the damaged copy. What is known of the block stays as it was: what redundancy is wanted, its
    /// times, whose it is. `Written` comes; `Already` if there is nothing to mend any more.
    Mend {
        /// Intact.
        block: Block,
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
    /// How safe the copies of these are here. Nothing is read or renewed for it.
    Assure {
        /// Which.
        ids: Vec<BlockId>,
    },
    /// Good copies in id order, one of each block. Of a condemned one the lease is over: `renewed` is 0.
    List {
        /// Those after this id.
        after: Option<BlockId>,
        /// At most so many.
        max: usize,
    },
    /// Copies in whatever state, disk by disk and on each in the order of ids, with where they lie.
    Copies {
        /// Those after this one.
        after: Option<(DiskId, BlockId)>,
        /// At most so many.
        max: usize,
    },
    /// The copies in one segment.
    Segment {
        /// Of which disk.
        disk: DiskId,
        /// Which.
        segment: u64,
    },
    /// Delete all of these copies, or none, if one of them is not as it was or no good copy any more. `Deleted` comes when that is
    /// durable. Bytes become free at once when nothing else is left in a segment, else when the
    /// rest of it was compacted.
    Delete {
        /// Of which disk.
        disk: DiskId,
        /// Each with the sequence of the last record that said something new about it, as it was seen.
        copies: Vec<(BlockId, u64)>,
    },
    /// Take a step with each of these copies, unless it is not as it was seen any more.
    Collect {
        /// Of which disk.
        disk: DiskId,
        /// Each with the sequence of the last record about it; at most [`crate::limits::COLLECT_PAGE`].
        copies: Vec<(BlockId, u64, CollectStep)>,
    },
    /// What these blocks need, as far as it is known here; at most [`crate::limits::COLLECT_PAGE`].
    Links {
        /// Which.
        ids: Vec<BlockId>,
    },
    /// Remember what this block needs: it is another member's.
    KeepLinks {
        /// With its id.
        block: Block,
    },
    /// Append to the log in the home folder and on every disk. Done when durable in the home folder.
    Log {
        /// In order.
        entries: Vec<LogEntry>,
    },
}

/// What a copy's lease is from now on, if the block is not here yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It is put: renewed now, also if it is here already.
    Now,
    /// It is a copy of one that was last renewed then, in wall milliseconds. If the block is here, its lease stays as it is.
    Old(u64),
}

impl Lease {
    /// Wall milliseconds of its last renewal.
    pub fn renewed(self, now: u64) -> u64 {
        match self {
            Self::Now => now,
            // A stamp of the future would keep it for longer than anybody asked.
            Self::Old(at) => at.min(now),
        }
    }

    /// As a message says it: how many milliseconds ago it was renewed, 0 for a put.
    pub fn age_ms(self, now: u64) -> u64 {
        match self {
            Self::Now => 0,
            Self::Old(at) => now.saturating_sub(at).max(1),
        }
    }

    /// What a message says.
    pub fn of_age(age_ms: u64, now: u64) -> Self {
        if age_ms == 0 { Self::Now } else { Self::Old(now.saturating_sub(age_ms)) }
    }
}

/// What the store answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskDone {
    /// To `Write` and `Mend`.
    Written(WriteDone),
    /// To `Read`.
    Read(ReadDone),
    /// To `Have`, in the order of the ids.
    Have(Vec<Possession>),
    /// To `Assure`, in the order of the ids.
    Assured(Vec<AssuredCopy>),
    /// To `List`. Fewer than `max` = the end.
    List(Vec<RecordInfo>),
    /// To `Copies`. Fewer than `max` = the end; none: it cannot be said yet.
    Copies(Option<Vec<PlacedCopy>>),
    /// To `Segment`: its copies, each with whether other blocks hang on it. Nothing, if they cannot be told now, are too many, or the
    /// segment is still written to.
    Segment(Vec<(PlacedCopy, bool)>),
    /// To `Delete`: whether they are gone.
    Deleted(bool),
    /// To `Collect`, in the order of the copies: whether the step was taken, durably.
    Collected(Vec<bool>),
    /// To `Links`, in the order of the ids.
    Links(Vec<LinksDone>),
    /// To `KeepLinks`.
    LinksKept,
    /// To `Log`: whether it is durable.
    Logged(bool),
    /// Unasked: disks came, went, filled up, or started over.
    Disks(Vec<DiskState>),
    /// Unasked: the owner says that these are lost. What takes their place is told right behind, as `Disks`.
    GivenUp(Vec<DiskId>),
    /// Unasked: what changed on a disk, in the order in which it became durable. It is said before any list has it. Of a disk that
    /// came, or whose index was rebuilt, nothing is said: it is listed.
    Changed(Vec<CopyChange>),
    /// Unasked: what the copy of the log holds on a disk that was not there at the start.
    LogCopy(Vec<LogEntry>),
}

/// A copy of a block on one disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskCopy {
    /// What is known of it.
    pub info: RecordInfo,
    /// Whether it counts.
    pub state: CopyState,
}

/// A copy, and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedCopy {
    /// On which disk.
    pub disk: DiskId,
    /// If all copies of one segment are deleted, nothing has to be copied for their bytes to be free.
    pub segment: u64,
    /// Of the last record about it: another one, and it is not what it was.
    pub sequence: u64,
    /// What kind of block it is, if that is noted.
    pub kind: Option<BlockKind>,
    /// What is known of it.
    pub copy: DiskCopy,
}

/// One of the two steps by which a copy that no state needs is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectStep {
    /// It is said not to be here from now on; whoever puts the block revives it.
    Condemn,
    /// A condemned one goes.
    Delete,
}

/// What a block needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinksDone {
    /// It is here, or was once.
    Known {
        /// What it holds.
        kind: BlockKind,
        /// Of which volume.
        volume: VolumeId,
        /// As its header has them.
        links: Vec<BlockLink>,
    },
    /// Not on this node.
    No,
    /// The index is still being rebuilt.
    NotYet,
}

/// Whether a copy counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyState {
    /// It is here, as far as anybody knows before it is read.
    Held,
    /// About to be deleted: read, but said not to be here.
    Condemned {
        /// In wall milliseconds.
        since: u64,
    },
    /// Its bytes do not fit its id.
    Damaged,
}

/// What became of a copy: it came (nothing before), it went (nothing after), or something about it was amended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyChange {
    /// Where.
    pub disk: DiskId,
    /// Until now.
    pub before: Option<DiskCopy>,
    /// From now on, durably.
    pub after: Option<DiskCopy>,
}

impl CopyChange {
    /// The block; none if nothing was and nothing is.
    pub fn id(&self) -> Option<BlockId> {
        self.after.as_ref().or(self.before.as_ref()).map(|copy| copy.info.id)
    }

    /// The block, if a good copy of it is there from now on.
    pub fn held_now(&self) -> Option<BlockId> {
        self.after.as_ref().filter(|copy| copy.state == CopyState::Held).map(|copy| copy.info.id)
    }

    /// Whether a good copy turned out to be none.
    pub fn is_damage(&self) -> bool {
        let is_damaged = |copy: &Option<DiskCopy>| copy.as_ref().is_some_and(|copy| copy.state == CopyState::Damaged);
        is_damaged(&self.after) && !is_damaged(&self.before)
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteDone {
    /// Durable now.
    New,
    /// Was durable before; what redundancy was added, and a lease that was renewed, are durable.
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
