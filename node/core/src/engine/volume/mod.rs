//! Floor 4, trees that change: the heads that stand, reading them, this node's sequence numbers, commits.

mod commit;
mod floor;
mod heads;
mod history;
mod quarantine;
mod query;
mod rotation;
mod tree_query;
mod unpublished;
mod writer;

pub(super) use commit::{CommitParts, Commits};
pub(super) use floor::StateFloor;
pub(super) use heads::LocalHeads;
pub(super) use query::HeadQueries;
pub(super) use rotation::Rotation;
pub(super) use tree_query::{ReadBasis, TreeQueries};
pub(super) use unpublished::Unpublished;
pub(super) use writer::Writer;
