//! Records that one write and one sync make durable together.

use std::sync::Arc;

use bytes::Bytes;
use fsdfs_core::seam::WriteDone;

use crate::store::disk::job::{ReplyCollector, WriteJob};
use crate::store::index::PlacedRecord;

/// Records that are appended together, and who waits for them.
#[derive(Default)]
pub(crate) struct AppendBatch {
    pub records: Vec<(PlacedRecord, Vec<u8>, Bytes)>,
    pub bytes: u64,
    pub footer_bytes: u64,
    pub writes: Vec<(WriteJob, WriteDone)>,
    pub renewed: Vec<(Arc<ReplyCollector>, Vec<usize>)>,
}
