//! Edits that wait for the next commit of their volume.

use std::collections::VecDeque;

use crate::limits::{EDITS_PER_COMMIT_MAX, EDITS_QUEUED_MAX, INLINE_PER_COMMIT_MAX};
use crate::seam::OpId;
use crate::tree::{FileContent, TreeEdit};

/// In the order in which they came; at most [`EDITS_QUEUED_MAX`] edits.
#[derive(Default)]
pub(super) struct EditQueue {
    entries: VecDeque<QueuedEdits>,
    /// Edits in all entries.
    edits: usize,
}

struct QueuedEdits {
    /// None: a merge, which nobody waits for.
    op: Option<OpId>,
    edits: Vec<TreeEdit>,
}

/// Who waits for how many of the edits, and the edits.
type EditBatch = (Vec<(Option<OpId>, usize)>, Vec<TreeEdit>);

impl EditQueue {
    /// False: it is full.
    pub fn push(&mut self, op: OpId, edits: Vec<TreeEdit>) -> bool {
        if self.edits + edits.len() > EDITS_QUEUED_MAX {
            return false;
        }
        self.edits += edits.len();
        self.entries.push_back(QueuedEdits { op: Some(op), edits });
        true
    }

    pub fn push_merge(&mut self) {
        self.entries.push_back(QueuedEdits { op: None, edits: Vec::new() });
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn cancel(&mut self, op: OpId) {
        self.entries.retain(|queued| queued.op != Some(op));
        self.edits = self.entries.iter().map(|queued| queued.edits.len()).sum();
    }

    /// As many entries as one commit may have, at least one; none if nothing waits.
    pub fn take_batch(&mut self) -> Option<EditBatch> {
        let (mut ops, mut edits, mut inline) = (Vec::new(), Vec::new(), 0);
        while let Some(queued) = self.entries.front() {
            let bytes: usize = queued.edits.iter().map(inline_bytes).sum();
            let full =
                edits.len() + queued.edits.len() > EDITS_PER_COMMIT_MAX || inline + bytes > INLINE_PER_COMMIT_MAX;
            if full && !ops.is_empty() {
                break;
            }
            let queued = self.entries.pop_front()?;
            inline += bytes;
            self.edits -= queued.edits.len();
            ops.push((queued.op, queued.edits.len()));
            edits.extend(queued.edits);
        }
        debug_assert!(!self.entries.is_empty() || self.edits == 0, "an empty queue has no edits");
        (!ops.is_empty()).then_some((ops, edits))
    }
}

fn inline_bytes(edit: &TreeEdit) -> usize {
    match edit {
        TreeEdit::Put { file, .. } => match &file.content {
            FileContent::Inline(bytes) | FileContent::Symlink(bytes) => bytes.len(),
            FileContent::Tree { .. } => 0,
        },
        _ => 0,
    }
}
