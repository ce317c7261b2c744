//! Audits: whether holders have what they say.
//!
//! Promise: a copy counts in what owners are told only if its holder proved lately that it has what it says. Whoever says "stored" or
//! "yes" and has no bytes is found out, is not believed from then on, and its copies are made elsewhere.
//!
//! A sample of what each holder said is kept, and it is asked for the keyed hash of one block of it: soon after the first claim,
//! then a few times an hour, and again and again after a failure. What a node has itself it can ask about at any time; of a
//! block that it only puts, it prepares question and answer while it has the bytes. An opinion is this node's own: placement
//! never depends on it.

mod answer;
mod budget;
mod holder;

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::audit::AuditNonces;
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, Digest, Key, NodeId};
use fsdfs_proto::message::{AuditReply, AuditRequest, FetchOutcome, Message};

use self::budget::AuditBudgets;
use self::holder::{AuditSubject, AuditVerdict, AuditedHolder};
use super::{Gets, ReplicationLog};
use crate::engine::context::Context;
use crate::engine::event::PutReport;
use crate::engine::timers::Timer;
use crate::limits::AUDIT_AGAIN_MS;
use crate::report::Notice;
use crate::seam::{AuditToken, DiskRequest, ReadDone, Waiter};

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct Audits {
    /// Everybody who said that it keeps a block.
    holders: BTreeMap<NodeId, AuditedHolder>,
    /// Drawn from when the first question is asked.
    nonces: Option<AuditNonces>,
    /// How many audits each peer may have answered.
    budgets: AuditBudgets,
}

impl Audits {
    /// A holder said that it has these, and this node has them, too.
    pub fn on_claims(&mut self, cx: &mut Context, node: NodeId, ids: impl Iterator<Item = BlockId>) {
        for id in ids {
            self.claim(cx, node, id, None);
        }
    }

    /// A holder says that it does not have these. If it said that it keeps one of them, that is as good as an audit that failed: whoever
    /// says "stored" and then "no" would be sent everything again and again. Whether it is to be compared with again.
    pub fn on_denied(&mut self, cx: &mut Context, node: NodeId, mut ids: impl Iterator<Item = BlockId>) -> bool {
        let Some(holder) = self.holders.get(&node) else { return false };
        let broken = ids.find(|id| holder.has_promised(*id, cx.now.mono) && is_assigned(cx, node, *id));
        broken.is_some_and(|id| self.on_failed(cx, node, id))
    }

    /// It sent bytes that are not the block which it announced. As for [`Audits::on_denied`].
    pub fn on_wrong_bytes(&mut self, cx: &mut Context, node: NodeId, id: BlockId) -> bool {
        self.on_failed(cx, node, id)
    }

    fn on_failed(&mut self, cx: &mut Context, node: NodeId, id: BlockId) -> bool {
        cx.notice(Notice::AuditFailed { name: cx.name_of(node), id });
        if let Some(holder) = self.holders.get_mut(&node) {
            holder.drop_subject(id);
        }
        self.judge(cx, node, AuditVerdict::Failed)
    }

    /// Whoever was revoked keeps nothing for anybody, and is asked nothing more.
    pub fn forget_revoked(&mut self, cx: &Context) {
        self.holders.retain(|node, _| !cx.revoked(*node));
        self.budgets.retain(|node| !cx.revoked(node));
    }

    /// Holders confirmed a block that was put. Of one that this node does not keep, the question is prepared now.
    pub fn on_put_ended(&mut self, cx: &mut Context, put: &PutReport) {
        let Some((id, _)) = put.block else { return };
        let bytes = put.bytes.as_ref().filter(|_| !put.mine);
        for node in &put.durable_on {
            self.claim(cx, *node, id, bytes);
        }
    }

