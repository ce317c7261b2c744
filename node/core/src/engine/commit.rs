//! Changing a volume: one commit at a time per volume and node, many edits in each.
//!
//! A commit goes through these steps, and what comes in meanwhile waits for the next one:
//! hear the heads that stand → edit (a job; fetch what it lacks) → tree blocks durable → sequence number and head durable
//! in the own log → if enough servers have the tree: head told and durable at its holders → answer.

use std::collections::{BTreeSet, VecDeque};

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{Fact, Head};
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::record::LogEntry;
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::CommitView;

use super::publish::{Unpublished, copies_in, entries_of};
use super::timers::Timer;
use super::{Engine, Reason, disk, get, look, reply};
use crate::limits::{
    ALONE_MS, CLOCK_OFF_MS_MAX, EDITS_PER_COMMIT_MAX, EDITS_QUEUED_MAX, GROUP_COMMIT_MS, INLINE_PER_COMMIT_MAX,
    MERGE_AFTER_MS, WORKING_SET_MAX,
};
use crate::seam::{Copies, DiskRequest, EditReply, Effect, GetOutcome, OpId, PutOutcome, Refusal, Reply, Why};
use crate::tree::{Blocks, Content, Edit, EditError, EditJob, EditOutcome, Job, JobDone, MergeJob};

/// Commits of one volume.
#[derive(Default)]
pub(super) struct Commits {
    queue: VecDeque<Asked>,
    queued: usize,
    running: Option<Running>,
    /// Blocks the last job used or made: the next one most likely needs them.
    recent: Blocks,
}

struct Asked {
    op: Option<OpId>,
    edits: Vec<Edit>,
}

/// The commit under way.
struct Running {
    ops: Vec<(Option<OpId>, usize)>,
    edits: Vec<Edit>,
    job: Option<Job>,
    missing: BTreeSet<BlockId>,
    outcomes: Vec<Result<EditOutcome, EditError>>,
    head: Option<Signed<Head>>,
    /// Blocks and heads that are not durable yet.
    parts: usize,
    /// Blocks it made that too few servers have.
    thin: BTreeSet<BlockId>,
    worst: Option<PutOutcome>,
    logged: bool,
}

impl Commits {
    pub fn forget(&mut self, op: OpId) {
        // What is queued does not happen; what is under way does, unseen.
        self.queue.retain(|asked| asked.op != Some(op));
        self.queued = self.queue.iter().map(|asked| asked.edits.len()).sum();
        for (waiting, _) in self.running.iter_mut().flat_map(|running| &mut running.ops) {
            if *waiting == Some(op) {
                *waiting = None;
            }
        }
    }
}

impl Engine {
    pub(super) fn edit(&mut self, op: OpId, volume: VolumeId, edits: Vec<Edit>, out: &mut Vec<Effect>) {
        let commits = self.commits.entry(volume).or_default();
        if commits.queued + edits.len() > EDITS_QUEUED_MAX {
            return out.push(reply(op, Reply::Refused(Refusal::Busy)));
        }
        commits.queued += edits.len();
        commits.queue.push_back(Asked { op: Some(op), edits });
        self.commit_soon(volume);
    }

    /// The founder's volume gets its genesis commit as soon as it can be made.
    pub(super) fn begin_volumes(&mut self) {
        let volumes: Vec<VolumeId> = self.keys.keys().copied().collect();
        for volume in volumes {
            if self.ready() && self.heads(volume).is_empty() {
                let commits = self.commits.entry(volume).or_default();
                if commits.queue.is_empty() && commits.running.is_none() {
                    commits.queue.push_back(Asked { op: None, edits: Vec::new() });
                }
                self.commit_soon(volume);
            }
        }
    }

    /// Commits that waited for an exchange of facts.
    pub(super) fn commits_go_on(&mut self) {
        let volumes: Vec<VolumeId> = self.commits.keys().copied().collect();
        for volume in volumes {
            self.commit_soon(volume);
        }
    }

