//! What lies on this node's disks, by the member that it is charged to.
//!
//! Promise: once all records were counted, the sums are those of the disks, to the byte, whatever is written since. Repair lists the
//! records for its own purpose; each scan counts anew, page by page, and what changes meanwhile is told by the store. (A block on
//! two disks of this node counts twice until the next count, which sees it once.)

use std::collections::BTreeMap;

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::record::RecordInfo;

use crate::seam::{CopyChange, CopyState, DiskCopy};

/// Of more writes than this between two pages, 2 MB of memory, nothing comes of the count; what was counted before goes on being kept.
const TOUCHED_MAX: usize = 16_384;

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct Holdings {
    charged: Charges,
    /// All records were counted since the start.
    is_counted: bool,
    /// The count under way.
    count: Option<RecordCount>,
}

/// Bytes of blocks, by member.
#[derive(Default)]
struct Charges(BTreeMap<NodeId, u64>);

/// A count of all records.
#[derive(Default)]
struct RecordCount {
    charged: Charges,
    /// All records up to this one are counted.
    counted_to: Option<BlockId>,
    /// What became, since the last page came, of blocks behind it: the next one may have been read before or after. At most
    /// [`TOUCHED_MAX`].
    touched: BTreeMap<BlockId, Option<(NodeId, u64)>>,
}

impl Charges {
    fn add(&mut self, charge: Option<(NodeId, u64)>) {
        if let Some((member, len)) = charge {
            *self.0.entry(member).or_default() += len;
        }
    }

    fn take(&mut self, charge: Option<(NodeId, u64)>) {
        let Some((member, len)) = charge else { return };
        match self.0.get_mut(&member) {
            Some(bytes) if *bytes > len => *bytes -= len,
            _ => drop(self.0.remove(&member)),
        }
    }
}

impl Holdings {
    /// All records are about to be listed, from the first one on.
    pub fn begin_count(&mut self) {
        self.count = Some(RecordCount::default());
    }

    /// The next page of records, in id order; behind the last page there is none.
    pub fn on_page(&mut self, page: &[RecordInfo], is_last: bool) {
        let Some(count) = &mut self.count else { return };
        let end = page.last().map(|info| info.id).filter(|_| !is_last);
        for info in page.iter().filter(|info| !count.touched.contains_key(&info.id)) {
            count.charged.add(Some(charge(info)));
        }
        let touched = std::mem::take(&mut count.touched);
        let counted = touched.into_iter().filter(|(id, _)| end.is_none_or(|end| *id <= end));
        counted.for_each(|(_, charge)| count.charged.add(charge));
        count.counted_to = end.or(count.counted_to);
        if is_last && let Some(count) = self.count.take() {
            (self.charged, self.is_counted) = (count.charged, true);
        }
    }

