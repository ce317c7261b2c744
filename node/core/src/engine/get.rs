//! Reading a block: own disk, then the nearest wanted holder, then the others; whoever is slow gets company.
//!
//! No quorum: one copy anywhere is enough. Bytes are checked against the id before the engine sees them.

use std::collections::BTreeMap;

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, NodeId, VolumeId};
use fsdfs_proto::message::{FetchOutcome, FetchReply, FetchRequest, Message, Redundancy};

use super::peers::{Peer, Purpose};
use super::timers::Timer;
use super::{Engine, Reason, disk, reply};
use crate::limits::{GET_MS_MAX, HEDGE_MS, NOT_YET_RETRY_MS, READ_REPAIR_RETRY_MS};
use crate::planted::{self, Bug};
use crate::report::Notice;
use crate::seam::{BlockPayload, DiskRequest, Effect, GetOutcome, OpId, ReadDone, Reply, WriteDone};

/// A read under way; all who want the block share it.
#[derive(Default)]
pub(super) struct Get {
    waiters: Vec<Waiter>,
    since: u64,
    own: Own,
    asked: BTreeMap<NodeId, Answer>,
}

#[derive(Default, PartialEq, Eq)]
enum Own {
    #[default]
    Reading,
    Absent,
    NotYet,
    Damaged,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Open { since: u64 },
    No,
    NotYet { at: u64 },
}

/// Who waits for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiter {
    Command(OpId),
    Commit(VolumeId),
    /// To be put on more servers by the running commit.
    Thin(VolumeId),
    Look(u64),
    /// To be put again, for this holder.
    Debt {
        to: NodeId,
        redundancy: Redundancy,
    },
}

impl Get {
    pub fn forget(&mut self, op: OpId) {
        self.waiters.retain(|waiter| *waiter != Waiter::Command(op));
    }
}

impl Engine {
    pub(super) fn get(&mut self, id: BlockId, waiter: Waiter, out: &mut Vec<Effect>) {
        let now = self.now.mono;
        if let Some(block) = self.cache.get(&id) {
            return self.give(waiter, GetOutcome::Found(block), id, out);
        }
        let fresh = !self.gets.contains_key(&id);
        let get = self.gets.entry(id).or_insert_with(|| Get { since: now, ..Get::default() });
        get.waiters.push(waiter);
        if fresh {
            out.push(disk(DiskRequest::Read { id }, Reason::GetRead(id)));
        }
    }

    pub(super) fn get_read_own(&mut self, id: BlockId, done: ReadDone, out: &mut Vec<Effect>) {
        let Some(get) = self.gets.get_mut(&id) else { return };
        get.own = match done {
            ReadDone::Found(block) => return self.found(id, &block, out),
            ReadDone::No | ReadDone::Failed => Own::Absent,
            ReadDone::NotYet => Own::NotYet,
            ReadDone::Damaged => Own::Damaged,
        };
        if get.own == Own::Damaged && !self.topup.is_short(id) {
            out.push(Effect::Notice(Notice::DamagedCopy { id }));
        }
        self.get_next(id, out);
    }

    /// This node's copy was found damaged while nobody here waited for it: another is fetched and written.
    pub(super) fn heal(&mut self, id: BlockId, out: &mut Vec<Effect>) {
        if !self.gets.contains_key(&id) {
            self.gets.insert(id, Get { since: self.now.mono, ..Get::default() });
            self.get_read_own(id, ReadDone::Damaged, out);
        }
    }

    pub(super) fn healed(&mut self, id: BlockId, done: &WriteDone) {
        match done {
            WriteDone::New | WriteDone::Already => self.topup.note(id, None),
            WriteDone::Full | WriteDone::Failed => self.heal_later(id),
        }
    }

    /// Nobody who is there has an intact copy, or the disk did not take it.
    fn heal_later(&mut self, id: BlockId) {
        self.topup.note(id, Some(1));
        self.timers.set(self.now.mono + READ_REPAIR_RETRY_MS, Timer::Heal(id));
    }

    /// Asks the next server unless one that makes progress was asked lately; ends the read when none is left.
    pub(super) fn get_next(&mut self, id: BlockId, out: &mut Vec<Effect>) {
        let now = self.now.mono;
        let Some(get) = self.gets.get(&id).filter(|get| get.own != Own::Reading) else { return };
        let waits_for = |node: &NodeId, since: u64| {
            let moved = self.peers.get(node).map_or(0, |peer| peer.moved);
            self.usable(*node) && now < since.max(moved) + HEDGE_MS
        };
        let busy =
            get.asked.iter().any(|(node, answer)| matches!(answer, Answer::Open { since } if waits_for(node, *since)));
        if busy {
            return self.timers.set(now + HEDGE_MS, Timer::Get(id));
        }
        match self.next_server(id) {
            Some(node) => {
                if let Some(get) = self.gets.get_mut(&id) {
                    get.asked.insert(node, Answer::Open { since: now });
                }
                self.ask(node, Purpose::Get(id), |request| Message::Fetch(FetchRequest { request, id }), None, out);
                self.timers.set(now + HEDGE_MS, Timer::Get(id));
            }
            None => self.get_wait_or_end(id, out),
        }
    }

