use super::*;
use crate::engine::test_kit::{context, effects, pass, pool};
use crate::seam::Effect;

const HOUR: u64 = 3_600_000;

fn volume() -> VolumeId {
    pool::pool_id().volume()
}

/// A node on whose clock hours pass; what it logs.
struct Bench {
    cx: Context,
    floor: StateFloor,
    heads: LocalHeads,
    presence: PresenceWatch,
    /// The other members that this node exchanges facts with each hour.
    met: Vec<u8>,
    logged: Vec<LogEntry>,
}

impl Bench {
    fn new() -> Self {
        let (cx, floor, heads) = (context(0, 3), StateFloor::default(), LocalHeads::default());
        let (presence, met) = (PresenceWatch::default(), vec![1, 2]);
        Self { cx, floor, heads, presence, met, logged: Vec::new() }
    }

    /// Another head stands from now on, in place of all before.
    fn publish(&mut self, seq: u64) -> BlockId {
        let head = pool::head(1, &[(9, seq)]);
        let id = CommitView::of_head(head.value()).expect("it is whole").id;
        self.cx.facts.insert(head.into());
        self.cx.facts.drain_new();
        id
    }

    fn hour(&mut self) {
        pass(&mut self.cx, HOUR);
        for number in &self.met {
            self.presence.on_exchange(&self.cx, (pool::node(*number), self.cx.now.mono), false);
        }
        self.floor.on_hour(&mut self.cx, &self.heads, &self.presence);
        for effect in effects(&mut self.cx) {
            if let Effect::Disk { request: DiskRequest::Log { entries }, .. } = effect {
                self.logged.extend(entries);
            }
        }
    }
}

#[test]
fn what_stood_at_the_end_of_an_hour_is_remembered_and_logged_once_a_day() {
    let mut bench = Bench::new();
    let first = bench.publish(1);
    bench.hour();
    assert_eq!(bench.floor.states(volume()), [first].into());
    (0..30).for_each(|_| bench.hour());
    assert_eq!(bench.logged.len(), 2, "it stands still: {:?}", bench.logged);
    bench.publish(2);
    let third = bench.publish(3);
    bench.hour();
    assert_eq!(bench.floor.states(volume()), [first, third].into(), "what came and went within an hour is not");
    assert_eq!(bench.cx.timers.due(bench.cx.now.mono + HOUR), Some(Timer::Floor));
}

#[test]
fn hours_thin_out_and_days_end() {
    let mut bench = Bench::new();
    let all: Vec<BlockId> = (1..24 * 20)
        .map(|seq| {
            let id = bench.publish(seq);
            bench.hour();
            id
        })
        .collect();
    let left = bench.floor.states(volume());
    let days = usize::try_from(bench.cx.facts.rules().retain_days).expect("few");
    assert!((24..=24 + 4 * days).contains(&left.len()), "{}", left.len());
    assert!(all.iter().rev().take(24).all(|id| left.contains(id)));
    let oldest = all.iter().position(|id| left.contains(id)).expect("some are left");
    assert!(all.len() - oldest <= 24 * days && all.len() - oldest > 24 * (days - 1), "{oldest}");
}

#[test]
fn a_restart_remembers_and_of_one_state_all_entries_count() {
    let mut bench = Bench::new();
    let id = bench.publish(1);
    (0..60).for_each(|_| bench.hour());
    let mut again = StateFloor::default();
    let stood = |entry: &LogEntry| match entry {
        LogEntry::Stood(stood) => *stood,
        other => panic!("{other:?}"),
    };
    bench.logged.iter().rev().for_each(|entry| again.replay(&stood(entry)));
    let (first, last) = (stood(&bench.logged[0]), stood(bench.logged.last().expect("several")));
    let entries: Vec<LogEntry> = again.entries().collect();
    assert_eq!(entries, [entry(volume(), id, first.from, last.to)]);
    assert!(first.from < last.from + HOUR && last.from == first.from);
}

#[test]
fn a_clock_that_jumps_forgets_nothing_that_it_would_not_forget_at_that_time() {
    let mut bench = Bench::new();
    bench.cx.now.wall += 60 * 24 * HOUR;
    let id = bench.publish(1);
    bench.hour();
    bench.publish(2);
    // Back by a month: what stood "later" stays.
    bench.cx.now.wall -= 30 * 24 * HOUR;
    bench.hour();
    assert!(bench.floor.states(volume()).contains(&id));
}

#[test]
fn what_a_member_that_is_away_may_go_by_is_remembered_until_it_knows_better_or_is_gone() {
    for gone in [false, true] {
        let mut bench = Bench::new();
        let before = bench.publish(1);
        bench.hour();
        bench.met = vec![1];
        let mut all = Vec::new();
        for seq in 2..24 * 12 {
            all.push(bench.publish(seq));
            bench.hour();
        }
        let left = bench.floor.states(volume());
        assert!(left.contains(&before) && all.iter().all(|id| left.contains(id)), "it saw one of them last");
        if gone {
            let mut pool = pool::TestPool { facts: bench.cx.facts.clone(), said: Vec::new(), tickets: Vec::new() };
            pool.revoke(0, pool::node(2).into(), Vec::new());
            bench.cx.facts = pool.facts;
            bench.cx.facts.drain_new();
        } else {
            bench.met = vec![1, 2];
            // What was exchanged within this hour is known an hour later.
            bench.hour();
        }
        bench.hour();
        let left = bench.floor.states(volume());
        let days = usize::try_from(bench.cx.facts.rules().retain_days).expect("few");
        assert!(!left.contains(&before) && left.len() <= 25 + 4 * days, "{gone}: {}", left.len());
    }
}

#[test]
fn what_is_held_for_others_is_bounded() {
    let mut bench = Bench::new();
    bench.met = vec![1];
    bench.publish(1);
    bench.hour();
    let begin = bench.cx.now.wall;
    let hours = u64::try_from(FLOOR_HELD_MAX).expect("few") + 400;
    for seq in 2..hours {
        bench.publish(seq);
        bench.hour();
    }
    let left = bench.floor.states(volume());
    assert!(left.len() <= FLOOR_HELD_MAX + 25, "{}", left.len());
    let from = |state: &BlockId| bench.floor.0[&(volume(), *state)].from;
    let oldest = left.iter().map(from).min().expect("some are left");
    assert!(oldest <= begin + 6 * HOUR, "one in six hours is left");
}
