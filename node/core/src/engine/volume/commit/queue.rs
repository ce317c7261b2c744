//! Edits that wait for the next commit of their volume.

use std::collections::{BTreeSet, VecDeque};

use crate::limits::{EDITS_PER_COMMIT_MAX, EDITS_QUEUED_MAX, INLINE_PER_COMMIT_MAX};
use crate::seam::{OpId, VolumeChange};
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
    /// See [`VolumeChange::work`].
    work: Option<u64>,
}

/// Who waits for how many of the edits, and the edits. They are part of a longer piece of work only if all of them are of the same.
type EditBatch = (Vec<(Option<OpId>, usize)>, VolumeChange);

impl EditQueue {
    /// False: it is full.
    pub fn push(&mut self, op: OpId, change: VolumeChange) -> bool {
        let VolumeChange { edits, work } = change;
        if self.edits + edits.len() > EDITS_QUEUED_MAX {
            return false;
        }
        self.edits += edits.len();
        debug_assert!(self.edits <= EDITS_QUEUED_MAX, "the queue is bounded");
        self.entries.push_back(QueuedEdits { op: Some(op), edits, work });
        true
    }

    /// Counts as an entry, not as an edit, so it is never refused.
    pub fn push_merge(&mut self) {
        self.entries.push_back(QueuedEdits { op: None, edits: Vec::new(), work: None });
    }

    /// Those that wait; a merge counts.
    pub fn commands(&self) -> usize {
        self.entries.len()
    }

    /// A merge that waits is something, too.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its room is free at once.
    pub fn cancel(&mut self, op: OpId) {
        self.entries.retain(|queued| queued.op != Some(op));
        self.edits = self.entries.iter().map(|queued| queued.edits.len()).sum();
    }

    /// As many entries as one commit may have, at least one; none if nothing waits. What only removes shares no commit with
    /// what adds, or it would be refused with it when there is no room.
    pub fn take_batch(&mut self) -> Option<EditBatch> {
        let (mut ops, mut edits, mut inline) = (Vec::new(), Vec::new(), 0);
        let mut adding: Option<bool> = None;
        let mut works = BTreeSet::new();
        while let Some(queued) = self.entries.front() {
            let adds = queued.adds();
            if adding.is_some_and(|adding| adds.is_some_and(|adds| adds != adding)) {
                break;
            }
            let bytes: usize = queued.edits.iter().map(inline_bytes).sum();
            let full =
                edits.len() + queued.edits.len() > EDITS_PER_COMMIT_MAX || inline + bytes > INLINE_PER_COMMIT_MAX;
            // One command is never cut in two: alone it may be larger than the bound.
            if full && !ops.is_empty() {
                break;
            }
            let queued = self.entries.pop_front()?;
            adding = adding.or(adds);
            inline += bytes;
            self.edits -= queued.edits.len();
            if !queued.edits.is_empty() {
                works.insert(queued.work);
            }
            ops.push((queued.op, queued.edits.len()));
            edits.extend(queued.edits);
        }
        debug_assert!(!self.entries.is_empty() || self.edits == 0, "an empty queue has no edits");
        let work = works.first().copied().flatten().filter(|_| works.len() == 1);
        (!ops.is_empty()).then_some((ops, VolumeChange { edits, work }))
    }
}

impl QueuedEdits {
    /// None: it changes nothing, and goes with either.
    fn adds(&self) -> Option<bool> {
        (!self.edits.is_empty()).then(|| self.edits.iter().any(adds))
    }
}

/// Whether there may be more to store afterwards than before.
pub(super) fn adds(edit: &TreeEdit) -> bool {
    !matches!(edit, TreeEdit::Remove { .. })
}

