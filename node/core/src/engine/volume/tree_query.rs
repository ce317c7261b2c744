//! Reading a volume: hear the heads that stand, then run a job over their merged view, fetching what it lacks.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, FactId, NodeId, VolumeId};
use fsdfs_proto::signed::Signed;

use super::quarantine::HeadUse;
use super::{HeadQueries, LocalHeads};
use crate::engine::blocks::Gets;
use crate::engine::context::Context;
use crate::engine::event::HeardHeads;
use crate::engine::timers::Timer;
use crate::limits::{JOB_ROUNDS_MAX, KEY_AWAITED_MS_MAX};
use crate::seam::{GetOutcome, OpId, QueryReply, QueryToken, Refusal, Reply, Waiter};
use crate::tree::{
    BlockAbsence, BlockMap, CancelFlag, JobDone, JobTerms, KnownFolders, QueryJob, TreeError, TreeJob, TreeQuery,
};

/// Queries under way, by number.
#[derive(Default)]
pub(in crate::engine) struct TreeQueries {
    /// Each is answered once, or cancelled; then late blocks and jobs meet nothing.
    open: BTreeMap<u64, PendingQuery>,
    /// Numbers are never used twice.
    last: u64,
    /// Where the next query may begin.
    known: KnownFolders,
    /// The same in the earlier state that was read last; in place of the heads stands its commit.
    past: KnownFolders,
    /// Since when the key of a head that stands is on its way. Queries wait for it for a while, counted from then, and not each
    /// of them.
    key_awaited_since: BTreeMap<VolumeId, u64>,
}

/// A query that hears heads, runs, or waits for blocks: in this order, the last two in turns.
struct PendingQuery {
    /// Who is answered.
    op: OpId,
    volume: VolumeId,
    /// The earlier state that it reads.
    state: Option<BlockId>,
    /// Kept until the heads are known.
    query: TreeQuery,
    /// Fewer than a majority of the holders of heads were heard.
    maybe_stale: bool,
    /// Connected members that acknowledged what the heads do not include.
    withheld_by: BTreeSet<NodeId>,
    /// See [`ReadBasis`].
    remembered: BTreeSet<BlockId>,
    /// The heads that it reads, once they are known.
    heads: Vec<FactId>,
    /// While blocks are fetched for it; otherwise it is away, or not made yet.
    job: Option<Box<TreeJob>>,
    /// Blocks the job lacks. Empty while the job is away.
    missing: BTreeSet<BlockId>,
    /// Times it came home for blocks.
    rounds: usize,
    /// Holders that could not be asked for blocks which it lacks.
    away: BTreeSet<NodeId>,
    /// Tells the job that nobody waits any more.
    cancel: CancelFlag,
    /// Who was asked for heads, while it waits for the key of one of them.
    awaits_key: Option<HeardHeads>,
}

/// What a query is answered from, when the heads were heard.
pub(in crate::engine) struct ReadBasis {
    /// Those that this node goes by.
    pub heads: Vec<Signed<Head>>,
    /// Who was asked for them.
    pub heard: HeardHeads,
    /// See [`super::Unpublished::withheld_by`].
    pub withheld_by: BTreeSet<NodeId>,
    /// Blocks of the volume that were used lately.
    pub recent: BlockMap,
    /// Earlier states that this node remembers, whatever the heads list.
    pub remembered: BTreeSet<BlockId>,
}

impl TreeQueries {
    /// Begins with the question which heads stand, so that a reader sees what a writer elsewhere was told is durable. An earlier
    /// state stays what it is.
    pub fn start(
        &mut self,
        cx: &mut Context,
        heads: &mut HeadQueries,
        op: OpId,
        (volume, state, query): (VolumeId, Option<BlockId>, TreeQuery),
    ) {
        self.last += 1;
        let pending = PendingQuery {
            op,
            volume,
            state,
            query,
            maybe_stale: state.is_none(),
            withheld_by: BTreeSet::new(),
            remembered: BTreeSet::new(),
            heads: Vec::new(),
            job: None,
            missing: BTreeSet::new(),
            rounds: 0,
            away: BTreeSet::new(),
            cancel: CancelFlag::default(),
            awaits_key: None,
        };
        self.open.insert(self.last, pending);
        match state {
            Some(state) => self.run_past(cx, (self.last, volume), state),
            None => heads.start(cx, volume, Waiter::Query(QueryToken::Heads(self.last))),
        }
    }

    /// A job that is away ends soon, and its result meets nothing.
    pub fn cancel(&mut self, op: OpId) {
        self.open.retain(|_, pending| {
            if pending.op == op {
                pending.cancel.cancel();
            }
            pending.op != op
        });
    }

