//! Tells when the peer of a connection is somewhere else: libp2p says so to behaviours only.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::{
    AddressChange, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};

/// A connection whose packets come from another address now.
#[derive(Debug)]
pub(super) struct ConnectionMoved {
    pub connection: ConnectionId,
    pub address: Multiaddr,
}

/// See the module.
#[derive(Default)]
pub(super) struct MovesBehaviour {
    moves: VecDeque<ConnectionMoved>,
}

impl NetworkBehaviour for MovesBehaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = ConnectionMoved;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
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
        if let FromSwarm::AddressChange(AddressChange { connection_id: connection, new, .. }) = event {
            self.moves.push_back(ConnectionMoved { connection, address: new.get_remote_address().clone() });
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<ConnectionMoved, THandlerInEvent<Self>>> {
        // The swarm polls again after each of its own events.
        self.moves.pop_front().map_or(Poll::Pending, |moved| Poll::Ready(ToSwarm::GenerateEvent(moved)))
    }
}
