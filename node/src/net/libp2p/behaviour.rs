//! What runs on connections that passed the gate.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{PeerId, StreamProtocol, identify, kad, mdns};

use super::connection_limits::HandshakeLimits;
use super::moves::MovesBehaviour;
use super::streams::StreamsBehaviour;
use crate::net::handshake::gatekeeper::Gatekeeper;
use crate::net::quic::QuicPaths;
use crate::net::session::links::LinkTable;

/// A query asks a few peers; one that is gone costs it the handshake timeout.
const QUERY_TIMEOUT: Duration = Duration::from_secs(6);

/// One is used. Others exist for moments: both sides dialled, or the peer was restarted and the old one is not noticed yet.
const CONNECTIONS_PER_PEER_MAX: u32 = 8;

#[derive(NetworkBehaviour)]
pub(super) struct NodeBehaviour {
    /// First: whoever it refuses must not be seen by the others.
    pub handshakes: HandshakeLimits,
    pub limits: connection_limits::Behaviour,
    pub streams: StreamsBehaviour,
    pub moves: MovesBehaviour,
    pub identify: identify::Behaviour,
    pub kad: kad::Behaviour<MemoryStore>,
    pub mdns: Toggle<mdns::tokio::Behaviour>,
}

impl NodeBehaviour {
    pub(super) fn new(
        key: &Keypair,
        keeper: &Gatekeeper,
        mdns: bool,
        (links, paths): (Arc<LinkTable>, Arc<QuicPaths>),
    ) -> io::Result<Self> {
        let own = key.public().to_peer_id();
        let limits = ConnectionLimits::default().with_max_established_per_peer(Some(CONNECTIONS_PER_PEER_MAX));
        let mdns = mdns.then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), own)).transpose()?;
        Ok(Self {
            handshakes: HandshakeLimits::default(),
            limits: connection_limits::Behaviour::new(limits),
            streams: StreamsBehaviour::new(keeper.node(), links, paths),
            moves: MovesBehaviour::default(),
            identify: identify(key),
            kad: kademlia(own, keeper.kademlia()),
            mdns: mdns.into(),
        })
    }
}

/// Only tells a peer under which address it is seen. Members learn addresses from cards and Kademlia.
fn identify(key: &Keypair) -> identify::Behaviour {
    let config = identify::Config::new("/fsdfs/2".into(), key.public())
        .with_agent_version("fsdfs".into())
        .with_cache_size(0)
        .with_hide_listen_addrs(true);
    identify::Behaviour::new(config)
}

/// Finds peers, stores nothing: records that members put are not kept.
fn kademlia(own: PeerId, protocol: String) -> kad::Behaviour<MemoryStore> {
    let name = StreamProtocol::try_from_owned(protocol).expect("the pool's protocol name begins with a slash");
    let mut config = kad::Config::new(name);
    config
        .set_query_timeout(QUERY_TIMEOUT)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        // Tables are filled with connected peers and cards; an idle pool has nothing to look for.
        .set_periodic_bootstrap_interval(None);
    let mut kad = kad::Behaviour::with_config(own, MemoryStore::new(own), config);
    // Left to itself it waits for a confirmed public address, and on a LAN no table ever forms.
    kad.set_mode(Some(kad::Mode::Server));
    kad
}