    /// Whether a query that heard the heads waits for the key of one of them. A new epoch is heard of before its key comes, and
    /// nobody is to notice. If the key does not come soon, what was shown before is.
    pub fn waits_for_key(
        &mut self,
        cx: &mut Context,
        local: &LocalHeads,
        (number, volume): (u64, VolumeId),
        heard: HeardHeads,
    ) -> bool {
        // Whoever has no key at all is a newcomer, and is told so.
        let awaits = cx.keys.contains_key(&volume) && cx.lacks_read_key() == Refusal::NoKey;
        if !awaits || !local.lacks_key(cx, volume) {
            self.key_awaited_since.remove(&volume);
            return false;
        }
        let until = *self.key_awaited_since.entry(volume).or_insert(cx.now.mono) + KEY_AWAITED_MS_MAX;
        let Some(pending) = self.open.get_mut(&number).filter(|_| cx.now.mono < until) else { return false };
        debug_assert!(pending.job.is_none(), "it waits before it reads");
        pending.awaits_key = Some(heard);
        cx.timers.set(until, Timer::Queries);
        true
    }

    /// Those that wait for a key: it came, or its time is over. What each of them heard.
    pub fn take_waiting(&mut self) -> Vec<(u64, VolumeId, HeardHeads)> {
        let waiting = self.open.iter_mut();
        waiting.filter_map(|(number, open)| Some((*number, open.volume, open.awaits_key.take()?))).collect()
    }

    /// The heads are known: the job reads their merged view.
    pub fn on_heads(
        &mut self,
        cx: &mut Context,
        local: &mut LocalHeads,
        (number, volume): (u64, VolumeId),
        basis: ReadBasis,
    ) {
        let ReadBasis { heads, heard, withheld_by, recent, remembered } = basis;
        let Some(pending) = self.open.get_mut(&number) else { return };
        // A fallback holder of one part of a cut pool does not know what the other part was told.
        pending.maybe_stale = !heard.majority;
        pending.withheld_by = withheld_by;
        pending.remembered = remembered;
        self.run(cx, local, (number, volume), (heads, recent, BTreeMap::new()));
    }

    /// Begins the job that reads an earlier state.
    fn run_past(&mut self, cx: &mut Context, (number, volume): (u64, VolumeId), state: BlockId) {
        let Some(keys) = cx.keys.get(&volume).cloned() else {
            let refusal = cx.lacks_read_key();
            return self.refuse(cx, number, refusal);
        };
        let Some(pending) = self.open.get_mut(&number) else { return };
        pending.heads = vec![FactId(state.0)];
        let query = pending.query.clone();
        debug_assert!(query != TreeQuery::History, "the heads list what is earlier");
        let known = self.past.nearest(volume, &pending.heads, query.folder());
        let terms = JobTerms { cancel: pending.cancel.clone(), ..JobTerms::default() };
        let (heads, blocks) = (Vec::new(), BlockMap::new());
        let state = Some(state);
        let job = QueryJob { keys, heads, state, query, known, params: cx.params, terms, blocks };
        cx.work(Box::new(TreeJob::Query(job)), Waiter::Query(QueryToken::Job(number)));
    }

    /// Begins the job, or begins it again with other heads.
    fn run(
        &mut self,
        cx: &mut Context,
        local: &mut LocalHeads,
        (number, volume): (u64, VolumeId),
        (heads, blocks, absent): (Vec<Signed<Head>>, BlockMap, BTreeMap<BlockId, BlockAbsence>),
    ) {
        let Some(keys) = cx.keys.get(&volume).cloned() else {
            let refusal = cx.lacks_read_key();
            return self.refuse(cx, number, refusal);
        };
        let Some(pending) = self.open.get_mut(&number) else { return };
        if heads.is_empty() {
            let standing = local.standing(cx, volume);
            if standing.is_empty() {
                return self.refuse(cx, number, Refusal::NotYet);
            }
            // Nothing may be wrong with what stands but that its key is still on its way, whatever else is quarantined.
            let lacks_key = !local.quarantine.usable(cx, volume, standing, HeadUse::Read).is_empty();
            return match local.quarantine.first_fault(volume).filter(|_| !lacks_key) {
                Some(error) => self.fail(cx, number, error),
                None => {
                    let refusal = cx.lacks_read_key();
                    self.refuse(cx, number, refusal);
                }
            };
        }
        pending.maybe_stale |= local.quarantine.withholds(cx, volume);
        pending.heads = heads.iter().map(Signed::id).collect();
        let query = pending.query.clone();
        // Of folders that are known already it would not be seen which blocks lead to them.
        let sees_all = matches!(query, TreeQuery::Way { .. } | TreeQuery::History);
        let known = (!sees_all).then(|| self.known.nearest(volume, &pending.heads, query.folder())).flatten();
        let terms = match query {
            TreeQuery::History => local.terms(cx, volume, &heads).remembering(&pending.remembered),
            _ => local.quarantine.terms(cx, volume, &heads),
        };
        let absent = terms.absent.into_iter().chain(absent).collect();
        let terms = JobTerms { covered: Vec::new(), absent, cancel: pending.cancel.clone(), ..terms };
        let job = TreeJob::Query(QueryJob { keys, heads, state: None, query, known, params: cx.params, terms, blocks });
        cx.work(Box::new(job), Waiter::Query(QueryToken::Job(number)));
    }

