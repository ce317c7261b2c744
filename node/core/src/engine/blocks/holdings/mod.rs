//! What lies on this node's disks: by the member that it is charged to, and by the members that are assigned it, too.
//!
//! Promise: once all records were counted, the sums are those of the disks, to the byte, whatever is written since. They are
//! counted page by page, and what changes meanwhile is told by the store. (A block on two disks of this node counts twice until the
//! next count, which sees it once.) What placement says counts as long as the map does: with another map all is counted again.

mod pace;
mod pair_table;
mod record;
mod tables;

use std::collections::BTreeMap;

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::record::RecordInfo;

use crate::engine::context::Context;
use crate::seam::{CopyChange, CopyState, DiskCopy};

use self::pace::HandOverPace;
pub(in crate::engine) use self::pair_table::{ROOT, before, child_of, last_of};
pub(in crate::engine) use self::record::HeldRecord;
use self::record::PairKeys;
pub(in crate::engine) use self::tables::{PairTables, holds_nothing};

/// Of more writes than this between two pages, 2 MB of memory, nothing comes of the count; what was counted before goes on being kept.
const TOUCHED_MAX: usize = 16_384;

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct Holdings {
    charged: Charges,
    /// All records were counted since the start.
    is_counted: bool,
    /// Complete, and of the map that counts now.
    tables: Option<PairTables>,
    /// The count under way.
    count: Option<RecordCount>,
    keys: PairKeys,
    /// Of a node that is to hold nothing and has more than can be remembered: up to here all of it is known to be elsewhere.
    handed_to: Option<BlockId>,
    /// Something is here of which the tables do not know enough.
    is_in_doubt: bool,
    pace: HandOverPace,
}

/// Bytes of blocks, by member.
#[derive(Default)]
struct Charges(BTreeMap<NodeId, u64>);

/// A count of all records.
struct RecordCount {
    charged: Charges,
    tables: PairTables,
    /// All records up to this one are counted.
    counted_to: Option<BlockId>,
    /// What became, since the last page came, of blocks behind it: the next one may have been read before or after. At most
    /// [`TOUCHED_MAX`].
    touched: BTreeMap<BlockId, Option<HeldRecord>>,
}

impl Charges {
    fn change(&mut self, record: &HeldRecord, comes: bool) {
        let len = u64::from(record.len);
        let bytes = self.0.entry(record.member).or_default();
        *bytes = if comes { *bytes + len } else { bytes.saturating_sub(len) };
        if *bytes == 0 {
            self.0.remove(&record.member);
        }
    }
}

impl RecordCount {
    fn change(&mut self, cx: &Context, record: &HeldRecord, comes: bool) {
        self.charged.change(record, comes);
        self.tables.change(cx, record, comes);
    }
}

impl Holdings {
    /// All records are about to be listed, from the first one on.
    pub fn begin_count(&mut self, cx: &Context) {
        let tables = PairTables::new(cx, &mut self.keys, self.handed_to);
        let (charged, counted_to, touched) = (Charges::default(), None, BTreeMap::new());
        self.count = Some(RecordCount { charged, tables, counted_to, touched });
    }

    /// Blocks are assigned to others from now on: only the bytes are right still.
    pub fn on_map_changed(&mut self) {
        (self.tables, self.count, self.handed_to) = (None, None, None);
        (self.is_in_doubt, self.pace) = (false, HandOverPace::default());
    }

    /// The next page of records, in id order; behind the last page there is none.
    pub fn on_page(&mut self, cx: &Context, page: &[RecordInfo], is_last: bool) {
        let Some(count) = &mut self.count else { return };
        debug_assert!(page.is_sorted_by_key(|info| info.id), "records come in id order");
        let end = page.last().map(|info| info.id).filter(|_| !is_last);
        let touched = std::mem::take(&mut count.touched);
        for info in page.iter().filter(|info| !touched.contains_key(&info.id)) {
            count.change(cx, &HeldRecord::of(info), true);
        }
        let counted = touched.into_iter().filter(|(id, _)| end.is_none_or(|end| *id <= end));
        for record in counted.filter_map(|(_, record)| record) {
            count.change(cx, &record, true);
        }
        count.counted_to = end.or(count.counted_to);
        if is_last && let Some(count) = self.count.take() {
            (self.charged, self.tables, self.is_counted) = (count.charged, Some(count.tables), true);
        }
    }

