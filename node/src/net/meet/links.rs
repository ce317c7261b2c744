//! Who is connected, and how.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fsdfs_proto::ids::{NodeId, SessionToken};

use super::seam::{MeetPath, MemberCards};

/// A round trip that was not measured yet: more than most, less than those that are bad.
const UNKNOWN_RTT_MS: u32 = 200;

/// Whoever takes part in meetings has said so on its card by then.
const CARD_MAX_MS: u64 = 10_000;

/// A connection in use.
#[derive(Clone, Copy, Debug)]
struct Link {
    path: MeetPath,
    rtt_ms: Option<u32>,
    /// The address that the peer was told it is seen at.
    told: Option<SocketAddr>,
    since: u64,
    /// It may be dead.
    is_suspect: bool,
}

/// The connections in use, one a member.
#[derive(Default)]
pub(super) struct Links(BTreeMap<NodeId, Link>);

impl Links {
    pub fn up(&mut self, now: u64, node: NodeId, path: MeetPath) {
        self.0.insert(node, Link { path, rtt_ms: None, told: None, since: now, is_suspect: false });
    }

    /// How it was connected.
    pub fn down(&mut self, node: NodeId) -> Option<MeetPath> {
        self.0.remove(&node).map(|link| link.path)
    }

    pub fn moved(&mut self, node: NodeId, address: SocketAddr) {
        if let Some(link) = self.0.get_mut(&node).filter(|link| matches!(link.path, MeetPath::Direct(_))) {
            link.path = MeetPath::Direct(address);
        }
    }

    pub fn note_rtt(&mut self, node: NodeId, ms: u32) {
        if let Some(link) = self.0.get_mut(&node) {
            link.rtt_ms = Some(ms);
        }
    }

    /// Nothing comes over it. Another one that is in use is none of that.
    pub fn suspect(&mut self, node: NodeId) {
        if let Some(link) = self.0.get_mut(&node) {
            link.is_suspect = true;
        }
    }

    /// Whether it is connected, and packets come.
    pub fn is_sound(&self, node: NodeId) -> bool {
        self.0.get(&node).is_some_and(|link| !link.is_suspect)
    }

    pub fn is_up(&self, node: NodeId) -> bool {
        self.0.contains_key(&node)
    }

    pub fn is_direct(&self, node: NodeId) -> bool {
        self.0.get(&node).is_some_and(|link| matches!(link.path, MeetPath::Direct(_)))
    }

    /// The token of the session over which it is connected.
    pub fn token(&self, node: NodeId) -> Option<SessionToken> {
        match self.0.get(&node)?.path {
            MeetPath::Relayed(token) => Some(token),
            MeetPath::Direct(_) => None,
        }
    }

    pub fn rtt_ms(&self, node: NodeId) -> u32 {
        self.0.get(&node).and_then(|link| link.rtt_ms).unwrap_or(UNKNOWN_RTT_MS)
    }

    /// Who forwards for others and is connected directly, the closest first.
    pub fn relays(&self, cards: &dyn MemberCards) -> Vec<NodeId> {
        let direct = self.0.keys().copied().filter(|node| self.is_direct(*node));
        let mut relays: Vec<NodeId> = direct.filter(|node| cards.meets(*node) && cards.relays(*node)).collect();
        relays.sort_by_key(|node| (self.rtt_ms(*node), *node));
        relays
    }

    /// Who was not told yet where it is seen, of those who understand it. Each is named once.
    pub fn untold(&mut self, cards: &dyn MemberCards) -> Vec<(NodeId, SocketAddr)> {
        let mut untold = Vec::new();
        for (node, link) in &mut self.0 {
            let MeetPath::Direct(address) = link.path else { continue };
            if link.told != Some(address) && cards.meets(*node) {
                link.told = Some(address);
                untold.push((*node, address));
            }
        }
        untold
    }

    /// Whether somebody is to be told whose card may still come.
    pub fn waits_for_cards(&self, now: u64) -> bool {
        let waits = |link: &Link| link.told.is_none() && matches!(link.path, MeetPath::Direct(_));
        self.0.values().any(|link| waits(link) && now < link.since + CARD_MAX_MS)
    }
}
