//! The collector, driven by hand: this node is 0 of three, and the store is a list of copies.

use fsdfs_proto::ids::{NodeId, Signature, VolumeId};
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::receipt::BlockReceipt;
use fsdfs_proto::record::RecordInfo;
use fsdfs_proto::volume::{BlockLink, Dot, LinkClass};

use super::*;
use crate::engine::blocks::Gets;
use crate::engine::facts::PresenceWatch;
use crate::engine::start::Patience;
use crate::engine::test_kit::{asked_of_disk, connect, context, pass, pool};
use crate::engine::volume::{LocalHeads, StateFloor};
use crate::seam::{CopyState, DiskCopy};

const HOUR: u64 = 3_600_000;
const GRACE: u64 = 72 * HOUR;
const GARBAGE: BlockId = BlockId([3; 32]);

struct Case {
    cx: Context,
    gets: Gets,
    heads: LocalHeads,
    floor: StateFloor,
    presence: PresenceWatch,
    collector: Collector,
    copies: Vec<PlacedCopy>,
    /// What the store did.
    done: Vec<(BlockId, CollectStep)>,
    /// Blocks whose links the store was asked for.
    asked: Vec<BlockId>,
}

impl Case {
    /// Connected to both others, whose clocks confirm its own, with one copy that nothing needs.
    fn new() -> Self {
        let mut cx = context(0, 3);
        (1..3).for_each(|number| {
            connect(&mut cx, number);
        });
        let mut collector = Collector::default();
        collector.begin(&mut cx);
        let mut case = Self {
            cx,
            gets: Gets::default(),
            heads: LocalHeads::default(),
            floor: StateFloor::default(),
            presence: PresenceWatch::new(Patience::DEFAULT),
            collector,
            copies: Vec::new(),
            done: Vec::new(),
            asked: Vec::new(),
        };
        case.copies.push(case.copy(GARBAGE));
        case
    }

    fn copy(&self, id: BlockId) -> PlacedCopy {
        let receipt = BlockReceipt { member: NodeId([1; 32]), signature: Signature([0; 64]) };
        let renewed = self.cx.now.wall;
        let info =
            RecordInfo { id, len: 100, redundancies: vec![Redundancy::Replicas(3)], first_seen: 0, renewed, receipt };
        let copy = DiskCopy { info, state: CopyState::Held };
        PlacedCopy { disk: self.cx.disks[0].id, segment: 1, sequence: 7, kind: Some(BlockKind::Data), copy }
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Collector, &mut CollectorParts<'_>) -> T) -> T {
        let Self { cx, gets, heads, floor, presence, collector, .. } = self;
        let done = call(collector, &mut CollectorParts { cx, gets, heads, floor, presence });
        for event in cx.take_events() {
            if let Event::CopyJudged { info, need } = event {
                cx.unneeded.note(&info, need);
            }
        }
        done
    }

    /// Hears the others, whose clocks are like this one's, but for those that are away.
    fn hear(&mut self, away: &[u8]) {
        for number in (1..3).filter(|number| !away.contains(number)) {
            let node = pool::node(number);
            let now = self.cx.now;
            self.cx.peers.get_mut(node).expect("connected").clock_is_off(0, now);
            self.presence.on_exchange(&self.cx, (node, now.mono), false);
        }
    }

    /// Time goes on to the next mark, which is made.
    fn mark(&mut self, away: &[u8]) {
        let period = period_ms(&self.cx);
        let to_next = period - self.cx.now.wall % period;
        pass(&mut self.cx, to_next);
        self.hear(away);
        self.call(Collector::on_due);
        self.serve();
    }

    /// The store answers until it is asked nothing more; it has no links.
    fn serve(&mut self) {
        loop {
            let asked = asked_of_disk(&mut self.cx);
            if asked.is_empty() {
                return;
            }
            for (request, waiter) in asked {
                let Waiter::Collect(token) = waiter else { continue };
                self.answer(request, token);
            }
        }
    }

