//! A put, driven by hand.

mod relayed;

use super::*;
use crate::engine::blocks::kit::{asked, block, block_at, connect_all, each, fill, order, set_proven, silence};
use crate::engine::event::PutReport;
use crate::engine::test_kit::{context, events, pool};
use crate::seam::{DiskCondition, PutOutcome, Refusal};

const CLIENT: Waiter = Waiter::Client(7);
/// The first put of a machine.
const PUT: u64 = 1;

struct Case {
    cx: Context,
    puts: Puts,
    order: Vec<NodeId>,
}

impl Case {
    /// Node 0 of six, connected to all, and a block in whose order it has that place. `before` may change the pool.
    fn begin(place: usize, probe: bool, before: impl FnOnce(&mut Context, &[NodeId])) -> Self {
        let mut cx = context(0, 6);
        connect_all(&mut cx);
        let block = block_at(&cx, place);
        let order = order(&cx, block.id());
        before(&mut cx, &order);
        let mut puts = Puts::default();
        let item = PutItem::Block { block, redundancy: Redundancy::Replicas(3), probe, more: false, reserve: false };
        puts.start(&mut cx, item, CLIENT);
        Self { cx, puts, order }
    }

    /// A block of a tree that removes something; the servers at these places are full, this node is last in the order.
    fn removal(full: &[usize]) -> Self {
        let mut cx = context(0, 6);
        connect_all(&mut cx);
        let block = block_at(&cx, 5);
        let order = order(&cx, block.id());
        full.iter().filter(|place| **place < 5).for_each(|place| fill(&mut cx, order[*place]));
        if full.contains(&5) {
            cx.disks[0].condition = DiskCondition::QuotaFull;
        }
        let mut puts = Puts::default();
        let item =
            PutItem::Block { block, redundancy: Redundancy::Replicas(3), probe: false, more: false, reserve: true };
        puts.start(&mut cx, item, CLIENT);
        Self { cx, puts, order }
    }

    /// With this node last in the order.
    fn new() -> Self {
        Self::begin(5, false, |_, _| {})
    }

    fn answer(&mut self, place: usize, outcome: StoreOutcome) {
        self.puts.on_store_reply(&mut self.cx, PUT, self.order[place], outcome);
    }

    fn store(&mut self, places: &[usize]) {
        places.iter().for_each(|place| self.answer(*place, StoreOutcome::Stored));
    }

    /// It falls silent, and whoever asked it is told.
    fn silence(&mut self, place: usize) {
        silence(&mut self.cx, self.order[place]);
        self.puts.advance(&mut self.cx, PUT);
    }

    fn report(&mut self) -> Option<PutReport> {
        let mut events = events(&mut self.cx).into_iter();
        let report = events.next().map(|event| match event {
            Event::PutEnded(report) => report,
            other => panic!("{other:?}"),
        });
        assert!(events.next().is_none(), "a put ends once");
        report
    }

    fn places(&self, places: &[usize]) -> Vec<NodeId> {
        places.iter().map(|place| self.order[*place]).collect()
    }

    #[track_caller]
    fn check_asked(&mut self, places: &[usize], what: &'static str) {
        assert_eq!(asked(&mut self.cx), each(&self.places(places), what));
    }

    #[track_caller]
    fn check_stored(&mut self, places: &[usize]) {
        let report = self.report().expect("it ended");
        let PutOutcome::Stored(copies) = report.outcome else { panic!("{:?}", report.outcome) };
        let mut expected = self.places(places);
        expected.sort_unstable();
        assert_eq!((copies.servers, report.durable), (expected, places.len()));
    }
}

#[test]
fn a_put_asks_the_first_n_servers_at_once_and_ends_when_all_have_it() {
    let mut case = Case::new();
    case.check_asked(&[0, 1, 2], "store");
    case.store(&[2, 0]);
    assert!(case.report().is_none(), "two of three");
    case.store(&[1]);
    case.check_stored(&[0, 1, 2]);
    case.check_asked(&[], "store");
}

