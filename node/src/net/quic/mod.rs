//! QUIC for libp2p's swarm, on quinn. On the wire it is libp2p's: QUIC version 1, ALPN `libp2p`, certificates of libp2p-tls.
//!
//! It ends where a connection has a peer with a key; who may come in is decided behind it. The only folder that names quinn,
//! so that another implementation of QUIC can take its place. A socket is made in one place ([`socket`]) and handed to quinn as
//! an abstract one, without the packets that are not QUIC's ([`packets`]), and addresses are canonical at the border ([`address`]): one socket for both families can be put below
//! without a change above.

pub(super) mod address;
mod config;
mod control;
mod error;
#[cfg(test)]
mod line;
mod listener;
mod muxer;
mod packets;
mod pending;
mod socket;
#[cfg(test)]
mod tests;
mod tls;
mod transport;
mod upgrade;

pub(super) use config::QuicSettings;
pub(super) use error::QuicError;
pub(super) use packets::{PacketFilter, ProbePacket};
pub(super) use transport::QuicTransport;
