//! Peers that are connected over a relay: when it is tried again to reach them directly.
//!
//! Promise: both sides knock at the same time, because the one asks the other over the relayed connection; never more often than
//! every few seconds, whatever the other says, but once: addresses that it learned after it had said where it may be are heard at once.

use std::collections::BTreeMap;

use fsdfs_proto::ids::{MeetingId, NodeId};
use fsdfs_proto::message::Message;
use fsdfs_proto::message::meeting::{Candidate, MeetingCandidates};

use super::addresses::{is_symmetric, targets};
use super::context::MeetContext;
use super::ends::SessionEnd;
use super::limits::{KNOCK_AGAIN_AFTER, KNOCK_AGAIN_TIMEOUT, ROUND_PAUSE_MIN};
use super::rounds::Rounds;

/// Clocks and lines differ: whoever asks has waited a little longer than whoever answers wants it to have.
const ROUND_PAUSE_HEARD: u64 = ROUND_PAUSE_MIN - 2_000;

/// See the module.
#[derive(Default)]
pub(super) struct Retries(BTreeMap<NodeId, Retry>);

struct Retry {
    meeting: MeetingId,
    /// The peer's.
    candidates: Vec<Candidate>,
    /// How often it was tried again by time, since something changed.
    tried: usize,
    /// Own addresses have changed since the last round.
    changed: bool,
    /// The peer has said once that its addresses were others when it was met.
    corrected: bool,
    /// When it is tried next.
    at: Option<u64>,
    last_round: u64,
    /// The peer was asked and has not answered yet.
    asked_at: Option<u64>,
}

impl Retries {
    /// The connection in use goes over a relay: it is tried at once to do without. A node that has just come up hears where it is seen
    /// about when it asks for its first peer, so it may have said too little; then it says so at once, and knocks again with the answer.
    pub fn begin(&mut self, cx: &mut MeetContext, rounds: &mut Rounds, end: SessionEnd) {
        let SessionEnd { peer, meeting, candidates, said, .. } = end;
        let changed = said[..] != *cx.own;
        let after = if changed { ROUND_PAUSE_MIN } else { KNOCK_AGAIN_AFTER[0] };
        let (last_round, at, asked_at) = (cx.now, Some(cx.now + after), changed.then_some(cx.now));
        let mut retry = Retry { meeting, candidates, tried: 0, changed, corrected: false, at, last_round, asked_at };
        if changed {
            retry.say(cx, peer);
        }
        retry.knock(cx, rounds, peer);
        self.0.insert(peer, retry);
    }

    /// It is connected directly, or not at all.
    pub fn end(&mut self, peer: NodeId) {
        self.0.remove(&peer);
    }

    /// What failed before may work now.
    pub fn on_own_change(&mut self, now: u64) {
        for retry in self.0.values_mut() {
            (retry.tried, retry.changed) = (0, true);
            retry.at = Some(now.max(retry.last_round + ROUND_PAUSE_MIN));
        }
    }

    /// The peer asks for another round, or answers that it is ready for one.
    pub fn on_again(&mut self, cx: &mut MeetContext, rounds: &mut Rounds, from: NodeId, said: MeetingCandidates) {
        let Some(retry) = self.0.get_mut(&from).filter(|retry| retry.meeting == said.meeting) else { return };
        let is_answer = retry.asked_at.take().is_some_and(|at| cx.now < at + KNOCK_AGAIN_TIMEOUT);
        let is_soon = !is_answer && cx.now < retry.last_round + ROUND_PAUSE_HEARD;
        let corrects = is_soon && !retry.corrected && said.candidates != retry.candidates;
        if is_soon && !corrects {
            return;
        }
        retry.corrected |= corrects;
        retry.candidates = said.candidates;
        if !is_answer {
            retry.say(cx, from);
        }
        retry.knock(cx, rounds, from);
    }

    pub fn step(&mut self, cx: &mut MeetContext) {
        for (peer, retry) in &mut self.0 {
            if retry.at.is_some_and(|at| at <= cx.now) {
                retry.ask(cx, *peer);
            }
        }
    }

    pub fn deadline(&self) -> Option<u64> {
        self.0.values().filter_map(|retry| retry.at).min()
    }
}

impl Retry {
    /// Where a router gives every peer another port, a round that failed fails again, until something changes.
    fn ask(&mut self, cx: &mut MeetContext, peer: NodeId) {
        let is_hopeless = !self.changed && (is_symmetric(cx.own) || is_symmetric(&self.candidates));
        (self.tried, self.changed) = (self.tried + 1, false);
        let next = KNOCK_AGAIN_AFTER[self.tried.min(KNOCK_AGAIN_AFTER.len() - 1)];
        self.at = (!is_hopeless).then_some(cx.now + next);
        if !is_hopeless {
            self.asked_at = Some(cx.now);
            self.say(cx, peer);
        }
    }

    fn say(&self, cx: &mut MeetContext, peer: NodeId) {
        let (meeting, candidates) = (self.meeting, cx.own.to_vec());
        cx.send(peer, Message::KnockAgain(MeetingCandidates { meeting, candidates }));
    }

    fn knock(&mut self, cx: &mut MeetContext, rounds: &mut Rounds, peer: NodeId) {
        self.last_round = cx.now;
        rounds.begin(cx, self.meeting, peer, targets(cx.own, &self.candidates));
    }
}
