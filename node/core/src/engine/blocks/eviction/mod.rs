//! Making room: surplus copies go when there is little room for what is assigned here.
//!
//! Promise: a copy is deleted only after all that are assigned its block said, under one map, within a minute, on connections that did not
//! end, that they have it whole and do not delete it. So under that map none of the copies that are to be there is missing.
//!
//! What is deleted is to make room, and that costs no copying where nothing is left in a segment. So segments of which all copies are
//! surplus go whole ([`count`]), those first of which the best copy has the last rank in the order of its block, those with blocks
//! on which others hang at last. One segment at a time; if one of its blocks is not proven it stays ([`removal`]).

mod count;
mod parts;
mod proofs;
mod removal;

use std::collections::BTreeSet;

use fsdfs_proto::ids::{BlockId, DiskId, NodeId};
use fsdfs_proto::message::ProveReply;

use self::count::{SegmentCount, SurplusSegment, is_surplus};
use self::removal::{OpenRemoval, RemovalStep};
use super::holds_nothing;
use crate::engine::context::Context;
use crate::engine::timers::Timer;
use crate::limits::{
    EVICT_AGAIN_MS, EVICT_AGAIN_MS_MAX, EVICT_DELAY_MS, EVICT_PROOFS_MS_MAX, ROOM_LOW_PERCENT, ROOM_LOW_SEGMENTS,
    SEGMENT_BYTES_MAX, SEGMENTS_OF_A_QUOTA,
};
use crate::seam::{DiskCondition, DiskRequest, DiskState, EvictToken, PlacedCopy, Waiter};

pub(in crate::engine) use self::parts::EvictionParts;

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct Eviction {
    step: EvictionStep,
    /// Of this step; an answer to an earlier one is not waited for any more.
    number: u64,
    /// The last one is the next to go.
    candidates: Vec<SurplusSegment>,
    /// Of these, and then of nothing else, those in which blocks with links lie.
    interior: Vec<SurplusSegment>,
    is_interior_due: bool,
    /// Bytes that are still to become free.
    wanted: u64,
    /// On their way to the disk to be deleted: of these this node says to nobody that it has them.
    deleting: BTreeSet<BlockId>,
    /// Not looked again before, in monotonic milliseconds.
    next_at: u64,
    /// The last pause; each in which nothing could go is twice as long as the one before.
    pause_ms: u64,
}

#[derive(Default)]
enum EvictionStep {
    #[default]
    Idle,
    /// All copies are looked at.
    Counting(SegmentCount),
    /// What lies in a segment is listed.
    Listing(SurplusSegment),
    Proving(OpenRemoval),
    Deleting(u64),
}

/// With less room than this surplus copies go.
fn low_bytes(disk: &DiskState) -> u64 {
    let segment = (disk.quota_bytes / SEGMENTS_OF_A_QUOTA).min(SEGMENT_BYTES_MAX);
    (disk.quota_bytes / 100 * ROOM_LOW_PERCENT).max(ROOM_LOW_SEGMENTS * segment)
}

/// Disks that work and have little room, and how much they lack.
fn short_disks(cx: &Context) -> impl Iterator<Item = (DiskId, u64)> {
    let works = |disk: &&DiskState| {
        matches!(disk.condition, DiskCondition::Good | DiskCondition::QuotaFull | DiskCondition::DiskFull)
    };
    let lack = |disk: &DiskState| low_bytes(disk).checked_sub(disk.room_bytes).filter(|lack| *lack > 0);
    cx.disks.iter().filter(works).filter_map(move |disk| Some((disk.id, lack(disk)?)))
}

impl Eviction {
    /// Disks filled up, or a block found no room.
    pub fn look(&mut self, parts: &mut EvictionParts<'_>) {
        let cx = &mut *parts.cx;
        if !matches!(self.step, EvictionStep::Idle) {
            return;
        }
        let lack: u64 = short_disks(cx).map(|(_, lack)| lack).sum();
        // Who is assigned nothing hands everything over and deletes nothing.
        let may_delete = cx.ready() && !cx.duplicate_identity && !holds_nothing(cx);
        if lack == 0 || !may_delete {
            return;
        }
        if cx.now.mono < self.next_at {
            return cx.timers.set(self.next_at, Timer::Evict);
        }
        debug_assert!(self.deleting.is_empty(), "what is deleted is waited for");
        self.wanted = lack;
        self.number += 1;
        self.step = EvictionStep::Counting(SegmentCount::new(short_disks(cx).map(|(disk, _)| disk).collect()));
        self.ask_copies(cx, None);
    }

    fn ask_copies(&self, cx: &mut Context, after: Option<(DiskId, BlockId)>) {
        let waiter = Waiter::Evict(EvictToken::Counted { number: self.number });
        cx.disk(DiskRequest::Copies { after, max: count::PAGE }, waiter);
    }

