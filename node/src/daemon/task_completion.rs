//! What ends outside of the loop.

use fsdfs_core::seam::Input;

/// What the store's threads and the crypto pool report.
#[allow(clippy::large_enum_variant, reason = "nearly all are inputs; a box would be an allocation for each")]
pub(super) enum TaskCompletion {
    /// To the engine.
    Input(Input),
    /// The logs hold much that is outdated. It comes behind the ends of all writes that a compaction may replace, so what the
    /// engine knows by then is all that has to stay.
    LogLong,
}
