//! How much room a disk has, for what, and where its bytes are.

use std::collections::BTreeMap;
use std::io;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use fsdfs_core::limits::{ROOM_LOW_PERCENT, ROOM_LOW_SEGMENTS};
use fsdfs_core::seam::{DiskCondition, DiskState};

use super::{DiskHandle, DiskHealth};
use crate::metrics::DiskUsage;
use crate::store::disk::attach;
use crate::store::disk::books::{KnownSegment, SegmentBooks};
use crate::store::disk::room::{ROOM_AGAIN, ROOM_BYTES_MIN, RoomFor};
use crate::store::error::StoreNotice;
use crate::store::index::{IndexWatermark, SegmentBook};
use crate::store::log;

impl DiskHandle {
    /// What of each segment counts.
    pub fn books<T>(&self, call: impl FnOnce(&SegmentBooks) -> T) -> T {
        call(&self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For the writer: what there is, when the index knows all records.
    pub fn set_books(&self, segments: impl IntoIterator<Item = (u64, KnownSegment)>, watermark: &IndexWatermark) {
        self.recoveries.fetch_add(1, Ordering::AcqRel);
        self.change_books(|books| *books = SegmentBooks::new(segments, 0));
        self.note_books(&BTreeMap::new(), watermark);
    }

    /// Another number means that the disk was read as at a start meanwhile.
    pub fn recoveries(&self) -> u64 {
        self.recoveries.load(Ordering::Acquire)
    }

    /// For the writer: so many bytes were written to a segment.
    pub fn grew(&self, number: u64, bytes: u64) {
        self.change_books(|books| books.grew(number, bytes));
        self.update_usage(|usage| usage.segments += bytes);
    }

    /// For the writer: what counts now.
    pub fn note_books(&self, changed: &BTreeMap<u64, Option<SegmentBook>>, watermark: &IndexWatermark) {
        self.change_books(|books| {
            changed.iter().for_each(|(number, book)| books.note(*number, *book));
            if watermark.segment != IndexWatermark::NOWHERE {
                books.set_newest(watermark.segment);
            }
        });
        self.update_usage(|usage| usage.blocks = watermark.blocks);
    }

    fn change_books(&self, change: impl FnOnce(&mut SegmentBooks)) {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut books);
        let (dead, condemned) = (books.dead(), books.condemned());
        drop(books);
        self.update_usage(|usage| (usage.dead, usage.condemned) = (dead, condemned));
    }

    /// Where its bytes are, all of them measured now: what others change on the disk, the index in the background among them, is
    /// noticed by no one.
    pub fn measured(&self) -> io::Result<DiskUsage> {
        let bytes = |name: &str| self.file_system.tree_bytes(&self.path.join(name));
        let index = bytes("index")? + bytes("index.aside")?;
        let log = self.file_system.tree_bytes(&log::folder(&self.path))?;
        let segments = self.file_system.list(&attach::segments(&self.path))?.iter().map(|(_, len)| len).sum();
        let all = self.file_system.tree_bytes(&self.path)?;
        let other = all.saturating_sub(segments).saturating_sub(index).saturating_sub(log);
        self.update_usage(|usage| usage.index = index);
        Ok(DiskUsage { segments, index, log, other, ..self.usage() })
    }

    /// There is little room: less than from which on copies give way.
    pub fn is_low(&self) -> bool {
        let low = (self.quota_bytes / 100 * ROOM_LOW_PERCENT).max(ROOM_LOW_SEGMENTS * self.segment_bytes);
        self.room(RoomFor::Blocks) < low
    }

    /// Looks whether there is room, and says so when that changes.
    pub fn note_room(&self) {
        let (room, full) = (self.room(RoomFor::Blocks), self.full_of());
        let mut status = self.status();
        let before = status.full;
        let needed = if before.is_some() { ROOM_AGAIN * ROOM_BYTES_MIN } else { ROOM_BYTES_MIN };
        status.full = (room < needed).then_some(full);
        let (health, now) = (status.health, status.full);
        drop(status);
        let path = self.path.clone();
        match (before, now) {
            _ if health != DiskHealth::Good => {}
            (None, Some(condition)) => (self.notices)(StoreNotice::Full { path, condition }),
            (Some(_), None) => (self.notices)(StoreNotice::HasRoom { path }),
            _ => {}
        }
    }

    /// Which of the two bounds it is. A disk that gives all it has is full by its quota: other files are not to blame.
    fn full_of(&self) -> DiskCondition {
        let usage = self.usage();
        let left = usage.quota.saturating_sub(usage.used()).saturating_sub(usage.reserve);
        if left < ROOM_AGAIN * ROOM_BYTES_MIN { DiskCondition::QuotaFull } else { DiskCondition::DiskFull }
    }

    fn free_bytes(&self) -> u64 {
        self.file_system.free_bytes(&self.path).unwrap_or(0)
    }

    /// Bytes that may still be taken for this.
    pub fn room(&self, wanted: RoomFor) -> u64 {
        let usage = self.usage();
        let kept = wanted.reserve_quarters() * self.segment_bytes / 4;
        usage.quota.saturating_sub(usage.used()).min(self.free_bytes()).saturating_sub(kept)
    }

    /// What the engine is told; `None` if the disk is out.
    pub fn state(&self) -> Option<DiskState> {
        let (health, room_bytes) = (self.health(), self.room(RoomFor::Blocks));
        let (full, read_only) = {
            let status = self.status();
            (status.full, status.read_only)
        };
        let condition = match (health, full) {
            (DiskHealth::Offline, _) => return None,
            (DiskHealth::Failing, _) if read_only => DiskCondition::ReadOnly,
            (DiskHealth::Failing, _) => DiskCondition::Failing,
            (DiskHealth::Good, _) if self.is_drained() => DiskCondition::Draining,
            (DiskHealth::Good, Some(full)) => full,
            (DiskHealth::Good, None) if room_bytes < ROOM_BYTES_MIN => self.full_of(),
            (DiskHealth::Good, None) => DiskCondition::Good,
        };
        Some(DiskState {
            id: self.id,
            nonce: self.superblock.nonce,
            quota_bytes: self.quota_bytes,
            used_bytes: self.usage().used(),
            room_bytes,
            condition,
        })
    }
}
