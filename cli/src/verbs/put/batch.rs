//! Folders, links and small files on their way: many in one request, and so in one commit.
//!
//! Every commit writes anew the blocks on the way from the root of the volume to what changed. So a batch is as large as may be:
//! neighbours come one after the other, and share these blocks. It ends after a while all the same, for what is committed is
//! what an interrupted put need not send again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fsdfs_proto::control::EditRequest;

/// Entries of one request at most: a folder each, they take a second or two to become durable.
const EDITS_MAX: usize = 4_000;
/// Bytes of paths of one request; escaped they may triple, which must stay under the API's 32 MiB.
const PATH_BYTES_MAX: usize = 4 << 20;
/// Bytes of contents of a batch: at least so many, or the tree above them weighs as much as they do.
const CONTENT_BYTES_MIN: u64 = 256 << 10;
/// At most so many: as many as one commit takes, and seven seconds of an uplink of 10 Mbit/s to two others.
const CONTENT_BYTES_MAX: u64 = 4 << 20;
/// A batch that was committed sooner than this may have been larger ...
const COMMIT_SHORT: Duration = Duration::from_secs(1);
/// ... and one that took longer should have been smaller.
const COMMIT_LONG: Duration = Duration::from_secs(4);
/// Nothing waits longer for its batch to become full.
pub const AGE_MAX: Duration = Duration::from_secs(2);

/// A change, and where it comes from.
#[derive(Debug)]
pub struct BatchItem {
    pub from: PathBuf,
    pub edit: EditRequest,
}

/// What waits for the next request.
#[derive(Debug)]
pub struct EditBatch {
    items: Vec<BatchItem>,
    path_bytes: usize,
    content_bytes: u64,
    /// When the first of them came.
    since: Option<Instant>,
    /// Bytes of contents at which it is full.
    content_bytes_full: u64,
}

impl Default for EditBatch {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            path_bytes: 0,
            content_bytes: 0,
            since: None,
            content_bytes_full: 4 * CONTENT_BYTES_MIN,
        }
    }
}

impl EditBatch {
    /// One more.
    pub fn push(&mut self, from: PathBuf, edit: EditRequest, now: Instant) {
        let (path_bytes, content_bytes) = bytes(&edit);
        self.path_bytes += path_bytes;
        self.content_bytes += content_bytes;
        self.since.get_or_insert(now);
        self.items.push(BatchItem { from, edit });
    }

    /// Whether it is to go.
    pub fn is_full(&self) -> bool {
        self.items.len() >= EDITS_MAX
            || self.path_bytes >= PATH_BYTES_MAX
            || self.content_bytes >= self.content_bytes_full
    }

    /// When it is to go even if it is not full; none while it is empty.
    pub fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + AGE_MAX)
    }

    /// What is in it; it is empty then.
    pub fn take(&mut self) -> Vec<BatchItem> {
        (self.path_bytes, self.content_bytes, self.since) = (0, 0, None);
        std::mem::take(&mut self.items)
    }

    /// The next ones should take one to four seconds, whatever the line: not much is lost then when the put is interrupted.
    pub fn committed(&mut self, took: Duration) {
        let bytes = match self.content_bytes_full {
            full if took < COMMIT_SHORT => full * 2,
            full if took > COMMIT_LONG => full / 2,
            full => full,
        };
        self.content_bytes_full = bytes.clamp(CONTENT_BYTES_MIN, CONTENT_BYTES_MAX);
    }
}

/// Of paths, and of contents.
fn bytes(edit: &EditRequest) -> (usize, u64) {
    match edit {
        EditRequest::File { path, content, .. } => (path.0.len(), content.0.len() as u64),
        EditRequest::Link { path, target, .. } => (path.0.len() + target.0.len(), 0),
        EditRequest::Folder { path, .. } | EditRequest::Remove { path, .. } => (path.0.len(), 0),
        EditRequest::Move { from, to } | EditRequest::Restore { from, to, .. } => (from.0.len() + to.0.len(), 0),
    }
}

const _: () = assert!(EDITS_MAX <= fsdfs_proto::control::EDITS_MAX, "the API takes no more");

#[cfg(test)]
mod tests {
    use fsdfs_proto::control::{EntryAttributes, SmallContent};

    use super::*;

    fn file(bytes: usize) -> EditRequest {
        let content = SmallContent(vec![0; bytes].into());
        EditRequest::File {
            path: "/a".into(),
            attrs: EntryAttributes::default(),
            xattrs: Vec::new(),
            hard_link: None,
            content,
        }
    }

    fn folder(path: &str) -> EditRequest {
        EditRequest::Folder { path: path.into(), attrs: None, xattrs: Vec::new(), fresh: false }
    }

    /// How many of these are in a batch that is just full.
    fn until_full(batch: &mut EditBatch, edit: &EditRequest) -> usize {
        while !batch.is_full() {
            batch.push(PathBuf::new(), edit.clone(), Instant::now());
        }
        batch.take().len()
    }

    #[test]
    fn a_batch_is_full_by_bytes_and_by_number() {
        let mut batch = EditBatch::default();
        assert_eq!(until_full(&mut batch, &file(64 << 10)), 16);
        assert_eq!(until_full(&mut batch, &folder("/a")), EDITS_MAX);
        assert_eq!(until_full(&mut batch, &folder(&"/abcdefg".repeat(1 << 13))), PATH_BYTES_MAX >> 16);
        assert!(!batch.is_full() && batch.deadline().is_none(), "it is empty");
    }

    #[test]
    fn a_batch_takes_some_seconds_on_any_line() {
        let mut batch = EditBatch::default();
        let quick = Duration::from_millis(200);
        (0..9).for_each(|_| batch.committed(quick));
        assert_eq!(until_full(&mut batch, &file(64 << 10)), 64);
        batch.committed(Duration::from_secs(2));
        assert_eq!(until_full(&mut batch, &file(64 << 10)), 64);
        (0..9).for_each(|_| batch.committed(Duration::from_secs(9)));
        assert_eq!(until_full(&mut batch, &file(64 << 10)), 4);
    }

    #[test]
    fn nothing_waits_long() {
        let (mut batch, begun) = (EditBatch::default(), Instant::now());
        batch.push(PathBuf::new(), file(1), begun);
        batch.push(PathBuf::new(), file(1), begun + Duration::from_secs(1));
        assert_eq!(batch.deadline(), Some(begun + AGE_MAX), "since the first came");
        assert_eq!(batch.take().len(), 2);
        assert_eq!(batch.deadline(), None);
    }
}
