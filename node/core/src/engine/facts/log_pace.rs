//! When what others say of themselves goes to the log.
//!
//! Promise: of each other member one card, one absence and one first heartbeat are logged in [`OTHERS_LOGGED_MS`] at most, the newest there
//! is by then. Whoever says something new of itself again and again fills no disk. Everything else is logged as it comes.

use std::collections::BTreeMap;

use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::record::LogEntry;

use crate::engine::context::Context;
use crate::engine::timers::Timer;
use crate::limits::OTHERS_LOGGED_MS;

/// What waits, and what was logged when.
#[derive(Default)]
pub(super) struct LogPace {
    cards: MemberPace,
    absences: MemberPace,
    beats: MemberPace,
}

impl LogPace {
    /// Whether a new fact is to be logged now. What is not will be when its time has come, if it still stands then.
    pub fn is_due(&mut self, cx: &mut Context, fact: &Fact) -> bool {
        if !worth_logging(fact) {
            return false;
        }
        match fact {
            Fact::Card(card) if card.value().node != cx.me => self.cards.is_due(cx, card.value().node),
            Fact::Absence(absence) if absence.value().node != cx.me => self.absences.is_due(cx, absence.value().node),
            Fact::Heartbeat(beat) if beat.value().node != cx.me => self.beats.is_due(cx, beat.value().node),
            _ => true,
        }
    }

    /// Whether this member's card waits to be logged.
    pub fn holds_back(&self, node: NodeId) -> bool {
        self.cards.waiting.contains_key(&node)
    }

    /// What waited long enough.
    pub fn due(&mut self, cx: &mut Context) -> Vec<LogEntry> {
        let (cards, absences, beats) = (self.cards.due(cx), self.absences.due(cx), self.beats.due(cx));
        let members = cx.facts.members();
        let card = |node: &NodeId| members.get(node).and_then(|member| member.card.clone()).map(Fact::from);
        let beat = |node: &NodeId| members.get(node).and_then(|member| member.heartbeat.clone()).map(Fact::from);
        let absence = |node: &NodeId| members.get(node).and_then(|member| member.absence.clone()).map(Fact::from);
        let cards = cards.iter().filter_map(card).chain(absences.iter().filter_map(absence));
        let facts = cards.chain(beats.iter().filter_map(beat));
        facts.map(|fact| LogEntry::Fact(fact.raw())).collect()
    }
}

/// One kind of fact, of which each member has one. Monotonic milliseconds.
#[derive(Default)]
struct MemberPace {
    logged: BTreeMap<NodeId, u64>,
    /// Came too soon: when they are to be logged.
    waiting: BTreeMap<NodeId, u64>,
}

impl MemberPace {
    fn is_due(&mut self, cx: &mut Context, node: NodeId) -> bool {
        let now = cx.now.mono;
        let next = self.logged.get(&node).map_or(now, |at| at + OTHERS_LOGGED_MS);
        if next <= now {
            self.logged.insert(node, now);
            self.waiting.remove(&node);
            return true;
        }
        self.waiting.insert(node, next);
        cx.timers.set(next, Timer::LogOthers);
        false
    }

    fn due(&mut self, cx: &mut Context) -> Vec<NodeId> {
        let now = cx.now.mono;
        let due: Vec<NodeId> = self.waiting.iter().filter(|(_, at)| **at <= now).map(|(node, _)| *node).collect();
        for node in &due {
            self.waiting.remove(node);
            self.logged.insert(*node, now);
        }
        if let Some(next) = self.waiting.values().min() {
            cx.timers.set(*next, Timer::LogOthers);
        }
        due
    }
}

/// Heartbeats are worth keeping for one reason: a node's own last boot number. Others' are heard again.
pub(in crate::engine) fn worth_logging(fact: &Fact) -> bool {
    match fact {
        Fact::Heartbeat(beat) => beat.value().counter == 1,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_kit::pool::{beat, card, features, node};
    use crate::engine::test_kit::{context, pass};

    /// Node 1 says something new of itself.
    fn say(cx: &mut Context, pace: &mut LogPace, fact: impl Into<Fact>) -> bool {
        let fact = fact.into();
        cx.facts.insert(fact.clone());
        pace.is_due(cx, &fact)
    }

    #[test]
    fn of_a_thousand_cards_in_a_minute_the_first_and_the_last_are_logged() {
        let (mut cx, mut pace) = (context(0, 3), LogPace::default());
        assert!(say(&mut cx, &mut pace, card(1, 2, &[], 0)));
        for seq in 3..1_000 {
            pass(&mut cx, 10);
            assert!(!say(&mut cx, &mut pace, card(1, seq, &[], 0)));
        }
        assert!(pace.holds_back(node(1)) && pace.due(&mut cx).is_empty());
        assert!(say(&mut cx, &mut pace, card(2, 2, &[], 0)), "others do not wait for it");
        pass(&mut cx, OTHERS_LOGGED_MS);
        let due = pace.due(&mut cx);
        assert_eq!(due, [LogEntry::Fact(Fact::from(card(1, 999, &[], 0)).raw())]);
        assert!(!pace.holds_back(node(1)) && pace.due(&mut cx).is_empty());
        assert!(!say(&mut cx, &mut pace, card(1, 1_000, &[], 0)), "the minute counts from the last time");
    }

    #[test]
    fn a_member_that_starts_again_and_again_is_logged_once_a_minute() {
        let (mut cx, mut pace) = (context(0, 3), LogPace::default());
        let logged = (1..100).filter(|boot| say(&mut cx, &mut pace, beat(1, *boot, 1))).count();
        assert_eq!(logged, 1);
        pass(&mut cx, OTHERS_LOGGED_MS);
        assert_eq!(pace.due(&mut cx), [LogEntry::Fact(Fact::from(beat(1, 99, 1)).raw())]);
    }

    #[test]
    fn own_cards_and_statements_are_logged_as_they_come() {
        let (mut cx, mut pace) = (context(0, 3), LogPace::default());
        assert!((2..10).all(|seq| say(&mut cx, &mut pace, card(0, seq, &[], 0))));
        assert!((2..10).all(|level| say(&mut cx, &mut pace, features(1, level))));
        assert!(!say(&mut cx, &mut pace, beat(1, 1, 2)), "not a boot's first");
    }
}