    /// A copy came, went or was amended. With whom there is something else to compare now.
    pub fn on_changed(&mut self, cx: &Context, change: &CopyChange) -> Vec<NodeId> {
        let Some(id) = change.id() else { return Vec::new() };
        let [before, after] = [&change.before, &change.after].map(|copy| held(copy.as_ref()));
        debug_assert!([before, after].iter().flatten().all(|record| record.id == id), "a change is of one block");
        if before == after {
            return Vec::new();
        }
        let mut touched = Vec::new();
        for (record, comes) in [(before, false), (after, true)] {
            let Some(record) = record else { continue };
            self.charged.change(&record, comes);
            if let Some(tables) = &mut self.tables {
                touched.extend(tables.change(cx, &record, comes));
            }
        }
        self.doubt(id, before, after);
        let Some(count) = &mut self.count else { return touched };
        if count.counted_to.is_some_and(|to| id <= to) {
            before.into_iter().for_each(|record| count.change(cx, &record, false));
            after.into_iter().for_each(|record| count.change(cx, &record, true));
        } else if count.touched.len() < TOUCHED_MAX {
            count.touched.insert(id, after);
        } else {
            self.count = None;
        }
        touched
    }

    /// A copy that is here is compared from now on, or no more. With whom there is something else to compare now.
    pub fn on_need_changed(&mut self, cx: &Context, info: &RecordInfo, is_compared: bool) -> Vec<NodeId> {
        let record = HeldRecord::of(info);
        if let Some(count) = self.count.as_mut().filter(|count| count.counted_to.is_some_and(|to| info.id <= to)) {
            count.tables.change_shared(cx, &record, is_compared);
        }
        self.tables.as_mut().map(|tables| tables.change_shared(cx, &record, is_compared)).unwrap_or_default()
    }

    /// A node that is to hold nothing says what is left of it, and that has to be true.
    fn doubt(&mut self, id: BlockId, before: Option<HeldRecord>, after: Option<HeldRecord>) {
        let Some(tables) = self.tables.as_mut().filter(|tables| tables.hears_all) else { return };
        let is_new = after.is_some() && tables.is_handed_over(id);
        // Another disk may have it, too.
        let is_gone = before.is_some() && after.is_none();
        if let Some(record) = before.or(after).filter(|_| is_new || is_gone) {
            tables.doubt(record.len);
            (self.handed_to, self.is_in_doubt) = (None, true);
            // What is being counted was begun before.
            self.count = None;
        }
    }

    /// Whether all is to be counted again, because more is here than the tables can say. Asked once.
    pub fn take_doubt(&mut self) -> bool {
        let next =
            self.tables.as_ref().and_then(PairTables::next_handed_to).filter(|next| self.handed_to < Some(*next));
        if let Some(tables) = self.tables.as_mut().filter(|_| next.is_some() && self.count.is_none()) {
            // What comes meanwhile has to be noticed.
            tables.handed_to = next;
            (self.handed_to, self.is_in_doubt) = (next, true);
        }
        std::mem::take(&mut self.is_in_doubt)
    }

    /// Takes down how much is left to be handed over now.
    pub fn note_pace(&mut self, now: u64) {
        if let Some(tables) = self.tables.as_ref().filter(|tables| tables.hears_all) {
            self.pace.note(now, tables.left().bytes);
        }
    }

    /// Bytes that became known to be elsewhere in a second, lately.
    pub fn handed_over_per_s(&self, now: u64) -> Option<u64> {
        self.pace.per_s(now, self.tables.as_ref()?.left().bytes)
    }

    /// What placement says of all that is here; none while it is being counted.
    pub fn tables(&self) -> Option<&PairTables> {
        self.tables.as_ref()
    }

    /// Whoever is assigned it says that it has this block, which is not assigned to this node: see [`PairTables::settle`].
    pub fn settle(&mut self, id: BlockId, by: NodeId, covers: impl FnOnce(&[NodeId]) -> bool) -> bool {
        self.tables.as_mut().is_none_or(|tables| tables.settle(id, by, covers))
    }

    /// Others reach other members than before: see [`PairTables::cover_again`].
    pub fn cover_again(&mut self, covers: impl Fn(BlockId, u8, &[NodeId]) -> bool) {
        if let Some(tables) = &mut self.tables {
            tables.cover_again(covers);
        }
    }

