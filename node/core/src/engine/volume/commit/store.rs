//! What a commit made becomes durable, is published, and is answered.

use std::collections::{BTreeSet, VecDeque};

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{Fact, Head};
use fsdfs_proto::ids::{BlockId, NodeId, VolumeId};
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::record::LogEntry;
use fsdfs_proto::signed::Signed;

use super::{CommitPart, CommitParts, CommitProgress, CommitStep, Commits, NewHead};
use crate::engine::blocks::PutItem;
use crate::engine::timers::Timer;
use crate::engine::volume::heads::{copies_in, entries_of, local_only};
use crate::facts::InsertOutcome;
use crate::limits::{COMMIT_PUTS_UNDER_WAY_MAX, MERGE_AFTER_MS, PUBLISH_AFTER_MS, SHARED_SYNC_BLOCKS_MIN};
use crate::seam::{CommitToken, DiskRequest, GetOutcome, PutOutcome, Refusal, Waiter};
use crate::tree::{EditError, EditOutcome};

impl Commits {
    /// Makes durable what the head needs: the blocks this commit made, and those of earlier ones that are under-replicated.
    pub(super) fn store(
        &mut self,
        parts: &mut CommitParts<'_>,
        volume: VolumeId,
        head: NewHead,
        mut progress: CommitProgress,
        blocks: Vec<Block>,
    ) {
        // Their copies are worth as much to readers as those of the new ones: all of them stand below the head.
        let earlier = parts.heads.to_replicate(parts.cx, volume);
        let new = blocks.into_iter().map(CommitPart::New);
        let waiting: VecDeque<CommitPart> = new.chain(earlier.into_iter().map(CommitPart::Earlier)).collect();
        progress.parts = waiting.len();
        // Set before the first put: a put may end at once, and be counted down.
        let nothing_to_put = progress.parts == 0;
        let Some(step) = self.step(volume) else { return };
        *step = CommitStep::Storing { head, progress, waiting };
        if nothing_to_put {
            return self.log(parts, volume);
        }
        self.store_waiting(parts, volume);
    }

    /// Begins as many of the parts that wait as may be under way at once: a thousand edits of deep paths make ten thousand blocks.
    fn store_waiting(&mut self, parts: &mut CommitParts<'_>, volume: VolumeId) {
        let redundancy = Redundancy::Replicas(parts.cx.copies());
        let reserve = self.may_use_reserve(volume);
        while let Some(CommitStep::Storing { progress, waiting, .. }) = self.step(volume)
            && progress.parts - waiting.len() < COMMIT_PUTS_UNDER_WAY_MAX
            && let Some(part) = waiting.pop_front()
        {
            // The last one ends the holders' wait for more. Of a few blocks most holders would wait for one that others get.
            let more = !waiting.is_empty() && progress.parts >= SHARED_SYNC_BLOCKS_MIN;
            match part {
                CommitPart::New(block) => {
                    parts.gets.remember(&block);
                    // New by construction, so nobody is asked whether it is there.
                    let item = PutItem::Block { block, redundancy, probe: false, more, reserve };
                    parts.puts.start(parts.cx, item, Waiter::Commit(CommitToken::Part(volume)));
                }
                CommitPart::Earlier(id) => {
                    parts.gets.get(parts.cx, id, Waiter::Commit(CommitToken::Unreplicated(volume)));
                }
            }
        }
    }

    fn may_use_reserve(&self, volume: VolumeId) -> bool {
        self.0.get(&volume).and_then(|commits| commits.running.as_ref()).is_some_and(|running| running.reserve)
    }

    /// A block or a head of the commit was put: the commit is as durable as that. If fewer servers have a block than it takes,
    /// the head is not published.
    pub fn on_part_put(
        &mut self,
        parts: &mut CommitParts<'_>,
        volume: VolumeId,
        block: Option<BlockId>,
        outcome: PutOutcome,
    ) {
        let enough = parts.heads.publish_quorum(parts.cx, parts.liveness);
        match self.step(volume) {
            Some(CommitStep::Storing { head, progress, waiting }) => {
                if let Some(id) = block.filter(|_| copies_in(&outcome) < enough) {
                    head.under_replicated.insert(id);
                }
                progress.is_as_durable_as(outcome);
                if matches!(progress.worst, Some(PutOutcome::Refused(_))) {
                    // Nothing comes of this commit, so nothing more of it is begun.
                    progress.parts -= waiting.len();
                    waiting.clear();
                }
            }
            Some(CommitStep::Publishing { progress }) => progress.is_as_durable_as(outcome),
            _ => return,
        }
        self.part_ended(parts, volume);
    }

