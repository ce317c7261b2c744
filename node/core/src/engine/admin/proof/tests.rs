//! Proofs, driven by hand: this node is 0 of five and connected to all.

use fsdfs_proto::ids::Key;
use fsdfs_proto::message::{AttachedBlock, RequestId};

use super::*;
use crate::engine::blocks::kit::{block, connect_all};
use crate::engine::test_kit::pool::node;
use crate::engine::test_kit::{context, effects, pass};
use crate::seam::{Effect, Token};

const OP: OpId = 9;

struct Case {
    cx: Context,
    audits: Audits,
    gets: Gets,
    log: ReplicationLog,
    proofs: Proofs,
    block: Block,
}

/// What was asked of a peer, with the number of the question.
#[derive(Debug, PartialEq)]
enum Asked {
    Audit(NodeId, RequestId, Key),
    Pull(NodeId, RequestId),
    Read(OpId),
}

impl Case {
    fn new() -> Self {
        let mut cx = context(0, 5);
        connect_all(&mut cx);
        let (mut audits, gets, log) = (Audits::default(), Gets::default(), ReplicationLog::default());
        for number in 1..5 {
            audits.on_claims(&mut cx, node(number), [block(1).id()].into_iter());
        }
        Self { cx, audits, gets, log, proofs: Proofs::default(), block: block(1) }
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Proofs, &mut ProofParts<'_>) -> T) -> T {
        let Self { cx, audits, gets, log, proofs, .. } = self;
        call(proofs, &mut ProofParts { cx, audits, gets, log })
    }

    /// Begins with these holders.
    fn start(&mut self, op: OpId, holders: &[u8]) {
        let (id, holders) = (self.block.id(), holders.iter().map(|number| node(*number)).collect());
        self.call(|proofs, parts| proofs.start(parts, op, id, holders));
    }

    fn asked(&mut self) -> Vec<Asked> {
        let of = |effect| match effect {
            Effect::Send { to, message: Message::Audit(asked), .. } => {
                Some(Asked::Audit(to, asked.request, asked.nonce))
            }
            Effect::Send { to, message: Message::Pull(asked), .. } => Some(Asked::Pull(to, asked.request)),
            Effect::Disk { token: Token(Waiter::Proof(ProofToken::Own(op))), .. } => Some(Asked::Read(op)),
            _ => None,
        };
        effects(&mut self.cx).into_iter().filter_map(of).collect()
    }

    /// What is known when all have spoken.
    fn answer(&mut self) -> Option<Vec<(NodeId, CopyProof)>> {
        effects(&mut self.cx).into_iter().find_map(|effect| match effect {
            Effect::Reply { op: OP, reply: Reply::Prove(said) } => Some(said),
            _ => None,
        })
    }

    /// A peer answers its challenge: with what the block gives, or with what it is given.
    fn audited(&mut self, (from, request): (NodeId, RequestId), outcome: FetchOutcome, proof: Option<Digest>) -> bool {
        let waiter = self.cx.answered(from, request);
        let Some(Waiter::Proof(ProofToken::Asked { op, expected })) = waiter else { panic!("{waiter:?}") };
        let reply = AuditReply { request, outcome, proof };
        self.call(|proofs, parts| proofs.on_audited(parts, (op, from, expected), &reply))
    }

    fn pulled(&mut self, (from, request): (NodeId, RequestId), outcome: PullOutcome, payload: BlockPayload) -> bool {
        assert_eq!(self.cx.answered(from, request), Some(Waiter::Proof(ProofToken::Pull(OP))));
        let block = (outcome == PullOutcome::Found).then(|| AttachedBlock::from(&self.block));
        let reply = PullReply { request, outcome, wait_ms: 0, block };
        self.call(|proofs, parts| proofs.on_pulled(parts, (OP, from), &reply, payload))
    }

    fn own_read(&mut self, done: ReadDone) {
        assert_eq!(self.asked(), [Asked::Read(OP)], "the own copy is read first, and by the store");
        self.call(|proofs, parts| proofs.on_own_read(parts, OP, done));
    }
}

fn len(case: &Case) -> CopyProof {
    CopyProof::Proven(case.block.bytes().len() as u32)
}

#[test]
fn each_holder_is_asked_with_a_number_of_its_own_and_proves_with_the_bytes() {
    let mut case = Case::new();
    case.start(OP, &[0, 1, 2]);
    case.own_read(ReadDone::Found(case.block.clone()));
    let asked = case.asked();
    let [Asked::Audit(one, first, nonce), Asked::Audit(other, second, another)] = asked[..] else {
        panic!("{asked:?}")
    };
    assert!(one != other && nonce != another);
    let right = |case: &Case, nonce, of| Some(case.block.audit(nonce, case.cx.me, of));
    let proof = right(&case, nonce, one);
    assert!(!case.audited((one, first), FetchOutcome::Found, proof));
    assert_eq!(case.answer(), None);
    // The answer to the other one's question, and then one that was made up.
    let proof = right(&case, nonce, other);
    assert!(case.audited((other, second), FetchOutcome::Found, proof), "it is compared with");
    let said = case.answer().expect("all have spoken");
    assert_eq!(said, [(node(0), len(&case)), (one, len(&case)), (other, CopyProof::Unproven)]);
}

