//! Jobs over encrypted trees: edit, merge, look, walk. Pure functions over the blocks they were given (spec 05-volume).
//!
//! A job that lacks blocks answers [`JobDone::Missing`]; the engine fetches them and runs it again with more.

mod alias;
mod block_map;
pub mod content;
mod dir;
mod edit;
mod error;
mod file_blocks;
mod heads;
mod history;
mod job;
mod known;
mod ladder;
mod merge;
mod operation;
mod pages;
mod query;
mod restore;
mod run;
mod source;
mod terms;
mod walk;

#[cfg(test)]
mod tests;

pub use fsdfs_proto::volume::{BlockRef, EntryName, FileAttributes, FileContent, FileNode, Xattr};

pub use block_map::BlockMap;
pub use error::{EditError, HeadFault, TreeError};
pub use file_blocks::{FileBlocks, NextBlock};
pub use heads::coverable;
pub use job::{EditJob, JobDone, MergeJob, QueryJob, TreeJob, TreeParams, WalkJob};
pub use known::{KnownFolder, KnownFolders};
pub use ladder::{HistoryRung, StateNote, kept_times, ladder};
pub use operation::{
    EditOutcome, HistoryState, QueryResult, TreeEdit, TreeItem, TreeItemKind, TreePath, TreeQuery, VolumeHistory,
};
pub use terms::{BlockAbsence, CancelFlag, HistoryTerms, JobBudget, JobTerms};
