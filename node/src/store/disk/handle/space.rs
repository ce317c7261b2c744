//! How much room a disk has, and for what.

use fsdfs_core::seam::{DiskCondition, DiskState};

use super::{DiskHandle, DiskHealth};
use crate::store::disk::room::{ROOM_AGAIN, ROOM_BYTES_MIN, RoomFor};
use crate::store::error::StoreNotice;

impl DiskHandle {
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