    /// A block of an earlier commit is here, to be put on more servers; or its holders are away, and it will be another time.
    pub fn on_unreplicated_block(&mut self, parts: &mut CommitParts<'_>, volume: VolumeId, outcome: GetOutcome) {
        match outcome {
            GetOutcome::Found(block) => {
                let redundancy = Redundancy::Replicas(parts.cx.copies());
                // Of a tree that was acknowledged: it must get out, however full the others are.
                let item = PutItem::Block { block, redundancy, probe: true, more: false, reserve: true };
                parts.puts.start(parts.cx, item, Waiter::Commit(CommitToken::Replicated(volume)));
            }
            GetOutcome::NotFound { .. } => self.part_ended(parts, volume),
        }
    }

    /// Such a block was put.
    pub fn on_replicated(&mut self, parts: &mut CommitParts<'_>, volume: VolumeId, id: BlockId, outcome: &PutOutcome) {
        if copies_in(outcome) >= parts.heads.publish_quorum(parts.cx, parts.liveness) {
            parts.heads.note_replicated(volume, id);
            if let Some(CommitStep::Storing { progress, .. }) = self.step(volume) {
                progress.replicated = true;
            }
        }
        self.part_ended(parts, volume);
    }

    /// Counts down; whoever is last takes the commit to its next step.
    fn part_ended(&mut self, parts: &mut CommitParts<'_>, volume: VolumeId) {
        let (progress, is_storing) = match self.step(volume) {
            Some(CommitStep::Storing { progress, .. }) => (progress, true),
            Some(CommitStep::Publishing { progress }) => (progress, false),
            _ => return,
        };
        // Both steps count down the same number, one after the other.
        debug_assert!(progress.parts > 0, "more parts ended than were begun");
        progress.parts = progress.parts.saturating_sub(1);
        if progress.parts > 0 {
            return self.store_waiting(parts, volume);
        }
        match &progress.worst {
            Some(PutOutcome::Refused(refusal)) => {
                let refusal = refusal.clone();
                self.refuse(parts.cx, volume, &refusal);
            }
            _ if is_storing => self.log(parts, volume),
            _ => {
                let progress = std::mem::take(progress);
                self.end(parts.cx, volume, progress);
            }
        }
    }

    /// All blocks are durable: now sequence number and head, in one write.
    fn log(&mut self, parts: &mut CommitParts<'_>, volume: VolumeId) {
        let Some(step) = self.step(volume) else { return };
        let CommitStep::Storing { head, progress, waiting } = std::mem::replace(step, CommitStep::Editing) else {
            return debug_assert!(false, "only what was stored is logged");
        };
        debug_assert!(waiting.is_empty(), "what waits is a part that has not ended");
        let under_replicated = is_under_replicated(parts, volume, &head);
        let is_logged = parts.heads.unpublished(volume).is_some_and(|own| own.head.id() == head.head.id());
        if under_replicated && is_logged {
            return self.keep_local(parts, volume, progress);
        }
        let mut entries: Vec<LogEntry> = match under_replicated {
            false => vec![LogEntry::Fact(Fact::from(head.head.clone()).raw())],
            true => entries_of(&head.head, &head.under_replicated).collect(),
        };
        if let Some(used) = parts.writer.use_up(&head.head) {
            entries.insert(0, LogEntry::Own(used));
        }
        *step = CommitStep::Logging { head, progress };
        parts.cx.disk(DiskRequest::Log { entries }, Waiter::Commit(CommitToken::Logged(volume)));
    }

    /// Number and head are durable here; or it is not known whether they are, and then the head is shown to nobody.
    pub fn on_logged(&mut self, parts: &mut CommitParts<'_>, volume: VolumeId, durable: bool) {
        parts.gossip.note_logged(parts.cx, durable);
        if !durable {
            return self.refuse(parts.cx, volume, &Refusal::HomeFailed);
        }
        let Some(step) = self.step(volume) else { return };
        let CommitStep::Logging { head, progress } = std::mem::replace(step, CommitStep::Editing) else {
            return debug_assert!(false, "a commit logs once");
        };
        let under_replicated = is_under_replicated(parts, volume, &head);
        let NewHead { head, under_replicated: mut blocks } = head;
        parts.heads.quarantine.note_good(parts.cx, volume, std::slice::from_ref(&head));
        // The new head includes the one before, so there is one at most.
        let before = parts.heads.take(volume);
        if under_replicated {
            blocks.extend(before.into_iter().flat_map(|before| before.under_replicated));
            parts.heads.keep(volume, head, blocks);
            self.keep_local(parts, volume, progress);
        } else {
            self.publish(parts, volume, head, progress);
        }
    }