    fn answer(&mut self, request: DiskRequest, token: CollectToken) {
        match (request, token) {
            (DiskRequest::Links { ids }, CollectToken::Links { number }) => {
                let done = vec![LinksDone::No; ids.len()];
                self.asked.extend(ids);
                self.call(|collector, parts| collector.on_links(parts, number, &done));
            }
            (DiskRequest::Links { ids }, CollectToken::Volumes { number }) => {
                let whole = LinksDone::Known { kind: BlockKind::Data, volume: VolumeId([9; 32]), links: Vec::new() };
                let done = vec![whole; ids.len()];
                self.call(|collector, parts| collector.on_volumes(parts, number, &done));
            }
            (DiskRequest::Copies { after: None, .. }, CollectToken::Copies { number }) => {
                let page = self.copies.clone();
                self.call(|collector, parts| collector.on_copies(parts, number, Some(&page)));
            }
            (DiskRequest::Collect { copies, .. }, CollectToken::Collected { number, disk }) => {
                let done =
                    copies.into_iter().map(|(id, sequence, step)| self.step(id, sequence, step)).collect::<Vec<_>>();
                self.call(|collector, parts| collector.on_collected(parts, (number, disk), &done));
            }
            (DiskRequest::Have { .. } | DiskRequest::KeepLinks { .. }, CollectToken::Kept) => {}
            other => panic!("{other:?}"),
        }
    }

    fn step(&mut self, id: BlockId, sequence: u64, step: CollectStep) -> bool {
        let now = self.cx.now.wall;
        let Some(at) = self.copies.iter().position(|copy| copy.copy.info.id == id && copy.sequence == sequence) else {
            return false;
        };
        self.done.push((id, step));
        match step {
            CollectStep::Condemn => self.copies[at].copy.state = CopyState::Condemned { since: now },
            CollectStep::Delete => drop(self.copies.remove(at)),
        }
        true
    }

    /// A head stands that names this state.
    fn stand_on(&mut self, state: BlockId) {
        let dot = Dot { writer: pool::writer(0, 9), seq: 1 };
        let head = pool::head_under(&pool::keys(1), 0, vec![state], Some(dot), &[(0, dot)]);
        self.cx.facts.insert(head.into());
        self.cx.facts.drain_new();
    }
}

#[test]
fn garbage_is_condemned_after_a_grace_and_gone_after_two() {
    let mut case = Case::new();
    let began = case.cx.now.wall;
    while case.done.is_empty() {
        case.mark(&[]);
    }
    assert_eq!(case.done, [(GARBAGE, CollectStep::Condemn)]);
    let condemned = case.cx.now.wall;
    assert!((began + GRACE..began + 2 * GRACE).contains(&condemned));
    assert!(case.cx.unneeded.has(GARBAGE, began, HOUR), "repair brings nothing of it back");
    while case.done.len() < 2 {
        case.mark(&[]);
    }
    assert_eq!(case.done[1], (GARBAGE, CollectStep::Delete));
    assert!(case.cx.now.wall > condemned + GRACE && case.copies.is_empty());
    case.mark(&[]);
    let report = case.collector.report().expect("marks ended");
    assert_eq!((report.freed_bytes, report.condemned_bytes), (100, 0));
}

#[test]
fn a_member_that_is_not_heard_holds_garbage_back_and_it_is_said() {
    let mut case = Case::new();
    (0..3 * MARKS_PER_GRACE).for_each(|_| case.mark(&[2]));
    assert_eq!(case.done, []);
    assert_eq!(case.collector.report().expect("marks ended").unheard_bytes, 100);
    case.mark(&[]);
    assert_eq!(case.done, [(GARBAGE, CollectStep::Condemn)]);
}