/// What a job holds in memory for it beside the tree; content in blocks is stored already.
fn inline_bytes(edit: &TreeEdit) -> usize {
    match edit {
        TreeEdit::Put { file, xattrs, .. } => {
            let content = match &file.content {
                FileContent::Inline(bytes) | FileContent::Symlink(bytes) => bytes.len(),
                FileContent::Tree { .. } => 0,
            };
            content + xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len()).sum::<usize>()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::tree::{FileAttributes, FileNode};

    fn edits(count: usize, bytes: usize) -> VolumeChange {
        let attrs = FileAttributes { mode: 0o644, mtime_ns: 0 };
        let content = FileContent::Inline(Bytes::from(vec![0; bytes]));
        let file = FileNode { attrs, size: bytes as u64, content };
        let edits = vec![TreeEdit::Put { path: vec![Bytes::from_static(b"a")], file, xattrs: Vec::new() }; count];
        VolumeChange { edits, work: None }
    }

    /// How many edits of which commands each batch has.
    fn batches(queue: &mut EditQueue) -> Vec<Vec<(Option<OpId>, usize)>> {
        std::iter::from_fn(|| queue.take_batch()).map(|(ops, _)| ops).collect()
    }

    #[test]
    fn a_batch_is_bounded_and_commands_stay_whole_and_in_order() {
        let mut queue = EditQueue::default();
        for (op, count) in [(1, 600), (2, 400), (3, 1), (4, EDITS_PER_COMMIT_MAX + 1), (5, 1)] {
            assert!(queue.push(op, edits(count, 0)));
        }
        let expected = [
            vec![(Some(1), 600), (Some(2), 400)],
            vec![(Some(3), 1)],
            vec![(Some(4), EDITS_PER_COMMIT_MAX + 1)],
            vec![(Some(5), 1)],
        ];
        assert_eq!(batches(&mut queue), expected);
        assert!(queue.is_empty() && queue.edits == 0);
    }

    #[test]
    fn bytes_in_a_batch_are_bounded_too() {
        let mut queue = EditQueue::default();
        (1..4).for_each(|op| assert!(queue.push(op, edits(1, INLINE_PER_COMMIT_MAX / 2))));
        assert_eq!(batches(&mut queue), [vec![(Some(1), 1), (Some(2), 1)], vec![(Some(3), 1)]]);
    }

    #[test]
    fn what_only_removes_waits_for_no_room_with_what_adds() {
        let remove = || VolumeChange {
            edits: vec![TreeEdit::Remove { path: vec![Bytes::from_static(b"a")], recursive: true }],
            work: None,
        };
        let both = VolumeChange { edits: [remove().edits, edits(1, 0).edits].concat(), work: None };
        let mut queue = EditQueue::default();
        queue.push_merge();
        for (op, edits) in [(1, remove()), (2, remove()), (3, edits(1, 0)), (4, both), (5, remove())] {
            assert!(queue.push(op, edits));
        }
        let expected =
            [vec![(None, 0), (Some(1), 1), (Some(2), 1)], vec![(Some(3), 1), (Some(4), 2)], vec![(Some(5), 1)]];
        assert_eq!(batches(&mut queue), expected);
    }

    #[test]
    fn a_cancelled_command_leaves_its_room_to_others() {
        let mut queue = EditQueue::default();
        assert!(queue.push(1, edits(EDITS_QUEUED_MAX, 0)) && !queue.push(2, edits(1, 0)));
        queue.cancel(1);
        assert!(queue.is_empty() && queue.push(2, edits(1, 0)));
    }

    #[test]
    fn a_batch_is_of_one_work_only_if_all_of_it_is() {
        for (works, expected) in [
            (vec![Some(1)], Some(1)),
            (vec![Some(1), Some(1)], Some(1)),
            (vec![Some(1), Some(2)], None),
            (vec![Some(1), None], None),
        ] {
            let mut queue = EditQueue::default();
            queue.push_merge();
            (1..).zip(&works).for_each(|(op, work)| {
                queue.push(op, VolumeChange { work: *work, ..edits(1, 0) });
            });
            assert_eq!(queue.take_batch().map(|(_, change)| change.work), Some(expected), "{works:?}");
        }
    }

    #[test]
    fn a_merge_is_a_batch_without_edits() {
        let mut queue = EditQueue::default();
        assert!(queue.take_batch().is_none());
        queue.push_merge();
        assert_eq!(batches(&mut queue), [vec![(None, 0)]]);
    }
}
