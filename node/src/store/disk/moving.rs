//! What a record of a segment that is compacted is still needed for, and what is written in its place. Decides, writes nothing.

use bytes::Bytes;
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::record::{RecordHeader, RecordKind};

use crate::store::index::{IndexBatch, IndexEntry, IndexError, Tombstone};

/// A record that is to be copied.
#[derive(Clone, Debug)]
pub(crate) struct MovedRecord {
    /// Where it lies.
    pub segment: u64,
    /// Where it lies.
    pub offset: u64,
    pub head_len: u16,
    pub header: RecordHeader,
    /// Of a block: its hash was checked.
    pub payload: Bytes,
}

/// What a record counts for. One that counts for nothing never does again: what superseded it lies in a later segment, and goes
/// only when it is superseded itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RecordUse {
    /// Nothing.
    Dead,
    /// These are the block's bytes.
    Copy(IndexEntry),
    /// They were found damaged. They stay where they are until there is another copy: a bad place of a disk is best left alone.
    Damaged,
    /// Without it, something of what is known of the block would not be.
    Word(IndexEntry),
    /// Without it, a copy in another segment would count again.
    Deletion,
    /// A later version knows.
    Unknown,
}

/// What the record at this place counts for, by what is known of its block.
pub(crate) fn use_of(
    (segment, offset): (u64, u64),
    header: &RecordHeader,
    entry: Option<IndexEntry>,
    tombstone: impl FnOnce() -> Result<Option<Tombstone>, IndexError>,
) -> Result<RecordUse, IndexError> {
    Ok(match header.kind {
        RecordKind::Block => match entry.filter(|entry| entry.is_at(segment, offset)) {
            Some(entry) if entry.is_whole() => RecordUse::Copy(entry),
            Some(_) => RecordUse::Damaged,
            None => RecordUse::Dead,
        },
        RecordKind::Renewal | RecordKind::Condemn | RecordKind::SetAside => {
            let is_word = |entry: &IndexEntry| entry.words.iter().any(|word| word.sequence == header.sequence);
            entry.filter(is_word).map_or(RecordUse::Dead, RecordUse::Word)
        }
        RecordKind::Delete if entry.is_some() => RecordUse::Dead,
        RecordKind::Delete => {
            let hides = |tombstone: &Tombstone| {
                let is_elsewhere = tombstone.copies.iter().any(|copy| *copy != segment);
                tombstone.record.sequence == header.sequence && is_elsewhere
            };
            if tombstone()?.as_ref().is_some_and(hides) { RecordUse::Deletion } else { RecordUse::Dead }
        }
        RecordKind::Fact | RecordKind::Unknown(_) => RecordUse::Unknown,
    })
}

/// The records in its place, all of which say what is known by now; none if it does not count any more.
pub(crate) fn plan(moved: &MovedRecord, batch: &IndexBatch<'_>) -> Result<Vec<(RecordHeader, Bytes)>, IndexError> {
    let MovedRecord { header, payload, .. } = moved;
    let id = header.id;
    let used = use_of((moved.segment, moved.offset), header, batch.get(&id)?, || batch.tombstone(&id))?;
    Ok(match used {
        RecordUse::Dead | RecordUse::Damaged => Vec::new(),
        RecordUse::Copy(entry) => copy(id, header, &entry, payload),
        RecordUse::Word(entry) => without_payload(words(id, &entry)),
        RecordUse::Deletion => without_payload(vec![header.clone()]),
        RecordUse::Unknown => vec![(header.clone(), payload.clone())],
    })
}

/// A block record alone would say that it is not condemned any more.
fn copy(id: BlockId, header: &RecordHeader, entry: &IndexEntry, payload: &Bytes) -> Vec<(RecordHeader, Bytes)> {
    debug_assert_eq!(payload.len(), header.payload_len as usize, "the block was read whole");
    let RecordHeader { payload_len, payload_crc, .. } = *header;
    let block = RecordHeader { payload_len, payload_crc, ..entry.header(RecordKind::Block, id) };
    let condemn = entry.is_condemned().then(|| entry.header(RecordKind::Condemn, id));
    std::iter::once((block, payload.clone())).chain(without_payload(condemn)).collect()
}

fn words(id: BlockId, entry: &IndexEntry) -> Vec<RecordHeader> {
    let said = |is_so: bool, kind| is_so.then(|| entry.header(kind, id));
    let condemn = said(entry.is_condemned(), RecordKind::Condemn);
    let damage = said(!entry.is_whole(), RecordKind::SetAside);
    let renewal = said(entry.is_held(), RecordKind::Renewal);
    [condemn, damage, renewal].into_iter().flatten().collect()
}

fn without_payload(headers: impl IntoIterator<Item = RecordHeader>) -> Vec<(RecordHeader, Bytes)> {
    headers.into_iter().map(|header| (header, Bytes::new())).collect()
}
