//! A scan, driven by hand.

use fsdfs_proto::block::Block;
use fsdfs_proto::message::{Message, Possession, Redundancy, StoreOutcome};
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::record::RecordInfo;

use super::*;
use crate::engine::blocks::kit::{asked, block_at, connect_all, each, fill, order, silence};
use crate::engine::blocks::{Gets, Holdings};
use crate::engine::test_kit::effects;
use crate::engine::test_kit::{context, pass, pool};
use crate::limits::{REPAIR_BYTES_PER_S_MAX, REPAIR_HELD_MS_MAX, REPAIR_TURN_MS};
use crate::seam::{Effect, ReadDone, TrafficClass};

struct Case {
    cx: Context,
    repair: Repair,
    log: ReplicationLog,
    holdings: Holdings,
    block: Block,
    order: Vec<NodeId>,
}

impl Case {
    /// Node 0 of five, connected to all, which keeps one block of three copies and has that place in its order.
    fn new(place: usize) -> Self {
        let mut cx = context(0, 5);
        connect_all(&mut cx);
        let block = block_at(&cx, place);
        let order = order(&cx, block.id());
        Self {
            cx,
            repair: Repair::default(),
            log: ReplicationLog::default(),
            holdings: Holdings::default(),
            block,
            order,
        }
    }

    /// A scan begins and lists the block.
    fn scan(&mut self) {
        self.repair.on_due(&mut self.cx, &mut self.holdings, &mut self.log);
        assert_eq!(asked(&mut self.cx), [(self.cx.me, "list")]);
        self.list(4);
    }

    fn list(&mut self, len: u32) {
        let redundancies = vec![Redundancy::Replicas(3)];
        let (id, first_seen) = (self.block.id(), self.cx.now.wall - 700);
        let renewed = first_seen + 300;
        let info = RecordInfo { id, len, redundancies, first_seen, renewed, receipt: self.receipt() };
        self.repair.on_listed(&mut self.cx, &mut self.holdings, vec![info]);
    }

    /// Of node 1, which put the block.
    fn receipt(&self) -> BlockReceipt {
        BlockReceipt::sign(self.cx.pool, &pool::key(1), self.block.id())
    }

    fn say(&mut self, place: usize, answer: Possession) {
        let ids = [self.block.id()];
        self.repair.on_have_reply(&mut self.cx, &mut self.log, self.order[place], &ids, &[answer]);
    }

    fn read(&mut self, done: ReadDone) {
        let mut gets = Gets::default();
        self.repair.on_read(&mut self.cx, &mut gets, &mut self.log, self.block.id(), done);
    }

    fn stored(&mut self, place: usize, outcome: StoreOutcome) {
        let of = (self.block.id(), self.order[place]);
        self.repair.on_store_reply(&mut self.cx, &mut self.log, of, outcome);
    }

    #[track_caller]
    fn check_asked(&mut self, places: &[usize], what: &'static str) {
        let nodes: BTreeSet<NodeId> = places.iter().map(|place| self.order[*place]).collect();
        let nodes: Vec<NodeId> = nodes.into_iter().collect();
        assert_eq!(asked(&mut self.cx), each(&nodes, what));
    }

    #[track_caller]
    fn check_ended(&self, under_replicated: bool) {
        assert!(self.repair.scan.is_none(), "the scan is over");
        assert_eq!(self.log.is_under_replicated(self.block.id()), under_replicated);
    }
}

#[test]
fn the_other_assigned_holders_are_asked_and_nothing_is_sent_where_nothing_is_missing() {
    let mut case = Case::new(0);
    case.scan();
    case.check_asked(&[1, 2], "have");
    case.say(1, Possession::Yes);
    case.say(2, Possession::Yes);
    assert!(asked(&mut case.cx).is_empty());
    case.check_ended(false);
    assert!(!case.repair.is_running() && case.repair.sent() == 0);
}

#[test]
fn a_scan_renews_no_lease() {
    let mut case = Case::new(0);
    case.repair.on_due(&mut case.cx, &mut case.holdings, &mut case.log);
    asked(&mut case.cx);
    case.list(4);
    let questions: Vec<bool> = crate::engine::test_kit::sent(&mut case.cx)
        .into_iter()
        .filter_map(|(_, message)| if let Message::Have(have) = message { Some(have.renew) } else { None })
        .collect();
    assert_eq!(questions, [false, false], "of a calm pool nothing is written");
}