    /// Whoever said so may have it no more. Whether that changes anything.
    pub fn unsettle(&mut self, is_missing: impl Fn(NodeId) -> bool) -> bool {
        let Some(tables) = &mut self.tables else { return false };
        if tables.handed_to.is_some() && tables.nodes().any(&is_missing) {
            tables.doubt(0);
            (self.handed_to, self.is_in_doubt, self.count) = (None, true, None);
        }
        tables.unsettle(is_missing)
    }

    /// Whether some of what is here is assigned to others only, and not known to be there.
    pub fn has_elsewhere(&self) -> bool {
        self.tables.as_ref().is_some_and(PairTables::has_elsewhere)
    }

    /// Who put how many bytes of what is on this node. Before the first count: of what came since the start.
    pub fn charged(&self) -> &BTreeMap<NodeId, u64> {
        &self.charged.0
    }

    /// The same for owners, who hear nothing before all is counted.
    pub fn counted(&self) -> Vec<(NodeId, u64)> {
        let charged = self.charged.0.iter().filter(|_| self.is_counted);
        charged.map(|(node, bytes)| (*node, *bytes)).collect()
    }
}

/// Of what lists name, too.
fn held(copy: Option<&DiskCopy>) -> Option<HeldRecord> {
    copy.filter(|copy| copy.state != CopyState::Damaged).map(|copy| HeldRecord::of(&copy.info))
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::ids::{DiskId, Signature};
    use fsdfs_proto::message::Redundancy;
    use fsdfs_proto::receipt::BlockReceipt;

    use super::*;
    use crate::engine::test_kit::context;
    use crate::facts::tests::pool::remove;
    use crate::limits::ELSEWHERE_MAX;

    const MEMBER: NodeId = NodeId([7; 32]);

    fn info(id: u8, len: u32) -> RecordInfo {
        let receipt = BlockReceipt { member: MEMBER, signature: Signature([0; 64]) };
        let redundancies = vec![Redundancy::Replicas(2)];
        RecordInfo { id: BlockId([id; 32]), len, redundancies, first_seen: 0, renewed: 0, receipt }
    }

    fn copy(id: u8, len: u32, state: CopyState) -> Option<DiskCopy> {
        Some(DiskCopy { info: info(id, len), state })
    }

    fn change((cx, holdings): (&Context, &mut Holdings), before: Option<DiskCopy>, after: Option<DiskCopy>) {
        holdings.on_changed(cx, &CopyChange { disk: DiskId([1; 16]), before, after });
    }

    fn bytes(holdings: &Holdings) -> u64 {
        holdings.charged().get(&MEMBER).copied().unwrap_or_default()
    }

    #[test]
    fn what_comes_goes_or_rots_is_counted_at_once() {
        let cx = context(0, 3);
        let mut holdings = Holdings::default();
        change((&cx, &mut holdings), None, copy(1, 10, CopyState::Held));
        change((&cx, &mut holdings), None, copy(2, 5, CopyState::Held));
        assert_eq!(bytes(&holdings), 15);
        assert!(holdings.counted().is_empty(), "what was there before is not known yet");
        change((&cx, &mut holdings), copy(1, 10, CopyState::Held), copy(1, 10, CopyState::Damaged));
        assert_eq!(bytes(&holdings), 5);
        change((&cx, &mut holdings), copy(1, 10, CopyState::Damaged), copy(1, 10, CopyState::Held));
        change((&cx, &mut holdings), copy(2, 5, CopyState::Held), copy(2, 5, CopyState::Condemned { since: 1 }));
        assert_eq!(bytes(&holdings), 15, "it is there until it is deleted");
        change((&cx, &mut holdings), copy(2, 5, CopyState::Condemned { since: 1 }), None);
        assert_eq!(bytes(&holdings), 10);
        change((&cx, &mut holdings), copy(1, 10, CopyState::Held), None);
        assert!(holdings.charged().is_empty());
    }

    #[test]
    fn a_count_that_is_written_into_comes_out_right() {
        let cx = context(0, 3);
        let held = |id, len| copy(id, len, CopyState::Held);
        // A block of 3 bytes comes at each place, before and after the page that it belongs to is read.
        for place in [1, 3, 5, 7, 9] {
            for moment in 0..4 {
                let mut holdings = Holdings::default();
                let (mut disk, mut pages) = (vec![(2, 100), (4, 100), (6, 100), (8, 100)], 0);
                let come = |holdings: &mut Holdings, disk: &mut Vec<(u8, u32)>, now: u8| {
                    if now == moment {
                        change((&cx, holdings), None, held(place, 3));
                        disk.push((place, 3));
                        disk.sort_unstable();
                    }
                };
                holdings.begin_count(&cx);
                let mut after = 0;
                loop {
                    come(&mut holdings, &mut disk, pages * 2);
                    let page: Vec<(u8, u32)> = disk.iter().copied().filter(|(id, _)| *id > after).take(2).collect();
                    // Between the reading of a page and its arrival.
                    come(&mut holdings, &mut disk, pages * 2 + 1);
                    let infos: Vec<RecordInfo> = page.iter().map(|(id, len)| info(*id, *len)).collect();
                    holdings.on_page(&cx, &infos, page.len() < 2);
                    pages += 1;
                    match page.last() {
                        Some((id, _)) if page.len() == 2 => after = *id,
                        _ => break,
                    }
                }
                assert_eq!(bytes(&holdings), 403, "at {place}, moment {moment}");
            }
        }
    }

    #[test]
    fn a_count_that_is_flooded_ends_and_the_sums_go_on() {
        let cx = context(0, 3);
        let mut holdings = Holdings::default();
        holdings.begin_count(&cx);
        let id = |number: u64| BlockId([&number.to_be_bytes()[..], &[0; 24]].concat().try_into().expect("32"));
        for number in 0..=TOUCHED_MAX as u64 {
            let info = RecordInfo { id: id(number), ..info(0, 1) };
            change((&cx, &mut holdings), None, Some(DiskCopy { info, state: CopyState::Held }));
        }
        holdings.on_page(&cx, &[], true);
        assert_eq!(bytes(&holdings), TOUCHED_MAX as u64 + 1);
    }

    #[test]
    fn what_went_before_its_page_came_is_not_counted() {
        let cx = context(0, 3);
        let mut holdings = Holdings::default();
        holdings.begin_count(&cx);
        change((&cx, &mut holdings), copy(1, 10, CopyState::Held), None);
        holdings.on_page(&cx, &[info(1, 10), info(2, 5)], true);
        assert_eq!(holdings.counted(), [(MEMBER, 5)]);
    }

    /// A node that is to hold nothing and has more than it can remember.
    #[test]
    fn what_is_handed_over_is_counted_in_parts_and_something_new_has_all_counted_again() {
        let mut cx = context(0, 3);
        cx.facts.insert(remove(0, 0).into());
        cx.facts.drain_new();
        assert!(cx.refresh_map());
        let others: Vec<NodeId> = cx.map.servers().iter().map(|server| server.id).collect();
        let id = |number: u64| BlockId([&number.to_be_bytes()[..], &[0; 24]].concat().try_into().expect("32"));
        let more = 10;
        let all = ELSEWHERE_MAX as u64 + more;
        let infos: Vec<RecordInfo> = (0..all).map(|number| RecordInfo { id: id(number), ..info(0, 1) }).collect();
        let mut holdings = Holdings::default();
        let count = |holdings: &mut Holdings| {
            holdings.begin_count(&cx);
            holdings.on_page(&cx, &infos, true);
        };
        let settle = |holdings: &mut Holdings, by: &[NodeId]| {
            infos.iter().for_each(|info| {
                for node in by {
                    holdings.settle(info.id, *node, |_| false);
                }
            });
        };
        let left = |holdings: &Holdings| holdings.tables().expect("counted").left().blocks;
        count(&mut holdings);
        assert_eq!(left(&holdings), all);
        settle(&mut holdings, &others[..1]);
        assert_eq!(left(&holdings), all, "one of two has said so");
        assert!(!holdings.take_doubt());
        settle(&mut holdings, &others);
        assert_eq!(left(&holdings), more);
        assert!(holdings.take_doubt(), "the rest is to be found");
        count(&mut holdings);
        assert_eq!(left(&holdings), more);
        settle(&mut holdings, &others);
        assert_eq!(left(&holdings), 0);
        assert!(!holdings.take_doubt());
        // It lies before what was handed over.
        let new = RecordInfo { id: BlockId([0; 32]), ..info(0, 7) };
        change((&cx, &mut holdings), None, Some(DiskCopy { info: new, state: CopyState::Held }));
        assert!(left(&holdings) > 0 && holdings.take_doubt());
        count(&mut holdings);
        settle(&mut holdings, &others);
        assert!(holdings.take_doubt());
        count(&mut holdings);
        settle(&mut holdings, &others);
        assert_eq!(left(&holdings), 0);
        holdings.unsettle(|node| node == others[0]);
        assert!(left(&holdings) > 0 && holdings.take_doubt(), "one of those who said so is away");
    }
}