    /// Into the sample, perhaps; `bytes`: of a block that will not be here when it is asked about.
    fn claim(&mut self, cx: &mut Context, node: NodeId, id: BlockId, bytes: Option<&Block>) {
        // What was on its way when it was revoked may come in later.
        if node == cx.me || cx.revoked(node) {
            return;
        }
        let now = cx.now.mono;
        let rng = &mut cx.rng;
        let holder = self.holders.entry(node).or_insert_with(|| AuditedHolder::new(now));
        let Some(place) = holder.place_of_claim(now, |bound| rng.u64(..bound)) else { return };
        let prepared = bytes.map(|block| prepare(&mut self.nonces, cx, node, block));
        holder.put(place, AuditSubject { id, since: now, prepared });
        self.wake(cx);
    }

    /// Audits of all holders that are due. A proof that has grown old is one no more.
    pub fn on_due(&mut self, cx: &mut Context) {
        let now = cx.now.mono;
        let due = |(node, holder): (&NodeId, &AuditedHolder)| {
            (holder.next_at <= now && !holder.under_way && cx.responsive(*node)).then_some(*node)
        };
        for node in self.holders.iter().filter_map(due).collect::<Vec<_>>() {
            self.note_opinion(cx, node);
            self.begin(cx, node);
        }
        self.wake(cx);
    }

    fn begin(&mut self, cx: &mut Context, node: NodeId) {
        let Some(holder) = self.holders.get_mut(&node) else { return };
        let rng = &mut cx.rng;
        let Some(AuditSubject { id, prepared, .. }) = holder.take_subject(|len| rng.usize(..len)) else { return };
        holder.under_way = true;
        match prepared {
            Some((nonce, expected)) => ask(cx, node, id, nonce, expected),
            None => cx.disk(DiskRequest::Read { id }, Waiter::Audit(AuditToken::Own { of: node, id })),
        }
    }

    /// This node's copy was read: now the question can be asked.
    pub fn on_own_read(
        &mut self,
        cx: &mut Context,
        (gets, log): (&mut Gets, &mut ReplicationLog),
        (of, id): (NodeId, BlockId),
        done: &ReadDone,
    ) {
        if let ReadDone::Found(block) = done {
            let (nonce, expected) = prepare(&mut self.nonces, cx, of, block);
            return ask(cx, of, id, nonce, expected);
        }
        if *done == ReadDone::Damaged {
            gets.read_repair(cx, log, id);
        }
        let Some(holder) = self.holders.get_mut(&of) else { return };
        holder.drop_subject(id);
        holder.under_way = false;
        self.wake(cx);
    }

    /// The holder answered. Whether what it holds is to be compared again: it lacks something that it said to have, or is believed
    /// no more, or again.
    pub fn on_reply(
        &mut self,
        cx: &mut Context,
        from: NodeId,
        (id, expected): (BlockId, Digest),
        reply: &AuditReply,
    ) -> bool {
        // What no state needs it may have deleted, as this node will.
        let may_be_gone = !is_assigned(cx, from, id) || cx.unneeded.is_apart(id);
        if reply.outcome == FetchOutcome::No && may_be_gone {
            return self.forget_subject(cx, from, id);
        }
        let verdict = match (reply.outcome, reply.proof) {
            (FetchOutcome::Found, Some(proof)) if proof == expected => AuditVerdict::Proven,
            (FetchOutcome::NotYet | FetchOutcome::Damaged, _) => AuditVerdict::Unclear,
            _ => AuditVerdict::Failed,
        };
        match verdict {
            AuditVerdict::Failed => self.on_failed(cx, from, id),
            _ => self.judge(cx, from, verdict),
        }
    }

    /// It may have gone there since: whoever is not assigned a block gives it up when all who are have it.
    fn forget_subject(&mut self, cx: &mut Context, node: NodeId, id: BlockId) -> bool {
        if let Some(holder) = self.holders.get_mut(&node) {
            holder.drop_subject(id);
            holder.under_way = false;
            holder.next_at = cx.now.mono + AUDIT_AGAIN_MS;
        }
        self.wake(cx);
        false
    }