    /// The job has its answer, or says which blocks it lacks.
    pub fn on_job_done(
        &mut self,
        cx: &mut Context,
        gets: &mut Gets,
        local: &mut LocalHeads,
        number: u64,
        (mut job, done): (Box<TreeJob>, JobDone),
    ) {
        match done {
            JobDone::Missing(ids) => {
                let Some(pending) = self.open.get_mut(&number) else { return };
                debug_assert!(!ids.is_empty() && pending.missing.is_empty(), "a job asks for blocks once");
                pending.rounds += 1;
                if pending.rounds > JOB_ROUNDS_MAX {
                    return self.fail(cx, number, TreeError::TooCostly);
                }
                pending.job = Some(job);
                pending.missing = ids.iter().copied().collect();
                for id in ids {
                    gets.get(cx, id, Waiter::Query(QueryToken::Block(number)));
                }
            }
            JobDone::BadHeads(faults) => {
                let Some(volume) = self.open.get(&number).map(|pending| pending.volume) else { return };
                if let Some(error) = local.quarantine.note_bad(cx, volume, job.heads(), faults, HeadUse::Read) {
                    return self.fail(cx, number, error);
                }
                let heads = local.readable(cx, volume);
                let (blocks, absent) = (std::mem::take(job.blocks_mut()), job.absent());
                self.run(cx, local, (number, volume), (heads, blocks, absent));
            }
            JobDone::Queried { found, folder } => {
                if let (Some(pending), Some(folder)) = (self.open.get(&number), folder) {
                    let known = if pending.state.is_some() { &mut self.past } else { &mut self.known };
                    known.keep(pending.volume, &pending.heads, folder);
                    if pending.state.is_none() {
                        local.quarantine.note_good(cx, pending.volume, job.heads());
                    }
                }
                match found {
                    Err(error) => self.fail(cx, number, error),
                    found => self.answer(cx, number, found),
                }
            }
            JobDone::Failed(error) => self.fail(cx, number, error),
            JobDone::Edited { .. } | JobDone::Merged { .. } | JobDone::Walked(_) => {
                debug_assert!(false, "a query's job did something else");
            }
        }
    }

    /// A block that the job lacks. It runs again when it has all of them, not after each.
    pub fn on_block(&mut self, cx: &mut Context, gets: &mut Gets, number: u64, id: BlockId, outcome: GetOutcome) {
        let Some(pending) = self.open.get_mut(&number) else { return };
        let Some(job) = &mut pending.job else { return };
        match outcome {
            GetOutcome::Found(block) => {
                debug_assert_eq!(block.id(), id, "a read gives what it was asked for");
                // The next query most likely goes through the same folders.
                gets.remember(&block);
                job.give([block]);
            }
            // The job says whether it can do without.
            GetOutcome::NotFound { away, nowhere } => {
                pending.away.extend(away);
                job.lacks(id, if nowhere { BlockAbsence::Nowhere } else { BlockAbsence::Away });
            }
        }
        if pending.missing.remove(&id)
            && pending.missing.is_empty()
            && let Some(job) = pending.job.take()
        {
            cx.work(job, Waiter::Query(QueryToken::Job(number)));
        }
    }

    /// Ends a query with what its job found.
    fn answer(&mut self, cx: &mut Context, number: u64, found: Result<crate::tree::QueryResult, TreeError>) {
        let Some(pending) = self.open.remove(&number) else { return };
        let unpublished_on = pending.withheld_by.into_iter().map(|node| cx.name_of(node)).collect();
        cx.reply(pending.op, Reply::Query(QueryReply { found, maybe_stale: pending.maybe_stale, unpublished_on }));
    }

    /// Ends a query that found no answer, and says whom it would take if somebody is away.
    fn fail(&mut self, cx: &mut Context, number: u64, error: TreeError) {
        match error {
            // Nobody will hand anything out to it any more, whoever is up.
            TreeError::Absent(..) if cx.is_out() => self.refuse(cx, number, Refusal::Revoked),
            TreeError::Absent(block, _) => {
                let away = self.open.get(&number).map(|pending| pending.away.iter().copied().collect());
                self.refuse(cx, number, Refusal::Unreachable { block, away: away.unwrap_or_default() });
            }
            error => self.answer(cx, number, Err(error)),
        }
    }

    /// Ends a query without a result.
    fn refuse(&mut self, cx: &mut Context, number: u64, refusal: Refusal) {
        if let Some(pending) = self.open.remove(&number) {
            cx.reply(pending.op, Reply::Refused(refusal));
        }
    }
}

#[cfg(test)]
mod tests;
