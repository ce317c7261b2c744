//! What a commit changes: the heads that stand, and the job that edits or merges them.

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::{BlockKind, kind_of};

use super::{CommitParts, CommitProgress, CommitRun, CommitStep, NewHead};
use crate::engine::event::HeardHeads;
use crate::engine::volume::heads::commits_in;
use crate::engine::volume::quarantine::HeadUse;
use crate::limits::{JOB_ROUNDS_MAX, WORKING_SET_MAX};
use crate::report::Notice;
use crate::seam::{CommitToken, GetOutcome, Refusal, VolumeChange, Waiter};
use crate::tree::{BlockAbsence, BlockMap, EditJob, HeadFault, JobDone, MergeJob, TreeError, TreeJob};

impl CommitRun<'_, '_> {
    /// The heads of a majority, or of all that can be heard, are known: edit them.
    pub fn on_heads(&mut self, heard: HeardHeads) {
        let heads = self.parts.heads.to_commit(self.parts.cx, self.volume);
        if let Some(error) = unusable(self.parts, self.volume, &heads) {
            return self.fail(error);
        }
        // What cannot be opened yet must not be covered; the next commit has it.
        if heads.is_empty() && !self.parts.heads.current(self.parts.cx, self.volume).is_empty() {
            return self.commits.refuse(self.parts.cx, self.volume, &Refusal::NoKey);
        }
        if heads.is_empty() && !(self.parts.cx.ready() && (heard.majority || self.parts.cx.alone())) {
            return self.commits.refuse(self.parts.cx, self.volume, &Refusal::NotYet);
        }
        // Before the dot is drawn: an incarnation that others saw more of must not go on.
        self.parts.writer.confirm(self.parts.cx, self.parts.heads, heard);
        let Some(keys) = self.parts.cx.keys.get(&self.volume).cloned() else {
            return self.commits.refuse(self.parts.cx, self.volume, &Refusal::NoKey);
        };
        let is_outdated = self.parts.heads.is_outdated(self.parts.cx, self.volume);
        let publishes = self.parts.heads.unpublished(self.volume).is_some() && !is_outdated;
        if keys.writer().is_none() && !publishes {
            let refusal = self.parts.cx.lacks_write_key();
            return self.commits.refuse(self.parts.cx, self.volume, &refusal);
        }
        // Drawn also for a merge, which does not use it up.
        let own = self.parts.writer.next_dot(self.parts.cx, self.parts.heads);
        let hlc = self.parts.writer.stamp(self.parts.cx);
        let Some(commits) = self.commits.0.get_mut(&self.volume) else { return };
        // Blocks are immutable: at worst some are not needed.
        let blocks = commits.recent.clone();
        let Some(CommitStep::Asking(change)) = commits.running.as_mut().map(|running| &mut running.step) else {
            return;
        };
        let VolumeChange { edits, work } = std::mem::take(change);
        let merge_only = edits.is_empty() && !heads.is_empty();
        let terms = self.parts.heads.terms(self.parts.cx, self.volume, &heads);
        // A new epoch began without it, and from nothing else that is anywhere: no merge brings it there.
        let is_brought = commits_in(&heads) == 1 && self.parts.heads.is_left_out_alone(self.parts.cx, self.volume);
        // What is not published yet is published as it is; whoever hears of it may merge.
        if merge_only && (commits_in(&heads) < 2 && !is_brought || publishes) && terms.covered.is_empty() {
            return self.unchanged(Vec::new());
        }
        let (pool, copies, params) = (self.parts.cx.pool, self.parts.cx.copies(), self.parts.cx.params);
        let author = self.parts.cx.key.clone();
        // To make an end of a head that nobody can read is an operation: no merge of what can be read includes it.
        let job = if merge_only && terms.covered.is_empty() && !is_brought {
            TreeJob::Merge(MergeJob { keys, pool, author, heads, copies, params, terms, blocks })
        } else {
            let dot = (own.writer, own.seq);
            TreeJob::Edit(EditJob { keys, pool, author, heads, edits, work, dot, hlc, copies, params, terms, blocks })
        };
        self.run_job(Box::new(job));
    }

