//! A read, driven by hand.

use bytes::Bytes;

use super::*;
use crate::engine::blocks::kit::{asked, block_at, connect_all, order, silence};
use crate::engine::test_kit::{asked_of_disk, context, effects, events, pass};
use crate::seam::Effect;

struct Case {
    cx: Context,
    gets: Gets,
    log: ReplicationLog,
    block: Block,
    /// This node is the last of five.
    order: Vec<NodeId>,
}

impl Case {
    fn new() -> Self {
        let mut cx = context(0, 5);
        connect_all(&mut cx);
        let block = block_at(&cx, 4);
        let order = order(&cx, block.id());
        Self { cx, gets: Gets::default(), log: ReplicationLog::default(), block, order }
    }

    /// Asked for by command 1, and not here.
    fn begun() -> Self {
        let mut case = Self::new();
        case.get(1);
        case.own(ReadDone::No);
        case
    }

    fn get(&mut self, op: OpId) {
        self.gets.get(&mut self.cx, self.block.id(), Waiter::Client(op));
    }

    fn own(&mut self, done: ReadDone) {
        self.gets.on_own_read(&mut self.cx, &mut self.log, self.block.id(), done);
    }

    fn answer(&mut self, place: usize, outcome: FetchOutcome, payload: BlockPayload) {
        let reply = FetchReply { request: 0, outcome, block: None };
        let of = (self.block.id(), self.order[place]);
        self.gets.on_fetch_reply(&mut self.cx, &mut self.log, of, &reply, payload);
    }

    fn none(&mut self, places: std::ops::Range<usize>, outcome: FetchOutcome) {
        places.for_each(|place| self.answer(place, outcome, BlockPayload::None));
    }

    /// Time goes on, and the read is looked at.
    fn pass(&mut self, ms: u64) {
        pass(&mut self.cx, ms);
        self.gets.on_due(&mut self.cx, &mut self.log, self.block.id());
    }

    fn ended(&mut self) -> Vec<(Waiter, GetOutcome)> {
        let ended = |event| match event {
            Event::GetEnded { waiter, outcome, .. } => (waiter, outcome),
            other => panic!("{other:?}"),
        };
        events(&mut self.cx).into_iter().map(ended).collect()
    }

    fn found(&self, op: OpId) -> (Waiter, GetOutcome) {
        (Waiter::Client(op), GetOutcome::Found(self.block.clone()))
    }

    #[track_caller]
    fn check_fetches(&mut self, places: &[usize]) {
        let expected: Vec<_> = places.iter().map(|place| (self.order[*place], "fetch")).collect();
        let fetches: Vec<_> = asked(&mut self.cx).into_iter().filter(|(_, what)| *what == "fetch").collect();
        assert_eq!(fetches, expected);
    }
}

#[track_caller]
fn check_notice(out: &[Effect], expected: &Notice) {
    assert!(out.iter().any(|effect| matches!(effect, Effect::Notice(notice) if notice == expected)), "{out:?}");
}

#[test]
fn the_own_copy_comes_first_and_nobody_else_is_asked() {
    let mut case = Case::new();
    case.get(1);
    assert_eq!(asked(&mut case.cx), [(case.cx.me, "read")]);
    case.own(ReadDone::Found(case.block.clone()));
    assert_eq!(case.ended(), [case.found(1)]);
    assert!(asked(&mut case.cx).is_empty() && case.gets.ids().is_empty());
}

#[test]
fn no_peer_is_asked_while_the_own_copy_is_read() {
    let mut case = Case::new();
    case.get(1);
    case.pass(HEDGE_MS);
    case.check_fetches(&[]);
}

