//! What the collector works with.

use crate::engine::blocks::Gets;
use crate::engine::context::Context;
use crate::engine::facts::PresenceWatch;
use crate::engine::volume::{LocalHeads, StateFloor};

/// Lent to it for one call.
pub(in crate::engine) struct CollectorParts<'a> {
    pub cx: &'a mut Context,
    pub gets: &'a mut Gets,
    pub heads: &'a LocalHeads,
    pub floor: &'a StateFloor,
    pub presence: &'a PresenceWatch,
}
