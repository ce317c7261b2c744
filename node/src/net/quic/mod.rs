//! QUIC for libp2p's swarm, on quinn. On the wire it is libp2p's: QUIC version 1, ALPN `libp2p`, certificates of libp2p-tls.
//!
//! It ends where a connection has a peer with a key; who may come in is decided behind it. With the socket below it
//! ([`crate::net::socket`]) the only folder that names quinn, so that another implementation of QUIC can take its place. Below,
//! all addresses are of IPv6; at the border they are canonical ([`address`]).

pub(super) mod address;
mod config;
mod control;
mod error;
#[cfg(test)]
mod line;
mod listener;
mod muxer;
mod paths;
mod patience;
mod pending;
#[cfg(test)]
pub(super) mod tests;
mod tls;
mod transport;
mod upgrade;

pub(super) use config::QuicSettings;
pub(super) use error::QuicError;
pub(super) use paths::QuicPaths;
pub(super) use patience::DialPatience;
pub(super) use transport::QuicTransport;
