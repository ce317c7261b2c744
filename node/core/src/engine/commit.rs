//! Changing a volume: one commit at a time per volume and node, many edits in each.
//!
//! A commit goes through these steps, and what comes in meanwhile waits for the next one:
//! hear the heads that stand → edit (a job; fetch what it lacks) → tree blocks durable → sequence number and head durable
//! in the own log → head durable at the holders → answer. A sequence number is used once: it is logged before the head
//! that bears it is shown to anyone, and an incarnation whose last number no majority confirms after a start is given up for a new one.

use std::collections::{BTreeMap, VecDeque};

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::{Fact, Head};
use fsdfs_proto::ids::{BlockId, VolumeId, Writer};
use fsdfs_proto::record::{LogEntry, Own};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::CommitView;

use super::timers::Timer;
use super::{Engine, Reason, disk, get, jobs, look, reply};
use crate::facts::FactSet;
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
    missing: usize,
    outcomes: Vec<Result<EditOutcome, EditError>>,
    head: Option<Signed<Head>>,
    parts: usize,
    worst: Option<PutOutcome>,
    logged: bool,
}

/// The incarnation under which this node writes.
#[derive(Default)]
pub(super) struct WriterState {
    own: Option<Own>,
    /// From the logs, in no order: the greatest number of each incarnation.
    recalled: BTreeMap<Writer, u64>,
    /// No majority has confirmed the last sequence number since the start.
    unconfirmed: bool,
}

impl WriterState {
    pub fn entry(&self) -> Option<LogEntry> {
        self.own.map(LogEntry::Own)
    }
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
    pub(super) fn recall_writer(&mut self, own: Own) {
        let seq = self.writer.recalled.entry(own.writer).or_default();
        *seq = own.seq.max(*seq);
    }

