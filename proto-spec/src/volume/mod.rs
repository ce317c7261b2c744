//! Encrypted file trees: blocks, keys, manifests, directories, commits (spec 02-block, 05-volume).

mod commit;
mod directory;
mod entry;
mod flags;
mod keys;
mod links;
mod manifest;
mod seal;
mod seen;

pub use commit::{Commit, CommitExtra, CommitView, MESSAGE_BYTES_MAX};
pub use directory::{Child, LEVEL_MAX, NODE_BYTES_MAX, NODE_REFS_MAX, Node, is_boundary, weight};
pub use entry::{
    Attrs, BIRTHS_MAX, Content, Entry, FILE_DEPTH_MAX, File, Folder, INLINE_BYTES_MAX, NAME_BYTES_MAX, Name,
    SYMLINK_BYTES_MAX, VERSIONS_MAX, Version, XATTR_BYTES_MAX, Xattr, check_name,
};
pub use flags::Flags;
pub use keys::{VolumeKeys, WriteKeys};
pub use links::Indexed;
pub use manifest::Manifest;
pub use seal::{Header, Kind, LINKS_MAX, Link, LinkClass, Ref, header, open_data, seal_data};
pub use seen::{Dot, SEEN_MAX, Seen, Span, WITHIN_MAX, Within};

/// Bytes of a commit block at most: it travels whole inside a head.
pub const COMMIT_BYTES_MAX: usize = 64 * 1024;
/// Parents of a commit at most. More heads are merged in several steps.
pub const PARENTS_MAX: usize = 256;

const _: () = assert!(
    SEEN_MAX * 20 + PARENTS_MAX * 40 + MESSAGE_BYTES_MAX + 8 * 1024 < COMMIT_BYTES_MAX,
    "the largest commit must fit into a head"
);
