//! The transport: QUIC, Kademlia and mDNS of libp2p. The only folder that names it.

mod address;
mod behaviour;
mod connection_limits;
mod driver;
mod gate;
mod meeting_steps;
mod meetings;
mod moves;
mod moving;
mod moving_steps;
mod start;
mod streams;
#[cfg(test)]
mod tests;
mod transport;

pub(super) use start::{Attachment, start, wait_for_port};
