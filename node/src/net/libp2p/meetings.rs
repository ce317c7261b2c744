//! What the driver keeps of the machine by which members meet; `meeting_steps` goes between that and the connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use fsdfs_core::facts::MemberStatus;
use fsdfs_proto::identity::card_flag;
use fsdfs_proto::ids::{NodeId, SessionToken};
use fsdfs_proto::message::Message;
use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};

use super::address;
use crate::net::handshake::gatekeeper::Gatekeeper;
use crate::net::meet::{MeetPath, Meetings, MemberCards, Now};
use crate::net::session::LinkNewsListener;
use crate::net::socket::{EndedSession, PeerPacket, SocketHandle, token_of};

/// How often it is looked what has changed of which nothing tells: own addresses, and how long packets take.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the driver keeps for meetings.
pub(super) struct MeetingsDriver {
    pub machine: Meetings<GateCards>,
    pub socket: SocketHandle,
    knocks: mpsc::Receiver<PeerPacket>,
    ended: mpsc::Receiver<EndedSession>,
    news: LinkNewsListener,
    started: Instant,
    pub look_at: Instant,
    /// Where the peer of each connection is.
    pub remotes: BTreeMap<ConnectionId, SocketAddr>,
    /// Dials that the machine asked for, and are under way.
    pub dials: BTreeMap<ConnectionId, (NodeId, SocketAddr)>,
    /// Addresses that the owner named.
    pub named: Vec<SocketAddr>,
}

/// Something that the machine is to hear of.
#[allow(clippy::large_enum_variant, reason = "most are messages; a box would be an allocation for each")]
pub(super) enum MeetingEvent {
    Said(NodeId, Message),
    Opened(NodeId),
    Packet(PeerPacket),
    SessionEnded([SessionToken; 2]),
    Due,
    Look,
}

/// What the gate knows of members.
pub(super) struct GateCards(Arc<Gatekeeper>);

impl GateCards {
    fn has_flag(&self, node: NodeId, flag: u32) -> bool {
        let facts = self.0.facts();
        let member = facts.members().get(&node).filter(|member| member.status != MemberStatus::Revoked);
        let card = member.and_then(|member| member.card.as_ref());
        card.is_some_and(|card| card.value().flags & flag != 0)
    }
}

impl MemberCards for GateCards {
    fn meets(&self, node: NodeId) -> bool {
        self.has_flag(node, card_flag::MEETS)
    }

    fn relays(&self, node: NodeId) -> bool {
        self.has_flag(node, card_flag::RELAYS)
    }
}

impl MeetingsDriver {
    pub(super) fn new(
        keeper: &Arc<Gatekeeper>,
        (socket, (knocks, ended)): (SocketHandle, (mpsc::Receiver<PeerPacket>, mpsc::Receiver<EndedSession>)),
        (news, named): (LinkNewsListener, Vec<SocketAddr>),
    ) -> Self {
        let machine = Meetings::new(keeper.node(), *keeper.secret(), GateCards(Arc::clone(keeper)));
        let started = Instant::now();
        let (remotes, dials) = Default::default();
        Self { machine, socket, knocks, ended, news, started, look_at: started, remotes, dials, named }
    }

    /// The next thing that happens to meetings. Nothing is lost if it is not waited for.
    pub(super) async fn next(&mut self) -> MeetingEvent {
        let due = self.machine.deadline(self.ms()).map(|ms| self.started + Duration::from_millis(ms));
        tokio::select! {
            // Before anybody says something, it is known that one can be answered.
            biased;
            Some(node) = self.news.opened.recv() => MeetingEvent::Opened(node),
            Some((from, message)) = self.news.said.recv() => MeetingEvent::Said(from, message),
            Some(packet) = self.knocks.recv() => MeetingEvent::Packet(packet),
            Some(ended) = self.ended.recv() => MeetingEvent::SessionEnded(ended.tokens),
            () = sleep_until(due.unwrap_or(self.look_at)), if due.is_some() => MeetingEvent::Due,
            () = sleep_until(self.look_at) => MeetingEvent::Look,
        }
    }

    fn ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn now(&self) -> Now {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { ms: self.ms(), minute: since_1970.as_secs() / 60 }
    }

    /// Whether something is under way that may lead to a member.
    pub(super) fn is_trying(&self, node: NodeId) -> bool {
        self.machine.is_trying(self.ms(), node)
    }

    /// A connection was established.
    pub(super) fn note_established(&mut self, connection: ConnectionId, remote: &Multiaddr) {
        self.dials.remove(&connection);
        if let Some(remote) = address::socket_addr(remote) {
            self.remotes.insert(connection, remote);
        }
    }

    /// Where the peer of a connection is.
    pub(super) fn remote(&self, connection: ConnectionId) -> Option<SocketAddr> {
        self.remotes.get(&connection).copied()
    }

    /// How the peer of a connection is reached.
    pub(super) fn path(&self, connection: ConnectionId) -> Option<MeetPath> {
        let remote = self.remote(connection)?;
        Some(token_of(remote).map_or(MeetPath::Direct(remote), MeetPath::Relayed))
    }

    /// The session's token, if no connection goes over it any more.
    pub(super) fn is_last_of(&self, remote: SocketAddr) -> Option<SessionToken> {
        token_of(remote).filter(|_| !self.remotes.values().any(|other| *other == remote))
    }
}
