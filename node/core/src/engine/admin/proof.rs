//! Proofs on demand: each holder of a block reads its copy now, and proves that it has the bytes.
//!
//! Promise: a copy is called proven only if this node's store read it and its hash fits, if its bytes came here, or if its holder
//! hashed them with a number that nobody could know before. Proofs stand behind what users move, here and at the holders.

use std::collections::{BTreeMap, VecDeque};

use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, Digest, NodeId};
use fsdfs_proto::message::repair::{PullOutcome, PullReply, PullRequest};
use fsdfs_proto::message::{AuditReply, AuditRequest, FetchOutcome, Message};

use crate::engine::blocks::{Audits, Gets, ReplicationLog};
use crate::engine::context::Context;
use crate::engine::timers::Timer;
use crate::limits::{PROOF_AGAIN_MS, PROOF_MS_MAX, PROOFS_UNDER_WAY_BUSY, PROOFS_UNDER_WAY_MAX, PULL_WAIT_MS_MAX};
use crate::report::CopyProof;
use crate::seam::{BlockPayload, DiskRequest, OpId, ProofToken, ReadDone, Reply, Waiter};

/// What proofs work with.
pub(in crate::engine) struct ProofParts<'a> {
    pub cx: &'a mut Context,
    pub audits: &'a mut Audits,
    pub gets: &'a mut Gets,
    pub log: &'a mut ReplicationLog,
}

/// Blocks whose copies are being proven.
#[derive(Default)]
pub(in crate::engine) struct Proofs {
    open: BTreeMap<OpId, OpenProof>,
    /// Those of them that have not begun, the oldest first; and some that nobody waits for any more.
    waiting: VecDeque<OpId>,
}

struct OpenProof {
    id: BlockId,
    /// Monotonic milliseconds at which whoever is left gave no answer; none: it has not begun.
    until: Option<u64>,
    /// What the others are asked about.
    block: Option<Block>,
    /// Of whom nothing is known yet.
    left: BTreeMap<NodeId, ProofTurn>,
    said: Vec<(NodeId, CopyProof)>,
}

/// Where a holder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProofTurn {
    /// It may be asked from this monotonic millisecond on.
    From(u64),
    /// It was asked.
    Asked,
}

impl OpenProof {
    /// The last word about a holder. One of which something is known already says nothing more.
    fn note(&mut self, node: NodeId, proof: CopyProof) {
        if self.left.remove(&node).is_some() {
            self.said.push((node, proof));
        }
    }

    fn later(&mut self, node: NodeId, at: u64) {
        if let Some(turn) = self.left.get_mut(&node) {
            *turn = ProofTurn::From(at);
        }
    }

    /// Holders whose turn it is.
    fn due(&self, now: u64) -> Vec<NodeId> {
        let is_due = |turn: &ProofTurn| matches!(turn, ProofTurn::From(at) if *at <= now);
        self.left.iter().filter(|(_, turn)| is_due(turn)).map(|(node, _)| *node).collect()
    }

    fn is_asking(&self) -> bool {
        self.left.values().any(|turn| *turn == ProofTurn::Asked)
    }
}

impl Proofs {
    /// Each of these is asked, when it is this block's turn.
    pub fn start(&mut self, parts: &mut ProofParts<'_>, op: OpId, id: BlockId, holders: Vec<NodeId>) {
        let left = holders.into_iter().map(|node| (node, ProofTurn::From(0))).collect();
        self.open.insert(op, OpenProof { id, until: None, block: None, left, said: Vec::new() });
        self.waiting.push_back(op);
        self.begin(parts);
    }

    /// Nobody waits any more; answers that are still on their way find no entry.
    pub fn cancel(&mut self, cx: &mut Context, op: OpId) {
        if self.open.remove(&op).is_some() {
            cx.wake_in(0, Timer::Proofs);
        }
    }

    fn under_way(&self) -> usize {
        self.open.values().filter(|open| open.until.is_some()).count()
    }

