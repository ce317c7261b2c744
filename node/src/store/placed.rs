//! Which copies lie where on the disks, for whoever makes room.

use fsdfs_core::limits::EVICTED_COPIES_MAX;
use fsdfs_core::seam::PlacedCopy;
use fsdfs_proto::ids::{BlockId, DiskId};
use fsdfs_proto::record::RecordKind;
use fsdfs_proto::volume::{BlockKind, KIND_BYTES, kind_of};

use super::disk::handle::{DiskHandle, DiskHealth};
use super::disk_set::DiskSet;
use super::index::IndexEntry;
use super::segment::scan::SegmentScan;

impl DiskSet {
    /// Copies behind one, disk by disk and there by id; none while an index is being made.
    pub fn copies(&self, after: Option<(DiskId, BlockId)>, max: usize) -> Option<Vec<PlacedCopy>> {
        let mut disks = self.disks();
        disks.sort_by_key(|disk| disk.id);
        let mut found = Vec::new();
        for disk in disks.iter().filter(|disk| disk.health() != DiskHealth::Offline) {
            let from = match after {
                Some((before, _)) if disk.id < before => continue,
                Some((before, id)) if disk.id == before => Some(id),
                _ => None,
            };
            let wanted = max.saturating_sub(found.len());
            if wanted == 0 {
                break;
            }
            let index = disk.index()?;
            let page = index.list(from.as_ref(), wanted).map_err(|error| disk.invalidate_index(&error)).ok()?;
            found.extend(page.iter().map(|(id, entry)| placed(disk, *id, entry)));
        }
        Some(found)
    }

    /// The copies in a segment that is written no more, each with whether other blocks hang on it. Nothing if that cannot be told, or
    /// if they are more than anybody gives up at once.
    pub fn segment(&self, disk: DiskId, number: u64) -> Vec<(PlacedCopy, bool)> {
        let disks = self.disks();
        let found = disks.iter().find(|other| other.id == disk).and_then(|disk| copies_in(disk, number));
        found.unwrap_or_default()
    }
}

fn copies_in(disk: &DiskHandle, number: u64) -> Option<Vec<(PlacedCopy, bool)>> {
    let file = disk.segment(number).ok()?;
    let scan = SegmentScan { file: &*file, disk: disk.id, number, check_from: u64::MAX };
    let mut found = Vec::new();
    for (offset, header) in scan.sealed().ok()?? {
        if header.kind != RecordKind::Block {
            continue;
        }
        let Some(entry) = disk.look_up(&header.id).ok()? else { continue };
        if (entry.segment, entry.offset) != (number, offset) {
            continue;
        }
        if found.len() == EVICTED_COPIES_MAX {
            return None;
        }
        let mut begin = [0; KIND_BYTES];
        let read = file.read_at(&mut begin, offset + u64::from(entry.head_len)).ok()?;
        let is_interior = kind_of(&begin[..read]).is_some_and(|kind| kind != BlockKind::Data);
        found.push((placed(disk, header.id, &entry), is_interior));
    }
    Some(found)
}

fn placed(disk: &DiskHandle, id: BlockId, entry: &IndexEntry) -> PlacedCopy {
    let (segment, sequence) = (entry.segment, entry.changed);
    PlacedCopy { disk: disk.id, segment, sequence, kind: entry.kind(), copy: entry.copy(id) }
}