    /// The next copies; none: the disk cannot say yet.
    pub fn on_copies(&mut self, parts: &mut EvictionParts<'_>, number: u64, page: Option<&[PlacedCopy]>) {
        let EvictionStep::Counting(count) = &mut self.step else { return };
        if number != self.number {
            return;
        }
        let Some(page) = page else { return self.rest(parts.cx, EVICT_AGAIN_MS) };
        debug_assert!(page.len() <= count::PAGE, "no more than was asked for");
        for copy in page {
            count.add(copy, is_surplus(parts, copy));
        }
        if page.len() >= count::PAGE {
            let after = page.last().map(|last| (last.disk, last.copy.info.id));
            return self.ask_copies(parts.cx, after);
        }
        (self.candidates, self.interior, self.is_interior_due) = (count.surplus(), Vec::new(), false);
        parts.cx.evictable_bytes = self.candidates.iter().map(|segment| segment.bytes).sum();
        self.next(parts);
    }

    /// The next segment, while room is lacking.
    fn next(&mut self, parts: &mut EvictionParts<'_>) {
        let cx = &mut *parts.cx;
        if self.candidates.is_empty() && !self.is_interior_due {
            self.candidates = std::mem::take(&mut self.interior);
            self.is_interior_due = true;
        }
        let Some(segment) = self.candidates.pop().filter(|_| self.wanted > 0) else {
            if self.wanted > 0 {
                // Nothing more of what was found could go.
                cx.evictable_bytes = 0;
            }
            self.pause_ms = (2 * self.pause_ms).clamp(EVICT_AGAIN_MS, EVICT_AGAIN_MS_MAX);
            return self.rest(cx, self.pause_ms);
        };
        self.number += 1;
        let (disk, segment_number) = segment.place;
        self.step = EvictionStep::Listing(segment);
        let waiter = Waiter::Evict(EvictToken::Listed { number: self.number });
        cx.disk(DiskRequest::Segment { disk, segment: segment_number }, waiter);
    }

    fn rest(&mut self, cx: &mut Context, ms: u64) {
        self.step = EvictionStep::Idle;
        (self.candidates, self.interior) = (Vec::new(), Vec::new());
        self.next_at = cx.now.mono + ms;
        cx.timers.set(self.next_at, Timer::Evict);
    }

    /// What lies in the segment: all that are assigned one of these blocks are asked.
    pub fn on_listed(&mut self, parts: &mut EvictionParts<'_>, number: u64, copies: &[(PlacedCopy, bool)]) {
        if number != self.number {
            return;
        }
        let EvictionStep::Listing(segment) = std::mem::take(&mut self.step) else { return };
        let has_interior = copies.iter().any(|(_, is_interior)| *is_interior);
        if has_interior && !self.is_interior_due {
            self.interior.insert(0, segment);
            return self.next(parts);
        }
        let all_are_surplus = copies.iter().all(|(copy, _)| is_surplus(parts, copy).is_some());
        if copies.is_empty() || !all_are_surplus {
            return self.next(parts);
        }
        self.number += 1;
        match OpenRemoval::begin(parts.cx, self.number, copies) {
            Some(removal) => self.step = EvictionStep::Proving(removal),
            None => self.next(parts),
        }
    }

    /// A holder said which of them it has.
    pub fn on_proof(&mut self, parts: &mut EvictionParts<'_>, token: &EvictToken, reply: &ProveReply) {
        let EvictionStep::Proving(removal) = &mut self.step else { return };
        match removal.on_proof(parts.cx, token, reply) {
            RemovalStep::Waits => {}
            RemovalStep::Fails => self.next(parts),
            RemovalStep::Proven(disk, copies) => {
                debug_assert!(!copies.is_empty() && self.deleting.is_empty(), "one removal at a time");
                self.deleting = copies.iter().map(|(id, _)| *id).collect();
                self.step = EvictionStep::Deleting(removal.bytes);
                parts.cx.disk(DiskRequest::Delete { disk, copies }, Waiter::Evict(EvictToken::Deleted));
            }
        }
    }

    /// They are gone, or one of them was not what it was any more.
    pub fn on_deleted(&mut self, parts: &mut EvictionParts<'_>, is_deleted: bool) {
        let EvictionStep::Deleting(bytes) = std::mem::take(&mut self.step) else { return };
        self.deleting.clear();
        if is_deleted {
            self.wanted = self.wanted.saturating_sub(bytes);
            self.pause_ms = 0;
            parts.cx.evictable_bytes = parts.cx.evictable_bytes.saturating_sub(bytes);
        }
        self.next(parts);
    }

    /// Others are assigned blocks from now on: what was proven is so no more, and neither is what was counted. What is on its way to
    /// the disk is not called back: it was proven.
    pub fn on_map_changed(&mut self, cx: &mut Context) {
        cx.evictable_bytes = 0;
        self.pause_ms = 0;
        if !matches!(self.step, EvictionStep::Deleting(_)) {
            self.number += 1;
            self.rest(cx, EVICT_DELAY_MS);
        }
        (self.candidates, self.interior) = (Vec::new(), Vec::new());
    }

    /// Its connection ended, or it is silent: it may be another one when it is back.
    pub fn on_peer_lost(&mut self, parts: &mut EvictionParts<'_>, node: NodeId) {
        if matches!(&self.step, EvictionStep::Proving(removal) if removal.is_asked(node)) {
            self.next(parts);
        }
    }

    /// Time went on.
    pub fn on_due(&mut self, parts: &mut EvictionParts<'_>) {
        let now = parts.cx.now.mono;
        match &self.step {
            EvictionStep::Proving(removal) if now > removal.since + EVICT_PROOFS_MS_MAX => self.next(parts),
            EvictionStep::Idle => self.look(parts),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