#[test]
fn whoever_is_silent_full_or_down_is_passed_over() {
    let silent = |cx: &mut Context, order: &[NodeId]| silence(cx, order[1]);
    Case::begin(5, false, silent).check_asked(&[0, 2, 3], "store");
    let full = |cx: &mut Context, order: &[NodeId]| fill(cx, order[0]);
    Case::begin(5, false, full).check_asked(&[1, 2, 3], "store");
    let down = |cx: &mut Context, order: &[NodeId]| assert!(cx.peers.on_down(order[2]));
    Case::begin(5, false, down).check_asked(&[0, 1, 3], "store");
    let evades = |cx: &mut Context, order: &[NodeId]| cx.peers.note_evaded(order[0], cx.now.mono);
    Case::begin(5, false, evades).check_asked(&[1, 2, 3], "store");
}

#[test]
fn what_removes_goes_to_full_servers_when_the_others_are_too_few() {
    Case::removal(&[0, 1]).check_asked(&[2, 3, 4], "store");
    Case::removal(&[0, 1, 3, 4]).check_asked(&[0, 1, 2], "store");
    let mut case = Case::removal(&[0, 1, 2, 3, 4, 5]);
    case.check_asked(&[0, 1, 2], "store");
    case.answer(1, StoreOutcome::Full);
    case.check_asked(&[3], "store");
    case.store(&[0, 2, 3]);
    case.check_stored(&[0, 2, 3]);
}

#[test]
fn a_failing_disk_of_its_own_keeps_nothing_in_reserve() {
    let mut case = Case::removal(&[0, 1, 2, 3, 4, 5]);
    case.cx.disks[0].condition = DiskCondition::Failing;
    case.check_asked(&[0, 1, 2], "store");
    (0..5).for_each(|place| case.answer(place, StoreOutcome::Full));
    assert_eq!(case.report().map(|report| report.outcome), Some(PutOutcome::Refused(Refusal::NoSpace)));
}

#[test]
fn a_head_goes_to_its_holders_even_if_they_are_full() {
    let mut cx = context(0, 6);
    connect_all(&mut cx);
    let volume = pool::pool_id().volume();
    let order = order(&cx, BlockId(volume.0));
    // It is in this node's own log already.
    let others: Vec<NodeId> = order.iter().copied().filter(|node| *node != cx.me).take(2).collect();
    others.iter().for_each(|node| fill(&mut cx, *node));
    let fact = fsdfs_proto::identity::Fact::from(pool::head(1, &[(0, 1)])).raw();
    let told = Puts::default().start(&mut cx, PutItem::Head { fact, volume }, CLIENT);
    assert!(others.iter().all(|node| told.contains(node)), "{told:?}");
}

#[test]
fn whoever_refuses_is_replaced_by_the_next_in_order() {
    for outcome in [StoreOutcome::Full, StoreOutcome::Failed, StoreOutcome::WrongBytes] {
        let mut case = Case::new();
        case.check_asked(&[0, 1, 2], "store");
        case.answer(1, outcome);
        case.check_asked(&[3], "store");
        case.store(&[0, 2, 3]);
        case.check_stored(&[0, 2, 3]);
    }
}

#[test]
fn whoever_got_lost_is_replaced_by_the_next_in_order() {
    let mut case = Case::new();
    case.check_asked(&[0, 1, 2], "store");
    case.puts.on_failed(&mut case.cx, PUT, case.order[0], None);
    case.check_asked(&[3], "store");
}

#[test]
fn a_late_confirmation_counts() {
    let mut case = Case::new();
    case.check_asked(&[0, 1, 2], "store");
    case.silence(0);
    case.check_asked(&[3], "store");
    case.store(&[1, 2, 0]);
    case.check_stored(&[0, 1, 2]);
}

#[test]
fn a_late_confirmation_counts_after_a_loss_too() {
    let mut case = Case::new();
    case.puts.on_failed(&mut case.cx, PUT, case.order[0], None);
    case.store(&[0, 1, 2]);
    case.check_stored(&[0, 1, 2]);
}

#[test]
fn a_server_is_never_counted_twice() {
    let mut case = Case::new();
    case.store(&[0, 0, 0, 1, 1]);
    assert!(case.report().is_none(), "two servers said it five times");
    case.store(&[2]);
    case.check_stored(&[0, 1, 2]);
}

#[test]
fn a_server_is_never_asked_twice() {
    let mut case = Case::new();
    case.check_asked(&[0, 1, 2], "store");
    case.silence(0);
    case.check_asked(&[3], "store");
    case.cx.peers.note_alive(case.order[0], case.cx.now.mono);
    case.answer(1, StoreOutcome::Full);
    case.check_asked(&[], "store");
    case.answer(2, StoreOutcome::Full);
    case.check_asked(&[4], "store");
}

