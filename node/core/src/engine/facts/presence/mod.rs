//! Who is up, away, or gone for good, over days and over restarts.
//!
//! Promise: this node calls a member gone only if nothing was heard of it, here or through others, for as long as the rules
//! say; counted in time during which this node ran and was connected itself, and had lately heard of most sites; and never a
//! member that announced its absence, or one of many that fell silent together. Whether the pool calls it gone is for the
//! facts to say (spec 01-identity, "more than half of the sites").
//!
//! It looks at everybody once in [`PRESENCE_MS`]; nothing is sent for it but heartbeats, which others pass on, and what each
//! heard of whom, every [`HEARD_MS`], and soon after it is connected to others than it said.

mod hearing;
mod moment;
mod outage;
mod running_clock;
mod usual_hours;

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{Departure, Fact};
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Message;
use fsdfs_proto::message::repair::HeardMembers;
use fsdfs_proto::record::{LogEntry, OBSERVED_MEMBERS_MAX, Observation, ObservedMember, ObservedMembers};
use fsdfs_proto::signed::Signed;

use self::hearing::{Exchange, HearingTable};
use self::moment::{LateWall, Moment};
use self::outage::{FallenMember, outage};
use self::running_clock::RunningClock;
use self::usual_hours::UsualHours;
use super::{Gossip, Liveness};
use crate::engine::context::Context;
use crate::engine::start::Patience;
use crate::engine::timers::Timer;
use crate::facts::{MemberInfo, MemberStatus};
use crate::limits::{
    ABSENCE_GONE_DAYS_MAX, CLOCK_OFF_MS_MAX, DAY_MS, HEARD_AGAIN_MS, HEARD_MS, HOUR_MS, OBSERVED_MS,
    OUTAGE_GONE_FACTOR, PRESENCE_MS, SITES_HEARD_MS,
};
use crate::placement::MapServer;
use crate::report::{AwayReason, PresenceReport};
use crate::seam::{DiskRequest, GossipToken, Waiter};

/// What is remembered of a member.
#[derive(Default)]
struct WatchedMember {
    /// When it was last found up, on the running clock.
    heard_at: u64,
    /// As of the last look; none before the first.
    is_up: Option<bool>,
    /// Since when it is up or away, in monotonic milliseconds; none if it has been since before the start.
    since: Option<u64>,
    /// When it was last found away, on the running clock and on the wall.
    fell_at: Option<(u64, u64)>,
    hours: UsualHours,
}

/// See the module.
#[derive(Default)]
pub(in crate::engine) struct PresenceWatch {
    patience: Patience,
    clock: RunningClock,
    /// When this start began, on the running clock.
    began_at: u64,
    members: BTreeMap<NodeId, WatchedMember>,
    /// Those that fell silent together.
    braked: BTreeSet<NodeId>,
    hearing: HearingTable,
    wall: LateWall,
    /// Monotonic milliseconds at which the next report of what was heard is due, when the last one went, and when the next
    /// entry of the log is due.
    heard_due: u64,
    heard_said: u64,
    save_due: u64,
}

impl PresenceWatch {
    /// Nobody has been seen yet.
    pub fn new(patience: Patience) -> Self {
        Self { patience, ..Self::default() }
    }

    /// What the log kept; of several entries the one that saw most.
    pub fn replay(&mut self, cx: &Context, Observation::Members(seen): Observation) {
        if seen.running_ms < self.clock.ms() {
            return;
        }
        self.clock = RunningClock::resume(seen.running_ms);
        let observed = |member: ObservedMember| {
            let ago = |ms: u64| seen.running_ms.saturating_sub(ms);
            let fell_at = member.fell_ms.map(|ms| (ago(ms), cx.now.wall.saturating_sub(ms)));
            let hours = UsualHours::resume(&member.hours);
            (member.node, WatchedMember { heard_at: ago(member.quiet_ms), fell_at, hours, ..WatchedMember::default() })
        };
        self.members = seen.members.into_iter().map(observed).collect();
    }

    /// The first look is due when whoever is there had time to be heard.
    pub fn begin(&mut self, cx: &mut Context) {
        cx.wake_in(PRESENCE_MS, Timer::Presence);
        self.began_at = self.clock.ms();
        (self.heard_due, self.save_due) = (cx.now.mono + HEARD_MS, cx.now.mono + 10 * PRESENCE_MS);
    }

    /// What the log is to keep.
    pub fn entry(&self) -> Option<LogEntry> {
        let running_ms = self.clock.ms();
        let member = |(node, seen): (&NodeId, &WatchedMember)| ObservedMember {
            node: *node,
            quiet_ms: running_ms.saturating_sub(seen.heard_at),
            fell_ms: seen.fell_at.map(|(at, _)| running_ms.saturating_sub(at)),
            hours: seen.hours.shares(),
        };
        let members = self.members.iter().take(OBSERVED_MEMBERS_MAX).map(member).collect();
        (running_ms > 0).then(|| LogEntry::Observed(Observation::Members(ObservedMembers { running_ms, members })))
    }

