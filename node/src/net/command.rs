//! What the handle asks of the task behind it, and what both look at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fsdfs_proto::ids::NodeId;
use tokio::sync::{oneshot, watch};

use super::findings::{MappingState, MeetOutcome, Reachability};

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
    Learn {
        node: NodeId,
        addrs: Vec<SocketAddr>,
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
}

#[derive(Default)]
pub(super) struct AddressTable {
    pub listening: BTreeSet<SocketAddr>,
    /// This node's address as each peer sees it.
    pub observed: BTreeMap<NodeId, SocketAddr>,
    /// Where each connected peer is.
    pub remotes: BTreeMap<NodeId, SocketAddr>,
    /// What the router does with the node's port.
    pub mapping: MappingState,
    /// What members found out about addresses of this node.
    pub verdicts: BTreeMap<SocketAddr, Reachability>,
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

    /// Told of each change from now on.
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
