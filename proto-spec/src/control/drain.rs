//! A node that hands everything over.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far this node has handed over what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrainAnswer {
    /// It is drained, or was removed: it holds nothing for the pool any more.
    pub draining: bool,
    /// Nothing is lost if this node never comes back: every block here was found with all members that it is assigned to, and
    /// nothing that users of this node did is under way.
    pub may_be_unplugged: bool,
    /// Whether what is left was counted, by the map that holds now.
    pub counted: bool,
    /// Blocks here that are not known to be with all members that they are assigned to.
    pub blocks_left: u64,
    /// Their bytes.
    pub bytes_left: u64,
    /// Bytes that became fewer in a second, over the last minutes, if that is known.
    pub bytes_per_s: Option<u64>,
    /// Seconds until nothing is left, at that rate.
    pub seconds_left: Option<u64>,
    /// Puts and changes under way.
    pub puts: u64,
    /// Some changes are on this node only.
    pub unpublished: bool,
    /// Disks of this node that it cannot read and that were not given up: what only they have would be lost.
    pub unread_disks: u64,
    /// Names of members that are assigned blocks and cannot be reached.
    pub away: Vec<String>,
    /// Names of members that are assigned blocks and take none now.
    pub full: Vec<String>,
}

/// Drains this node, or makes it a holder again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainChange {
    /// Which of the two.
    pub drain: bool,
}