    /// The wanted holders by the wait that is expected, then all other servers in placement order, then whoever else is
    /// connected.
    fn next_server(&self, id: BlockId) -> Option<NodeId> {
        let get = self.gets.get(&id)?;
        let copies = usize::from(self.facts.rules().copies);
        let order: Vec<NodeId> =
            self.view.order(id, self.facts.rules().copies).iter().map(|holder| holder.node).collect();
        let (wanted, others) = order.split_at(copies.min(order.len()));
        let mut near: Vec<NodeId> = wanted.to_vec();
        near.sort_by_key(|node| self.peers.get(node).map_or(0, Peer::wait_expected));
        let rest = self.up_peers();
        let can_be_asked = |node: &&NodeId| **node != self.me && self.usable(**node) && !get.asked.contains_key(node);
        near.iter().chain(others).chain(&rest).find(can_be_asked).copied()
    }

    fn get_wait_or_end(&mut self, id: BlockId, out: &mut Vec<Effect>) {
        let now = self.now.mono;
        let Some(get) = self.gets.get(&id) else { return };
        let open = get.asked.iter().any(|(node, answer)| matches!(answer, Answer::Open { .. }) && self.usable(*node));
        let not_yet =
            get.own == Own::NotYet || get.asked.values().any(|answer| matches!(answer, Answer::NotYet { .. }));
        let still_time = now < get.since + GET_MS_MAX;
        if open || (not_yet && still_time) {
            return self.timers.set(now + HEDGE_MS, Timer::Get(id));
        }
        let get = self.gets.remove(&id).expect("looked up above");
        if get.own == Own::Damaged {
            self.heal_later(id);
        }
        let wanted = self.view.holders(id, self.facts.rules().copies);
        let away: Vec<NodeId> = wanted.iter().map(|holder| holder.node).filter(|node| !self.usable(*node)).collect();
        for waiter in get.waiters {
            self.give(waiter, GetOutcome::NotFound { away: away.clone() }, id, out);
        }
    }

    pub(super) fn get_tick(&mut self, id: BlockId, out: &mut Vec<Effect>) {
        let now = self.now.mono;
        let Some(get) = self.gets.get_mut(&id) else { return };
        get.asked.retain(|_, answer| !matches!(answer, Answer::NotYet { at } if now >= *at + NOT_YET_RETRY_MS));
        if get.own == Own::NotYet && now < get.since + GET_MS_MAX {
            get.own = Own::Reading;
            out.push(disk(DiskRequest::Read { id }, Reason::GetRead(id)));
        }
        self.get_next(id, out);
    }

    pub(super) fn fetched(
        &mut self,
        id: BlockId,
        from: NodeId,
        reply: &FetchReply,
        payload: BlockPayload,
        out: &mut Vec<Effect>,
    ) {
        let now = self.now.mono;
        match payload {
            BlockPayload::Block(block) if block.id() == id || planted::is(Bug::NoHashCheck) => {
                return self.found(id, &block, out);
            }
            BlockPayload::Wrong | BlockPayload::Block(_) => self.wrong_block(from, id, out),
            BlockPayload::None => {}
        }
        let Some(get) = self.gets.get_mut(&id) else { return };
        let not_yet = reply.outcome == FetchOutcome::NotYet;
        get.asked.insert(from, if not_yet { Answer::NotYet { at: now } } else { Answer::No });
        self.get_next(id, out);
    }

    /// The question got lost with its connection: the peer may be asked again when it is back.
    pub(super) fn get_lost(&mut self, id: BlockId, node: NodeId, out: &mut Vec<Effect>) {
        if let Some(get) = self.gets.get_mut(&id) {
            get.asked.remove(&node);
        }
        self.get_next(id, out);
    }

    /// A peer came up: reads that wait may ask it.
    pub(super) fn retry_gets(&mut self, out: &mut Vec<Effect>) {
        let ids: Vec<BlockId> = self.gets.keys().copied().collect();
        for id in ids {
            self.get_next(id, out);
        }
    }

    pub(super) fn wrong_block(&mut self, from: NodeId, id: BlockId, out: &mut Vec<Effect>) {
        let name = self.name_of(from);
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.wrong_blocks += 1;
        }
        out.push(Effect::Notice(Notice::WrongBlock { name, id }));
    }

    fn found(&mut self, id: BlockId, block: &Block, out: &mut Vec<Effect>) {
        let Some(get) = self.gets.remove(&id) else { return };
        if planted::is(Bug::MajorityRead) && !self.majority_is_there(id) {
            for waiter in get.waiters {
                self.give(waiter, GetOutcome::NotFound { away: Vec::new() }, id, out);
            }
            return;
        }
        if get.own == Own::Damaged {
            let (redundancy, first_seen, charged_to) =
                (Redundancy::Replicas(self.facts.rules().copies), self.now.wall, self.me);
            let request = DiskRequest::Write { block: block.clone(), redundancy, first_seen, charged_to, disk: None };
            out.push(disk(request, Reason::Heal(id)));
        }
        for waiter in get.waiters {
            self.give(waiter, GetOutcome::Found(block.clone()), id, out);
        }
    }

    /// For a planted bug.
    fn majority_is_there(&self, id: BlockId) -> bool {
        let wanted = self.view.holders(id, self.facts.rules().copies);
        2 * wanted.iter().filter(|holder| self.usable(holder.node)).count() > wanted.len()
    }

    fn give(&mut self, waiter: Waiter, outcome: GetOutcome, id: BlockId, out: &mut Vec<Effect>) {
        match waiter {
            Waiter::Command(op) => out.push(reply(op, Reply::GetBlock(outcome))),
            Waiter::Commit(volume) => self.commit_fetched(volume, id, outcome, out),
            Waiter::Thin(volume) => self.thin_fetched(volume, outcome, out),
            Waiter::Look(look) => self.look_fetched(look, id, outcome, out),
            Waiter::Debt { to, redundancy } => self.debt_fetched(to, redundancy, outcome, out),
        }
    }
}
