//! How to take part in the network, and why that is not possible.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::{CongestionControl, LiveBandwidth};

/// How to take part in the network.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// UDP address to listen on. `0.0.0.0` listens on IPv6 too, if there is any; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Look for members on the LAN.
    pub mdns: bool,
    /// Inbound blocks in memory at most, of all peers, in bytes. At least one block.
    pub inbound_bytes_max: usize,
    /// Forward packets between members that cannot reach each other.
    pub relay: bool,
    /// How fast a connection may send.
    pub congestion: CongestionControl,
    /// What may be used of the line; looked at all the time.
    pub bandwidth: Arc<LiveBandwidth>,
    /// Ask the router to forward the port.
    pub port_mapping: bool,
    /// Addresses of this node that its owner named.
    pub named: Vec<SocketAddr>,
    /// Where it is kept at which addresses members were; none = it is forgotten with the process.
    pub book: Option<PathBuf>,
}

impl NetConfig {
    /// Listens and dials, and looks for nobody and nothing by itself.
    pub fn new(listen: SocketAddr, inbound_bytes_max: usize) -> Self {
        Self {
            listen,
            mdns: false,
            inbound_bytes_max,
            relay: true,
            congestion: CongestionControl::default(),
            bandwidth: Arc::default(),
            port_mapping: false,
            named: Vec::new(),
            book: None,
        }
    }
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