    fn commit_soon(&mut self, volume: VolumeId) {
        let idle = self.commits.get(&volume).is_some_and(|commits| commits.running.is_none());
        if idle {
            self.timers.set(self.now.mono + GROUP_COMMIT_MS, Timer::Commit(volume));
        }
    }

    /// Takes what is queued and asks the holders of heads what stands.
    pub(super) fn commit_begin(&mut self, volume: VolumeId, out: &mut Vec<Effect>) {
        let alone_at = self.started + ALONE_MS;
        if !self.ready() && self.now.mono < alone_at {
            return self.timers.set(alone_at, Timer::Commit(volume));
        }
        let Some(commits) = self.commits.get_mut(&volume).filter(|commits| commits.running.is_none()) else { return };
        let Some(running) = commits.take_batch() else { return };
        // To tell what was acknowledged before is to write nothing.
        let tells = running.edits.is_empty() && self.unpublished.contains_key(&volume);
        commits.running = Some(running);
        if let Some(refusal) = self.may_not_write(volume).filter(|_| !tells) {
            return self.commit_refused(volume, &refusal, out);
        }
        self.query(volume, look::For::Commit(volume), out);
    }

    fn may_not_write(&self, volume: VolumeId) -> Option<Refusal> {
        if self.boot.twin {
            return Some(Refusal::Twin);
        }
        if self.keys.get(&volume).is_none_or(|keys| keys.writer().is_none()) {
            return Some(Refusal::NoKey);
        }
        let off = self.clock_off_ms().unsigned_abs();
        (off > CLOCK_OFF_MS_MAX).then_some(Refusal::ClockOff(off / 60_000))
    }

