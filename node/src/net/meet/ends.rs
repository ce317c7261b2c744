//! This node's ends of sessions that others relay.
//!
//! Promise: each is over at last: with its connection, or ten seconds after it was opened if none came up over it; and the relay
//! hears of it, unless it was the relay that ended it.

use std::collections::BTreeMap;

use fsdfs_proto::ids::{MeetingId, NodeId, SessionToken};
use fsdfs_proto::message::Message;
use fsdfs_proto::message::meeting::{Candidate, RelaySession};

use super::context::MeetContext;
use super::limits::{INTRODUCED_MAX, INTRODUCED_PER_RELAY_MAX, OPENING_MAX};
use super::seam::MeetOutput;

/// One end.
#[derive(Clone, Debug)]
pub(super) struct SessionEnd {
    /// Who is at the other one.
    pub peer: NodeId,
    pub relay: NodeId,
    pub meeting: MeetingId,
    /// Where the peer may be reached.
    pub candidates: Vec<Candidate>,
    /// Where this node may be, as the peer heard.
    pub said: Vec<Candidate>,
    /// The peer asked for it, and is the one that dials.
    pub introduced: bool,
    /// A connection has to be in use over it until then; none once there was one.
    opening_until: Option<u64>,
}

/// See the module.
#[derive(Default)]
pub(super) struct SessionEnds(BTreeMap<SessionToken, SessionEnd>);

impl SessionEnds {
    pub fn get(&self, token: SessionToken) -> Option<&SessionEnd> {
        self.0.get(&token)
    }

    /// Peers whose connection in use goes through this relay.
    pub fn peers_over(&self, cx: &MeetContext, relay: NodeId) -> Vec<NodeId> {
        let over = self.0.iter().filter(|(_, end)| end.relay == relay);
        over.filter(|(token, end)| cx.links.token(end.peer) == Some(**token)).map(|(_, end)| end.peer).collect()
    }

    /// A relay says that a member wants to be met. Whether that is to be answered.
    pub fn introduce(&mut self, cx: &mut MeetContext, relay: NodeId, peer: NodeId, session: RelaySession) -> bool {
        let unused = |end: &SessionEnd| end.opening_until.is_some();
        // A relay has one session for a pair: an older one that leads nowhere yet is no more.
        let old = self.0.iter().find(|(_, end)| end.relay == relay && end.peer == peer && unused(end));
        if let Some(token) = old.map(|(token, _)| *token) {
            self.drop_end(cx, token);
        }
        let introduced = self.0.values().filter(|end| end.introduced);
        let of_relay = introduced.clone().filter(|end| end.relay == relay).count();
        let has_room = introduced.count() < INTRODUCED_MAX && of_relay < INTRODUCED_PER_RELAY_MAX;
        let said = cx.own.to_vec();
        has_room && self.open(cx, (relay, peer), session, said, true)
    }

    /// A session that this node has asked for, with these addresses of its own. False if the token is in use: a relay that draws them
    /// at random does not do that.
    pub fn accept(
        &mut self,
        cx: &mut MeetContext,
        (relay, peer): (NodeId, NodeId),
        session: RelaySession,
        said: Vec<Candidate>,
    ) -> bool {
        if let Some(end) = self.0.get_mut(&session.token) {
            // Both have asked, and the relay has introduced the peer before.
            let is_same = end.relay == relay && end.peer == peer && end.meeting == session.meeting;
            if is_same && !session.candidates.is_empty() {
                end.candidates = session.candidates;
            }
            return is_same;
        }
        self.open(cx, (relay, peer), session, said, false)
    }

    fn open(
        &mut self,
        cx: &mut MeetContext,
        (relay, peer): (NodeId, NodeId),
        session: RelaySession,
        said: Vec<Candidate>,
        introduced: bool,
    ) -> bool {
        let RelaySession { token, meeting, candidates } = session;
        if self.0.contains_key(&token) {
            return false;
        }
        let opening_until = Some(cx.now + OPENING_MAX);
        self.0.insert(token, SessionEnd { peer, relay, meeting, candidates, said, introduced, opening_until });
        cx.push(MeetOutput::OpenPath { token, relay });
        true
    }

    /// A connection over it is in use now.
    pub fn use_end(&mut self, token: SessionToken) -> Option<&SessionEnd> {
        let end = self.0.get_mut(&token)?;
        end.opening_until = None;
        Some(end)
    }

    /// The relay has ended it, or is told by others.
    pub fn drop_end(&mut self, cx: &mut MeetContext, token: SessionToken) -> Option<SessionEnd> {
        let end = self.0.remove(&token)?;
        cx.push(MeetOutput::ClosePath(token));
        Some(end)
    }

    /// Nothing uses it any more.
    pub fn release(&mut self, cx: &mut MeetContext, token: SessionToken) -> Option<SessionEnd> {
        let end = self.drop_end(cx, token)?;
        cx.send(end.relay, Message::SessionEnded(token));
        Some(end)
    }

    /// Those of a peer that are not in use.
    pub fn release_unused(&mut self, cx: &mut MeetContext, peer: NodeId) {
        self.release_those(cx, |end| end.peer == peer && end.opening_until.is_some());
    }

    /// Nothing is to be left of a peer.
    pub fn release_all(&mut self, cx: &mut MeetContext, peer: NodeId) {
        self.release_those(cx, |end| end.peer == peer);
    }

    fn release_those(&mut self, cx: &mut MeetContext, which: impl Fn(&SessionEnd) -> bool) {
        for token in self.tokens(which) {
            self.release(cx, token);
        }
    }

    fn tokens(&self, which: impl Fn(&SessionEnd) -> bool) -> Vec<SessionToken> {
        self.0.iter().filter(|(_, end)| which(end)).map(|(token, _)| *token).collect()
    }

    /// The relay is not connected directly any more. Returns the ends that are lost.
    pub fn on_relay_gone(&mut self, cx: &mut MeetContext, relay: NodeId) -> Vec<(SessionToken, SessionEnd)> {
        let tokens = self.tokens(|end| end.relay == relay);
        tokens.into_iter().filter_map(|token| self.drop_end(cx, token).map(|end| (token, end))).collect()
    }

    /// Returns those over which nothing came up in time.
    pub fn step(&mut self, cx: &mut MeetContext) -> Vec<(SessionToken, SessionEnd)> {
        let is_late = |end: &SessionEnd| end.opening_until.is_some_and(|until| until <= cx.now);
        let late = self.tokens(is_late);
        late.into_iter().filter_map(|token| self.release(cx, token).map(|end| (token, end))).collect()
    }

    pub fn deadline(&self) -> Option<u64> {
        self.0.values().filter_map(|end| end.opening_until).min()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
