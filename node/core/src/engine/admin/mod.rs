//! Floor 5, what owners ask: members, status, invitations, where blocks are.

mod invite;
mod locate;
mod members;
mod status;
mod vouch;

pub(super) use invite::{TicketTerms, invite, revoke};
pub(super) use locate::Locates;
pub(super) use members::{members, presence_of};
pub(super) use status::{StatusParts, cluster_map, status};
pub(super) use vouch::vouch;
