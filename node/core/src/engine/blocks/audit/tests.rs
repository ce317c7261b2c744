//! Audits, driven by hand: this node is 0 of five, and asks or is asked by node 1.

use fsdfs_proto::message::RequestId;

use super::*;
use crate::engine::blocks::kit::{block, connect_all, set_proven};
use crate::engine::test_kit::{asked_of_disk, connect, context, effects, pass, pool, sent};
use crate::limits::{
    AUDIT_AGAIN_MS, AUDIT_ANSWERS_MAX, AUDIT_FIRST_MS, AUDIT_PERIOD_MS, AUDIT_PROMISE_MS, AUDIT_SHARED_MAX,
    AUDIT_VALID_MS,
};
use crate::seam::{Copies, Effect, PutOutcome};

struct Case {
    cx: Context,
    audits: Audits,
    gets: Gets,
    log: ReplicationLog,
    holder: NodeId,
    block: Block,
}

impl Case {
    /// Node 1 said that it has a block.
    fn new() -> Self {
        let mut case = Self::idle();
        case.audits.on_claims(&mut case.cx, case.holder, [case.block.id()].into_iter());
        case
    }

    fn idle() -> Self {
        let mut cx = context(0, 5);
        let holder = connect(&mut cx, 1);
        set_proven(&mut cx, holder, false);
        let (gets, log) = (Gets::default(), ReplicationLog::default());
        let is_its = |block: &Block| is_assigned(&cx, holder, block.id());
        let block = (3..).map(block).find(is_its).expect("endless");
        Self { cx, audits: Audits::default(), gets, log, holder, block }
    }

    /// The time of the next audit comes, and this node reads its copy.
    fn read(&mut self) {
        self.audits.on_due(&mut self.cx);
        let asked = asked_of_disk(&mut self.cx);
        let id = self.block.id();
        assert_eq!(asked, [(DiskRequest::Read { id }, Waiter::Audit(AuditToken::Own { of: self.holder, id }))]);
        let done = ReadDone::Found(self.block.clone());
        self.audits.on_own_read(&mut self.cx, (&mut self.gets, &mut self.log), (self.holder, id), &done);
    }

    /// The question that was asked.
    fn question(&mut self) -> (Key, Waiter) {
        let (to, message) = sent(&mut self.cx).pop().expect("a question");
        let Message::Audit(AuditRequest { request, nonce, id }) = message else { panic!("{message:?}") };
        assert_eq!((to, id), (self.holder, self.block.id()));
        (nonce, self.cx.answered(to, request).expect("it is open"))
    }

    fn answer(&mut self, outcome: FetchOutcome, proof: impl FnOnce(&Self, Key) -> Option<Digest>) -> bool {
        let (nonce, waiter) = self.question();
        let Waiter::Audit(AuditToken::Asked { id, expected }) = waiter else { panic!("{waiter:?}") };
        let reply = AuditReply { request: 1, outcome, proof: proof(self, nonce) };
        self.audits.on_reply(&mut self.cx, self.holder, (id, expected), &reply)
    }

    /// As whoever has the bytes answers.
    fn prove(&mut self) -> bool {
        self.answer(FetchOutcome::Found, |case, nonce| Some(case.block.audit(nonce, case.cx.me, case.holder)))
    }

    /// As whoever has none answers.
    fn lie(&mut self) -> bool {
        self.answer(FetchOutcome::Found, |_, _| Some(Digest([7; 32])))
    }

    fn is_proven(&self) -> bool {
        self.cx.peers.is_proven(self.holder)
    }
}

#[test]
fn a_holder_that_has_the_bytes_is_proven_for_a_while() {
    let mut case = Case::new();
    assert_eq!(case.audits.unproven(&case.cx), BTreeSet::from([case.holder]));
    case.audits.on_due(&mut case.cx);
    assert!(effects(&mut case.cx).is_empty(), "not at once");
    pass(&mut case.cx, AUDIT_FIRST_MS);
    case.read();
    assert!(!case.prove() && case.is_proven() && case.audits.unproven(&case.cx).is_empty());
    pass(&mut case.cx, AUDIT_PERIOD_MS);
    case.read();
    pass(&mut case.cx, AUDIT_VALID_MS);
    assert_eq!(case.audits.unproven(&case.cx), BTreeSet::from([case.holder]), "it does not answer any more");
}

