//! Floor 5, what owners ask: members, status, invitations, where blocks are and how safe.

mod absence;
mod admins;
mod assure;
mod drain;
mod invite;
mod locate;
mod members;
mod proof;
mod remove;
mod revoke;
mod root_key;
mod rules;
mod status;
mod vouch;

pub(super) use absence::{change_absence, show_absence};
pub(super) use admins::name_admins;
pub(super) use assure::Assurances;
pub(super) use drain::{DrainParts, change_disk_drain, change_drain, drain, drained_disks, end_drain_of};
pub(super) use invite::{TicketTerms, invite};
pub(super) use locate::Locates;
pub(super) use members::{MemberParts, members, presence_of};
pub(super) use proof::{ProofParts, Proofs};
pub(super) use remove::remove_member;
pub(super) use revoke::{RevocationOrder, revoke};
pub(super) use root_key::{replace_root_key, root_key};
pub(super) use rules::change_rules;
pub(super) use status::{StatusParts, cluster_map, status};
pub(super) use vouch::vouch;