#[test]
fn the_nearest_assigned_holder_is_asked_first() {
    let mut case = Case::new();
    for (place, rtt_ms) in [(0, 90), (1, 40), (2, 5), (3, 1)] {
        case.cx.peers.get_mut(case.order[place]).expect("connected").rtt_ms = Some(rtt_ms);
    }
    case.get(1);
    case.own(ReadDone::No);
    case.check_fetches(&[2]);
    case.answer(2, FetchOutcome::No, BlockPayload::None);
    case.check_fetches(&[1]);
    case.answer(1, FetchOutcome::No, BlockPayload::None);
    case.check_fetches(&[0]);
    case.answer(0, FetchOutcome::No, BlockPayload::None);
    case.check_fetches(&[3]);
}

#[test]
fn whoever_leaves_questions_unanswered_is_asked_when_nobody_else_is_left() {
    let mut case = Case::new();
    case.cx.peers.note_evaded(case.order[0], case.cx.now.mono);
    case.get(1);
    case.own(ReadDone::No);
    for place in [1, 2, 3] {
        case.check_fetches(&[place]);
        case.answer(place, FetchOutcome::No, BlockPayload::None);
    }
    case.check_fetches(&[0]);
}

#[test]
fn whoever_is_slow_gets_company_and_the_first_to_answer_counts() {
    let mut case = Case::begun();
    case.check_fetches(&[0]);
    case.pass(HEDGE_MS - 1);
    case.check_fetches(&[]);
    case.pass(1);
    case.check_fetches(&[1]);
    case.answer(1, FetchOutcome::Found, BlockPayload::Block(case.block.clone()));
    assert_eq!(case.ended(), [case.found(1)]);
    case.answer(0, FetchOutcome::Found, BlockPayload::Block(case.block.clone()));
    assert!(case.ended().is_empty(), "a read ends once");
}

#[test]
fn bytes_that_move_keep_others_from_being_asked() {
    let mut case = Case::begun();
    case.check_fetches(&[0]);
    pass(&mut case.cx, HEDGE_MS - 1);
    case.cx.peers.note_moved(case.order[0], case.cx.now.mono);
    case.pass(1);
    case.check_fetches(&[]);
    case.pass(HEDGE_MS);
    case.check_fetches(&[1]);
}

#[test]
fn a_silent_holder_is_waited_for_by_nobody() {
    let mut case = Case::begun();
    case.check_fetches(&[0]);
    silence(&mut case.cx, case.order[0]);
    case.gets.ask_next(&mut case.cx, &mut case.log, case.block.id());
    case.check_fetches(&[1]);
}

#[test]
fn a_holder_that_cannot_say_yet_is_asked_again() {
    let mut case = Case::begun();
    case.none(0..4, FetchOutcome::NotYet);
    case.check_fetches(&[0, 1, 2, 3]);
    assert!(case.ended().is_empty());
    case.pass(NOT_YET_RETRY_MS - 1);
    case.check_fetches(&[]);
    case.pass(1);
    case.check_fetches(&[0]);
}

#[test]
fn not_yet_is_no_reason_to_wait_for_ever() {
    let mut case = Case::begun();
    case.none(0..4, FetchOutcome::NotYet);
    case.pass(GET_MS_MAX - 1);
    case.none(0..4, FetchOutcome::NotYet);
    assert!(case.ended().is_empty());
    pass(&mut case.cx, 1);
    case.gets.ask_next(&mut case.cx, &mut case.log, case.block.id());
    let none = GetOutcome::NotFound { away: Vec::new(), nowhere: false };
    assert_eq!(case.ended(), [(Waiter::Client(1), none)], "whoever cannot say yet may have it");
}

#[test]
fn the_own_index_is_looked_at_again_when_it_was_not_ready() {
    let mut case = Case::new();
    case.get(1);
    asked(&mut case.cx);
    case.own(ReadDone::NotYet);
    case.check_fetches(&[0]);
    case.pass(HEDGE_MS);
    assert_eq!(asked(&mut case.cx), [(case.cx.me, "read")]);
}

