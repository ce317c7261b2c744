//! Changing a volume: one commit at a time per volume and node, many edits in each.
//!
//! What comes in while a commit runs waits for the next one. A commit is always in exactly one [`CommitStep`]; whatever
//! arrives for another step, such as a block that an earlier commit asked for, meets nothing.

mod edit;
mod queue;
mod store;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, NodeId, VolumeId};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::CommitView;

use self::queue::{EditQueue, adds};
use super::heads::commits_in;
use super::{HeadQueries, LocalHeads, Writer};
use crate::engine::blocks::{Gets, Puts};
use crate::engine::context::Context;
use crate::engine::facts::{Gossip, Liveness};
use crate::engine::timers::Timer;
use crate::limits::{
    ALONE_MS, CLOCK_OFF_MS_MAX, GROUP_COMMIT_MS, KEY_AWAITED_MS_MAX, KEY_POLL_MS, MERGE_AFTER_MS, PUBLISH_AFTER_MS,
};
use crate::seam::{CommitToken, EditReply, OpId, PutOutcome, Refusal, Reply, VolumeChange, Waiter};
use crate::tree::{BlockMap, EditError, EditOutcome, TreeJob};

/// Commits of all volumes.
#[derive(Default)]
pub(in crate::engine) struct Commits(BTreeMap<VolumeId, VolumeCommits>);

/// Commits of one volume.
#[derive(Default)]
struct VolumeCommits {
    /// For the next commit.
    queue: EditQueue,
    /// One at a time: the next one goes on from the heads this one leaves.
    running: Option<RunningCommit>,
    /// Commands that shared the last commit and the one before it.
    shared: [usize; 2],
    /// What is queued waits for the key of a new epoch since then.
    key_awaited_since: Option<u64>,
    /// Blocks the last job used or made: the next one most likely needs them. At most
    /// [`crate::limits::WORKING_SET_MAX`] and what one job made.
    recent: BlockMap,
}

/// The commit under way.
struct RunningCommit {
    /// Who waits, and for how many of the edits; nobody, for a merge or a cancelled command.
    ops: Vec<(Option<OpId>, usize)>,
    /// Where it is. A step is left before the next one begins, so nothing is done twice.
    step: CommitStep,
    /// It adds nothing, so that it may have the room which full servers keep: who has no room left must be able to remove.
    reserve: bool,
    /// Times its job came home for blocks.
    rounds: usize,
    /// Holders that could not be asked for blocks which the job lacks.
    away: BTreeSet<NodeId>,
}

/// What a commit is doing, in this order.
enum CommitStep {
    /// The holders of the volume's heads are asked which ones stand.
    Asking(VolumeChange),
    /// A job applies the edits, or merges the heads. It is away.
    Editing,
    /// The job came home for blocks, which are fetched. `missing` is never empty.
    Fetching { job: Box<TreeJob>, missing: BTreeSet<BlockId> },
    /// The blocks that the new head needs become durable on their holders. `waiting`: those that are not begun yet.
    Storing { head: NewHead, progress: CommitProgress, waiting: VecDeque<CommitPart> },
    /// Sequence number and head become durable in the own log.
    Logging { head: NewHead, progress: CommitProgress },
    /// The head, or those that say already what the edits want, becomes durable at the holders of the volume's id.
    Publishing { progress: CommitProgress },
}

/// A block that a commit makes durable.
enum CommitPart {
    /// It made this one itself.
    New(Block),
    /// An earlier commit made it, and too few servers have it.
    Earlier(BlockId),
}

/// A head that a commit made, or that an earlier one made and did not publish.
struct NewHead {
    head: Signed<Head>,
    /// Blocks this commit made that fewer than a publish quorum have.
    under_replicated: BTreeSet<BlockId>,
}

