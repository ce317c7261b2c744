//! Nodes that compare and mend, with disks in memory and lines that carry everything at once.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use fsdfs_proto::block::Block;
use fsdfs_proto::codec::encode;
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::receipt::BlockReceipt;

use super::*;
use crate::engine::blocks::kit::{fill, sealed};
use crate::engine::blocks::{Audits, Puts};
use crate::engine::facts::{Liveness, PresenceWatch};
use crate::engine::test_kit::{connect, context, effects, pass, pool};
use crate::limits::{COMPARE_PERIOD_MS, COMPARE_SETTLED_MS};
use crate::seam::{CopyState, DiskCopy, Effect, Token, TrafficClass};

mod elsewhere;
mod judged;
mod large;
mod leaving;

/// One node, as far as repair is concerned.
struct Side {
    cx: Context,
    repair: Repair,
    holdings: Holdings,
    log: ReplicationLog,
    audits: Audits,
    puts: Puts,
    presence: PresenceWatch,
    liveness: Liveness,
    disk: BTreeMap<BlockId, (RecordInfo, Option<Block>)>,
    /// Its index is being made: nobody knows what is there.
    is_rebuilding: bool,
}

impl Side {
    fn new(number: u8, nodes: u8) -> Self {
        let mut cx = context(number, nodes);
        (0..nodes).filter(|other| *other != number).for_each(|other| {
            connect(&mut cx, other);
        });
        let mut side = Self {
            cx,
            repair: Repair::default(),
            holdings: Holdings::default(),
            log: ReplicationLog::default(),
            audits: Audits::default(),
            puts: Puts::default(),
            presence: PresenceWatch::default(),
            liveness: Liveness::default(),
            disk: BTreeMap::new(),
            is_rebuilding: false,
        };
        side.repair.begin(&mut side.cx);
        side
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Repair, &mut RepairParts<'_>) -> T) -> T {
        let Self { cx, repair, holdings, log, audits, puts, presence, liveness, .. } = self;
        call(repair, &mut RepairParts { cx, holdings, log, audits, puts, presence, liveness })
    }

    /// A record from long ago.
    fn old(&mut self, info: RecordInfo, block: Option<Block>) {
        self.disk.insert(info.id, (info, block));
    }

    /// The same, said by the store.
    fn comes(&mut self, info: RecordInfo, block: Option<Block>) {
        let after = Some(DiskCopy { info: info.clone(), state: CopyState::Held });
        self.old(info, block);
        let change = CopyChange { disk: self.cx.disks[0].id, before: None, after };
        self.call(|repair, parts| repair.on_changed(parts, &change));
    }

    fn goes(&mut self, id: BlockId) {
        let (info, _) = self.disk.remove(&id).expect("it was there");
        let before = Some(DiskCopy { info, state: CopyState::Held });
        let change = CopyChange { disk: self.cx.disks[0].id, before, after: None };
        self.call(|repair, parts| repair.on_changed(parts, &change));
    }

