//! What a scan found missing is read, sent and confirmed.

use std::collections::BTreeSet;

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{AttachedBlock, Message, StoreOutcome, StoreRequest};

use super::{Repair, SentBlock};
use crate::engine::blocks::accept::receipt_of;
use crate::engine::blocks::{Gets, ReplicationLog};
use crate::engine::context::Context;
use crate::seam::{Lease, ReadDone, RepairToken, TrafficClass, Waiter};

impl Repair {
    /// A peer is gone or silent: its open questions and sends are given up, to be repeated later.
    pub fn on_peer_lost(&mut self, cx: &mut Context, log: &mut ReplicationLog, node: NodeId) {
        let Some(scan) = &mut self.scan else { return };
        let open: Vec<BlockId> = scan.asking.remove(&node).into_iter().flatten().collect();
        for id in &open {
            if let Some(record) = scan.records.get_mut(id) {
                record.open -= 1;
            }
        }
        let lost = scan.sending.values_mut().filter_map(|sent| sent.to.take(&node)).count();
        // What others have to confirm yet stays.
        scan.sending.retain(|_, sent| !sent.to.is_empty());
        scan.unfinished |= !open.is_empty() || lost > 0;
        self.decide(cx, log, &open);
    }

    /// A block was read: it goes to those that were chosen and are still there.
    pub fn on_read(
        &mut self,
        cx: &mut Context,
        gets: &mut Gets,
        log: &mut ReplicationLog,
        id: BlockId,
        done: ReadDone,
    ) {
        let Some(scan) = &mut self.scan else { return };
        scan.reading = scan.reading.saturating_sub(1);
        let record = scan.records.remove(&id);
        // A record that is gone by now needs no copies; one that cannot be read may be readable later.
        scan.unfinished |= !matches!(done, ReadDone::Found(_) | ReadDone::No);
        if done == ReadDone::Damaged {
            gets.read_repair(cx, log, id);
        }
        let (Some(record), ReadDone::Found(block)) = (record, done) else {
            return self.go_on(cx);
        };
        debug_assert_eq!(block.id(), id, "the store reads what was asked");
        let Some(redundancy) = record.redundancy() else { return };
        let (map, receipt) = (cx.map_digest, receipt_of(cx, &record.info));
        let now = cx.now.wall;
        let (age_ms, lease_ms) =
            (now.saturating_sub(record.info.first_seen), Lease::Old(record.info.renewed).age_ms(now));
        let (to, away): (BTreeSet<NodeId>, BTreeSet<NodeId>) =
            record.lack.iter().partition(|node| cx.responsive(**node));
        // They come back, or the map changes.
        scan.unfinished |= !away.is_empty();
        debug_assert!(record.have.is_disjoint(&to), "nobody is sent what it has");
        if !to.is_empty() {
            scan.sending.insert(id, SentBlock { to: to.clone(), record });
        }
        for to in to {
            let block_info = AttachedBlock::from(&block);
            let store = |request| {
                let (block, more) = (block_info, false);
                Message::Store(StoreRequest { request, map, redundancy, age_ms, lease_ms, receipt, more, block })
            };
            let block = (block.clone(), TrafficClass::Repair);
            cx.ask_with(to, Waiter::Repair(RepairToken::Store(id)), store, Some(block));
        }
        self.go_on(cx);
    }

    /// A holder answered. What it stored counts as sent even if the scan that sent it is over.
    pub fn on_store_reply(
        &mut self,
        cx: &mut Context,
        log: &mut ReplicationLog,
        (id, from): (BlockId, NodeId),
        outcome: StoreOutcome,
    ) {
        let stored = outcome == StoreOutcome::Stored;
        self.sent += u64::from(stored);
        if stored {
            self.resent.note(from, id, cx.now.mono);
        }
        let Some(scan) = &mut self.scan else { return };
        scan.unfinished |= !stored;
        if let Some(sent) = scan.sending.get_mut(&id)
            && sent.to.remove(&from)
        {
            if stored {
                sent.record.have.insert(from);
            }
            if sent.to.is_empty() {
                log.note_count(id, sent.record.count(cx.me));
                scan.sending.remove(&id);
            }
        }
        self.go_on(cx);
    }
}