#[test]
fn whoever_says_yes_and_has_nothing_is_believed_no_more() {
    let mut case = Case::new();
    pass(&mut case.cx, AUDIT_FIRST_MS);
    for failure in 1..=3 {
        assert!(case.cx.peers.is_believed(case.holder));
        case.read();
        assert!(case.lie(), "what it has is compared again");
        assert!(matches!(&effects(&mut case.cx)[..], [Effect::Notice(Notice::AuditFailed { .. })]));
        assert_eq!(case.cx.peers.is_believed(case.holder), failure < 3);
        // The comparison has it say yes again.
        case.audits.on_claims(&mut case.cx, case.holder, [case.block.id()].into_iter());
        pass(&mut case.cx, AUDIT_AGAIN_MS);
    }
    assert!(!case.is_proven() && case.audits.unproven(&case.cx).is_empty());
    assert!(!case.audits.on_bytes(&mut case.cx, case.holder));
    assert!(!case.is_proven(), "one block that it has does not make up for it");
    case.cx.peers.on_down(case.holder);
    case.cx.peers.on_up(case.holder, case.cx.now.mono);
    assert!(!case.cx.peers.is_believed(case.holder), "a new connection is no new holder");
}

#[test]
fn an_answer_of_another_holder_or_to_another_node_proves_nothing() {
    type Forge = fn(&Case, Key) -> Digest;
    let forged: [Forge; 3] = [
        |case, nonce| case.block.audit(nonce, case.cx.me, pool::node(2)),
        |case, nonce| case.block.audit(nonce, pool::node(2), case.holder),
        |case, _| case.block.audit(Key([0; 32]), case.cx.me, case.holder),
    ];
    for forge in forged {
        let mut case = Case::new();
        pass(&mut case.cx, AUDIT_FIRST_MS);
        case.read();
        assert!(case.answer(FetchOutcome::Found, |case, nonce| Some(forge(case, nonce))) && !case.is_proven());
    }
}

#[test]
fn what_this_node_puts_and_does_not_keep_it_can_ask_about() {
    let mut case = Case::idle();
    let put = PutReport {
        waiter: Waiter::Nobody,
        block: Some((case.block.id(), fsdfs_proto::message::Redundancy::Replicas(3))),
        outcome: PutOutcome::Stored(Copies::default()),
        bytes: Some(case.block.clone()),
        durable: 1,
        durable_on: vec![case.holder],
        target: 3,
        mine: false,
    };
    case.audits.on_put_ended(&mut case.cx, &put);
    pass(&mut case.cx, AUDIT_FIRST_MS);
    case.audits.on_due(&mut case.cx);
    assert!(!case.prove() && case.is_proven());
    pass(&mut case.cx, 9 * AUDIT_VALID_MS);
    case.audits.on_due(&mut case.cx);
    assert!(effects(&mut case.cx).is_empty() && case.is_proven(), "there is nothing left to ask");
}

#[test]
fn a_connection_that_ends_is_no_verdict_and_the_next_one_goes_on() {
    let mut case = Case::new();
    pass(&mut case.cx, AUDIT_FIRST_MS);
    case.read();
    effects(&mut case.cx);
    case.cx.peers.on_down(case.holder);
    assert!(!case.audits.on_lost(&mut case.cx, case.holder));
    case.cx.peers.on_up(case.holder, case.cx.now.mono);
    case.audits.on_back(&mut case.cx);
    assert!(case.cx.timers.next().is_some());
    case.read();
    assert!(!case.prove() && case.is_proven());
}

