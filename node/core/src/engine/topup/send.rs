//! What a walk found missing is read, sent and confirmed; then the walk ends.

use std::collections::BTreeSet;

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{AttachedBlock, Message, StoreOutcome, StoreRequest};

use super::{Due, Sending};
use crate::engine::peers::Purpose;
use crate::engine::put::copies_of;
use crate::engine::timers::Timer;
use crate::engine::{Engine, Reason, disk};
use crate::limits::{REPAIR_BYTES_PER_S_MAX, REPAIR_DELAY_MS, REPAIR_IN_FLIGHT, REPAIR_TURN_MS};
use crate::seam::{DiskRequest, Effect, ReadDone};

impl Engine {
    /// A peer is gone or silent: its open questions and sends are given up, to be repeated later.
    pub(in crate::engine) fn topup_without(&mut self, node: NodeId, out: &mut Vec<Effect>) {
        let Some(walk) = &mut self.topup.walk else { return };
        let open: Vec<BlockId> = walk.asking.remove(&node).into_iter().flatten().collect();
        for id in &open {
            if let Some(record) = walk.records.get_mut(id) {
                record.open -= 1;
            }
        }
        let lost = walk.sending.values_mut().filter_map(|sending| sending.to.take(&node)).count();
        walk.sending.retain(|_, sending| !sending.to.is_empty());
        walk.unfinished |= !open.is_empty() || lost > 0;
        self.topup_decide(&open, out);
    }

    /// Reads and sends as much as may be under way, lists on when all is done, ends at the end.
    pub(super) fn topup_go_on(&mut self, out: &mut Vec<Effect>) {
        let now = self.now.mono;
        let Some(walk) = &mut self.topup.walk else { return };
        while walk.reading + walk.sending.len() < REPAIR_IN_FLIGHT && !walk.sends.is_empty() {
            if now < walk.pause_until {
                let at = walk.pause_until;
                return self.timers.set(at, Timer::TopUp);
            }
            let Some(id) = walk.sends.pop_front() else { break };
            walk.reading += 1;
            if let Some(record) = walk.records.get(&id) {
                let ms = u64::from(record.info.len) * record.lack.len() as u64 * 1000 / REPAIR_BYTES_PER_S_MAX;
                walk.pause_until = walk.pause_until.max(now) + ms;
            }
            out.push(disk(DiskRequest::Read { id }, Reason::TopUpRead { id }));
        }
        let idle = walk.sends.is_empty() && walk.reading == 0 && walk.sending.is_empty();
        let asking = walk.asking.values().any(|ids| !ids.is_empty());
        if !idle || asking {
            return;
        }
        walk.records.clear();
        if !walk.at_end {
            return self.topup_list(out);
        }
        self.topup_end();
    }

    /// The walk is done; says when the next one is due.
    fn topup_end(&mut self) {
        let Some(walk) = self.topup.walk.take() else { return };
        let now = self.now.mono;
        self.topup.turn = if walk.left_to_others.is_empty() { 0 } else { self.topup.turn + 1 };
        for node in walk.left_to_others {
            self.topup.due.add(node);
            self.timers.set(now + REPAIR_TURN_MS, Timer::TopUp);
        }
        match &self.topup.due {
            _ if walk.unfinished => {
                self.topup.due = Due::Everybody;
                self.topup_again();
            }
            Due::Nobody => self.topup.retry_ms = 0,
            Due::Some(_) | Due::Everybody if self.topup.turn == 0 => {
                self.timers.set(now + REPAIR_DELAY_MS, Timer::TopUp);
            }
            Due::Some(_) | Due::Everybody => {}
        }
    }

    pub(in crate::engine) fn topup_read(&mut self, id: BlockId, done: ReadDone, out: &mut Vec<Effect>) {
        let (now, map) = (self.now.wall, self.map_digest);
        let Some(walk) = &mut self.topup.walk else { return };
        walk.reading = walk.reading.saturating_sub(1);
        let record = walk.records.remove(&id);
        walk.unfinished |= !matches!(done, ReadDone::Found(_) | ReadDone::No);
        if done == ReadDone::Damaged {
            self.heal(id, out);
        }
        let (Some(record), ReadDone::Found(block)) = (record, done) else {
            return self.topup_go_on(out);
        };
        let Some(redundancy) = record.info.redundancies.iter().copied().max_by_key(|redundancy| copies_of(*redundancy))
        else {
            return;
        };
        let age_ms = now.saturating_sub(record.info.first_seen);
        let charged_to = record.info.charged_to;
        let (to, away): (BTreeSet<NodeId>, BTreeSet<NodeId>) = record.lack.iter().partition(|node| self.usable(**node));
        if let Some(walk) = &mut self.topup.walk {
            walk.unfinished |= !away.is_empty();
            if !to.is_empty() {
                walk.sending.insert(id, Sending { to: to.clone(), record });
            }
        }
        for to in to {
            let attached = AttachedBlock::from(&block);
            let store = |request| {
                Message::Store(StoreRequest { request, map, redundancy, age_ms, charged_to, block: attached })
            };
            self.ask(to, Purpose::TopUpStore { id }, store, Some(block.clone()), out);
        }
        self.topup_go_on(out);
    }

    pub(in crate::engine) fn topup_stored(
        &mut self,
        from: NodeId,
        id: BlockId,
        outcome: StoreOutcome,
        out: &mut Vec<Effect>,
    ) {
        let stored = outcome == StoreOutcome::Stored;
        self.topup.sent += u64::from(stored);
        let me = self.me;
        let Some(walk) = &mut self.topup.walk else { return };
        walk.unfinished |= !stored;
        if let Some(sending) = walk.sending.get_mut(&id)
            && sending.to.remove(&from)
        {
            if stored {
                sending.record.have.insert(from);
            }
            if sending.to.is_empty() {
                let copies = sending.record.copies(me);
                walk.sending.remove(&id);
                self.topup.note_copies(id, &copies);
            }
        }
        self.topup_go_on(out);
    }
}