#[test]
fn a_damaged_copy_is_named_replaced_and_the_bytes_come_from_another_holder() {
    let mut case = Case::new();
    case.start(OP, &[0, 1, 2]);
    case.own_read(ReadDone::Damaged);
    assert!(case.gets.ids().contains(&case.block.id()), "an intact one is looked for");
    let asked = case.asked();
    let [Asked::Pull(first, request)] = asked[..] else { panic!("one at a time: {asked:?}") };
    case.pulled((first, request), PullOutcome::Damaged, BlockPayload::None);
    let asked = case.asked();
    let [Asked::Pull(second, request)] = asked[..] else { panic!("{asked:?}") };
    case.pulled((second, request), PullOutcome::Found, BlockPayload::Block(case.block.clone()));
    let said = case.answer().expect("all have spoken");
    let damaged = CopyProof::Damaged;
    assert_eq!(said, [(node(0), damaged), (first, damaged), (second, len(&case))]);
}

#[test]
fn bytes_that_are_another_block_prove_nothing() {
    let mut case = Case::new();
    case.start(OP, &[1, 2]);
    let asked = case.asked();
    let [Asked::Pull(liar, request)] = asked[..] else { panic!("{asked:?}") };
    assert!(case.pulled((liar, request), PullOutcome::Found, BlockPayload::Block(block(2))));
    let asked = case.asked();
    let [Asked::Pull(other, request)] = asked[..] else { panic!("{asked:?}") };
    case.pulled((other, request), PullOutcome::No, BlockPayload::None);
    assert_eq!(case.answer(), Some(vec![(liar, CopyProof::Unproven), (other, CopyProof::Unproven)]));
}

#[test]
fn whoever_cannot_say_now_is_asked_again_and_gave_no_answer_in_the_end() {
    let mut case = Case::new();
    case.start(OP, &[0, 1]);
    case.own_read(ReadDone::Found(case.block.clone()));
    for _ in 0..3 {
        let asked = case.asked();
        let [Asked::Audit(holder, request, _)] = asked[..] else { panic!("{asked:?}") };
        case.audited((holder, request), FetchOutcome::NotYet, None);
        case.call(Proofs::on_due);
        assert_eq!(case.asked(), [], "not at once");
        pass(&mut case.cx, PROOF_AGAIN_MS);
        case.call(Proofs::on_due);
    }
    pass(&mut case.cx, PROOF_MS_MAX);
    effects(&mut case.cx);
    case.call(Proofs::on_due);
    assert_eq!(case.answer(), Some(vec![(node(0), len(&case)), (node(1), CopyProof::NoAnswer)]));
}

#[test]
fn whoever_is_silent_or_away_is_not_waited_for() {
    let mut case = Case::new();
    case.cx.peers.get_mut(node(2)).expect("connected").silent = true;
    case.start(OP, &[0, 1, 2]);
    case.own_read(ReadDone::Found(case.block.clone()));
    assert_eq!(case.asked().len(), 1);
    case.call(|proofs, parts| proofs.on_lost(parts, OP, node(1)));
    let silent = CopyProof::NoAnswer;
    let said = case.answer().expect("nobody is left");
    assert_eq!(said[0], (node(0), len(&case)));
    assert!(said.len() == 3 && said[1..].iter().all(|(_, proof)| *proof == silent));
}

#[test]
fn few_are_under_way_and_fewer_while_users_move_bytes() {
    let mut case = Case::new();
    for op in 0..20 {
        case.start(op, &[0]);
    }
    assert_eq!(case.asked().len(), PROOFS_UNDER_WAY_MAX);
    case.cx.note_users();
    for op in 0..20 {
        case.call(|proofs, parts| proofs.on_own_read(parts, op, ReadDone::No));
        case.call(Proofs::on_due);
        assert!(case.asked().len() <= PROOFS_UNDER_WAY_BUSY);
    }
    assert!(case.proofs.open.is_empty());
}

#[test]
fn what_nobody_waits_for_ends() {
    let mut case = Case::new();
    (1..=PROOFS_UNDER_WAY_MAX as OpId + 1).for_each(|op| case.start(op, &[0]));
    assert_eq!(case.asked().len(), PROOFS_UNDER_WAY_MAX);
    let Case { cx, proofs, .. } = &mut case;
    proofs.cancel(cx, 1);
    case.call(|proofs, parts| proofs.on_own_read(parts, 1, ReadDone::No));
    case.call(Proofs::on_due);
    assert_eq!(case.asked(), [Asked::Read(PROOFS_UNDER_WAY_MAX as OpId + 1)]);
    assert_eq!(case.answer(), None);
}