#[test]
fn a_question_is_answered_from_the_disk_or_with_the_reason_why_not() {
    let cases = [
        (ReadDone::Found(Case::idle().block), FetchOutcome::Found),
        (ReadDone::No, FetchOutcome::No),
        (ReadDone::NotYet, FetchOutcome::NotYet),
        (ReadDone::Failed, FetchOutcome::Damaged),
    ];
    for (done, outcome) in cases {
        let mut case = Case::idle();
        let (id, nonce) = (case.block.id(), Key([5; 32]));
        case.audits.on_audit(&mut case.cx, case.holder, &AuditRequest { request: 9, nonce, id });
        let waiter = Waiter::Audit(AuditToken::Answer { to: case.holder, request: 9, nonce, id });
        assert_eq!(asked_of_disk(&mut case.cx), [(DiskRequest::Read { id }, waiter)]);
        case.audits.on_read(&mut case.cx, (&mut case.gets, &mut case.log), (case.holder, 9), (nonce, id), done);
        let proof = (outcome == FetchOutcome::Found).then(|| case.block.audit(nonce, case.holder, case.cx.me));
        let reply = Message::AuditReply(AuditReply { request: 9, outcome, proof });
        assert_eq!(sent(&mut case.cx), [(case.holder, reply)]);
    }
}

#[test]
fn whoever_asks_without_end_is_told_later_and_reads_no_disk() {
    let mut case = Case::idle();
    let audit = |request: RequestId| AuditRequest { request, nonce: Key([5; 32]), id: block(1).id() };
    let most = AUDIT_ANSWERS_MAX + AUDIT_SHARED_MAX;
    for request in 0..most + 1 {
        case.audits.on_audit(&mut case.cx, case.holder, &audit(request));
    }
    let out = effects(&mut case.cx);
    let reads = out.iter().filter(|effect| matches!(effect, Effect::Disk { .. })).count();
    assert_eq!(reads as u64, most);
    let reply = AuditReply { request: most, outcome: FetchOutcome::NotYet, proof: None };
    assert!(matches!(out.last(), Some(Effect::Send { message: Message::AuditReply(last), .. }) if *last == reply));
}

#[test]
fn one_audit_a_holder_is_under_way_and_others_do_not_wait_for_it() {
    let mut case = Case::new();
    connect_all(&mut case.cx);
    case.audits.on_claims(&mut case.cx, pool::node(2), [case.block.id()].into_iter());
    pass(&mut case.cx, AUDIT_FIRST_MS);
    (0..3).for_each(|_| case.audits.on_due(&mut case.cx));
    let readers: BTreeSet<NodeId> = asked_of_disk(&mut case.cx)
        .into_iter()
        .map(|(_, waiter)| match waiter {
            Waiter::Audit(AuditToken::Own { of, .. }) => of,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(readers, BTreeSet::from([case.holder, pool::node(2)]));
}

#[test]
fn whoever_says_stored_and_then_no_again_and_again_is_sent_nothing_more() {
    let mut case = Case::idle();
    let id = case.block.id();
    assert!(!case.audits.on_denied(&mut case.cx, case.holder, [id].into_iter()), "it never said to have it");
    for _ in 0..3 {
        assert!(case.cx.peers.is_believed(case.holder));
        case.audits.on_claims(&mut case.cx, case.holder, [id].into_iter());
        let denied = [block(2).id(), id];
        assert!(!case.audits.on_denied(&mut case.cx, case.holder, denied.into_iter()), "the two may have crossed");
        pass(&mut case.cx, AUDIT_PROMISE_MS);
        assert!(case.audits.on_denied(&mut case.cx, case.holder, denied.into_iter()));
    }
    assert!(!case.cx.peers.is_believed(case.holder));
}

#[test]
fn wrong_bytes_count_as_an_audit_that_failed() {
    let mut case = Case::new();
    for _ in 0..3 {
        assert!(case.audits.on_wrong_bytes(&mut case.cx, case.holder, case.block.id()), "it is compared with");
    }
    assert!(!case.cx.peers.is_believed(case.holder));
}

#[test]
fn a_member_that_was_revoked_is_asked_nothing_and_named_no_more() {
    let mut case = Case::new();
    crate::engine::test_kit::revoke(&mut case.cx, 1);
    case.audits.forget_revoked(&case.cx);
    assert!(case.audits.unproven(&case.cx).is_empty());
    // What was on its way comes in.
    case.audits.on_claims(&mut case.cx, case.holder, [case.block.id()].into_iter());
    pass(&mut case.cx, AUDIT_FIRST_MS);
    case.audits.on_due(&mut case.cx);
    assert!(effects(&mut case.cx).is_empty() && case.audits.holders.is_empty());
}
