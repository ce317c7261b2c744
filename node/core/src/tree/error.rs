//! Why a tree is not read or not changed.

use fsdfs_proto::codec::FormatError;
use fsdfs_proto::ids::BlockId;

use super::terms::BlockAbsence;

/// Why an edit was not made. Nothing was changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditError {
    /// No such entry.
    NotFound,
    /// A file stands where a folder is needed.
    NotAFolder,
    /// A folder stands where a file is meant.
    IsAFolder,
    /// The target exists.
    Exists,
    /// The folder has content.
    NotEmpty,
    /// Into itself, or the root.
    IntoItself,
    /// The name cannot be stored, or the path has more than 256 names.
    BadName,
    /// The name is the store's own.
    ReservedName,
    /// Mode, size, symlink target or inline content that cannot be stored.
    BadFile,
    /// The earlier state is none of this volume, or holds what the heads do not include.
    NoSuchState,
    /// The earlier state has no such entry.
    NotInState,
    /// A block of the earlier state cannot be had now, or does not follow the format.
    StateUnreadable,
    /// More earlier states than a commit can list.
    TooManyStates,
    /// A folder on the way breaks the rules, or costs more than a job may. It can be removed as a whole.
    Unreadable,
}

/// Why a tree could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeError {
    /// No such entry.
    NotFound,
    /// A file where a folder is asked for.
    NotAFolder,
    /// Blocks that do not follow the format, or open with other keys: a writer's fault.
    Damaged(FormatError),
    /// Written by a newer version with features this one must understand.
    TooNew,
    /// A change was asked for, but only a read key is at hand.
    ReadOnly,
    /// A block that it needs could not be had.
    Absent(BlockId, BlockAbsence),
    /// It would cost more than a job may.
    TooCostly,
    /// Nobody waits for it any more.
    Cancelled,
}

impl From<FormatError> for TreeError {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::TooNew { .. } => Self::TooNew,
            other => Self::Damaged(other),
        }
    }
}

/// Why a head is quarantined: the others are shown and written on without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadFault {
    /// Its commit or its root folder opens with no key of the volume, or does not follow the format.
    Damaged(FormatError),
    /// It needs features that this program does not know.
    TooNew,
    /// This node does not have the key of its epoch.
    NoKey,
    /// A block of its tree cannot be had.
    Absent(BlockId, BlockAbsence),
    /// To read it beside the others costs more than a job may.
    TooCostly,
    /// With it the volume would have more writers than a version vector holds.
    TooManyWriters,
}

impl HeadFault {
    /// What a failed step says of the head whose tree it read; none if it says nothing of it.
    pub(super) fn of(error: &TreeError) -> Option<Self> {
        match error {
            TreeError::Damaged(error) => Some(Self::Damaged(error.clone())),
            TreeError::TooNew => Some(Self::TooNew),
            TreeError::Absent(id, absence) => Some(Self::Absent(*id, *absence)),
            TreeError::TooCostly => Some(Self::TooCostly),
            TreeError::NotFound | TreeError::NotAFolder | TreeError::ReadOnly | TreeError::Cancelled => None,
        }
    }

    /// What users are told if no other head is left.
    pub fn as_tree_error(&self) -> TreeError {
        match self {
            Self::Damaged(error) => TreeError::Damaged(error.clone()),
            Self::TooNew => TreeError::TooNew,
            Self::NoKey => TreeError::Damaged(FormatError::DoesNotOpen { what: "a commit" }),
            Self::Absent(id, absence) => TreeError::Absent(*id, *absence),
            Self::TooCostly | Self::TooManyWriters => TreeError::TooCostly,
        }
    }

    /// Whether no time and no other program will make anything of it. Only such a head may be covered: what can be read one
    /// day was written by somebody who was told that it is stored.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Damaged(_) | Self::Absent(_, BlockAbsence::Nowhere))
    }

    /// Whether it is to be looked at again when somebody comes up: what is away comes back.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Absent(..) | Self::NoKey)
    }
}