#[test]
fn this_node_takes_a_copy_when_it_is_its_turn() {
    let mut case = Case::new();
    asked(&mut case.cx);
    for place in 0..3 {
        case.answer(place, StoreOutcome::Failed);
    }
    assert_eq!(asked(&mut case.cx).pop(), Some((case.cx.me, "write")));
    case.puts.on_own_write(&mut case.cx, PUT, WriteDone::New);
    case.store(&[3, 4]);
    let report = case.report().expect("it ended");
    assert!(report.mine && matches!(report.outcome, PutOutcome::Stored(_)), "{report:?}");
}

#[test]
fn with_nobody_left_it_ends_degraded() {
    let mut case = Case::new();
    case.store(&[0]);
    (1..5).for_each(|place| case.answer(place, StoreOutcome::Full));
    assert!(case.report().is_none(), "the own disk may take it yet");
    case.puts.on_own_write(&mut case.cx, PUT, WriteDone::Full);
    let report = case.report().expect("it ended");
    let PutOutcome::Degraded(copies) = &report.outcome else { panic!("{report:?}") };
    assert_eq!((copies.servers.clone(), copies.sites, copies.target), (case.places(&[0]), 1, 3));
}

#[test]
fn only_distinct_sites_are_counted_as_sites() {
    let mut case = Case::new();
    case.store(&[0, 1, 2]);
    let Some(PutReport { outcome: PutOutcome::Stored(copies), .. }) = case.report() else { panic!("it ended") };
    assert_eq!((copies.sites, copies.present), (3, false));
}

#[test]
fn nothing_durable_is_a_refusal_that_says_why() {
    let no_quorum = Refusal::NoQuorum { got: 0, needed: 1 };
    for (own, refusal) in [(WriteDone::Failed, no_quorum), (WriteDone::Full, Refusal::NoSpace)] {
        let mut case = Case::new();
        (0..5).for_each(|place| case.answer(place, StoreOutcome::Failed));
        case.puts.on_own_write(&mut case.cx, PUT, own);
        assert_eq!(case.report().map(|report| report.outcome), Some(PutOutcome::Refused(refusal)));
    }
}

#[test]
fn with_nobody_to_ask_there_is_no_space() {
    let mut case = Case::begin(5, false, |cx, order| {
        cx.disks.iter_mut().for_each(|disk| disk.condition = DiskCondition::QuotaFull);
        order[..5].iter().for_each(|node| silence(cx, *node));
    });
    assert!(asked(&mut case.cx).is_empty());
    assert_eq!(case.report().map(|report| report.outcome), Some(PutOutcome::Refused(Refusal::NoSpace)));
}

#[test]
fn a_block_that_is_new_here_is_sent_without_asking() {
    let mut case = Case::begin(0, true, |_, _| {});
    case.check_asked(&[0], "have");
    case.puts.on_own_probe(&mut case.cx, PUT, &[Possession::No]);
    assert_eq!(asked(&mut case.cx), [(case.cx.me, "write"), (case.order[1], "store"), (case.order[2], "store")]);
}

#[test]
fn a_block_that_is_here_is_asked_for_before_it_is_sent() {
    let mut case = Case::begin(0, true, |_, _| {});
    asked(&mut case.cx);
    case.puts.on_own_probe(&mut case.cx, PUT, &[Possession::Yes]);
    assert_eq!(asked(&mut case.cx), [(case.cx.me, "write"), (case.order[1], "have"), (case.order[2], "have")]);
    case.puts.on_own_write(&mut case.cx, PUT, WriteDone::Already);
    case.puts.on_probe_reply(&mut case.cx, PUT, case.order[1], &[Possession::Yes]);
    case.puts.on_probe_reply(&mut case.cx, PUT, case.order[2], &[Possession::Yes]);
    let Some(PutReport { outcome: PutOutcome::Stored(copies), .. }) = case.report() else { panic!("it ended") };
    assert!(copies.present, "nothing was sent");
}

