//! Rounds of knocks: both sides of a meeting send packets to all addresses of the other at the same time, so that the router of
//! each learns to let the other's through.
//!
//! Promise: what leaves is bounded by what the round began with and by nothing that comes; of two that hear each other at least one
//! dials.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fsdfs_proto::ids::{MeetingId, NodeId};

use super::addresses::is_usable;
use super::context::MeetContext;
use super::limits::{ANSWERS_PER_ROUND_MAX, KNOCK_TIMES, ROUND_OPEN_FOR, ROUNDS_MAX, SECOND_DIALS_AFTER, TARGETS_MAX};
use super::seam::MeetOutput;

/// See the module.
#[derive(Default)]
pub(super) struct Rounds(BTreeMap<MeetingId, Round>);

struct Round {
    peer: NodeId,
    number: u8,
    begun: u64,
    /// How many of [`KNOCK_TIMES`] are over.
    over: usize,
    targets: Vec<SocketAddr>,
    answers: usize,
    /// Addresses from which an answer came: packets get there and back. Each is dialled once.
    heard: Vec<SocketAddr>,
    dialled: usize,
    dial_at: Option<u64>,
}

impl Rounds {
    /// Begins a round, or another one of the same meeting. False if there are too many.
    pub fn begin(
        &mut self,
        cx: &mut MeetContext,
        meeting: MeetingId,
        peer: NodeId,
        mut targets: Vec<SocketAddr>,
    ) -> bool {
        let before = self.0.get(&meeting);
        if before.is_none() && self.0.len() >= ROUNDS_MAX {
            return false;
        }
        targets.truncate(TARGETS_MAX);
        let number = before.map_or(1, |round| round.number.saturating_add(1));
        let (begun, heard) = (cx.now, Vec::new());
        let round = Round { peer, number, begun, over: 0, targets, answers: 0, heard, dialled: 0, dial_at: None };
        self.0.insert(meeting, round);
        cx.push(MeetOutput::Expect { meeting, peer });
        true
    }

    /// A knock of the peer. It is answered, and the address is knocked at if it is a new one.
    pub fn on_knock(
        &mut self,
        cx: &mut MeetContext,
        (peer, from): (NodeId, SocketAddr),
        (meeting, number): (MeetingId, u8),
    ) {
        let Some(round) = self.0.get_mut(&meeting).filter(|round| round.peer == peer) else { return };
        if !is_usable(&from) || round.answers >= ANSWERS_PER_ROUND_MAX {
            return;
        }
        round.answers += 1;
        cx.push(MeetOutput::Heard { to: from, peer, meeting, round: number });
        if !round.targets.contains(&from) && round.targets.len() < TARGETS_MAX {
            round.targets.push(from);
            cx.push(MeetOutput::Knock { to: from, peer, meeting, round: round.number });
        }
    }

    /// An answer of the peer.
    pub fn on_heard(&mut self, cx: &mut MeetContext, peer: NodeId, from: SocketAddr, meeting: MeetingId) {
        let Some(round) = self.0.get_mut(&meeting).filter(|round| round.peer == peer) else { return };
        let is_new = !round.heard.contains(&from) && round.heard.len() < TARGETS_MAX;
        if !is_new || !is_usable(&from) || cx.links.is_direct(peer) {
            return;
        }
        round.heard.push(from);
        if round.dialled == 0 && round.dial_at.is_none() {
            round.dial_at = Some(cx.now + if cx.me < peer { 0 } else { SECOND_DIALS_AFTER });
        }
    }

    /// The dial to an address where it was heard led to nothing: the next one, if there is one.
    pub fn on_dial_failed(&mut self, now: u64, peer: NodeId, address: SocketAddr) {
        let dialled = |round: &&mut Round| {
            round.peer == peer && round.dialled.checked_sub(1).and_then(|last| round.heard.get(last)) == Some(&address)
        };
        if let Some(round) = self.0.values_mut().find(dialled) {
            round.dial_at = (round.dialled < round.heard.len()).then_some(now);
        }
    }

    /// It is connected directly. Its knocks are answered for a while, or it would not know.
    pub fn on_direct(&mut self, peer: NodeId) {
        for round in self.0.values_mut().filter(|round| round.peer == peer) {
            round.over = KNOCK_TIMES.len();
            round.dial_at = None;
        }
    }

    /// Nothing of it is wanted any more.
    pub fn end(&mut self, cx: &mut MeetContext, peer: NodeId) {
        self.end_those(cx, |round| round.peer == peer);
    }

    /// Knocks and dials, as far as it is time.
    pub fn step(&mut self, cx: &mut MeetContext) {
        for (meeting, round) in &mut self.0 {
            round.knock(cx, *meeting);
            if round.dial_at.is_some_and(|at| at <= cx.now) {
                round.dial_at = None;
                let Some(address) = round.heard.get(round.dialled).copied() else { continue };
                round.dialled += 1;
                cx.push(MeetOutput::Dial { node: round.peer, address });
            }
        }
        let now = cx.now;
        self.end_those(cx, |round| round.is_over(now));
    }

    fn end_those(&mut self, cx: &mut MeetContext, which: impl Fn(&Round) -> bool) {
        let out = &mut *cx.out;
        self.0.retain(|meeting, round| {
            let is_over = which(round);
            if is_over {
                out.push(MeetOutput::Forget(*meeting));
            }
            !is_over
        });
    }

    /// Whether there is a round of this meeting with the peer.
    pub fn has(&self, meeting: MeetingId) -> bool {
        self.0.contains_key(&meeting)
    }

    pub fn deadline(&self) -> Option<u64> {
        self.0.values().map(Round::deadline).min()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl Round {
    /// One knock to each address, however many times have passed: a burst would be no better than one.
    fn knock(&mut self, cx: &mut MeetContext, meeting: MeetingId) {
        let passed = KNOCK_TIMES.iter().filter(|after| self.begun + **after <= cx.now).count();
        if passed > self.over {
            self.over = passed;
            for to in &self.targets {
                cx.push(MeetOutput::Knock { to: *to, peer: self.peer, meeting, round: self.number });
            }
        }
    }

    fn is_over(&self, now: u64) -> bool {
        self.begun + ROUND_OPEN_FOR <= now && self.dial_at.is_none()
    }

    fn deadline(&self) -> u64 {
        let knock = KNOCK_TIMES.get(self.over).map(|after| self.begun + after);
        let end = self.begun + ROUND_OPEN_FOR;
        knock.into_iter().chain(self.dial_at).fold(end.max(self.dial_at.unwrap_or(0)), u64::min)
    }
}
