//! What the members that this node turned to said at their gates: they let it in, or why not.

use std::collections::BTreeMap;

use fsdfs_proto::gate::ProtocolMismatch;
use fsdfs_proto::identity::GateRefusal;
use fsdfs_proto::ids::NodeId;
use tokio::sync::watch;

use super::rejection::HandshakeRejected;

/// Since this node started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateAnswers {
    /// Somebody let it in.
    pub let_in: bool,
    /// Who did not, when asked last, and why.
    pub refused: BTreeMap<NodeId, HandshakeRejected>,
}

/// Where gateways and the daemon see them.
pub type GateAnswersWatch = watch::Receiver<GateAnswers>;

impl GateAnswers {
    /// The reason with which this node was refused, if it is one that does not pass by itself. The smallest, so that the same
    /// answers give the same reason.
    pub fn refusal(&self) -> Option<HandshakeRejected> {
        self.refused.values().copied().filter(is_lasting).min()
    }
}

/// Some reasons pass when the members have heard of each other.
fn is_lasting(why: &HandshakeRejected) -> bool {
    !matches!(
        why,
        HandshakeRejected::Refused(GateRefusal::NotAdmitted) | HandshakeRejected::Mismatch(ProtocolMismatch::Unknown)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lasting_reasons_count() {
        let refused = |why: &[HandshakeRejected]| {
            let refused = why.iter().zip(1..).map(|(why, number)| (NodeId([number; 32]), *why)).collect();
            GateAnswers { let_in: false, refused }.refusal()
        };
        let expired = HandshakeRejected::Refused(GateRefusal::TicketExpired);
        let used_up = HandshakeRejected::Refused(GateRefusal::TicketUsedUp);
        let unknown = HandshakeRejected::Mismatch(ProtocolMismatch::Unknown);
        assert_eq!(refused(&[]), None);
        assert_eq!(refused(&[HandshakeRejected::Refused(GateRefusal::NotAdmitted), unknown]), None);
        assert_eq!(refused(&[unknown, used_up, expired]), refused(&[expired, used_up]));
        assert_eq!(refused(&[used_up]), Some(used_up));
    }
}
