//! What the writer of a disk is asked, and how askers are answered.

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};

use fsdfs_core::seam::{CollectStep, DiskDone, Lease, WriteDone};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, DiskId};
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::record::LogEntry;

use crate::store::disk::moving::MovedRecord;
use crate::store::index::IndexEntry;

/// Whoever asked. Answered exactly once: if it is dropped unanswered, because a thread ended, it says that nothing is
/// promised.
pub(crate) struct DiskReply {
    done: Option<Box<dyn FnOnce(DiskDone) + Send>>,
    otherwise: Option<DiskDone>,
}

impl DiskReply {
    /// `otherwise` is said when nothing else is.
    pub fn new(done: impl FnOnce(DiskDone) + Send + 'static, otherwise: DiskDone) -> Self {
        Self { done: Some(Box::new(done)), otherwise: Some(otherwise) }
    }

    /// Says it.
    pub fn send(mut self, answer: DiskDone) {
        self.otherwise = Some(answer);
    }
}

impl Drop for DiskReply {
    fn drop(&mut self) {
        if let (Some(done), Some(answer)) = (self.done.take(), self.otherwise.take()) {
            done(answer);
        }
    }
}

/// For the writer thread of one disk.
#[allow(clippy::large_enum_variant, reason = "most jobs are writes; a box would be an allocation for each")]
pub(crate) enum DiskJob {
    /// Keep a block.
    Write(WriteJob),
    /// Renew blocks that are on this disk.
    Renew(RenewJob),
    /// Keep a copy of what another disk of this node has.
    Adopt(AdoptJob),
    /// The copy at this place is damaged.
    Quarantine { id: BlockId, segment: u64, offset: u64 },
    /// See [`fsdfs_core::seam::DiskRequest::Delete`].
    Delete(DeleteJob),
    /// See [`fsdfs_core::seam::DiskRequest::Collect`].
    Collect(CollectJob),
    /// Copy records out of a segment that is compacted.
    Slice(SliceJob),
    /// One of them.
    Move(MovedRecord),
    /// Nothing that counts is left in a segment.
    Remove(RemoveJob),
    /// Copy entries of the log to this disk.
    Log(Arc<Vec<LogEntry>>),
    /// What was copied until now may be replaced by the next [`DiskJob::Compact`].
    SealLog,
    /// Replace the copies that may be.
    Compact(Arc<Vec<LogEntry>>),
    /// The index failed; make it anew.
    Rebuild,
    /// Finish and end.
    Stop,
}

/// See [`fsdfs_core::seam::DiskRequest::Write`].
pub(crate) struct WriteJob {
    pub block: Block,
    pub redundancy: Redundancy,
    pub first_seen: u64,
    pub lease: Lease,
    pub receipt: BlockReceipt,
    /// Others come right behind it.
    pub more: bool,
    pub answer: DiskReply,
    /// Disks that could not take it.
    pub tried: Vec<DiskId>,
    /// One of them was merely full.
    pub full: bool,
    /// It was sent here because the block is here: it is not sent on for that reason again.
    pub routed: bool,
}

impl WriteJob {
    /// Says what became of it.
    pub fn send(self, done: WriteDone) {
        self.answer.send(DiskDone::Written(done));
    }
}

/// See [`fsdfs_core::seam::DiskRequest::Delete`].
pub(crate) struct DeleteJob {
    /// Each with the sequence of the last record that said something new about it.
    pub copies: Vec<(BlockId, u64)>,
    pub answer: DiskReply,
}

/// See [`fsdfs_core::seam::DiskRequest::Collect`].
pub(crate) struct CollectJob {
    /// Each with the sequence of the last record that said something new about it.
    pub copies: Vec<(BlockId, u64, CollectStep)>,
    pub answer: DiskReply,
}

/// Records of a segment that is compacted.
pub(crate) struct SliceJob {
    pub records: Vec<MovedRecord>,
    /// Answered when they are durable, dropped if they will not be.
    pub done: SyncSender<CompactionDone>,
}

/// A segment out of which everything that counts was copied.
pub(crate) struct RemoveJob {
    pub segment: u64,
    /// Deleted blocks of which copies lie in it.
    pub deleted: Vec<BlockId>,
    /// Answered when it is gone, durably; dropped if it is not.
    pub done: SyncSender<CompactionDone>,
}

/// What became of either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompactionDone {
    Durable,
    /// The disk is full, or failed, or something in the segment counts still.
    Refused,
}

/// A copy from another disk of this node, with all that is known of the block there.
pub(crate) struct AdoptJob {
    /// Its hash was checked.
    pub block: Block,
    /// Of the disk that it comes from; where it lies there counts for nothing.
    pub entry: IndexEntry,
    /// Answered when it is durable, dropped if it will not be.
    pub done: SyncSender<AdoptDone>,
}

impl AdoptJob {
    /// Says what became of it. The channel has a place for each answer, and who asked may have ended.
    pub fn answer(&self, done: AdoptDone) {
        let _ = self.done.try_send(done);
    }
}

/// What became of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdoptDone {
    Durable(BlockId),
    /// The disk is full, or failed.
    Rejected(WriteRejection),
}

/// Why a disk does not take a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteRejection {
    Full,
    Failed,
}

/// Some ids of a possession question that renews.
pub(crate) struct RenewJob {
    /// Ids on this disk and their places in the question.
    pub ids: Vec<(usize, BlockId)>,
    pub redundancy: Redundancy,
    pub gather: Arc<ReplyCollector>,
}

/// Answers of several disks to one question; given when the last disk is done with it.
pub(crate) struct ReplyCollector {
    answers: Mutex<Vec<Possession>>,
    answer: Mutex<Option<DiskReply>>,
}

impl ReplyCollector {
    /// Begins with what is known already.
    pub fn new(answers: Vec<Possession>, answer: DiskReply) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers), answer: Mutex::new(Some(answer)) })
    }

    /// One more is known.
    pub fn set(&self, place: usize, possession: Possession) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)[place] = possession;
    }
}

impl Drop for ReplyCollector {
    fn drop(&mut self) {
        let answers = std::mem::take(self.answers.get_mut().unwrap_or_else(PoisonError::into_inner));
        if let Some(answer) = self.answer.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            answer.send(DiskDone::Have(answers));
        }
    }
}
