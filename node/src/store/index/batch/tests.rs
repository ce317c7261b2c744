#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use fsdfs_proto::ids::{DiskId, NodeId, Signature};
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::receipt::BlockReceipt;

use super::*;
use crate::store::index::memory_index::MemoryIndex;

const ID: BlockId = BlockId([7; 32]);
const HEAD: u64 = 200;

/// Records of one block and what is known after each.
struct Case {
    index: BlockIndex,
    watermark: IndexWatermark,
}

impl Case {
    fn new() -> Self {
        let index = BlockIndex::new(Arc::new(MemoryIndex::default()));
        Self { index, watermark: IndexWatermark::empty(DiskId([1; 16])) }
    }

    fn record(&mut self, kind: RecordKind, segment: u64) {
        self.record_as(kind, segment, true, 0);
    }

    fn record_as(&mut self, kind: RecordKind, segment: u64, whole: bool, flags: u16) {
        let sequence = self.watermark.sequence + 1;
        let payload_len = if kind == RecordKind::Block { 1_000 } else { 0 };
        let header = RecordHeader {
            kind,
            flags,
            payload_len,
            id: ID,
            sequence,
            first_seen: 1,
            renewed: sequence,
            receipt: BlockReceipt { member: NodeId([2; 32]), signature: Signature([3; 64]) },
            redundancies: vec![Redundancy::Replicas(3)],
            payload_crc: 0,
        };
        let head_len = u16::try_from(HEAD).unwrap();
        let placed = PlacedRecord { segment, offset: 64 + 2_000 * sequence, head_len, header, whole };
        self.change(|batch| batch.record(&placed).unwrap());
    }

    fn change(&mut self, change: impl FnOnce(&mut IndexBatch<'_>)) {
        let mut batch = IndexBatch::new(&self.index, self.watermark);
        change(&mut batch);
        self.watermark = batch.apply().unwrap();
    }

    fn book(&self, segment: u64) -> (u64, u64) {
        let book = self.index.book(segment).unwrap().unwrap_or_default();
        (book.live, book.condemned)
    }

    fn words(&self) -> Vec<u64> {
        self.index.get(&ID).unwrap().unwrap().words.iter().map(|word| word.sequence).collect()
    }

    fn copies(&self) -> Option<Vec<u64>> {
        self.index.tombstone(&ID).unwrap().map(|tombstone| tombstone.copies)
    }
}

const COPY: u64 = 2 * HEAD + 1_000;
const WORD: u64 = 2 * HEAD;

#[test]
fn a_deleted_block_is_remembered_until_its_last_copy_has_gone() {
    let mut case = Case::new();
    case.record(RecordKind::Block, 1);
    case.record(RecordKind::SetAside, 2);
    case.record(RecordKind::Block, 3);
    assert_eq!((case.book(1), case.book(2), case.book(3)), ((0, 0), (0, 0), (COPY, 0)));
    case.record(RecordKind::Delete, 4);
    assert_eq!((case.copies(), case.book(3), case.book(4)), (Some(vec![1, 3]), (0, 0), (WORD, 0)));
    assert_eq!((case.watermark.blocks, case.watermark.tombstones), (0, 1));
    case.record(RecordKind::Delete, 5);
    assert_eq!((case.book(4), case.book(5)), ((0, 0), (WORD, 0)), "it was said once more");
    case.change(|batch| batch.strike(ID, 3).unwrap());
    assert_eq!(case.copies(), Some(vec![1]));
    case.change(|batch| batch.strike(ID, 1).unwrap());
    assert_eq!((case.copies(), case.book(5), case.watermark.tombstones), (None, (0, 0), 0));
}

#[test]
fn a_block_that_comes_again_remembers_where_it_was_as_long_as_that_is_there() {
    let mut case = Case::new();
    case.record(RecordKind::Block, 1);
    case.record(RecordKind::Delete, 2);
    case.record(RecordKind::Block, 3);
    assert_eq!((case.copies(), case.watermark.tombstones, case.book(2)), (None, 0, (0, 0)));
    case.change(|batch| batch.drop_book(1));
    case.record(RecordKind::Delete, 4);
    assert_eq!(case.copies(), Some(vec![3]));
}

#[test]
fn only_what_a_rebuild_needs_counts_as_a_last_word() {
    let mut case = Case::new();
    case.record(RecordKind::Block, 1);
    case.record(RecordKind::Renewal, 2);
    case.record(RecordKind::Renewal, 3);
    assert_eq!((case.words(), case.book(2), case.book(3)), (vec![3], (0, 0), (WORD, 0)));
    case.record(RecordKind::Condemn, 4);
    assert_eq!((case.words(), case.book(1), case.book(4)), (vec![4], (0, COPY), (0, WORD)));
    case.record(RecordKind::SetAside, 5);
    assert_eq!(case.words(), [4, 5], "neither says what the other does");
    case.record(RecordKind::Renewal, 6);
    assert_eq!((case.words(), case.book(4), case.book(1)), (vec![5, 6], (0, 0), (COPY, 0)));
    case.record(RecordKind::Block, 7);
    assert_eq!((case.words(), case.book(1), case.book(7)), (vec![], (0, 0), (COPY, 0)));
}

#[test]
fn a_copy_that_is_moved_stays_condemned_until_a_renewal() {
    let mut case = Case::new();
    case.record(RecordKind::Block, 1);
    case.record(RecordKind::Condemn, 2);
    case.record(RecordKind::Block, 3);
    assert!(case.index.get(&ID).unwrap().unwrap().is_condemned());
    assert_eq!((case.words(), case.book(3)), (vec![2], (0, COPY)));
    case.record(RecordKind::Condemn, 3);
    assert_eq!((case.words(), case.book(2)), (vec![4], (0, 0)));
    case.record(RecordKind::Renewal, 3);
    assert!(case.index.get(&ID).unwrap().unwrap().is_held());
    assert_eq!(case.book(3), (COPY + WORD, 0));
}

#[test]
fn a_damaged_copy_displaces_no_good_one_but_lies_there() {
    let mut case = Case::new();
    case.record(RecordKind::Block, 1);
    case.record(RecordKind::Renewal, 1);
    case.record_as(RecordKind::Block, 2, false, 0);
    let entry = case.index.get(&ID).unwrap().unwrap();
    assert_eq!((entry.segment, entry.sequence, case.words()), (1, 2, vec![2]), "the renewal is its last word still");
    case.record(RecordKind::Delete, 3);
    assert_eq!(case.copies(), Some(vec![1, 2]));
}

#[test]
fn what_a_later_version_wrote_changes_nothing_and_counts() {
    let mut case = Case::new();
    case.record_as(RecordKind::Block, 1, true, 0x35);
    case.record(RecordKind::Renewal, 2);
    case.record(RecordKind::Unknown(99), 3);
    let entry = case.index.get(&ID).unwrap().unwrap();
    assert_eq!((entry.sequence, entry.noted, case.book(3)), (2, 0x35, (WORD, 0)));
}
