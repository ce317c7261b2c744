//! How two members behind routers meet: a third introduces them, forwards their packets, and they knock until they reach each
//! other directly.
//!
//! Promise: whatever comes from whom, in whatever order, what is kept and what leaves is bounded; a member that is wanted and that
//! a relay can reach is dialled; of two nodes never both wait for the other. No socket, no clock, no chance: what happens goes in,
//! what is to be done comes out.

mod addresses;
mod asking;
mod context;
mod ends;
mod introductions;
mod limits;
mod links;
mod own;
mod pace;
mod retries;
mod rounds;
mod seam;
mod standing;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use fsdfs_proto::ids::{Key, MeetingId, NodeId, SessionToken};
use fsdfs_proto::message::Message;
use fsdfs_proto::message::meeting::{CANDIDATES_MAX, Candidate, Introduced, MeetingCandidates};

use asking::Asking;
use context::MeetContext;
use ends::SessionEnds;
use introductions::Introductions;
use links::Links;
pub(in crate::net) use own::{OwnPlaces, own_candidates};
use pace::MessagePace;
use retries::Retries;
use rounds::Rounds;
pub(in crate::net) use seam::{MeetInput, MeetOutput, MeetPath, MemberCards, Now, SessionTokens};
use standing::StandingKnocks;

/// Members' cards may come in after their connection.
const LOOK_AT_CARDS_EVERY: u64 = 100;

/// See the module.
pub(in crate::net) struct Meetings<C> {
    me: NodeId,
    cards: C,
    own: Vec<Candidate>,
    links: Links,
    asking: Asking,
    ends: SessionEnds,
    rounds: Rounds,
    retries: Retries,
    standing: StandingKnocks,
    introductions: Introductions,
    pace: MessagePace,
    tidy_at: u64,
}

/// What the parts share while an input is handled.
macro_rules! parts {
    ($machine:ident, $now:expr, $out:ident) => {
        MeetContext {
            now: $now,
            me: $machine.me,
            own: &$machine.own,
            links: &$machine.links,
            cards: &$machine.cards,
            out: &mut *$out,
        }
    };
}

impl<C: MemberCards> Meetings<C> {
    pub fn new(me: NodeId, secret: Key, cards: C) -> Self {
        Self {
            me,
            cards,
            own: Vec::new(),
            links: Links::default(),
            asking: Asking::default(),
            ends: SessionEnds::default(),
            rounds: Rounds::default(),
            retries: Retries::default(),
            standing: StandingKnocks::new(secret),
            introductions: Introductions::default(),
            pace: MessagePace::default(),
            tidy_at: 0,
        }
    }

    /// Everything that happens comes in here.
    pub fn handle(&mut self, now: Now, input: MeetInput, out: &mut Vec<MeetOutput>) {
        match input {
            MeetInput::Want(node) => self.want(now.ms, node),
            MeetInput::Unreachable { node, addresses } => self.standing.add(now.ms, node, &addresses),
            MeetInput::Forget(node) => self.forget(now.ms, node, out),
            MeetInput::Up { node, path } => self.on_up(now.ms, node, path, out),
            MeetInput::Moved { node, address } => self.links.moved(node, address),
            MeetInput::Down(node) => self.on_down(now.ms, node, out),
            MeetInput::Suspect(node) => self.on_suspect(now.ms, node, out),
            MeetInput::Lossy(node) => self.on_lossy(now.ms, node),
            MeetInput::Closed(token) => self.on_closed(now.ms, token, out),
            MeetInput::DialFailed { node, address } => self.rounds.on_dial_failed(now.ms, node, address),
            MeetInput::Rtt { node, ms } => self.links.note_rtt(node, ms),
            MeetInput::Message { from, message } => self.on_message(now.ms, from, message, out),
            MeetInput::Knock { peer, from, meeting, round } => {
                self.answer_standing(now.ms, peer, from, meeting, out);
                let mut cx = parts!(self, now.ms, out);
                self.rounds.on_knock(&mut cx, (peer, from), (meeting, round));
            }
            MeetInput::Heard { peer, from, meeting } => {
                self.answer_standing(now.ms, peer, from, meeting, out);
                let mut cx = parts!(self, now.ms, out);
                self.rounds.on_heard(&mut cx, peer, from, meeting);
            }
            MeetInput::OwnCandidates(own) => self.on_own(now.ms, own),
            MeetInput::SessionOpened { meeting, tokens } => {
                self.introductions.on_opened(&mut parts!(self, now.ms, out), meeting, tokens);
            }
            MeetInput::SessionEnded { tokens } => self.introductions.on_idle(&mut parts!(self, now.ms, out), tokens),
            MeetInput::Due => {}
        }
        self.step(now, out);
    }