    /// Whom this node is connected to has changed.
    pub fn on_peers(&mut self, cx: &Context) {
        self.clock.look(cx.now.mono, cx.peers.any_up());
        // Others pass on to this node what it does not hear itself.
        self.heard_due = self.heard_due.min(self.heard_said + HEARD_AGAIN_MS);
    }

    /// Facts were exchanged with a member, which began at that time of the monotonic clock. By a wall clock that the others
    /// contradict nobody can say when.
    pub fn on_exchange(&mut self, cx: &Context, (node, began): (NodeId, u64), keeps_heads: bool) {
        if clock_is_good(cx) {
            let began = self.wall.moment(cx.now).before(cx.now.mono.saturating_sub(began));
            self.hearing.on_exchange(node, Exchange { began, ended: cx.now.mono }, keeps_heads);
        }
    }

    /// Wall milliseconds as of which this node knows all that a member had, and at which that one kept no head to itself. By this
    /// node's own clock, as the leases of its blocks are.
    pub fn heard_until(&self, cx: &Context, node: NodeId) -> Option<u64> {
        let heard = self.hearing.heard(node, cx.facts.members().len());
        if node == cx.me { Some(cx.now.wall) } else { not_to_come(cx, heard) }
    }

    /// Wall milliseconds as of which a member knows all that this node had published, and keeps no head to itself that it made before
    /// it knew that.
    pub fn knows_until(&self, cx: &Context, node: NodeId) -> Option<u64> {
        let known = self.hearing.known(node, cx.facts.members().len());
        if node == cx.me { Some(cx.now.wall) } else { not_to_come(cx, known) }
    }

    /// A member says with whom it exchanged facts.
    pub fn on_heard(&mut self, cx: &mut Context, from: NodeId, said: &HeardMembers) {
        let members = cx.facts.members();
        if clock_is_good(cx) {
            let is_other = |node| node != cx.me && members.contains_key(&node);
            self.hearing.on_told(from, said, self.wall.moment(cx.now), is_other);
        }
        let hears = said.members.iter().filter(|heard| heard.connected && members.contains_key(&heard.node));
        let hears = hears.map(|heard| heard.node).collect();
        if let Some(peer) = cx.peers.get_mut(from) {
            peer.hears = Some(hears);
        }
    }

    /// Says what was heard, if that is due. `unpublished`: this node keeps heads to itself.
    pub fn on_heartbeat(&mut self, cx: &mut Context, unpublished: bool) {
        if cx.now.mono < self.heard_due {
            return;
        }
        (self.heard_due, self.heard_said) = (cx.now.mono + HEARD_MS, cx.now.mono);
        let members = cx.facts.members();
        let peers: BTreeSet<NodeId> = cx.peers.up().into_iter().collect();
        let connected = peers.iter().filter(|node| members.contains_key(node)).copied().collect();
        let told = self.hearing.told(cx.now, &connected, unpublished);
        for to in peers {
            cx.send(to, Message::Heard(told.clone()));
        }
    }

    /// Looks at everybody.
    pub fn on_due(&mut self, cx: &mut Context, liveness: &Liveness, gossip: &mut Gossip) {
        cx.wake_in(PRESENCE_MS, Timer::Presence);
        let is_connected = cx.peers.any_up();
        self.clock.look(cx.now.mono, is_connected);
        self.wall.look(cx.now);
        if !is_connected {
            // Nobody can be heard, so nobody is missed.
            return;
        }
        self.look(cx, liveness);
        self.braked = self.find_outage(cx);
        self.call_gone(cx, gossip);
        if cx.now.mono >= self.save_due {
            self.save_due = cx.now.mono + OBSERVED_MS;
            let entries: Vec<LogEntry> = self.entry().into_iter().collect();
            cx.disk(DiskRequest::Log { entries }, Waiter::Gossip(GossipToken::Log));
        }
    }

    /// How a member is seen: since when, and if it is away, why that need not worry.
    pub fn report(&self, cx: &Context, liveness: &Liveness, node: NodeId) -> PresenceReport {
        let is_up = liveness.is_present(cx, node);
        let seen = self.members.get(&node);
        // Between two looks it may have changed.
        let settled = seen.filter(|seen| seen.is_up == Some(is_up));
        let quiet_ms = seen.map(|seen| self.clock.ms().saturating_sub(seen.heard_at)).unwrap_or_default();
        let heard = self.heard_until(cx, node).filter(|_| node != cx.me);
        PresenceReport {
            since_s: settled.and_then(|seen| seen.since).map(|at| cx.now.mono.saturating_sub(at) / 1000),
            quiet_s: if is_up { 0 } else { quiet_ms / 1000 },
            away: (!is_up && node != cx.me).then(|| self.reason(cx, node)),
            overdue: !is_up && self.is_overdue(cx, liveness, node, 1),
            facts_known_s: heard.map(|until| (cx.now.wall - until) / 1000),
        }
    }