#[test]
fn with_a_clock_that_nobody_confirms_nothing_goes() {
    let mut case = Case::new();
    pass(&mut case.cx, 400 * 24 * HOUR);
    case.hear(&[]);
    let now = case.cx.now;
    for number in 1..3 {
        // They are 400 days behind.
        case.cx.peers.get_mut(pool::node(number)).expect("connected").clock_is_off(-400 * 24 * 3_600_000, now);
    }
    case.call(Collector::on_due);
    case.serve();
    assert_eq!(case.done, []);
    case.mark(&[]);
    assert_eq!(case.done, [(GARBAGE, CollectStep::Condemn)], "they agree again");
}

#[test]
fn a_volume_of_which_a_block_is_missing_keeps_everything() {
    let mut case = Case::new();
    let root = BlockId([8; 32]);
    case.stand_on(root);
    // Less than the week after which a state that all deny counts as empty.
    for _ in 0..2 * MARKS_PER_GRACE {
        case.mark(&[]);
        case.fail_gets();
    }
    assert!(case.asked.contains(&root));
    let report = case.collector.report().expect("marks ended");
    assert_eq!((&report.incomplete[..], &report.missing[..]), (&[pool::pool_id().volume()][..], &[root][..]));
    // What lies in another volume goes all the same.
    assert_eq!(case.done.first(), Some(&(GARBAGE, CollectStep::Condemn)));
}

impl Case {
    /// Nobody has the blocks that are looked for.
    fn fail_gets(&mut self) {
        while let CollectorStep::Marking(mark) = &self.collector.step
            && let Some(id) = mark.fetched.keys().next().copied()
        {
            let (number, outcome) = (self.collector.number, GetOutcome::NotFound { away: Vec::new(), nowhere: true });
            self.call(|collector, parts| collector.on_block(parts, number, id, &outcome));
            self.serve();
        }
    }
}

#[test]
fn what_is_needed_after_all_is_revived() {
    let mut case = Case::new();
    while case.done.is_empty() {
        case.mark(&[]);
    }
    // A state came that needs it: a restored one.
    case.stand_on(GARBAGE);
    let period = period_ms(&case.cx);
    pass(&mut case.cx, period);
    case.hear(&[]);
    case.call(Collector::on_due);
    let mut revived = false;
    for _ in 0..100 {
        for (request, waiter) in asked_of_disk(&mut case.cx) {
            match (request, waiter) {
                (DiskRequest::Links { ids }, Waiter::Collect(CollectToken::Links { number })) => {
                    let known = LinksDone::Known {
                        kind: BlockKind::Directory,
                        volume: pool::pool_id().volume(),
                        links: Vec::new(),
                    };
                    let done = vec![known; ids.len()];
                    case.call(|collector, parts| collector.on_links(parts, number, &done));
                }
                (DiskRequest::Have { ids, renew: Some(_) }, _) => revived |= ids == [GARBAGE],
                (request, Waiter::Collect(token)) => case.answer(request, token),
                _ => {}
            }
        }
    }
    assert!(revived && case.done.len() == 1 && !case.cx.unneeded.has(GARBAGE, 0, HOUR));
}

#[test]
fn a_mark_that_begins_a_moment_too_soon_is_not_the_last() {
    let mut case = Case::new();
    case.mark(&[]);
    for _ in 0..3 {
        let before = case.collector.number;
        // The monotonic clock runs ahead of the wall, and the mark takes a moment.
        let due = case.collector.next_at.expect("the next one is awaited");
        case.cx.now.wall += due - case.cx.now.mono - 1;
        case.cx.now.mono = due;
        while case.cx.timers.due(case.cx.now.mono).is_some() {
            case.hear(&[]);
            case.call(Collector::on_due);
            pass(&mut case.cx, 1);
            case.serve();
        }
        assert_eq!(case.collector.number, before + 1);
    }
}

