//! Hinted handoff: blocks that an assigned holder did not get, kept in mind by a writer that holds no copy itself.
//!
//! Repair goes through a node's own records. The fallback holders saw nothing amiss, and the writer, to which the holder was
//! silent, has no record: without hints the holder would get its copy only when everything is scanned. When the holder speaks
//! it is asked what it lacks, and that is put again. Hints are in memory only; what a restart forgets repair finds.

use std::collections::BTreeMap;

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{HaveRequest, IDS_MAX, Message, Possession, Redundancy};

use super::{Gets, PutItem, Puts};
use crate::engine::context::Context;
use crate::engine::event::PutReport;
use crate::limits::HINTS_MAX;
use crate::seam::{GetOutcome, HintToken, Waiter};

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct Hints(BTreeMap<NodeId, HolderHints>);

/// What one holder may lack. An entry without any ends when the holder is next looked at.
#[derive(Default)]
struct HolderHints {
    /// It may have got them from others meanwhile.
    unasked: BTreeMap<BlockId, Redundancy>,
    /// It says that it does not have them. With those of all holders that were not asked about: at most [`HINTS_MAX`], and one
    /// answer of each holder.
    lacking: Vec<(BlockId, Redundancy)>,
    /// A question to it, or a block for it, is under way: the next follows when that ends.
    busy: bool,
}

impl Hints {
    /// A put ended without some assigned holders. If this node has a copy, repair goes to those; if not, they get hints:
    /// others may not have noticed that they were away.
    pub fn on_put_ended(&mut self, cx: &mut Context, gets: &mut Gets, put: &PutReport) {
        let Some((id, redundancy)) = put.block.filter(|_| !put.mine && put.durable > 0) else { return };
        for (node, refused) in &put.missed {
            if *refused {
                continue;
            }
            self.add(*node, id, redundancy);
            // One that speaks again already would not start the handoff.
            if !matches!(put.waiter, Waiter::Hints(_)) {
                self.hand_over(cx, gets, *node);
            }
        }
    }

    /// At the bound the hint is left out: repair finds the block in its own time.
    fn add(&mut self, to: NodeId, id: BlockId, redundancy: Redundancy) {
        let all: usize = self.0.values().map(|hints| hints.unasked.len() + hints.lacking.len()).sum();
        debug_assert!(all <= HINTS_MAX + self.0.len() * IDS_MAX, "hints are bounded");
        if all < HINTS_MAX {
            self.0.entry(to).or_default().unasked.insert(id, redundancy);
        }
    }

    /// What was under way to a holder has ended; the next block follows.
    pub fn go_on(&mut self, cx: &mut Context, gets: &mut Gets, to: NodeId) {
        if let Some(hints) = self.0.get_mut(&to) {
            hints.busy = false;
        }
        self.hand_over(cx, gets, to);
    }

    /// Hands over one block, and then the next: hints never fill the memory or the line, however often this is asked.
    pub fn hand_over(&mut self, cx: &mut Context, gets: &mut Gets, to: NodeId) {
        if !cx.responsive(to) {
            return;
        }
        let Some(hints) = self.0.get_mut(&to).filter(|hints| !hints.busy) else { return };
        hints.busy = true;
        if let Some((id, redundancy)) = hints.lacking.pop() {
            return gets.get(cx, id, Waiter::Hints(HintToken::Get { to, redundancy }));
        }
        let Some(redundancy) = hints.unasked.values().next().copied() else {
            self.0.remove(&to);
            return;
        };
        // A yes records the redundancy it was asked with, so one question has one.
        let same = hints.unasked.iter().filter(|(_, other)| **other == redundancy);
        let ids: Vec<BlockId> = same.map(|(id, _)| *id).take(IDS_MAX).collect();
        // Ids of a map are ascending. What is asked is no hint any more; if the question is lost it becomes one again.
        hints.unasked.retain(|id, _| ids.binary_search(id).is_err());
        let map = cx.map_digest;
        let waiter = Waiter::Hints(HintToken::Have { redundancy, ids: ids.clone() });
        let have = |request| Message::Have(HaveRequest { request, renew: true, map, redundancy, ids });
        cx.ask(to, waiter, have, None);
    }

    /// What it has by now is done; what it cannot say yet is left to repair.
    pub fn on_have_reply(
        &mut self,
        cx: &mut Context,
        gets: &mut Gets,
        from: NodeId,
        (redundancy, ids): (Redundancy, &[BlockId]),
        answers: &[Possession],
    ) {
        let lacking = ids.iter().zip(answers).filter(|(_, answer)| **answer == Possession::No);
        self.0.entry(from).or_default().lacking.extend(lacking.map(|(id, _)| (*id, redundancy)));
        self.go_on(cx, gets, from);
    }

    /// The question got lost: it is asked again when the holder speaks.
    pub fn on_have_lost(&mut self, to: NodeId, redundancy: Redundancy, ids: &[BlockId]) {
        if let Some(hints) = self.0.get_mut(&to) {
            hints.busy = false;
        }
        for id in ids {
            self.add(to, *id, redundancy);
        }
    }

    /// A block that the holder lacks was read: it is put again, as if it were new, and the next follows when that ends.
    pub fn on_block(
        &mut self,
        cx: &mut Context,
        gets: &mut Gets,
        puts: &mut Puts,
        (to, redundancy): (NodeId, Redundancy),
        outcome: GetOutcome,
    ) {
        match outcome {
            GetOutcome::Found(block) => {
                let item = PutItem::Block { block, redundancy, probe: true, more: false, reserve: false };
                puts.start(cx, item, Waiter::Hints(HintToken::Put { to }));
            }
            // Its holders are away. When they come up, their repair takes care of it.
            GetOutcome::NotFound { .. } => self.go_on(cx, gets, to),
        }
    }
}

#[cfg(test)]
mod tests;
