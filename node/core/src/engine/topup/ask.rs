//! A walk begins, goes through the records, and asks who has what.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{HaveRequest, Message, Possession, Redundancy};
use fsdfs_proto::record::RecordInfo;

use super::{Due, Record, Walk};
use crate::engine::peers::Purpose;
use crate::engine::put::copies_of;
use crate::engine::timers::Timer;
use crate::engine::{Engine, Reason, disk};
use crate::limits::{REPAIR_BATCH, REPAIR_DELAY_MS, REPAIR_PERIOD_MS, REPAIR_RETRY_MS};
use crate::seam::{DiskRequest, Effect};

impl Engine {
    /// Everything is to be checked: start, another map, or time.
    pub(in crate::engine) fn topup_all(&mut self) {
        self.topup.due = Due::Everybody;
        self.topup_soon();
    }

    /// A peer came up: what it is wanted for is to be checked.
    pub(in crate::engine) fn topup_for(&mut self, node: NodeId) {
        self.topup.due.add(node);
        self.topup_soon();
    }

    /// What failed before may succeed now.
    pub(super) fn topup_soon(&mut self) {
        self.topup.retry_ms = 0;
        self.timers.set(self.now.mono + REPAIR_DELAY_MS, Timer::TopUp);
    }

    /// A wanted holder that is there did not take a block. One that is away is checked when it comes back.
    /// The pause does not grow by it: a thousand puts that a full disk refuses are no thousand walks that failed.
    pub(in crate::engine) fn topup_owed(&mut self, node: NodeId) {
        self.topup.due.add(node);
        self.timers.set(self.now.mono + self.topup.retry_ms.max(REPAIR_RETRY_MS), Timer::TopUp);
    }

    /// After a walk that failed: later and later, as long as it does not succeed.
    pub(super) fn topup_again(&mut self) {
        self.topup.retry_ms = (self.topup.retry_ms * 2).clamp(REPAIR_RETRY_MS, REPAIR_PERIOD_MS);
        self.timers.set(self.now.mono + self.topup.retry_ms, Timer::TopUp);
    }

    pub(in crate::engine) fn topup_tick(&mut self, out: &mut Vec<Effect>) {
        self.timers.set(self.now.mono + REPAIR_PERIOD_MS, Timer::TopUp);
        if self.topup.walk.is_some() {
            return self.topup_go_on(out);
        }
        let peers = match std::mem::take(&mut self.topup.due) {
            Due::Nobody | Due::Everybody => None,
            Due::Some(peers) => Some(peers),
        };
        if self.up_peers().is_empty() {
            // Whoever comes up starts a walk.
            return;
        }
        if peers.is_none() {
            // Everything is compared anew.
            self.topup.spare = None;
        }
        self.topup.walk = Some(Walk { peers, ..Walk::default() });
        self.topup_list(out);
    }

    pub(super) fn topup_list(&mut self, out: &mut Vec<Effect>) {
        let Some(walk) = &self.topup.walk else { return };
        out.push(disk(DiskRequest::List { after: walk.after, max: REPAIR_BATCH }, Reason::TopUpList));
    }

    pub(in crate::engine) fn topup_listed(&mut self, infos: Vec<RecordInfo>, out: &mut Vec<Effect>) {
        let Some(walk) = &mut self.topup.walk else { return };
        walk.after = infos.last().map(|info| info.id).or(walk.after);
        walk.at_end = infos.len() < REPAIR_BATCH;
        let mut questions: BTreeMap<(NodeId, Redundancy), Vec<BlockId>> = BTreeMap::new();
        for info in infos {
            self.topup_record(info, &mut questions);
        }
        let map = self.map_digest;
        for ((node, redundancy), ids) in questions {
            if let Some(walk) = &mut self.topup.walk {
                walk.asking.entry(node).or_default().extend(&ids);
            }
            let purpose = Purpose::TopUpHave { ids: ids.clone() };
            let have = |request| Message::Have(HaveRequest { request, renew: true, map, redundancy, ids });
            self.ask(node, purpose, have, None, out);
        }
        self.topup_go_on(out);
    }

