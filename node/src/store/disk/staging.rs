//! What a job means for a disk: which records, and whether there is room for them. Decides, writes nothing.

use bytes::Bytes;
use fsdfs_core::seam::{CollectStep, Lease};
use fsdfs_proto::ids::BlockId;
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::record::{RecordHeader, RecordKind, add_redundancy};
use fsdfs_proto::volume::{self, BlockKind};

use crate::store::disk::append_batch::AppendBatch;
use crate::store::disk::handle::DiskHandle;
use crate::store::disk::job::{AdoptJob, CollectJob, DeleteJob, DiskJob, RenewJob, WriteJob};
use crate::store::disk::moving;
use crate::store::disk::room::RoomFor;
use crate::store::index::{IndexBatch, IndexEntry, IndexError};
use crate::store::segment::ActiveSegment;

/// A lease renewed less than this ago is not written again. The shortest lease is days long, and whoever puts the same
/// folder twice in a row, or asks again after a broken connection, should cost no disk write.
pub(crate) const RENEWAL_FRESH_MS: u64 = 10 * 60 * 1000;
/// A footer grows to at most this part of a segment: it stays in memory until the segment is sealed.
const FOOTER_PART: u64 = 16;
/// Or this much, in small segments.
const FOOTER_BYTES_MIN: u64 = 64 * 1024;

/// What a job means for a disk.
pub(crate) enum StagingPlan {
    /// These records; then it is answered.
    Append(Vec<(RecordHeader, Bytes)>),
    /// There is no room for them.
    NoRoom,
    /// They belong into the next segment.
    NextSegment,
}

/// The records of one job, given what is staged before it.
pub(crate) fn plan(
    disk: &DiskHandle,
    active: &ActiveSegment,
    job: &DiskJob,
    run: &AppendBatch,
    batch: &IndexBatch<'_>,
    now: u64,
) -> Result<StagingPlan, IndexError> {
    let records = match job {
        DiskJob::Write(write) => plan_write(write, batch, now)?.into_iter().collect(),
        DiskJob::Renew(renew) => plan_renewal(renew, batch, now)?,
        DiskJob::Adopt(adopt) => plan_adoption(adopt, batch)?.into_iter().collect(),
        DiskJob::Quarantine { id, segment, offset } => match batch.get(id)? {
            Some(entry) if entry.is_whole() && (entry.segment, entry.offset) == (*segment, *offset) => {
                vec![(entry.header(RecordKind::SetAside, *id), Bytes::new())]
            }
            _ => Vec::new(),
        },
        DiskJob::Delete(delete) => plan_delete(delete, batch)?,
        DiskJob::Collect(collect) => plan_collect(collect, batch, now)?,
        DiskJob::Move(moved) => moving::plan(moved, batch)?,
        DiskJob::Slice(_)
        | DiskJob::Remove(_)
        | DiskJob::Log(_)
        | DiskJob::SealLog
        | DiskJob::Compact(_)
        | DiskJob::Rebuild
        | DiskJob::Stop => Vec::new(),
    };
    if records.is_empty() {
        return Ok(StagingPlan::Append(records));
    }
    let heads: u64 = records.iter().map(|(header, _)| header.encode(&[0; 8]).len() as u64).sum();
    let payloads: u64 = records.iter().map(|(_, payload)| payload.len() as u64).sum();
    let footer = run.footer_bytes + heads;
    let bytes = run.bytes + heads + payloads;
    let footer = active.footer.bytes() + footer;
    if disk.room(RoomFor::Blocks) < bytes + footer && disk.room(room_for(job, &records)) < bytes + footer {
        return Ok(StagingPlan::NoRoom);
    }
    let segment_bytes = disk.segment_bytes;
    let full =
        active.end + bytes + footer > segment_bytes || footer > (segment_bytes / FOOTER_PART).max(FOOTER_BYTES_MIN);
    let empty = active.footer.count() == 0 && run.records.is_empty();
    Ok(if full && !empty { StagingPlan::NextSegment } else { StagingPlan::Append(records) })
}