    /// The job found heads that it cannot use: it is made again, with those that are left.
    fn on_bad_heads(&mut self, mut job: Box<TreeJob>, faults: Vec<(BlockId, HeadFault)>) {
        let named: Vec<BlockId> = faults.iter().map(|(id, _)| *id).collect();
        if let Some(error) =
            self.parts.heads.quarantine.note_bad(self.parts.cx, self.volume, job.heads(), faults, HeadUse::Write)
        {
            return self.fail(error);
        }
        let left = self.parts.heads.to_commit(self.parts.cx, self.volume);
        if let Some(error) = unusable(self.parts, self.volume, &left) {
            return self.fail(error);
        }
        // One that is given again would be named again, for ever.
        let is_again = left.iter().any(|head| named.contains(&BlockId::of(&head.value().commit)));
        debug_assert!(!is_again, "a quarantined head reaches no job");
        if is_again || left.is_empty() {
            return self.commits.refuse(self.parts.cx, self.volume, &Refusal::NotYet);
        }
        let mut new_terms = self.parts.heads.terms(self.parts.cx, self.volume, &left);
        match &mut *job {
            TreeJob::Edit(EditJob { heads, terms, .. }) => {
                new_terms.absent = std::mem::take(&mut terms.absent);
                (*heads, *terms) = (left, new_terms);
            }
            // The next one covers what can be covered.
            TreeJob::Merge(_) if commits_in(&left) < 2 => return self.unchanged(Vec::new()),
            TreeJob::Merge(MergeJob { heads, terms, .. }) => {
                new_terms.absent = std::mem::take(&mut terms.absent);
                (*heads, *terms) = (left, new_terms);
            }
            TreeJob::Query(_) | TreeJob::Walk(_) => return debug_assert!(false, "a commit's job edits or merges"),
        }
        self.run_job(job);
    }

    /// Nothing can be written on top of what stands. Whoever is asked for it is told why.
    fn fail(&mut self, error: TreeError) {
        if let TreeError::Absent(block, _) = error {
            let away = self.commits.0.get(&self.volume).and_then(|commits| commits.running.as_ref());
            let away = away.map(|running| running.away.iter().copied().collect()).unwrap_or_default();
            return self.commits.refuse(self.parts.cx, self.volume, &Refusal::Unreachable { block, away });
        }
        self.parts.cx.notice(Notice::BadTree { volume: self.volume, error: error.clone() });
        self.commits.refuse(self.parts.cx, self.volume, &Refusal::BadTree(error));
    }

    /// From [`CommitStep::Asking`] or [`CommitStep::Fetching`]. The job is away until it comes home, and nobody else touches the
    /// heads it works on.
    fn run_job(&mut self, job: Box<TreeJob>) {
        if let Some(step) = self.commits.step(self.volume) {
            *step = CommitStep::Editing;
            self.parts.cx.work(job, Waiter::Commit(CommitToken::Job(self.volume)));
        }
    }

    /// The job came home.
    pub fn on_job_done(&mut self, mut job: Box<TreeJob>, done: JobDone) {
        debug_assert!(matches!(self.commits.step(self.volume), None | Some(CommitStep::Editing)), "one job at a time");
        match done {
            JobDone::Missing(ids) => self.fetch(job, &ids),
            JobDone::BadHeads(faults) => self.on_bad_heads(job, faults),
            JobDone::Edited { head: None, outcomes, .. } => {
                self.parts.heads.quarantine.note_good(self.parts.cx, self.volume, job.heads());
                self.unchanged(outcomes);
            }
            JobDone::Edited { blocks, head: Some(head), outcomes } => {
                self.parts.heads.quarantine.note_good(self.parts.cx, self.volume, job.heads());
                self.keep_recent(std::mem::take(job.blocks_mut()), &blocks);
                let progress = CommitProgress { outcomes, ..CommitProgress::default() };
                self.store(NewHead::new(head), progress, blocks);
            }
            JobDone::Merged { blocks, head } => {
                self.parts.heads.quarantine.note_good(self.parts.cx, self.volume, job.heads());
                self.keep_recent(std::mem::take(job.blocks_mut()), &blocks);
                self.store(NewHead::new(head), CommitProgress::default(), blocks);
            }
            JobDone::Failed(error) => self.fail(error),
            JobDone::Queried { .. } | JobDone::Walked(_) => debug_assert!(false, "a commit's job queried or walked"),
        }
    }