    pub(super) fn writer_starts(&mut self, doubtful: bool) {
        self.writer.unconfirmed = true;
        let longest = std::mem::take(&mut self.writer.recalled).into_iter().max_by_key(|(_, seq)| *seq);
        self.writer.own = longest.filter(|_| !doubtful).map(|(writer, seq)| Own { writer, seq });
    }

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
            if self.ready() && self.facts.heads(volume).is_empty() {
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
        commits.running = Some(running);
        if let Some(refusal) = self.may_not_write(volume) {
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
        let heads = self.facts.heads(volume);
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
        let Some(commits) = self.commits.get_mut(&volume) else { return };
        let Some(running) = &mut commits.running else { return };
        let blocks = commits.recent.clone();
        let merge_only = running.edits.is_empty() && !heads.is_empty();
        if merge_only && heads.len() < 2 {
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

    /// After a start, an incarnation goes on only if everything that was ever confirmed to it was heard of, and nobody saw a
    /// number it does not remember.
    fn confirm_writer(&mut self, heard: look::Heard) {
        let Some(own) = self.writer.own else { return };
        let seen = self.seq_seen(own.writer);
        if seen > own.seq || (self.writer.unconfirmed && !heard.own_past) {
            self.writer.own = None;
        }
        self.writer.unconfirmed = false;
    }

    fn seq_seen(&self, writer: Writer) -> u64 {
        let volumes = self.facts.volumes();
        let heads = volumes.iter().flat_map(|volume| self.facts.heads(*volume));
        let seen = heads.flat_map(|head| FactSet::seen_of(&head));
        seen.filter(|(other, _)| *other == writer).map(|(_, seq)| seq).max().unwrap_or(0)
    }

    fn next_dot(&mut self) -> Own {
        let rng = &mut self.rng;
        let last = self.writer.own.get_or_insert_with(|| Own { writer: Writer(rng.u64(..).to_be_bytes()), seq: 0 });
        Own { writer: last.writer, seq: last.seq + 1 }
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
        if let Some(running) = self.commits.get_mut(&volume).and_then(|commits| commits.running.as_mut()) {
            running.missing = ids.len();
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
        let Some(running) = self.commits.get_mut(&volume).and_then(|commits| commits.running.as_mut()) else { return };
        let Some(job) = &mut running.job else { return };
        jobs::give(job, block);
        running.missing = running.missing.saturating_sub(1);
        if running.missing == 0 {
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
        let copies = self.facts.rules().copies;
        let Some(commits) = self.commits.get_mut(&volume) else { return };
        let Some(running) = &mut commits.running else { return };
        running.outcomes = outcomes;
        let Some(head) = head else { return self.commit_unchanged(volume, out) };
        running.head = Some(head);
        running.parts = blocks.len();
        commits.recent =
            running.job.take().map(|mut job| std::mem::take(jobs::blocks_of(&mut job))).unwrap_or_default();
        if commits.recent.len() > WORKING_SET_MAX {
            commits.recent.clear();
        }
        commits.recent.extend(blocks.iter().map(|block| (block.id(), block.clone())));
        if blocks.is_empty() {
            return self.commit_log(volume, out);
        }
        for block in blocks {
            self.cache.put(&block);
            self.put_tree_block(block, copies, volume, out);
        }
    }

    /// A block or the head of the commit is as durable as it gets for now.
    pub(super) fn commit_part_done(&mut self, volume: VolumeId, outcome: &PutOutcome, out: &mut Vec<Effect>) {
        let Some(running) = self.commits.get_mut(&volume).and_then(|commits| commits.running.as_mut()) else { return };
        running.parts = running.parts.saturating_sub(1);
        running.worst = Some(match running.worst.take() {
            None => outcome.clone(),
            Some(worst) => worse(worst, outcome.clone()),
        });
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
        let running = self.commits.get_mut(&volume).and_then(|commits| commits.running.as_mut());
        let Some(head) = running.and_then(|running| running.head.clone()) else { return };
        let mut entries = vec![LogEntry::Fact(Fact::from(head.clone()).raw())];
        if let Some(seq) = self.own_seq_in(&head) {
            entries.insert(0, LogEntry::Own(seq));
            self.writer.own = Some(seq);
        }
        out.push(disk(DiskRequest::Log { entries }, Reason::CommitLogged(volume)));
    }

    /// The dot that this commit uses up; none for a merge.
    fn own_seq_in(&self, head: &Signed<Head>) -> Option<Own> {
        let last = self.writer.own?;
        let seen = FactSet::seen_of(head);
        let (writer, seq) = *seen.iter().find(|(writer, _)| *writer == last.writer)?;
        (seq == last.seq + 1).then_some(Own { writer, seq })
    }

    pub(super) fn commit_logged(&mut self, volume: VolumeId, fine: bool, out: &mut Vec<Effect>) {
        self.logged(fine, out);
        if !fine {
            return self.commit_refused(volume, &Refusal::HomeFailed, out);
        }
        let Some(running) = self.commits.get_mut(&volume).and_then(|commits| commits.running.as_mut()) else { return };
        let Some(head) = running.head.clone() else { return };
        running.logged = true;
        running.parts = 1;
        let fact = Fact::from(head);
        self.facts.insert(fact.clone());
        self.facts.take_news();
        self.facts_version += 1;
        self.announce(&fact, out);
        self.put_fact(fact.raw(), volume, out);
    }

    /// Nothing to write: the edits found everything as they wanted it. The heads that say so must be durable all the same.
    fn commit_unchanged(&mut self, volume: VolumeId, out: &mut Vec<Effect>) {
        let heads = self.facts.heads(volume);
        let Some(running) = self.commits.get_mut(&volume).and_then(|commits| commits.running.as_mut()) else { return };
        running.logged = true;
        running.parts = heads.len();
        let changed_nothing = running.outcomes.iter().any(|outcome| outcome == &Ok(EditOutcome::Unchanged));
        if heads.is_empty() || !changed_nothing {
            return self.commit_end(volume, out);
        }
        for head in heads {
            self.put_fact(Fact::from(head).raw(), volume, out);
        }
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
    pub(super) fn head_came(&mut self, head: &Signed<Head>, _out: &mut Vec<Effect>) {
        if let Ok(commit) = CommitView::of(&head.value().commit) {
            self.saw_stamp(commit.extra.time);
        }
        let volume = head.value().volume;
        if self.facts.heads(volume).len() > 1 {
            let jitter = self.rng.u64(0..=MERGE_AFTER_MS);
            self.timers.set(self.now.mono + MERGE_AFTER_MS + jitter, Timer::Merge(volume));
        }
    }

    pub(super) fn merge_due(&mut self, volume: VolumeId, out: &mut Vec<Effect>) {
        if self.facts.heads(volume).len() < 2 || self.may_not_write(volume).is_some() {
            return;
        }
        let commits = self.commits.entry(volume).or_default();
        if commits.running.is_none() && commits.queue.is_empty() {
            commits.queue.push_back(Asked { op: None, edits: Vec::new() });
            self.commit_begin(volume, out);
        }
        // Looked at again in case it does not succeed.
        let jitter = self.rng.u64(0..=MERGE_AFTER_MS);
        self.timers.set(self.now.mono + 2 * MERGE_AFTER_MS + jitter, Timer::Merge(volume));
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
            missing: 0,
            outcomes: Vec::new(),
            head: None,
            parts: 0,
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
