//! Records that are taken in: what the index will be after them.

use std::collections::BTreeMap;

use fsdfs_core::seam::CopyChange;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::record::{RecordHeader, RecordKind};

use super::{BlockIndex, IndexChanges, IndexEntry, IndexError, IndexWatermark, LastWord, SegmentBook, Tombstone};

/// A record as it lies in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacedRecord {
    /// Which segment.
    pub segment: u64,
    /// Where in it.
    pub offset: u64,
    /// Length of its header.
    pub head_len: u16,
    /// Its header.
    pub header: RecordHeader,
    /// False if its payload is known to be damaged.
    pub whole: bool,
}

impl PlacedRecord {
    fn word(&self) -> LastWord {
        let Self { segment, head_len, header, .. } = self;
        LastWord { sequence: header.sequence, segment: *segment, head_len: *head_len, kind: header.kind.code() }
    }
}

/// What is known of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
enum KnownBlock {
    Nothing,
    Copy(IndexEntry),
    Deleted(Tombstone),
}

/// Changes gathered on top of an index before they are applied at once.
pub(crate) struct IndexBatch<'a> {
    index: &'a BlockIndex,
    changes: IndexChanges,
    /// What is in the index of the blocks that change.
    before: BTreeMap<BlockId, Option<IndexEntry>>,
    /// As it will be.
    pub watermark: IndexWatermark,
}

impl<'a> IndexBatch<'a> {
    /// Begins with the index as it is.
    pub fn new(index: &'a BlockIndex, watermark: IndexWatermark) -> Self {
        Self { index, changes: IndexChanges::default(), before: BTreeMap::new(), watermark }
    }

    /// The copy, as the changes so far leave it.
    pub fn get(&self, id: &BlockId) -> Result<Option<IndexEntry>, IndexError> {
        match self.changes.entries.get(id) {
            Some(changed) => Ok(changed.clone()),
            None => self.index.get(id),
        }
    }

    /// The same of what was deleted.
    pub fn tombstone(&self, id: &BlockId) -> Result<Option<Tombstone>, IndexError> {
        match self.changes.tombstones.get(id) {
            Some(changed) => Ok(changed.clone()),
            None => self.index.tombstone(id),
        }
    }

    /// The same of a segment.
    pub fn book(&self, segment: u64) -> Result<Option<SegmentBook>, IndexError> {
        match self.changes.books.get(&segment) {
            Some(changed) => Ok(*changed),
            None => self.index.book(segment),
        }
    }

    /// Changed entries.
    pub fn len(&self) -> usize {
        self.changes.entries.len() + self.changes.tombstones.len()
    }

    /// Takes in the next record of the disk.
    pub fn record(&mut self, placed: &PlacedRecord) -> Result<(), IndexError> {
        let (id, kind) = (placed.header.id, placed.header.kind);
        let end = placed.offset + u64::from(placed.head_len) + u64::from(placed.header.payload_len);
        let watermark = &mut self.watermark;
        if watermark.segment != IndexWatermark::NOWHERE {
            (watermark.segment, watermark.offset) = (placed.segment, end);
        }
        watermark.sequence = watermark.sequence.max(placed.header.sequence);
        if matches!(kind, RecordKind::Fact | RecordKind::Unknown(_)) {
            // It says nothing about the block to this version, and is kept for one to which it does.
            return self.note_book(placed.segment, |book| book.live += unknown_bytes(placed.head_len, &placed.header));
        }
        // That there is such a segment, whatever counts of it.
        self.note_book(placed.segment, |_| ())?;
        let before = self.known(&id)?;
        let mut after = follow(before.clone(), placed);
        if after == before {
            return Ok(());
        }
        if let KnownBlock::Copy(IndexEntry { older: segments, .. })
        | KnownBlock::Deleted(Tombstone { copies: segments, .. }) = &mut after
        {
            self.retain_existing(segments)?;
        }
        self.replace(id, &before, after)
    }

    /// A record that this version does not understand was copied: the one in this segment counts no more.
    pub fn supersede_unknown(&mut self, segment: u64, head_len: u16, header: &RecordHeader) -> Result<(), IndexError> {
        let bytes = unknown_bytes(head_len, header);
        self.note_book(segment, |book| book.live = book.live.saturating_sub(bytes))
    }

    /// A segment is gone, durably: no copy of this deleted block lies there any more.
    pub fn strike(&mut self, id: BlockId, segment: u64) -> Result<(), IndexError> {
        let Some(tombstone) = self.tombstone(&id)? else { return Ok(()) };
        let before = KnownBlock::Deleted(tombstone.clone());
        let copies: Vec<u64> = tombstone.copies.iter().copied().filter(|copy| *copy != segment).collect();
        if copies == tombstone.copies {
            return Ok(());
        }
        let after = if copies.is_empty() {
            KnownBlock::Nothing
        } else {
            KnownBlock::Deleted(Tombstone { copies, ..tombstone })
        };
        self.replace(id, &before, after)
    }

    /// A segment is gone, durably, and all of its copies are struck.
    pub fn drop_book(&mut self, segment: u64) {
        self.changes.books.insert(segment, None);
    }

