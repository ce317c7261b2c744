//! A scan begins, goes through the records, and asks who has what.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{HaveRequest, Message, Possession, Redundancy};
use fsdfs_proto::record::RecordInfo;

use super::record::{RecordCopies, greatest};
use super::{DueHolders, Repair, RepairScan};
use crate::engine::blocks::{Holdings, ReplicationLog};
use crate::engine::context::Context;
use crate::engine::timers::Timer;
use crate::limits::{REPAIR_BATCH, REPAIR_PERIOD_MS};
use crate::seam::{RepairToken, Waiter};

/// What each holder is to be asked, by redundancy. Nothing is renewed by it: what nobody puts again has to age.
type Questions = BTreeMap<(NodeId, Redundancy), Vec<BlockId>>;

impl Repair {
    /// The timer of scans. It is also what wakes one that pauses for the rate limit.
    pub fn on_due(&mut self, cx: &mut Context, holdings: &mut Holdings, log: &mut ReplicationLog) {
        cx.wake_in(REPAIR_PERIOD_MS, Timer::Repair);
        if self.scan.is_some() {
            return self.go_on(cx);
        }
        let peers = match std::mem::take(&mut self.due) {
            DueHolders::Nobody | DueHolders::Everybody => None,
            DueHolders::Some(peers) => Some(peers),
        };
        if !cx.peers.any_up() {
            // Whoever comes up starts a scan.
            return;
        }
        if peers.is_none() {
            log.forget_spare();
        }
        holdings.begin_count();
        self.scan = Some(RepairScan { peers, ..RepairScan::default() });
        self.list(cx);
    }

    /// A batch came: each live holder is asked once for all that concerns it.
    pub fn on_listed(&mut self, cx: &mut Context, holdings: &mut Holdings, infos: Vec<RecordInfo>) {
        let Some(scan) = &mut self.scan else { return };
        debug_assert!(scan.listing, "records come when they were asked for");
        scan.listing = false;
        scan.after = infos.last().map(|info| info.id).or(scan.after);
        scan.at_end = infos.len() < REPAIR_BATCH;
        holdings.on_page(&infos, scan.at_end);
        let mut questions = Questions::new();
        for info in infos {
            scan.add_record(cx, info, &mut questions);
        }
        for ((node, redundancy), ids) in questions {
            // Remembered beside the request: an answer counts for what this scan asked, and no earlier one.
            scan.asking.entry(node).or_default().extend(&ids);
            let waiter = Waiter::Repair(RepairToken::Have { ids: ids.clone() });
            let map = cx.map_digest;
            let have = |request| Message::Have(HaveRequest { request, renew: false, map, redundancy, ids });
            cx.ask(node, waiter, have);
        }
        self.go_on(cx);
    }

    /// A holder said which of these it has. Only ids it was asked for count, each once.
    pub fn on_have_reply(
        &mut self,
        cx: &mut Context,
        log: &mut ReplicationLog,
        from: NodeId,
        ids: &[BlockId],
        answers: &[Possession],
    ) {
        let Some(scan) = &mut self.scan else { return };
        for (index, id) in ids.iter().enumerate() {
            let asked = scan.asking.get_mut(&from).is_some_and(|asked| asked.remove(id));
            let Some(record) = scan.records.get_mut(id).filter(|_| asked) else { continue };
            debug_assert!(record.open > 0, "one answer a question");
            record.open -= 1;
            match answers.get(index) {
                Some(Possession::Yes) if cx.peers.is_believed(from) => {
                    record.have.insert(from);
                }
                Some(Possession::No | Possession::Yes) => {
                    record.lack.insert(from);
                }
                _ => scan.unfinished = true,
            }
        }
        self.decide(cx, log, ids);
    }

    /// All answers about these blocks are in: is it this node's task to send them?
    pub(super) fn decide(&mut self, cx: &mut Context, log: &mut ReplicationLog, ids: &[BlockId]) {
        let Some(scan) = &mut self.scan else { return };
        for id in ids {
            let Some(record) = scan.records.get_mut(id).filter(|record| record.open == 0) else { continue };
            let now = cx.now.mono;
            // It confirmed them and denies them again and again: whoever counts copies on it finds them missing.
            record.lack.retain(|node| !self.resent.is_enough(*node, *id, now));
            record.choose(cx.me);
            // A better-placed holder without a copy cannot send any, so it has no turn.
            let before_me =
                record.assigned.iter().take_while(|node| **node != cx.me).filter(|node| record.have.contains(node));
            let my_turn = before_me.count() <= self.turn;
            // Counted for the owner's eyes, whoever is going to send it.
            log.note_count(*id, record.count(cx.me));
            if record.lack.is_empty() {
                scan.records.remove(id);
            } else if my_turn {
                scan.sends.push_back(*id);
            } else {
                scan.left_to_others.extend(&record.lack);
                scan.records.remove(id);
            }
        }
        self.go_on(cx);
    }
}

impl RepairScan {
    /// Begins with a record, if somebody who is there is to be asked about it. Records nobody asked to keep are skipped.
    fn add_record(&mut self, cx: &Context, info: RecordInfo, questions: &mut Questions) {
        let Some(redundancy) = greatest(&info) else { return };
        let copies = redundancy.copies();
        let assigned: Vec<NodeId> = cx.map.holders(info.id, copies).iter().map(|holder| holder.node).collect();
        let full: Vec<NodeId> =
            assigned.iter().filter(|node| **node != cx.me && !cx.is_holder(**node)).copied().collect();
        let fallbacks = fallbacks(cx, info.id, copies, assigned.len(), full.len());
        let mine = assigned.contains(&cx.me);
        let chosen = self.peers.as_ref();
        if chosen.is_some_and(|peers| mine && !assigned.iter().any(|node| peers.contains(node))) {
            return;
        }
        // Full ones are asked, too: they may have it since before they were full.
        let others = assigned.iter().chain(&fallbacks).filter(|node| **node != cx.me && cx.responsive(**node));
        let ask: Vec<NodeId> = others.copied().collect();
        if ask.is_empty() {
            return;
        }
        for node in &ask {
            questions.entry((*node, redundancy)).or_default().push(info.id);
        }
        let (id, have, lack) = (info.id, BTreeSet::new(), BTreeSet::new());
        self.records.insert(id, RecordCopies { assigned, full, fallbacks, have, lack, open: ask.len(), info });
    }
}

/// The next servers in order that have room.
fn fallbacks(cx: &Context, id: BlockId, copies: u8, assigned: usize, count: usize) -> Vec<NodeId> {
    if count == 0 {
        return Vec::new();
    }
    let order = cx.map.order(id, copies);
    let rest = order.iter().skip(assigned).map(|holder| holder.node);
    rest.filter(|node| cx.responsive(*node) && cx.is_holder(*node)).take(count).collect()
}