/// What is known of the answer.
#[derive(Default)]
struct CommitProgress {
    /// One an edit, in order.
    outcomes: Vec<Result<EditOutcome, EditError>>,
    /// Puts and reads of this step that have not ended, those that wait too. Counted down to zero exactly once a step.
    parts: usize,
    /// Some block of an earlier commit has enough copies by now.
    replicated: bool,
    /// The least durable of what was put so far.
    worst: Option<PutOutcome>,
}

/// What commits work with: the context, and machines of this floor and those below.
pub(in crate::engine) struct CommitParts<'a> {
    pub cx: &'a mut Context,
    pub gossip: &'a mut Gossip,
    pub liveness: &'a Liveness,
    pub gets: &'a mut Gets,
    pub puts: &'a mut Puts,
    pub heads: &'a mut LocalHeads,
    pub queries: &'a mut HeadQueries,
    pub writer: &'a mut Writer,
}

/// One volume's commit that is under way, with all it works with: `edit` takes it from the heads to a new tree, `store` from there
/// to the answer.
pub(in crate::engine) struct CommitRun<'a, 'b> {
    commits: &'a mut Commits,
    parts: &'a mut CommitParts<'b>,
    volume: VolumeId,
}

impl Commits {
    /// Where what the running commit of a volume asked for comes home. There may be none any more.
    pub fn run<'a, 'b>(&'a mut self, parts: &'a mut CommitParts<'b>, volume: VolumeId) -> CommitRun<'a, 'b> {
        CommitRun { commits: self, parts, volume }
    }

    /// Edits of a user. They are answered together with whatever shares their commit.
    pub fn edit(&mut self, cx: &mut Context, op: OpId, volume: VolumeId, change: VolumeChange) {
        // Refused here, nothing was kept; whoever asked may try again.
        let commits = self.0.entry(volume).or_default();
        if !commits.queue.push(op, change) {
            return cx.reply(op, Reply::Refused(Refusal::Busy));
        }
        self.soon(cx, volume);
    }

    /// Commands that wait or are being carried out; merges count.
    pub fn len(&self) -> usize {
        self.0.values().map(|commits| commits.queue.commands() + usize::from(commits.running.is_some())).sum()
    }

    /// What is queued does not happen; what is under way does, unseen.
    pub fn cancel(&mut self, op: OpId) {
        for commits in self.0.values_mut() {
            commits.queue.cancel(op);
            for (waiting, _) in commits.running.iter_mut().flat_map(|running| &mut running.ops) {
                if *waiting == Some(op) {
                    *waiting = None;
                }
            }
        }
    }

    /// The founder's volume gets its genesis commit as soon as it can be made.
    pub fn begin_volumes(&mut self, cx: &mut Context, heads: &LocalHeads) {
        let writes = cx.keys.iter().filter(|(_, keys)| keys.writer().is_some());
        let volumes: Vec<VolumeId> = writes.map(|(volume, _)| *volume).collect();
        for volume in volumes {
            if cx.ready() && heads.standing(cx, volume).is_empty() {
                self.0.entry(volume).or_default().queue_merge();
                self.soon(cx, volume);
            }
        }
    }

    /// Commits that waited for a comparison of facts.
    pub fn go_on(&mut self, cx: &mut Context) {
        let volumes: Vec<VolumeId> = self.0.keys().copied().collect();
        for volume in volumes {
            self.soon(cx, volume);
        }
    }

    /// What is queued becomes a commit, if none runs: a running one calls this when it ends. Others that may share it are waited
    /// for a moment, unless as many are here as shared one of the last two commits: programs that write one thing after the
    /// other are back then, and nobody else is to come.
    fn soon(&self, cx: &mut Context, volume: VolumeId) {
        let Some(commits) = self.0.get(&volume).filter(|commits| commits.running.is_none()) else { return };
        let are_all_here = commits.queue.commands() >= commits.shared.into_iter().max().unwrap_or(0);
        cx.wake_in(if are_all_here { 0 } else { GROUP_COMMIT_MS }, Timer::Commit(volume));
    }

