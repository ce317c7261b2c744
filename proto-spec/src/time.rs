//! Hybrid logical clock stamps: wall time that never runs backwards (spec 05-volume).

use serde::{Deserialize, Serialize};

/// `(wall milliseconds since 1970, counter)`. Only orders versions inside one directory entry and admissions of one ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hlc {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub ms: u64,
    /// Tells stamps of the same millisecond apart.
    pub count: u32,
}