    /// What the changes mean for the copies on the disk. One that was merely moved did not change.
    pub fn copies(&self) -> Vec<CopyChange> {
        let disk = self.watermark.disk;
        let copy = |id: &BlockId, entry: &Option<IndexEntry>| entry.as_ref().map(|entry| entry.copy(*id));
        let change = |(id, after)| CopyChange {
            disk,
            before: self.before.get(id).and_then(|before| copy(id, before)),
            after: copy(id, after),
        };
        self.changes.entries.iter().map(change).filter(|change| change.before != change.after).collect()
    }

    /// What counts of the segments of which that changes; none if one is gone.
    pub fn books(&self) -> &BTreeMap<u64, Option<SegmentBook>> {
        &self.changes.books
    }

    /// Hands all changes to the index. Call it only when the records are durable.
    pub fn apply(&self) -> Result<IndexWatermark, IndexError> {
        self.index.apply(&self.changes, &self.watermark)?;
        Ok(self.watermark)
    }

    fn known(&self, id: &BlockId) -> Result<KnownBlock, IndexError> {
        if let Some(entry) = self.get(id)? {
            return Ok(KnownBlock::Copy(entry));
        }
        Ok(self.tombstone(id)?.map_or(KnownBlock::Nothing, KnownBlock::Deleted))
    }

    /// Segments that are gone are forgotten when an entry is written anyway.
    fn retain_existing(&self, segments: &mut Vec<u64>) -> Result<(), IndexError> {
        let mut existing = Vec::with_capacity(segments.len());
        for segment in segments.iter() {
            if self.book(*segment)?.is_some() {
                existing.push(*segment);
            }
        }
        *segments = existing;
        Ok(())
    }

    fn replace(&mut self, id: BlockId, before: &KnownBlock, after: KnownBlock) -> Result<(), IndexError> {
        for (segment, live, condemned) in before.shares() {
            self.note_book(segment, |book| {
                debug_assert!(book.live >= live && book.condemned >= condemned, "what goes was counted when it came");
                book.live = book.live.saturating_sub(live);
                book.condemned = book.condemned.saturating_sub(condemned);
            })?;
        }
        for (segment, live, condemned) in after.shares() {
            self.note_book(segment, |book| {
                book.live += live;
                book.condemned += condemned;
            })?;
        }
        let (blocks, tombstones) = before.counts();
        self.watermark.blocks -= blocks.min(self.watermark.blocks);
        self.watermark.tombstones -= tombstones.min(self.watermark.tombstones);
        let (blocks, tombstones) = after.counts();
        self.watermark.blocks += blocks;
        self.watermark.tombstones += tombstones;
        let (entry, tombstone) = match after {
            KnownBlock::Nothing => (None, None),
            KnownBlock::Copy(entry) => (Some(entry), None),
            KnownBlock::Deleted(tombstone) => (None, Some(tombstone)),
        };
        if entry.is_some() || matches!(before, KnownBlock::Copy(_)) {
            let was = if let KnownBlock::Copy(entry) = before { Some(entry.clone()) } else { None };
            self.before.entry(id).or_insert(was);
            self.changes.entries.insert(id, entry);
        }
        if tombstone.is_some() || matches!(before, KnownBlock::Deleted(_)) {
            self.changes.tombstones.insert(id, tombstone);
        }
        Ok(())
    }

    fn note_book(&mut self, segment: u64, change: impl FnOnce(&mut SegmentBook)) -> Result<(), IndexError> {
        let mut book = self.book(segment)?.unwrap_or_default();
        change(&mut book);
        self.changes.books.insert(segment, Some(book));
        Ok(())
    }
}

fn unknown_bytes(head_len: u16, header: &RecordHeader) -> u64 {
    2 * u64::from(head_len) + u64::from(header.payload_len)
}

impl KnownBlock {
    /// Blocks and tombstones that it is.
    fn counts(&self) -> (u64, u64) {
        match self {
            Self::Nothing => (0, 0),
            Self::Copy(_) => (1, 0),
            Self::Deleted(_) => (0, 1),
        }
    }

    /// What it adds to the books of which segments: bytes that are live, and condemned.
    fn shares(&self) -> Vec<(u64, u64, u64)> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Deleted(tombstone) => {
                // One that goes together with the last copy need not be said once more.
                let is_needed = tombstone.copies.iter().any(|copy| *copy != tombstone.record.segment);
                let bytes = if is_needed { tombstone.record.bytes() } else { 0 };
                vec![(tombstone.record.segment, bytes, 0)]
            }
            Self::Copy(entry) => {
                let share = |segment, bytes| match entry.is_condemned() {
                    true => (segment, 0, bytes),
                    false => (segment, bytes, 0),
                };
                let words = entry.words.iter().map(|word| share(word.segment, word.bytes()));
                std::iter::once(share(entry.segment, entry.record_bytes())).chain(words).collect()
            }
        }
    }
}

