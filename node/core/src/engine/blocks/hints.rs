//! Hinted handoff: blocks that an assigned holder did not get, kept in mind by a writer that holds no copy itself.
//!
//! Repair goes through a node's own records. The fallback holders saw nothing amiss, and the writer, to which the holder was
//! silent, has no record: without hints the holder would get its copy only when everything is scanned. When the holder speaks
//! it is asked what it lacks, and that is put again, with the lease of its put. Hints are in memory only; what a restart forgets
//! repair finds.

use std::collections::BTreeMap;

use fsdfs_proto::ids::{BlockId, NodeId};
use fsdfs_proto::message::{HaveRequest, IDS_MAX, Message, Possession, Redundancy};

use super::PutItem;
use super::background::{Answer, Background, BlockParts};
use crate::engine::event::PutReport;
use crate::limits::HINTS_MAX;
use crate::seam::{GetOutcome, Lease};

/// See the module.
#[derive(Default)]
pub(super) struct Hints {
    holders: BTreeMap<NodeId, HolderHints>,
    /// By number: at most one for each holder.
    under_way: BTreeMap<u64, (NodeId, Step)>,
    /// Numbers given to steps so far.
    steps: u64,
}

/// What one holder may lack. An entry without any ends when the holder is next looked at.
#[derive(Default)]
struct HolderHints {
    /// It may have got them from others meanwhile.
    unasked: BTreeMap<BlockId, Hint>,
    /// It says that it does not have them. With those of all holders that were not asked about: at most [`HINTS_MAX`], and one
    /// answer of each holder.
    lacking: Vec<(BlockId, Hint)>,
    /// A step is under way: the next follows when that ends.
    busy: bool,
}

/// How the block was put.
#[derive(Clone, Copy)]
struct Hint {
    redundancy: Redundancy,
    /// Wall milliseconds of its put: a copy that is made later is as old, and keeps nothing for longer.
    put: u64,
}

/// One step of the handoff to a holder.
enum Step {
    /// It is asked which of these it has.
    Have(Vec<(BlockId, Hint)>),
    /// A block that it lacks is read.
    Get(Hint),
    /// The block is put again.
    Put,
}

impl Background for Hints {
    /// If this node has a copy, repair goes to the holders that missed the put; if not, they get hints: others may not have
    /// noticed that they were away.
    fn on_put_ended(&mut self, parts: &mut BlockParts<'_>, put: &PutReport) {
        let Some((id, redundancy)) = put.block.filter(|_| !put.mine && put.durable > 0) else { return };
        let hint = Hint { redundancy, put: put.lease.renewed(parts.cx.now.wall) };
        for (node, refused) in &put.missed {
            if *refused {
                continue;
            }
            self.add(*node, id, hint);
            // One that speaks again already would not start the handoff.
            if !parts.is_own(&put.waiter) {
                self.hand_over(parts, *node);
            }
        }
    }

    fn on_back(&mut self, parts: &mut BlockParts<'_>, node: NodeId) {
        self.hand_over(parts, node);
    }

    /// What was left while nothing might be sent goes on.
    fn on_budget(&mut self, parts: &mut BlockParts<'_>) {
        let holders: Vec<NodeId> = self.holders.keys().copied().collect();
        holders.into_iter().for_each(|to| self.hand_over(parts, to));
    }

    fn on_answer(&mut self, parts: &mut BlockParts<'_>, number: u64, answer: Answer<'_>) {
        let Some((to, step)) = self.under_way.remove(&number) else { return };
        if let Some(hints) = self.holders.get_mut(&to) {
            hints.busy = false;
        }
        match (step, answer) {
            // What it has by now is done; what it cannot say yet is left to repair.
            (Step::Have(asked), Answer::Have(answers)) => {
                let lacking = asked.into_iter().zip(answers).filter(|(_, answer)| **answer == Possession::No);
                let lacking = lacking.map(|(hint, _)| hint);
                self.holders.entry(to).or_default().lacking.extend(lacking);
                self.hand_over(parts, to);
            }
            // It is asked again when the holder speaks.
            (Step::Have(asked), _) => asked.into_iter().for_each(|(id, hint)| self.add(to, id, hint)),
            // The block is put again, as old as it is.
            (Step::Get(Hint { redundancy, put }), Answer::Block(GetOutcome::Found(block))) => {
                let lease = Lease::Old(put);
                let item = PutItem::Block { block, redundancy, probe: true, more: false, reserve: false, lease };
                let number = self.begin(to, Step::Put);
                parts.puts.start(parts.cx, item, parts.waiter(number));
            }
            // It is put, or all that have it are away: when they come up, their repair takes care of it.
            (Step::Get(_) | Step::Put, _) => self.hand_over(parts, to),
        }
    }
}

impl Hints {
    /// At the bound the hint is left out: repair finds the block in its own time.
    fn add(&mut self, to: NodeId, id: BlockId, hint: Hint) {
        let all: usize = self.holders.values().map(|hints| hints.unasked.len() + hints.lacking.len()).sum();
        debug_assert!(all <= HINTS_MAX + self.holders.len() * IDS_MAX, "hints are bounded");
        if all < HINTS_MAX {
            self.holders.entry(to).or_default().unasked.insert(id, hint);
        }
    }

    /// Hands over one block, and then the next: hints never fill the memory or the line, however often this is asked.
    fn hand_over(&mut self, parts: &mut BlockParts<'_>, to: NodeId) {
        if !parts.cx.responsive(to) || parts.cx.repair_bytes_per_s == 0 {
            return;
        }
        let Some(hints) = self.holders.get_mut(&to).filter(|hints| !hints.busy) else { return };
        if let Some((id, hint)) = hints.lacking.pop() {
            let number = self.begin(to, Step::Get(hint));
            return parts.gets.get(parts.cx, id, parts.waiter(number));
        }
        let Some(Hint { redundancy, .. }) = hints.unasked.values().next().copied() else {
            self.holders.remove(&to);
            return;
        };
        let same = hints.unasked.iter().filter(|(_, other)| other.redundancy == redundancy);
        let asked: Vec<(BlockId, Hint)> = same.map(|(id, hint)| (*id, *hint)).take(IDS_MAX).collect();
        let ids: Vec<BlockId> = asked.iter().map(|(id, _)| *id).collect();
        // Ids of a map are ascending. What is asked is no hint any more; if the question is lost it becomes one again.
        hints.unasked.retain(|id, _| ids.binary_search(id).is_err());
        let number = self.begin(to, Step::Have(asked));
        let (map, waiter) = (parts.cx.map_digest, parts.waiter(number));
        let have = |request| Message::Have(HaveRequest { request, renew: false, map, redundancy, ids });
        parts.cx.ask(to, waiter, have);
    }

    fn begin(&mut self, to: NodeId, step: Step) -> u64 {
        self.steps += 1;
        self.under_way.insert(self.steps, (to, step));
        self.holders.entry(to).or_default().busy = true;
        debug_assert!(self.under_way.len() <= self.holders.len(), "one step for each holder");
        self.steps
    }
}

#[cfg(test)]
mod tests;
