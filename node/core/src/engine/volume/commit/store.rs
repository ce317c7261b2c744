//! What a commit made becomes durable, is published, and is answered.

use std::collections::{BTreeSet, VecDeque};

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{Fact, Head};
use fsdfs_proto::ids::{BlockId, NodeId, VolumeId};
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::record::LogEntry;
use fsdfs_proto::signed::Signed;

use super::{CommitPart, CommitParts, CommitProgress, CommitRun, CommitStep, NewHead};
use crate::engine::blocks::PutItem;
use crate::engine::timers::Timer;
use crate::engine::volume::heads::{copies_in, entries_of, is_of_ended_epoch, local_only};
use crate::facts::InsertOutcome;
use crate::limits::{COMMIT_PUTS_UNDER_WAY_MAX, SHARED_SYNC_BLOCKS_MIN};
use crate::seam::{CommitToken, DiskRequest, GetOutcome, PutOutcome, Refusal, Waiter};
use crate::tree::{EditError, EditOutcome};

impl CommitRun<'_, '_> {
    /// Makes durable what the head needs: the blocks this commit made, and those of earlier ones that are under-replicated.
    pub(super) fn store(&mut self, head: NewHead, mut progress: CommitProgress, blocks: Vec<Block>) {
        // Their copies are worth as much to readers as those of the new ones: all of them stand below the head.
        let earlier = self.parts.heads.to_replicate(self.parts.cx, self.volume);
        let new = blocks.into_iter().map(CommitPart::New);
        let waiting: VecDeque<CommitPart> = new.chain(earlier.into_iter().map(CommitPart::Earlier)).collect();
        progress.parts = waiting.len();
        // Set before the first put: a put may end at once, and be counted down.
        let nothing_to_put = progress.parts == 0;
        let Some(step) = self.commits.step(self.volume) else { return };
        *step = CommitStep::Storing { head, progress, waiting };
        if nothing_to_put {
            return self.log();
        }
        self.store_waiting();
    }

    /// Begins as many of the parts that wait as may be under way at once: a thousand edits of deep paths make ten thousand blocks.
    fn store_waiting(&mut self) {
        let redundancy = Redundancy::Replicas(self.parts.cx.copies());
        let reserve = self.may_use_reserve();
        while let Some(CommitStep::Storing { progress, waiting, .. }) = self.commits.step(self.volume)
            && progress.parts - waiting.len() < COMMIT_PUTS_UNDER_WAY_MAX
            && let Some(part) = waiting.pop_front()
        {
            // The last one ends the holders' wait for more. Of a few blocks most holders would wait for one that others get.
            let more = !waiting.is_empty() && progress.parts >= SHARED_SYNC_BLOCKS_MIN;
            match part {
                CommitPart::New(block) => {
                    self.parts.gets.remember(&block);
                    // New by construction, so nobody is asked whether it is there.
                    let item = PutItem::Block { block, redundancy, probe: false, more, reserve };
                    self.parts.puts.start(self.parts.cx, item, Waiter::Commit(CommitToken::Part(self.volume)));
                }
                CommitPart::Earlier(id) => {
                    self.parts.gets.get(self.parts.cx, id, Waiter::Commit(CommitToken::Unreplicated(self.volume)));
                }
            }
        }
    }

    fn may_use_reserve(&self) -> bool {
        self.commits
            .0
            .get(&self.volume)
            .and_then(|commits| commits.running.as_ref())
            .is_some_and(|running| running.reserve)
    }