    /// Whether a member has been away for so long that copies of what it holds are to be made elsewhere: for blocks of which
    /// copies are left at so many other sites. The fewer, the sooner.
    pub fn is_overdue(&self, cx: &Context, liveness: &Liveness, node: NodeId, sites_left: usize) -> bool {
        if node == cx.me || liveness.is_present(cx, node) {
            return false;
        }
        let Some(seen) = self.members.get(&node) else { return false };
        let (quiet_ms, grace_ms) = (self.clock.ms().saturating_sub(seen.heard_at), grace_ms(cx));
        let long_ms = grace_ms * self.patience.grace_factor;
        match sites_left {
            0 => true,
            _ if quiet_ms < grace_ms => false,
            // What is announced, or usual, is waited for; but not for days, while one site has all there is.
            1 => quiet_ms >= long_ms || self.expected_by(cx, node) <= cx.now.wall,
            _ => quiet_ms >= long_ms && self.expected_by(cx, node) <= cx.now.wall,
        }
    }

    /// Wall milliseconds until which a member that is away is not to be missed; 0 if nothing speaks for it.
    fn expected_by(&self, cx: &Context, node: NodeId) -> u64 {
        match self.reason(cx, node) {
            AwayReason::Unexplained => 0,
            AwayReason::Announced { until_ms } | AwayReason::UsualHours { until_ms } => until_ms,
            AwayReason::Outage => u64::MAX,
        }
    }

    /// The word of the member goes before what was learnt of it.
    fn reason(&self, cx: &Context, node: NodeId) -> AwayReason {
        let announced = cx.facts.members().get(&node).and_then(|member| announced_until(member, cx.now.wall));
        if let Some(until_ms) = announced {
            return AwayReason::Announced { until_ms };
        }
        let Some(seen) = self.members.get(&node) else { return AwayReason::Unexplained };
        if self.is_braked(cx, node, seen) {
            return AwayReason::Outage;
        }
        let expected = seen.fell_at.and_then(|(_, wall)| seen.hours.expected_by(wall, self.patience.usual_percent));
        match expected.filter(|until_ms| *until_ms > cx.now.wall) {
            Some(until_ms) => AwayReason::UsualHours { until_ms },
            None => AwayReason::Unexplained,
        }
    }

    /// A brake holds for a day as far as copies are concerned: what is so long away is no power cut.
    fn is_braked(&self, cx: &Context, node: NodeId, seen: &WatchedMember) -> bool {
        let quiet_ms = self.clock.ms().saturating_sub(seen.heard_at);
        self.braked.contains(&node) && quiet_ms < (grace_ms(cx) * self.patience.grace_factor).max(DAY_MS)
    }

    fn look(&mut self, cx: &Context, liveness: &Liveness) {
        let running = self.clock.ms();
        let members = cx.facts.members();
        let is_counted = |node: &NodeId| members.get(node).is_some_and(|member| is_counted(member.status));
        self.members.retain(|node, _| is_counted(node));
        self.hearing.forget_others(|node| is_counted(&node));
        for node in members.keys().filter(|node| **node != cx.me && is_counted(node)) {
            let is_up = liveness.is_present(cx, *node);
            let seen = self
                .members
                .entry(*node)
                .or_insert_with(|| WatchedMember { heard_at: running, ..WatchedMember::default() });
            if is_up {
                seen.heard_at = running;
            }
            if seen.is_up.is_some_and(|was_up| was_up != is_up) {
                seen.since = Some(cx.now.mono);
            }
            // Whoever was up when this node was last, and is not now, fell while it was off.
            let was_up = seen.is_up.unwrap_or(seen.fell_at.is_none_or(|(at, _)| at < seen.heard_at));
            let fell = !is_up && was_up;
            if fell {
                seen.fell_at = Some((running, cx.now.wall));
            }
            seen.is_up = Some(is_up);
            seen.hours.look(cx.now.wall, is_up);
        }
    }

