//! The serving side: this node introduces two others to each other and has packets forwarded between them.
//!
//! Promise: whoever asks is answered once, a little more than a second later at most. A session is between two members that are
//! connected with this node directly; it ends with the first of these connections, and both sides hear of it.

use fsdfs_proto::ids::{MeetingId, NodeId, SessionToken};
use fsdfs_proto::message::meeting::{
    Candidate, Introduced, MeetOutcome, MeetReply, MeetRequest, MeetingCandidates, RelaySession,
};
use fsdfs_proto::message::{Message, RequestId};

use super::context::MeetContext;
use super::limits::{INTRODUCTION_MAX, SESSIONS_MAX, SESSIONS_PER_NODE_MAX};
use super::seam::{MeetOutput, SessionTokens};

/// See the module.
#[derive(Default)]
pub(super) struct Introductions {
    sessions: Vec<ServedSession>,
    /// A session that is being opened; that takes no time.
    opening: Option<(NodeId, MeetRequest)>,
}

/// Two that want to meet, the first to ask first.
struct ServedSession {
    meeting: MeetingId,
    sides: [ServedSide; 2],
    /// The other's candidates are waited for until then.
    due: Option<u64>,
}

struct ServedSide {
    node: NodeId,
    token: SessionToken,
    candidates: Vec<Candidate>,
    /// Its question that is not answered yet.
    request: Option<RequestId>,
}

impl Introductions {
    /// A member wants to be connected with another one.
    pub fn on_meet(&mut self, cx: &mut MeetContext, from: NodeId, asked: MeetRequest) {
        debug_assert!(self.opening.is_none(), "a session is open before the next input");
        if self.join(cx, from, &asked) {
            return;
        }
        match self.refusal(cx, from, asked.node) {
            Some(outcome) => refuse(cx, from, asked.request, outcome),
            None => {
                cx.push(MeetOutput::OpenSession { asker: from, other: asked.node });
                self.opening = Some((from, asked));
            }
        }
    }

    /// The pair has a session: both want to meet, or one asks again.
    fn join(&mut self, cx: &mut MeetContext, from: NodeId, asked: &MeetRequest) -> bool {
        let is_pair = |session: &&mut ServedSession| session.has(from) && session.has(asked.node);
        let Some(session) = self.sessions.iter_mut().find(is_pair) else { return false };
        let is_other = session.sides[1].node == from;
        let side = &mut session.sides[usize::from(is_other)];
        side.request = Some(asked.request);
        side.candidates.clone_from(&asked.candidates);
        if is_other {
            session.due = None;
        }
        if session.due.is_none() {
            session.answer(cx);
        }
        true
    }

    fn refusal(&self, cx: &MeetContext, from: NodeId, other: NodeId) -> Option<MeetOutcome> {
        let sessions_of = |node| self.sessions.iter().filter(|session| session.has(node)).count();
        if !cx.links.is_direct(from) || !cx.links.is_direct(other) || from == other || !cx.cards.meets(other) {
            Some(MeetOutcome::NotConnected)
        } else if self.sessions.len() >= SESSIONS_MAX
            || [from, other].into_iter().any(|node| sessions_of(node) >= SESSIONS_PER_NODE_MAX)
        {
            Some(MeetOutcome::Full)
        } else {
            None
        }
    }

    /// The session that was asked for is open, or not.
    pub fn on_opened(&mut self, cx: &mut MeetContext, meeting: MeetingId, tokens: Result<SessionTokens, MeetOutcome>) {
        let Some((asker, asked)) = self.opening.take() else { return };
        let tokens = match tokens {
            Ok(tokens) => tokens,
            Err(outcome) => return refuse(cx, asker, asked.request, outcome),
        };
        let introduced = RelaySession { token: tokens.other, meeting, candidates: asked.candidates.clone() };
        cx.send(asked.node, Message::Introduced(Introduced { node: asker, session: introduced }));
        let request = Some(asked.request);
        let first = ServedSide { node: asker, token: tokens.asker, candidates: asked.candidates, request };
        let other = ServedSide { node: asked.node, token: tokens.other, candidates: Vec::new(), request: None };
        let due = Some(cx.now + INTRODUCTION_MAX);
        self.sessions.push(ServedSession { meeting, sides: [first, other], due });
        debug_assert!(self.sessions.len() <= SESSIONS_MAX, "no more is opened");
    }

