//! Changes of a pool that its owner thinks about.

use fsdfs_proto::ids::NodeId;

/// A change that an owner considers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedChange {
    /// Storage comes: with a new member, or at one that is there.
    Add {
        /// How much.
        bytes: u64,
        /// The newcomer's site; none = one of its own.
        site: Option<String>,
        /// The member that gets another disk; none = a new member.
        to: Option<NodeId>,
    },
    /// A member is gone and hands nothing over.
    Remove(NodeId),
    /// A member takes nothing any more and hands over what it has.
    Drain(NodeId),
    /// Another number of copies.
    Copies(u8),
}

/// A change that is not possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// Less than a unit of weight.
    TooSmall(u64),
    /// More units than a card can tell.
    TooLarge(u64),
    /// Too few or too many.
    Copies,
}
