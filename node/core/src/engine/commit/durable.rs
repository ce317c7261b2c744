//! What a commit made becomes durable, is told, and is answered.

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{Fact, Head};
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::record::LogEntry;
use fsdfs_proto::signed::Signed;

use crate::engine::publish::{Unpublished, copies_in, entries_of};
use crate::engine::timers::Timer;
use crate::engine::{Engine, Reason, disk, get, reply};
use crate::facts::InsertOutcome;
use crate::limits::MERGE_AFTER_MS;
use crate::seam::{Copies, DiskRequest, EditReply, Effect, PutOutcome, Refusal, Reply};

impl Engine {
    /// Makes durable what the head needs: the blocks this commit made, and those of earlier ones that are thin.
    pub(super) fn commit_store(&mut self, volume: VolumeId, blocks: Vec<Block>, out: &mut Vec<Effect>) {
        let thin = self.thin_to_put(volume);
        let copies = self.facts.rules().copies;
        let Some(running) = self.running(volume) else { return };
        running.parts = blocks.len() + thin.len();
        if running.parts == 0 {
            return self.commit_log(volume, out);
        }
        for block in blocks {
            self.cache.put(&block);
            self.put_tree_block(block, copies, volume, out);
        }
        for id in thin {
            self.get(id, get::Waiter::Thin(volume), out);
        }
    }

    /// A block that the commit made was put; on fewer servers than it takes, the head is not told.
    pub(in crate::engine) fn commit_block_put(
        &mut self,
        volume: VolumeId,
        id: BlockId,
        outcome: PutOutcome,
        out: &mut Vec<Effect>,
    ) {
        let enough = self.enough();
        if let Some(running) = self.running(volume)
            && copies_in(&outcome) < enough
        {
            running.thin.insert(id);
        }
        self.commit_part_put(volume, outcome, out);
    }

    /// A block or head of the commit was put: it is as durable as that.
    pub(in crate::engine) fn commit_part_put(&mut self, volume: VolumeId, outcome: PutOutcome, out: &mut Vec<Effect>) {
        if let Some(running) = self.running(volume) {
            running.is_as_durable_as(outcome);
        }
        self.commit_part_ended(volume, out);
    }

    pub(in crate::engine) fn commit_part_ended(&mut self, volume: VolumeId, out: &mut Vec<Effect>) {
        let Some(running) = self.running(volume) else { return };
        running.parts = running.parts.saturating_sub(1);
        if running.parts > 0 {
            return;
        }
        match (&running.worst, running.logged) {
            (Some(PutOutcome::Refused(refusal)), _) => {
                let refusal = refusal.clone();
                self.commit_refused(volume, &refusal, out);
            }
            (_, false) => self.commit_log(volume, out),
            (_, true) => self.commit_end(volume, out),
        }
    }

    /// All blocks are durable: now sequence number and head, in one write.
    pub(super) fn commit_log(&mut self, volume: VolumeId, out: &mut Vec<Effect>) {
        let is_thin = self.is_thin(volume);
        let Some(running) = self.running(volume) else { return };
        let Some(head) = running.head.clone() else { return };
        let mut entries: Vec<LogEntry> = match is_thin {
            false => vec![LogEntry::Fact(Fact::from(head.clone()).raw())],
            true => entries_of(&head, &running.thin).collect(),
        };
        let is_logged = self.unpublished.get(&volume).is_some_and(|own| own.head.id() == head.id());
        if is_thin && is_logged {
            return self.commit_kept_here(volume, out);
        }
        if let Some(seq) = self.own_seq_in(&head) {
            entries.insert(0, LogEntry::Own(seq));
            self.writer.own = Some(seq);
        }
        out.push(disk(DiskRequest::Log { entries }, Reason::CommitLogged(volume)));
    }

    /// Whether too few servers have a block that the head of the running commit needs.
    fn is_thin(&mut self, volume: VolumeId) -> bool {
        let before = self.unpublished.get(&volume).is_some_and(|own| !own.thin.is_empty());
        before || self.running(volume).is_some_and(|running| !running.thin.is_empty())
    }

