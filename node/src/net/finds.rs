//! Searches for peers: the addresses of a card first, Kademlia when they do not answer soon.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fsdfs_proto::ids::NodeId;
use libp2p::kad::QueryId;
use libp2p::swarm::ConnectionId;
use tokio::time::Instant;

/// Kademlia is asked after this, or as soon as the addresses have failed. A peer whose address is right answers sooner.
const ASK_AFTER: Duration = Duration::from_secs(1);
/// A search ends after this: a handshake that times out (5 s), a query (6 s), and the dial that follows it.
const FIND_MAX: Duration = Duration::from_secs(15);

/// What to do about a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask Kademlia for the peer's addresses.
    Ask(NodeId),
    /// It is not to be found.
    GiveUp(NodeId),
}

#[derive(Default)]
pub(super) struct Finds(BTreeMap<NodeId, Find>);

struct Find {
    until: Instant,
    ask_at: Option<Instant>,
    resolving: bool,
    dials: BTreeSet<ConnectionId>,
    query: Option<QueryId>,
}

impl Finds {
    /// False if it is being looked for already.
    pub(super) fn start(&mut self, node: NodeId, now: Instant) -> bool {
        let fresh = !self.0.contains_key(&node);
        if fresh {
            let (until, ask_at) = (now + FIND_MAX, Some(now + ASK_AFTER));
            self.0.insert(node, Find { until, ask_at, resolving: true, dials: BTreeSet::new(), query: None });
        }
        fresh
    }

    /// The names of its addresses were looked up.
    pub(super) fn resolved(&mut self, node: NodeId) {
        if let Some(find) = self.0.get_mut(&node) {
            find.resolving = false;
        }
    }

    pub(super) fn dialled(&mut self, node: NodeId, connection: ConnectionId) {
        if let Some(find) = self.0.get_mut(&node) {
            find.dials.insert(connection);
        }
    }

    /// The dial failed, or the connection ended before it was of use.
    pub(super) fn failed(&mut self, connection: ConnectionId) {
        for find in self.0.values_mut() {
            find.dials.remove(&connection);
        }
    }

    pub(super) fn asked(&mut self, node: NodeId, query: QueryId) {
        if let Some(find) = self.0.get_mut(&node) {
            find.query = Some(query);
        }
    }

    /// For whom a query was that has ended.
    pub(super) fn answered(&mut self, query: QueryId) -> Option<NodeId> {
        let (node, find) = self.0.iter_mut().find(|(_, find)| find.query == Some(query))?;
        find.query = None;
        Some(*node)
    }

    /// It is connected, or no longer wanted.
    pub(super) fn end(&mut self, node: NodeId) {
        self.0.remove(&node);
    }

    /// What is due. `connected` peers are past the dial: their lanes open, or they are closed.
    pub(super) fn due(&mut self, now: Instant, connected: impl Fn(NodeId) -> bool) -> Vec<Step> {
        let mut steps = Vec::new();
        for (node, find) in &mut self.0 {
            let idle = !find.resolving && find.dials.is_empty() && find.query.is_none() && !connected(*node);
            if find.ask_at.is_some_and(|at| idle || at <= now) {
                find.ask_at = None;
                steps.push(Step::Ask(*node));
            } else if idle || find.until <= now {
                steps.push(Step::GiveUp(*node));
            }
        }
        for step in &steps {
            if let Step::GiveUp(node) = step {
                self.0.remove(node);
            }
        }
        steps
    }

    /// When [`Finds::due`] has something to say even if nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|find| find.ask_at.unwrap_or(find.until)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::{ASK_AFTER, FIND_MAX, Finds, Step};
    use fsdfs_proto::ids::NodeId;
    use libp2p::swarm::ConnectionId;
    use tokio::time::Instant;

    const NODE: NodeId = NodeId([1; 32]);

    #[test]
    fn kademlia_is_asked_when_the_addresses_have_failed() {
        let (mut finds, now, dial) = (Finds::default(), Instant::now(), ConnectionId::new_unchecked(1));
        assert!(finds.start(NODE, now) && !finds.start(NODE, now));
        assert_eq!(finds.due(now, |_| false), []);
        finds.dialled(NODE, dial);
        finds.resolved(NODE);
        assert_eq!(finds.due(now, |_| false), []);
        finds.failed(dial);
        assert_eq!(finds.due(now, |_| false), [Step::Ask(NODE)]);
        assert_eq!(finds.due(now, |_| false), [Step::GiveUp(NODE)]);
        assert_eq!(finds.deadline(), None);
    }

    #[test]
    fn a_slow_dial_does_not_keep_kademlia_waiting_nor_the_search_going() {
        let (mut finds, now) = (Finds::default(), Instant::now());
        finds.start(NODE, now);
        finds.dialled(NODE, ConnectionId::new_unchecked(1));
        assert_eq!(finds.deadline(), Some(now + ASK_AFTER));
        assert_eq!(finds.due(now + ASK_AFTER, |_| false), [Step::Ask(NODE)]);
        assert_eq!(finds.due(now + ASK_AFTER, |_| false), []);
        assert_eq!(finds.due(now + FIND_MAX, |_| true), [Step::GiveUp(NODE)]);
    }
}
