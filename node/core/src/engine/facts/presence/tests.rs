//! In virtual time: minutes are looked at one by one, heartbeats come or do not.

use fsdfs_proto::identity::{Heartbeat, PoolRules};

use super::*;
use crate::engine::test_kit::pool::{absence, key, node, pool_id, rules};
use crate::engine::test_kit::{asked_of_disk, connect, context, effects, pass};

const HOURS: u64 = 60;
const DAYS: u64 = 24 * HOURS;
/// What the rules of the pool say.
const GONE_DAYS: u64 = 3;

/// Node 0 of a pool, each node at a site of its own. Node 1 is connected; the others are heard of through it.
struct Bench {
    cx: Context,
    liveness: Liveness,
    gossip: Gossip,
    presence: PresenceWatch,
    counter: u64,
}

impl Bench {
    fn of(nodes: u8) -> Self {
        let mut cx = context(0, nodes);
        let gone_days = u32::try_from(GONE_DAYS).expect("few");
        let rules = PoolRules { gone_days, ..rules(0, 1, None, 3).value().clone() };
        cx.facts.insert(Signed::sign(pool_id(), &key(0), rules).into());
        let mut presence = PresenceWatch::default();
        presence.begin(&mut cx);
        connect(&mut cx, 1);
        presence.on_peers(&cx);
        let (liveness, gossip) = (Liveness::default(), Gossip::default());
        let mut bench = Self { cx, liveness, gossip, presence, counter: 0 };
        bench.minutes(1, 1..nodes);
        bench
    }

    /// So many minutes, in which these are up: their first heartbeat is kept, of the others it counts that they came.
    fn minutes(&mut self, minutes: u64, up: impl IntoIterator<Item = u8>) {
        let up: Vec<u8> = up.into_iter().collect();
        for minute in 0..minutes {
            self.counter += 1;
            pass(&mut self.cx, 1);
            for number in up.iter().copied() {
                let beat = Heartbeat { version: 1, node: node(number), boot: 1, counter: self.counter };
                self.liveness.note(&self.cx, &beat);
                if minute == 0 {
                    self.cx.facts.insert(Signed::sign(pool_id(), &key(number), beat).into());
                }
            }
            self.cx.facts.drain_new();
            pass(&mut self.cx, PRESENCE_MS - 1);
            self.look();
        }
    }

    fn look(&mut self) {
        self.presence.on_due(&mut self.cx, &self.liveness, &mut self.gossip);
        self.presence.on_heartbeat(&mut self.cx, false);
        self.cx.take_events();
    }

    /// Whether this node calls a member gone.
    fn calls_gone(&self, number: u8) -> bool {
        self.cx.facts.is_called_gone_by(self.cx.me, node(number))
    }

    fn reason(&self, number: u8) -> Option<AwayReason> {
        self.presence.report(&self.cx, &self.liveness, node(number)).away
    }

    fn is_overdue(&self, number: u8, sites_left: usize) -> bool {
        self.presence.is_overdue(&self.cx, &self.liveness, node(number), sites_left)
    }

    /// The same node again, with what its log kept.
    fn restart(&mut self) {
        let Some(LogEntry::Observed(seen)) = self.presence.entry() else { panic!("it has seen something") };
        self.presence = PresenceWatch::default();
        self.liveness = Liveness::default();
        self.presence.replay(&self.cx, seen);
        self.presence.begin(&mut self.cx);
        self.presence.on_peers(&self.cx);
    }
}

#[test]
fn a_silent_member_is_gone_after_the_days_of_the_rules_and_not_before() {
    let mut bench = Bench::of(4);
    bench.minutes(GONE_DAYS * DAYS - 1, [1, 2]);
    assert!(!bench.calls_gone(3), "a minute is left");
    bench.minutes(2, [1, 2]);
    assert!(bench.calls_gone(3) && !bench.calls_gone(2));
    let said = bench.cx.facts.last_sign_of_life(node(3));
    assert_eq!(said.0, (1, 1), "the last heartbeat it had, with its signature");
    assert!(said.1.is_some());
    bench.minutes(1, [1, 2, 3]);
    assert!(!bench.calls_gone(3), "it is back, and nothing more has to be said");
}

