//! What one choice of sizes costs.

use fsdfs_core::tree::TreeParams;

use super::volume::WriteCost;

/// Who write to folders of their own at once, and share commits.
pub const CALLERS: u64 = 8;
/// Names in the folders that get one more.
pub const FOLDERS: [u64; 3] = [100, 10_000, 1_000_000];

/// What one choice costs.
pub struct FolderCosts {
    pub params: TreeParams,
    /// 20,000 files of 10 to 3,000 bytes in one folder; with the bytes of their contents.
    pub bulk: (WriteCost, u64),
    /// One such file into folders of [`FOLDERS`] names, each.
    pub singles: Vec<WriteCost>,
    /// Another content for one of 10,000 files.
    pub overwrite: WriteCost,
    /// 4 KiB into each of [`CALLERS`] folders in one commit: of all.
    pub callers: WriteCost,
    /// A home folder: small and middling files in many folders.
    pub home: (WriteCost, u64),
    /// One file of it changes.
    pub home_change: WriteCost,
}
