//! What `watch` makes of the answers of the node, one after the other: rates, and what happened between two of them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fsdfs_proto::control::{
    AttentionItem, BandwidthAnswer, MemberEntry, MemberListing, MemberPresence, NodeStatus, SpaceReport,
};
use serde::Serialize;

use crate::text::{escape, human};
use crate::verbs::members;
use crate::verbs::status::{NodeState, attention, code};

/// Rates are averages over so long: what is sent in a second says little.
const AVERAGED: Duration = Duration::from_secs(5);
/// More events than a screen has lines.
const EVENTS_KEPT: usize = 200;

/// What a node says at one time.
#[derive(Clone, Debug, Serialize)]
pub struct WatchSample {
    /// State of node and pool.
    pub status: NodeStatus,
    /// The members.
    pub members: MemberListing,
    /// The line.
    pub bandwidth: BandwidthAnswer,
    /// From the members' cards, which change slowly: asked for less often.
    pub space: SpaceReport,
}

/// Something that happened, and when it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WatchEvent {
    /// Time of day, as shown.
    pub(super) clock: String,
    pub(super) text: String,
}

/// Bytes per second of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WatchRates {
    pub(super) repair_in: u64,
    pub(super) repair_out: u64,
    pub(super) blocks_in: u64,
    pub(super) blocks_out: u64,
}

/// The samples so far, as much of them as is shown.
#[derive(Debug)]
pub(super) struct WatchHistory {
    last: WatchSample,
    /// Bytes since the node's start, with when they were read, the oldest first.
    counted: VecDeque<(Duration, WatchRates)>,
    /// The newest first.
    events: VecDeque<WatchEvent>,
}

impl WatchHistory {
    /// Begins with a first sample.
    pub(super) fn new(at: Duration, first: WatchSample) -> Self {
        let counted = VecDeque::from([(at, counted(&first))]);
        Self { last: first, counted, events: VecDeque::new() }
    }

    /// The next sample, later than all before.
    pub(super) fn observe(&mut self, at: Duration, clock: &str, next: WatchSample) {
        for text in changes(&self.last, &next) {
            self.note(clock, text);
        }
        let bytes = counted(&next);
        // A node that was started again counts from zero.
        if next.status.pid != self.last.status.pid {
            self.counted.clear();
        }
        self.counted.push_back((at, bytes));
        // The oldest one that is kept is at least so old: rates are over the whole time.
        while self.counted.get(1).is_some_and(|(read, _)| *read + AVERAGED <= at) {
            self.counted.pop_front();
        }
        self.last = next;
    }

    /// Something that no sample says.
    pub(super) fn note(&mut self, clock: &str, text: String) {
        self.events.push_front(WatchEvent { clock: clock.to_owned(), text });
        self.events.truncate(EVENTS_KEPT);
    }

    pub(super) fn last(&self) -> &WatchSample {
        &self.last
    }

    /// The newest first.
    pub(super) fn events(&self) -> impl ExactSizeIterator<Item = &WatchEvent> {
        self.events.iter()
    }

    /// None before there are two samples.
    pub(super) fn rates(&self) -> Option<WatchRates> {
        let ((began, from), (ended, to)) = (self.counted.front()?, self.counted.back()?);
        let ms = u64::try_from(ended.saturating_sub(*began).as_millis()).ok().filter(|ms| *ms > 0)?;
        let rate = |from: u64, to: u64| to.saturating_sub(from).saturating_mul(1_000) / ms;
        Some(WatchRates {
            repair_in: rate(from.repair_in, to.repair_in),
            repair_out: rate(from.repair_out, to.repair_out),
            blocks_in: rate(from.blocks_in, to.blocks_in),
            blocks_out: rate(from.blocks_out, to.blocks_out),
        })
    }
}

fn counted(sample: &WatchSample) -> WatchRates {
    WatchRates {
        repair_in: sample.bandwidth.repair_bytes_in,
        repair_out: sample.bandwidth.repair_bytes_out,
        blocks_in: sample.status.counters.block_bytes_in,
        blocks_out: sample.status.counters.block_bytes_out,
    }
}

/// In words, the least important first: what is noted last stands highest.
fn changes(before: &WatchSample, after: &WatchSample) -> Vec<String> {
    let mut said = Vec::new();
    if before.status.pid != after.status.pid {
        said.push("the node was started again".to_owned());
    }
    said.extend(of_repair(&before.status, &after.status));
    said.extend(of_members(&before.members, &after.members));
    said.extend(of_attention(&before.status.attention, &after.status.attention));
    let (was, is) = (NodeState::of(&before.status), NodeState::of(&after.status));
    if was != is {
        said.push(format!("{}, before: {}", is.word(), was.word()));
    }
    said
}

fn of_repair(before: &NodeStatus, after: &NodeStatus) -> Option<String> {
    let blocks = |number| human::count(number, "block", "blocks");
    match (before.repair.pending, after.repair.pending) {
        (0, pending @ 1..) => Some(format!("repair begins: {} pending", blocks(pending))),
        (1.., 0) => Some(format!(
            "repair is complete: {} sent, {} received since the node's start",
            blocks(after.repair.sent),
            after.repair.received
        )),
        (1.., 1..) if before.repair.paused != after.repair.paused => {
            Some(if after.repair.paused { "repair pauses" } else { "repair goes on" }.to_owned())
        }
        _ => None,
    }
}