#[test]
fn whoever_lacks_what_others_have_is_sent_it() {
    for answers in [&[Possession::No][..], &[Possession::NotYet], &[]] {
        let mut case = Case::begin(5, true, |_, _| {});
        case.check_asked(&[0, 1, 2], "have");
        case.puts.on_probe_reply(&mut case.cx, PUT, case.order[0], answers);
        case.check_asked(&[0], "store");
        for place in 1..3 {
            case.puts.on_probe_reply(&mut case.cx, PUT, case.order[place], &[Possession::Yes]);
        }
        case.store(&[0]);
        let Some(PutReport { outcome: PutOutcome::Stored(copies), .. }) = case.report() else { panic!("it ended") };
        assert!(!copies.present);
    }
}

#[test]
fn a_head_counts_the_own_log_and_goes_to_two_more() {
    let mut cx = context(0, 6);
    connect_all(&mut cx);
    let volume = pool::pool_id().volume();
    let others: Vec<NodeId> = order(&cx, BlockId(volume.0)).into_iter().filter(|node| *node != cx.me).take(2).collect();
    let fact = fsdfs_proto::identity::Fact::from(pool::head(1, &[(9, 1)])).raw();
    let mut puts = Puts::default();
    puts.start(&mut cx, PutItem::Head { fact, volume }, CLIENT);
    assert_eq!(asked(&mut cx), each(&others, "facts"));
    assert!(!puts.moves_block(PutToken::Store(PUT)), "facts are small");
    others.iter().for_each(|node| puts.on_store_reply(&mut cx, PUT, *node, StoreOutcome::Stored));
    let events = events(&mut cx);
    let [Event::PutEnded(report)] = &events[..] else { panic!("{events:?}") };
    assert!(report.mine && report.block.is_none() && report.durable == 3, "{report:?}");
}

#[test]
fn a_cancelled_put_goes_on_for_nobody() {
    let mut case = Case::new();
    case.puts.cancel(8);
    assert_eq!(case.puts.open[&PUT].waiter, CLIENT, "another command was cancelled");
    case.puts.cancel(7);
    case.store(&[0, 1, 2]);
    assert_eq!(case.report().map(|report| report.waiter), Some(Waiter::Nobody));
}

#[test]
fn an_answer_after_the_end_meets_nothing() {
    let mut case = Case::new();
    case.store(&[0, 1, 2]);
    asked(&mut case.cx);
    assert!(case.report().is_some() && case.puts.open.is_empty());
    case.store(&[0]);
    case.answer(1, StoreOutcome::Failed);
    case.puts.on_probe_reply(&mut case.cx, PUT, case.order[2], &[Possession::No]);
    case.puts.on_own_write(&mut case.cx, PUT, WriteDone::New);
    assert!(case.report().is_none() && asked(&mut case.cx).is_empty());
}

#[test]
fn only_the_answer_to_bytes_takes_as_long_as_bytes_move() {
    let case = Case::new();
    assert!(case.puts.moves_block(PutToken::Store(PUT)));
    assert!(!case.puts.moves_block(PutToken::Probe(PUT)) && !case.puts.moves_block(PutToken::Store(PUT + 1)));
}

/// The holders at these places have not proved what they have.
fn unproven(places: &[usize]) -> impl FnOnce(&mut Context, &[NodeId]) + use<> {
    let places = places.to_vec();
    move |cx, order| places.iter().for_each(|place| set_proven(cx, order[*place], false))
}

#[test]
fn a_copy_is_kept_here_while_most_holders_have_proved_nothing() {
    for (places, kept) in [(vec![0], false), (vec![0, 1], true), (vec![0, 1, 2], true), (vec![3, 4], false)] {
        let mut case = Case::begin(5, false, unproven(&places));
        let written = asked(&mut case.cx).contains(&(case.cx.me, "write"));
        assert_eq!(written, kept, "{places:?}");
    }
    let holder = Case::begin(0, false, unproven(&[1, 2]));
    assert_eq!(holder.puts.open[&PUT].own_copy, OwnCopy::None, "its copy is one of the three anyway");
}

#[test]
fn what_is_acknowledged_is_durable_here_first_and_not_counted() {
    let mut case = Case::begin(5, false, unproven(&[0, 1, 2]));
    case.store(&[0, 1, 2]);
    assert!(case.report().is_none(), "the own copy is not durable yet");
    case.puts.on_kept(&mut case.cx, PUT, WriteDone::New);
    case.check_stored(&[0, 1, 2]);
    let mut case = Case::begin(5, false, unproven(&[0, 1, 2]));
    case.puts.on_kept(&mut case.cx, PUT, WriteDone::New);
    case.store(&[0, 1]);
    assert!(case.report().is_none(), "it takes no holder's place");
}

