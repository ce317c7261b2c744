//! Encrypted file trees: blocks, keys, manifests, directories, commits (spec 02-block, 05-volume).

mod commit;
mod directory;
mod entry;
mod flags;
mod header;
mod keys;
mod links;
mod manifest;
mod seal;
mod version_vector;

pub use commit::{Commit, CommitView, MESSAGE_BYTES_MAX};
pub use directory::{DirectoryChild, DirectoryNode, LEVEL_MAX, NODE_BYTES_MAX, NODE_REFS_MAX, is_boundary, weight};
pub use entry::{
    BIRTHS_MAX, DirectoryEntry, EntryName, EntryVersion, FILE_DEPTH_MAX, FileAttributes, FileContent, FileNode,
    FolderNode, INLINE_BYTES_MAX, NAME_BYTES_MAX, SYMLINK_BYTES_MAX, VERSIONS_MAX, XATTR_BYTES_MAX, Xattr, check_name,
};
pub use flags::EntryFlags;
pub use header::{BlockHeader, BlockKind, BlockLink, BlockRef, CommitExtra, LINKS_MAX, LinkClass, header};
pub use keys::{VolumeKeys, WriteKeys};
pub use links::IndexedLink;
pub use manifest::Manifest;
pub use seal::{ChunkBuffer, open_data, open_data_in_place, seal_data};
pub use version_vector::{
    Dot, DotSpan, FOLDER_VECTORS_WRITERS_MAX, FolderVectors, VERSION_VECTOR_WRITERS_MAX, VersionVector,
};

/// Bytes of a commit block at most: it travels whole inside a head.
pub const COMMIT_BYTES_MAX: usize = 64 * 1024;
/// Parents of a commit at most. More heads are merged in several steps.
pub const PARENTS_MAX: usize = 256;

const _: () = assert!(
    VERSION_VECTOR_WRITERS_MAX * 20 + PARENTS_MAX * 40 + MESSAGE_BYTES_MAX + 8 * 1024 < COMMIT_BYTES_MAX,
    "the largest commit must fit into a head"
);