    /// The next ones, as many as may be under way.
    fn begin(&mut self, parts: &mut ProofParts<'_>) {
        let most = if parts.cx.users_are_busy() { PROOFS_UNDER_WAY_BUSY } else { PROOFS_UNDER_WAY_MAX };
        while self.under_way() < most {
            let Some(op) = self.waiting.pop_front() else { return };
            let Some(open) = self.open.get_mut(&op) else { continue };
            debug_assert!(open.until.is_none(), "a proof begins once");
            open.until = Some(parts.cx.now.mono + PROOF_MS_MAX);
            parts.cx.wake_in(PROOF_MS_MAX, Timer::Proofs);
            let (id, me) = (open.id, parts.cx.me);
            match open.left.get_mut(&me) {
                Some(turn) => {
                    *turn = ProofTurn::Asked;
                    parts.cx.disk(DiskRequest::Read { id }, Waiter::Proof(ProofToken::Own(op)));
                }
                None => self.go_on(parts, op),
            }
        }
        if !self.waiting.is_empty() {
            // Whether users move bytes still.
            parts.cx.wake_in(PROOF_AGAIN_MS, Timer::Proofs);
        }
    }

    /// Asks whoever may be asked: all of them for a proof, or one of them for the bytes.
    fn go_on(&mut self, parts: &mut ProofParts<'_>, op: OpId) {
        let now = parts.cx.now.mono;
        let Some(open) = self.open.get_mut(&op) else { return };
        for node in open.due(now) {
            if !parts.cx.responsive(node) {
                open.note(node, CopyProof::NoAnswer);
                continue;
            }
            let id = open.id;
            match open.block.clone() {
                Some(block) => {
                    let (nonce, expected) = parts.audits.challenge(parts.cx, node, &block);
                    let audit = |request| Message::Audit(AuditRequest { request, nonce, id });
                    parts.cx.ask(node, Waiter::Proof(ProofToken::Asked { op, expected }), audit);
                }
                None if open.is_asking() => break,
                None => {
                    let pull = |request| Message::Pull(PullRequest { request, id });
                    parts.cx.ask(node, Waiter::Proof(ProofToken::Pull(op)), pull);
                }
            }
            let before = open.left.insert(node, ProofTurn::Asked);
            debug_assert!(matches!(before, Some(ProofTurn::From(_))), "one question to a holder at a time");
        }
        if open.left.is_empty() {
            return self.end(parts, op);
        }
        for turn in open.left.values() {
            if let ProofTurn::From(at) = turn
                && *at > now
            {
                parts.cx.timers.set(*at, Timer::Proofs);
            }
        }
    }

    fn end(&mut self, parts: &mut ProofParts<'_>, op: OpId) {
        if let Some(open) = self.open.remove(&op) {
            debug_assert!(open.left.is_empty(), "something is known of each holder");
            parts.cx.reply(op, Reply::Prove(open.said));
            // Not now: what ends at once would end within what has ended.
            parts.cx.wake_in(0, Timer::Proofs);
        }
    }

    /// This node's copy was read. One that turned out damaged is replaced.
    pub fn on_own_read(&mut self, parts: &mut ProofParts<'_>, op: OpId, done: ReadDone) {
        let Some(open) = self.open.get_mut(&op) else { return };
        let me = parts.cx.me;
        match done {
            ReadDone::Found(block) => {
                debug_assert_eq!(block.id(), open.id, "the store reads what was asked");
                open.note(me, proven(&block));
                open.block = Some(block);
            }
            ReadDone::Damaged => {
                open.note(me, CopyProof::Damaged);
                parts.gets.read_repair(parts.cx, parts.log, open.id);
            }
            ReadDone::Failed => open.note(me, CopyProof::Damaged),
            ReadDone::No => open.note(me, CopyProof::Unproven),
            ReadDone::NotYet => open.note(me, CopyProof::NoAnswer),
        }
        self.go_on(parts, op);
    }

