//! What the handle asks of the task behind it, and what both look at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fsdfs_proto::ids::NodeId;

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
    Stop,
}

/// This machine's addresses, as it knows them and as peers see them: what the handle can look at.
#[derive(Default)]
pub(super) struct OwnAddresses(Mutex<AddressTable>);

#[derive(Default)]
pub(super) struct AddressTable {
    pub listening: BTreeSet<SocketAddr>,
    /// This node's address as each peer sees it.
    pub observed: BTreeMap<NodeId, SocketAddr>,
}

impl OwnAddresses {
    pub(super) fn lock(&self) -> MutexGuard<'_, AddressTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