#[test]
fn the_first_holder_sends_what_another_lacks() {
    let mut case = Case::new(0);
    case.scan();
    asked(&mut case.cx);
    case.say(1, Possession::Yes);
    case.say(2, Possession::No);
    assert_eq!(asked(&mut case.cx), [(case.cx.me, "read")]);
    case.read(ReadDone::Found(case.block.clone()));
    case.check_asked(&[2], "store");
    assert_eq!(case.repair.pending(&case.log), 1);
    case.stored(2, StoreOutcome::Stored);
    case.check_ended(false);
    assert_eq!((case.repair.sent(), case.repair.pending(&case.log)), (1, 0));
}

#[test]
fn a_peer_that_denies_what_it_confirmed_gets_it_once_more_and_then_not_for_a_day() {
    let mut case = Case::new(0);
    let sends = |case: &mut Case| {
        case.scan();
        asked(&mut case.cx);
        case.say(1, Possession::Yes);
        case.say(2, Possession::No);
        if asked(&mut case.cx).is_empty() {
            case.check_ended(true);
            return false;
        }
        case.read(ReadDone::Found(case.block.clone()));
        asked(&mut case.cx);
        case.stored(2, StoreOutcome::Stored);
        true
    };
    assert_eq!([sends(&mut case), sends(&mut case), sends(&mut case)], [true, true, false]);
    pass(&mut case.cx, 24 * 3_600_000);
    assert_eq!([sends(&mut case), sends(&mut case)], [true, true], "as after the loss of another disk");
}

#[test]
fn a_better_placed_holder_has_the_first_turn_and_this_node_the_next() {
    let mut case = Case::new(1);
    case.scan();
    asked(&mut case.cx);
    case.say(0, Possession::Yes);
    case.say(2, Possession::No);
    assert!(asked(&mut case.cx).is_empty(), "left to the first");
    case.check_ended(true);
    assert!(case.repair.is_running() && case.repair.turn == 1);
    assert_eq!(case.cx.timers.next(), Some(case.cx.now.mono + crate::limits::PEER_TICK_MS));

    pass(&mut case.cx, REPAIR_TURN_MS);
    case.scan();
    asked(&mut case.cx);
    case.say(0, Possession::Yes);
    case.say(2, Possession::No);
    assert_eq!(asked(&mut case.cx), [(case.cx.me, "read")], "the first had its turn");
}

#[test]
fn a_better_placed_holder_that_lacks_it_too_is_sent_it() {
    let mut case = Case::new(1);
    case.scan();
    asked(&mut case.cx);
    case.say(0, Possession::No);
    case.say(2, Possession::No);
    asked(&mut case.cx);
    case.read(ReadDone::Found(case.block.clone()));
    case.check_asked(&[0, 2], "store");
}

#[test]
fn a_node_that_is_not_assigned_comes_last_of_all() {
    let mut case = Case::new(4);
    case.scan();
    case.check_asked(&[0, 1, 2], "have");
    [0, 1].iter().for_each(|place| case.say(*place, Possession::Yes));
    case.say(2, Possession::No);
    assert!(asked(&mut case.cx).is_empty());
    assert_eq!(case.repair.turn, 1, "two more turns go before its own");
}

#[test]
fn bytes_are_not_sent_faster_than_the_limit() {
    let mut case = Case::new(0);
    case.repair.on_due(&mut case.cx, &mut case.holdings, &mut case.log);
    case.list(1 << 20);
    [1, 2].iter().for_each(|place| case.say(*place, Possession::No));
    let ms = (2 << 20) * 1000 / REPAIR_BYTES_PER_S_MAX;
    let scan = case.repair.scan.as_ref().expect("under way");
    assert_eq!((scan.pause_until, scan.reading), (case.cx.now.mono + ms, 1), "two copies of a MiB");
}

#[test]
fn what_was_sent_is_paid_for_at_the_pace_that_counts_now() {
    let mut case = Case::new(0);
    case.repair.on_due(&mut case.cx, &mut case.holdings, &mut case.log);
    case.repair.on_budget(&mut case.cx, 1 << 20);
    case.list(1 << 20);
    [1, 2].iter().for_each(|place| case.say(*place, Possession::No));
    let owed_ms = |case: &Case| case.repair.scan.as_ref().expect("under way").pause_until - case.cx.now.mono;
    assert_eq!(owed_ms(&case), 2_000, "two copies of a MiB");
    pass(&mut case.cx, 1_000);
    case.repair.on_budget(&mut case.cx, 256 << 10);
    assert_eq!(owed_ms(&case), 4_000);
    case.repair.on_budget(&mut case.cx, u64::MAX);
    assert_eq!((case.cx.repair_bytes_per_s, owed_ms(&case)), (REPAIR_BYTES_PER_S_MAX, 4_000 / 256));
}

