//! Why a tree is not read or not changed.

use fsdfs_proto::codec::FormatError;

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
    /// Mode, size, symlink target or inline content that cannot be stored.
    BadFile,
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
}

impl From<FormatError> for TreeError {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::TooNew { .. } => Self::TooNew,
            other => Self::Damaged(other),
        }
    }
}