#[test]
fn what_holders_that_are_away_proved_before_spares_no_copy_here() {
    // This node is leaving, so it is no holder of anything.
    let alone_with = |up: &[usize]| {
        let mut cx = context(0, 6);
        cx.facts.insert(pool::card(0, 2, &[], 0).into());
        cx.refresh_map();
        connect_all(&mut cx);
        let block = block(1);
        let order = order(&cx, block.id());
        (0..5).filter(|place| !up.contains(place)).for_each(|place| assert!(cx.peers.on_down(order[place])));
        let mut puts = Puts::default();
        let redundancy = Redundancy::Replicas(3);
        puts.start(&mut cx, PutItem::Block { block, redundancy, probe: false, more: false, reserve: false }, CLIENT);
        Case { cx, puts, order }
    };
    let mut case = alone_with(&[2]);
    let me = case.cx.me;
    assert_eq!(asked(&mut case.cx), [(me, "write"), (case.order[2], "store")], "one proof is no majority of three");
    case.store(&[2]);
    assert!(case.report().is_none(), "the only other copy may be none");
    case.puts.on_kept(&mut case.cx, PUT, WriteDone::New);
    assert!(matches!(case.report().expect("it ended").outcome, PutOutcome::Degraded(_)));
    alone_with(&[2, 3]).check_asked(&[2, 3], "store");
}

#[test]
fn a_copy_is_kept_here_in_the_end_if_those_that_have_proved_nothing_took_the_others_places() {
    let mut case = Case::begin(5, false, unproven(&[3, 4]));
    case.check_asked(&[0, 1, 2], "store");
    case.silence(1);
    case.silence(2);
    case.check_asked(&[3, 4], "store");
    case.store(&[0, 3, 4]);
    assert_eq!(asked(&mut case.cx), [(case.cx.me, "write")]);
    assert!(case.report().is_none(), "the own copy is not durable yet");
    case.puts.on_kept(&mut case.cx, PUT, WriteDone::Failed);
    case.check_stored(&[0, 3, 4]);
    assert!(asked(&mut case.cx).is_empty(), "it is not tried again");
}

#[test]
fn a_nearly_full_disk_keeps_no_copies_for_others() {
    let full = |cx: &mut Context, order: &[NodeId]| {
        unproven(&[0, 1, 2])(cx, order);
        cx.disks[0].room_bytes = cx.disks[0].quota_bytes / 20;
    };
    let mut case = Case::begin(5, false, full);
    case.check_asked(&[0, 1, 2], "store");
}

#[test]
fn whoever_failed_its_audits_gets_no_copies() {
    let distrust = |cx: &mut Context, order: &[NodeId]| {
        cx.peers.get_mut(order[1]).expect("connected").distrusted = true;
    };
    Case::begin(5, false, distrust).check_asked(&[0, 2, 3], "store");
}

#[test]
fn the_answer_says_whether_it_is_more_than_the_word_of_holders() {
    let verified = |places: &[usize], kept| {
        let mut case = Case::begin(5, false, unproven(places));
        if case.puts.open[&PUT].own_copy == OwnCopy::UnderWay {
            case.puts.on_kept(&mut case.cx, PUT, kept);
        }
        case.store(&[0, 1, 2]);
        let Some(PutReport { outcome: PutOutcome::Stored(copies), .. }) = case.report() else { panic!("it ended") };
        copies.verified
    };
    assert!(verified(&[], WriteDone::Failed) && verified(&[0, 1], WriteDone::Failed));
    assert!(verified(&[0, 1, 2], WriteDone::New) && !verified(&[0, 1, 2], WriteDone::Full));
}

#[test]
fn a_budget_that_is_used_up_refuses_the_put_and_takes_no_fallback_holder() {
    let mut case = Case::new();
    case.check_asked(&[0, 1, 2], "store");
    case.store(&[0]);
    case.answer(1, StoreOutcome::OverBudget);
    assert!(case.report().is_none(), "one has not answered");
    case.check_asked(&[], "store");
    case.store(&[2]);
    let report = case.report().expect("it ended");
    assert_eq!(report.outcome, PutOutcome::Refused(Refusal::OverBudget(0)), "two copies are not what was wanted");
}