    fn topup_record(&mut self, info: RecordInfo, questions: &mut BTreeMap<(NodeId, Redundancy), Vec<BlockId>>) {
        let Some(redundancy) = info.redundancies.iter().copied().max_by_key(|redundancy| copies_of(*redundancy)) else {
            return;
        };
        let wanted: Vec<NodeId> =
            self.view.holders(info.id, copies_of(redundancy)).iter().map(|holder| holder.node).collect();
        let full: Vec<NodeId> =
            wanted.iter().filter(|node| **node != self.me && !self.has_room(**node)).copied().collect();
        let stand_ins = self.topup_stand_ins(info.id, copies_of(redundancy), &wanted, full.len());
        let mine = wanted.contains(&self.me);
        let walk = self.topup.walk.as_ref();
        let chosen = walk.and_then(|walk| walk.peers.as_ref());
        if chosen.is_some_and(|peers| mine && !wanted.iter().any(|node| peers.contains(node))) {
            return;
        }
        let others = wanted.iter().chain(&stand_ins).filter(|node| **node != self.me && self.usable(**node));
        let ask: Vec<NodeId> = others.copied().collect();
        if ask.is_empty() {
            return;
        }
        for node in &ask {
            questions.entry((*node, redundancy)).or_default().push(info.id);
        }
        let (have, lack) = (BTreeSet::new(), BTreeSet::new());
        let record = Record { wanted, full, stand_ins, have, lack, open: ask.len(), info };
        if let Some(walk) = &mut self.topup.walk {
            walk.records.insert(record.info.id, record);
        }
    }

    /// The next servers in order that have room.
    fn topup_stand_ins(&self, id: BlockId, copies: u8, wanted: &[NodeId], count: usize) -> Vec<NodeId> {
        if count == 0 {
            return Vec::new();
        }
        let order = self.view.order(id, copies);
        let rest = order.iter().skip(wanted.len()).map(|holder| holder.node);
        rest.filter(|node| self.usable(*node) && self.has_room(*node)).take(count).collect()
    }

    pub(in crate::engine) fn topup_answered(
        &mut self,
        from: NodeId,
        ids: &[BlockId],
        answers: &[Possession],
        out: &mut Vec<Effect>,
    ) {
        let Some(walk) = &mut self.topup.walk else { return };
        for (index, id) in ids.iter().enumerate() {
            let asked = walk.asking.get_mut(&from).is_some_and(|asked| asked.remove(id));
            let Some(record) = walk.records.get_mut(id).filter(|_| asked) else { continue };
            record.open -= 1;
            match answers.get(index) {
                Some(Possession::Yes) => {
                    record.have.insert(from);
                }
                Some(Possession::No) => {
                    record.lack.insert(from);
                }
                _ => walk.unfinished = true,
            }
        }
        self.topup_decide(ids, out);
    }

    /// All answers about these blocks are in: is it this node's task to send them?
    pub(super) fn topup_decide(&mut self, ids: &[BlockId], out: &mut Vec<Effect>) {
        let (me, turn) = (self.me, self.topup.turn);
        let Some(walk) = &mut self.topup.walk else { return };
        let mut checked = Vec::new();
        for id in ids {
            let Some(record) = walk.records.get_mut(id).filter(|record| record.open == 0) else { continue };
            record.choose(me);
            let before_me =
                record.wanted.iter().take_while(|node| **node != me).filter(|node| record.have.contains(node));
            checked.push((*id, record.copies(me)));
            if record.lack.is_empty() {
                walk.records.remove(id);
            } else if before_me.count() <= turn {
                walk.sends.push_back(*id);
            } else {
                walk.left_to_others.extend(&record.lack);
                walk.records.remove(id);
            }
        }
        for (id, copies) in checked {
            self.topup.note_copies(id, &copies);
        }
        self.topup_go_on(out);
    }
}
