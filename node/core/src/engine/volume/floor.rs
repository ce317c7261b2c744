//! The floor of history: the states that stood here, by this node's own clock.
//!
//! Promise: whatever commits list, and with whose key, this node remembers which states stood at the end of each hour, one an
//! hour for a day and one in six hours for as long as the pool's rules say. A stolen key can publish a state without content
//! that lists nothing; it cannot make this node forget what was there before. No key is needed for it.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::record::{LogEntry, StoodState};
use fsdfs_proto::volume::{CommitView, HistoryRules};

use super::LocalHeads;
use crate::engine::context::Context;
use crate::engine::timers::Timer;
use crate::limits::{CLOCK_OFF_MS_MAX, FLOOR_HEADS_MAX, FLOOR_LOG_AGAIN_HOURS};
use crate::seam::{DiskRequest, GossipToken, Waiter};
use crate::tree::kept_times;

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct StateFloor(BTreeMap<(VolumeId, BlockId), RememberedState>);

/// A state that stands, or stood.
#[derive(Clone, Copy, Debug)]
struct RememberedState {
    /// Wall milliseconds at the end of the first and the last hour at which it stood.
    from: u64,
    to: u64,
    /// The last of them that is in the log; none yet: it is about to be.
    logged: Option<u64>,
}

impl StateFloor {
    /// From a log. Of one state all entries count together.
    pub fn replay(&mut self, stood: &StoodState) {
        let StoodState { volume, commit, from, to, .. } = *stood;
        let new = RememberedState { from, to, logged: Some(to) };
        let known = self.0.entry((volume, commit)).or_insert(new);
        known.from = known.from.min(from);
        known.to = known.to.max(to);
        known.logged = Some(known.to);
    }

    /// For a log that is written again.
    pub fn entries(&self) -> impl Iterator<Item = LogEntry> {
        self.0.iter().map(|((volume, commit), state)| entry(*volume, *commit, state.from, state.to))
    }

    /// Those of a volume that this node remembers.
    pub fn states(&self, volume: VolumeId) -> BTreeSet<BlockId> {
        self.0.keys().filter(|(of, _)| *of == volume).map(|(_, commit)| *commit).collect()
    }

    /// Looks again at the end of this hour.
    pub fn begin(cx: &mut Context) {
        let hour_ms = cx.params.hour_ms.max(1);
        cx.wake_in(hour_ms - cx.now.wall % hour_ms, Timer::Floor);
    }

    /// An hour ended. With a clock that the others do not confirm nothing is remembered, and nothing forgotten.
    pub fn on_hour(&mut self, cx: &mut Context, heads: &LocalHeads) {
        Self::begin(cx);
        if cx.clock_off_ms().unsigned_abs() > CLOCK_OFF_MS_MAX {
            return;
        }
        let now = cx.now.wall;
        let mut entries = Vec::new();
        for volume in cx.facts.volumes() {
            let standing = heads.current(cx, volume);
            let views = standing.iter().filter_map(|head| CommitView::of_head(head.value()).ok());
            // What is covered does not stand, and several that do are few: more are somebody's mistake, or a flood.
            for commit in views.map(|view| view.id).take(FLOOR_HEADS_MAX) {
                let known = self.0.entry((volume, commit));
                let state = known.or_insert(RememberedState { from: now, to: now, logged: None });
                state.to = now.max(state.to);
                let again = FLOOR_LOG_AGAIN_HOURS.saturating_mul(cx.params.hour_ms);
                if state.logged.is_none_or(|logged| state.to >= logged.saturating_add(again)) {
                    state.logged = Some(state.to);
                    entries.push(entry(volume, commit, state.from, state.to));
                }
            }
        }
        self.forget(cx);
        if !entries.is_empty() {
            cx.disk(DiskRequest::Log { entries }, Waiter::Gossip(GossipToken::Log));
        }
    }

    /// Of the hours at which states stood last those are left that the rules say, each with all that stood then.
    fn forget(&mut self, cx: &Context) {
        let days = u16::try_from(cx.facts.rules().retain_days).unwrap_or(u16::MAX);
        let rules = HistoryRules { hourly: 24, six_hourly: days.saturating_mul(4), daily: 0, monthly: 0 };
        // What seems to come later stood before this clock was set back: its time is not over.
        let now = cx.now.wall;
        let times: BTreeSet<u64> = self.0.values().map(|state| state.to).filter(|to| *to <= now).collect();
        let kept = kept_times((now, cx.params.hour_ms), &rules, &times);
        self.0.retain(|_, state| state.to > now || kept.contains(&state.to));
        debug_assert!(self.0.values().all(|state| state.from <= state.to), "time goes on");
    }
}

fn entry(volume: VolumeId, commit: BlockId, from: u64, to: u64) -> LogEntry {
    LogEntry::Stood(StoodState { volume, commit, from, to, reason: 0 })
}

#[cfg(test)]
mod tests;
