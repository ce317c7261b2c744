//! Reading a volume: hear the heads that stand, then look at their merged view.
//!
//! Asked are the first N servers in the placement order of the volume's id that can be reached, which are those that a
//! writer connected to the same servers makes its head durable on; all their answers are waited for, unless they fall
//! silent. Fewer than a majority of the wanted holders heard = "maybe stale": stand-ins of one part of a cut pool know
//! nothing of what the holders in the other part were told.

use std::collections::BTreeSet;

use fsdfs_proto::ids::{BlockId, FactId, NodeId, VolumeId};
use fsdfs_proto::message::{FACTS_MAX, HeadsReply, HeadsRequest, Message};

use super::peers::Purpose;
use super::{Engine, Reason, get, reply};
use crate::seam::{Effect, GetOutcome, OpId, QueryReply, Refusal, Reply, Token};
use crate::tree::{JobDone, QueryJob, TreeJob, TreeQuery};

/// A question about heads to several holders.
pub(super) struct Query {
    volume: VolumeId,
    waiting: BTreeSet<NodeId>,
    /// Wanted holders other than this node.
    holders: BTreeSet<NodeId>,
    /// This node is one, too.
    mine: bool,
    /// Of the others, how many told all they know.
    heard: usize,
    for_: For,
}

/// What the holders of heads told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// A majority of them, this node among them if it is one.
    pub majority: bool,
    /// So many of the others that at least one of them was in every quorum that confirmed a head to this node.
    pub own_past: bool,
}

impl Query {
    fn heard(&self, ready: bool) -> Heard {
        let wanted = self.holders.len() + usize::from(self.mine);
        // A quorum is wanted / 2 + 1. This node's own copy in it proves nothing: its disk may be an old image.
        let others_in_quorum = wanted / 2 + usize::from(!self.mine);
        Heard {
            majority: self.heard + usize::from(self.mine && ready) > wanted / 2,
            own_past: others_in_quorum == 0 || self.heard + others_in_quorum > self.holders.len(),
        }
    }
}

/// Who wants to know.
#[derive(Clone, Copy, Debug)]
pub(super) enum For {
    Commit(VolumeId),
    Look(u64),
}

/// A look under way.
pub(super) struct Looking {
    pub op: OpId,
    look: TreeQuery,
    maybe_stale: bool,
    job: Option<TreeJob>,
    missing: BTreeSet<BlockId>,
}

impl Engine {
    pub(super) fn query(&mut self, volume: VolumeId, for_: For, out: &mut Vec<Effect>) {
        let copies = self.facts.rules().copies;
        let order: Vec<NodeId> = self.view.order(BlockId(volume.0), copies).iter().map(|holder| holder.node).collect();
        let wanted = usize::from(copies).min(order.len());
        let live = order.iter().filter(|node| self.usable(**node)).take(wanted);
        let mut waiting: BTreeSet<NodeId> = live.filter(|node| **node != self.me).copied().collect();
        // A newcomer that knows no map yet, or whose holders are all away, asks whoever is there.
        if waiting.is_empty() && !order.contains(&self.me) {
            waiting.extend(self.up_peers().into_iter().filter(|node| self.usable(*node)).take(wanted.max(1)));
        }
        let mut holders: BTreeSet<NodeId> = order.iter().take(wanted).copied().collect();
        let mine = holders.remove(&self.me);
        self.last_look += 1;
        let query = self.last_look;
        self.queries.insert(query, Query { volume, waiting: waiting.clone(), holders, mine, heard: 0, for_ });
        let mut known: Vec<FactId> = self.facts.heads(volume).iter().map(fsdfs_proto::signed::Signed::id).collect();
        known.sort_unstable();
        known.truncate(FACTS_MAX);
        for node in waiting {
            let known = known.clone();
            let ask = |request| Message::Heads(HeadsRequest { request, volume, known });
            self.ask(node, Purpose::Query(query), ask, None, out);
        }
        self.query_maybe_done(query, out);
    }

    pub(super) fn heads_came(&mut self, from: NodeId, reply: &HeadsReply, out: &mut Vec<Effect>) {
        self.facts_came(from, 0, &reply.facts, out);
        let Some(Purpose::Query(query)) = self.answered(from, reply.request) else { return };
        if let Some(asking) = self.queries.get_mut(&query)
            && asking.waiting.remove(&from)
        {
            asking.heard += usize::from(reply.finished && asking.holders.contains(&from));
        }
        self.query_maybe_done(query, out);
    }