    /// Takes what is queued and asks the holders of heads what stands.
    pub fn begin(&mut self, parts: &mut CommitParts<'_>, volume: VolumeId) {
        let alone_at = parts.cx.started + ALONE_MS;
        if !parts.cx.ready() && parts.cx.now.mono < alone_at {
            return parts.cx.timers.set(alone_at, Timer::Commit(volume));
        }
        let Some(commits) = self.0.get_mut(&volume).filter(|commits| commits.running.is_none()) else { return };
        // A new epoch began, and its key is on its way: nobody is to notice.
        let is_to_wait = parts.cx.awaits_key(volume) && !commits.queue.is_empty();
        let begun = commits.key_awaited_since.get_or_insert(parts.cx.now.mono);
        if is_to_wait && parts.cx.now.mono < *begun + KEY_AWAITED_MS_MAX {
            return parts.cx.wake_in(KEY_POLL_MS, Timer::Commit(volume));
        }
        commits.key_awaited_since = None;
        let Some((ops, change)) = commits.queue.take_batch() else { return };
        commits.shared = [ops.len(), commits.shared[0]];
        // To publish what was acknowledged before is to write nothing, unless it is to be brought into a new epoch.
        let is_unpublished = parts.heads.unpublished(volume).is_some() && !parts.heads.is_outdated(parts.cx, volume);
        let publishes = change.edits.is_empty() && is_unpublished;
        let reserve = !change.edits.iter().any(adds);
        let step = CommitStep::Asking(change);
        commits.running = Some(RunningCommit { ops, step, reserve, rounds: 0, away: BTreeSet::new() });
        if let Some(refusal) = may_not_write(parts.cx, volume).filter(|_| !publishes) {
            return self.refuse(parts.cx, volume, &refusal);
        }
        parts.queries.start(parts.cx, volume, Waiter::Commit(CommitToken::Heads(volume)));
    }

    /// Another member's head came: several are normal for a while, then somebody merges them.
    pub fn on_head(&self, cx: &mut Context, heads: &mut LocalHeads, writer: &mut Writer, head: &Signed<Head>) {
        if let Ok(commit) = CommitView::of(&head.value().commit) {
            writer.saw_stamp(cx, commit.extra.time);
        }
        heads.quarantine.remember(head);
        heads.history.note_head(cx, head);
        heads.drop_superseded(cx);
        let volume = head.value().volume;
        heads.note_published(cx, volume);
        if commits_in(&heads.current(cx, volume)) > 1 {
            let jitter = cx.rng.u64(0..=MERGE_AFTER_MS);
            cx.wake_in(MERGE_AFTER_MS + jitter, Timer::Merge(volume));
        }
    }

    /// A new epoch began, or its key came: what this node wrote before is brought into it.
    pub fn recommit_soon(&self, cx: &mut Context, heads: &LocalHeads) {
        for volume in cx.facts.volumes() {
            if heads.is_to_recommit(cx, volume) {
                cx.wake_in(PUBLISH_AFTER_MS, Timer::Merge(volume));
            }
        }
    }

    /// Several heads may stand, or one may not be published. Whether that is so; then it is to be looked at again.
    pub fn on_merge_due(&mut self, parts: &mut CommitParts<'_>, volume: VolumeId) -> bool {
        let unpublished = parts.heads.unpublished(volume).is_some();
        let nobody_to_tell = unpublished && !parts.cx.peers.any_up();
        let is_to_recommit = parts.heads.is_to_recommit(parts.cx, volume);
        let current = parts.heads.current(parts.cx, volume);
        let to_cover = parts.heads.quarantine.has_to_cover(parts.cx, volume, &current);
        let is_one = commits_in(&current) < 2 && !is_to_recommit && (!to_cover || current.is_empty());
        if nobody_to_tell || (!unpublished && is_one) {
            // What is away comes back: then there is something to merge.
            return parts.heads.quarantine.withholds(parts.cx, volume);
        }
        let publishes = unpublished && !parts.heads.is_outdated(parts.cx, volume);
        // What is to be published is not merged before, so that other heads are no reason to try it sooner.
        let waits = is_one || publishes;
        if let Some(at) = parts.heads.next_try(volume).filter(|at| waits && *at > parts.cx.now.mono) {
            parts.cx.timers.set(at, Timer::Merge(volume));
            return false;
        }
        let may = publishes || may_not_write(parts.cx, volume).is_none();
        let commits = self.0.entry(volume).or_default();
        if may && commits.queue_merge() {
            self.begin(parts, volume);
        }
        true
    }

