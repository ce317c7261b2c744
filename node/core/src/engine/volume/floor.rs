//! The floor of history: the states that stood here, by this node's own clock.
//!
//! Promise: whatever commits list, and with whose key, this node remembers which states stood at the end of each hour, one an
//! hour for a day and one in six hours for as long as the pool's rules say. A stolen key can publish a state without content
//! that lists nothing; it cannot make this node forget what was there before. No key is needed for it.
//!
//! And no such state is forgotten while a member that is not gone may go by it still: one that was away moves what the others
//! removed meanwhile, out of the last state that it knew, and what it moves has to be there. It is forgotten when each is known
//! to know what superseded it.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::record::{LogEntry, StoodState};
use fsdfs_proto::volume::{CommitView, HistoryRules};

use super::LocalHeads;
use crate::engine::context::Context;
use crate::engine::facts::PresenceWatch;
use crate::engine::timers::Timer;
use crate::facts::MemberStatus;
use crate::limits::{CLOCK_OFF_MS_MAX, FLOOR_HEADS_MAX, FLOOR_HELD_MAX, FLOOR_LOG_AGAIN_HOURS};
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
    /// The end of the first hour, since the start, at which it was superseded; none while it stands.
    superseded: Option<u64>,
}

impl StateFloor {
    /// From a log. Of one state all entries count together.
    pub fn replay(&mut self, stood: &StoodState) {
        let StoodState { volume, commit, from, to, .. } = *stood;
        let new = RememberedState { from, to, logged: Some(to), superseded: None };
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
    pub fn on_hour(&mut self, cx: &mut Context, heads: &LocalHeads, presence: &PresenceWatch) {
        Self::begin(cx);
        if cx.clock_off_ms().unsigned_abs() > CLOCK_OFF_MS_MAX {
            return;
        }
        let now = cx.now.wall;
        let mut entries = Vec::new();
        let mut all_standing = BTreeSet::new();
        for volume in cx.facts.volumes() {
            let standing = heads.current(cx, volume);
            let views = standing.iter().filter_map(|head| CommitView::of_head(head.value()).ok());
            let commits: Vec<BlockId> = views.map(|view| view.id).collect();
            all_standing.extend(commits.iter().map(|commit| (volume, *commit)));
            // What is covered does not stand, and several that do are few: more are somebody's mistake, or a flood.
            for commit in commits.into_iter().take(FLOOR_HEADS_MAX) {
                let known = self.0.entry((volume, commit));
                let state = known.or_insert(RememberedState { from: now, to: now, logged: None, superseded: None });
                state.to = now.max(state.to);
                let again = FLOOR_LOG_AGAIN_HOURS.saturating_mul(cx.params.hour_ms);
                if state.logged.is_none_or(|logged| state.to >= logged.saturating_add(again)) {
                    state.logged = Some(state.to);
                    entries.push(entry(volume, commit, state.from, state.to));
                }
            }
        }
        for (of, state) in &mut self.0 {
            state.superseded = (!all_standing.contains(of)).then(|| state.superseded.unwrap_or(now));
        }
        self.forget(cx, known_to_all(cx, presence));
        if !entries.is_empty() {
            cx.disk(DiskRequest::Log { entries }, Waiter::Gossip(GossipToken::Log));
        }
    }

    /// Of the hours at which states stood last those are left that the rules say, each with all that stood then, and those of
    /// which somebody may not know that they are over. `known`: as of when every member knows what was here.
    fn forget(&mut self, cx: &Context, known: Option<u64>) {
        let days = u16::try_from(cx.facts.rules().retain_days).unwrap_or(u16::MAX);
        let six_hourly = |slots| HistoryRules { hourly: 24, six_hourly: slots, daily: 0, monthly: 0 };
        // What seems to come later stood before this clock was set back: its time is not over.
        let now = cx.now.wall;
        let times: BTreeSet<u64> = self.0.values().map(|state| state.to).filter(|to| *to <= now).collect();
        let by_rule = kept_times((now, cx.params.hour_ms), &six_hourly(days.saturating_mul(4)), &times);
        // For the case that somebody is away for months. What was put between two of these is younger than half of the grace, or
        // lies in one of them.
        let coarse = kept_times((now, cx.params.hour_ms), &six_hourly(u16::MAX), &times);
        let is_held = |state: &RememberedState| {
            state.superseded.is_none_or(|superseded| known.is_none_or(|known| known < superseded))
        };
        let held = self.0.values().filter(|state| is_held(state)).count();
        let is_kept = |state: &RememberedState| {
            state.to > now
                || by_rule.contains(&state.to)
                || is_held(state) && (held <= FLOOR_HELD_MAX || coarse.contains(&state.to))
        };
        self.0.retain(|_, state| is_kept(state));
        debug_assert!(self.0.values().all(|state| state.from <= state.to), "time goes on");
    }
}

/// As of when every member knows all that was here; none if one was not heard of since the start. Who is gone, removed or revoked
/// is not waited for; a node that is alone waits for nobody.
fn known_to_all(cx: &Context, presence: &PresenceWatch) -> Option<u64> {
    let counts = |status| matches!(status, MemberStatus::Member | MemberStatus::Guest);
    let members = cx.facts.members().iter().filter(|(_, member)| counts(member.status));
    let known = members.map(|(node, _)| presence.knows_until(cx, *node));
    known.min().unwrap_or(Some(cx.now.wall))
}

fn entry(volume: VolumeId, commit: BlockId, from: u64, to: u64) -> LogEntry {
    LogEntry::Stood(StoodState { volume, commit, from, to, reason: 0 })
}

#[cfg(test)]
mod tests;
