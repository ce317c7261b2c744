//! What this node answers to audits of others, and how often.

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, Key, NodeId};
use fsdfs_proto::message::{AuditReply, AuditRequest, FetchOutcome, Message, RequestId};

use super::Audits;
use crate::engine::blocks::{Gets, ReplicationLog};
use crate::engine::context::Context;
use crate::seam::{AuditToken, DiskRequest, ReadDone, Waiter};

impl Audits {
    /// A member wants a proof: the block is read. Whoever asks too often is told that this node cannot say now.
    pub fn on_audit(&mut self, cx: &mut Context, from: NodeId, audit: &AuditRequest) {
        let AuditRequest { request, nonce, id } = *audit;
        if !self.budgets.take(cx, from) {
            return reply(cx, from, request, FetchOutcome::NotYet, None);
        }
        cx.disk(DiskRequest::Read { id }, Waiter::Audit(AuditToken::Answer { to: from, request, nonce, id }));
    }

    /// The block was read, or not. A copy that turned out damaged is replaced.
    pub fn on_read(
        &self,
        cx: &mut Context,
        (gets, log): (&mut Gets, &mut ReplicationLog),
        (to, request): (NodeId, RequestId),
        (nonce, id): (Key, BlockId),
        done: ReadDone,
    ) {
        match done {
            ReadDone::Found(block) => reply(cx, to, request, FetchOutcome::Found, Some((nonce, block))),
            ReadDone::No => reply(cx, to, request, FetchOutcome::No, None),
            ReadDone::NotYet => reply(cx, to, request, FetchOutcome::NotYet, None),
            ReadDone::Failed => reply(cx, to, request, FetchOutcome::Damaged, None),
            ReadDone::Damaged => {
                gets.read_repair(cx, log, id);
                reply(cx, to, request, FetchOutcome::Damaged, None);
            }
        }
    }
}

fn reply(cx: &mut Context, to: NodeId, request: RequestId, outcome: FetchOutcome, proof: Option<(Key, Block)>) {
    let proof = proof.map(|(nonce, block)| block.audit(nonce, to, cx.me));
    cx.send(to, Message::AuditReply(AuditReply { request, outcome, proof }));
}
