//! Jobs over encrypted trees: edit, merge, look, walk. Pure functions over the blocks they were given (spec 05-volume).
//!
//! A job that lacks blocks answers [`JobDone::Missing`]; the engine fetches them and runs it again with more.

mod alias;
pub mod content;
mod dir;
mod edit;
mod job;
mod merge;
mod pages;
mod query;
mod source;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, Writer};
use fsdfs_proto::signed::Signed;
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::VolumeKeys;
pub use fsdfs_proto::volume::{BlockRef, EntryName, FileAttributes, FileContent, FileNode};

/// Names from the root of the volume; empty = the root itself.
pub type TreePath = Vec<EntryName>;
/// Blocks a job may use.
pub type BlockMap = BTreeMap<BlockId, Block>;

/// CPU-bound, pure work. The daemon runs it on the crypto pool, the simulator inline.
#[derive(Clone, Debug)]
pub enum TreeJob {
    /// Merge the heads and apply edits on top: one commit.
    Edit(EditJob),
    /// Merge the heads: a commit without writer.
    Merge(MergeJob),
    /// Read the (merged view of the) heads.
    Query(QueryJob),
    /// All blocks reachable from the heads.
    Walk(WalkJob),
}

/// See [`TreeJob::Edit`].
#[derive(Clone, Debug)]
pub struct EditJob {
    /// Keys of the volume's current epoch, with write secret.
    pub keys: VolumeKeys,
    /// The pool, for signing.
    pub pool: fsdfs_proto::ids::PoolId,
    /// Heads that stand, none superseded; empty only for the genesis commit.
    pub heads: Vec<Signed<Head>>,
    /// In order; each succeeds or fails by itself.
    pub edits: Vec<TreeEdit>,
    /// The writer's incarnation and the sequence number of this commit: the dot of everything it writes.
    pub dot: (Writer, u64),
    /// Orders versions inside one entry.
    pub hlc: Hlc,
    /// Replication factor of tree blocks.
    pub copies: u8,
    /// Sizes.
    pub params: TreeParams,
    /// What was fetched.
    pub blocks: BlockMap,
}

/// See [`TreeJob::Merge`].
#[derive(Clone, Debug)]
pub struct MergeJob {
    /// Keys of the volume's current epoch, with write secret.
    pub keys: VolumeKeys,
    /// The pool, for signing.
    pub pool: fsdfs_proto::ids::PoolId,
    /// At least two heads, none superseded.
    pub heads: Vec<Signed<Head>>,
    /// Replication factor of tree blocks.
    pub copies: u8,
    /// Sizes.
    pub params: TreeParams,
    /// What was fetched.
    pub blocks: BlockMap,
}

/// See [`TreeJob::Query`].
#[derive(Clone, Debug)]
pub struct QueryJob {
    /// Keys of the volume; reading is enough.
    pub keys: VolumeKeys,
    /// Heads that stand; several are shown merged.
    pub heads: Vec<Signed<Head>>,
    /// What to read.
    pub query: TreeQuery,
    /// Sizes.
    pub params: TreeParams,
    /// What was fetched.
    pub blocks: BlockMap,
}

/// See [`TreeJob::Walk`].
#[derive(Clone, Debug)]
pub struct WalkJob {
    /// Heads that stand. Links are visible, so no key is needed.
    pub heads: Vec<Signed<Head>>,
    /// What was fetched.
    pub blocks: BlockMap,
}

/// Sizes that shape trees. Parameters so that simulations get deep trees from small data; all nodes of a pool use the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeParams {
    /// Plaintext bytes of a chunk.
    pub chunk_bytes: usize,
    /// A file up to this size lies in its directory entry.
    pub inline_bytes: usize,
    /// Chunks or manifests under one manifest.
    pub fan_out: usize,
    /// Mean encoded bytes of one block of a large directory.
    pub directory_bytes: usize,
}

