//! Repair: completing what was put before friends joined, while holders were away, or elsewhere than it belongs.
//!
//! A scan goes through this node's records and asks the live assigned holders of each whether they have it. Of those that hold
//! a block, the highest-ranked assigned one sends it to the assigned ones that lack it, a node that is not assigned last of all.
//! Whoever is not first leaves it to the one before, which may not know that anything is missing (only this node's link to the
//! other may have broken); so it scans again a little later, and then it is the second's turn, and so on. Nothing is deleted.
//! A scan is cheap where nothing is missing: ids only. It renews no lease, and a copy that it makes is as old as the one that it
//! was made of: what nobody wants any more has to age.

mod record;
mod resent;
mod scan;
mod send;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fsdfs_proto::identity::{Card, card_flag};
use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::signed::Signed;

use self::record::RecordCopies;
use self::resent::ResentCopies;
use super::ReplicationLog;
use crate::engine::context::Context;
use crate::engine::event::PutReport;
use crate::engine::timers::Timer;
use crate::limits::{
    REPAIR_BATCH, REPAIR_BYTES_PER_S_MAX, REPAIR_DELAY_MS, REPAIR_HELD_MS_MAX, REPAIR_IN_FLIGHT, REPAIR_PERIOD_MS,
    REPAIR_RETRY_MS, REPAIR_TURN_MS,
};
use crate::seam::{DiskRequest, RepairToken, Waiter};

/// The scan, if one is under way, and what is due after it.
#[derive(Default)]
pub(in crate::engine) struct Repair {
    /// For the next scan; what comes up during one is added here.
    due: DueHolders,
    /// At most one at a time.
    scan: Option<RepairScan>,
    /// Blocks sent since the start.
    sent: u64,
    /// To whom, lately.
    resent: ResentCopies,
    /// Pause before an unfinished scan is repeated; doubles, up to [`REPAIR_PERIOD_MS`].
    retry_ms: u64,
    /// Since when it may send nothing.
    held_since: Option<u64>,
    /// How many better-placed holders have had their turn before this node's next scan.
    turn: usize,
    /// Members that took no new blocks, as their last cards say.
    read_only: BTreeSet<NodeId>,
}

/// Which peers' holdings are to be checked by the next scan.
#[derive(Default)]
enum DueHolders {
    #[default]
    /// Nothing happened since the last scan.
    Nobody,
    /// What these are assigned, and what this node keeps for others. Never empty.
    Some(BTreeSet<NodeId>),
    /// All records.
    Everybody,
}

impl DueHolders {
    fn add(&mut self, node: NodeId) {
        match self {
            Self::Everybody => {}
            Self::Some(peers) => {
                peers.insert(node);
            }
            Self::Nobody => *self = Self::Some(BTreeSet::from([node])),
        }
    }
}

/// One way through this node's records. `records` holds those of the current batch whose answers, reads or sends are open.
#[derive(Default)]
struct RepairScan {
    /// Only records these peers are assigned to, or that this node is not assigned to; none = all.
    peers: Option<BTreeSet<NodeId>>,
    /// The last id listed; the next batch begins behind it.
    after: Option<BlockId>,
    /// The store has no records behind `after`.
    at_end: bool,
    /// The next records are being read: nothing is complete before they are here.
    listing: bool,
    records: BTreeMap<BlockId, RecordCopies>,
    /// Questions not answered yet.
    asking: BTreeMap<NodeId, BTreeSet<BlockId>>,
    /// Blocks to be read and sent.
    sends: VecDeque<BlockId>,
    /// Reads of the own store under way.
    reading: usize,
    /// Blocks sent and not yet confirmed by all.
    sending: BTreeMap<BlockId, SentBlock>,
    /// No bytes before this time: the budget.
    pause_until: u64,
    /// Something could not be finished: the scan is repeated.
    unfinished: bool,
    /// Lack blocks that were left to better-placed holders.
    left_to_others: BTreeSet<NodeId>,
}

struct SentBlock {
    /// Those that have not answered. Never empty.
    to: BTreeSet<NodeId>,
    record: RecordCopies,
}

impl Repair {
    /// A start: everything is to be checked, and who takes nothing is known from the cards that the log kept.
    pub fn begin(&mut self, cx: &mut Context) {
        let cards = cx.facts.members().values().filter_map(|member| member.card.as_ref());
        let read_only = cards.map(Signed::value).filter(|card| card.flags & card_flag::READ_ONLY != 0);
        self.read_only = read_only.map(|card| card.node).collect();
        self.check_all(cx);
    }

    /// Everything is to be checked: another map, or time.
    pub fn check_all(&mut self, cx: &mut Context) {
        self.due = DueHolders::Everybody;
        self.soon(cx);
    }

    /// A peer came up, or takes blocks again: what it is assigned is to be checked.
    pub fn check_holder(&mut self, cx: &mut Context, node: NodeId) {
        self.due.add(node);
        self.soon(cx);
    }

    /// A peer that took nothing until now is checked, for it may lack what it was assigned meanwhile. Any other card changes
    /// nothing that is missing: a disk that fills up makes one every few per cent, and a scan in the middle of a put asks
    /// about blocks that are on their way, and sends them twice.
    pub fn on_card(&mut self, cx: &mut Context, card: &Card) {
        if card.flags & card_flag::READ_ONLY != 0 {
            self.read_only.insert(card.node);
        } else if self.read_only.remove(&card.node) {
            self.check_holder(cx, card.node);
        }
    }

