//! Floor 1, connections: who is connected, what was asked of whom, and who is dialled.

mod connections;
mod peers;
mod requests;

pub(super) use connections::Connections;
pub(super) use peers::{PeerState, Peers};
pub(super) use requests::{OpenRequest, Requests};