#[test]
fn time_in_which_this_node_is_off_or_cut_off_does_not_count() {
    let mut bench = Bench::of(4);
    bench.minutes(2 * DAYS, [1, 2]);
    bench.restart();
    pass(&mut bench.cx, 30 * DAY_MS);
    bench.minutes(10, [1, 2]);
    assert!(!bench.calls_gone(3), "it was off for a month");
    bench.cx.peers.on_down(node(1));
    bench.presence.on_peers(&bench.cx);
    bench.minutes(2 * DAYS, []);
    assert!(!bench.calls_gone(3), "it was cut off");
    connect(&mut bench.cx, 1);
    bench.presence.on_peers(&bench.cx);
    bench.minutes(DAYS, [1, 2]);
    assert!(bench.calls_gone(3), "two days before and one behind it");
}

#[test]
fn who_hears_of_less_than_most_sites_calls_nobody_gone() {
    let mut bench = Bench::of(5);
    bench.minutes(4 * DAYS, [1]);
    assert!((2..5).all(|number| !bench.calls_gone(number)), "two sites of five: the others may be the pool");
    bench.minutes(3 * DAYS, [1, 2]);
    assert!(bench.calls_gone(3) && bench.calls_gone(4), "three of five, and twice the time, as they fell together");
}

#[test]
fn an_announced_absence_is_waited_for() {
    let mut bench = Bench::of(4);
    let until = bench.cx.now.wall + 5 * DAY_MS;
    bench.cx.facts.insert(absence(3, 1, until).into());
    bench.minutes(2 * HOURS, [1, 2]);
    assert_eq!(bench.reason(3), Some(AwayReason::Announced { until_ms: until }));
    assert!(!bench.is_overdue(3, 1) && bench.is_overdue(3, 0));
    bench.minutes(2 * DAYS, [1, 2]);
    assert!(bench.is_overdue(3, 1), "one site has all there is, for two days now");
    assert!(!bench.is_overdue(3, 2));
    bench.minutes(3 * DAYS, [1, 2]);
    assert!(!bench.calls_gone(3), "it said five days");
    bench.minutes(2 * DAYS, [1, 2]);
    assert!(bench.calls_gone(3), "two days late");
}

#[test]
fn the_fewer_sites_are_left_the_sooner_copies_are_due() {
    let mut bench = Bench::of(4);
    bench.minutes(30, [1, 2]);
    assert_eq!([0, 1, 2].map(|left| bench.is_overdue(3, left)), [true, false, false]);
    bench.minutes(3 * HOURS, [1, 2]);
    assert_eq!([0, 1, 2].map(|left| bench.is_overdue(3, left)), [true, true, false]);
    bench.minutes(DAYS, [1, 2]);
    assert_eq!([0, 1, 2].map(|left| bench.is_overdue(3, left)), [true; 3]);
    bench.minutes(1, [1, 2, 3]);
    assert_eq!([0, 1, 2].map(|left| bench.is_overdue(3, left)), [false; 3], "it is back");
}

#[test]
fn who_is_off_every_night_is_not_missed_at_night() {
    let mut bench = Bench::of(4);
    // Virtual time begins at midnight, but for some minutes.
    for _ in 0..8 {
        bench.minutes(7 * HOURS, [1, 2]);
        bench.minutes(16 * HOURS, [1, 2, 3]);
        bench.minutes(HOURS, [1, 2]);
    }
    bench.minutes(4 * HOURS, [1, 2]);
    assert!(matches!(bench.reason(3), Some(AwayReason::UsualHours { .. })), "{:?}", bench.reason(3));
    assert!(!bench.is_overdue(3, 1));
    bench.restart();
    bench.minutes(2 * HOURS, [1, 2]);
    assert!(!bench.is_overdue(3, 1), "its hours are remembered");
    bench.minutes(4 * HOURS, [1, 2]);
    assert!(bench.is_overdue(3, 1), "it did not come back in the morning");
}

#[test]
fn many_that_fall_silent_together_are_braked() {
    let mut bench = Bench::of(8);
    bench.minutes(10, 1..8);
    bench.minutes(2 * HOURS, 1..5);
    for number in 5..8 {
        assert_eq!(bench.reason(number), Some(AwayReason::Outage));
        assert!(!bench.is_overdue(number, 1) && bench.is_overdue(number, 0));
    }
    bench.minutes(GONE_DAYS * DAYS, 1..5);
    assert!((5..8).all(|number| !bench.calls_gone(number)), "nobody becomes gone by an outage");
    assert!((5..8).all(|number| bench.is_overdue(number, 1)), "but copies are made after a day");
    bench.minutes(GONE_DAYS * DAYS, 1..5);
    assert!((5..8).all(|number| bench.calls_gone(number)), "in twice the time they are");
}

