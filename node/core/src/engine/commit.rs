//! Changing a volume: one commit at a time per volume and node, many edits in each.
//!
//! A commit goes through these steps, and what comes in meanwhile waits for the next one:
//! hear the heads that stand → edit (a job; fetch what it lacks) → tree blocks durable → sequence number and head durable
//! in the own log → if enough servers have the tree: head told and durable at its holders → answer.

use std::collections::{BTreeSet, VecDeque};

use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::CommitView;

use super::timers::Timer;
use super::{Engine, look, reply};
use crate::limits::{
    ALONE_MS, CLOCK_OFF_MS_MAX, EDITS_PER_COMMIT_MAX, EDITS_QUEUED_MAX, GROUP_COMMIT_MS, INLINE_PER_COMMIT_MAX,
    MERGE_AFTER_MS,
};
use crate::seam::{Effect, OpId, PutOutcome, Refusal, Reply};
use crate::tree::{BlockMap, EditError, EditOutcome, FileContent, TreeEdit, TreeJob};

mod change;
mod durable;

/// Commits of one volume.
#[derive(Default)]
pub(super) struct Commits {
    queue: VecDeque<Asked>,
    queued: usize,
    running: Option<Running>,
    /// Blocks the last job used or made: the next one most likely needs them.
    recent: BlockMap,
}

struct Asked {
    op: Option<OpId>,
    edits: Vec<TreeEdit>,
}

/// The commit under way.
struct Running {
    ops: Vec<(Option<OpId>, usize)>,
    edits: Vec<TreeEdit>,
    job: Option<TreeJob>,
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

impl Engine {
    pub(super) fn edit(&mut self, op: OpId, volume: VolumeId, edits: Vec<TreeEdit>, out: &mut Vec<Effect>) {
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
            return Some(Refusal::DuplicateIdentity);
        }
        if self.keys.get(&volume).is_none_or(|keys| keys.writer().is_none()) {
            return Some(Refusal::NoKey);
        }
        let off = self.clock_off_ms().unsigned_abs();
        (off > CLOCK_OFF_MS_MAX).then_some(Refusal::ClockOff(off / 60_000))
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

    fn running(&mut self, volume: VolumeId) -> Option<&mut Running> {
        self.commits.get_mut(&volume)?.running.as_mut()
    }
}

impl Commits {
    pub fn recent(&self) -> BlockMap {
        self.recent.clone()
    }

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

fn inline_bytes(edit: &TreeEdit) -> usize {
    match edit {
        TreeEdit::Put { file, .. } => match &file.content {
            FileContent::Inline(bytes) | FileContent::Symlink(bytes) => bytes.len(),
            FileContent::Tree { .. } => 0,
        },
        _ => 0,
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
