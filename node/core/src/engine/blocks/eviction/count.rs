//! Which segments hold surplus copies only.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::DiskId;
use fsdfs_proto::message::Redundancy;

use super::parts::EvictionParts;
use crate::limits::{EVICT_SEGMENTS_MAX, EVICTED_COPIES_MAX};
use crate::seam::{CopyState, PlacedCopy};

/// Copies in one step.
pub(super) const PAGE: usize = 256;

/// A segment in which nothing is assigned to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SurplusSegment {
    pub place: (DiskId, u64),
    /// The least place of this node in the orders of its blocks.
    rank: usize,
    pub bytes: u64,
}

/// Copies of the disks that have little room, by segment.
#[derive(Debug, Default)]
pub(super) struct SegmentCount {
    disks: BTreeSet<DiskId>,
    /// Bounded by [`EVICT_SEGMENTS_MAX`]; of those in which something must stay nothing is kept but that.
    segments: BTreeMap<(DiskId, u64), Option<SurplusSum>>,
}

#[derive(Clone, Copy, Debug)]
struct SurplusSum {
    copies: usize,
    rank: usize,
    bytes: u64,
}

impl SegmentCount {
    pub fn new(disks: BTreeSet<DiskId>) -> Self {
        Self { disks, segments: BTreeMap::new() }
    }

    /// One more copy; `rank`: this node's place in the order of its block, if it is surplus.
    pub fn add(&mut self, copy: &PlacedCopy, rank: Option<usize>) {
        debug_assert!(self.segments.len() <= EVICT_SEGMENTS_MAX, "what is remembered is bounded");
        let place = (copy.disk, copy.segment);
        if !self.disks.contains(&copy.disk)
            || self.segments.len() >= EVICT_SEGMENTS_MAX && !self.segments.contains_key(&place)
        {
            return;
        }
        let empty = SurplusSum { copies: 0, rank: usize::MAX, bytes: 0 };
        let sum = self.segments.entry(place).or_insert(Some(empty));
        *sum = sum.zip(rank).map(|(sum, rank)| SurplusSum {
            copies: sum.copies + 1,
            rank: sum.rank.min(rank),
            bytes: sum.bytes + u64::from(copy.copy.info.len),
        });
    }

    /// Those that may go; the last one first.
    pub fn surplus(&self) -> Vec<SurplusSegment> {
        let may_go = |sum: &SurplusSum| sum.copies <= EVICTED_COPIES_MAX;
        let segment = |(place, sum): (&(DiskId, u64), &Option<SurplusSum>)| {
            let SurplusSum { rank, bytes, .. } = sum.filter(may_go)?;
            Some(SurplusSegment { place: *place, rank, bytes })
        };
        let mut found: Vec<SurplusSegment> = self.segments.iter().filter_map(segment).collect();
        found.sort_by_key(|segment| (segment.rank, std::cmp::Reverse(segment.place)));
        found
    }
}

/// This node's place in the order of the block, if it is not assigned it, the copy is good and nobody has it in work.
pub(super) fn is_surplus(parts: &EvictionParts<'_>, copy: &PlacedCopy) -> Option<usize> {
    let EvictionParts { cx, puts, log } = parts;
    let info = &copy.copy.info;
    // A part of a stripe is no replica, whoever else has some.
    let [Redundancy::Replicas(copies)] = info.redundancies[..] else { return None };
    if copy.copy.state != CopyState::Held || puts.is_open(info.id) || log.is_under_replicated(info.id) {
        return None;
    }
    let order = cx.map.order(info.id, copies);
    let rank = order.iter().position(|holder| holder.node == cx.me)?;
    (rank >= usize::from(copies)).then_some(rank)
}
