//! What a commit changes: the heads that stand, and the job that edits or merges them.

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::signed::Signed;

use crate::engine::{Engine, Reason, get, look};
use crate::limits::WORKING_SET_MAX;
use crate::report::Notice;
use crate::seam::{Effect, GetOutcome, Refusal, Token};
use crate::tree::{EditError, EditJob, EditOutcome, JobDone, MergeJob, TreeJob};

impl Engine {
    /// The heads of a majority, or of all that can be heard, are known: edit them.
    pub(in crate::engine) fn commit_heard(&mut self, volume: VolumeId, heard: look::Heard, out: &mut Vec<Effect>) {
        let heads = self.heads(volume);
        if heads.is_empty() && !(self.ready() && (heard.majority || self.alone())) {
            return self.commit_refused(volume, &Refusal::NotYet, out);
        }
        self.confirm_writer(heard);
        let Some(keys) = self.keys.get(&volume).cloned() else {
            return self.commit_refused(volume, &Refusal::NoKey, out);
        };
        let (pool, copies, params) = (self.pool, self.facts.rules().copies, self.params);
        let own = self.next_dot();
        let hlc = self.stamp();
        let told = !self.unpublished.contains_key(&volume);
        let Some(commits) = self.commits.get_mut(&volume) else { return };
        let Some(running) = &mut commits.running else { return };
        let blocks = commits.recent.clone();
        let merge_only = running.edits.is_empty() && !heads.is_empty();
        // What is not told yet is told as it is; whoever hears it may merge.
        if merge_only && (heads.len() < 2 || !told) {
            return self.commit_unchanged(volume, out);
        }
        let job = if merge_only {
            TreeJob::Merge(MergeJob { keys, pool, heads, copies, params, blocks })
        } else {
            let edits = running.edits.clone();
            TreeJob::Edit(EditJob { keys, pool, heads, edits, dot: (own.writer, own.seq), hlc, copies, params, blocks })
        };
        running.job = Some(job.clone());
        out.push(Effect::Work { job: Box::new(job), why: Token(Reason::CommitJob(volume)) });
    }

    pub(in crate::engine) fn commit_job_done(&mut self, volume: VolumeId, done: JobDone, out: &mut Vec<Effect>) {
        match done {
            JobDone::Missing(ids) => self.commit_fetch(volume, &ids, out),
            JobDone::Edited { blocks, head, outcomes } => self.commit_made(volume, blocks, head, outcomes, out),
            JobDone::Merged { blocks, head } => self.commit_made(volume, blocks, Some(head), Vec::new(), out),
            JobDone::Failed(error) => {
                out.push(Effect::Notice(Notice::BadTree { volume, error: error.clone() }));
                self.commit_refused(volume, &Refusal::BadTree(error), out);
            }
            JobDone::Queried(_) | JobDone::Walked(_) => debug_assert!(false, "a commit's job looked or walked"),
        }
    }

    fn commit_fetch(&mut self, volume: VolumeId, ids: &[BlockId], out: &mut Vec<Effect>) {
        if let Some(running) = self.running(volume) {
            running.missing = ids.iter().copied().collect();
            for id in ids {
                self.get(*id, get::Waiter::Commit(volume), out);
            }
        }
    }

    pub(in crate::engine) fn commit_fetched(
        &mut self,
        volume: VolumeId,
        id: BlockId,
        outcome: GetOutcome,
        out: &mut Vec<Effect>,
    ) {
        if !self.running(volume).is_some_and(|running| running.missing.contains(&id)) {
            // An earlier commit wanted it, and was refused for another block that is nowhere.
            return;
        }
        let block = match outcome {
            GetOutcome::Found(block) => block,
            GetOutcome::NotFound { away } => {
                return self.commit_refused(volume, &Refusal::Unreachable { block: id, away }, out);
            }
        };
        self.cache.put(&block);
        let Some(running) = self.running(volume) else { return };
        let Some(job) = &mut running.job else { return };
        job.give([block]);
        if running.missing.remove(&id) && running.missing.is_empty() {
            out.push(Effect::Work { job: Box::new(job.clone()), why: Token(Reason::CommitJob(volume)) });
        }
    }

    fn commit_made(
        &mut self,
        volume: VolumeId,
        blocks: Vec<Block>,
        head: Option<Signed<Head>>,
        outcomes: Vec<Result<EditOutcome, EditError>>,
        out: &mut Vec<Effect>,
    ) {
        let Some(commits) = self.commits.get_mut(&volume) else { return };
        let Some(running) = &mut commits.running else { return };
        running.outcomes = outcomes;
        let Some(head) = head else { return self.commit_unchanged(volume, out) };
        running.head = Some(head);
        commits.recent = running.job.take().map(|mut job| std::mem::take(job.blocks_mut())).unwrap_or_default();
        if commits.recent.len() > WORKING_SET_MAX {
            commits.recent.clear();
        }
        commits.recent.extend(blocks.iter().map(|block| (block.id(), block.clone())));
        self.commit_store(volume, blocks, out);
    }
}
