//! What a commit changes: the heads that stand, and the job that edits or merges them.

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, VolumeId};

use super::{CommitParts, CommitProgress, CommitStep, Commits, NewHead};
use crate::engine::context::Context;
use crate::engine::event::HeardHeads;
use crate::limits::WORKING_SET_MAX;
use crate::report::Notice;
use crate::seam::{CommitToken, GetOutcome, Refusal, Waiter};
use crate::tree::{BlockMap, EditJob, JobDone, MergeJob, TreeJob};

impl Commits {
    /// The heads of a majority, or of all that can be heard, are known: edit them.
    pub fn on_heads(&mut self, parts: &mut CommitParts<'_>, volume: VolumeId, heard: HeardHeads) {
        let heads = parts.heads.to_commit(parts.cx, volume);
        // What cannot be opened yet must not be covered; the next commit has it.
        if heads.is_empty() && !parts.heads.current(parts.cx, volume).is_empty() {
            return self.refuse(parts.cx, volume, &Refusal::NoKey);
        }
        if heads.is_empty() && !(parts.cx.ready() && (heard.majority || parts.cx.alone())) {
            return self.refuse(parts.cx, volume, &Refusal::NotYet);
        }
        // Before the dot is drawn: an incarnation that others saw more of must not go on.
        parts.writer.confirm(parts.cx, parts.heads, heard);
        let Some(keys) = parts.cx.keys.get(&volume).cloned() else {
            return self.refuse(parts.cx, volume, &Refusal::NoKey);
        };
        let is_outdated = parts.heads.is_outdated(parts.cx, volume);
        let publishes = parts.heads.unpublished(volume).is_some() && !is_outdated;
        if keys.writer().is_none() && !publishes {
            let refusal = parts.cx.lacks_write_key();
            return self.refuse(parts.cx, volume, &refusal);
        }
        // Drawn also for a merge, which does not use it up.
        let own = parts.writer.next_dot(parts.cx);
        let hlc = parts.writer.stamp(parts.cx);
        let Some(commits) = self.0.get_mut(&volume) else { return };
        // Blocks are immutable: at worst some are not needed.
        let blocks = commits.recent.clone();
        let Some(CommitStep::Asking { edits }) = commits.running.as_mut().map(|running| &mut running.step) else {
            return;
        };
        let edits = std::mem::take(edits);
        let merge_only = edits.is_empty() && !heads.is_empty();
        // What is not published yet is published as it is; whoever hears of it may merge.
        if merge_only && (heads.len() < 2 || publishes) {
            return self.unchanged(parts, volume, Vec::new());
        }
        let (pool, copies, params) = (parts.cx.pool, parts.cx.copies(), parts.cx.params);
        let job = if merge_only {
            TreeJob::Merge(MergeJob { keys, pool, heads, copies, params, blocks })
        } else {
            TreeJob::Edit(EditJob { keys, pool, heads, edits, dot: (own.writer, own.seq), hlc, copies, params, blocks })
        };
        self.run_job(parts.cx, volume, Box::new(job));
    }

    /// From [`CommitStep::Asking`] or [`CommitStep::Fetching`]. The job is away until it comes home, and nobody else touches the
    /// heads it works on.
    fn run_job(&mut self, cx: &mut Context, volume: VolumeId, job: Box<TreeJob>) {
        if let Some(step) = self.step(volume) {
            *step = CommitStep::Editing;
            cx.work(job, Waiter::Commit(CommitToken::Job(volume)));
        }
    }

    /// The job came home.
    pub fn on_job_done(&mut self, parts: &mut CommitParts<'_>, volume: VolumeId, mut job: Box<TreeJob>, done: JobDone) {
        debug_assert!(matches!(self.step(volume), None | Some(CommitStep::Editing)), "one job at a time");
        match done {
            JobDone::Missing(ids) => self.fetch(parts, volume, job, &ids),
            JobDone::Edited { head: None, outcomes, .. } => self.unchanged(parts, volume, outcomes),
            JobDone::Edited { blocks, head: Some(head), outcomes } => {
                self.keep_recent(volume, std::mem::take(job.blocks_mut()), &blocks);
                let progress = CommitProgress { outcomes, ..CommitProgress::default() };
                self.store(parts, volume, NewHead::new(head), progress, blocks);
            }
            JobDone::Merged { blocks, head } => {
                self.keep_recent(volume, std::mem::take(job.blocks_mut()), &blocks);
                self.store(parts, volume, NewHead::new(head), CommitProgress::default(), blocks);
            }
            // Nobody can write here until somebody has looked at it, so the owner is told.
            JobDone::Failed(error) => {
                parts.cx.notice(Notice::BadTree { volume, error: error.clone() });
                self.refuse(parts.cx, volume, &Refusal::BadTree(error));
            }
            JobDone::Queried { .. } | JobDone::Walked(_) => debug_assert!(false, "a commit's job queried or walked"),
        }
    }

    /// The job came home for blocks.
    fn fetch(&mut self, parts: &mut CommitParts<'_>, volume: VolumeId, job: Box<TreeJob>, ids: &[BlockId]) {
        let Some(step) = self.step(volume) else { return };
        debug_assert!(!ids.is_empty(), "a job that lacks nothing ends");
        *step = CommitStep::Fetching { job, missing: ids.iter().copied().collect() };
        for id in ids {
            parts.gets.get(parts.cx, *id, Waiter::Commit(CommitToken::Block(volume)));
        }
    }

    /// A block that the job lacks; or that an earlier commit lacked, which was refused for another block that is nowhere.
    pub fn on_block(&mut self, parts: &mut CommitParts<'_>, volume: VolumeId, id: BlockId, outcome: GetOutcome) {
        let Some(CommitStep::Fetching { job, missing }) = self.step(volume) else { return };
        if !missing.contains(&id) {
            return;
        }
        let block = match outcome {
            GetOutcome::Found(block) => block,
            GetOutcome::NotFound { away } => {
                return self.refuse(parts.cx, volume, &Refusal::Unreachable { block: id, away });
            }
        };
        debug_assert_eq!(block.id(), id, "a read gives what it was asked for");
        parts.gets.remember(&block);
        job.give([block]);
        missing.remove(&id);
        if missing.is_empty()
            && let Some(step) = self.step(volume)
            && let CommitStep::Fetching { job, .. } = std::mem::replace(step, CommitStep::Editing)
        {
            self.run_job(parts.cx, volume, job);
        }
    }

    /// What the next job most likely needs: all that this one used, as long as that is little, and what it made.
    fn keep_recent(&mut self, volume: VolumeId, used: BlockMap, made: &[Block]) {
        let Some(commits) = self.0.get_mut(&volume) else { return };
        commits.recent = used;
        if commits.recent.len() > WORKING_SET_MAX {
            commits.recent = BlockMap::new();
        }
        commits.recent.extend(made.iter().map(|block| (block.id(), block.clone())));
    }
}
