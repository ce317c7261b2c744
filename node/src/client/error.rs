//! Why a request of a gateway was not carried out.

use fsdfs_core::seam::Refusal;
use fsdfs_core::tree::{EditError, TreeError};
use fsdfs_proto::ids::NodeId;

use crate::crypto_pool::JobPanicked;
use crate::store::StoreError;

/// Why a user's request was not carried out. Gateways put it into words.
#[derive(Debug)]
pub enum ClientError {
    /// The daemon is stopping. Whether a change was made is not known.
    Stopping,
    /// The engine refused. Nothing durable was promised.
    Refused(Refusal),
    /// The change does not fit the tree. Nothing was changed.
    Edit(EditError),
    /// The tree could not be read.
    Tree(TreeError),
    /// There is no such entry in what this node can see; these members acknowledged changes that it cannot.
    NotShown {
        /// Their names.
        unpublished_on: Vec<String>,
    },
    /// It is a folder or a link, not a file.
    NotAFile(&'static str),
    /// A block of the file is on no server that is up.
    Lost {
        /// Members that may have it.
        away: Vec<NodeId>,
    },
    /// The sender went away. Nothing was changed.
    Body(BodyError),
    /// The store does not begin a disk. Nothing was changed.
    Disk(StoreError),
    /// A bug.
    Panicked(JobPanicked),
}

impl From<Refusal> for ClientError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<TreeError> for ClientError {
    fn from(error: TreeError) -> Self {
        Self::Tree(error)
    }
}

impl From<JobPanicked> for ClientError {
    fn from(panicked: JobPanicked) -> Self {
        Self::Panicked(panicked)
    }
}

/// The sender of some content went away, or sent something that is not HTTP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BodyError(pub String);
