//! Passes through this node's own records: all is counted, and what others are to keep is offered to them.

use std::collections::BTreeSet;

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::record::RecordInfo;

use super::compare::Comparisons;
use super::offers::Offers;
use super::parts::RepairParts;
use crate::engine::blocks::holdings::HeldRecord;
use crate::engine::context::Context;
use crate::limits::{COUNT_PERIOD_MS, PASS_RECORDS};
use crate::placement::BlockHolder;
use crate::seam::{DiskRequest, RepairToken, Waiter};

/// See the module. Times are monotonic milliseconds.
#[derive(Default)]
pub(super) struct RecordPasses {
    /// When a count is due. A pass that begins does all that is due.
    count_at: Option<u64>,
    /// When it is to be looked what others are to keep.
    place_at: Option<u64>,
    /// At most one at a time.
    open: Option<RecordPass>,
    /// Begun since the start: a list that an earlier one asked for counts for nothing.
    begun: u64,
}

/// One way through the records.
struct RecordPass {
    counts: bool,
    places: bool,
    /// The last id listed; the next page begins behind it.
    after: Option<BlockId>,
    /// A page came, and the next one was not asked for yet.
    waits: bool,
}

impl RecordPasses {
    /// All is to be counted in so many milliseconds, or earlier if that was asked before.
    pub fn count_in(&mut self, cx: &Context, ms: u64) {
        self.count_at = self.count_at.into_iter().chain([cx.now.mono + ms]).min();
    }

    /// The same of what others are to keep.
    pub fn place_in(&mut self, cx: &Context, ms: u64) {
        self.place_at = self.place_at.into_iter().chain([cx.now.mono + ms]).min();
    }

    /// The one under way comes to nothing.
    pub fn forget(&mut self) {
        self.open = None;
    }

    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<u64> {
        self.count_at.into_iter().chain(self.place_at).min()
    }

    /// Begins what is due.
    pub fn on_due(&mut self, parts: &mut RepairParts<'_>) {
        let now = parts.cx.now.mono;
        if self.open.is_some() || self.next_due().is_none_or(|at| at > now) {
            return;
        }
        let is_due = |at: &mut Option<u64>| at.take_if(|at| *at <= now).is_some();
        let (counts, places) = (is_due(&mut self.count_at), is_due(&mut self.place_at));
        debug_assert!(counts || places, "a pass is for something");
        if counts {
            self.count_in(parts.cx, COUNT_PERIOD_MS);
            parts.holdings.begin_count(parts.cx);
        }
        self.begun += 1;
        self.open = Some(RecordPass { counts, places, after: None, waits: true });
        self.go_on(parts.cx);
    }

    /// Asks for the next page, if that was not done.
    pub fn go_on(&mut self, cx: &mut Context) {
        let Some(pass) = self.open.as_mut().filter(|pass| pass.waits) else { return };
        pass.waits = false;
        let list = DiskRequest::List { after: pass.after, max: PASS_RECORDS };
        cx.disk(list, Waiter::Repair(RepairToken::List { pass: self.begun }));
    }

    /// A page came. Whether all is counted now.
    pub fn on_listed(
        &mut self,
        parts: &mut RepairParts<'_>,
        (comparing, offers): (&Comparisons, &mut Offers),
        number: u64,
        infos: &[RecordInfo],
    ) -> bool {
        let Some(pass) = self.open.as_mut().filter(|_| number == self.begun) else { return false };
        debug_assert!(!pass.waits, "a page comes when it was asked for");
        let is_last = infos.len() < PASS_RECORDS;
        pass.after = infos.last().map(|info| info.id).or(pass.after);
        pass.waits = true;
        let (counts, places) = (pass.counts, pass.places);
        if counts {
            parts.holdings.on_page(parts.cx, infos, is_last);
        }
        if places {
            infos.iter().for_each(|info| place(parts, comparing, offers, info));
        }
        if is_last {
            self.open = None;
        }
        counts && is_last
    }
}

/// Finds who is to keep a copy of a record besides, or instead of, those that hold it. Each holder leaves it to the one before it in
/// order, if that one is known to have the block.
fn place(parts: &mut RepairParts<'_>, comparing: &Comparisons, offers: &mut Offers, info: &RecordInfo) {
    let RepairParts { cx, holdings, log, presence, liveness, .. } = parts;
    let Some(redundancy) = HeldRecord::of(info).redundancy else { return };
    let Some(tables) = holdings.tables() else { return };
    let copies = redundancy.copies();
    let holders: Vec<NodeId> = cx.map.holders(info.id, copies).iter().map(|holder| holder.node).collect();
    let is_there = |node: &NodeId| cx.responsive(*node) && cx.peers.is_believed(*node);
    let Some(place) = holders.iter().position(|node| *node == cx.me) else {
        // Whoever has no room may have it already, but is asked last.
        let mut there: Vec<NodeId> = holders.into_iter().filter(is_there).collect();
        there.sort_by_key(|node| !cx.has_room(*node));
        for holder in tables.to_offer(info.id, there.into_iter()) {
            offers.offer(holder, info.clone());
        }
        return;
    };
    let site = |node: &NodeId| cx.map.server(*node).map(|server| &server.site[..]);
    let is_left = |node: &&NodeId| liveness.is_present(cx, **node) && cx.peers.is_believed(**node);
    let sites_left = holders.iter().filter(is_left).map(site).collect::<BTreeSet<_>>().len();
    let is_missing = |node: &&NodeId| {
        **node != cx.me && (!cx.peers.is_believed(**node) || presence.is_overdue(cx, liveness, **node, sites_left))
    };
    let missing = holders.iter().filter(is_missing).count();
    let is_first = !holders[..place].iter().any(|node| is_there(node) && comparing.is_equal(tables, *node));
    if missing == 0 || !is_first || cx.unneeded.is_apart(info.id) {
        return;
    }
    let can_keep = |holder: &&BlockHolder| cx.is_holder(holder.node) && cx.responsive(holder.node);
    let order = cx.map.order(info.id, copies);
    let fallbacks: Vec<NodeId> =
        order.iter().skip(holders.len()).filter(can_keep).take(missing).map(|holder| holder.node).collect();
    log.note_lacking(info.id, missing);
    for fallback in fallbacks {
        offers.offer(fallback, info.clone());
    }
}
