//! Records that one write and one sync make durable together.

use std::sync::Arc;

use bytes::Bytes;
use fsdfs_core::seam::WriteDone;

use crate::store::disk::job::{AdoptJob, DiskReply, ReplyCollector, WriteJob};
use crate::store::index::PlacedRecord;

/// Records that are appended together, and who waits for them.
///
/// The records lie one behind the other from the end of the open segment: `bytes` is the sum of their heads and payloads,
/// `footer_bytes` that of their heads. Nobody in `writes`, `renewed`, `deleted` or `collected` was answered yet.
#[derive(Default)]
pub(crate) struct AppendBatch {
    pub records: Vec<(PlacedRecord, Vec<u8>, Bytes)>,
    pub bytes: u64,
    pub footer_bytes: u64,
    pub writes: Vec<(WriteJob, WriteDone)>,
    pub renewed: Vec<(Arc<ReplyCollector>, Vec<usize>)>,
    /// Each with whether its copies are deleted.
    pub deleted: Vec<(DiskReply, bool)>,
    /// Each with which of its steps are taken.
    pub collected: Vec<(DiskReply, Vec<bool>)>,
    pub adopted: Vec<AdoptJob>,
    /// Records of a segment that is compacted, those that turned out not to count any more included; and bytes of the others.
    pub moved: usize,
    pub moved_bytes: u64,
}

impl AppendBatch {
    /// Bytes of all records, counted anew.
    pub fn lengths(&self) -> u64 {
        self.records.iter().map(|(_, head, payload)| (head.len() + payload.len()) as u64).sum()
    }
}
