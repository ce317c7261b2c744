//! The network: authenticated connections to the members of one pool, over QUIC.
//!
//! Knows nothing of blocks' meaning, placement or disks. A task owns the libp2p swarm; the [`Net`] handle and the events
//! are all that the daemon's loop sees. Whoever does not pass the gate is never mentioned to it.

mod actor;
mod address;
mod behaviour;
mod fetches;
mod finds;
mod frame;
mod gate;
mod gatekeeper;
mod lanes;
mod link;
mod pending;
mod resolve;
mod start;
#[cfg(test)]
mod tests;
mod transport;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use fsdfs_core::seam::BlockPayload;
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Fact;
use fsdfs_proto::ids::NodeId;
use fsdfs_proto::message::Message;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::metrics::TrafficMeter;
use actor::{Command, Seen};
use link::Shared;

pub use gatekeeper::{GateIdentity, Gatekeeper, NotLetIn};

/// How to take part in the network.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// UDP address to listen on. `0.0.0.0` listens on IPv6 too, if there is any; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Look for members on the LAN.
    pub mdns: bool,
    /// Inbound blocks in memory at most, of all peers, in bytes. At least one block.
    pub inbound_bytes_max: usize,
}

/// Why the network cannot be started. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Another program, or another node, listens there.
    #[error("UDP port {} is in use; stop the program that uses it (see 'ss -ulpn'), or choose another port in the config", .0.port())]
    AddressInUse(SocketAddr),
    /// Not allowed, or not an address of this machine.
    #[error("cannot listen on {addr} (UDP): {source}; choose another address or port in the config")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The system refuses what mDNS needs.
    #[error("cannot look for members on the LAN (mDNS): {0}; switch it off in the config")]
    Mdns(io::Error),
    /// The node's key is not usable.
    #[error("the node's key is damaged; restore the home folder from a backup")]
    Key,
}

/// What happens in the network.
#[derive(Debug)]
pub enum NetEvent {
    /// A member is connected. It and this node have let each other in.
    Up {
        /// Who.
        node: NodeId,
        /// What it showed at the gate, and the admissions that were made there.
        facts: Vec<Fact>,
    },
    /// The connection is over. Messages that were on the way in either direction may be lost; none comes after this.
    Down {
        /// Whose.
        node: NodeId,
    },
    /// Bytes of a block moved, in either direction. At most four times a second for each peer.
    Progress {
        /// Whose.
        node: NodeId,
    },
    /// The end of a [`Net::find`] that found nobody.
    Unreachable {
        /// Whom.
        node: NodeId,
        /// If it was reached but did not let this node in: what it said.
        refused: Option<NotLetIn>,
    },
    /// A member said something.
    Message {
        /// Who.
        from: NodeId,
        /// What.
        message: Message,
        /// The block behind it. It holds a share of the inbound budget until its last copy is dropped.
        payload: BlockPayload,
    },
    /// The node listens on this address of this machine.
    Listening(SocketAddr),
}

/// Handle to the network. Nothing here blocks. Dropping it closes all connections.
pub struct Net {
    /// The address asked for, with the port it got.
    listen: SocketAddr,
    actor: JoinHandle<()>,
    shared: Arc<Shared>,
    seen: Arc<Seen>,
    /// Unbounded, because nothing that is asked for may be forgotten; the daemon asks rarely (once for each peer and search).
    commands: mpsc::UnboundedSender<Command>,
}

impl Net {
    /// Starts listening. `events` is to be read without pause: while it is full, nothing is read from any peer.
    pub async fn start(
        config: NetConfig,
        keeper: Arc<Gatekeeper>,
        events: mpsc::Sender<NetEvent>,
    ) -> Result<Self, NetError> {
        start::start(config, keeper, events).await
    }

    /// The UDP port.
    pub fn port(&self) -> u16 {
        self.listen.port()
    }

    /// Queues a message, with the block it announces. Dropped if the peer is not connected. If more waits for a peer than
    /// its queue holds, its connection is closed: a stream with gaps would be worse than a broken one.
    pub fn send(&self, to: NodeId, message: Message, block: Option<Block>) {
        self.shared.send(to, message, block);
    }

    /// Connects to a member: `addrs` (`HOST:PORT`) first, then what Kademlia knows. Ends in `Up` or `Unreachable`, within
    /// about 15 seconds.
    pub fn find(&self, node: NodeId, addrs: Vec<String>) {
        self.command(Command::Find { node, addrs });
    }

    /// Tells Kademlia where a member may be. Only numeric addresses count: names are looked up by whoever dials.
    pub fn learn(&self, node: NodeId, addrs: &[String]) {
        let addrs: Vec<SocketAddr> = addrs.iter().filter_map(|addr| addr.parse().ok()).collect();
        if !addrs.is_empty() {
            self.command(Command::Learn { node, addrs });
        }
    }

    /// Closes the connection and forgets the peer's addresses. To be called after [`Gatekeeper::update`], or it may
    /// come in again.
    pub fn drop_peer(&self, node: NodeId, reason: impl Into<String>) {
        self.command(Command::Drop { node, reason: reason.into() });
    }

    /// Addresses of this machine on which the node listens.
    pub fn listen_addrs(&self) -> Vec<SocketAddr> {
        self.seen.lock().listening.iter().copied().collect()
    }

    /// This node's addresses as its peers see them, each with how many peers see it.
    pub fn observed(&self) -> BTreeMap<SocketAddr, usize> {
        let mut counted = BTreeMap::new();
        for addr in self.seen.lock().observed.values() {
            *counted.entry(*addr).or_default() += 1;
        }
        counted
    }

    /// Counts bytes, also for those who do not hold the network itself.
    pub fn traffic(&self) -> TrafficMeter {
        TrafficMeter::new(Arc::clone(&self.shared.counters))
    }

    /// Closes all connections, so that peers know at once, stops, and leaves the port to whoever listens there next.
    pub async fn stop(self) {
        self.command(Command::Stop);
        let _ = self.actor.await;
        start::wait_for_port(self.listen).await;
    }

    fn command(&self, command: Command) {
        // The task ends only with the program.
        let _ = self.commands.send(command);
    }
}
