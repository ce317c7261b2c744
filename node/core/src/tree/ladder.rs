//! Which earlier states of a volume are kept: the ladder (spec 05-volume §6, "Earlier states").
//!
//! Of each hour of the last day the newest state stays, of each six hours of the last week, of each day of the last month. The
//! hours are those of the clock, the same for everybody, so two nodes that look at the same states within one hour keep the
//! same; and what a coarser rung keeps was kept by all finer ones before, so it is there when they let it go.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::codec::FormatError;
use fsdfs_proto::ids::{BlockId, Writer};
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{Commit, CommitView, HistoryRules, VolumeKeys, work_of};

use crate::limits::CLOCK_OFF_MS_MAX;

/// What is known of a state without its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateNote {
    /// When it was made. One from the future, which no clock of the pool can have said, counts as made when it was first seen:
    /// it would be the newest of all hours to come.
    pub time: Hlc,
    /// How many operations it includes: more than every state that it includes.
    pub operations: u64,
    /// Whose operation it is; none for a merge.
    pub writer: Option<Writer>,
    /// The piece of work that it is part of: of its states only the last one is worth keeping.
    pub work: Option<u64>,
}

impl StateNote {
    /// Of a commit that was opened, first seen at this time.
    pub fn of(commit: &Commit, now_ms: u64) -> Self {
        Self {
            time: believable(commit.time, now_ms),
            operations: commit.version_vector.dots().iter().map(|dot| dot.seq).fold(0, u64::saturating_add),
            writer: commit.dot.map(|dot| dot.writer),
            work: commit.message.as_deref().and_then(work_of),
        }
    }

    /// Of a commit block. One that this node has no key for is part of no work.
    pub fn of_block(keys: &VolumeKeys, commit: &[u8], now_ms: u64) -> Result<Self, FormatError> {
        if let Ok(commit) = Commit::open(keys, commit) {
            return Ok(Self::of(&commit, now_ms));
        }
        let extra = CommitView::of(commit)?.extra;
        let operations = extra.version_vector.dots().iter().map(|dot| dot.seq).fold(0, u64::saturating_add);
        Ok(Self { time: believable(extra.time, now_ms), operations, writer: extra.writer, work: None })
    }

    /// Orders states by age: a merge has the time of one of its parents, and includes it.
    fn age(&self, id: BlockId) -> (Hlc, u64, BlockId) {
        (self.time, self.operations, id)
    }
}

fn believable(time: Hlc, now_ms: u64) -> Hlc {
    if time.ms > now_ms.saturating_add(CLOCK_OFF_MS_MAX) { Hlc { ms: now_ms, count: 0 } } else { time }
}

/// What keeps a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HistoryRung {
    /// It is the newest of its hour.
    Hourly,
    /// Of six hours.
    SixHourly,
    /// Of its day.
    Daily,
    /// Of thirty days.
    Monthly,
}

/// Those of these states that are kept now, each with the finest rung that keeps it.
pub fn ladder(
    (now_ms, hour_ms): (u64, u64),
    rules: &HistoryRules,
    states: &BTreeMap<BlockId, StateNote>,
) -> BTreeMap<BlockId, HistoryRung> {
    let mut by_age: Vec<(&BlockId, &StateNote)> = states.iter().collect();
    by_age.sort_unstable_by_key(|(id, note)| note.age(**id));
    // From the newest on, so the first of each work stays.
    let mut works = BTreeSet::new();
    by_age.reverse();
    by_age.retain(|(_, note)| note.work.is_none_or(|work| works.insert(work)));
    let hour_ms = hour_ms.max(1);
    let rungs = [
        (HistoryRung::Hourly, 1, rules.hourly),
        (HistoryRung::SixHourly, 6, rules.six_hourly),
        (HistoryRung::Daily, 24, rules.daily),
        (HistoryRung::Monthly, 24 * 30, rules.monthly),
    ];
    let mut kept = BTreeMap::new();
    for (rung, hours, count) in rungs {
        let slot = |ms: u64| ms / hour_ms.saturating_mul(hours);
        let now = slot(now_ms);
        let mut taken = BTreeSet::new();
        for (id, note) in &by_age {
            let of = slot(note.time.ms).min(now);
            if now - of < u64::from(count) && taken.insert(of) {
                kept.entry(**id).or_insert(rung);
            }
        }
        debug_assert!(taken.len() <= usize::from(count), "one state a slot");
    }
    kept
}

