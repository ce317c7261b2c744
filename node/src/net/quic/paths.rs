//! Which connections there are, for those who have only a stream of one: what QUIC knows of the way to a peer.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libp2p::PeerId;
use libp2p::core::Multiaddr;
use quinn::{Connection, FrameStats};

use super::address;
use crate::net::session::streams::{LinkPath, PathPackets};

/// The connections of a node that are established.
#[derive(Default)]
pub(in crate::net) struct QuicPaths {
    connections: Mutex<BTreeMap<u64, PathEntry>>,
    last: AtomicU64,
}

struct PathEntry {
    peer: PeerId,
    /// Where the peer was when the connection was made.
    remote: SocketAddr,
    connection: Connection,
}

/// Keeps a connection in the table, which does not keep it open longer.
pub(super) struct PathEntryGuard {
    paths: Arc<QuicPaths>,
    number: u64,
}

/// One of them.
struct QuicPath {
    paths: Arc<QuicPaths>,
    number: u64,
}

impl fmt::Debug for QuicPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QuicPath").field(&self.number).finish()
    }
}

impl QuicPaths {
    pub(super) fn insert(self: &Arc<Self>, peer: PeerId, connection: &Connection) -> PathEntryGuard {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let remote = canonical(connection.remote_address());
        self.lock().insert(number, PathEntry { peer, remote, connection: connection.clone() });
        PathEntryGuard { paths: Arc::clone(self), number }
    }

    /// The youngest one to this peer there: libp2p has no name for a connection that its transport knows, too. Where several lead
    /// to the same place, they lead there the same way.
    pub(in crate::net) fn find(self: &Arc<Self>, peer: &PeerId, remote: &Multiaddr) -> Option<Arc<dyn LinkPath>> {
        let remote = canonical(address::socket_addr(remote)?);
        let connections = self.lock();
        let is_it = |entry: &PathEntry| entry.peer == *peer && entry.remote == remote;
        let (number, _) = connections.iter().rev().find(|(_, entry)| is_it(entry))?;
        Some(Arc::new(QuicPath { paths: Arc::clone(self), number: *number }))
    }

    /// Whether there is no connection at all.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, PathEntry>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PathEntryGuard {
    fn drop(&mut self) {
        // Out of the lock: the last handle of a connection closes it.
        let entry = self.paths.lock().remove(&self.number);
        drop(entry);
    }
}

impl LinkPath for QuicPath {
    fn rtt(&self) -> Option<Duration> {
        self.paths.lock().get(&self.number).map(|entry| entry.connection.rtt())
    }

    fn packets(&self) -> Option<PathPackets> {
        let stats = self.paths.lock().get(&self.number)?.connection.stats();
        // Frames are read only in packets that are the peer's, and each of those has one of these.
        let FrameStats { acks, crypto, stream, ping, path_challenge, path_response, .. } = stats.frame_rx;
        let came = acks + crypto + stream + ping + path_challenge + path_response;
        Some(PathPackets { came, sent: stats.path.sent_packets, lost: stats.path.lost_packets })
    }

    fn local_ip(&self) -> Option<IpAddr> {
        let ip = self.paths.lock().get(&self.number)?.connection.local_ip()?;
        Some(ip.to_canonical())
    }
}

/// Without what a multiaddress does not say.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
