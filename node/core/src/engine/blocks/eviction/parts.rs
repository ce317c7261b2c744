//! What eviction works with.

use crate::engine::blocks::{Puts, ReplicationLog};
use crate::engine::context::Context;

/// Lent to it for one call.
pub(in crate::engine) struct EvictionParts<'a> {
    pub cx: &'a mut Context,
    pub puts: &'a Puts,
    pub log: &'a ReplicationLog,
}