    /// What the store answers.
    fn disk_done(&mut self, request: DiskRequest, waiter: Waiter) {
        match (request, waiter) {
            (DiskRequest::List { after, max }, waiter) => {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                let found = self.disk.range((from, Bound::Unbounded)).take(max);
                let infos: Vec<RecordInfo> = found.map(|(_, (info, _))| info.clone()).collect();
                self.call(|repair, parts| match waiter {
                    Waiter::Repair(RepairToken::List { pass }) => repair.on_listed(parts, pass, &infos),
                    Waiter::Repair(token) => repair.on_own(parts, &token, infos),
                    Waiter::Serve(ServeToken::Holdings { to, asked }) => {
                        Repair::answer_holdings(parts, to, &asked, &infos);
                    }
                    other => panic!("{other:?}"),
                });
            }
            (DiskRequest::Have { ids, renew: None }, Waiter::Serve(ServeToken::Offer { to, request, items })) => {
                let yes = |id: &BlockId| match self.disk.contains_key(id) {
                    _ if self.is_rebuilding => Possession::NotYet,
                    true => Possession::Yes,
                    false => Possession::No,
                };
                let here: Vec<Possession> = ids.iter().map(yes).collect();
                self.call(|repair, parts| repair.answer_offer(parts, (to, request), items, &here));
            }
            (DiskRequest::Read { id }, Waiter::Serve(ServeToken::Pull { to, request, id: asked })) => {
                assert_eq!(id, asked);
                let block = self.disk.get(&id).and_then(|(_, block)| block.clone());
                let done = block.map_or(ReadDone::No, ReadDone::Found);
                self.repair.answer_pull(&mut self.cx, (to, request), id, done);
            }
            (
                DiskRequest::Write { block, redundancy, first_seen, lease, receipt, .. },
                Waiter::Repair(RepairToken::Written(id)),
            ) => {
                let (len, renewed) = (block.bytes().len() as u32, lease.renewed(self.cx.now.wall));
                let redundancies = vec![redundancy];
                self.comes(RecordInfo { id, len, redundancies, first_seen, renewed, receipt }, Some(block));
                self.call(|repair, parts| repair.on_written(parts, id, WriteDone::New));
            }
            // Audits are another machine's.
            (DiskRequest::Read { .. }, Waiter::Audit(_)) => {}
            (request, waiter) => panic!("{request:?} for {waiter:?}"),
        }
    }

    fn message(&mut self, from: NodeId, message: Message, block: Option<Block>) {
        let payload = block.map_or(BlockPayload::None, BlockPayload::Block);
        match message {
            Message::Prints(asked) => self.call(|repair, parts| repair.on_prints_asked(parts, from, &asked)),
            Message::Holdings(asked) => self.call(|repair, parts| repair.on_holdings_asked(parts, from, asked)),
            Message::Offer(offer) => Repair::on_offer(&mut self.cx, from, offer),
            Message::Pull(pull) => self.repair.on_pull(&mut self.cx, from, &pull),
            Message::Audit(_) => {}
            answer => {
                let request = answer.answers().expect("an answer");
                let Some(Waiter::Repair(token)) = self.cx.answered(from, request) else { return };
                self.call(|repair, parts| match answer {
                    Message::PrintsReply(reply) => repair.on_prints(parts, from, token, &reply),
                    Message::HoldingsReply(reply) => repair.on_holdings(parts, from, token, reply),
                    Message::OfferReply(reply) => {
                        let RepairToken::Offer { infos } = token else { panic!("{token:?}") };
                        repair.on_offer_reply(parts, from, infos, &reply);
                    }
                    Message::PullReply(reply) => {
                        let RepairToken::Pull(id) = token else { panic!("{token:?}") };
                        assert!(!matches!(payload, BlockPayload::Wrong), "honest nodes send what they say");
                        repair.on_pulled(parts, (id, from), &reply, payload);
                    }
                    other => panic!("{other:?}"),
                });
            }
        }
    }
}

/// What went over the lines.
#[derive(Default, Debug, PartialEq, Eq)]
struct Traffic {
    questions: usize,
    bytes: usize,
    blocks: usize,
    /// Messages that went to and fro one after the other.
    rounds: usize,
}

struct Nodes(Vec<Side>);

impl Nodes {
    /// All connected to all.
    fn new(nodes: u8) -> Self {
        Self((0..nodes).map(|number| Side::new(number, nodes)).collect())
    }

    /// Time goes on in steps of a second.
    fn run(&mut self, seconds: u64) -> Traffic {
        let mut traffic = Traffic::default();
        for _ in 0..seconds {
            for side in &mut self.0 {
                pass(&mut side.cx, 1_000);
                if side.cx.timers.due(side.cx.now.mono) == Some(Timer::Repair) {
                    side.call(Repair::on_due);
                }
            }
            self.settle(&mut traffic);
        }
        traffic
    }

