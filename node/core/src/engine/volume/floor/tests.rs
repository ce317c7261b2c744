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
    logged: Vec<LogEntry>,
}

impl Bench {
    fn new() -> Self {
        let (cx, floor, heads) = (context(0, 3), StateFloor::default(), LocalHeads::default());
        Self { cx, floor, heads, logged: Vec::new() }
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
        self.floor.on_hour(&mut self.cx, &self.heads);
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