    /// No answer will come. As for [`Audits::on_reply`].
    pub fn on_lost(&mut self, cx: &mut Context, node: NodeId) -> bool {
        // That a connection ends says nothing of what lies behind it.
        if !cx.responsive(node) {
            if let Some(holder) = self.holders.get_mut(&node) {
                holder.under_way = false;
            }
            return false;
        }
        self.judge(cx, node, AuditVerdict::Unanswered)
    }

    /// Bytes that are the block which was asked for came from this member. Nothing is to be compared.
    pub fn on_bytes(&mut self, cx: &mut Context, from: NodeId) -> bool {
        if let Some(holder) = self.holders.get_mut(&from) {
            holder.note_bytes(cx.now.mono);
            self.note_opinion(cx, from);
        }
        false
    }

    fn judge(&mut self, cx: &mut Context, node: NodeId, verdict: AuditVerdict) -> bool {
        let Some(holder) = self.holders.get_mut(&node) else { return false };
        let compare = holder.judge(cx.now.mono, verdict);
        self.note_opinion(cx, node);
        self.wake(cx);
        compare
    }

    /// Puts and repair read it in the table of peers.
    fn note_opinion(&self, cx: &mut Context, node: NodeId) {
        let (Some(holder), Some(peer)) = (self.holders.get(&node), cx.peers.get_mut(node)) else { return };
        (peer.proven, peer.distrusted) = (holder.is_proven(cx.now.mono), holder.is_distrusted());
    }

    /// Members that are there and say that they keep copies, and of which none is proven now.
    pub fn unproven(&self, cx: &Context) -> BTreeSet<NodeId> {
        let is_unproven = |(node, holder): (&NodeId, &AuditedHolder)| {
            // Copies of whoever is not believed are not counted in the first place.
            (cx.responsive(*node) && holder.is_unproven(cx.now.mono) && !holder.is_distrusted()).then_some(*node)
        };
        self.holders.iter().filter_map(is_unproven).collect()
    }

    /// When the first holder that is there and can be asked is due.
    fn wake(&self, cx: &mut Context) {
        let can_be_asked = |(node, holder): &(&NodeId, &AuditedHolder)| {
            !holder.under_way && holder.has_subjects() && cx.responsive(**node)
        };
        let next = self.holders.iter().filter(can_be_asked).map(|(_, holder)| holder.next_at).min();
        if let Some(at) = next {
            cx.timers.set(at.max(cx.now.mono + 1), Timer::Audit);
        }
    }

    /// A question about these bytes to one member, and the only answer to it: for whoever wants a proof now.
    pub fn challenge(&mut self, cx: &mut Context, node: NodeId, block: &Block) -> (Key, Digest) {
        prepare(&mut self.nonces, cx, node, block)
    }

    /// A holder is there again.
    pub fn on_back(&self, cx: &mut Context) {
        self.wake(cx);
    }
}

/// Whether a member has to keep a block, as far as this node knows: it may have been put for fewer copies.
fn is_assigned(cx: &Context, node: NodeId, id: BlockId) -> bool {
    cx.map.holders(id, cx.copies()).iter().any(|holder| holder.node == node)
}

/// A question about these bytes to one holder, and the only answer to it.
fn prepare(nonces: &mut Option<AuditNonces>, cx: &mut Context, node: NodeId, block: &Block) -> (Key, Digest) {
    // Two runs of a node differ in their clocks, and the simulator's in their seeds.
    let run = cx.now.wall ^ cx.rng.u64(..);
    let nonce = nonces.get_or_insert_with(|| AuditNonces::new(&cx.key, run)).draw();
    (nonce, block.audit(nonce, cx.me, node))
}

fn ask(cx: &mut Context, node: NodeId, id: BlockId, nonce: Key, expected: Digest) {
    let audit = |request| Message::Audit(AuditRequest { request, nonce, id });
    cx.ask(node, Waiter::Audit(AuditToken::Asked { id, expected }), audit);
}

#[cfg(test)]
mod tests;
