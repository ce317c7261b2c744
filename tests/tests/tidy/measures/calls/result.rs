//! What reading calls ends with.

use super::super::graph::ArrowGraph;

/// Calls between the files of one folder.
#[derive(Default)]
pub struct CallGraph {
    pub graph: ArrowGraph,
    /// Calls of a name that several files define, on something of unknown type.
    pub unresolved: Vec<String>,
}