    /// Everything that is asked is answered.
    fn settle(&mut self, traffic: &mut Traffic) {
        let mut on_their_way = VecDeque::new();
        loop {
            for index in 0..self.0.len() {
                loop {
                    let out = effects(&mut self.0[index].cx);
                    if out.is_empty() {
                        break;
                    }
                    for effect in out {
                        match effect {
                            Effect::Disk { request, token: Token(waiter) } => self.0[index].disk_done(request, waiter),
                            Effect::Send { to, message, block, class } => {
                                assert!(block.is_none() || class == TrafficClass::Repair);
                                on_their_way.push_back((index, to, message, block));
                            }
                            _ => {}
                        }
                    }
                }
            }
            if on_their_way.is_empty() {
                return;
            }
            traffic.rounds += 1;
            for (from, to, message, block) in std::mem::take(&mut on_their_way) {
                traffic.questions += usize::from(message.answers().is_none());
                traffic.bytes += encode(&message).len();
                traffic.blocks += usize::from(block.is_some());
                let from = self.0[from].cx.me;
                let side = self.0.iter_mut().find(|side| side.cx.me == to);
                side.expect("of the pool").message(from, message, block);
            }
        }
    }

    /// Four, and a block of which only the one has a copy that is not assigned it.
    fn with_one_elsewhere() -> (Self, RecordInfo, usize) {
        let mut nodes = Self::new(4);
        let block = sealed(6);
        let info = record(&nodes.0[0].cx, &block);
        let order = nodes.0[0].cx.map.order(block.id(), 3);
        let last = nodes.0.iter().position(|side| side.cx.me == order[3].node).expect("of the pool");
        nodes.0[last].old(info.clone(), Some(block));
        (nodes, info, last)
    }

    fn ids(&self, index: usize) -> BTreeSet<BlockId> {
        self.0[index].disk.keys().copied().collect()
    }
}

fn record(cx: &Context, block: &Block) -> RecordInfo {
    let receipt = BlockReceipt::sign(cx.pool, &pool::key(0), block.id());
    let (id, len, redundancies) = (block.id(), block.bytes().len() as u32, vec![Redundancy::Replicas(3)]);
    RecordInfo { id, len, redundancies, first_seen: 1_000, renewed: 2_000, receipt }
}

/// A record without bytes, by a number that spreads over all ids.
fn imagined(cx: &Context, number: u64) -> RecordInfo {
    let id = Block::new(bytes::Bytes::copy_from_slice(&number.to_be_bytes())).id();
    let receipt = crate::engine::blocks::kit::RECEIPT;
    let redundancies = vec![Redundancy::Replicas(3)];
    RecordInfo { id, len: 1, redundancies, first_seen: cx.now.wall - 900_000, renewed: cx.now.wall - 800_000, receipt }
}

#[test]
fn nodes_that_hold_the_same_ask_one_question_now_and_then() {
    let mut nodes = Nodes::new(2);
    for number in 0..3_000 {
        let info = imagined(&nodes.0[0].cx, number);
        nodes.0.iter_mut().for_each(|side| side.old(info.clone(), None));
    }
    nodes.run(30);
    let calm = nodes.run(COMPARE_PERIOD_MS / 1_000);
    assert_eq!((calm.questions, calm.blocks), (2, 0));
    assert!(calm.bytes < 400, "{calm:?}");
    for side in &nodes.0 {
        let tables = side.holdings.tables().expect("counted");
        assert!(tables.nodes().all(|node| side.repair.comparing.is_equal(tables, node)));
        assert!(!side.repair.is_running(&side.cx, &side.holdings));
    }
}

