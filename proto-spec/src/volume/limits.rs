//! Bounds of a commit, which hold together.

use super::version_vector::VERSION_VECTOR_WRITERS_MAX;

/// Bytes of a commit block at most: it travels whole inside a head.
pub const COMMIT_BYTES_MAX: usize = 64 * 1024;
/// Parents of a commit at most. More heads are merged in several steps.
pub const PARENTS_MAX: usize = 256;
/// Bytes of a commit's message at most.
pub const MESSAGE_BYTES_MAX: usize = 1024;

const _: () = assert!(
    VERSION_VECTOR_WRITERS_MAX * 28 + PARENTS_MAX * 40 + MESSAGE_BYTES_MAX + 8 * 1024 < COMMIT_BYTES_MAX,
    "the largest commit must fit into a head"
);
