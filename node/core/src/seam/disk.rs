//! What the store is asked, and what it answers.

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, DiskId};
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::record::{LogEntry, RecordInfo};

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
        /// Whose it is; of a block that is known here the store keeps the receipt that it has.
        receipt: BlockReceipt,
        /// The disk placement chose; another of this node's disks takes it if that one cannot.
        disk: Option<DiskId>,
        /// Further blocks come at once: they may share a sync, for which this one waits a moment.
        more: bool,
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
    /// Unasked: what the copy of the log holds on a disk that was not there at the start.
    LogCopy(Vec<LogEntry>),
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
