//! What a node does that forwards packets between two others: decided here, sent elsewhere.
//!
//! Promise: a packet is forwarded only if it comes from where one side of a session is connected from, and only to where the other
//! side is; one for one, with nothing but the token changed. Nodes that asked for sessions share the line alike, and so do the
//! sessions of each and both directions of a session. No clock, no I/O; times are milliseconds on the monotonic clock.

mod flow;
mod ledger;
mod turns;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fsdfs_proto::ids::{NodeId, SessionToken};
use fsdfs_proto::packet::RELAYED_HEAD_BYTES;
use quinn::udp::EcnCodepoint;

use super::addresses::PeerAddresses;
use flow::{FlowQueue, PacketBatch};
use ledger::RelayLedger;
pub use ledger::RelayedPair;
use turns::RoundRobin;

/// Sessions at once at most: at 1 MB/s each they are more than any home's line. With two queues each they hold 32 MiB at most.
pub(in crate::net) const SESSIONS_MAX: usize = 64;
const _: () = assert!(2 * SESSIONS_MAX * flow::ALLOWANCE_BYTES_MAX <= 32 << 20, "what may wait");
/// Of one node, whichever side it is: it still reaches the larger part of a pool of friends, and four such nodes fit.
pub(in crate::net) const SESSIONS_PER_NODE_MAX: usize = 16;
/// A connection of QUIC is kept alive with a packet every 2.5 s; after this there is none.
pub(super) const SILENCE_MS: u64 = 60_000;
/// A side's number, and the other one's.
const ASKER: usize = 0;
const OTHER: usize = 1;

/// Why no session is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum RelayRefusal {
    /// Not both are connected directly.
    NotConnected,
    /// Too many sessions.
    Full,
    /// This node does not relay.
    NoRelay,
}

/// The tokens of a session: each side's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct OpenedSession {
    pub asker: SessionToken,
    pub other: SessionToken,
}

/// A session that is over; `tokens` in the order of `nodes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct EndedSession {
    pub nodes: [NodeId; 2],
    pub tokens: [SessionToken; 2],
}

/// Packets that are to be sent now, with one call to the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ForwardedPackets {
    pub to: NodeId,
    pub batch: PacketBatch,
}

/// See the module.
#[derive(Default)]
pub(super) struct Relay {
    /// Whether it relays at all.
    is_on: bool,
    sessions: BTreeMap<SessionId, RelaySessionState>,
    sides: BTreeMap<SessionToken, (SessionId, usize)>,
    last: SessionId,
    /// Nodes that asked for the sessions in which something waits, and these sessions.
    askers: RoundRobin<NodeId>,
    waiting: BTreeMap<NodeId, RoundRobin<SessionId>>,
    ledger: RelayLedger,
}

type SessionId = u64;

struct RelaySessionState {
    nodes: [NodeId; 2],
    tokens: [SessionToken; 2],
    /// Packets of each side.
    flows: [FlowQueue; 2],
    /// Sides of which something waits.
    directions: RoundRobin<usize>,
    /// When a packet was taken last.
    heard_at: u64,
}

impl Relay {
    /// Sessions that end by it.
    pub fn switch(&mut self, is_on: bool) -> Vec<EndedSession> {
        self.is_on = is_on;
        if is_on { Vec::new() } else { self.end_if(|_| true) }
    }

    pub fn is_on(&self) -> bool {
        self.is_on
    }