    /// A holder sent the bytes, which is a proof, or said why not. Whether it is to be compared with again.
    pub fn on_pulled(
        &mut self,
        parts: &mut ProofParts<'_>,
        (op, from): (OpId, NodeId),
        reply: &PullReply,
        payload: BlockPayload,
    ) -> bool {
        let Some(open) = self.open.get_mut(&op) else { return false };
        let id = open.id;
        let mut compare = false;
        match (reply.outcome, payload) {
            (PullOutcome::Found, BlockPayload::Block(block)) if block.id() == id => {
                open.note(from, proven(&block));
                open.block = Some(block);
            }
            (PullOutcome::Later, BlockPayload::None) => {
                open.later(from, parts.cx.now.mono + reply.wait_ms.clamp(PROOF_AGAIN_MS, PULL_WAIT_MS_MAX));
            }
            (PullOutcome::Damaged, BlockPayload::None) => open.note(from, CopyProof::Damaged),
            (PullOutcome::No, BlockPayload::None) => {
                open.note(from, CopyProof::Unproven);
                compare = parts.audits.on_denied(parts.cx, from, [id].into_iter());
            }
            _ => {
                open.note(from, CopyProof::Unproven);
                compare = self.failed(parts, from, id);
            }
        }
        self.go_on(parts, op);
        compare
    }

    /// A holder answered the challenge. Whether it is to be compared with again.
    pub fn on_audited(
        &mut self,
        parts: &mut ProofParts<'_>,
        (op, from, expected): (OpId, NodeId, Digest),
        reply: &AuditReply,
    ) -> bool {
        let Some(open) = self.open.get_mut(&op) else { return false };
        debug_assert!(open.block.is_some(), "the question was made of the bytes");
        let (id, len) = (open.id, open.block.as_ref().map_or(CopyProof::NoAnswer, proven));
        let mut compare = false;
        match (reply.outcome, reply.proof) {
            (FetchOutcome::Found, Some(proof)) if proof == expected => open.note(from, len),
            (FetchOutcome::NotYet, _) => open.later(from, parts.cx.now.mono + PROOF_AGAIN_MS),
            (FetchOutcome::Damaged, _) => open.note(from, CopyProof::Damaged),
            (FetchOutcome::No, _) => {
                open.note(from, CopyProof::Unproven);
                compare = parts.audits.on_denied(parts.cx, from, [id].into_iter());
            }
            (FetchOutcome::Found, _) => {
                open.note(from, CopyProof::Unproven);
                compare = self.failed(parts, from, id);
            }
        }
        self.go_on(parts, op);
        compare
    }

    /// It sent what is no proof. One that is not believed anyway is told of once, and not for each block.
    fn failed(&self, parts: &mut ProofParts<'_>, from: NodeId, id: BlockId) -> bool {
        parts.cx.peers.is_believed(from) && parts.audits.on_wrong_bytes(parts.cx, from, id)
    }

    /// No answer comes.
    pub fn on_lost(&mut self, parts: &mut ProofParts<'_>, op: OpId, node: NodeId) {
        if let Some(open) = self.open.get_mut(&op) {
            open.note(node, CopyProof::NoAnswer);
        }
        self.go_on(parts, op);
    }

    /// Time went on.
    pub fn on_due(&mut self, parts: &mut ProofParts<'_>) {
        let now = parts.cx.now.mono;
        let begun: Vec<OpId> = self.open.iter().filter(|(_, open)| open.until.is_some()).map(|(op, _)| *op).collect();
        for op in begun {
            if let Some(open) = self.open.get_mut(&op).filter(|open| open.until.is_some_and(|until| until <= now)) {
                for node in open.left.keys().copied().collect::<Vec<_>>() {
                    open.note(node, CopyProof::NoAnswer);
                }
            }
            self.go_on(parts, op);
        }
        self.begin(parts);
    }
}

fn proven(block: &Block) -> CopyProof {
    CopyProof::Proven(u32::try_from(block.bytes().len()).expect("a block is shorter than 2 MiB"))
}

#[cfg(test)]
mod tests;
