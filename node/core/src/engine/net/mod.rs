//! Floor 1, connections: who is connected, what was asked of whom, and who is dialled.

mod connections;
mod outbox;
mod peers;
mod requests;

pub(super) use connections::{Connections, refuse_shunned, shun};
pub(super) use outbox::{Outboxes, PendingQuestion};
pub(super) use peers::{PeerState, Peers};
pub(super) use requests::{OpenRequest, Requests};