    /// Where the one that was introduced may be reached. Only the first answer counts.
    pub fn on_candidates(&mut self, cx: &mut MeetContext, from: NodeId, said: MeetingCandidates) {
        let waits = |session: &&mut ServedSession| {
            session.meeting == said.meeting && session.sides[1].node == from && session.due.is_some()
        };
        if let Some(session) = self.sessions.iter_mut().find(waits) {
            session.sides[1].candidates = said.candidates;
            session.due = None;
            session.answer(cx);
        }
    }

    /// A side ends its session.
    pub fn on_ended(&mut self, cx: &mut MeetContext, from: NodeId, token: SessionToken) {
        let is_own =
            |session: &ServedSession| session.sides.iter().any(|side| side.node == from && side.token == token);
        self.end(cx, is_own, Some(from));
    }

    /// Nothing was forwarded for long; the session is closed already.
    pub fn on_idle(&mut self, cx: &mut MeetContext, tokens: [SessionToken; 2]) {
        self.end(cx, |session| session.sides.iter().all(|side| tokens.contains(&side.token)), None);
    }

    /// It has no direct connection any more.
    pub fn on_gone(&mut self, cx: &mut MeetContext, node: NodeId) {
        self.end(cx, |session| session.has(node), Some(node));
    }

    /// Both sides hear of it but the one that said so.
    fn end(&mut self, cx: &mut MeetContext, which: impl Fn(&ServedSession) -> bool, except: Option<NodeId>) {
        let is_ended = |session: &mut ServedSession| which(session);
        for session in self.sessions.extract_if(.., is_ended) {
            let [first, _] = &session.sides;
            cx.push(MeetOutput::StopForwarding { node: first.node, token: first.token });
            for side in &session.sides {
                match side.request {
                    _ if except == Some(side.node) => {}
                    // It does not know of the session yet.
                    Some(request) => refuse(cx, side.node, request, MeetOutcome::NotConnected),
                    None => cx.send(side.node, Message::SessionEnded(side.token)),
                }
            }
        }
    }

    /// Whoever does not say where it is may be met all the same: over this node.
    pub fn step(&mut self, cx: &mut MeetContext) {
        let now = cx.now;
        for session in self.sessions.iter_mut().filter(|session| session.due.is_some_and(|due| due <= now)) {
            session.due = None;
            session.answer(cx);
        }
    }

    pub fn deadline(&self) -> Option<u64> {
        self.sessions.iter().filter_map(|session| session.due).min()
    }
}

impl ServedSession {
    fn has(&self, node: NodeId) -> bool {
        self.sides.iter().any(|side| side.node == node)
    }

    /// Answers the questions that are open.
    fn answer(&mut self, cx: &mut MeetContext) {
        for number in 0..self.sides.len() {
            let Some(request) = self.sides[number].request.take() else { continue };
            let (side, other) = (&self.sides[number], &self.sides[1 - number]);
            let candidates = other.candidates.clone();
            let session = RelaySession { token: side.token, meeting: self.meeting, candidates };
            let (outcome, rtt_ms) = (MeetOutcome::Met, cx.links.rtt_ms(other.node));
            let reply = MeetReply { request, outcome, session: Some(session), rtt_ms };
            cx.send(side.node, Message::MeetReply(reply));
        }
    }
}

fn refuse(cx: &mut MeetContext, to: NodeId, request: RequestId, outcome: MeetOutcome) {
    cx.send(to, Message::MeetReply(MeetReply { request, outcome, session: None, rtt_ms: 0 }));
}