    /// From here on everybody may see the head: its blocks have a quorum, and its number is in the log.
    fn publish(&mut self, parts: &mut CommitParts<'_>, volume: VolumeId, head: Signed<Head>, progress: CommitProgress) {
        debug_assert!(parts.heads.unpublished(volume).is_none(), "what is told is kept back no longer");
        let fact = Fact::from(head);
        let is_change = progress.outcomes.contains(&Ok(EditOutcome::Changed));
        match parts.cx.facts.insert(fact.clone()) {
            // Nobody else would keep it either.
            InsertOutcome::Invalid(_) | InsertOutcome::Crowded => {
                return self.refuse(parts.cx, volume, &Refusal::Busy);
            }
            // Another head says that it includes this operation, which nobody had seen: what was changed would not be shown.
            // The next try is made by another incarnation.
            InsertOutcome::Stale if is_change => return self.refuse(parts.cx, volume, &Refusal::Busy),
            _ => {}
        }
        // Logged already: it must not be logged and passed on a second time.
        parts.cx.facts.drain_new();
        parts.cx.facts_version += 1;
        let heads = match found_all_as_wanted(&progress.outcomes) {
            true => parts.cx.facts.heads(volume).into_iter().map(Fact::from).collect(),
            false => vec![fact.clone()],
        };
        // Its holders get it with the question whether it is durable, the others without.
        let holders = self.put_heads(parts, volume, &heads, progress);
        parts.gossip.announce(parts.cx, &fact, &holders);
    }

    /// Heads are small and their holders are asked at once; the answer waits for all of them. The servers that were asked.
    fn put_heads(
        &mut self,
        parts: &mut CommitParts<'_>,
        volume: VolumeId,
        heads: &[Fact],
        mut progress: CommitProgress,
    ) -> Vec<NodeId> {
        let Some(step) = self.step(volume) else { return Vec::new() };
        progress.parts = heads.len();
        *step = CommitStep::Publishing { progress };
        // The same for each: their holders are those of the volume's id.
        let mut holders = Vec::new();
        for head in heads {
            let item = PutItem::Head { fact: head.raw(), volume };
            holders = parts.puts.start(parts.cx, item, Waiter::Commit(CommitToken::Part(volume)));
        }
        holders
    }

    /// Too few servers have the tree, so nothing is published.
    fn keep_local(&mut self, parts: &mut CommitParts<'_>, volume: VolumeId, mut progress: CommitProgress) {
        // Also if its blocks are on one other server, and not here: without this node nobody knows of them.
        progress.worst = Some(local_only(parts.cx));
        if parts.cx.peers.any_up() {
            // As long as blocks get their copies the next ones follow; if none did, somebody is to come first.
            let pause_ms = if progress.replicated { PUBLISH_AFTER_MS } else { MERGE_AFTER_MS };
            parts.cx.wake_in(pause_ms, Timer::Merge(volume));
        }
        self.end(parts.cx, volume, progress);
    }

    /// Nothing to write: the edits found everything as they wanted it. The heads that say so must be durable all the same.
    pub(super) fn unchanged(
        &mut self,
        parts: &mut CommitParts<'_>,
        volume: VolumeId,
        outcomes: Vec<Result<EditOutcome, EditError>>,
    ) {
        let progress = CommitProgress { outcomes, ..CommitProgress::default() };
        if let Some(own) = parts.heads.unpublished(volume) {
            let head = NewHead::new(own.head.clone());
            return self.store(parts, volume, head, progress, Vec::new());
        }
        let heads: Vec<Fact> = match found_all_as_wanted(&progress.outcomes) {
            true => parts.cx.facts.heads(volume).into_iter().map(Fact::from).collect(),
            false => Vec::new(),
        };
        if heads.is_empty() {
            return self.end(parts.cx, volume, progress);
        }
        self.put_heads(parts, volume, &heads, progress);
    }
}

impl NewHead {
    pub(super) fn new(head: Signed<Head>) -> Self {
        Self { head, under_replicated: BTreeSet::new() }
    }
}

impl CommitProgress {
    /// The answer names the servers of whatever part has the fewest copies.
    fn is_as_durable_as(&mut self, outcome: PutOutcome) {
        self.worst = Some(match self.worst.take() {
            None => outcome,
            Some(worst) => worse(worst, outcome),
        });
    }
}

/// Whether too few servers have a block that this head needs.
fn is_under_replicated(parts: &CommitParts<'_>, volume: VolumeId, head: &NewHead) -> bool {
    let before = parts.heads.unpublished(volume).is_some_and(|own| !own.under_replicated.is_empty());
    before || !head.under_replicated.is_empty()
}

/// Some edit changed nothing, because the heads that stand say what it wanted to say.
fn found_all_as_wanted(outcomes: &[Result<EditOutcome, EditError>]) -> bool {
    outcomes.iter().any(|outcome| outcome == &Ok(EditOutcome::Unchanged))
}

/// The less durable of two outcomes.
fn worse(one: PutOutcome, other: PutOutcome) -> PutOutcome {
    let rank = |outcome: &PutOutcome| match outcome {
        PutOutcome::Refused(_) => (0, 0),
        PutOutcome::Degraded(copies) => (1, copies.servers.len()),
        PutOutcome::Stored(copies) => (2, copies.servers.len()),
    };
    if rank(&other) < rank(&one) { other } else { one }
}
