//! Hinted handoff, driven by hand.

use super::*;
use crate::engine::blocks::background::kit::parts;
use crate::engine::blocks::kit::{asked, block, silence};
use crate::engine::blocks::{Gets, Puts};
use crate::engine::context::Context;
use crate::engine::test_kit::{connect, context, effects, pass, sent};
use crate::seam::{DiskRequest, Effect, PutOutcome, Waiter};

const REDUNDANCY: Redundancy = Redundancy::Replicas(3);

struct Case {
    cx: Context,
    hints: Hints,
    gets: Gets,
    puts: Puts,
    /// It missed the puts.
    away: NodeId,
}

impl Case {
    fn new() -> Self {
        let mut cx = context(0, 5);
        let away = connect(&mut cx, 1);
        silence(&mut cx, away);
        Self { cx, hints: Hints::default(), gets: Gets::default(), puts: Puts::default(), away }
    }

    fn missed(&self, id: BlockId) -> PutReport {
        PutReport {
            waiter: Waiter::Client(1),
            block: Some((id, REDUNDANCY)),
            lease: Lease::Now,
            outcome: PutOutcome::Degraded(crate::seam::Copies::default()),
            bytes: None,
            durable: 2,
            durable_on: Vec::new(),
            target: 3,
            mine: false,
            missed: vec![(self.away, false)],
        }
    }

    fn put_ended(&mut self, put: &PutReport) {
        self.hints.on_put_ended(&mut parts(&mut self.cx, &mut self.gets, &mut self.puts), put);
    }

    /// The holder speaks.
    fn back(&mut self) {
        self.cx.peers.note_alive(self.away, self.cx.now.mono);
        self.hints.on_back(&mut parts(&mut self.cx, &mut self.gets, &mut self.puts), self.away);
    }

    /// The step that is under way ends.
    fn answer(&mut self, answer: Answer<'_>) {
        let number = self.hints.steps;
        self.hints.on_answer(&mut parts(&mut self.cx, &mut self.gets, &mut self.puts), number, answer);
    }

    /// Ids that the holder was asked for.
    fn asked_for(&mut self) -> Vec<Vec<BlockId>> {
        let ids = |(_, message)| match message {
            Message::Have(have) => have.ids,
            other => panic!("{other:?}"),
        };
        sent(&mut self.cx).into_iter().map(ids).collect()
    }

    fn hinted(&self) -> usize {
        self.hints.holders.values().map(|hints| hints.unasked.len()).sum()
    }
}

#[test]
fn a_holder_is_asked_what_it_lacks_when_it_speaks() {
    let mut case = Case::new();
    let id = block(1).id();
    case.put_ended(&case.missed(id));
    assert!(case.asked_for().is_empty(), "it is silent");
    case.back();
    assert_eq!(case.asked_for(), [vec![id]]);
}

#[test]
fn a_holder_that_speaks_again_already_is_asked_at_once() {
    let mut case = Case::new();
    case.cx.peers.note_alive(case.away, case.cx.now.mono);
    let id = block(1).id();
    case.put_ended(&case.missed(id));
    assert_eq!(case.asked_for(), [vec![id]]);
}

#[test]
fn a_block_that_is_handed_over_is_as_old_as_its_put() {
    let mut case = Case::new();
    case.put_ended(&case.missed(block(1).id()));
    let put = case.cx.now.wall;
    pass(&mut case.cx, 5_000);
    case.back();
    let renews = |effect: &Effect| match effect {
        Effect::Send { message: Message::Have(have), .. } => Some(have.renew),
        _ => None,
    };
    assert_eq!(effects(&mut case.cx).iter().filter_map(renews).collect::<Vec<_>>(), [false]);
    case.answer(Answer::Have(&[Possession::No]));
    effects(&mut case.cx);
    case.answer(Answer::Block(GetOutcome::Found(block(1))));
    let out = effects(&mut case.cx);
    assert!(!out.iter().filter_map(renews).any(|renew| renew), "others have it from the same put: {out:?}");
    for effect in &out {
        match effect {
            Effect::Disk { request: DiskRequest::Write { lease, .. }, .. } => assert_eq!(*lease, Lease::Old(put)),
            Effect::Send { message: Message::Store(store), .. } => assert_eq!(store.lease_ms, 5_000),
            _ => {}
        }
    }
}