#[test]
fn wrong_bytes_are_given_to_nobody_and_noted() {
    for payload in [BlockPayload::Wrong, BlockPayload::Block(Block::new(Bytes::from_static(b"other")))] {
        let mut case = Case::begun();
        asked(&mut case.cx);
        case.answer(0, FetchOutcome::Found, payload);
        assert!(case.ended().is_empty());
        assert_eq!(case.cx.peers.get(case.order[0]).map(|peer| peer.wrong_blocks), Some(1));
        let out = effects(&mut case.cx);
        let (name, id) = (case.cx.name_of(case.order[0]), case.block.id());
        check_notice(&out, &Notice::WrongBlock { name, id });
        let next = case.order[1];
        assert!(out.iter().any(|effect| matches!(effect, Effect::Send { to, .. } if *to == next)), "{out:?}");
    }
}

#[test]
fn a_damaged_own_copy_is_replaced_by_what_was_found() {
    let mut case = Case::new();
    let id = case.block.id();
    case.get(1);
    effects(&mut case.cx);
    case.own(ReadDone::Damaged);
    check_notice(&effects(&mut case.cx), &Notice::DamagedCopy { id });
    case.answer(0, FetchOutcome::Found, BlockPayload::Block(case.block.clone()));
    assert_eq!(case.ended(), [case.found(1)]);
    let asked = asked_of_disk(&mut case.cx);
    let [(DiskRequest::Mend { block }, Waiter::Get(GetToken::ReadRepair(of)))] = &asked[..] else {
        panic!("{asked:?}")
    };
    assert_eq!((block, *of), (&case.block, id));
}

#[test]
fn a_damaged_copy_that_cannot_be_replaced_is_under_replicated_until_it_is() {
    let mut case = Case::new();
    let id = case.block.id();
    for (done, lacks) in
        [(WriteDone::Full, true), (WriteDone::New, false), (WriteDone::Failed, true), (WriteDone::Already, false)]
    {
        case.gets.on_repaired(&mut case.cx, &mut case.log, id, done);
        assert_eq!(case.log.is_under_replicated(id), lacks, "{done:?}");
    }
}

#[test]
fn a_damaged_copy_is_looked_for_though_nobody_waits() {
    let mut case = Case::new();
    case.gets.read_repair(&mut case.cx, &mut case.log, case.block.id());
    case.check_fetches(&[0]);
    case.none(0..4, FetchOutcome::No);
    assert!(case.ended().is_empty() && case.log.is_under_replicated(case.block.id()));
    effects(&mut case.cx);
    case.gets.read_repair(&mut case.cx, &mut case.log, case.block.id());
    let told = effects(&mut case.cx).iter().any(|effect| matches!(effect, Effect::Notice(_)));
    assert!(!told, "its owner was told the first time");
}

#[test]
fn not_found_names_the_assigned_holders_that_are_away() {
    let mut case = Case::new();
    assert!(case.cx.peers.on_down(case.order[0]));
    silence(&mut case.cx, case.order[2]);
    case.get(1);
    case.own(ReadDone::Failed);
    case.check_fetches(&[1]);
    case.answer(1, FetchOutcome::No, BlockPayload::None);
    case.answer(3, FetchOutcome::No, BlockPayload::None);
    assert!(case.ended().is_empty(), "they may be back in a moment");
    case.pass(LOST_LATELY_MS);
    let away = vec![case.order[0], case.order[2]];
    assert_eq!(case.ended(), [(Waiter::Client(1), GetOutcome::NotFound { away, nowhere: false })]);
}

#[test]
fn whoever_had_a_damaged_copy_is_asked_once_more_before_the_end() {
    let mut case = Case::begun();
    case.answer(0, FetchOutcome::Damaged, BlockPayload::None);
    case.none(1..3, FetchOutcome::No);
    // The last of the others takes its time, in which the first has fetched an intact copy.
    case.pass(NOT_YET_RETRY_MS + 1);
    case.answer(3, FetchOutcome::Damaged, BlockPayload::None);
    case.check_fetches(&[0, 1, 2, 3]);
    case.pass(NOT_YET_RETRY_MS - 1);
    case.check_fetches(&[]);
    case.pass(1);
    case.check_fetches(&[0]);
    case.answer(0, FetchOutcome::Found, BlockPayload::Block(case.block.clone()));
    assert_eq!(case.ended(), [case.found(1)]);
}