#[test]
fn what_differs_is_found_whatever_it_is() {
    for (case, (ones, others, both)) in
        [(0, 1, 0), (0, 1, 2_000), (7, 5, 3_000), (400, 0, 1), (300, 300, 300), (0, 2_000, 0), (900, 3, 5_000)]
            .into_iter()
            .enumerate()
    {
        let mut nodes = Nodes::new(2);
        let info = |nodes: &Nodes, number: u64| imagined(&nodes.0[0].cx, number);
        let mut expected = [BTreeSet::new(), BTreeSet::new()];
        for number in 0..ones + others + both {
            let info = info(&nodes, number);
            if number >= others {
                nodes.0[0].old(info.clone(), None);
            } else {
                expected[0].insert(info.id);
            }
            if number < others || number >= others + ones {
                nodes.0[1].old(info, None);
            } else {
                expected[1].insert(info.id);
            }
        }
        // Nobody has the bytes, so all stays to be pulled, or to be offered again.
        for side in &mut nodes.0 {
            side.cx.repair_bytes_per_s = 0;
        }
        nodes.run(20);
        for (side, expected) in nodes.0.iter().zip(&expected) {
            assert_eq!(side.repair.pulls.pending(), expected.len(), "case {case}");
        }
    }
}

/// The bound of the design: less than 120 KiB and 8 rounds for 100 differences.
#[test]
fn a_hundred_differences_cost_little() {
    let mut nodes = Nodes::new(2);
    for number in 0..20_000 {
        let info = imagined(&nodes.0[0].cx, number);
        if number % 400 != 0 {
            nodes.0[0].old(info.clone(), None);
        }
        if number % 400 != 200 {
            nodes.0[1].old(info, None);
        }
    }
    nodes.0.iter_mut().for_each(|side| side.cx.repair_bytes_per_s = 0);
    let mut traffic = Traffic::default();
    // The node with the smaller id compares first, and the other one leaves it to it.
    while nodes.0.iter().all(|side| side.repair.pulls.pending() == 0) {
        traffic = nodes.run(1);
    }
    assert_eq!(nodes.0.iter().map(|side| side.repair.pulls.pending()).collect::<Vec<_>>(), [50, 50]);
    assert!(traffic.bytes < 120 << 10 && traffic.rounds <= 2 * 8, "{traffic:?}");
}

#[test]
fn what_is_missing_is_pulled_once_with_all_that_is_known_of_it() {
    let mut nodes = Nodes::new(3);
    let blocks: Vec<Block> = (0..40).map(sealed).collect();
    for (number, block) in blocks.iter().enumerate() {
        let info = record(&nodes.0[0].cx, block);
        // One lacks a third, another one another third, and every sixth is on one node only.
        let on = [number % 6 != 1, number % 3 != 1 || number % 6 == 1, number % 3 != 2 && number % 6 != 1];
        for (side, is_on) in nodes.0.iter_mut().zip(on) {
            if is_on {
                side.old(info.clone(), Some(block.clone()));
            }
        }
    }
    let missing: usize = (0..3).map(|index| 40 - nodes.ids(index).len()).sum();
    let traffic = nodes.run(60);
    assert_eq!(traffic.blocks, missing, "{traffic:?}");
    for index in 0..3 {
        assert_eq!(nodes.ids(index).len(), 40);
        let side = &nodes.0[index];
        assert!(
            side.disk.values().all(|(info, _)| (info.first_seen, info.renewed) == (1_000, 2_000)),
            "no copy is younger"
        );
        assert_eq!((side.repair.pending(&side.log), side.log.margin()), (0, Some((0, 0))));
        assert!(!side.repair.is_running(&side.cx, &side.holdings));
    }
    let sent: u64 = nodes.0.iter().map(|side| side.repair.sent()).sum();
    let pulled: u64 = nodes.0.iter().map(|side| side.repair.pulled()).sum();
    assert_eq!((sent, pulled), (missing as u64, missing as u64));
}

#[test]
fn what_is_on_its_way_is_not_pulled() {
    let mut nodes = Nodes::new(2);
    nodes.run(10);
    let block = sealed(1);
    let now = nodes.0[0].cx.now.wall;
    let info = RecordInfo { first_seen: now, renewed: now, ..record(&nodes.0[0].cx, &block) };
    nodes.0[0].comes(info.clone(), Some(block.clone()));
    assert_eq!(nodes.run(COMPARE_SETTLED_MS / 1_000 - 2).blocks, 0);
    nodes.0[1].comes(info, Some(block));
    assert_eq!(nodes.run(60).blocks, 0);
}

