//! Edits and queries: what a gateway asks of a tree, and what it is told.

use fsdfs_proto::ids::{BlockId, Writer};
use fsdfs_proto::time::Hlc;
use fsdfs_proto::volume::{BlockRef, EntryName, FileAttributes, FileContent, FileNode, HistoryRules, Xattr};

use super::ladder::{HistoryRung, StateNote};

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
    /// Put what an earlier state has at a path here. Nothing is copied, whatever its size.
    Restore {
        /// The commit of that state.
        state: BlockId,
        /// What of it; empty = all of it.
        from: TreePath,
        /// The new path itself. Folders on the way are made.
        to: TreePath,
        /// Also if something is there now, which ends with that.
        replace: bool,
    },
    /// Which earlier states are listed from now on.
    KeepHistory(HistoryRules),
    /// List these earlier states no more.
    DropStates(Vec<BlockId>),
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
    /// The earlier states that the heads list.
    History,
}

impl TreeQuery {
    /// The folder in which the answer is found; the root is found in itself.
    pub fn folder(&self) -> &[EntryName] {
        match self {
            Self::Entry { path } | Self::Way { path } => path.split_last().map_or(&[], |(_, parents)| parents),
            Self::List { path, .. } => path,
            Self::History => &[],
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
    /// For [`TreeQuery::History`].
    History(VolumeHistory),
}

/// The earlier states of a volume, as the heads list them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeHistory {
    /// Which of them are kept.
    pub rules: HistoryRules,
    /// The heads that stand, and what they list, by age, the newest first. Those of which nothing can be known come last.
    pub states: Vec<HistoryState>,
}

/// A state of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryState {
    /// Its commit.
    pub id: BlockId,
    /// None if its commit cannot be had now.
    pub note: Option<StateNote>,
    /// A head that stands: what is shown now, or a part of it.
    pub stands: bool,
    /// What keeps it; none of one that is only here because the newest was made from it.
    pub rung: Option<HistoryRung>,
    /// No head lists it: this node remembers that it stood here.
    pub remembered: bool,
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
