//! Edits and queries: what a gateway asks of a tree, and what it is told.

use fsdfs_proto::ids::{BlockId, Writer};
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{BlockRef, EntryName, FileAttributes, FileContent, FileNode, Xattr};

/// Names from the root of the volume; empty = the root itself.
pub type TreePath = Vec<EntryName>;

/// A change to a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeEdit {
    /// Write a file or symlink. Its parent folders are made if missing.
    Put {
        /// Where.
        path: TreePath,
        /// What.
        file: FileNode,
        /// Its extended attributes, ascending.
        xattrs: Vec<Xattr>,
    },
    /// Make a folder; parents too. An existing folder keeps its content and takes the new attributes, if any are given.
    MakeDir {
        /// Where.
        path: TreePath,
        /// Its attributes; none = leave or default.
        attrs: Option<FileAttributes>,
        /// Its extended attributes, ascending; they count only if attributes are given.
        xattrs: Vec<Xattr>,
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

/// What an edit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditOutcome {
    /// The tree changed.
    Changed,
    /// It was so already.
    Unchanged,
}

/// What to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeQuery {
    /// One entry by its shown name.
    Entry {
        /// Which; empty = the root.
        path: TreePath,
    },
    /// The same, with all blocks of folders that have to be read to find it, from the root on.
    Way {
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

impl TreeQuery {
    /// The folder in which the answer is found; the root is found in itself.
    pub fn folder(&self) -> &[EntryName] {
        match self {
            Self::Entry { path } | Self::Way { path } => path.split_last().map_or(&[], |(_, parents)| parents),
            Self::List { path, .. } => path,
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryResult {
    /// For [`TreeQuery::Entry`].
    Entry(TreeItem),
    /// For [`TreeQuery::Way`].
    Way {
        /// What lies there.
        entry: Box<TreeItem>,
        /// What was read on the way, ascending.
        blocks: Vec<BlockId>,
    },
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
    /// Extended attributes, ascending.
    pub xattrs: Vec<Xattr>,
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