impl TreeParams {
    /// What every real pool uses.
    pub const DEFAULT: Self =
        Self { chunk_bytes: 1 << 20, inline_bytes: 16 << 10, fan_out: 1024, directory_bytes: 32 << 10 };
}

/// A change to a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeEdit {
    /// Write a file or symlink. Its parent folders are made if missing.
    Put {
        /// Where.
        path: TreePath,
        /// What.
        file: FileNode,
    },
    /// Make a folder; parents too. An existing folder keeps its content and takes the new attributes, if any are given.
    MakeDir {
        /// Where.
        path: TreePath,
        /// Its attributes; none = leave or default.
        attrs: Option<FileAttributes>,
        /// Fail if it exists.
        fresh: bool,
    },
    /// Remove a file, symlink or folder.
    Remove {
        /// What.
        path: TreePath,
        /// A folder with everything in it; otherwise only if empty.
        recursive: bool,
    },
    /// Move or rename. Replaces a file by a file; never replaces a folder.
    Move {
        /// From.
        from: TreePath,
        /// To: the new path itself, not a folder to move into.
        to: TreePath,
    },
}

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeQuery {
    /// One entry by its shown name.
    Entry {
        /// Which; empty = the root.
        path: TreePath,
    },
    /// A folder, a page of it, in name order.
    List {
        /// Which folder.
        path: TreePath,
        /// Only names after this one.
        after: Option<EntryName>,
        /// Entries at most.
        max: usize,
    },
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryResult {
    /// For [`TreeQuery::Entry`].
    Entry(TreeItem),
    /// For [`TreeQuery::List`].
    List {
        /// In name order.
        entries: Vec<TreeItem>,
        /// More follow.
        more: bool,
    },
}

/// An entry as people see it: several versions appear as `name` and `stem (conflict WRITER DATE).ext`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeItem {
    /// Its shown name; empty for the root.
    pub name: EntryName,
    /// Mode and time.
    pub attrs: FileAttributes,
    /// What it is.
    pub kind: TreeItemKind,
    /// The name it is a conflicting version of.
    pub conflict_of: Option<EntryName>,
    /// When it was written.
    pub time: Hlc,
    /// Who wrote it.
    pub writer: Writer,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeItemKind {
    /// A folder.
    Dir {
        /// Its block; none for an empty folder that has no block.
        root: Option<BlockRef>,
    },
    /// A file or symlink.
    File {
        /// Bytes.
        size: u64,
        /// Where they are.
        content: FileContent,
    },
}

/// What became of a job.
#[derive(Clone, Debug)]
pub enum JobDone {
    /// Run it again with these too. Ascending, none was given before.
    Missing(Vec<BlockId>),
    /// Of an edit.
    Edited {
        /// New blocks, children before parents; the commit, which the head carries too, is the last.
        blocks: Vec<Block>,
        /// The new head; none if every edit failed or changed nothing.
        head: Option<Signed<Head>>,
        /// One an edit.
        outcomes: Vec<Result<EditOutcome, EditError>>,
    },
    /// Of a merge.
    Merged {
        /// New blocks, children before parents, the commit last.
        blocks: Vec<Block>,
        /// The new head.
        head: Signed<Head>,
    },
    /// Of a query.
    Queried(Result<QueryResult, TreeError>),
    /// Of a walk: every block reached, with the greatest redundancy that reached it, ascending.
    Walked(Vec<(BlockId, fsdfs_proto::message::Redundancy)>),
    /// The tree itself is not readable. Nothing was changed.
    Failed(TreeError),
}

/// What an edit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditOutcome {
    /// The tree changed.
    Changed,
    /// It was so already.
    Unchanged,
}

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
    Damaged(fsdfs_proto::codec::FormatError),
    /// Written by a newer version with features this one must understand.
    #[error("the volume was written by a newer fsdfs; update this node")]
    TooNew,
    /// A change was asked for, but only a read key is at hand.
    #[error("this node's key for the volume reads but does not write")]
    ReadOnly,
}