/// What is known of a block after one more record about it. Records are taken in in the order of their sequence; one
/// that was taken in before changes nothing.
fn follow(before: KnownBlock, placed: &PlacedRecord) -> KnownBlock {
    let header = &placed.header;
    match (before, header.kind) {
        (KnownBlock::Copy(known), _) if header.sequence <= known.sequence => KnownBlock::Copy(known),
        (KnownBlock::Deleted(known), _) if header.sequence <= known.record.sequence => KnownBlock::Deleted(known),
        (KnownBlock::Nothing, RecordKind::Block) => KnownBlock::Copy(fresh(placed, Vec::new())),
        (KnownBlock::Nothing, _) => KnownBlock::Nothing,
        (KnownBlock::Deleted(known), RecordKind::Block) => KnownBlock::Copy(fresh(placed, known.copies)),
        (KnownBlock::Deleted(known), RecordKind::Delete) => {
            KnownBlock::Deleted(Tombstone { record: placed.word(), ..known })
        }
        (KnownBlock::Deleted(known), _) => KnownBlock::Deleted(known),
        (KnownBlock::Copy(known), RecordKind::Block) => KnownBlock::Copy(copied(known, placed)),
        (KnownBlock::Copy(known), RecordKind::Delete) => {
            KnownBlock::Deleted(Tombstone { record: placed.word(), copies: with(known.older, known.segment) })
        }
        (KnownBlock::Copy(known), RecordKind::Renewal) => {
            let flags = known.flags & !IndexEntry::CONDEMNED;
            KnownBlock::Copy(said(&known, flags, placed))
        }
        (KnownBlock::Copy(known), RecordKind::Condemn) => {
            let flags = known.flags | IndexEntry::CONDEMNED;
            KnownBlock::Copy(said(&known, flags, placed))
        }
        (KnownBlock::Copy(known), RecordKind::SetAside) => {
            let flags = known.flags | IndexEntry::DAMAGED;
            KnownBlock::Copy(said(&known, flags, placed))
        }
        (known, RecordKind::Fact | RecordKind::Unknown(_)) => known,
    }
}

fn fresh(placed: &PlacedRecord, older: Vec<u64>) -> IndexEntry {
    let header = &placed.header;
    IndexEntry {
        segment: placed.segment,
        offset: placed.offset,
        head_len: placed.head_len,
        len: header.payload_len,
        flags: if placed.whole { 0 } else { IndexEntry::DAMAGED },
        sequence: header.sequence,
        changed: header.sequence,
        first_seen: header.first_seen,
        renewed: header.renewed,
        receipt: header.receipt,
        redundancies: header.redundancies.clone(),
        noted: header.flags,
        words: Vec::new(),
        older,
    }
}

/// One more copy. A damaged one does not displace a good one. One of a good copy is what compaction moved: should the power go before
/// what is said behind it is durable, what was condemned is so still.
fn copied(known: IndexEntry, placed: &PlacedRecord) -> IndexEntry {
    if !placed.whole && known.is_whole() {
        return IndexEntry { older: with(known.older, placed.segment), ..known };
    }
    let is_moved = placed.whole && known.is_whole();
    let mut new = fresh(placed, with(known.older, known.segment));
    if new.noted == 0 {
        new.noted = known.noted;
    }
    if is_moved {
        new.changed = known.changed;
        new.flags |= known.flags & IndexEntry::CONDEMNED;
        let condemns = |word: &LastWord| word.kind == RecordKind::Condemn.code();
        new.words = known.words.into_iter().filter(condemns).collect();
    }
    new
}

/// A record without payload, the flags being those after it. It repeats all that is known, but not what another kind says.
fn said(before: &IndexEntry, flags: u8, placed: &PlacedRecord) -> IndexEntry {
    let header = &placed.header;
    let known = IndexEntry { flags, ..before.clone() };
    let repeats_all = !header.redundancies.is_empty();
    let is_needed = |word: &LastWord| match RecordKind::from(word.kind) {
        kind if kind == header.kind => !repeats_all,
        RecordKind::Condemn => !repeats_all || known.is_condemned(),
        RecordKind::SetAside => !repeats_all || !known.is_whole(),
        _ => !repeats_all,
    };
    let mut words: Vec<LastWord> = known.words.iter().copied().filter(is_needed).collect();
    words.push(placed.word());
    let mut new = IndexEntry { sequence: header.sequence, renewed: header.renewed, words, ..known };
    if repeats_all {
        new.first_seen = header.first_seen;
        new.receipt = header.receipt;
        new.redundancies.clone_from(&header.redundancies);
    }
    if header.flags != 0 {
        new.noted = header.flags;
    }
    let is_new = new.renewed != before.renewed || new.first_seen != before.first_seen || new.flags != before.flags;
    if is_new || new.redundancies != before.redundancies || new.receipt != before.receipt {
        new.changed = header.sequence;
    }
    new
}

/// Ascending, each once.
fn with(mut segments: Vec<u64>, one: u64) -> Vec<u64> {
    if let Err(place) = segments.binary_search(&one) {
        segments.insert(place, one);
    }
    segments
}

#[cfg(test)]
mod tests;