#[test]
fn a_brake_ends_when_half_of_them_are_back() {
    let mut bench = Bench::of(8);
    bench.minutes(HOURS, 1..5);
    assert_eq!(bench.reason(7), Some(AwayReason::Outage));
    bench.minutes(1, 1..7);
    assert_eq!(bench.reason(7), Some(AwayReason::Unexplained));
}

#[test]
fn who_is_missed_when_this_node_comes_back_fell_together_with_it() {
    // After a power cut: of six two are back, with this one.
    let mut bench = Bench::of(6);
    bench.minutes(2 * HOURS, 1..6);
    bench.restart();
    bench.minutes(3 * HOURS, 1..2);
    assert_eq!(bench.reason(5), Some(AwayReason::Outage));
    assert!(!bench.is_overdue(5, 1));
    // Three, and one of the others has been away for longer: it is no power cut.
    let mut bench = Bench::of(6);
    bench.minutes(2 * HOURS, 1..5);
    bench.restart();
    bench.minutes(3 * HOURS, 1..4);
    assert_eq!(bench.reason(5), Some(AwayReason::Unexplained));
    assert!(bench.is_overdue(5, 1));
}

/// It counted as one of them, and back: with one of the three that fell half were back, and the brake ended (household seed 143).
#[test]
fn a_node_that_started_shortly_before_others_fell_did_not_fall_with_them() {
    let mut bench = Bench::of(6);
    bench.restart();
    bench.minutes(4, 1..6);
    bench.minutes(HOURS, 1..3);
    bench.minutes(2 * HOURS, 1..4);
    assert_eq!(bench.reason(5), Some(AwayReason::Outage));
}

#[test]
fn a_node_that_was_frozen_misses_nobody() {
    let mut bench = Bench::of(4);
    bench.minutes(GONE_DAYS * DAYS - 10, [1, 2]);
    pass(&mut bench.cx, 10 * DAY_MS);
    bench.look();
    bench.minutes(5, [1, 2]);
    assert!(!bench.calls_gone(3) && !bench.calls_gone(2));
}

#[test]
fn who_has_not_heard_the_others_or_is_there_twice_says_nothing() {
    let mut bench = Bench::of(4);
    bench.cx.synced = false;
    bench.minutes(GONE_DAYS * DAYS + 1, [1, 2]);
    assert!(!bench.calls_gone(3), "what others know was not heard yet");
    bench.cx.synced = true;
    bench.cx.duplicate_identity = true;
    bench.minutes(1, [1, 2]);
    assert!(!bench.calls_gone(3), "another node has this identity");
    bench.cx.duplicate_identity = false;
    bench.minutes(1, [1, 2]);
    assert!(bench.calls_gone(3));
}

#[test]
fn an_idle_hour_costs_few_messages_and_one_entry_of_the_log() {
    let mut bench = Bench::of(4);
    connect(&mut bench.cx, 2);
    for number in 1..3 {
        bench.presence.on_exchange(&bench.cx, (node(number), bench.cx.now.mono), false);
    }
    let _ = effects(&mut bench.cx);
    let (mut sent, mut bytes, mut logged) = (0, 0, 0);
    for _ in 0..24 * 60 {
        bench.minutes(1, [1, 2, 3]);
        for effect in effects(&mut bench.cx) {
            match effect {
                crate::seam::Effect::Send { message: Message::Heard(said), .. } => {
                    sent += 1;
                    bytes += fsdfs_proto::codec::encode(&said).len();
                }
                crate::seam::Effect::Disk { .. } => logged += 1,
                other => panic!("looking costs nothing else: {other:?}"),
            }
        }
    }
    assert_eq!((sent, logged), (2 * 6 * 24, 24), "to two peers every ten minutes; an entry an hour");
    assert!(bytes / (2 * 24 * 60) <= 16, "bytes a minute and peer");
}

