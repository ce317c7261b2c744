//! Encrypted file trees: blocks, keys, manifests, directories, commits (spec 02-block, 05-volume).

mod cipher;
mod claim;
mod commit;
mod directory;
mod entry;
mod flags;
mod header;
mod history;
mod keys;
mod limits;
mod links;
mod manifest;
mod marks;
mod seal;
mod version_vector;

pub use claim::{NodeClaim, NodeSummary};
pub use commit::{Commit, CommitView};
pub use directory::{DirectoryChild, DirectoryNode, LEVEL_MAX, NODE_BYTES_MAX, NODE_REFS_MAX, NodeTarget, weight};
pub use entry::{
    BIRTHS_MAX, DirectoryEntry, EntryName, EntryVersion, FILE_DEPTH_MAX, FileAttributes, FileContent, FileNode,
    FolderNode, INLINE_BYTES_MAX, NAME_BYTES_MAX, NAME_RESERVED, NAME_STANDS_FOR, PATH_NAMES_MAX, SYMLINK_BYTES_MAX,
    VERSIONS_MAX, XATTR_BYTES_MAX, XATTR_HARD_LINK, XATTR_OVERHEAD_BYTES, XATTR_RESERVED, Xattr, check_name,
    check_xattrs,
};
pub use flags::EntryFlags;
pub use header::{
    BlockHeader, BlockKind, BlockLink, BlockRef, CommitExtra, KIND_BYTES, LINKS_MAX, LinkClass, header, kind_of,
};
pub use history::{HistoryRules, STATES_MAX, XATTR_HISTORY, is_reserved_xattr, work_message, work_of};
pub use keys::{VolumeKeys, WriteKeys};
pub use limits::{COMMIT_BYTES_MAX, MESSAGE_BYTES_MAX, PARENTS_MAX};
pub use links::IndexedLink;
pub use manifest::Manifest;
pub use marks::MarkSet;
pub use seal::{ChunkBuffer, open_data, open_data_in_place, seal_data};
pub use version_vector::{
    Dot, DotSpan, FOLDER_VECTORS_WRITERS_MAX, FolderVectors, VERSION_VECTOR_WRITERS_MAX, VersionVector,
    WRITERS_PER_NODE_MAX,
};