    /// Whoever is missed when this node comes back may have fallen together with it: it is one of them, and back. Of those that fell
    /// later it is none.
    fn find_outage(&self, cx: &Context) -> BTreeSet<NodeId> {
        let servers = cx.map.servers();
        let first_looks = self.began_at..=self.began_at + 2 * PRESENCE_MS;
        let fell_with_others =
            self.members.values().any(|seen| seen.fell_at.is_some_and(|(at, _)| first_looks.contains(&at)));
        let fallen = servers.iter().filter_map(|server| {
            let (at, is_back) = match self.members.get(&server.id) {
                _ if server.id == cx.me => (fell_with_others.then_some(self.began_at)?, true),
                seen => (seen?.fell_at?.0, seen?.is_up == Some(true)),
            };
            let site = &server.site[..];
            Some(FallenMember { node: server.id, site, weight: server.weight(), at, is_back })
        });
        let braked = outage(fallen.collect(), servers.iter().map(MapServer::weight).sum(), self.patience.outage_part);
        debug_assert!(!braked.contains(&cx.me), "this node is here");
        braked
    }

    /// States of whom nothing was heard for as long as the rules say, if this node may know.
    fn call_gone(&self, cx: &mut Context, gossip: &mut Gossip) {
        let is_member = cx.facts.members().get(&cx.me).is_some_and(|me| me.status == MemberStatus::Member);
        if !is_member || !cx.ready() || cx.duplicate_identity || !clock_is_good(cx) || !self.hears_most_sites(cx) {
            return;
        }
        let silent = cx.facts.members().iter().filter(|(node, member)| self.is_gone(cx, **node, member));
        let silent: Vec<NodeId> = silent.map(|(node, _)| *node).collect();
        for member in silent {
            let (last, proof) = cx.facts.last_sign_of_life(member);
            let gone = Departure { version: 1, member, last, proof, issuer: cx.me };
            let gone = Fact::from(Signed::sign(cx.pool, &cx.key, gone));
            gossip.insert_facts(cx, vec![gone], None);
        }
    }

    /// Whether this node is to say of a member that it is gone, and has not said so yet.
    fn is_gone(&self, cx: &Context, node: NodeId, member: &MemberInfo) -> bool {
        let Some(seen) = self.members.get(&node).filter(|seen| seen.is_up == Some(false)) else { return false };
        let quiet_ms = self.clock.ms().saturating_sub(seen.heard_at);
        let gone_ms = u64::from(cx.facts.rules().gone_days) * DAY_MS;
        let mut most_ms = gone_ms;
        if self.braked.contains(&node) {
            most_ms = gone_ms * OUTAGE_GONE_FACTOR;
        }
        // What was announced ends a day late, and at some time it is not believed any more.
        if announced_until(member, cx.now.wall.saturating_sub(DAY_MS)).is_some() {
            most_ms = most_ms.max(gone_ms + ABSENCE_GONE_DAYS_MAX * DAY_MS);
        }
        let is_candidate = member.status == MemberStatus::Member && !cx.facts.is_called_gone_by(cx.me, node);
        is_candidate && quiet_ms >= most_ms
    }

    /// More than half of the sites were heard of within the last hour: this node is not in the smaller part of a cut pool.
    fn hears_most_sites(&self, cx: &Context) -> bool {
        let running = self.clock.ms();
        let heard = |node: NodeId| {
            let seen = self.members.get(&node);
            node == cx.me || seen.is_some_and(|seen| running.saturating_sub(seen.heard_at) < SITES_HEARD_MS)
        };
        cx.facts.are_most_sites(heard)
    }
}

fn clock_is_good(cx: &Context) -> bool {
    cx.clock_off_ms().unsigned_abs() <= CLOCK_OFF_MS_MAX
}

/// What seems to be still to come was noted before this clock was set back: it is no time to go by.
fn not_to_come(cx: &Context, at: Option<Moment>) -> Option<u64> {
    at.map(|at| at.wall).filter(|wall| *wall <= cx.now.wall)
}

/// Members and guests come and go; those who are gone may come back.
fn is_counted(status: MemberStatus) -> bool {
    matches!(status, MemberStatus::Member | MemberStatus::Guest | MemberStatus::Departed)
}

/// How long a holder may be away before copies are made elsewhere, where one other site is left.
pub(super) fn grace_ms(cx: &Context) -> u64 {
    u64::from(cx.facts.rules().away_grace_hours) * HOUR_MS
}

/// Until when a member is away by its own word, at that time.
fn announced_until(member: &MemberInfo, wall: u64) -> Option<u64> {
    let absence = member.absence.as_ref()?.value();
    let minute = u16::try_from(wall / 60_000 % (24 * 60)).unwrap_or_default();
    let left = absence.daily.iter().filter_map(|span| span.minutes_left(minute)).max();
    let daily = left.map(|left| (wall / 60_000 + u64::from(left)) * 60_000);
    daily.max(Some(absence.until)).filter(|until| *until > wall)
}

#[cfg(test)]
mod tests;