/// A block is missing, and nothing may be sent.
fn held() -> Case {
    let mut case = Case::new(0);
    case.scan();
    case.repair.on_budget(&mut case.cx, 0);
    asked(&mut case.cx);
    case.say(1, Possession::Yes);
    case.say(2, Possession::No);
    case.repair.on_due(&mut case.cx, &mut case.holdings, &mut case.log);
    assert!(asked(&mut case.cx).is_empty() && case.repair.is_running());
    case
}

#[test]
fn without_a_budget_nothing_is_sent_and_with_the_next_one_it_goes_on() {
    let mut case = held();
    pass(&mut case.cx, REPAIR_HELD_MS_MAX - 1);
    case.repair.on_budget(&mut case.cx, 0);
    case.repair.on_budget(&mut case.cx, 1_000);
    assert_eq!(asked(&mut case.cx), [(case.cx.me, "read")]);
    case.read(ReadDone::Found(case.block.clone()));
    let classes = effects(&mut case.cx).into_iter().filter_map(|effect| match effect {
        Effect::Send { block: Some(_), class, .. } => Some(class),
        _ => None,
    });
    assert_eq!(classes.collect::<Vec<_>>(), [TrafficClass::Repair]);
}

#[test]
fn after_a_long_time_without_a_budget_it_is_looked_at_again() {
    let mut case = held();
    pass(&mut case.cx, REPAIR_HELD_MS_MAX);
    case.repair.on_budget(&mut case.cx, 1_000);
    assert!(asked(&mut case.cx).is_empty(), "somebody else may have sent it");
    case.check_ended(true);
    assert!(case.repair.is_running() && case.repair.retry_ms == REPAIR_RETRY_MS, "it is repeated");
}

#[test]
fn a_peer_that_is_lost_while_asked_makes_the_scan_unfinished() {
    let mut case = Case::new(0);
    case.scan();
    asked(&mut case.cx);
    case.say(1, Possession::Yes);
    case.repair.on_peer_lost(&mut case.cx, &mut case.log, case.order[2]);
    case.check_ended(true);
    assert!(case.repair.is_running() && case.repair.retry_ms == REPAIR_RETRY_MS, "it is repeated");
}

#[test]
fn a_peer_that_is_lost_while_it_is_sent_a_block_does_not_hold_the_scan_up() {
    let mut case = Case::new(0);
    case.scan();
    case.say(1, Possession::Yes);
    case.say(2, Possession::No);
    case.read(ReadDone::Found(case.block.clone()));
    case.repair.on_peer_lost(&mut case.cx, &mut case.log, case.order[2]);
    let scan = case.repair.scan.as_ref();
    assert!(scan.is_none_or(|scan| scan.sending.is_empty() && scan.unfinished));
}

#[test]
fn a_holder_that_fell_silent_before_the_bytes_were_read_gets_them_another_time() {
    let mut case = Case::new(0);
    case.scan();
    case.say(1, Possession::Yes);
    case.say(2, Possession::No);
    asked(&mut case.cx);
    silence(&mut case.cx, case.order[2]);
    case.read(ReadDone::Found(case.block.clone()));
    assert!(asked(&mut case.cx).is_empty());
    case.check_ended(true);
    assert!(case.repair.is_running());
}

#[test]
fn whatever_is_not_finished_is_repeated_later_and_later() {
    for outcome in [StoreOutcome::Full, StoreOutcome::Failed, StoreOutcome::WrongBytes] {
        let mut case = Case::new(0);
        for retry_ms in [REPAIR_RETRY_MS, 2 * REPAIR_RETRY_MS, 4 * REPAIR_RETRY_MS] {
            case.scan();
            case.say(1, Possession::Yes);
            case.say(2, Possession::No);
            case.read(ReadDone::Found(case.block.clone()));
            case.stored(2, outcome);
            case.check_ended(true);
            assert_eq!(case.repair.retry_ms, retry_ms, "{outcome:?}");
            asked(&mut case.cx);
        }
        assert_eq!(case.repair.sent(), 0);
    }
}