#[test]
fn a_read_ends_when_all_copies_stay_damaged() {
    let mut case = Case::begun();
    case.none(0..4, FetchOutcome::Damaged);
    assert!(case.ended().is_empty());
    case.pass(NOT_YET_RETRY_MS);
    case.none(0..4, FetchOutcome::Damaged);
    assert_eq!(case.ended(), [(Waiter::Client(1), GetOutcome::NotFound { away: vec![], nowhere: false })]);
}

#[test]
fn a_read_is_shared_by_all_who_wait() {
    let mut case = Case::new();
    (1..4).for_each(|op| case.get(op));
    assert_eq!(asked(&mut case.cx), [(case.cx.me, "read")]);
    case.own(ReadDone::Found(case.block.clone()));
    assert_eq!(case.ended(), [1, 2, 3].map(|op| case.found(op)));
}

#[test]
fn whoever_cancelled_hears_nothing() {
    let mut case = Case::new();
    (1..3).for_each(|op| case.get(op));
    case.gets.cancel(1);
    case.own(ReadDone::Found(case.block.clone()));
    assert_eq!(case.ended(), [case.found(2)]);
}

#[test]
fn a_remembered_block_needs_no_disk() {
    let mut case = Case::new();
    case.gets.remember(&case.block);
    case.get(1);
    assert!(asked(&mut case.cx).is_empty());
    assert_eq!(case.ended(), [case.found(1)]);
}

#[test]
fn a_holder_whose_connection_broke_is_asked_again_when_it_is_back() {
    let mut case = Case::begun();
    case.check_fetches(&[0]);
    assert!(case.cx.peers.on_down(case.order[0]));
    case.gets.on_lost(&mut case.cx, &mut case.log, case.block.id(), case.order[0]);
    case.check_fetches(&[1]);
    case.cx.peers.on_up(case.order[0], case.cx.now.mono);
    case.answer(1, FetchOutcome::No, BlockPayload::None);
    case.check_fetches(&[0]);
}

#[test]
fn a_read_waits_for_holders_that_were_lost_a_moment_ago() {
    let mut case = Case::new();
    // The member through which they were reached is gone.
    (0..3).for_each(|place| assert!(case.cx.peers.on_down(case.order[place])));
    case.pass(LOST_LATELY_MS - HEDGE_MS - 1);
    case.get(1);
    case.own(ReadDone::No);
    case.check_fetches(&[3]);
    case.answer(3, FetchOutcome::No, BlockPayload::None);
    case.pass(HEDGE_MS);
    assert!(case.ended().is_empty());
    case.cx.peers.on_up(case.order[1], case.cx.now.mono);
    case.pass(0);
    case.check_fetches(&[1]);
    case.answer(1, FetchOutcome::Found, BlockPayload::Block(case.block.clone()));
    assert_eq!(case.ended(), [case.found(1)]);
}

#[test]
fn a_read_does_not_wait_for_those_who_have_been_gone_for_long() {
    let mut case = Case::new();
    (0..3).for_each(|place| assert!(case.cx.peers.on_down(case.order[place])));
    case.pass(LOST_LATELY_MS);
    case.get(1);
    case.own(ReadDone::No);
    case.answer(3, FetchOutcome::No, BlockPayload::None);
    assert_eq!(case.ended().len(), 1);
}

#[test]
fn an_unassigned_member_that_is_connected_is_asked_last() {
    let mut case = Case::begun();
    let stranger = NodeId([0xee; 32]);
    case.cx.peers.on_up(stranger, case.cx.now.mono);
    case.none(0..4, FetchOutcome::No);
    assert_eq!(asked(&mut case.cx).pop(), Some((stranger, "fetch")));
}