    /// The heads of a majority, or of all that can be heard, are known: edit them.
    pub(super) fn commit_heard(&mut self, volume: VolumeId, heard: look::Heard, out: &mut Vec<Effect>) {
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
            Job::Merge(MergeJob { keys, pool, heads, copies, params, blocks })
        } else {
            let edits = running.edits.clone();
            Job::Edit(EditJob { keys, pool, heads, edits, dot: (own.writer, own.seq), hlc, copies, params, blocks })
        };
        running.job = Some(job.clone());
        out.push(Effect::Work { job: Box::new(job), why: Why(Reason::CommitJob(volume)) });
    }

    pub(super) fn commit_job_done(&mut self, volume: VolumeId, done: JobDone, out: &mut Vec<Effect>) {
        match done {
            JobDone::Missing(ids) => self.commit_fetch(volume, &ids, out),
            JobDone::Edited { blocks, head, outcomes } => self.commit_made(volume, blocks, head, outcomes, out),
            JobDone::Merged { blocks, head } => self.commit_made(volume, blocks, Some(head), Vec::new(), out),
            JobDone::Failed(error) => {
                out.push(Effect::Notice(format!("the tree of volume {volume} cannot be changed: {error}")));
                self.commit_refused(volume, &Refusal::BadTree(error), out);
            }
            JobDone::Looked(_) | JobDone::Walked(_) => debug_assert!(false, "a commit's job looked or walked"),
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

    pub(super) fn commit_fetched(&mut self, volume: VolumeId, id: BlockId, outcome: GetOutcome, out: &mut Vec<Effect>) {
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
            out.push(Effect::Work { job: Box::new(job.clone()), why: Why(Reason::CommitJob(volume)) });
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

    /// Makes durable what the head needs: the blocks this commit made, and those of earlier ones that are thin.
    fn commit_store(&mut self, volume: VolumeId, blocks: Vec<Block>, out: &mut Vec<Effect>) {
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

    fn running(&mut self, volume: VolumeId) -> Option<&mut Running> {
        self.commits.get_mut(&volume)?.running.as_mut()
    }

    /// A block that the commit made was put; on fewer servers than it takes, the head is not told.
    pub(super) fn commit_block_put(
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
    pub(super) fn commit_part_put(&mut self, volume: VolumeId, outcome: PutOutcome, out: &mut Vec<Effect>) {
        if let Some(running) = self.running(volume) {
            running.is_as_durable_as(outcome);
        }
        self.commit_part_ended(volume, out);
    }

    pub(super) fn commit_part_ended(&mut self, volume: VolumeId, out: &mut Vec<Effect>) {
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
    fn commit_log(&mut self, volume: VolumeId, out: &mut Vec<Effect>) {
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

    pub(super) fn commit_logged(&mut self, volume: VolumeId, fine: bool, out: &mut Vec<Effect>) {
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
        self.facts.insert(fact.clone());
        self.facts.take_news();
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
    fn commit_unchanged(&mut self, volume: VolumeId, out: &mut Vec<Effect>) {
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

    fn commit_end(&mut self, volume: VolumeId, out: &mut Vec<Effect>) {
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

    fn commit_refused(&mut self, volume: VolumeId, refusal: &Refusal, out: &mut Vec<Effect>) {
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

    /// Another member's head came: several are normal for a while, then somebody merges them.
    pub(super) fn head_came(&mut self, head: &Signed<Head>) {
        if let Ok(commit) = CommitView::of(&head.value().commit) {
            self.saw_stamp(commit.extra.time);
        }
        self.drop_superseded();
        let volume = head.value().volume;
        if self.heads(volume).len() > 1 {
            let jitter = self.rng.u64(0..=MERGE_AFTER_MS);
            self.timers.set(self.now.mono + MERGE_AFTER_MS + jitter, Timer::Merge(volume));
        }
    }

    pub(super) fn merge_due(&mut self, volume: VolumeId, out: &mut Vec<Effect>) {
        let untold = self.unpublished.contains_key(&volume);
        if (untold && self.up_peers().is_empty()) || (!untold && self.heads(volume).len() < 2) {
            return;
        }
        let may = untold || self.may_not_write(volume).is_none();
        let commits = self.commits.entry(volume).or_default();
        if may && commits.running.is_none() && commits.queue.is_empty() {
            commits.queue.push_back(Asked { op: None, edits: Vec::new() });
            self.commit_begin(volume, out);
        }
        // Looked at again in case it does not succeed.
        let jitter = self.rng.u64(0..=MERGE_AFTER_MS);
        self.timers.set(self.now.mono + 2 * MERGE_AFTER_MS + jitter, Timer::Merge(volume));
    }
}

impl Running {
    /// The answer names the servers of whatever part has the fewest copies.
    fn is_as_durable_as(&mut self, outcome: PutOutcome) {
        self.worst = Some(match self.worst.take() {
            None => outcome,
            Some(worst) => worse(worst, outcome),
        });
    }

    /// Some edit changed nothing, because the heads that stand say what it wanted to say.
    fn found_all_as_wanted(&self) -> bool {
        self.outcomes.iter().any(|outcome| outcome == &Ok(EditOutcome::Unchanged))
    }
}

impl Commits {
    fn take_batch(&mut self) -> Option<Running> {
        let (mut ops, mut edits, mut inline) = (Vec::new(), Vec::new(), 0);
        while let Some(asked) = self.queue.front() {
            let bytes: usize = asked.edits.iter().map(inline_bytes).sum();
            let full = edits.len() + asked.edits.len() > EDITS_PER_COMMIT_MAX || inline + bytes > INLINE_PER_COMMIT_MAX;
            if full && !ops.is_empty() {
                break;
            }
            let asked = self.queue.pop_front()?;
            inline += bytes;
            self.queued -= asked.edits.len();
            ops.push((asked.op, asked.edits.len()));
            edits.extend(asked.edits);
        }
        let running = Running {
            ops,
            edits,
            job: None,
            missing: BTreeSet::new(),
            outcomes: Vec::new(),
            head: None,
            parts: 0,
            thin: BTreeSet::new(),
            worst: None,
            logged: false,
        };
        (!running.ops.is_empty()).then_some(running)
    }
}

fn inline_bytes(edit: &Edit) -> usize {
    match edit {
        Edit::Put { file, .. } => match &file.content {
            Content::Inline(bytes) | Content::Symlink(bytes) => bytes.len(),
            Content::Tree { .. } => 0,
        },
        _ => 0,
    }
}

impl Commits {
    pub fn recent(&self) -> Blocks {
        self.recent.clone()
    }
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