    /// A block or a head of the commit was put: the commit is as durable as that. If fewer servers have a block than it takes,
    /// the head is not published.
    pub fn on_part_put(&mut self, block: Option<BlockId>, outcome: PutOutcome) {
        let enough = self.parts.heads.publish_quorum(self.parts.cx, self.parts.liveness);
        match self.commits.step(self.volume) {
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
        self.part_ended();
    }

    /// A block of an earlier commit is here, to be put on more servers; or its holders are away, and it will be another time.
    pub fn on_unreplicated_block(&mut self, outcome: GetOutcome) {
        match outcome {
            GetOutcome::Found(block) => {
                let redundancy = Redundancy::Replicas(self.parts.cx.copies());
                // Of a tree that was acknowledged: it must get out, however full the others are. Only this node knows that somebody
                // wants it, so nobody else keeps its leases fresh.
                let item = PutItem::Block { block, redundancy, probe: true, more: false, reserve: true };
                self.parts.puts.start(self.parts.cx, item, Waiter::Commit(CommitToken::Replicated(self.volume)));
            }
            GetOutcome::NotFound { .. } => self.part_ended(),
        }
    }

    /// Such a block was put.
    pub fn on_replicated(&mut self, id: BlockId, outcome: &PutOutcome) {
        if copies_in(outcome) >= self.parts.heads.publish_quorum(self.parts.cx, self.parts.liveness) {
            self.parts.heads.note_replicated(self.volume, id);
            if let Some(CommitStep::Storing { progress, .. }) = self.commits.step(self.volume) {
                progress.replicated = true;
            }
        }
        self.part_ended();
    }

    /// Counts down; whoever is last takes the commit to its next step.
    fn part_ended(&mut self) {
        let (progress, is_storing) = match self.commits.step(self.volume) {
            Some(CommitStep::Storing { progress, .. }) => (progress, true),
            Some(CommitStep::Publishing { progress }) => (progress, false),
            _ => return,
        };
        // Both steps count down the same number, one after the other.
        debug_assert!(progress.parts > 0, "more parts ended than were begun");
        progress.parts = progress.parts.saturating_sub(1);
        if progress.parts > 0 {
            return self.store_waiting();
        }
        match &progress.worst {
            Some(PutOutcome::Refused(refusal)) => {
                let refusal = refusal.clone();
                self.commits.refuse(self.parts.cx, self.volume, &refusal);
            }
            _ if is_storing => self.log(),
            _ => {
                let progress = std::mem::take(progress);
                self.commits.end(self.parts.cx, self.volume, progress);
            }
        }
    }

    /// All blocks are durable: now sequence number and head, in one write.
    fn log(&mut self) {
        let Some(step) = self.commits.step(self.volume) else { return };
        let CommitStep::Storing { head, progress, waiting } = std::mem::replace(step, CommitStep::Editing) else {
            return debug_assert!(false, "only what was stored is logged");
        };
        debug_assert!(waiting.is_empty(), "what waits is a part that has not ended");
        let under_replicated = is_under_replicated(self.parts, self.volume, &head);
        let is_logged = self.parts.heads.unpublished(self.volume).is_some_and(|own| own.head.id() == head.head.id());
        if under_replicated && is_logged {
            return self.keep_local(progress);
        }
        let mut entries: Vec<LogEntry> = match under_replicated {
            false => vec![LogEntry::Fact(Fact::from(head.head.clone()).raw())],
            true => entries_of(&head.head, &head.under_replicated).collect(),
        };
        if let Some(used) = self.parts.writer.use_up(&head.head) {
            entries.insert(0, LogEntry::Own(used));
        }
        *step = CommitStep::Logging { head, progress };
        self.parts.cx.disk(DiskRequest::Log { entries }, Waiter::Commit(CommitToken::Logged(self.volume)));
    }

    /// Number and head are durable here; or it is not known whether they are, and then the head is shown to nobody.
    pub fn on_logged(&mut self, durable: bool) {
        self.parts.gossip.note_logged(self.parts.cx, durable);
        if !durable {
            return self.commits.refuse(self.parts.cx, self.volume, &Refusal::HomeFailed);
        }
        let Some(step) = self.commits.step(self.volume) else { return };
        let CommitStep::Logging { head, progress } = std::mem::replace(step, CommitStep::Editing) else {
            return debug_assert!(false, "a commit logs once");
        };
        let under_replicated = is_under_replicated(self.parts, self.volume, &head);
        let NewHead { head, under_replicated: mut blocks } = head;
        self.parts.heads.quarantine.note_good(self.parts.cx, self.volume, std::slice::from_ref(&head));
        self.parts.heads.history.note_head(self.parts.cx, &head);
        // The new head includes the one before, so there is one at most.
        let before = self.parts.heads.take(self.volume);
        // A new epoch began meanwhile: nobody else would go by it. It is brought into the new one, and is here only until then.
        if under_replicated || is_of_ended_epoch(self.parts.cx, &head) {
            blocks.extend(before.into_iter().flat_map(|before| before.under_replicated));
            self.parts.heads.keep_if_it_stands(self.parts.cx, self.volume, head, blocks);
            self.keep_local(progress);
        } else {
            self.publish(head, progress);
        }
    }

    /// From here on everybody may see the head: its blocks have a quorum, and its number is in the log.
    fn publish(&mut self, head: Signed<Head>, progress: CommitProgress) {
        debug_assert!(self.parts.heads.unpublished(self.volume).is_none(), "what is told is kept back no longer");
        let fact = Fact::from(head);
        let is_change = progress.outcomes.contains(&Ok(EditOutcome::Changed));
        match self.parts.cx.facts.insert(fact.clone()) {
            // Nobody else would keep it either.
            InsertOutcome::Invalid(_) | InsertOutcome::Crowded => {
                return self.commits.refuse(self.parts.cx, self.volume, &Refusal::Busy);
            }
            // Another head says that it includes this operation, which nobody had seen: what was changed would not be shown.
            // The next try is made by another incarnation.
            InsertOutcome::Stale if is_change => {
                return self.commits.refuse(self.parts.cx, self.volume, &Refusal::Busy);
            }
            _ => {}
        }
        // Logged already: it must not be logged and passed on a second time.
        self.parts.cx.facts.drain_new();
        self.parts.cx.facts_version += 1;
        self.parts.heads.note_published(self.parts.cx, self.volume);
        let heads = match found_all_as_wanted(&progress.outcomes) {
            true => self.parts.cx.facts.heads(self.volume).into_iter().map(Fact::from).collect(),
            false => vec![fact.clone()],
        };
        // Its holders get it with the question whether it is durable, the others without.
        let holders = self.put_heads(&heads, progress);
        self.parts.gossip.announce(self.parts.cx, &fact, &holders);
    }

    /// Heads are small and their holders are asked at once; the answer waits for all of them. The servers that were asked.
    fn put_heads(&mut self, heads: &[Fact], mut progress: CommitProgress) -> Vec<NodeId> {
        let Some(step) = self.commits.step(self.volume) else { return Vec::new() };
        progress.parts = heads.len();
        *step = CommitStep::Publishing { progress };
        // The same for each: their holders are those of the volume's id.
        let mut holders = Vec::new();
        for head in heads {
            let item = PutItem::Head { fact: head.raw(), volume: self.volume };
            holders = self.parts.puts.start(self.parts.cx, item, Waiter::Commit(CommitToken::Part(self.volume)));
        }
        holders
    }

    /// Too few servers have the tree, so nothing is published.
    fn keep_local(&mut self, mut progress: CommitProgress) {
        // Also if its blocks are on one other server, and not here: without this node nobody knows of them.
        progress.worst = Some(local_only(self.parts.cx));
        if self.parts.cx.peers.any_up() {
            let pause_ms = self.parts.heads.note_try(self.volume, self.parts.cx.now.mono, progress.replicated);
            self.parts.cx.wake_in(pause_ms, Timer::Merge(self.volume));
        }
        self.commits.end(self.parts.cx, self.volume, progress);
    }

    /// Nothing to write: the edits found everything as they wanted it. The heads that say so must be durable all the same.
    pub(super) fn unchanged(&mut self, outcomes: Vec<Result<EditOutcome, EditError>>) {
        let progress = CommitProgress { outcomes, ..CommitProgress::default() };
        if self.parts.heads.is_outdated(self.parts.cx, self.volume) {
            return self.keep_local(progress);
        }
        if let Some(own) = self.parts.heads.unpublished(self.volume) {
            let head = NewHead::new(own.head.clone());
            return self.store(head, progress, Vec::new());
        }
        let heads: Vec<Fact> = match found_all_as_wanted(&progress.outcomes) {
            true => self.parts.cx.facts.heads(self.volume).into_iter().map(Fact::from).collect(),
            false => Vec::new(),
        };
        if heads.is_empty() {
            return self.commits.end(self.parts.cx, self.volume, progress);
        }
        self.put_heads(&heads, progress);
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