/// Which part of the reserve these records may use.
fn room_for(job: &DiskJob, records: &[(RecordHeader, Bytes)]) -> RoomFor {
    if matches!(job, DiskJob::Move(_)) {
        return RoomFor::Compaction;
    }
    let blocks = || records.iter().map(|(_, payload)| payload).filter(|payload| !payload.is_empty());
    match blocks().count() {
        0 if records.iter().all(|(header, _)| is_deletion(header)) => RoomFor::Deletions,
        0 => RoomFor::Renewals,
        _ if blocks().all(|block| is_of_a_tree(block)) => RoomFor::Trees,
        _ => RoomFor::Blocks,
    }
}

/// Or the first step of one.
fn is_deletion(header: &RecordHeader) -> bool {
    matches!(header.kind, RecordKind::Delete | RecordKind::Condemn)
}

/// As the block itself says. A member that says so of anything else gets as much as a few hundred removals would have.
fn is_of_a_tree(block: &[u8]) -> bool {
    volume::header(block).is_ok_and(|header| matches!(header.kind, BlockKind::Directory | BlockKind::Commit))
}

/// A block that is here already is renewed, one that is damaged here is written anew.
fn plan_write(write: &WriteJob, batch: &IndexBatch<'_>, now: u64) -> Result<Option<(RecordHeader, Bytes)>, IndexError> {
    let id = write.block.id();
    let known = batch.get(&id)?;
    if let Some(entry) = &known
        && entry.is_whole()
    {
        let asked = LeaseRequest { redundancy: write.redundancy, first_seen: write.first_seen, lease: write.lease };
        return Ok(renewal(id, entry, &asked, now).map(|header| (header, Bytes::new())));
    }
    let payload = write.block.bytes().clone();
    let mut redundancies = known.as_ref().map(|entry| entry.redundancies.clone()).unwrap_or_default();
    add_redundancy(&mut redundancies, write.redundancy);
    let receipt = known.as_ref().map_or(write.receipt, |entry| entry.receipt);
    let header = RecordHeader {
        kind: RecordKind::Block,
        flags: known.as_ref().map_or(0, |entry| entry.noted) | kind_flags(&payload),
        payload_len: u32::try_from(payload.len()).expect("a block is at most BLOCK_BYTES_MAX long"),
        id,
        sequence: 0,
        first_seen: known.map_or(write.first_seen, |entry| entry.first_seen.min(write.first_seen)),
        renewed: write.lease.renewed(now),
        // Who put it first is not changed by whoever brings another copy.
        receipt,
        redundancies,
        payload_crc: crc32fast::hash(&payload),
    };
    Ok(Some((header, payload)))
}

/// Whoever collects has to know what kind of block it is without reading it.
fn kind_flags(block: &[u8]) -> u16 {
    volume::kind_of(block).map_or(0, |kind| kind as u16)
}

/// All of them or nothing.
fn plan_delete(delete: &DeleteJob, batch: &IndexBatch<'_>) -> Result<Vec<(RecordHeader, Bytes)>, IndexError> {
    let mut records = Vec::new();
    for (id, sequence) in &delete.copies {
        match batch.get(id)? {
            Some(entry) if entry.is_held() && entry.changed == *sequence => {
                records.push((entry.header(RecordKind::Delete, *id), Bytes::new()));
            }
            _ => return Ok(Vec::new()),
        }
    }
    Ok(records)
}

/// All that the other disk knows of the block, added to what this one knows. A block that is here gets a record only if it says more.
fn plan_adoption(adopt: &AdoptJob, batch: &IndexBatch<'_>) -> Result<Option<(RecordHeader, Bytes)>, IndexError> {
    let id = adopt.block.id();
    let known = batch.get(&id)?;
    if known.as_ref().is_some_and(|known| known.covers(&adopt.entry)) {
        return Ok(None);
    }
    let mut entry = adopt.entry.clone();
    if let Some(known) = &known {
        for redundancy in &known.redundancies {
            add_redundancy(&mut entry.redundancies, *redundancy);
        }
        (entry.first_seen, entry.receipt) = (entry.first_seen.min(known.first_seen), known.receipt);
        // The last time of what is condemned is that of the condemnation.
        entry.renewed = if known.is_held() { entry.renewed.max(known.renewed) } else { entry.renewed };
    }
    if known.is_some_and(|known| known.is_whole()) {
        return Ok(Some((entry.header(RecordKind::Renewal, id), Bytes::new())));
    }
    let payload = adopt.block.bytes().clone();
    let payload_len = u32::try_from(payload.len()).expect("a block is at most BLOCK_BYTES_MAX long");
    let payload_crc = crc32fast::hash(&payload);
    let header = RecordHeader { payload_len, payload_crc, ..entry.header(RecordKind::Block, id) };
    Ok(Some((header, payload)))
}