    /// When [`MeetInput::Due`] is due.
    pub fn deadline(&self, now: u64) -> Option<u64> {
        let parts = [
            self.asking.deadline(),
            self.ends.deadline(),
            self.rounds.deadline(),
            self.retries.deadline(),
            self.standing.deadline(),
            self.introductions.deadline(),
            self.links.waits_for_cards(now).then_some(self.tidy_at),
        ];
        parts.into_iter().flatten().min()
    }

    /// Whether something is under way that may lead to a member that is wanted.
    pub fn is_trying(&self, now: u64, node: NodeId) -> bool {
        self.asking.is_trying(now, node)
    }

    fn want(&mut self, now: u64, node: NodeId) {
        if node != self.me && !self.links.is_up(node) {
            self.asking.want(now, node);
        }
    }

    fn forget(&mut self, now: u64, node: NodeId, out: &mut Vec<MeetOutput>) {
        self.links.down(node);
        let cx = &mut parts!(self, now, out);
        self.asking.end(cx, node);
        self.ends.release_all(cx, node);
        self.rounds.end(cx, node);
        self.retries.end(node);
        self.standing.remove(cx, node);
        self.introductions.on_gone(cx, node);
        self.lose_relay(now, node, out);
    }

    fn on_up(&mut self, now: u64, node: NodeId, path: MeetPath, out: &mut Vec<MeetOutput>) {
        self.links.up(now, node, path);
        let cx = &mut parts!(self, now, out);
        self.standing.remove(cx, node);
        match path {
            MeetPath::Direct(address) => {
                self.asking.end(cx, node);
                self.ends.release_unused(cx, node);
                self.rounds.on_direct(node);
                self.retries.end(node);
                cx.push(MeetOutput::Path { node, address: Some(address), via: None });
                self.asking.on_relay(now);
                self.standing.members().into_iter().for_each(|member| self.asking.want_at_once(now, member));
            }
            MeetPath::Relayed(token) => {
                let Some(end) = self.ends.use_end(token).cloned().filter(|end| end.peer == node) else {
                    return cx.push(MeetOutput::ClosePath(token));
                };
                self.asking.end(cx, node);
                self.ends.release_unused(cx, node);
                self.introductions.on_gone(cx, node);
                cx.push(MeetOutput::Path { node, address: None, via: Some(end.relay) });
                self.retries.begin(cx, &mut self.rounds, end);
                self.lose_relay(now, node, out);
            }
        }
    }

    fn on_down(&mut self, now: u64, node: NodeId, out: &mut Vec<MeetOutput>) {
        let Some(path) = self.links.down(node) else { return };
        let cx = &mut parts!(self, now, out);
        self.retries.end(node);
        self.rounds.end(cx, node);
        match path {
            MeetPath::Direct(_) => {
                self.introductions.on_gone(cx, node);
                self.lose_relay(now, node, out);
            }
            MeetPath::Relayed(token) => {
                // Nobody said that the session is over, so the relay may be what failed.
                if let Some(end) = self.ends.get(token) {
                    self.asking.note_failed(now, node, end.relay);
                }
                self.look_again(now, node, out);
            }
        }
    }

    /// Sessions over a relay that is not connected directly are over.
    fn lose_relay(&mut self, now: u64, relay: NodeId, out: &mut Vec<MeetOutput>) {
        let cx = &mut parts!(self, now, out);
        self.asking.on_relay_gone(relay);
        for (token, end) in self.ends.on_relay_gone(cx, relay) {
            self.asking.note_failed(now, end.peer, relay);
            self.asking.on_session_over(now, token);
        }
    }

    fn look_again(&mut self, now: u64, node: NodeId, out: &mut Vec<MeetOutput>) {
        self.asking.want_at_once(now, node);
        out.push(MeetOutput::Find(node));
    }

    /// A relayed connection may be dead, by itself or with its relay: another relay is asked while it is still there.
    fn on_suspect(&mut self, now: u64, node: NodeId, out: &mut Vec<MeetOutput>) {
        let cx = &mut parts!(self, now, out);
        let over = self.ends.peers_over(cx, node);
        let itself = self.links.token(node).map(|_| node);
        for peer in over.into_iter().chain(itself) {
            self.links.suspect(peer);
            self.ask_others(now, peer);
        }
    }