#[test]
fn what_a_holder_missed_while_it_was_away_is_pulled_when_it_is_back() {
    let mut nodes = Nodes::new(2);
    nodes.run(10);
    let block = sealed(1);
    let now = nodes.0[0].cx.now.wall;
    let info = RecordInfo { first_seen: now, renewed: now, ..record(&nodes.0[0].cx, &block) };
    nodes.0[0].comes(info, Some(block));
    nodes.run(1);
    for number in 0..2 {
        let side = &mut nodes.0[usize::from(number)];
        let other = connect(&mut side.cx, 1 - number);
        side.call(|repair, parts| repair.check_holder(parts, other));
    }
    nodes.run(3);
    assert_eq!(nodes.ids(1).len(), 1);
}

#[test]
fn a_stamp_of_a_clock_that_was_put_back_keeps_nothing_from_being_pulled() {
    let mut nodes = Nodes::new(2);
    let block = sealed(2);
    let info = RecordInfo { renewed: u64::MAX / 2, ..record(&nodes.0[0].cx, &block) };
    nodes.0[0].old(info, Some(block));
    nodes.run(60);
    assert_eq!(nodes.ids(1).len(), 1);
}

#[test]
fn a_copy_that_was_lost_is_noticed_and_pulled_again() {
    let mut nodes = Nodes::new(3);
    let block = sealed(3);
    let info = record(&nodes.0[0].cx, &block);
    nodes.0.iter_mut().for_each(|side| side.old(info.clone(), Some(block.clone())));
    nodes.run(30);
    nodes.0[2].goes(block.id());
    let traffic = nodes.run(30);
    assert_eq!((traffic.blocks, nodes.ids(2).len()), (1, 1));
}

#[test]
fn nothing_moves_while_repair_may_move_nothing() {
    let mut nodes = Nodes::new(2);
    let block = sealed(3);
    let info = record(&nodes.0[0].cx, &block);
    nodes.0[0].old(info, Some(block));
    for (first, second) in [(0, REPAIR_BYTES_PER_S_MAX), (REPAIR_BYTES_PER_S_MAX, 0)] {
        nodes.0[0].call(|repair, parts| repair.on_budget(parts, first));
        nodes.0[1].call(|repair, parts| repair.on_budget(parts, second));
        assert_eq!(nodes.run(30).blocks, 0);
    }
    nodes.0[1].call(|repair, parts| repair.on_budget(parts, REPAIR_BYTES_PER_S_MAX));
    assert_eq!(nodes.run(15).blocks, 1);
}

#[test]
fn what_is_sent_keeps_to_the_budget() {
    let mut nodes = Nodes::new(2);
    let long = |number: u32| {
        let keys = pool::keys(1);
        let text: Vec<u8> = number.to_be_bytes().repeat(25_000);
        fsdfs_proto::volume::seal_data(keys.writer().expect("made from the write secret"), &text).0
    };
    for block in (0..20).map(long) {
        let info = record(&nodes.0[0].cx, &block);
        nodes.0[0].old(info, Some(block));
    }
    nodes.0[0].call(|repair, parts| repair.on_budget(parts, 100_000));
    nodes.run(8);
    let traffic = nodes.run(10);
    assert!((8..=12).contains(&traffic.blocks), "one a second: {traffic:?}");
    nodes.run(30);
    assert_eq!(nodes.ids(1).len(), 20);
}

#[test]
fn whoever_is_next_in_order_keeps_what_a_full_holder_cannot() {
    let mut nodes = Nodes::new(4);
    let block = sealed(5);
    let info = record(&nodes.0[0].cx, &block);
    let order: Vec<NodeId> = nodes.0[0].cx.map.order(block.id(), 3).iter().map(|holder| holder.node).collect();
    let place =
        |nodes: &Nodes, place: usize| nodes.0.iter().position(|side| side.cx.me == order[place]).expect("of the pool");
    for at in [0, 1] {
        let index = place(&nodes, at);
        nodes.0[index].old(info.clone(), Some(block.clone()));
    }
    let full = order[2];
    for side in &mut nodes.0 {
        fill(&mut side.cx, full);
        if side.cx.me == full {
            side.cx.disks[0].condition = crate::seam::DiskCondition::ReadOnly;
        }
    }
    nodes.run(90);
    let holds = |at: usize| !nodes.ids(place(&nodes, at)).is_empty();
    assert_eq!([0, 1, 2, 3].map(holds), [true, true, false, true]);
}

