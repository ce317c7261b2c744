//! Why a tree is not read or not changed.

use fsdfs_proto::codec::FormatError;

/// Why an edit was not made. Nothing was changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No such entry.
    #[error("no such file or folder")]
    NotFound,
    /// A file stands where a folder is needed.
    #[error("a file is in the way: part of the path is not a folder")]
    NotAFolder,
    /// A folder stands where a file is meant.
    #[error("there is a folder of that name")]
    IsAFolder,
    /// The target exists.
    #[error("it exists already")]
    Exists,
    /// The folder has content.
    #[error("the folder is not empty")]
    NotEmpty,
    /// Into itself, or the root.
    #[error("a folder cannot be moved into itself, and the root cannot be moved or removed")]
    IntoItself,
    /// The name cannot be stored, or the path has more than 256 names.
    #[error("a name is 1 to 255 bytes without '/' and NUL and not '.' or '..', and a path has at most 256 names")]
    BadName,
    /// Mode, size, symlink target or inline content that cannot be stored.
    #[error("mode, size or symlink target of the file are outside their bounds")]
    BadFile,
}

/// Why a tree could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// No such entry.
    #[error("no such file or folder")]
    NotFound,
    /// A file where a folder is asked for.
    #[error("not a folder")]
    NotAFolder,
    /// Blocks that do not follow the format, or open with other keys: a writer's fault.
    #[error("a block of the volume's tree is not valid: {0}")]
    Damaged(FormatError),
    /// Written by a newer version with features this one must understand.
    #[error("the volume was written by a newer fsdfs; update this node")]
    TooNew,
    /// A change was asked for, but only a read key is at hand.
    #[error("this node's key for the volume reads but does not write")]
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
