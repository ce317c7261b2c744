//! What a node remembers of what it saw, over its restarts.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::codec::{CanonicalCodec, FormatError, ascending, bound};
use crate::ids::NodeId;
use crate::tagged_enum;

/// Hours of a week, from Monday 00:00 UTC.
pub const WEEK_HOURS: usize = 168;
/// Members in one [`ObservedMembers`] at most: as many as a pool has.
pub const OBSERVED_MEMBERS_MAX: usize = 4096;

tagged_enum! {
    /// Of each kind the last one in the log counts.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Observation {
        /// Who was up.
        1 => Members(ObservedMembers),
    }
}

/// Who was up, as this node saw it: `[running, [[node, quiet, fell, hours]]]`.
///
/// All times are milliseconds of the node's own running time while it was connected to another member, so that a node which
/// is off, or cut off, takes nobody for silent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedMembers {
    /// How long it ran so, in all.
    pub running_ms: u64,
    /// Ascending by node, at most [`OBSERVED_MEMBERS_MAX`].
    pub members: Vec<ObservedMember>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedMember {
    /// Who.
    pub node: NodeId,
    /// How long nothing was heard of it.
    pub quiet_ms: u64,
    /// How long ago it was last found to be away, if ever.
    pub fell_ms: Option<u64>,
    /// For each hour of the week the share of it in which it was up, in percent; 255 = not known. [`WEEK_HOURS`] bytes.
    pub hours: Bytes,
}

impl CanonicalCodec for ObservedMembers {
    fn check(&self) -> Result<(), FormatError> {
        bound(self.members.len() <= OBSERVED_MEMBERS_MAX, "the members observed")?;
        bound(self.members.iter().all(|member| member.hours.len() == WEEK_HOURS), "the hours of a week")?;
        ascending(&self.members, |member| member.node)
    }
}
