//! Bounds the connections of one source that have not passed the gate yet.
//!
//! A stranger that finishes TLS and then says nothing holds a place until the gate's timeout. A limit over all sources
//! would let it keep every member out; a limit for each source keeps out only those who share its address.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

use fsdfs_proto::ids::SessionToken;
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    dummy,
};

use super::address;
use crate::net::socket::token_of;

/// Inbound connections of one IPv4 address, or one IPv6 /64, that may be in TLS or at the gate at once. A site of eight
/// servers that all come back after a power cut still gets in at the first attempt.
pub(super) const PENDING_PER_SOURCE_MAX: usize = 8;

/// A source was refused another attempt.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{PENDING_PER_SOURCE_MAX} connections from {0:?} are still at the gate")]
struct TooManyHandshakes(RemoteSource);

/// Whose places a connection takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RemoteSource {
    V4([u8; 4]),
    V6([u8; 8]),
    /// Behind a relay: each session is a place of its own, and only those who may connect get one.
    Relayed(SessionToken),
    Unknown,
}

/// Every inbound connection is in `waiting` from its first packet until it passed the gate or failed, and not longer.
#[derive(Default)]
pub(super) struct HandshakeLimits {
    waiting: BTreeMap<ConnectionId, RemoteSource>,
}

impl NetworkBehaviour for HandshakeLimits {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let source = source(remote);
        if self.waiting.values().filter(|waiting| **waiting == source).count() >= PENDING_PER_SOURCE_MAX {
            return Err(ConnectionDenied::new(TooManyHandshakes(source)));
        }
        self.waiting.insert(connection, source);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.waiting.remove(&connection);
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ListenFailure(failure) = event {
            self.waiting.remove(&failure.connection_id);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

fn source(remote: &Multiaddr) -> RemoteSource {
    let remote = address::socket_addr(remote);
    if let Some(token) = remote.and_then(token_of) {
        return RemoteSource::Relayed(token);
    }
    match remote.map(|addr| addr.ip()) {
        Some(IpAddr::V4(ip)) => RemoteSource::V4(ip.octets()),
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, d, e, f, g, h, ..] = ip.octets();
            RemoteSource::V6([a, b, c, d, e, f, g, h])
        }
        None => RemoteSource::Unknown,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::{HandshakeLimits, PENDING_PER_SOURCE_MAX};
    use libp2p::Multiaddr;
    use libp2p::swarm::{ConnectionId, NetworkBehaviour as _};

    fn knock(door: &mut HandshakeLimits, id: usize, from: &str) -> bool {
        let local: Multiaddr = "/ip4/127.0.0.1/udp/1/quic-v1".parse().unwrap();
        let remote = from.parse().unwrap();
        door.handle_pending_inbound_connection(ConnectionId::new_unchecked(id), &local, &remote).is_ok()
    }

    #[test]
    fn one_source_cannot_take_the_places_of_others() {
        let mut door = HandshakeLimits::default();
        for id in 0..PENDING_PER_SOURCE_MAX {
            assert!(knock(&mut door, id, &format!("/ip6/2001:db8::{id}/udp/7/quic-v1")));
        }
        assert!(!knock(&mut door, 100, "/ip6/2001:db8::ffff/udp/7/quic-v1"));
        assert!(knock(&mut door, 101, "/ip6/2001:db8:0:1::1/udp/7/quic-v1"));
        assert!(knock(&mut door, 102, "/ip4/192.0.2.1/udp/7/quic-v1"));
        for token in 0..=PENDING_PER_SOURCE_MAX {
            assert!(knock(&mut door, 200 + token, &format!("/ip6/fd5f:7366::7:{token}/udp/1/quic-v1")));
        }
    }
}