#[test]
fn what_only_a_liar_has_is_not_to_come() {
    let mut side = Side::new(0, 4);
    let infos: Vec<RecordInfo> = (1..200).map(|number| record(&side.cx, &sealed(number))).collect();
    side.cx.repair_bytes_per_s = 0;
    for info in &infos {
        let item = answer::holding(&side.cx, info);
        side.call(|repair, parts| {
            repair.pulls.want(parts.cx, pool::node(1), item, PullReason::Compared);
            if info.id.0[0] < 128 {
                repair.pulls.want(parts.cx, pool::node(2), item, PullReason::Compared);
            }
        });
    }
    let all = side.repair.pulls.pending();
    side.cx.peers.get_mut(pool::node(1)).expect("connected").distrusted = true;
    side.call(Repair::on_presence);
    let left = side.repair.pulls.pending();
    assert!(left > 0 && left < all, "{left} of {all}");
    side.cx.peers.get_mut(pool::node(2)).expect("connected").distrusted = true;
    side.call(Repair::on_presence);
    assert_eq!(side.repair.pulls.pending(), 0);
}

#[test]
fn copies_of_whoever_is_not_believed_are_made_elsewhere() {
    let mut nodes = Nodes::new(4);
    let block = sealed(7);
    let info = record(&nodes.0[0].cx, &block);
    let order: Vec<NodeId> = nodes.0[0].cx.map.order(block.id(), 3).iter().map(|holder| holder.node).collect();
    let liar = order[1];
    for side in &mut nodes.0 {
        if side.cx.me != order[3] {
            side.old(info.clone(), Some(block.clone()));
        }
    }
    nodes.run(30);
    assert!(nodes.0.iter().any(|side| side.disk.is_empty()));
    for side in nodes.0.iter_mut().filter(|side| side.cx.me != liar) {
        side.cx.peers.get_mut(liar).expect("connected").distrusted = true;
        side.call(|repair, parts| repair.check_holder(parts, liar));
    }
    let traffic = nodes.run(60);
    assert_eq!(traffic.blocks, 1);
    assert!(nodes.0.iter().all(|side| side.disk.len() == 1));
}

#[test]
fn what_lies_on_a_disk_that_is_away_for_the_moment_is_not_pulled() {
    let mut nodes = Nodes::new(2);
    let block = sealed(8);
    let info = record(&nodes.0[0].cx, &block);
    nodes.0[0].old(info, Some(block));
    nodes.0[1].cx.disks.clear();
    assert_eq!(nodes.run(60).blocks, 0, "the map names the disk still");
}

#[test]
fn a_list_that_does_not_fit_its_sums_has_all_counted_again() {
    let mut nodes = Nodes::new(2);
    for number in 0..50 {
        let info = imagined(&nodes.0[0].cx, number);
        nodes.0.iter_mut().for_each(|side| side.old(info.clone(), None));
    }
    nodes.run(30);
    // A copy on a second disk that went: the store says so of that disk.
    let info = imagined(&nodes.0[0].cx, 7);
    let before = Some(DiskCopy { info, state: CopyState::Held });
    let change = CopyChange { disk: nodes.0[0].cx.disks[0].id, before, after: None };
    nodes.0[0].call(|repair, parts| repair.on_changed(parts, &change));
    nodes.run(COUNT_APART_MS / 1_000 + 600);
    let side = &nodes.0[0];
    let tables = side.holdings.tables().expect("counted");
    assert!(tables.nodes().all(|node| side.repair.comparing.is_equal(tables, node)));
    assert_eq!(side.repair.pulls.pulled(), 0);
}