/// The steps that are to be taken. A copy that is not as it was stays as it is.
fn plan_collect(
    collect: &CollectJob,
    batch: &IndexBatch<'_>,
    now: u64,
) -> Result<Vec<(RecordHeader, Bytes)>, IndexError> {
    let mut records = Vec::new();
    for (id, sequence, step) in &collect.copies {
        let entry = batch.get(id)?.filter(|entry| entry.changed == *sequence && entry.is_whole());
        let header = entry.and_then(|entry| match step {
            // The last time of what is condemned is that of the condemnation.
            CollectStep::Condemn if entry.is_held() => {
                Some(RecordHeader { renewed: now, ..entry.header(RecordKind::Condemn, *id) })
            }
            CollectStep::Delete if entry.is_condemned() => Some(entry.header(RecordKind::Delete, *id)),
            CollectStep::Condemn | CollectStep::Delete => None,
        });
        records.extend(header.map(|header| (header, Bytes::new())));
    }
    Ok(records)
}

fn plan_renewal(renew: &RenewJob, batch: &IndexBatch<'_>, now: u64) -> Result<Vec<(RecordHeader, Bytes)>, IndexError> {
    let mut records = Vec::new();
    for (_, id) in &renew.ids {
        let Some(entry) = batch.get(id)?.filter(IndexEntry::is_whole) else { continue };
        let (redundancy, first_seen, lease) = (renew.redundancy, entry.first_seen, Lease::Now);
        let asked = LeaseRequest { redundancy, first_seen, lease };
        records.extend(renewal(*id, &entry, &asked, now).map(|header| (header, Bytes::new())));
    }
    Ok(records)
}

/// Places of those that are here; the others are not, or not whole, by now.
pub(crate) fn present(renew: &RenewJob, batch: &IndexBatch<'_>) -> Result<Vec<usize>, IndexError> {
    let mut places = Vec::new();
    for (place, id) in &renew.ids {
        match batch.get(id)? {
            Some(entry) if entry.is_whole() => places.push(*place),
            _ => renew.gather.set(*place, Possession::No),
        }
    }
    Ok(places)
}

/// What is asked for a block that is here.
struct LeaseRequest {
    redundancy: Redundancy,
    first_seen: u64,
    lease: Lease,
}

/// The record that grants it, unless it would say what the last one says. A copy of a block that is here anyway renews nothing; what
/// is about to be deleted it revives, with its own lease: the last time of the block is that of the condemnation.
fn renewal(id: BlockId, entry: &IndexEntry, asked: &LeaseRequest, now: u64) -> Option<RecordHeader> {
    let mut redundancies = entry.redundancies.clone();
    let is_added = add_redundancy(&mut redundancies, asked.redundancy);
    // A stamp of the future is no sign of freshness: the clock may have been set back since.
    let fresh = now.checked_sub(entry.renewed).is_some_and(|age| age < RENEWAL_FRESH_MS);
    let is_lasting = fresh || asked.lease != Lease::Now;
    if is_lasting && !is_added && entry.is_held() && asked.first_seen >= entry.first_seen {
        return None;
    }
    let first_seen = asked.first_seen.min(entry.first_seen);
    let keeps = asked.lease != Lease::Now && entry.is_held();
    let renewed = if keeps { entry.renewed } else { asked.lease.renewed(now) };
    Some(RecordHeader { redundancies, first_seen, renewed, ..entry.header(RecordKind::Renewal, id) })
}