/// Of the times at which something stood, the last of each slot.
pub fn kept_times((now_ms, hour_ms): (u64, u64), rules: &HistoryRules, times: &BTreeSet<u64>) -> BTreeSet<u64> {
    let note = |ms: u64| StateNote { time: Hlc { ms, count: 0 }, operations: 0, writer: None, work: None };
    let id = |ms: u64| {
        let mut id = BlockId([0; 32]);
        id.0[..8].copy_from_slice(&ms.to_be_bytes());
        id
    };
    let states = times.iter().map(|ms| (id(*ms), note(*ms))).collect();
    let kept = ladder((now_ms, hour_ms), rules, &states);
    times.iter().filter(|ms| kept.contains_key(&id(**ms))).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const NOW: u64 = 500_000 * HOUR;

    fn id(number: u64) -> BlockId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        BlockId(id)
    }

    fn note(ms: u64) -> StateNote {
        StateNote { time: Hlc { ms, count: 0 }, operations: ms, writer: None, work: None }
    }

    /// Ages in hours of what is kept.
    fn kept(rules: &HistoryRules, ages: &[u64]) -> Vec<(u64, HistoryRung)> {
        let states = ages.iter().map(|age| (id(*age), note(NOW - age * HOUR))).collect();
        let found = ladder((NOW, HOUR), rules, &states);
        found.into_iter().map(|(id, rung)| (u64::from_be_bytes(id.0[..8].try_into().expect("8")), rung)).collect()
    }

    #[test]
    fn the_newest_of_each_slot_is_kept_and_the_finest_rung_is_named() {
        use HistoryRung::{Daily, Hourly, SixHourly};
        // 500,000 hours are 20,833 days and 8 hours: the slots of six hours and of days began 2 and 8 hours ago.
        let kept_by_default = kept(&HistoryRules::DEFAULT, &[0, 1, 23, 27, 31, 200, 201, 202, 9_999]);
        assert_eq!(
            kept_by_default,
            [(0, Hourly), (1, Hourly), (23, Hourly), (27, SixHourly), (200, Daily), (201, Daily)]
        );
        assert_eq!(kept(&HistoryRules { hourly: 1, six_hourly: 0, daily: 0, monthly: 0 }, &[0, 1]), [(0, Hourly)]);
        assert!(kept(&HistoryRules { hourly: 0, six_hourly: 0, daily: 0, monthly: 0 }, &[0, 1]).is_empty());
    }

    #[test]
    fn of_one_work_the_last_state_is_kept_whatever_the_hour() {
        let work = |ms, work| StateNote { work: Some(work), ..note(ms) };
        let states = BTreeMap::from([
            (id(1), work(NOW - 5 * HOUR, 7)),
            (id(2), work(NOW - 4 * HOUR, 7)),
            (id(3), note(NOW - 4 * HOUR - 1)),
            (id(4), work(NOW - 3 * HOUR, 7)),
            (id(5), work(NOW - 2 * HOUR, 8)),
        ]);
        let kept = ladder((NOW, HOUR), &HistoryRules::DEFAULT, &states);
        assert_eq!(kept.into_keys().collect::<Vec<_>>(), [id(3), id(4), id(5)]);
    }

    #[test]
    fn a_merge_is_newer_than_what_it_includes() {
        let merge = StateNote { operations: u64::MAX, ..note(NOW) };
        let states = BTreeMap::from([(id(1), merge), (id(2), note(NOW))]);
        assert_eq!(ladder((NOW, HOUR), &HistoryRules::DEFAULT, &states).into_keys().collect::<Vec<_>>(), [id(1)]);
    }

    #[test]
    fn a_stamp_from_the_future_counts_as_what_it_was_seen_at() {
        let far = Hlc { ms: NOW + 10_000 * HOUR, count: 3 };
        assert_eq!(believable(far, NOW), Hlc { ms: NOW, count: 0 });
        let near = Hlc { ms: NOW + CLOCK_OFF_MS_MAX, count: 3 };
        assert_eq!(believable(near, NOW), near);
    }

    /// Random lines of states: whatever was thinned before, the ladder of all states that ever were is what is left, and it
    /// never has more than its rules say.
    #[test]
    fn thinning_again_and_again_keeps_what_one_look_at_everything_would() {
        for seed in 0..300 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let rules = HistoryRules {
                hourly: rng.u16(0..30),
                six_hourly: rng.u16(0..30),
                daily: rng.u16(0..30),
                monthly: rng.u16(0..4),
            };
            let (mut all, mut left, mut now) = (BTreeMap::new(), BTreeMap::new(), NOW);
            for number in 0..rng.u64(1..400) {
                let pause = if rng.u8(0..10) == 0 { 60 * HOUR } else { 2 * HOUR };
                now += rng.u64(0..pause);
                all.insert(id(number), note(now));
                left.insert(id(number), note(now));
                let kept = ladder((now, HOUR), &rules, &left);
                left.retain(|id, _| kept.contains_key(id));
                let expected = ladder((now, HOUR), &rules, &all);
                assert_eq!(left.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "seed {seed}");
                assert!(left.len() <= rules.states());
            }
        }
    }
}