#[test]
fn a_tenth_goes_in_a_day_and_folders_always() {
    let mut case = Case::new();
    let cx = &mut case.cx;
    cx.disks[0].room_bytes = 0;
    let disk = cx.disks[0].id;
    let due =
        |bytes, kind| DueStep { disk, id: GARBAGE, sequence: 1, bytes, kind: Some(kind), step: CollectStep::Delete };
    let mut day = DayBudget::default();
    assert!(day.takes(cx, &due(COLLECT_DAY_BYTES_MIN, BlockKind::Data)));
    assert!(!day.takes(cx, &due(1, BlockKind::Manifest)) && day.takes(cx, &due(1 << 40, BlockKind::Directory)));
    pass(cx, 24 * HOUR + 2_000_000);
    assert!(day.takes(cx, &due(1, BlockKind::Data)));
}

#[test]
fn what_all_have_denied_for_a_week_stays_gone() {
    let mut case = Case::new();
    case.stand_on(BlockId([8; 32]));
    let marks_of = |hours: u64| hours * MARKS_PER_GRACE / 72;
    let is_whole = |case: &mut Case| {
        case.mark(&[]);
        case.fail_gets();
        case.collector.report().expect("a mark ended").incomplete.is_empty()
    };
    let before = (0..marks_of(MISSING_EMPTY_HOURS)).take_while(|_| !is_whole(&mut case)).count() as u64;
    assert!(before >= marks_of(MISSING_EMPTY_HOURS) - 1, "{before}");
    assert!((0..2 * marks_of(72)).all(|_| is_whole(&mut case)), "the week does not begin again");
}

#[test]
fn an_answer_to_a_mark_that_was_given_up_changes_nothing() {
    let mut case = Case::new();
    let state = BlockId([8; 32]);
    case.stand_on(state);
    case.mark(&[]);
    let (old, outcome) = (case.collector.number, GetOutcome::NotFound { away: Vec::new(), nowhere: true });
    case.call(|collector, parts| collector.rest(parts.cx, MARK_AGAIN_MS));
    case.mark(&[]);
    assert!(case.collector.number > old);
    case.call(|collector, parts| collector.on_block(parts, old, state, &outcome));
    assert!(matches!(&case.collector.step, CollectorStep::Marking(mark) if mark.fetched.contains_key(&state)));
    case.fail_gets();
    assert_eq!(case.collector.report().expect("a mark ended").missing, [state]);
}

#[test]
fn a_mark_that_lacks_something_says_nothing_to_repair() {
    let mut case = Case::new();
    let renewed = case.cx.now.wall;
    case.stand_on(BlockId([8; 32]));
    for _ in 0..2 * MARKS_PER_GRACE {
        case.mark(&[]);
        case.fail_gets();
    }
    assert!(!case.cx.unneeded.has(GARBAGE, renewed, HOUR), "it may lie below what is missing");
}

#[test]
fn a_mark_asks_for_no_more_links_than_it_can_look_for() {
    let mut case = Case::new();
    case.stand_on(BlockId([8; 32]));
    case.mark(&[]);
    let number = case.collector.number;
    // The state has as many folders as it may, none of which is here.
    let CollectorStep::Marking(mark) = &mut case.collector.step else { panic!("it waits for the state") };
    let item = *mark.fetched.values().next().expect("it is looked for");
    let folder = |place: u16| {
        let mut id = [5; 32];
        id[..2].copy_from_slice(&place.to_be_bytes());
        BlockLink { id: BlockId(id), class: LinkClass::Tree, redundancy: Redundancy::Replicas(3) }
    };
    mark.walk.on_links(&item, &(0..1_500).map(folder).collect::<Vec<_>>());
    case.call(Collector::go_on);
    case.serve();
    let CollectorStep::Marking(mark) = &case.collector.step else { panic!("much is missing") };
    assert!(mark.wanted.len() < 2 * MARK_LINKS && case.collector.number == number, "{}", mark.wanted.len());
    // Of a volume that lacks so much the rest is not looked for.
    case.fail_gets();
    assert_eq!(case.collector.report().expect("it ends").missing.len(), crate::limits::MISSING_LINKS_NOTED_MAX);
}
