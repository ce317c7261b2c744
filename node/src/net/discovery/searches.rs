//! Searches for peers: the addresses of a card first, Kademlia when they do not answer soon.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fsdfs_proto::ids::NodeId;
use tokio::time::Instant;

/// Kademlia is asked after this, or as soon as the addresses have failed. A peer whose address is right answers sooner.
const ASK_AFTER: Duration = Duration::from_secs(1);
/// A search ends after this: a handshake that times out (5 s), a query (6 s), and the dial that follows it.
const SEARCH_MAX: Duration = Duration::from_secs(15);

/// What to do about a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SearchStep {
    /// Ask Kademlia for the peer's addresses.
    Ask(NodeId),
    /// It is not to be found.
    GiveUp(NodeId),
}

/// Searches under way, at most one a peer. `Connection` and `Query` name dials and queries of the transport.
///
/// Every search ends: connected, given up by [`PeerSearches::due`] at its time at the latest, or no longer wanted.
pub(crate) struct PeerSearches<Connection, Query>(BTreeMap<NodeId, PeerSearch<Connection, Query>>);

impl<Connection, Query> Default for PeerSearches<Connection, Query> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// One search. Idle when nothing that could find the peer is under way.
struct PeerSearch<Connection, Query> {
    until: Instant,
    ask_at: Option<Instant>,
    resolving: bool,
    dials: BTreeSet<Connection>,
    query: Option<Query>,
}

impl<Connection: Copy + Ord, Query: Copy + PartialEq> PeerSearches<Connection, Query> {
    /// False if it is being looked for already.
    pub(crate) fn start(&mut self, node: NodeId, now: Instant) -> bool {
        let fresh = !self.0.contains_key(&node);
        if fresh {
            let (until, ask_at) = (now + SEARCH_MAX, Some(now + ASK_AFTER));
            self.0.insert(node, PeerSearch { until, ask_at, resolving: true, dials: BTreeSet::new(), query: None });
        }
        fresh
    }

    /// The names of its addresses were looked up.
    pub(crate) fn resolved(&mut self, node: NodeId) {
        if let Some(search) = self.0.get_mut(&node) {
            search.resolving = false;
        }
    }

    pub(crate) fn dialled(&mut self, node: NodeId, connection: Connection) {
        if let Some(search) = self.0.get_mut(&node) {
            search.dials.insert(connection);
        }
    }

    /// The dial failed, or the connection ended before it was of use.
    pub(crate) fn failed(&mut self, connection: Connection) {
        for search in self.0.values_mut() {
            search.dials.remove(&connection);
        }
    }

    pub(crate) fn asked(&mut self, node: NodeId, query: Query) {
        if let Some(search) = self.0.get_mut(&node) {
            search.query = Some(query);
        }
    }

    /// For whom a query was that has ended.
    pub(crate) fn answered(&mut self, query: Query) -> Option<NodeId> {
        let (node, search) = self.0.iter_mut().find(|(_, search)| search.query == Some(query))?;
        search.query = None;
        Some(*node)
    }

    /// It is connected, or no longer wanted.
    pub(crate) fn end(&mut self, node: NodeId) {
        self.0.remove(&node);
    }

    /// Nothing that is under way leads anywhere any more. Who was looked for.
    pub(crate) fn end_all(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.0).into_keys().collect()
    }

    /// What is due. `connected` peers are past the dial: their streams open, or they are closed.
    pub(crate) fn due(&mut self, now: Instant, connected: impl Fn(NodeId) -> bool) -> Vec<SearchStep> {
        let mut steps = Vec::new();
        for (node, search) in &mut self.0 {
            let idle = !search.resolving && search.dials.is_empty() && search.query.is_none() && !connected(*node);
            if search.ask_at.is_some_and(|at| idle || at <= now) {
                search.ask_at = None;
                steps.push(SearchStep::Ask(*node));
            } else if idle || search.until <= now {
                steps.push(SearchStep::GiveUp(*node));
            }
        }
        for step in &steps {
            if let SearchStep::GiveUp(node) = step {
                self.0.remove(node);
            }
        }
        steps
    }

    /// When [`PeerSearches::due`] has something to say even if nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|search| search.ask_at.unwrap_or(search.until)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::{ASK_AFTER, PeerSearches, SEARCH_MAX, SearchStep};
    use fsdfs_proto::ids::NodeId;
    use tokio::time::Instant;

    const NODE: NodeId = NodeId([1; 32]);

    #[test]
    fn kademlia_is_asked_when_the_addresses_have_failed() {
        let (mut searches, now, dial) = (PeerSearches::<u32, u32>::default(), Instant::now(), 1_u32);
        assert!(searches.start(NODE, now) && !searches.start(NODE, now));
        assert_eq!(searches.due(now, |_| false), []);
        searches.dialled(NODE, dial);
        searches.resolved(NODE);
        assert_eq!(searches.due(now, |_| false), []);
        searches.failed(dial);
        assert_eq!(searches.due(now, |_| false), [SearchStep::Ask(NODE)]);
        assert_eq!(searches.due(now, |_| false), [SearchStep::GiveUp(NODE)]);
        assert_eq!(searches.deadline(), None);
    }

    #[test]
    fn a_slow_dial_does_not_keep_kademlia_waiting_nor_the_search_going() {
        let (mut searches, now) = (PeerSearches::<u32, u32>::default(), Instant::now());
        searches.start(NODE, now);
        searches.dialled(NODE, 1_u32);
        assert_eq!(searches.deadline(), Some(now + ASK_AFTER));
        assert_eq!(searches.due(now + ASK_AFTER, |_| false), [SearchStep::Ask(NODE)]);
        assert_eq!(searches.due(now + ASK_AFTER, |_| false), []);
        assert_eq!(searches.due(now + SEARCH_MAX, |_| true), [SearchStep::GiveUp(NODE)]);
    }
}