/// Node 1 says that it exchanged facts with node 2 so long ago.
fn told_by_1_of_2(age_ms: u64) -> HeardMembers {
    let heard = fsdfs_proto::message::repair::HeardMember { node: node(2), age_ms: Some(age_ms), connected: true };
    HeardMembers { unpublished: false, members: vec![heard] }
}

#[test]
fn what_was_heard_through_others_is_reported() {
    let mut bench = Bench::of(3);
    bench.presence.on_exchange(&bench.cx, (node(1), bench.cx.now.mono), false);
    bench.presence.on_heard(&mut bench.cx, node(1), &told_by_1_of_2(30_000));
    pass(&mut bench.cx, 60_000);
    bench.presence.on_exchange(&bench.cx, (node(1), bench.cx.now.mono), false);
    let known = |bench: &Bench, number| bench.presence.report(&bench.cx, &bench.liveness, node(number)).facts_known_s;
    assert_eq!((known(&bench, 1), known(&bench, 2)), (Some(60), Some(150)), "a minute for what was under way");
    assert_eq!(bench.cx.peers.get(node(1)).and_then(|peer| peer.hears.clone()), Some([node(2)].into()));
    bench.presence.on_exchange(&bench.cx, (node(2), bench.cx.now.mono), true);
    assert_eq!(known(&bench, 2), Some(150), "it keeps heads to itself");
}

#[test]
fn when_members_knew_of_each_other_is_said_by_the_wall_clock_and_never_by_one_that_is_wrong() {
    let mut bench = Bench::of(3);
    let until = |bench: &Bench, number| {
        let (presence, cx) = (&bench.presence, &bench.cx);
        (presence.heard_until(cx, node(number)), presence.knows_until(cx, node(number)))
    };
    assert_eq!(until(&bench, 1), (None, None), "nothing was exchanged since the start");
    assert_eq!(until(&bench, 0), (Some(bench.cx.now.wall), Some(bench.cx.now.wall)), "itself");
    let (began, wall) = (bench.cx.now.mono, bench.cx.now.wall);
    pass(&mut bench.cx, 5_000);
    bench.presence.on_exchange(&bench.cx, (node(1), began), false);
    assert_eq!(until(&bench, 1), (Some(wall - 60_000), Some(wall - 60_000)));
    bench.minutes(10, [1]);
    bench.presence.on_heard(&mut bench.cx, node(1), &told_by_1_of_2(120_000));
    let (heard, knows) = until(&bench, 2);
    assert_eq!((heard, knows), (None, Some(wall - 60_000)), "what it had then is not here yet");
    pass(&mut bench.cx, 60_000);
    bench.presence.on_exchange(&bench.cx, (node(1), bench.cx.now.mono), false);
    assert_eq!(until(&bench, 2).0, Some(bench.cx.now.wall - 240_000));
    bench.cx.now.wall = wall - 100_000;
    assert_eq!(until(&bench, 1), (None, None), "the clock was set back behind it");
}

#[test]
fn what_is_handled_right_after_a_sleep_counts_as_before_it() {
    let mut bench = Bench::of(2);
    bench.minutes(2, [1]);
    let before = bench.cx.now.wall;
    bench.cx.now.wall += 8 * HOUR_MS;
    bench.presence.on_exchange(&bench.cx, (node(1), bench.cx.now.mono), false);
    assert!(bench.presence.heard_until(&bench.cx, node(1)).is_some_and(|until| until <= before));
    bench.minutes(3, [1]);
    bench.presence.on_exchange(&bench.cx, (node(1), bench.cx.now.mono), false);
    assert!(bench.presence.heard_until(&bench.cx, node(1)).is_some_and(|until| until > before));
}

#[test]
fn the_log_is_written_within_the_first_hour_and_the_entry_that_saw_most_counts() {
    let mut bench = Bench::of(3);
    bench.minutes(12, [1]);
    let entries: Vec<_> = asked_of_disk(&mut bench.cx);
    assert_eq!(entries.len(), 1, "{entries:?}");
    let Some(LogEntry::Observed(late)) = bench.presence.entry() else { panic!("it has seen something") };
    let early = Observation::Members(ObservedMembers { running_ms: 1, members: Vec::new() });
    let mut again = PresenceWatch::default();
    again.replay(&bench.cx, late);
    again.replay(&bench.cx, early);
    assert_eq!(again.members.len(), 2);
}