    /// The relay is tried again only if it is the only one, and nothing comes any more.
    fn on_lossy(&mut self, now: u64, node: NodeId) {
        if self.links.token(node).is_some() {
            self.ask_others(now, node);
        }
    }

    fn ask_others(&mut self, now: u64, peer: NodeId) {
        let relay = self.links.token(peer).and_then(|token| self.ends.get(token)).map(|end| end.relay);
        relay.into_iter().for_each(|relay| self.asking.note_failed(now, peer, relay));
        self.asking.want_at_once(now, peer);
    }

    fn on_closed(&mut self, now: u64, token: SessionToken, out: &mut Vec<MeetOutput>) {
        let cx = &mut parts!(self, now, out);
        if let Some(end) = self.ends.release(cx, token) {
            if !cx.links.is_up(end.peer) {
                self.asking.note_failed(now, end.peer, end.relay);
            }
            self.asking.on_session_over(now, token);
        }
    }

    fn on_own(&mut self, now: u64, mut own: Vec<Candidate>) {
        own.truncate(CANDIDATES_MAX);
        if own != self.own {
            self.own = own;
            self.retries.on_own_change(now);
        }
    }

    fn on_message(&mut self, now: u64, from: NodeId, message: Message, out: &mut Vec<MeetOutput>) {
        if !self.pace.takes(now, from) {
            return;
        }
        let cx = &mut parts!(self, now, out);
        match message {
            Message::SeenAt(address) if cx.links.is_direct(from) => {
                let seen = addresses::read(address).map(|address| MeetOutput::SeenBy { node: from, address });
                seen.into_iter().for_each(|seen| cx.push(seen));
            }
            Message::Meet(asked) => self.introductions.on_meet(cx, from, asked),
            Message::MeetReply(reply) => self.asking.on_reply(cx, from, reply),
            Message::Introduced(introduced) => self.on_introduced(now, from, introduced, out),
            Message::IntroducedReply(said) => self.introductions.on_candidates(cx, from, said),
            Message::SessionEnded(token) => {
                self.introductions.on_ended(cx, from, token);
                if self.ends.get(token).is_some_and(|end| end.relay == from) {
                    self.ends.drop_end(cx, token);
                    self.asking.on_session_over(now, token);
                }
            }
            Message::KnockAgain(said) => self.retries.on_again(cx, &mut self.rounds, from, said),
            _ => {}
        }
    }

    /// Another member wants to meet this node.
    fn on_introduced(&mut self, now: u64, relay: NodeId, introduced: Introduced, out: &mut Vec<MeetOutput>) {
        let Introduced { node, session } = introduced;
        let cx = &mut parts!(self, now, out);
        if node == cx.me || node == relay || !cx.cards.meets(node) || !cx.links.is_direct(relay) {
            return;
        }
        let meeting = session.meeting;
        if self.ends.introduce(cx, relay, node, session) {
            let candidates = cx.own.to_vec();
            cx.send(relay, Message::IntroducedReply(MeetingCandidates { meeting, candidates }));
            self.asking.on_introduced(now, node);
        }
    }

    /// A member that cannot be found knocks, too: from now on it is a meeting like others.
    fn answer_standing(
        &mut self,
        now: u64,
        peer: NodeId,
        from: SocketAddr,
        meeting: MeetingId,
        out: &mut Vec<MeetOutput>,
    ) {
        if self.rounds.has(meeting) {
            return;
        }
        if let Some(mut targets) = self.standing.targets(peer, meeting) {
            targets.retain(|target| *target != from);
            targets.insert(0, from);
            self.rounds.begin(&mut parts!(self, now, out), meeting, peer, targets);
        }
    }

    /// What is due by now.
    fn step(&mut self, now: Now, out: &mut Vec<MeetOutput>) {
        if self.tidy_at <= now.ms {
            self.tidy_at = now.ms + LOOK_AT_CARDS_EVERY;
            self.pace.tidy(now.ms);
        }
        for (to, address) in self.links.untold(&self.cards) {
            out.push(MeetOutput::Send { to, message: Message::SeenAt(address.into()) });
        }
        let cx = &mut parts!(self, now.ms, out);
        self.introductions.step(cx);
        for (token, end) in self.ends.step(cx) {
            self.asking.note_failed(now.ms, end.peer, end.relay);
            self.asking.on_session_over(now.ms, token);
        }
        self.asking.step(cx, &mut self.ends);
        self.retries.step(cx);
        self.rounds.step(cx);
        self.standing.step(cx, now.minute);
    }
}
