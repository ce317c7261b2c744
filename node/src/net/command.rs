//! What the handle asks of the task behind it, and what both look at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fsdfs_proto::ids::NodeId;
use tokio::sync::{oneshot, watch};

use super::findings::{MappingState, MeetOutcome, Reachability};
use super::socket::{RelayedPair, SocketHandle};

/// What the handle asks for.
pub(super) enum NetCommand {
    Find {
        node: NodeId,
        addrs: Vec<String>,
    },
    /// The names of its addresses were looked up; the task tells itself.
    Resolved {
        node: NodeId,
        addrs: Vec<SocketAddr>,
    },
    /// Dials also while the peer is connected, here and wherever else it may be: there may be a better way to it.
    Redial {
        node: NodeId,
        addrs: Vec<SocketAddr>,
    },
    /// What the member's card says.
    Learn {
        node: NodeId,
        addrs: Vec<String>,
    },
    Drop {
        node: NodeId,
        reason: String,
    },
    /// As `Drop`, when what waits for it has left.
    Dismiss {
        node: NodeId,
        reason: String,
    },
    /// Dials an address without knowing who answers there.
    Meet {
        addr: SocketAddr,
        answer: oneshot::Sender<MeetOutcome>,
    },
    Stop,
}

/// This machine's addresses, as it knows them and as others see them: what the handle can look at.
#[derive(Default)]
pub(super) struct OwnAddresses {
    table: Mutex<AddressTable>,
    /// Tells that something in the table is different.
    changes: watch::Sender<()>,
    /// Tells that all of it may be out of date: this machine slept or moved.
    moves: watch::Sender<()>,
}

#[derive(Default)]
pub(super) struct AddressTable {
    pub listening: BTreeSet<SocketAddr>,
    /// This node's address as each peer sees it.
    pub observed: BTreeMap<NodeId, SocketAddr>,
    /// Members that are connected through another one, and through whom.
    pub relays: BTreeMap<NodeId, NodeId>,
    /// Where each peer is that is connected directly.
    pub remotes: BTreeMap<NodeId, SocketAddr>,
    /// What the router does with the node's port, as to IPv4.
    pub mapping: MappingState,
    /// The same for IPv6, where a router's firewall lets through what the node asked for.
    pub pinhole: MappingState,
    /// What members found out about addresses of this node.
    pub verdicts: BTreeMap<SocketAddr, Reachability>,
    /// For how long no packet of any member has come. That it grows is no change to tell.
    pub silence: Duration,
}

impl AddressTable {
    /// What routers forward to this node, and let through their firewalls.
    pub fn mapped(&self) -> impl Iterator<Item = SocketAddr> {
        [self.mapping, self.pinhole].into_iter().filter_map(|state| match state {
            MappingState::Mapped { external, .. } => Some(external),
            _ => None,
        })
    }
}

/// Says how members are reached, and for whom this node relays.
#[derive(Clone)]
pub struct PathMeter(pub(super) Arc<OwnAddresses>, pub(super) SocketHandle);

impl PathMeter {
    /// The member through which this one is connected, if it is not connected directly.
    pub fn via(&self, node: NodeId) -> Option<NodeId> {
        self.0.lock().relays.get(&node).copied()
    }

    /// What this node forwarded between two others since its start.
    pub fn relayed(&self) -> Vec<RelayedPair> {
        self.1.relayed()
    }
}

impl OwnAddresses {
    pub(super) fn lock(&self) -> MutexGuard<'_, AddressTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the table. `change` says whether anything is different then; so does this, and everybody who watches is told.
    pub(super) fn change(&self, change: impl FnOnce(&mut AddressTable) -> bool) -> bool {
        let is_news = change(&mut self.lock());
        if is_news {
            self.changes.send_replace(());
        }
        is_news
    }

    /// Whatever was found out about the network is to be found out again.
    pub(super) fn note_move(&self) {
        self.moves.send_replace(());
    }

    /// Told of each move from now on.
    pub(super) fn watch_moves(&self) -> watch::Receiver<()> {
        self.moves.subscribe()
    }

    /// Told of each change from now on.
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