#[test]
fn what_it_lacks_is_read_and_put_one_after_the_other() {
    let mut case = Case::new();
    let blocks = [block(1), block(2), block(3)];
    blocks.iter().for_each(|block| case.put_ended(&case.missed(block.id())));
    case.back();
    let ids = case.asked_for().remove(0);
    case.answer(Answer::Have(&[Possession::No, Possession::Yes, Possession::No]));
    assert_eq!(asked(&mut case.cx), [(case.cx.me, "read")], "one at a time");
    let block = blocks.iter().find(|block| block.id() == ids[2]).expect("one of them").clone();
    case.answer(Answer::Block(GetOutcome::Found(block)));
    asked(&mut case.cx);
    case.back();
    assert!(asked(&mut case.cx).is_empty(), "nothing more while that is put");
    case.answer(Answer::Put);
    assert_eq!(asked(&mut case.cx), [(case.cx.me, "read")]);
    let gone = GetOutcome::NotFound { away: Vec::new(), nowhere: false };
    case.answer(Answer::Block(gone));
    assert!(asked(&mut case.cx).is_empty(), "all is done");
    assert!(case.hints.holders.is_empty() && case.hints.under_way.is_empty());
}

#[test]
fn a_thousand_puts_that_missed_a_holder_make_one_question_at_a_time() {
    let mut case = Case::new();
    case.cx.peers.note_alive(case.away, case.cx.now.mono);
    let ids: Vec<BlockId> = (0..1_000).map(|number| block(number).id()).collect();
    ids.iter().for_each(|id| case.put_ended(&case.missed(*id)));
    let first = case.asked_for();
    assert_eq!(first, [vec![ids[0]]], "the others wait for its answer");
    case.answer(Answer::Have(&[Possession::No]));
    assert_eq!(asked(&mut case.cx), [(case.cx.me, "read")]);
    case.put_ended(&case.missed(block(5_000).id()));
    assert!(asked(&mut case.cx).is_empty());
}

#[test]
fn no_hint_is_made_where_it_is_not_needed() {
    let id = block(1).id();
    let case = Case::new();
    let cases = [
        ("repair does it", PutReport { mine: true, ..case.missed(id) }),
        ("nothing was stored", PutReport { durable: 0, ..case.missed(id) }),
        ("a head", PutReport { block: None, ..case.missed(id) }),
        ("it was there and refused", PutReport { missed: vec![(case.away, true)], ..case.missed(id) }),
        ("nobody missed it", PutReport { missed: Vec::new(), ..case.missed(id) }),
    ];
    for (why, put) in cases {
        let mut case = Case::new();
        case.put_ended(&put);
        assert_eq!(case.hinted(), 0, "{why}");
    }
}

#[test]
fn a_handed_over_block_that_is_missed_again_waits_for_the_next_time() {
    let mut case = Case::new();
    case.cx.peers.note_alive(case.away, case.cx.now.mono);
    let waiter = parts(&mut case.cx, &mut case.gets, &mut case.puts).waiter(1);
    case.put_ended(&PutReport { waiter, ..case.missed(block(1).id()) });
    assert!(case.asked_for().is_empty(), "it would go round and round");
    assert_eq!(case.hinted(), 1);
}

#[test]
fn a_question_that_got_lost_is_asked_again() {
    let mut case = Case::new();
    let id = block(1).id();
    case.put_ended(&case.missed(id));
    case.back();
    assert_eq!(case.asked_for(), [vec![id]]);
    case.answer(Answer::Lost);
    assert!(case.asked_for().is_empty(), "it may be away");
    case.back();
    assert_eq!(case.asked_for(), [vec![id]]);
}

#[test]
fn hints_are_bounded() {
    let mut case = Case::new();
    for number in 0..HINTS_MAX + 10 {
        case.put_ended(&case.missed(block(number.try_into().expect("small")).id()));
    }
    assert_eq!(case.hinted(), HINTS_MAX);
}

#[test]
fn one_question_has_as_many_ids_as_a_message_and_one_redundancy() {
    let mut case = Case::new();
    for number in 0..IDS_MAX + 10 {
        case.put_ended(&case.missed(block(number.try_into().expect("small")).id()));
    }
    let other = (block(u32::MAX).id(), Redundancy::Replicas(2));
    case.put_ended(&PutReport { block: Some(other), ..case.missed(other.0) });
    case.back();
    let mut asked = 0;
    loop {
        let ids = case.asked_for().concat();
        if ids.is_empty() {
            break;
        }
        assert!(ids.len() <= IDS_MAX);
        assert!(ids == [other.0] || !ids.contains(&other.0), "a yes records the redundancy that was asked for");
        asked += ids.len();
        case.answer(Answer::Have(&vec![Possession::Yes; ids.len()]));
    }
    assert_eq!((asked, case.hinted()), (IDS_MAX + 11, 0));
}

#[test]
fn nothing_is_handed_over_without_a_budget_and_all_with_the_next_one() {
    let mut case = Case::new();
    let id = block(1).id();
    case.put_ended(&case.missed(id));
    case.cx.repair_bytes_per_s = 0;
    case.back();
    assert!(case.asked_for().is_empty());
    case.cx.repair_bytes_per_s = 1_000;
    case.hints.on_budget(&mut parts(&mut case.cx, &mut case.gets, &mut case.puts));
    assert_eq!(case.asked_for(), [vec![id]]);
}