    /// A copy came, went or was amended.
    pub fn on_changed(&mut self, change: &CopyChange) {
        let Some(id) = change.id() else { return };
        let [before, after] = [&change.before, &change.after].map(|copy| held(copy.as_ref()));
        self.charged.take(before);
        self.charged.add(after);
        let Some(count) = &mut self.count else { return };
        if count.counted_to.is_some_and(|to| id <= to) {
            count.charged.take(before);
            count.charged.add(after);
        } else if count.touched.len() < TOUCHED_MAX {
            count.touched.insert(id, after);
        } else {
            self.count = None;
        }
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
fn held(copy: Option<&DiskCopy>) -> Option<(NodeId, u64)> {
    copy.filter(|copy| copy.state == CopyState::Held).map(|copy| charge(&copy.info))
}

fn charge(info: &RecordInfo) -> (NodeId, u64) {
    (info.receipt.member, info.len.into())
}

#[cfg(test)]
mod tests {
    use fsdfs_proto::ids::{DiskId, Signature};
    use fsdfs_proto::message::Redundancy;
    use fsdfs_proto::receipt::BlockReceipt;

    use super::*;

    const MEMBER: NodeId = NodeId([7; 32]);

    fn info(id: u8, len: u32) -> RecordInfo {
        let receipt = BlockReceipt { member: MEMBER, signature: Signature([0; 64]) };
        let redundancies = vec![Redundancy::Replicas(2)];
        RecordInfo { id: BlockId([id; 32]), len, redundancies, first_seen: 0, renewed: 0, receipt }
    }

    fn copy(id: u8, len: u32, state: CopyState) -> Option<DiskCopy> {
        Some(DiskCopy { info: info(id, len), state })
    }

    fn change(holdings: &mut Holdings, before: Option<DiskCopy>, after: Option<DiskCopy>) {
        holdings.on_changed(&CopyChange { disk: DiskId([1; 16]), before, after });
    }

    fn bytes(holdings: &Holdings) -> u64 {
        holdings.charged().get(&MEMBER).copied().unwrap_or_default()
    }

    #[test]
    fn what_comes_goes_or_rots_is_counted_at_once() {
        let mut holdings = Holdings::default();
        change(&mut holdings, None, copy(1, 10, CopyState::Held));
        change(&mut holdings, None, copy(2, 5, CopyState::Held));
        assert_eq!(bytes(&holdings), 15);
        assert!(holdings.counted().is_empty(), "what was there before is not known yet");
        change(&mut holdings, copy(1, 10, CopyState::Held), copy(1, 10, CopyState::Damaged));
        assert_eq!(bytes(&holdings), 5);
        change(&mut holdings, copy(1, 10, CopyState::Damaged), copy(1, 10, CopyState::Held));
        change(&mut holdings, copy(2, 5, CopyState::Held), copy(2, 5, CopyState::Condemned));
        assert_eq!(bytes(&holdings), 10);
        change(&mut holdings, copy(1, 10, CopyState::Held), None);
        assert!(holdings.charged().is_empty());
    }

    #[test]
    fn a_count_that_is_written_into_comes_out_right() {
        let held = |id, len| copy(id, len, CopyState::Held);
        // A block of 3 bytes comes at each place, before and after the page that it belongs to is read.
        for place in [1, 3, 5, 7, 9] {
            for moment in 0..4 {
                let mut holdings = Holdings::default();
                let (mut disk, mut pages) = (vec![(2, 100), (4, 100), (6, 100), (8, 100)], 0);
                let come = |holdings: &mut Holdings, disk: &mut Vec<(u8, u32)>, now: u8| {
                    if now == moment {
                        change(holdings, None, held(place, 3));
                        disk.push((place, 3));
                        disk.sort_unstable();
                    }
                };
                holdings.begin_count();
                let mut after = 0;
                loop {
                    come(&mut holdings, &mut disk, pages * 2);
                    let page: Vec<(u8, u32)> = disk.iter().copied().filter(|(id, _)| *id > after).take(2).collect();
                    // Between the reading of a page and its arrival.
                    come(&mut holdings, &mut disk, pages * 2 + 1);
                    let infos: Vec<RecordInfo> = page.iter().map(|(id, len)| info(*id, *len)).collect();
                    holdings.on_page(&infos, page.len() < 2);
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
        let mut holdings = Holdings::default();
        holdings.begin_count();
        let id = |number: u64| BlockId([&number.to_be_bytes()[..], &[0; 24]].concat().try_into().expect("32"));
        for number in 0..=TOUCHED_MAX as u64 {
            let info = RecordInfo { id: id(number), ..info(0, 1) };
            change(&mut holdings, None, Some(DiskCopy { info, state: CopyState::Held }));
        }
        holdings.on_page(&[], true);
        assert_eq!(bytes(&holdings), TOUCHED_MAX as u64 + 1);
    }

    #[test]
    fn what_went_before_its_page_came_is_not_counted() {
        let mut holdings = Holdings::default();
        holdings.begin_count();
        change(&mut holdings, copy(1, 10, CopyState::Held), None);
        holdings.on_page(&[info(1, 10), info(2, 5)], true);
        assert_eq!(holdings.counted(), [(MEMBER, 5)]);
    }
}