    pub(super) fn query_without(&mut self, query: u64, node: NodeId, out: &mut Vec<Effect>) {
        if let Some(asking) = self.queries.get_mut(&query) {
            asking.waiting.remove(&node);
        }
        self.query_maybe_done(query, out);
    }

    fn query_maybe_done(&mut self, query: u64, out: &mut Vec<Effect>) {
        if self.queries.get(&query).is_none_or(|asking| !asking.waiting.is_empty()) {
            return;
        }
        let asking = self.queries.remove(&query).expect("looked up above");
        let heard = asking.heard(self.ready());
        match asking.for_ {
            For::Commit(volume) => self.commit_heard(volume, heard, out),
            For::Look(look) => self.look_heard(look, asking.volume, heard.majority, out),
        }
    }

    pub(super) fn look(&mut self, op: OpId, volume: VolumeId, look: TreeQuery, out: &mut Vec<Effect>) {
        self.last_look += 1;
        let id = self.last_look;
        self.looks.insert(id, Looking { op, look, maybe_stale: true, job: None, missing: BTreeSet::new() });
        self.query(volume, For::Look(id), out);
    }

    fn look_heard(&mut self, look: u64, volume: VolumeId, majority: bool, out: &mut Vec<Effect>) {
        #[cfg(not(feature = "planted"))]
        let heads = self.heads(volume);
        #[cfg(feature = "planted")]
        let heads = self.older_heads(volume);
        let params = self.params;
        let Some(keys) = self.keys.get(&volume).cloned() else { return self.look_refused(look, Refusal::NoKey, out) };
        if heads.is_empty() {
            return self.look_refused(look, Refusal::NotYet, out);
        }
        let blocks = self.recent_blocks(volume);
        let Some(looking) = self.looks.get_mut(&look) else { return };
        looking.maybe_stale = !majority;
        let job = TreeJob::Query(QueryJob { keys, heads, query: looking.look.clone(), params, blocks });
        looking.job = Some(job.clone());
        out.push(Effect::Work { job: Box::new(job), why: Token(Reason::LookJob(look)) });
    }

    pub(super) fn look_job_done(&mut self, look: u64, done: JobDone, out: &mut Vec<Effect>) {
        match done {
            JobDone::Missing(ids) => {
                let Some(looking) = self.looks.get_mut(&look) else { return };
                looking.missing = ids.iter().copied().collect();
                for id in ids {
                    self.get(id, get::Waiter::Look(look), out);
                }
            }
            JobDone::Queried(found) => {
                let Some(looking) = self.looks.remove(&look) else { return };
                let answer = QueryReply { found, maybe_stale: looking.maybe_stale };
                out.push(reply(looking.op, Reply::Query(answer)));
            }
            JobDone::Failed(error) => {
                let Some(looking) = self.looks.remove(&look) else { return };
                let answer = QueryReply { found: Err(error), maybe_stale: looking.maybe_stale };
                out.push(reply(looking.op, Reply::Query(answer)));
            }
            JobDone::Edited { .. } | JobDone::Merged { .. } | JobDone::Walked(_) => {
                debug_assert!(false, "a look's job did something else");
            }
        }
    }

    pub(super) fn look_fetched(&mut self, look: u64, id: BlockId, outcome: GetOutcome, out: &mut Vec<Effect>) {
        let block = match outcome {
            GetOutcome::Found(block) => block,
            GetOutcome::NotFound { away } => {
                return self.look_refused(look, Refusal::Unreachable { block: id, away }, out);
            }
        };
        self.cache.put(&block);
        let Some(looking) = self.looks.get_mut(&look) else { return };
        let Some(job) = &mut looking.job else { return };
        job.give([block]);
        if looking.missing.remove(&id) && looking.missing.is_empty() {
            out.push(Effect::Work { job: Box::new(job.clone()), why: Token(Reason::LookJob(look)) });
        }
    }

    #[cfg(feature = "planted")]
    fn older_heads(&mut self, volume: VolumeId) -> Vec<fsdfs_proto::signed::Signed<fsdfs_proto::identity::Head>> {
        use crate::planted::{self, Bug};
        let heads = self.heads(volume);
        let before = self.looked.insert(volume, heads.clone());
        before.filter(|_| planted::is(Bug::OlderHeads)).unwrap_or(heads)
    }

    fn look_refused(&mut self, look: u64, refusal: Refusal, out: &mut Vec<Effect>) {
        if let Some(looking) = self.looks.remove(&look) {
            out.push(reply(looking.op, Reply::Refused(refusal)));
        }
    }
}