    /// What failed before may succeed now.
    fn soon(&mut self, cx: &mut Context) {
        self.retry_ms = 0;
        cx.wake_in(REPAIR_DELAY_MS, Timer::Repair);
    }

    /// Assigned holders that are there did not take a block. Those that are away are checked when they come back.
    /// The pause does not grow by it: a thousand puts that a full disk refuses are no thousand scans that failed.
    pub fn on_put_ended(&mut self, cx: &mut Context, put: &PutReport) {
        if put.block.is_none() || !put.mine {
            return;
        }
        for (node, _) in &put.missed {
            if cx.responsive(*node) {
                self.due.add(*node);
                cx.wake_in(self.retry_ms.max(REPAIR_RETRY_MS), Timer::Repair);
            }
        }
    }

    /// Reads and sends as much as may be under way, lists on when all is done, ends at the end.
    fn go_on(&mut self, cx: &mut Context) {
        let now = cx.now.mono;
        let Some(scan) = &mut self.scan else { return };
        while scan.reading + scan.sending.len() < REPAIR_IN_FLIGHT && !scan.sends.is_empty() {
            if cx.repair_bytes_per_s == 0 {
                // It goes on with the next budget.
                return;
            }
            if now < scan.pause_until {
                return cx.timers.set(scan.pause_until, Timer::Repair);
            }
            let Some(id) = scan.sends.pop_front() else { break };
            scan.reading += 1;
            if let Some(record) = scan.records.get(&id) {
                let ms = u64::from(record.info.len) * record.lack.len() as u64 * 1000 / cx.repair_bytes_per_s;
                // Counted when it is read, not when it is sent: what is in flight has been paid for.
                scan.pause_until = scan.pause_until.max(now) + ms;
            }
            cx.disk(DiskRequest::Read { id }, Waiter::Repair(RepairToken::Read(id)));
        }
        let idle = scan.sends.is_empty() && scan.reading == 0 && scan.sending.is_empty();
        let asking = scan.asking.values().any(|ids| !ids.is_empty());
        if !idle || asking || scan.listing {
            return;
        }
        // Everything of this batch was decided, sent or left to others.
        scan.records.clear();
        if !scan.at_end {
            return self.list(cx);
        }
        self.end(cx);
    }

    /// What it may send in a second is another amount now. What was sent is paid for at the new pace.
    pub fn on_budget(&mut self, cx: &mut Context, bytes_per_s: u64) {
        let (now, after) = (cx.now.mono, bytes_per_s.min(REPAIR_BYTES_PER_S_MAX));
        let before = std::mem::replace(&mut cx.repair_bytes_per_s, after);
        let held_since = if after == 0 { Some(self.held_since.unwrap_or(now)) } else { None };
        let held_ms = std::mem::replace(&mut self.held_since, held_since).map_or(0, |since| now - since);
        let Some(scan) = self.scan.as_mut().filter(|_| after > 0) else { return };
        if before > 0 {
            let owed = scan.pause_until.saturating_sub(now).saturating_mul(before);
            scan.pause_until = now + owed / after;
        }
        if held_ms >= REPAIR_HELD_MS_MAX {
            for id in std::mem::take(&mut scan.sends) {
                scan.records.remove(&id);
                scan.unfinished = true;
            }
        }
        self.go_on(cx);
    }

    /// The next batch; only when the one before is done, so memory is bounded by a batch.
    fn list(&mut self, cx: &mut Context) {
        let Some(scan) = &mut self.scan else { return };
        debug_assert!(!scan.listing && scan.records.is_empty(), "one batch at a time");
        scan.listing = true;
        let list = DiskRequest::List { after: scan.after, max: REPAIR_BATCH };
        cx.disk(list, Waiter::Repair(RepairToken::List));
    }

    /// The scan is done; says when the next one is due.
    fn end(&mut self, cx: &mut Context) {
        let Some(scan) = self.scan.take() else { return };
        debug_assert!(scan.sending.is_empty() && scan.reading == 0, "what was begun has ended");
        // Turns go on from scan to scan until nothing is left to others any more.
        self.turn = if scan.left_to_others.is_empty() { 0 } else { self.turn + 1 };
        for node in scan.left_to_others {
            self.due.add(node);
            cx.wake_in(REPAIR_TURN_MS, Timer::Repair);
        }
        match &self.due {
            _ if scan.unfinished => {
                self.due = DueHolders::Everybody;
                self.again(cx);
            }
            DueHolders::Nobody => self.retry_ms = 0,
            DueHolders::Some(_) | DueHolders::Everybody if self.turn == 0 => {
                cx.wake_in(REPAIR_DELAY_MS, Timer::Repair);
            }
            DueHolders::Some(_) | DueHolders::Everybody => {}
        }
    }

    /// After a scan that failed: later and later, as long as it does not succeed.
    fn again(&mut self, cx: &mut Context) {
        self.retry_ms = (self.retry_ms * 2).clamp(REPAIR_RETRY_MS, REPAIR_PERIOD_MS);
        cx.wake_in(self.retry_ms, Timer::Repair);
    }

    /// A scan is under way or due: what lacks copies is not all known yet.
    pub fn is_running(&self) -> bool {
        self.scan.is_some() || !matches!(self.due, DueHolders::Nobody)
    }

    /// Blocks known to lack copies.
    pub fn pending(&self, log: &ReplicationLog) -> u64 {
        let sending = self.scan.as_ref().map_or(0, |scan| scan.sends.len() + scan.reading + scan.sending.len());
        log.pending().max(sending as u64)
    }

    /// Blocks sent since the start.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

#[cfg(test)]
mod tests;