    /// The job came home for blocks.
    fn fetch(&mut self, job: Box<TreeJob>, ids: &[BlockId]) {
        debug_assert!(!ids.is_empty(), "a job that lacks nothing ends");
        let Some(running) = self.commits.0.get_mut(&self.volume).and_then(|commits| commits.running.as_mut()) else {
            return;
        };
        running.rounds += 1;
        if running.rounds > JOB_ROUNDS_MAX {
            running.rounds = 0;
            let quarantine = &self.parts.heads.quarantine;
            let good = quarantine.terms(self.parts.cx, self.volume, &[]).good;
            let new = job.heads().iter().filter(|head| good.iter().all(|other| other.id() != head.id()));
            let faults: Vec<_> = new.map(|head| (BlockId::of(&head.value().commit), HeadFault::TooCostly)).collect();
            return match faults.is_empty() {
                true => self.fail(TreeError::TooCostly),
                false => self.on_bad_heads(job, faults),
            };
        }
        let Some(step) = self.commits.step(self.volume) else { return };
        *step = CommitStep::Fetching { job, missing: ids.iter().copied().collect() };
        for id in ids {
            self.parts.gets.get(self.parts.cx, *id, Waiter::Commit(CommitToken::Block(self.volume)));
        }
    }

    /// A block that the job lacks; or that an earlier commit lacked, which was refused for another block that is nowhere.
    pub fn on_block(&mut self, id: BlockId, outcome: GetOutcome) {
        let Some(CommitStep::Fetching { job, missing }) = self.commits.step(self.volume) else { return };
        if !missing.contains(&id) {
            return;
        }
        let mut unreachable = Vec::new();
        match outcome {
            GetOutcome::Found(block) => {
                debug_assert_eq!(block.id(), id, "a read gives what it was asked for");
                self.parts.gets.remember(&block);
                self.parts.heads.history.note_block(self.parts.cx, self.volume, block.bytes());
                job.give([block]);
            }
            // The job says whether it can do without.
            GetOutcome::NotFound { away, nowhere } => {
                let absence = if nowhere { BlockAbsence::Nowhere } else { BlockAbsence::Away };
                self.parts.heads.history.note_absent(self.parts.cx, self.volume, id, absence);
                job.lacks(id, absence);
                unreachable = away;
            }
        }
        missing.remove(&id);
        let is_complete = missing.is_empty();
        if let Some(running) = self.commits.0.get_mut(&self.volume).and_then(|commits| commits.running.as_mut()) {
            running.away.extend(unreachable);
        }
        if is_complete
            && let Some(step) = self.commits.step(self.volume)
            && let CommitStep::Fetching { job, .. } = std::mem::replace(step, CommitStep::Editing)
        {
            self.run_job(job);
        }
    }

    /// What the next job most likely needs: all that this one used, as long as that is little, and what it made.
    fn keep_recent(&mut self, used: BlockMap, made: &[Block]) {
        let Some(commits) = self.commits.0.get_mut(&self.volume) else { return };
        commits.recent = used;
        // Of earlier states what matters is noted.
        commits.recent.retain(|_, block| kind_of(block.bytes()) != Some(BlockKind::Commit));
        if commits.recent.len() > WORKING_SET_MAX {
            commits.recent = BlockMap::new();
        }
        commits.recent.extend(made.iter().map(|block| (block.id(), block.clone())));
    }
}

/// Why a volume in which heads stand has none that can be used. Then nothing is written: an empty tree on top of them would be
/// the end of what they hold.
fn unusable(parts: &CommitParts<'_>, volume: VolumeId, heads: &[Signed<Head>]) -> Option<TreeError> {
    let is_stuck = heads.is_empty() && !parts.heads.standing(parts.cx, volume).is_empty();
    is_stuck.then(|| parts.heads.quarantine.first_fault(volume)).flatten()
}
