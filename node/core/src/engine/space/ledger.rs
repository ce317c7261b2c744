//! What the copies on this node's disks are for, as the last mark found.

use super::judge::Verdict;
use super::walk::{Reach, Walk};
use crate::limits::MISSING_LINKS_NOTED_MAX;
use crate::report::SpaceReport;
use crate::seam::PlacedCopy;

/// Counted while the copies are judged.
#[derive(Debug, Default)]
pub(super) struct SpaceLedger {
    pub current: u64,
    pub history: u64,
    /// Needed by no state, and not condemned: too young, or waits for a member.
    pub young: u64,
    pub unheard: u64,
    pub condemned: u64,
    pub damaged: u64,
}

impl SpaceLedger {
    pub fn add(&mut self, copy: &PlacedCopy, verdict: Verdict) {
        let bytes = u64::from(copy.copy.info.len);
        let sum = match verdict {
            Verdict::Keep(Reach::Current) | Verdict::Revive => &mut self.current,
            Verdict::Keep(Reach::History | Reach::Floor) => &mut self.history,
            Verdict::Young => &mut self.young,
            Verdict::Unheard => &mut self.unheard,
            Verdict::Condemn | Verdict::Condemned | Verdict::Delete => &mut self.condemned,
            Verdict::Damaged => &mut self.damaged,
        };
        *sum = sum.saturating_add(bytes);
    }

    /// As owners are told; nothing is freed yet.
    pub fn report(&self, walk: &Walk, marked_at: u64) -> SpaceReport {
        SpaceReport {
            marked_at,
            blocks: walk.blocks() as u64,
            current_bytes: self.current,
            history_bytes: self.history,
            young_bytes: self.young,
            unheard_bytes: self.unheard,
            condemned_bytes: self.condemned,
            damaged_bytes: self.damaged,
            freed_bytes: 0,
            collects: false,
            incomplete: walk.missing().keys().copied().collect(),
            missing: walk.missing().values().flatten().take(MISSING_LINKS_NOTED_MAX).copied().collect(),
        }
    }
}