fn of_members(before: &MemberListing, after: &MemberListing) -> Vec<String> {
    let was: BTreeMap<&str, &MemberEntry> = before.members.iter().map(|member| (member.id.as_str(), member)).collect();
    let said = after.members.iter().filter_map(|member| {
        let name = members::name_among(member, &after.members);
        match was.get(member.id.as_str()) {
            None => Some(format!("{name} is a new member")),
            Some(before) if before.presence != member.presence => Some(format!("{name} {}", became(member.presence))),
            Some(before) if before.via != member.via && member.connected && before.connected => {
                Some(match &member.via {
                    Some(via) => format!("{name} is connected via {}", escape::name(via.as_bytes())),
                    None => format!("{name} is connected directly"),
                })
            }
            Some(_) => None,
        }
    });
    said.collect()
}

fn became(presence: MemberPresence) -> &'static str {
    match presence {
        MemberPresence::Up => "is up",
        MemberPresence::Away => "is away",
        MemberPresence::Departed => "has departed",
        MemberPresence::Removed => "is leaving",
        MemberPresence::Revoked => "is revoked",
        MemberPresence::Other => "is in a state that this version does not know",
    }
}

/// By code: sentences carry numbers that change all the time.
fn of_attention(before: &[AttentionItem], after: &[AttentionItem]) -> Vec<String> {
    let has = |items: &[AttentionItem], wanted: &AttentionItem| items.iter().any(|item| code(item) == code(wanted));
    let over = before.iter().filter(|item| !has(after, item)).map(|item| format!("over: {}", code(item)));
    let new = after.iter().filter(|item| !has(before, item)).map(|item| format!("! {}", attention(item)));
    over.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::sample;
    use super::*;
    use crate::verbs::status::tests::{attention as one, complete, member};
    use fsdfs_proto::control::NodeCounters;

    fn texts(history: &WatchHistory) -> Vec<&str> {
        history.events().map(|event| event.text.as_str()).collect()
    }

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn rates_are_averages_of_the_last_seconds() {
        let at = |bytes: u64| {
            let mut sample = sample();
            sample.bandwidth.repair_bytes_in = bytes;
            sample.status.counters = NodeCounters { block_bytes_out: 3 * bytes, ..NodeCounters::default() };
            sample
        };
        let mut history = WatchHistory::new(seconds(0), at(1_000));
        assert_eq!(history.rates(), None);
        history.observe(seconds(1), "", at(2_000));
        let rates = WatchRates { repair_in: 1_000, blocks_out: 3_000, ..WatchRates::default() };
        assert_eq!(history.rates(), Some(rates));
        for second in 2..=20 {
            history.observe(seconds(second), "", at(2_000));
        }
        assert_eq!((history.rates(), history.counted.len()), (Some(WatchRates::default()), 6));
        // Counters that begin again are no rate.
        let mut again = at(50);
        again.status.pid = 8;
        history.observe(seconds(21), "", again);
        assert_eq!(history.rates(), None);
        assert_eq!(texts(&history), ["the node was started again"]);
    }

    #[test]
    fn what_happened_is_said_once_and_the_newest_first() {
        let calm = || WatchSample { status: complete(), ..sample() };
        let mut history = WatchHistory::new(seconds(0), calm());
        history.observe(seconds(1), "10:00:01", calm());
        assert_eq!(texts(&history), [""; 0]);
        let mut away = sample();
        away.members.members[1].presence = MemberPresence::Away;
        away.members.members.push(member("dave"));
        away.status.attention = vec![one()];
        history.observe(seconds(2), "10:00:02", away.clone());
        let began = [
            "needs attention, before: healthy",
            "! members_away: away: bob",
            "dave is a new member",
            "bob is away",
            "repair begins: 1 block pending",
        ];
        assert_eq!(texts(&history), began);
        assert_eq!(history.events().next().map(|event| event.clock.as_str()), Some("10:00:02"));
        history.observe(seconds(3), "10:00:03", away.clone());
        assert_eq!(texts(&history), began);
        away.status.repair.paused = true;
        away.members.members[2].via = Some("dave".into());
        history.observe(seconds(4), "10:00:04", away);
        assert_eq!(texts(&history)[..2], ["carol is connected via dave", "repair pauses"]);
        let mut back = calm();
        back.members.members.push(member("dave"));
        history.observe(seconds(5), "10:00:05", back);
        let ended = [
            "healthy, before: needs attention",
            "over: members_away",
            "carol is connected directly",
            "bob is up",
            "repair is complete: 5 blocks sent, 2 received since the node's start",
        ];
        assert_eq!(texts(&history)[..5], ended);
    }

    #[test]
    fn old_events_are_forgotten() {
        let mut history = WatchHistory::new(seconds(0), sample());
        for number in 0..EVENTS_KEPT + 5 {
            history.note("", number.to_string());
        }
        assert_eq!((history.events().len(), texts(&history)[0]), (EVENTS_KEPT, "204"));
    }
}