#[test]
fn the_next_in_order_takes_the_place_of_a_full_holder() {
    let mut case = Case::new(0);
    let full = case.order[2];
    fill(&mut case.cx, full);
    case.scan();
    case.check_asked(&[1, 2, 3], "have");
    case.say(1, Possession::Yes);
    case.say(2, Possession::No);
    case.say(3, Possession::No);
    case.read(ReadDone::Found(case.block.clone()));
    let stores: Vec<_> = asked(&mut case.cx).into_iter().filter(|(_, what)| *what == "store").collect();
    assert_eq!(stores, [(case.order[3], "store")]);
}

#[test]
fn an_answer_nobody_asked_for_changes_nothing() {
    let mut case = Case::new(0);
    case.say(1, Possession::No);
    case.scan();
    asked(&mut case.cx);
    case.say(3, Possession::No);
    (0..3).for_each(|_| case.say(1, Possession::Yes));
    let scan = case.repair.scan.as_ref().expect("one answer is due");
    assert_eq!(scan.records[&case.block.id()].open, 1);
}

#[test]
fn without_anybody_there_is_no_scan() {
    let mut case = Case::new(0);
    case.order.iter().filter(|node| **node != case.cx.me).for_each(|node| assert!(case.cx.peers.on_down(*node)));
    case.repair.check_all(&mut case.cx);
    case.repair.on_due(&mut case.cx, &mut case.holdings, &mut case.log);
    assert!(asked(&mut case.cx).is_empty() && !case.repair.is_running());
}

#[test]
fn a_check_of_one_holder_asks_only_about_what_it_is_assigned() {
    for (place, expected) in [(1, true), (4, false)] {
        let mut case = Case::new(0);
        case.repair.check_holder(&mut case.cx, case.order[place]);
        case.repair.on_due(&mut case.cx, &mut case.holdings, &mut case.log);
        asked(&mut case.cx);
        case.list(4);
        assert_eq!(!asked(&mut case.cx).is_empty(), expected, "place {place}");
    }
}

#[test]
fn only_the_card_of_a_peer_that_took_nothing_before_has_it_checked() {
    let mut case = Case::new(0);
    let card = |flags| pool::card(1, 2, &[(1, 100)], flags).value().clone();
    case.repair.on_card(&mut case.cx, &card(0));
    case.repair.on_card(&mut case.cx, &card(card_flag::of_full_percent(40)));
    case.repair.on_card(&mut case.cx, &card(card_flag::READ_ONLY));
    assert!(matches!(case.repair.due, DueHolders::Nobody));
    case.repair.on_card(&mut case.cx, &card(card_flag::of_full_percent(80)));
    assert!(matches!(&case.repair.due, DueHolders::Some(peers) if peers.len() == 1));
}

#[test]
fn an_age_and_a_lease_travel_with_their_block() {
    let mut case = Case::new(0);
    case.scan();
    case.say(1, Possession::Yes);
    case.say(2, Possession::No);
    case.read(ReadDone::Found(case.block.clone()));
    let sent = crate::engine::test_kit::sent(&mut case.cx);
    let store = sent.iter().find_map(|(_, message)| match message {
        Message::Store(store) => Some(store),
        _ => None,
    });
    assert_eq!(store.map(|store| (store.age_ms, store.lease_ms, store.receipt)), Some((700, 400, case.receipt())));
}

#[test]
fn copies_of_whoever_failed_its_audits_do_not_count_and_are_made_elsewhere() {
    let mut case = Case::new(0);
    let liar = case.order[1];
    case.cx.peers.get_mut(liar).expect("connected").distrusted = true;
    case.scan();
    case.check_asked(&[1, 2, 3], "have");
    case.say(1, Possession::Yes);
    case.say(2, Possession::Yes);
    case.say(3, Possession::No);
    assert_eq!(asked(&mut case.cx), [(case.cx.me, "read")]);
    case.read(ReadDone::Found(case.block.clone()));
    case.check_asked(&[3], "store");
    case.stored(3, StoreOutcome::Stored);
    case.check_ended(false);
}

#[test]
fn a_scan_adds_up_who_put_what_lies_here() {
    let mut case = Case::new(0);
    assert!(case.holdings.charged().is_empty());
    case.scan();
    assert_eq!(case.holdings.charged(), &BTreeMap::from([(pool::node(1), 4)]));
}