    pub(in crate::engine) fn commit_logged(&mut self, volume: VolumeId, fine: bool, out: &mut Vec<Effect>) {
        self.logged(fine, out);
        if !fine {
            return self.commit_refused(volume, &Refusal::HomeFailed, out);
        }
        let is_thin = self.is_thin(volume);
        let Some(running) = self.running(volume) else { return };
        running.logged = true;
        let Some(head) = running.head.clone() else { return };
        let mut thin = std::mem::take(&mut running.thin);
        let before = self.unpublished.remove(&volume);
        if is_thin {
            thin.extend(before.into_iter().flat_map(|before| before.thin));
            self.unpublished.insert(volume, Unpublished { head, thin });
            self.commit_kept_here(volume, out);
        } else {
            self.commit_publish(volume, head, out);
        }
    }

    fn commit_publish(&mut self, volume: VolumeId, head: Signed<Head>, out: &mut Vec<Effect>) {
        let fact = Fact::from(head);
        if matches!(self.facts.insert(fact.clone()), InsertOutcome::Invalid(_)) {
            // Nobody else would keep it either.
            return self.commit_refused(volume, &Refusal::Busy, out);
        }
        self.facts.drain_new();
        self.facts_version += 1;
        self.announce(&fact, out);
        let Some(running) = self.running(volume) else { return };
        let others = running.found_all_as_wanted();
        let heads = if others { self.facts.heads(volume).into_iter().map(Fact::from).collect() } else { vec![fact] };
        self.commit_put_heads(volume, &heads, out);
    }

    fn commit_put_heads(&mut self, volume: VolumeId, heads: &[Fact], out: &mut Vec<Effect>) {
        if let Some(running) = self.running(volume) {
            running.parts = heads.len();
        }
        for head in heads {
            self.put_fact(head.raw(), volume, out);
        }
    }

    /// Too few servers have the tree, so nobody is told.
    fn commit_kept_here(&mut self, volume: VolumeId, out: &mut Vec<Effect>) {
        let here = self.here_only();
        if let Some(running) = self.running(volume) {
            // Also if its blocks are on one other server, and not here: without this node nobody knows of them.
            running.worst = Some(here);
        }
        if !self.up_peers().is_empty() {
            self.timers.set(self.now.mono + MERGE_AFTER_MS, Timer::Merge(volume));
        }
        self.commit_end(volume, out);
    }

    /// Nothing to write: the edits found everything as they wanted it. The heads that say so must be durable all the same.
    pub(super) fn commit_unchanged(&mut self, volume: VolumeId, out: &mut Vec<Effect>) {
        let own = self.unpublished.get(&volume).map(|own| own.head.clone());
        let Some(running) = self.running(volume) else { return };
        if own.is_some() {
            running.head = own;
            return self.commit_store(volume, Vec::new(), out);
        }
        running.logged = true;
        let heads: Vec<Fact> = match running.found_all_as_wanted() {
            true => self.facts.heads(volume).into_iter().map(Fact::from).collect(),
            false => Vec::new(),
        };
        if heads.is_empty() {
            return self.commit_end(volume, out);
        }
        self.commit_put_heads(volume, &heads, out);
    }

    pub(super) fn commit_end(&mut self, volume: VolumeId, out: &mut Vec<Effect>) {
        let Some(running) = self.commits.get_mut(&volume).and_then(|commits| commits.running.take()) else { return };
        let nothing = PutOutcome::Stored(Copies::default());
        let outcome = running.worst.unwrap_or(nothing);
        let mut outcomes = running.outcomes.into_iter();
        for (op, count) in running.ops {
            let edits: Vec<_> = outcomes.by_ref().take(count).collect();
            if let Some(op) = op {
                out.push(reply(op, Reply::Edit(EditReply { outcome: outcome.clone(), edits })));
            }
        }
        self.commit_next(volume);
    }

    pub(super) fn commit_refused(&mut self, volume: VolumeId, refusal: &Refusal, out: &mut Vec<Effect>) {
        let Some(running) = self.commits.get_mut(&volume).and_then(|commits| commits.running.take()) else { return };
        for op in running.ops.iter().filter_map(|(op, _)| *op) {
            let edits = Vec::new();
            out.push(reply(op, Reply::Edit(EditReply { outcome: PutOutcome::Refused(refusal.clone()), edits })));
        }
        self.commit_next(volume);
    }

    fn commit_next(&mut self, volume: VolumeId) {
        if self.commits.get(&volume).is_some_and(|commits| !commits.queue.is_empty()) {
            self.timers.set(self.now.mono + 1, Timer::Commit(volume));
        }
    }
}
