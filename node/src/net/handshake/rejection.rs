//! Why one node does not let another in.

use fsdfs_proto::gate::{GateVerdict, ProtocolMismatch};
use fsdfs_proto::identity::GateRefusal;

/// A node that is refused is told why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum HandshakeRejected {
    /// It does not belong to the pool.
    #[error("{0:?}")]
    Refused(GateRefusal),
    /// It could not be judged.
    #[error("{0}")]
    Mismatch(ProtocolMismatch),
}

impl From<HandshakeRejected> for GateVerdict {
    fn from(why: HandshakeRejected) -> Self {
        match why {
            HandshakeRejected::Refused(refusal) => Self::Refused(refusal),
            HandshakeRejected::Mismatch(mismatch) => Self::Unsuited(mismatch),
        }
    }
}