    pub fn is_idle(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Opens a session, with tokens that nobody can guess. One that this pair had ends: whoever asks again has lost it.
    pub fn open(
        &mut self,
        now: u64,
        nodes: [NodeId; 2],
        tokens: [SessionToken; 2],
        peers: &PeerAddresses,
    ) -> Result<OpenedSession, RelayRefusal> {
        if !self.is_on {
            return Err(RelayRefusal::NoRelay);
        }
        if nodes[ASKER] == nodes[OTHER] || nodes.iter().any(|node| peers.of(*node).is_none()) {
            return Err(RelayRefusal::NotConnected);
        }
        self.end_if(|session| nodes.iter().all(|node| session.nodes.contains(node)));
        let has_many = |node: &NodeId| {
            self.sessions.values().filter(|session| session.nodes.contains(node)).count() >= SESSIONS_PER_NODE_MAX
        };
        if self.sessions.len() >= SESSIONS_MAX || nodes.iter().any(has_many) {
            return Err(RelayRefusal::Full);
        }
        self.last += 1;
        let id = self.last;
        for side in [ASKER, OTHER] {
            self.sides.insert(tokens[side], (id, side));
        }
        self.ledger.open(nodes);
        let directions = RoundRobin::default();
        let session = RelaySessionState { nodes, tokens, flows: Default::default(), directions, heard_at: now };
        self.sessions.insert(id, session);
        Ok(OpenedSession { asker: tokens[ASKER], other: tokens[OTHER] })
    }

    /// One side says that it is over: only with the token that it was given.
    pub fn close(&mut self, node: NodeId, token: SessionToken) -> Option<EndedSession> {
        let (id, side) = *self.sides.get(&token)?;
        let is_own = self.sessions.get(&id).is_some_and(|session| session.nodes[side] == node);
        is_own.then(|| self.end(id)).flatten()
    }

    /// That node is no longer connected directly.
    pub fn lost(&mut self, node: NodeId) -> Vec<EndedSession> {
        self.end_if(|session| session.nodes.contains(&node))
    }

    /// Ends what has been silent for too long.
    pub fn expire(&mut self, now: u64) -> Vec<EndedSession> {
        self.end_if(|session| now.saturating_sub(session.heard_at) >= SILENCE_MS)
    }

    /// When a session may have been silent for too long.
    pub fn deadline(&self) -> Option<u64> {
        self.sessions.values().map(|session| session.heard_at + SILENCE_MS).min()
    }

    /// Packets with one token: they wait for their turn, with the other side's token, if they come from where their side is.
    /// Whether any of them waits.
    pub fn receive(
        &mut self,
        now: u64,
        (from, token): (SocketAddr, SessionToken),
        (batch, stride): (&mut [u8], usize),
        ecn: Option<EcnCodepoint>,
        peers: &PeerAddresses,
    ) -> bool {
        let Some((id, side)) = self.sides.get(&token).copied() else { return false };
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        if peers.of(session.nodes[side]) != Some(from) {
            return false;
        }
        session.heard_at = now;
        set_token(batch, stride, session.tokens[1 - side]);
        let dropped = session.flows[side].push(now, batch, stride, ecn);
        self.ledger.dropped(session.nodes, dropped);
        if !session.flows[side].is_empty() {
            session.directions.join(side);
            let asker = session.nodes[ASKER];
            self.waiting.entry(asker).or_default().join(id);
            self.askers.join(asker);
        }
        true
    }

    /// Whose turn it is, and what is sent.
    pub fn next(&mut self, now: u64) -> Option<ForwardedPackets> {
        let (asker, left_of_asker) = self.askers.current()?;
        let sessions = self.waiting.get_mut(&asker)?;
        let (id, left) = sessions.current()?;
        let session = self.sessions.get_mut(&id)?;
        let (side, left_of_side) = session.directions.current()?;
        let batch = session.flows[side].pop(now, left.min(left_of_asker).min(left_of_side))?;
        let to = session.nodes[1 - side];
        session.directions.charge(batch.bytes.len(), !session.flows[side].is_empty());
        sessions.charge(batch.bytes.len(), !session.directions.is_empty());
        let asker_has_more = !sessions.is_empty();
        if !asker_has_more {
            self.waiting.remove(&asker);
        }
        self.askers.charge(batch.bytes.len(), asker_has_more);
        self.ledger.forwarded(session.nodes, &batch);
        Some(ForwardedPackets { to, batch })
    }

    /// What was done for whom since the start.
    pub fn ledger(&self) -> Vec<RelayedPair> {
        let is_open = |nodes: [NodeId; 2]| {
            self.sessions.values().any(|session| nodes.iter().all(|node| session.nodes.contains(node)))
        };
        self.ledger.pairs(is_open)
    }

    fn end_if(&mut self, is_over: impl Fn(&RelaySessionState) -> bool) -> Vec<EndedSession> {
        let over = self.sessions.iter().filter(|(_, session)| is_over(session)).map(|(id, _)| *id);
        over.collect::<Vec<_>>().into_iter().filter_map(|id| self.end(id)).collect()
    }

    fn end(&mut self, id: SessionId) -> Option<EndedSession> {
        let RelaySessionState { nodes, tokens, .. } = self.sessions.remove(&id)?;
        tokens.iter().for_each(|token| {
            self.sides.remove(token);
        });
        let asker = nodes[ASKER];
        if let Some(sessions) = self.waiting.get_mut(&asker) {
            sessions.leave(id);
            if sessions.is_empty() {
                self.waiting.remove(&asker);
                self.askers.leave(asker);
            }
        }
        Some(EndedSession { nodes, tokens })
    }
}

fn set_token(batch: &mut [u8], stride: usize, token: SessionToken) {
    for packet in batch.chunks_mut(stride.max(1)) {
        if let Some(head) = packet.get_mut(..RELAYED_HEAD_BYTES) {
            head[RELAYED_HEAD_BYTES - token.0.len()..].copy_from_slice(&token.0);
        }
    }
}

#[cfg(test)]
mod tests;