    /// In case the merge does not succeed.
    pub fn merge_again(&self, cx: &mut Context, volume: VolumeId) {
        let jitter = cx.rng.u64(0..=MERGE_AFTER_MS);
        cx.wake_in(2 * MERGE_AFTER_MS + jitter, Timer::Merge(volume));
    }

    /// Blocks of the volume that were used lately.
    pub fn recent(&self, volume: VolumeId) -> BlockMap {
        self.0.get(&volume).map(|commits| commits.recent.clone()).unwrap_or_default()
    }

    /// Answers with what was reached, and goes on with what is queued.
    fn end(&mut self, cx: &mut Context, volume: VolumeId, progress: CommitProgress) {
        let Some(running) = self.take_running(volume) else { return };
        let nothing = PutOutcome::Stored(crate::seam::Copies::default());
        let outcome = progress.worst.unwrap_or(nothing);
        let mut outcomes = progress.outcomes.into_iter();
        for (op, count) in running.ops {
            let edits: Vec<_> = outcomes.by_ref().take(count).collect();
            if let Some(op) = op {
                cx.reply(op, Reply::Edit(EditReply { outcome: outcome.clone(), edits }));
            }
        }
        debug_assert!(outcomes.next().is_none(), "each edit has one outcome, and somebody who asked for it");
        self.next(cx, volume);
    }

    /// Nothing was promised.
    fn refuse(&mut self, cx: &mut Context, volume: VolumeId, refusal: &Refusal) {
        let Some(running) = self.take_running(volume) else { return };
        for op in running.ops.iter().filter_map(|(op, _)| *op) {
            let outcome = PutOutcome::Refused(refusal.clone());
            cx.reply(op, Reply::Edit(EditReply { outcome, edits: Vec::new() }));
        }
        self.next(cx, volume);
    }

    fn next(&self, cx: &mut Context, volume: VolumeId) {
        if self.0.get(&volume).is_some_and(|commits| !commits.queue.is_empty()) {
            self.soon(cx, volume);
        }
    }

    /// After this nothing of that commit is reached any more: what comes late meets no step, or another step.
    fn take_running(&mut self, volume: VolumeId) -> Option<RunningCommit> {
        self.0.get_mut(&volume)?.running.take()
    }

    /// Of the running commit; none if there is none.
    fn step(&mut self, volume: VolumeId) -> Option<&mut CommitStep> {
        Some(&mut self.0.get_mut(&volume)?.running.as_mut()?.step)
    }
}

impl VolumeCommits {
    /// A commit without edits, if nothing else is to come. Whether it was queued.
    fn queue_merge(&mut self) -> bool {
        let idle = self.queue.is_empty() && self.running.is_none();
        if idle {
            self.queue.push_merge();
        }
        idle
    }
}

/// Reasons that hold for every edit of a volume on this node, whatever stands in it.
fn may_not_write(cx: &Context, volume: VolumeId) -> Option<Refusal> {
    if cx.duplicate_identity {
        return Some(Refusal::DuplicateIdentity);
    }
    if cx.keys.get(&volume).is_none_or(|keys| keys.writer().is_none()) {
        return Some(cx.lacks_write_key());
    }
    if !cx.facts.writers().contains(&cx.me) {
        return Some(Refusal::NoWriterPlace);
    }
    let off = cx.clock_off_ms().unsigned_abs();
    (off > CLOCK_OFF_MS_MAX).then_some(Refusal::ClockOff(off / 60_000))
}

#[cfg(test)]
mod tests;
