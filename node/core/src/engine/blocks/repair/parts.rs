//! What repair works with.

use crate::engine::blocks::{Audits, Holdings, Puts, ReplicationLog};
use crate::engine::context::Context;
use crate::engine::facts::{Liveness, PresenceWatch};

/// Handed to repair for the time of one call.
pub(in crate::engine) struct RepairParts<'a> {
    pub cx: &'a mut Context,
    pub holdings: &'a mut Holdings,
    pub log: &'a mut ReplicationLog,
    pub audits: &'a mut Audits,
    /// What is on its way from here lacks no copies yet.
    pub puts: &'a Puts,
    pub presence: &'a PresenceWatch,
    pub liveness: &'a Liveness,
}
